package rfxtrx

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	maxDevices    = 256
	maxProperties = 64 // of one device
)

// Reasons for throwing something away.
const (
	damagedSyntax      = "syntax"
	damagedTruncated   = "truncated"
	damagedImplausible = "implausible"
	damagedUnsupported = "unsupported"
	damagedManyDevices = "too many devices"
	damagedRefused     = "command refused"
)

// A transmitter is a device that was heard.
type transmitter struct {
	kind, subtype byte
	id            []byte
	device        serialbridge.Device
	changed       bool // the device is to be announced
	heard         int  // packets
	units         map[string]unit
}

// A decoder turns packets into devices and readings.
type decoder struct {
	sink         serialbridge.Sink
	deframer     deframer
	received     time.Time // when the bytes came that are being decoded
	transmitters map[string]*transmitter

	// Of use to Run; nil elsewhere.
	onAnswer func(packet)
}

func newDecoder(sink serialbridge.Sink) *decoder {
	d := &decoder{sink: sink, transmitters: make(map[string]*transmitter)}
	d.deframer.take = d.packet
	d.deframer.damaged = sink.Damaged
	return d
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		d.received = received
		d.deframer.next(b, received)
	}
}

// packet takes a packet that is whole.
func (d *decoder) packet(p packet) {
	if s, ok := sensors[p.kind()]; ok {
		d.sensor(s, p)
	} else if r, ok := remotes[p.kind()]; ok {
		d.remote(r, p)
	} else if p.kind() == interfaceMessage || p.kind() == transmitterAnswer {
		if d.onAnswer != nil {
			d.onAnswer(p)
		}
	} else {
		d.sink.Damaged(damagedUnsupported)
	}
}

// sensor takes the packet of a sensor.
func (d *decoder) sensor(s sensor, p packet) {
	if p.subtype() == 0 || p.subtype() > s.subtypes {
		d.sink.Damaged(damagedUnsupported)
		return
	}
	vs := s.values(p)
	values := make(map[string]any)
	for _, v := range vs {
		if v.n < v.low || v.n > v.high {
			d.sink.Damaged(damagedImplausible)
			return
		}
		power := 1.0
		for range v.property.Precision {
			power *= 10
		}
		values[v.property.Key] = float64(v.n) / power
	}
	t := d.transmitter(s.name, fmt.Sprintf("%02x%02x", p[3], p[4]), p, 2)
	if t == nil {
		return
	}
	if t.heard < 2 {
		return
	}
	last := p[len(p)-1]
	for _, v := range vs {
		t.has(v.property)
	}
	t.has(battery())
	t.has(signal())
	values[battery().Key] = last&0x0F == 0
	values[signal().Key] = int64(last >> 4)
	d.publish(t, values)
}

// remote takes the packet of a remote control.
func (d *decoder) remote(r remote, p packet) {
	if r.commands[p.subtype()] == nil {
		d.sink.Damaged(damagedUnsupported)
		return
	}
	id, ok := r.identity(p)
	if !ok {
		d.sink.Damaged(damagedImplausible)
		return
	}
	u, does, n := r.read(p)
	if does == nothing || n > r.levelMax {
		d.sink.Damaged(damagedUnsupported)
		return
	}
	t := d.transmitter(r.name, id, p, r.id)
	if t == nil {
		return
	}
	values := make(map[string]any)
	if does != groupOff && does != groupOn {
		t.add(r, u)
	}
	key := r.property(u).Key
	switch does {
	case off, on:
		values[key] = does == on
	case level:
		dimmer := unit{u.number, true}
		t.add(r, dimmer)
		values[key] = n > 0
		values[r.property(dimmer).Key] = int64(n)
	case groupOff, groupOn:
		for key, u := range t.units {
			if !u.dims {
				values[key] = does == groupOn
			}
		}
	case up, down, stop:
		values[key] = blindCommands[does-up]
	}
	t.has(signal())
	values[signal().Key] = int64(p[len(p)-1] >> 4)
	d.publish(t, values)
}

// transmitter returns the device that a packet is from, or nil if there are too
// many. idSize is how many bytes of the packet are its ID.
func (d *decoder) transmitter(name, id string, p packet, idSize int) *transmitter {
	key := fmt.Sprintf("rfxtrx_%02x_%02x_%s", p.kind(), p.subtype(), id)
	t := d.transmitters[key]
	if t == nil {
		if len(d.transmitters) >= maxDevices {
			d.sink.Damaged(damagedManyDevices)
			return nil
		}
		t = &transmitter{
			kind: p.kind(), subtype: p.subtype(), id: slices.Clone(p[3 : 3+idSize]), units: make(map[string]unit), changed: true,
			device: serialbridge.Device{
				ID:           key,
				Name:         strings.ToUpper(name[:1]) + name[1:] + " " + id,
				Model:        fmt.Sprintf("%s, RFXtrx type %02X.%02X", name, p.kind(), p.subtype()),
				SerialNumber: id,
			},
		}
		d.transmitters[key] = t
	}
	t.heard = min(t.heard+1, 2)
	return t
}

// add notes a unit that can be commanded.
func (t *transmitter) add(r remote, u unit) {
	p := r.property(u)
	if t.has(p) {
		t.units[p.Key] = u
	}
}

// has notes a property. It reports false if there is no room for it.
func (t *transmitter) has(p serialbridge.Property) bool {
	if t.knows(p.Key) {
		return true
	}
	if len(t.device.Properties) >= maxProperties {
		return false
	}
	t.device.Properties = append(t.device.Properties, p)
	t.changed = true
	return true
}

func (t *transmitter) knows(key string) bool {
	return slices.ContainsFunc(t.device.Properties, func(p serialbridge.Property) bool { return p.Key == key })
}

// publish passes on what was heard of a device.
func (d *decoder) publish(t *transmitter, values map[string]any) {
	for key := range values {
		if !t.knows(key) {
			delete(values, key)
		}
	}
	if t.changed {
		t.changed = false
		device := t.device
		device.Properties = slices.Clone(device.Properties)
		d.sink.Device(device)
	}
	if len(values) > 0 {
		d.sink.Reading(serialbridge.Reading{Device: t.device.ID, Time: d.received, Values: values})
	}
}

// command returns the packet that does what is wanted, and what is so then.
func (d *decoder) command(c serialbridge.Command, number byte) (p packet, values map[string]any, ok bool) {
	t := d.transmitters[c.Device]
	if t == nil {
		return nil, nil, false
	}
	u, ok := t.units[c.Key]
	if !ok {
		return nil, nil, false
	}
	r := remotes[t.kind]
	does, n := off, byte(0)
	values = map[string]any{c.Key: c.Value}
	switch v := c.Value.(type) {
	case bool:
		if u.dims || r.blinds() {
			return nil, nil, false
		}
		if v {
			does, n = on, r.levelMax
		}
	case float64:
		if !u.dims || !(v >= 0 && v <= float64(r.levelMax)) {
			return nil, nil, false
		}
		if n = byte(v + 0.5); n > 0 {
			does = level
		}
		values = map[string]any{c.Key: int64(n), r.property(unit{number: u.number}).Key: n > 0}
	case string:
		i := slices.Index(blindCommands, v)
		if !r.blinds() || i < 0 {
			return nil, nil, false
		}
		does = up + action(i)
	default:
		return nil, nil, false
	}
	p, ok = r.packet(t.kind, t.subtype, number, t.id, u, does, n)
	return p, values, ok
}
