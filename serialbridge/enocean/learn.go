package enocean

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
)

// maxSenders bounds what is learned. A house has some dozens.
const maxSenders = 256

// maxMeters are the ways in which DB0 of A5-12 may differ: 16 tariffs, total or
// current.
const maxMeters = 32

// window is when senders are learned.
type window struct {
	until  time.Time
	byHand bool // somebody has opened it
}

// learning tells whether senders are learned now.
func (d *decoder) learning() bool { return d.learn == nil || d.received.Before(d.learn.until) }

// readable tells whether there is a profile for a sender.
func (d *decoder) readable(s *sender) bool {
	_, executes := executorOf(s.profile)
	return executes || d.profiles[s.profile] != nil || formModels[s.profile] != ""
}

// meet learns a sender that tells by the form of its telegrams what it is. It
// returns nil if it is not to be learned.
func (d *decoder) meet(id senderID, form profileID) *sender {
	if !d.learning() {
		d.ignore(id, "is a %s that was not learned: to learn it, turn on Learn at the transceiver and use it", nameOf(formModels[form]))
		return nil
	}
	return d.admit(id, form, 0)
}

// taught learns what a sender says that it is. It returns nil if it is not to be
// learned, or of no use.
func (d *decoder) taught(id senderID, p profileID, m manufacturerID) *sender {
	s := d.senders[id]
	switch {
	case s != nil && s.profile == p && s.manufacturer == m:
	case !d.learning():
		d.ignore(id, "wants to be learned as %v: turn on Learn at the transceiver and teach it in again", p)
		return nil
	case s != nil:
		d.note(s, p, m)
	default:
		s = d.admit(id, p, m)
	}
	if s == nil {
		return nil
	}
	if !d.readable(s) {
		d.ignore(id, noProfile, p)
		return nil
	}
	return s
}

// admit begins to know a sender.
func (d *decoder) admit(id senderID, p profileID, m manufacturerID) *sender {
	if len(d.senders) >= maxSenders {
		d.sink.Ignored(fmt.Sprintf("%d devices were learned, and there is no room for more: forget some", maxSenders))
		return nil
	}
	s := newSender(id)
	d.senders[id] = s
	d.note(s, p, m)
	return s
}

// note notes what a sender is, also for later runs. A profile that nothing is
// known of is kept all the same: a later version may know it.
func (d *decoder) note(s *sender, p profileID, m manufacturerID) {
	d.become(s, p, m)
	if !d.readable(s) && len(s.announced.Properties) > 0 {
		d.announce(s) // as something that says nothing any more
	}
	d.keep(s)
}

// become makes a sender what it says it is. What it was before, it is no more.
func (d *decoder) become(s *sender, p profileID, m manufacturerID) {
	s.profile, s.manufacturer, s.meters = p, m, nil
	s.device.Properties = nil
	s.device.Vendor = manufacturers[m]
	s.device.WhenUsed = speaksWhenUsed(p)
	e, executes := executorOf(p)
	switch {
	case formModels[p] != "":
		s.is(formModels[p])
		s.has(formProperty(p))
	case executes:
		s.is(p.String() + " actuator")
		for _, property := range e.properties() {
			s.has(property)
		}
	case d.profiles[p] != nil:
		s.is(p.String() + " " + d.profiles[p].model)
		for _, property := range d.profiles[p].properties() {
			s.has(property)
		}
	default:
		s.is(p.String())
		return // it gets no properties
	}
	if d.forgettable {
		s.has(serialbridge.ForgetButton())
	}
}

// noteMeter notes that a sender of A5-12 has sent this DB0, which says what
// properties it has.
func (d *decoder) noteMeter(s *sender, db0 byte) {
	db0 |= learnBit
	i := slices.IndexFunc(s.meters, func(b byte) bool { return b&^3 == db0&^3 })
	switch {
	case i >= 0 && s.meters[i] == db0 || i < 0 && len(s.meters) >= maxMeters:
		return
	case i >= 0:
		s.meters[i] = db0
	default:
		s.meters = append(s.meters, db0)
	}
	d.keep(s)
}

// keep writes down what a sender is: under its ID the profile, the manufacturer,
// and of a meter the different values of DB0.
func (d *decoder) keep(s *sender) {
	text := fmt.Sprintf("%v %03X", s.profile, uint16(s.manufacturer))
	if len(s.meters) > 0 {
		text += fmt.Sprintf(" %X", s.meters)
	}
	d.sink.Remember(s.id.String(), text)
}

// recall announces what was learned before.
func (d *decoder) recall() {
	memory := d.sink.Recall()
	for _, key := range slices.Sorted(maps.Keys(memory)) {
		id, err := strconv.ParseUint(key, 16, 32)
		if err != nil || len(key) != 8 || len(d.senders) >= maxSenders {
			continue
		}
		fields := strings.Fields(memory[key])
		if len(fields) < 2 || len(fields) > 3 {
			continue
		}
		p, ok := parseProfile(fields[0])
		m, err := strconv.ParseUint(fields[1], 16, 11)
		if !ok || err != nil {
			continue
		}
		s := newSender(senderID(id))
		d.senders[s.id] = s
		d.become(s, formOf(p), manufacturerID(m))
		if known := d.profiles[p]; len(fields) == 3 && known != nil && known.meter != nil {
			s.meters, _ = hex.DecodeString(fields[2])
			s.meters = s.meters[:min(len(s.meters), maxMeters)]
			for _, db0 := range s.meters {
				s.has(known.meter.read(uint32(db0), make(map[string]any)))
			}
		}
		if d.readable(s) {
			d.announce(s)
		}
	}
}

// forget makes a sender one that was never heard.
func (d *decoder) forget(s *sender) {
	delete(d.senders, s.id)
	d.sink.Remember(s.id.String(), "")
	if s.announced.ID != "" {
		d.sink.Gone(s.announced.ID)
	}
}
