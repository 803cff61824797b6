package serialbridge

import (
	"encoding/json"
	"time"
)

// habits is the name under which what is known of devices stands in the Memory,
// beside those of protocols.
const habits = "habits"

// maxStarts bounds by how often patience is halved.
const maxStarts = 16

// acquaintance is what is known of a device beyond the end of the program, under its
// ID. Times are in nanoseconds.
type acquaintance struct {
	Stick    string        `json:"stick"` // Device.Stick
	WhenUsed bool          `json:"when_used,omitempty"`
	Silent   bool          `json:"silent,omitempty"` // it was silent for too long
	Starts   uint          `json:"starts,omitempty"` // of the house since it was heard
	Longest  time.Duration `json:"longest,omitempty"`
	Second   time.Duration `json:"second,omitempty"`
	Listened time.Duration `json:"listened,omitempty"`
}

func (a *acquaintance) habit() habit { return habit{a.Longest, a.Second, a.Listened} }

// acquaint takes up what was known of a device before this start. The device counts
// the start if it may be silent for long: what speaks often is heard, or is not.
func (d *device) acquaint(a acquaintance) {
	d.kept, d.habit, d.silent, d.starts = a, a.habit(), a.Silent, a.Starts
	if t := d.owner.s.t; d.habit.patience(t) > t.quietOnce {
		d.starts = min(d.starts+1, maxStarts)
		d.keep()
	}
}

// keep writes down what is new of a device: rarely, since it must not wear out the
// card. Of a habit only counts how much patience it asks for.
func (d *device) keep() {
	s := d.owner.s
	habit := d.kept.habit()
	was, is := habit.patience(s.t), d.habit.patience(s.t)
	if d.Stick == d.kept.Stick && d.WhenUsed == d.kept.WhenUsed && d.silent == d.kept.Silent && d.starts == d.kept.Starts &&
		2*is <= 3*was && 2*was <= 3*is {
		return
	}
	d.kept = acquaintance{d.Stick, d.WhenUsed, d.silent, d.starts, d.habit.longest, d.habit.second, d.habit.listened}
	text := string(mustJSON(d.kept))
	if s.memory.remember(habits, d.ID, text) == "" {
		return
	}
	// It is full of devices of long ago, such as those of neighbours.
	for id := range s.memory.recall(habits) {
		if s.devices[id] == nil {
			s.memory.remember(habits, id, "")
			s.memory.remember(habits, d.ID, text)
			return
		}
	}
}

// acquaintance returns what was written down of a device.
func (m *memory) acquaintance(id string) (a acquaintance, known bool) {
	m.mu.Lock()
	text, known := m.texts[habits][id]
	m.mu.Unlock()
	if !known || json.Unmarshal([]byte(text), &a) != nil || a.Longest < 0 || a.Second < 0 || a.Listened < 0 {
		return acquaintance{}, false
	}
	a.Starts = min(a.Starts, maxStarts)
	return a, true
}

// await says online for devices that were heard through the stick before this start
// and whose habit may be to be silent for longer: a sensor that speaks each hour is
// not to be away for an hour because the house was started again. Each start without
// a word from it halves the patience with it. The stick has just come online, and the
// caller holds the lock.
func (st *stick) await() {
	s := st.s
	for id := range s.memory.recall(habits) {
		a, known := s.memory.acquaintance(id)
		if !known || a.Stick != st.deviceID() || a.Silent || !validID(id) {
			continue
		}
		d := s.devices[id]
		if d == nil && len(s.devices) < maxDevices {
			d = s.begin(st, Device{ID: id, Stick: a.Stick, WhenUsed: a.WhenUsed})
			d.awaited = true
			d.dirty |= dirtyState
		}
		if d != nil && d.awaited && d.owner == st {
			d.setOnline(true)
		}
	}
}
