package modbus

import (
	"fmt"
	"reflect"
	"time"

	"lintel/serialbridge"
)

// A bus passes on what its units say.
type bus struct {
	sink  serialbridge.Sink
	units []*unit
}

// announce passes on what is known of a unit if that is new.
func (b *bus) announce(u *unit, d serialbridge.Device) {
	if !reflect.DeepEqual(d, u.announced) {
		u.announced = d
		b.sink.Device(d)
	}
}

// publish passes on what an answer says of a unit that was announced.
func (b *bus) publish(u *unit, q request, data []byte, received time.Time) bool {
	values := make(map[string]any)
	if !u.table.values(q, data, values) {
		return false
	}
	for _, block := range u.blocks {
		if block.refused { // it was read along, and means nothing
			for _, p := range block.registers[0].properties() {
				delete(values, p.Key)
			}
		}
	}
	b.sink.Reading(serialbridge.Reading{Device: u.announced.ID, Time: received, Values: values})
	return true
}

// refused tells of a request that a unit does not do.
func (b *bus) refused(unit string, q request, e exception) {
	b.sink.Ignored(fmt.Sprintf("%s refuses to %v: %v", unit, q, e))
}

// A decoder listens to a bus on which another master asks.
type decoder struct {
	bus
	scanner scanner
}

func newDecoder(sink serialbridge.Sink, units []*unit) *decoder {
	d := &decoder{bus: bus{sink: sink, units: units}}
	d.scanner = scanner{
		damaged:  sink.Damaged,
		question: func(request) {},
		answer:   d.answered,
		refusal: func(q request, e exception) {
			if units := on(d.units, q.unit); len(units) > 0 {
				d.refused(units[0].title(), q, e)
			}
		},
		stray: func(unit byte) {
			sink.Ignored(fmt.Sprintf("unit %d answers, but what it was asked was not heard", unit))
		},
	}
	return d
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) { d.scanner.scan(data, received) }

// answered takes an answer to what the other master has asked.
func (d *decoder) answered(q request, data []byte, received time.Time) {
	if !q.reads() {
		return // what came of it is read by and by
	}
	units := on(d.units, q.unit)
	known := false
	for _, u := range units {
		if u.know(q, data) {
			known = true
		}
		d.announce(u, overheard(u))
		if d.publish(u, q, data, received) {
			known = true
		}
	}
	switch {
	case len(units) == 0:
		d.sink.Ignored(fmt.Sprintf("unit %d is on the bus, but not in the settings: give it a map", q.unit))
	case !known:
		d.sink.Ignored(fmt.Sprintf("%s was asked to %v, which its map does not have", units[0].title(), q))
	}
}

// overheard returns what the house is told of a unit that is only listened to. It
// cannot be commanded. When, and whether, the other master asks for the serial
// number is not known, so that cannot make the ID.
func overheard(u *unit) serialbridge.Device {
	d := u.device()
	d.ID, d.Anonymous = u.id("")
	for i, p := range d.Properties {
		switch p.Kind {
		case serialbridge.Switch:
			p.Kind = serialbridge.Binary
		case serialbridge.Choice:
			p.Kind = serialbridge.State
		case serialbridge.Setting:
			p.Kind = serialbridge.Measurement
			p.Min, p.Max, p.Step = 0, 0, 0
		}
		if p.Category == serialbridge.Config {
			p.Category = serialbridge.Diagnostic
		}
		d.Properties[i] = p
	}
	return d
}
