package bms

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"lintel/serialbridge"
)

// A frame of a JK BMS is 4E 57, length, terminal number, command, source, type,
// data, record number, 68 and sum. The length counts itself and what is behind.
const (
	jkHeader  = "\x4E\x57"
	jkData    = 11  // where the data begin
	jkTrailer = 9   // what is behind them
	jkMaxSize = 512 // the answer of a battery with 32 cells has 340 bytes

	jkWrite   = 0x02
	jkReadAll = 0x06

	jkFromBattery = 0x00
	jkFromHost    = 0x03

	jkRequest = 0x00
	jkReport  = 0x02

	jkEnd = 0x68
)

const (
	// jkInterval is how often a battery is asked.
	jkInterval = 5 * time.Second
	// jkPatience is how long it may take; an answer takes 30 ms on the line.
	jkPatience = time.Second
	// jkSettle is how long a switch may take to show.
	jkSettle = 300 * time.Millisecond
)

const jkMute = "the battery does not answer: check that the adapter is at the BMS's UART-TTL or RS485 port (GPS), " +
	"that RX and TX are not swapped, and that the battery is awake"

// JK returns the driver for batteries with a JK BMS that speak at the port named
// UART-TTL, RS485 or GPS. They are asked, so it runs only where the user says so.
func JK() serialbridge.Driver {
	return serialbridge.Driver{
		Protocol: "jkbms",
		Lines: []serialbridge.Line{
			{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder { return newJKDecoder(sink) },
		Run:        runJK,
	}
}

// jkFrame returns a frame of ours.
func jkFrame(command, kind byte, data ...byte) []byte {
	b := []byte(jkHeader)
	b = binary.BigEndian.AppendUint16(b, uint16(jkData+len(data)+jkTrailer-len(jkHeader)))
	b = append(b, 0, 0, 0, 0, command, jkFromHost, kind) // to any terminal
	b = append(b, data...)
	b = append(b, 0, 0, 0, 0, jkEnd)
	return binary.BigEndian.AppendUint32(b, uint32(sum16(b)))
}

// sum16 is the sum of all bytes, of which 16 bits count.
func sum16(b []byte) (sum uint16) {
	for _, c := range b {
		sum += uint16(c)
	}
	return sum
}

func jkSize(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[2:])) + len(jkHeader)
	if n < jkData+jkTrailer || n > jkMaxSize {
		return -1
	}
	return n
}

// jkValid checks the end mark and the lower half of the sum; the upper one is
// not used.
func jkValid(frame []byte) bool {
	end := len(frame) - 4
	return frame[end-1] == jkEnd && binary.BigEndian.Uint16(frame[end+2:]) == sum16(frame[:end])
}

// A jkDecoder reads what a JK BMS says.
type jkDecoder struct {
	deframer
	devices serialbridge.Announcer

	valid   uint64 // frames of the battery
	reports uint64 // answers that say everything
	said    string // ID of the device of the last one
	serial  string // as told last
	model   string
}

func newJKDecoder(sink serialbridge.Sink) *jkDecoder {
	d := &jkDecoder{devices: serialbridge.Announcer{Sink: sink}}
	d.deframer = deframer{sink: sink, header: jkHeader, size: jkSize, valid: jkValid, take: d.takeFrame}
	return d
}

// takeFrame looks at a frame whose sum is right. Where two wires serve both ways
// our own questions are heard as well: they are passed over.
func (d *jkDecoder) takeFrame(frame []byte, received time.Time) {
	command, source, kind := frame[8], frame[9], frame[10]
	if source != jkFromBattery || kind == jkRequest || kind > jkReport {
		return
	}
	d.valid++
	if command != jkReadAll {
		return
	}
	d.reports++
	fields, unknown, ok := parseJKFields(frame[jkData : len(frame)-jkTrailer])
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	r, ok := fields.report(unknown)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	if unknown != 0 {
		d.sink.Ignored(fmt.Sprintf("the battery tells a field %02X that is not known here: nothing behind it is read", unknown))
	}
	r.device = d.device(fields, binary.BigEndian.Uint32(frame[4:]), r.device.Properties)
	before := d.said
	d.said = r.device.ID
	if before != r.device.ID || len(r.values) == 0 {
		return // a sum is weak, and a device is for ever
	}
	d.devices.Announce(r.device)
	d.sink.Reading(serialbridge.Reading{Device: r.device.ID, Time: received, Values: r.values})
}

func (d *jkDecoder) device(fields jkFields, terminal uint32, properties []serialbridge.Property) serialbridge.Device {
	if _, told := fields[jkManufacturerID]; told {
		d.serial, d.model = fields.identity()
	}
	device := serialbridge.Device{
		ID:           "jkbms",
		Name:         "Battery",
		Vendor:       "JK",
		Model:        cmp.Or(d.model, "JK BMS"),
		SerialNumber: d.serial,
		Properties:   properties,
	}
	device.SWVersion, _ = text(fields[jkSoftware])
	switch {
	case d.serial != "":
		device.ID = deviceID("jkbms", d.serial)
		return device
	case terminal != 0:
		device.ID = deviceID("jkbms", fmt.Sprintf("%08X", terminal))
	}
	device.Anonymous = true
	return device
}

// runJK asks the battery for everything, again and again, and does what is
// wanted in between.
func runJK(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	decoder := newJKDecoder(sink)
	dialogue := &serialbridge.Dialogue{
		Port: port, Sink: sink, Decoder: decoder, Incoming: serialbridge.Hear(ctx, port),
		Valid: func() uint64 { return decoder.valid }, Mute: jkMute,
	}
	readAll := jkFrame(jkReadAll, jkRequest, 0)
	for {
		next, before := time.Now().Add(jkInterval), decoder.reports
		if _, err := dialogue.Ask(ctx, readAll, jkPatience, func() bool { return decoder.reports > before }); err != nil {
			return err
		}
		command, err := dialogue.Rest(ctx, next, commands)
		for command != nil && err == nil {
			if frame, ok := decoder.commandFrame(*command); ok {
				if err := dialogue.Tell(frame); err != nil {
					return err
				}
			}
			// The next answer tells whether it was done.
			command, err = dialogue.Rest(ctx, time.Now().Add(jkSettle), commands)
		}
		if err != nil {
			return err
		}
	}
}

// commandFrame returns the frame that does what is wanted. Switches are written
// without a password, in frames of type 2.
func (d *jkDecoder) commandFrame(c serialbridge.Command) (frame []byte, ok bool) {
	on, isBool := c.Value.(bool)
	if !isBool || c.Device != d.said {
		return nil, false
	}
	for _, s := range jkSwitches {
		if s.property.Key == c.Key {
			var value byte
			if on {
				value = 1
			}
			return jkFrame(jkWrite, jkReport, s.code, value), true
		}
	}
	return nil, false
}
