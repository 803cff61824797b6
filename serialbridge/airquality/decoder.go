package airquality

import (
	"fmt"
	"time"

	"lintel/serialbridge"
)

// A decoder finds frames in a stream of bytes. Only what may still become
// a frame is kept; of a frame that is none, the first byte is dropped and the
// rest looked at again, so that a frame within is found.
type decoder struct {
	sink    serialbridge.Sink
	devices serialbridge.Announcer
	forms   []form

	frame   []byte            // what may be the beginning of a frame
	valid   uint64            // frames whose sum was right
	answers map[string]uint64 // of these, by header
	last    *sensor           // that sent the last frame that was of one sensor only
	serial  string            // that the sensor told in a frame of its own
	said    string            // ID of the device of the last frame
}

func newDecoder(sink serialbridge.Sink, forms []form) *decoder {
	return &decoder{
		sink:    sink,
		devices: serialbridge.Announcer{Sink: sink},
		forms:   forms,
		answers: make(map[string]uint64),
	}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		d.frame = append(d.frame, b)
		for len(d.frame) > 0 {
			n := d.scan(received)
			if n == 0 {
				break
			}
			d.frame = d.frame[:copy(d.frame, d.frame[n:])]
		}
	}
}

// scan looks at the bytes that there are, and returns how many of them are done
// with; none if more have to come.
func (d *decoder) scan(received time.Time) int {
	size := 0 // of the frame that this begins
	for i := range d.forms {
		f := &d.forms[i]
		n := min(len(d.frame), len(f.header))
		if f.header[:n] != string(d.frame[:n]) {
			continue
		}
		if len(d.frame) < f.size {
			return 0
		}
		size = f.size // no header is the beginning of another
		if !f.valid(d.frame[:size]) {
			d.sink.Damaged(serialbridge.DamagedChecksum)
			return 1
		}
		d.valid++
		d.answers[f.header]++
		break
	}
	if size == 0 {
		return 1
	}
	d.end(d.frame[:size], received)
	return size
}

// end judges a frame whose sum is right.
func (d *decoder) end(frame []byte, received time.Time) {
	f, quiet := d.formOf(frame)
	if f == nil {
		if !quiet {
			d.sink.Damaged(serialbridge.DamagedSyntax)
		}
		return
	}
	if f.serial != nil {
		d.serial = f.serial(frame)
	}
	if len(f.fields) == 0 {
		return
	}
	values, ok := f.values(frame)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	device := f.device(frame, d.serial)
	before := d.said
	d.said = device.ID
	if before != device.ID {
		return // one frame is not enough to believe in a device
	}
	d.devices.Announce(device)
	d.sink.Reading(serialbridge.Reading{Device: device.ID, Time: received, Values: values})
}

// formOf returns the form of a frame. If there is none, quiet tells whether
// a sensor sends such frames all the same.
func (d *decoder) formOf(frame []byte) (f *form, quiet bool) {
	for i := range d.forms {
		f := &d.forms[i]
		if !f.fits(frame) {
			continue
		}
		claim := certain
		if f.claims != nil {
			claim = f.claims(frame)
		}
		switch {
		case claim == certain:
			d.last = f.sensor
			return f, false
		case claim == possible && f.sensor == d.last:
			return f, false
		case claim == possible:
			quiet = true
		}
	}
	return nil, quiet
}

// device returns the device that a frame speaks of; serial is what another frame
// told before.
func (f *form) device(frame []byte, serial string) serialbridge.Device {
	if f.idAt > 0 {
		if id := frame[f.idAt : f.idAt+2]; id[0] != 0 || id[1] != 0 {
			serial = fmt.Sprintf("%X", id)
		}
	}
	device := f.sensor.device(serial)
	for _, field := range f.fields {
		device.Properties = append(device.Properties, field.property)
	}
	device.Properties = append(device.Properties, f.buttons...)
	return device
}

// device returns a sensor without properties. Without a serial number it does not
// tell itself from others of its kind.
func (s *sensor) device(serial string) serialbridge.Device {
	device := serialbridge.Device{
		ID:           "airquality_" + s.kind,
		Name:         s.name,
		Vendor:       s.vendor,
		Model:        s.model,
		SerialNumber: serial,
		Anonymous:    serial == "",
	}
	if serial != "" {
		device.ID += "_" + serial
	}
	return device
}
