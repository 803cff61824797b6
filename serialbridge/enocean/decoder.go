package enocean

import (
	"fmt"
	"time"

	"lintel/serialbridge"
)

// noProfile says why nothing can be made of a sender whose profile is known.
const noProfile = "has the profile %v, which is none of this gateway"

// A decoder turns ESP3 packets into devices and readings.
type decoder struct {
	sink     serialbridge.Sink
	profiles map[profileID]*profile
	deframer deframer
	received time.Time // when the bytes came that are being decoded

	senders     map[senderID]*sender
	forgettable bool    // what is remembered can be forgotten by command
	learn       *window // when senders are learned; nil: always

	// Of use to Run; nil elsewhere.
	onResponse func(packet)
	onQuery    func(telegram, uteQuery)
}

// newDecoder returns a decoder that knows what is remembered, and announces it.
func newDecoder(sink serialbridge.Sink, profiles map[profileID]*profile, forgettable bool) *decoder {
	d := &decoder{sink: sink, profiles: profiles, senders: make(map[senderID]*sender), forgettable: forgettable}
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

// packet takes a packet that is whole.
func (d *decoder) packet(p packet) {
	switch p.kind {
	case radioERP1:
		t, ok := parseTelegram(p)
		if !ok {
			d.sink.Damaged(serialbridge.DamagedSyntax)
			return
		}
		d.telegram(t)
	case radioERP2:
		d.sink.Ignored("the transceiver passes on telegrams of ERP2: only those of ERP1 are read")
	case response:
		if d.onResponse != nil {
			d.onResponse(p)
		}
	}
	// Events and the like are about the transceiver, not about the house.
}

func (d *decoder) telegram(t telegram) {
	values := make(map[string]any)
	var s *sender
	switch t.rorg {
	case rps:
		s = d.switched(t, values)
	case bs1:
		s = d.contact(t, values)
	case bs4:
		s = d.sensor(t, values)
	case vld:
		s = d.actuator(t, values)
	case ute:
		s = d.query(t)
	case sec, secEncaps, secChain, secTeach:
		d.ignore(t.sender, "is encrypted: teach it in without encryption, if it can send so")
	default:
		d.sink.Ignored(fmt.Sprintf("telegrams of the kind %02X are not read", byte(t.rorg)))
	}
	if s == nil {
		return
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

// ignore says why nothing can be made of the telegrams of a sender.
func (d *decoder) ignore(id senderID, format string, a ...any) {
	d.sink.Ignored(fmt.Sprintf("%v ", id) + fmt.Sprintf(format, a...))
}

func signal() serialbridge.Property {
	return serialbridge.Measured("signal", "Signal", "dBm", "signal_strength", 0).AsDiagnostic()
}

// switched takes an RPS telegram. There is no teach-in for it.
func (d *decoder) switched(t telegram, values map[string]any) *sender {
	form, p, value := readRPS(t)
	s := d.senders[t.sender]
	switch {
	case s == nil:
		s = d.meet(t.sender, form)
	case !d.readable(s):
		d.ignore(t.sender, noProfile, s.profile)
		return nil
	case s.profile == rockerForm && form == handleForm:
		// Nothing but a handle speaks so; a rocker may be what it was
		// taken for before.
		d.note(s, form, 0)
	}
	if s != nil {
		s.has(p)
		values[p.Key] = value
	}
	return s
}

// contact takes a 1BS telegram. All are D5-00-01.
func (d *decoder) contact(t telegram, values map[string]any) *sender {
	s := d.senders[t.sender]
	switch {
	case s == nil:
		s = d.meet(t.sender, contactForm)
	case !d.readable(s):
		d.ignore(t.sender, noProfile, s.profile)
		return nil
	}
	if s == nil || teachesIn(t) {
		return s
	}
	p := contact()
	s.has(p)
	values[p.Key] = t.payload[0]&1 == 0
	return s
}

// sensor takes a 4BS telegram.
func (d *decoder) sensor(t telegram, values map[string]any) *sender {
	if teachesIn(t) {
		id, m, ok := teachIn4BS(t.payload)
		if !ok {
			d.ignore(t.sender, "does not say its profile when it teaches in: it cannot be learned")
			return nil
		}
		return d.taught(t.sender, id, m)
	}
	s := d.speaker(t)
	if s == nil {
		return nil
	}
	p := d.profiles[s.profile]
	if p.meter != nil {
		d.noteMeter(s, t.payload[3])
	}
	for _, property := range p.read(t.payload, values) {
		s.has(property)
	}
	return s
}

// actuator takes a VLD telegram.
func (d *decoder) actuator(t telegram, values map[string]any) *sender {
	s := d.speaker(t)
	if s == nil {
		return nil
	}
	e, _ := executorOf(s.profile)
	properties, ok := e.read(t.payload, values)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return nil
	}
	for _, property := range properties {
		s.has(property)
		if light, ok := values[property.Key].(map[string]any); ok && property.Kind == serialbridge.Light && light["brightness"] != nil {
			if s.brightness == nil {
				s.brightness = make(map[string]float64)
			}
			s.brightness[property.Key], _ = light["brightness"].(float64)
		}
	}
	if _, isActuator := e.(actuator); isActuator {
		s.measures = s.measures || t.payload[0]&0x0F == cmdMeasurement
	}
	return s
}

// speaker returns the sender of a telegram that only its profile explains, or
// nil if that is not known.
func (d *decoder) speaker(t telegram) *sender {
	s := d.senders[t.sender]
	switch {
	case s == nil:
		d.ignore(t.sender, "has not said its profile: turn on Learn at the transceiver and press the teach-in button on the device")
	case !d.readable(s):
		d.ignore(t.sender, noProfile, s.profile)
	case s.profile.rorg != t.rorg:
		d.ignore(t.sender, "was learned as %v, but sends other telegrams, too", s.profile)
	default:
		return s
	}
	return nil
}

// query takes a UTE telegram.
func (d *decoder) query(t telegram) *sender {
	q, ok := parseUTE(t.payload)
	if !ok {
		return nil
	}
	if q.deletion {
		if s := d.senders[t.sender]; s != nil && d.learning() {
			d.forget(s)
			d.asked(t, q)
		}
		return nil
	}
	if s := d.senders[t.sender]; q.answer && (s == nil || s.profile != q.profile) && d.learn != nil && !d.learn.byHand {
		// To answer is to take the device over: nobody but the owner of
		// the house may want that.
		d.ignore(t.sender, "wants to be taught (%v): turn on Learn at the transceiver, if need be off before, and teach it in again", q.profile)
		return nil
	}
	s := d.taught(t.sender, formOf(q.profile), q.manufacturer)
	if s != nil {
		d.asked(t, q)
	}
	return s
}

func (d *decoder) asked(t telegram, q uteQuery) {
	if d.onQuery != nil {
		d.onQuery(t, q)
	}
}
