package enocean

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"lintel/serialbridge"
)

// maxSenders bounds what is remembered of senders. A house has some dozens, and
// hears those of its neighbours.
const maxSenders = 256

// Reasons for throwing a telegram away.
const (
	damagedSyntax      = "syntax"
	damagedUnknown     = "unknown telegram"
	damagedProfile     = "unknown profile"
	damagedEncrypted   = "encrypted"
	damagedManySenders = "too many senders"
)

// A sender is what is known of a device that was heard.
type sender struct {
	id        senderID
	profile   profileID // zero: not known
	device    serialbridge.Device
	announced serialbridge.Device // as it was last passed on
}

// A decoder turns ESP3 packets into devices and readings.
type decoder struct {
	sink     serialbridge.Sink
	profiles map[profileID]*profile
	deframer deframer
	received time.Time // when the bytes came that are being decoded
	senders  map[senderID]*sender

	// Of use to Run; nil elsewhere.
	onResponse func(packet)
	onQuery    func(telegram, uteQuery)
}

func newDecoder(sink serialbridge.Sink, profiles map[profileID]*profile) *decoder {
	d := &decoder{sink: sink, profiles: profiles, senders: make(map[senderID]*sender)}
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
	switch p.kind {
	case radioERP1:
		t, ok := parseTelegram(p)
		if !ok {
			d.sink.Damaged(damagedSyntax)
			return
		}
		d.telegram(t)
	case radioERP2:
		d.sink.Damaged(damagedUnknown)
	case response:
		if d.onResponse != nil {
			d.onResponse(p)
		}
	}
	// Events and the like are about the transceiver, not about the house.
}

func (d *decoder) telegram(t telegram) {
	switch t.rorg {
	case rps, bs1, bs4, vld, ute, sec, secEncaps, secChain, secTeach:
	default:
		d.sink.Damaged(damagedUnknown)
		return
	}
	s := d.senders[t.sender]
	if s == nil {
		if len(d.senders) >= maxSenders {
			d.sink.Damaged(damagedManySenders)
			return
		}
		s = newSender(t.sender)
		d.senders[t.sender] = s
	}
	values := make(map[string]any)
	switch t.rorg {
	case rps:
		model, p, value := readRPS(t)
		s.is(model, p)
		values[p.Key] = value
	case bs1:
		p := contact()
		s.is(contactModel, p)
		if !teachesIn(t) {
			values[p.Key] = t.payload[0]&1 == 0
		}
	case bs4:
		d.sensor(s, t, values)
	case vld:
		d.actuator(s, t, values)
	case ute:
		d.teach(s, t)
	default:
		d.sink.Damaged(damagedEncrypted)
		if s.device.Model == "" {
			s.device.Name = fmt.Sprintf("Encrypted EnOcean device %08X", uint32(s.id))
			s.device.Model = "not supported: its telegrams are encrypted; if it can send plain ones, teach it in without encryption"
		}
	}
	if len(values) > 0 && t.signal != 0 {
		s.has(signal())
		values[signal().Key] = t.signal
	}
	d.announce(s)
	if len(values) > 0 {
		d.sink.Reading(serialbridge.Reading{Device: s.device.ID, Time: d.received, Values: values})
	}
}

func signal() serialbridge.Property {
	return diagnostic(measurement("signal", "Signal", "dBm", "signal_strength", 0))
}

// sensor takes a 4BS telegram.
func (d *decoder) sensor(s *sender, t telegram, values map[string]any) {
	if teachesIn(t) {
		if id, m, ok := teachIn4BS(t.payload); ok {
			d.learn(s, id, m)
		}
		return
	}
	p := d.profiles[s.profile]
	if p == nil || s.profile.rorg != bs4 {
		d.sink.Damaged(damagedProfile)
		return
	}
	for _, property := range p.read(t.payload, values) {
		s.has(property)
	}
}

// actuator takes a VLD telegram.
func (d *decoder) actuator(s *sender, t telegram, values map[string]any) {
	a, ok := actuatorOf(s.profile)
	if !ok {
		d.sink.Damaged(damagedProfile)
		return
	}
	properties, ok := a.read(t.payload, values)
	if !ok {
		d.sink.Damaged(damagedSyntax)
		return
	}
	for _, property := range properties {
		s.has(property)
	}
}

// teach takes a UTE telegram.
func (d *decoder) teach(s *sender, t telegram) {
	query, ok := parseUTE(t.payload)
	if !ok {
		return
	}
	if query.deletion {
		s.profile = profileID{}
		return
	}
	d.learn(s, query.profile, query.manufacturer)
	if d.onQuery != nil {
		d.onQuery(t, query)
	}
}

// learn notes the profile that a sender has told.
func (d *decoder) learn(s *sender, id profileID, m manufacturerID) {
	if s.profile != id {
		// What it was before, it is no more.
		s.device.Properties = nil
	}
	s.profile = id
	s.device.Vendor = manufacturers[m]
	a, isActuator := actuatorOf(id)
	p := d.profiles[id]
	switch {
	case p != nil:
		s.is(id.String()+" "+p.model, p.properties()...)
	case isActuator:
		s.is(id.String()+" actuator", a.properties()...)
	default:
		s.is(id.String())
	}
}

func newSender(id senderID) *sender {
	number := fmt.Sprintf("%08X", uint32(id))
	return &sender{id: id, device: serialbridge.Device{
		ID:           "enocean_" + number,
		Name:         "EnOcean device " + number,
		SerialNumber: number,
	}}
}

// is says what a sender is. What it was taught as goes before what the form of
// its telegrams suggests: an actuator may speak as a rocker, too.
func (s *sender) is(model string, properties ...serialbridge.Property) {
	if s.profile == (profileID{}) || len(model) >= 8 && model[:8] == s.profile.String() {
		s.device.Model = model
		s.device.Name = fmt.Sprintf("EnOcean %s %08X", nameOf(model), uint32(s.id))
	}
	for _, p := range properties {
		s.has(p)
	}
}

// nameOf returns a model without its number.
func nameOf(model string) string {
	for i := range model {
		if model[i] == ' ' {
			return model[i+1:]
		}
	}
	return "device"
}

// has notes a property. It stays: most telegrams do not tell all.
func (s *sender) has(p serialbridge.Property) {
	i := slices.IndexFunc(s.device.Properties, func(q serialbridge.Property) bool { return q.Key == p.Key })
	if i < 0 {
		s.device.Properties = append(s.device.Properties, p)
		return
	}
	s.device.Properties[i] = p
}

// announce passes on a device that is new or has changed.
func (d *decoder) announce(s *sender) {
	if reflect.DeepEqual(s.announced, s.device) {
		return
	}
	s.announced = s.device
	s.announced.Properties = slices.Clone(s.device.Properties)
	d.sink.Device(s.announced)
}
