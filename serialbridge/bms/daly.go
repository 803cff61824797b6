package bms

import (
	"time"

	"lintel/serialbridge"
)

// A frame of a Daly BMS is A5, address, command, 8, eight bytes and their sum.
const (
	dalyHeader = "\xA5"
	dalyFrame  = 13
	dalyData   = 4 // where the eight bytes begin

	dalyBattery   = 0x01
	dalyHost      = 0x40 // a computer at USB or RS485
	dalyBluetooth = 0x80 // what the app's adapter is
)

// DalyOptions are the settings of a battery with a Daly BMS.
type DalyOptions struct {
	// InvertCurrent turns the sign of the current, for a battery that says
	// charging when it is discharged.
	InvertCurrent bool `toml:"invert_current"`
}

// Check returns what is wrong with the options: nothing can be.
func (DalyOptions) Check() error { return nil }

// Daly returns the driver for batteries with a Daly BMS. They are asked, so it
// runs only where the user says so.
func Daly(o DalyOptions) serialbridge.Driver {
	return serialbridge.Driver{
		Protocol: "dalybms",
		Lines: []serialbridge.Line{
			{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder { return newDalyDecoder(sink, o) },
		Run:        o.run,
	}
}

// dalyQuestion returns the frame that asks for something.
func dalyQuestion(address, command byte) []byte {
	b := make([]byte, dalyFrame-1, dalyFrame)
	b[0], b[1], b[2], b[3] = dalyHeader[0], address, command, 8
	return append(b, byte(sum16(b)))
}

func dalySize(b []byte) int {
	switch {
	case len(b) < dalyData:
		return 0
	case b[3] != 8:
		return -1
	}
	return dalyFrame
}

func dalyValid(frame []byte) bool {
	return byte(sum16(frame[:dalyFrame-1])) == frame[dalyFrame-1]
}

// A dalyDecoder reads what a Daly BMS says.
type dalyDecoder struct {
	deframer
	devices serialbridge.Announcer
	device  string // ID of the battery, once it is announced
	options DalyOptions

	valid   uint64      // frames of the battery
	answers [256]uint64 // of these, by command

	// How many cells and sensors the battery has, as told twice in a row:
	// a sum of eight bits is weak, and a device is for ever. Nothing is
	// published before.
	counts         [2]byte
	cells, sensors int

	// The battery's code, which has to come twice in a row as well.
	parts  []byte // of the code that is coming
	codes  uint64 // complete ones
	code   string // the last one
	serial string // confirmed; empty: it has none

	state    byte  // in dalyStates
	polarity int64 // of the current; 0: not known yet
	doubted  bool  // the state said otherwise last time
}

func newDalyDecoder(sink serialbridge.Sink, o DalyOptions) *dalyDecoder {
	d := &dalyDecoder{devices: serialbridge.Announcer{Sink: sink}, options: o}
	d.deframer = deframer{sink: sink, header: dalyHeader, size: dalySize, valid: dalyValid, take: d.takeFrame}
	return d
}

// takeFrame looks at a frame whose sum is right. Where two wires serve both ways
// our own questions are heard as well: they are passed over.
func (d *dalyDecoder) takeFrame(frame []byte, received time.Time) {
	if frame[1] != dalyBattery {
		return
	}
	d.valid++
	command, b := frame[2], frame[dalyData:dalyFrame-1]
	d.answers[command]++
	switch command {
	case dalyCode:
		d.takeCode(b)
		return
	case dalyCounts:
		if !d.takeCounts(b) {
			return
		}
	case dalyMOSFETs:
		d.state = b[0]
	}
	if d.cells == 0 {
		return
	}
	values, ok := d.values(command, b)
	switch {
	case !ok:
		d.sink.Damaged(serialbridge.DamagedSyntax)
	case len(values) > 0:
		d.sink.Reading(serialbridge.Reading{Device: d.device, Time: received, Values: values})
	}
}

// takeCounts announces the battery once it is sure how many cells it has, which
// it reports.
func (d *dalyDecoder) takeCounts(b []byte) bool {
	before := d.counts
	d.counts = [2]byte(b)
	if b[0] == 0 || b[0] > maxCells || b[1] > dalyMaxSensors {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return false
	}
	if before != d.counts {
		return false
	}
	d.cells, d.sensors = int(b[0]), int(b[1])
	device := serialbridge.Device{
		ID:         "dalybms",
		Name:       "Battery",
		Vendor:     "Daly",
		Model:      "Daly BMS",
		Anonymous:  true,
		Properties: dalyProperties(d.cells, d.sensors),
	}
	if d.serial != "" {
		device.ID, device.SerialNumber, device.Anonymous = deviceID(device.ID, d.serial), d.serial, false
	}
	d.devices.Announce(device)
	d.device = device.ID
	return true
}

// takeCode takes a part of the battery's code.
func (d *dalyDecoder) takeCode(b []byte) {
	if b[0] == 1 {
		d.parts = d.parts[:0]
	}
	if n := len(b) - 1; int(b[0])*n != len(d.parts)+n || b[0] > dalyCodeFrames {
		d.parts = d.parts[:0]
		return
	}
	d.parts = append(d.parts, b[1:]...)
	if b[0] < dalyCodeFrames {
		return
	}
	before := d.code
	d.code, _ = text(d.parts)
	d.codes++
	if d.code == before {
		d.serial = d.code
	}
}

// settled reports whether the battery has told the same code twice, or that it
// has none.
func (d *dalyDecoder) settled() bool { return d.codes > 1 && d.serial == d.code }

// amperes returns the current in tenths, positive while the battery is charged.
// The maker's list does not say which sign means what, and firmware differs: the
// state, of which it says so, decides, and holds while the battery is idle. State
// and current are of different moments, so only two contradictions in a row change
// what was found.
func (d *dalyDecoder) amperes(n int64) int64 {
	if n != 0 && 0 < d.state && int(d.state) < len(dalyStates) {
		polarity := int64(-1)
		if charging := dalyStates[d.state] == "charging"; charging == (n > 0) {
			polarity = 1
		}
		contradicts := d.polarity != 0 && polarity != d.polarity
		if !contradicts || d.doubted {
			d.polarity, contradicts = polarity, false
		}
		d.doubted = contradicts
	}
	if d.options.InvertCurrent {
		n = -n
	}
	if d.polarity < 0 {
		n = -n
	}
	return n
}

// frames returns how many frames the answer to a command has.
func (d *dalyDecoder) frames(command byte) int {
	switch command {
	case dalyCode:
		return dalyCodeFrames
	case dalyCells:
		return (d.cells + dalyCellsAFrame - 1) / dalyCellsAFrame
	case dalySensors:
		return (d.sensors + dalySensorsAFrame - 1) / dalySensorsAFrame
	}
	return 1
}

// dalyRound is what a battery is asked again and again. The state comes before
// the current, which needs it.
var dalyRound = []byte{
	dalyCounts, dalyMOSFETs, dalyCharge, dalyCellRange, dalyTemperatures,
	dalyCells, dalySensors, dalyBalancing, dalyAlarms,
}
