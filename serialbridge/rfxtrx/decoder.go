package rfxtrx

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	maxDevices    = 256
	maxProperties = 64 // of one device
)

// A transmitter is a device that was heard.
type transmitter struct {
	kind, subtype byte
	id            []byte
	device        serialbridge.Device
	changed       bool // the device is to be announced
	packets       int  // that were heard
	heard         time.Time
	units         map[string]unit
	last          map[string]int64 // values, by key
	doubted       map[string]int64 // values that did not follow the last ones, by key
	kept          bool             // it is remembered
}

// A decoder turns packets into devices and readings.
type decoder struct {
	sink         serialbridge.Sink
	deframer     deframer
	received     time.Time // when the bytes came that are being decoded
	transmitters map[string]*transmitter
	forgettable  bool // what is remembered can be forgotten by command

	// Of use to Run; nil elsewhere.
	onAnswer func(packet)
}

// newDecoder returns a decoder that knows what is remembered, and announces it.
func newDecoder(sink serialbridge.Sink, forgettable bool) *decoder {
	d := &decoder{sink: sink, transmitters: make(map[string]*transmitter), forgettable: forgettable}
	d.deframer.take = d.packet
	d.deframer.damaged = sink.Damaged
	d.recall()
	return d
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		d.received = received
		d.deframer.next(b, received)
	}
}

// packet takes a packet that is whole. One right behind noise is clean only if
// its beginning is where it seems to be, which nobody knows.
func (d *decoder) packet(p packet, clean bool) {
	if s, ok := sensors[p.kind()]; ok {
		d.sensor(s, p, clean)
	} else if r, ok := remotes[p.kind()]; ok {
		d.remote(r, p, clean)
	} else if p.kind() == security1 {
		d.guard(p, clean)
	} else if p.kind() == interfaceMessage || p.kind() == transmitterAnswer {
		if d.onAnswer != nil {
			d.onAnswer(p)
		}
	} else if p.kind() == undecoded {
		d.sink.Ignored("the transceiver itself could not read something")
	} else {
		d.unsupported(p)
	}
}

func (d *decoder) unsupported(p packet) {
	d.sink.Ignored(fmt.Sprintf("packets of the type %02X.%02X are not read", p.kind(), p.subtype()))
}

// sensor takes the packet of a sensor.
func (d *decoder) sensor(s sensor, p packet, clean bool) {
	if p.subtype() == 0 || p.subtype() > s.subtypes {
		d.unsupported(p)
		return
	}
	vs := s.values(p)
	for _, v := range vs {
		if v.n < v.low || v.n > v.high {
			d.sink.Damaged(serialbridge.DamagedImplausible)
			return
		}
	}
	t := d.transmitter(s.name, fmt.Sprintf("%02x%02x", p[3], p[4]), p, 2, clean)
	if t == nil || t.packets < 2 {
		return
	}
	values := make(map[string]any)
	for _, v := range vs {
		if !t.believes(v) {
			d.sink.Damaged(serialbridge.DamagedImplausible)
			continue
		}
		power := 1.0
		for range v.property.Precision {
			power *= 10
		}
		values[v.property.Key] = float64(v.n) / power
	}
	for _, v := range vs {
		t.has(v.property)
	}
	d.publish(t, p, values)
}

// believes tells whether a value is not too far from what the sensor said before,
// or was said twice: without a checksum a byte may be another.
func (t *transmitter) believes(v value) bool {
	key := v.property.Key
	last, ok := t.last[key]
	doubted, again := t.doubted[key]
	delete(t.doubted, key)
	if ok && !v.follows(last) && !(again && v.follows(doubted)) {
		t.doubted[key] = v.n
		return false
	}
	t.last[key] = v.n
	return true
}

// guard takes the packet of a detector, of a contact, or of the remote control of
// an alarm system.
func (d *decoder) guard(p packet, clean bool) {
	g, ok := guards[p.subtype()]
	if !ok {
		d.unsupported(p)
		return
	}
	value, ok := g.says[p[6]&^tampered]
	if !ok {
		d.sink.Ignored(fmt.Sprintf("status %02X of the type %02X.%02X is not read", p[6], p.kind(), p.subtype()))
		return
	}
	t := d.transmitter(g.name, fmt.Sprintf("%02x%02x%02x", p[3], p[4], p[5]), p, 3, clean)
	if t == nil {
		return
	}
	t.has(g.property)
	values := map[string]any{g.property.Key: value}
	if g.property.Kind != serialbridge.Event {
		t.has(tamper())
		values[tamper().Key] = p[6]&tampered != 0
	}
	d.publish(t, p, values)
}

// remote takes the packet of a remote control.
func (d *decoder) remote(r remote, p packet, clean bool) {
	if r.commands[p.subtype()] == nil {
		d.unsupported(p)
		return
	}
	id, ok := r.identity(p)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedImplausible)
		return
	}
	u, does, n := r.read(p)
	if does == nothing {
		d.sink.Ignored(fmt.Sprintf("command %02X of the type %02X.%02X is not read", p[4+r.id], p.kind(), p.subtype()))
		return
	}
	if n > r.levelMax {
		d.sink.Damaged(serialbridge.DamagedImplausible)
		return
	}
	t := d.transmitter(r.name, id, p, r.id, clean)
	if t == nil {
		return
	}
	values := make(map[string]any)
	if does != groupOff && does != groupOn {
		t.add(r, u)
	}
	dimmer := unit{u.number, true}
	key, light := r.property(u).Key, r.property(dimmer).Key
	switch does {
	case off, on:
		if t.knows(light) && r.levelMax > 0 {
			values[light] = lighted(does == on)
		} else {
			values[key] = does == on
		}
	case level:
		t.add(r, dimmer)
		values[light] = r.lit(n)
	case groupOff, groupOn:
		for key, u := range t.units {
			if u.dims {
				values[key] = lighted(does == groupOn)
			} else {
				values[key] = does == groupOn
			}
		}
	case up, down, stop:
		values[key] = map[string]any{"state": blindStates[does]}
	}
	d.publish(t, p, values)
}

