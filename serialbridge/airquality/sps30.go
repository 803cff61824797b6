package airquality

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"lintel/serialbridge"
)

const sps30Mute = "the sensor does not answer: check that RX and TX are not swapped, that it has 5 V, and that its pin SEL is left open"

// The commands of an SPS30 (Sensirion, SPS30 data sheet 1.0, 4.2).
const (
	sps30Start = 0x00
	sps30Read  = 0x03
	sps30Clean = 0x56
	sps30Info  = 0xD0

	sps30Floats = 0x03 // what Start is told: ten float32, big-endian
	sps30Serial = 0x03 // what Info is asked for
)

// The state of a reply: an error in the lower bits, and whether the sensor's
// status register holds one.
const (
	sps30Error      = 0x7F
	sps30Fault      = 0x80
	sps30NotAllowed = 0x43 // in the state that the sensor is in: measuring or idle
)

var sps30 = sensor{"sps30", "Particulate matter sensor", "Sensirion", "SPS30"}

// sps30Fields are the values of a measurement in their order, and to which part
// they are rounded.
var sps30Fields = []struct {
	parts    float64
	property serialbridge.Property
}{
	{10, dust("pm1", "PM1", 1)},
	{10, dust("pm25", "PM2.5", 1)},
	{10, dust("pm4", "PM4", 1)},
	{10, dust("pm10", "PM10", 1)},
	{100, smaller("0_5", "0.5")},
	{100, smaller("1_0", "1.0")},
	{100, smaller("2_5", "2.5")},
	{100, smaller("4_0", "4.0")},
	{100, smaller("10_0", "10")},
	{100, serialbridge.Measured("particle_size", "Typical particle size", "µm", "", 2).AsDiagnostic()},
}

// smaller is a count of particles from 0.3 µm to a size.
func smaller(key, size string) serialbridge.Property {
	return serialbridge.Measured("particles_to_"+key, "Particles up to "+size+" µm", "1/cm³", "", 2).AsDiagnostic()
}

// sps30Most is more than any value of a sensor that works.
const sps30Most = 100_000

// An sps30Decoder reads what an SPS30 says.
type sps30Decoder struct {
	shdlcDecoder
	sink    serialbridge.Sink
	devices serialbridge.Announcer

	valid   uint64
	answers [256]uint64 // replies, by command
	idle    bool        // the sensor does not measure
	serial  string
	said    string // ID of the device of the last measurement
}

func newSPS30Decoder(sink serialbridge.Sink) *sps30Decoder {
	d := &sps30Decoder{sink: sink, devices: serialbridge.Announcer{Sink: sink}}
	d.shdlcDecoder.take, d.shdlcDecoder.damaged = d.takeReply, sink.Damaged
	return d
}

func (d *sps30Decoder) takeReply(r reply, received time.Time) {
	d.valid++
	d.answers[r.command]++
	switch code := r.state & sps30Error; {
	case r.command == sps30Read && code == sps30NotAllowed:
		d.idle = true
	case r.command == sps30Start && (code == 0 || code == sps30NotAllowed):
		d.idle = false // it was told to measure, or does already
	case code != 0:
		d.sink.Ignored(fmt.Sprintf("the sensor refuses command %02X with error %02X", r.command, code))
	case r.command == sps30Read:
		d.takeMeasurement(r, received)
	case r.command == sps30Info:
		if serial, ok := sps30SerialIn(r.data); ok {
			d.serial = serial
		}
	}
}

// takeMeasurement reads ten numbers; there are none if the sensor has not
// measured since it was asked last.
func (d *sps30Decoder) takeMeasurement(r reply, received time.Time) {
	if len(r.data) == 0 {
		return
	}
	values, ok := sps30Values(r.data)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	values[problem().Key] = r.state&sps30Fault != 0
	device := sps30.device(d.serial)
	for _, f := range sps30Fields {
		device.Properties = append(device.Properties, f.property)
	}
	device.Properties = append(device.Properties, problem(), button("clean_fan", "Clean the fan"))
	before := d.said
	d.said = device.ID
	if before != device.ID {
		return // one frame is not enough to believe in a device
	}
	d.devices.Announce(device)
	d.sink.Reading(serialbridge.Reading{Device: device.ID, Time: received, Values: values})
}

func sps30Values(data []byte) (values map[string]any, ok bool) {
	if len(data) != 4*len(sps30Fields) {
		return nil, false
	}
	values = make(map[string]any)
	for i, f := range sps30Fields {
		v := float64(math.Float32frombits(binary.BigEndian.Uint32(data[4*i:])))
		if !(v >= 0 && v < sps30Most) { // NaN neither
			return nil, false
		}
		values[f.property.Key] = math.Round(v*f.parts) / f.parts
	}
	return values, true
}

// sps30SerialIn returns the serial number in the answer to Info. The answer does
// not say what it tells: the product type, which somebody else may have asked
// for, is shorter.
func sps30SerialIn(data []byte) (serial string, ok bool) {
	serial = strings.TrimRight(string(data), "\x00")
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return serial, len(serial) >= 12 && len(serial) <= 32 && strings.Trim(serial, letters) == "" && strings.Trim(serial, "0") != ""
}

// SPS30 returns the driver for the dust sensor SPS30 of Sensirion. It is asked,
// so it runs only where the user says so.
func SPS30() serialbridge.Driver {
	return serialbridge.Driver{
		Protocol:   "sps30",
		Lines:      []serialbridge.Line{{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1}},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder { return newSPS30Decoder(sink) },
		Run:        runSPS30,
	}
}

// runSPS30 starts the measurement and asks for it. A sensor that lost its power
// in between is started again.
func runSPS30(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := newSPS30Decoder(sink)
	d.idle = true
	c := &conversation{&serialbridge.Dialogue{
		Port: port, Sink: sink, Decoder: d, Incoming: serialbridge.Hear(ctx, port),
		Valid: func() uint64 { return d.valid }, Mute: sps30Mute,
	}}
	answers := func(command byte) func() uint64 { return func() uint64 { return d.answers[command] } }
	start := question{shdlcRequest(sps30Start, 1, sps30Floats), answers(sps30Start)}
	read := question{shdlcRequest(sps30Read), answers(sps30Read)}
	if err := c.identify(ctx, question{shdlcRequest(sps30Info, sps30Serial), answers(sps30Info)}, start); err != nil {
		return err
	}
	return c.repeat(ctx, func() error {
		if d.idle {
			if _, err := c.ask(ctx, start); err != nil {
				return err
			}
		}
		_, err := c.ask(ctx, read)
		return err
	}, commands, func(command serialbridge.Command) error {
		if command.Device != d.said || command.Key != "clean_fan" {
			return nil
		}
		_, err := c.ask(ctx, question{shdlcRequest(sps30Clean), answers(sps30Clean)})
		return err
	})
}