// transmitter returns the device that a packet is from. It returns nil if there
// are too many, or if the packet is not clean and would begin a new one. idSize
// is how many bytes of the packet are its ID.
func (d *decoder) transmitter(name, id string, p packet, idSize int, clean bool) *transmitter {
	key := deviceID(p.kind(), p.subtype(), id)
	t := d.transmitters[key]
	switch {
	case t != nil:
	case !clean:
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return nil
	case len(d.transmitters) >= maxDevices && !d.displace():
		d.sink.Ignored(fmt.Sprintf("more than %d devices were heard: what others say is not read", maxDevices))
		return nil
	default:
		t = newTransmitter(name, id, p.kind(), p.subtype(), p[3:3+idSize])
		d.transmitters[key] = t
	}
	t.packets++
	t.heard = d.received
	return t
}

const idPrefix = "rfxtrx_"

func deviceID(kind, subtype byte, id string) string {
	return fmt.Sprintf("%s%02x_%02x_%s", idPrefix, kind, subtype, id)
}

func newTransmitter(name, id string, kind, subtype byte, bytes []byte) *transmitter {
	return &transmitter{
		kind: kind, subtype: subtype, id: slices.Clone(bytes), changed: true,
		units: make(map[string]unit), last: make(map[string]int64), doubted: make(map[string]int64),
		device: serialbridge.Device{
			ID:           deviceID(kind, subtype, id),
			Name:         strings.ToUpper(name[:1]) + name[1:] + " " + id,
			Model:        fmt.Sprintf("%s, RFXtrx type %02X.%02X", name, kind, subtype),
			SerialNumber: id,
			WhenUsed:     sensors[kind].values == nil, // weather sensors speak all the time
		},
	}
}

// displace forgets one of the devices that were heard just once, the one that is
// the longest ago: most of those were never there. It reports false if there is
// none.
func (d *decoder) displace() bool {
	var oldest *transmitter
	for _, t := range d.transmitters {
		if t.packets > 1 || t.kept {
			continue
		}
		if oldest == nil || t.heard.Before(oldest.heard) || t.heard.Equal(oldest.heard) && t.device.ID < oldest.device.ID {
			oldest = t
		}
	}
	if oldest == nil {
		return false
	}
	delete(d.transmitters, oldest.device.ID)
	if !oldest.changed { // else nobody was told of it
		d.sink.Gone(oldest.device.ID)
	}
	return true
}

// add notes a unit that can be commanded. A switch of which a level was heard is a
// light from then on.
func (t *transmitter) add(r remote, u unit) {
	other := r.property(unit{u.number, !u.dims}).Key
	p := r.property(u)
	_, known := t.units[other]
	known = known && other != p.Key // a blind is the same in both ways
	if known && !u.dims || !t.has(p) {
		return
	}
	t.units[p.Key] = u
	if known {
		delete(t.units, other)
		t.device.Properties = slices.DeleteFunc(t.device.Properties, func(q serialbridge.Property) bool { return q.Key == other })
		t.changed = true
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

// publish passes on what was heard of a device. The last byte of its packet is the
// strength of the signal and, of weather sensors, the battery.
func (d *decoder) publish(t *transmitter, p packet, values map[string]any) {
	last := p[len(p)-1]
	if _, isSensor := sensors[t.kind]; isSensor {
		t.has(battery())
		values[battery().Key] = last&0x0F == 0
	}
	t.has(signal())
	values[signal().Key] = int64(last >> 4)
	for key := range values {
		if !t.knows(key) {
			delete(values, key)
		}
	}
	d.announce(t)
	if len(values) > 0 {
		d.sink.Reading(serialbridge.Reading{Device: t.device.ID, Time: d.received, Values: values})
	}
}

// announce passes on a device that is new or has changed.
func (d *decoder) announce(t *transmitter) {
	if t.changed {
		t.changed = false
		device := t.device
		device.Properties = slices.Clone(device.Properties)
		d.sink.Device(device)
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
	case map[string]any:
		brightness, bright := v["brightness"].(float64)
		switch {
		case r.blinds() && blindCommands[v["state"]] != nothing:
			does = blindCommands[v["state"]]
			values[c.Key] = map[string]any{"state": blindStates[does]}
		case !u.dims:
			return nil, nil, false
		case v["state"] == "OFF" || bright && brightness == 0:
			values[c.Key] = lighted(false)
		case bright:
			does, n = level, byte(max(1, math.Round(brightness*float64(r.levelMax)/255)))
			values[c.Key] = r.lit(n)
		case v["state"] == "ON":
			does, n = on, r.levelMax
			values[c.Key] = lighted(true)
		default:
			return nil, nil, false
		}
	default:
		return nil, nil, false
	}
	p, ok = r.packet(t.kind, t.subtype, number, t.id, u, does, n)
	return p, values, ok
}
