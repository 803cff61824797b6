package serialbridge

import (
	"reflect"
	"slices"
	"strings"
)

// announce takes what a stick says of a device, which its driver calls own. It
// returns why it was refused, or "".
func (s *Supervisor) announce(st *stick, own string, said Device) (trouble string) {
	if !validID(said.ID) || strings.HasPrefix(said.ID, stickPrefix) {
		return "bad device id"
	}
	said = cleaned(said)
	said.Stick = st.deviceID()
	d := s.devices[said.ID]
	if d != nil {
		said.Stick = d.stickFor(st)
	}
	switch {
	case d == nil:
		if !s.room() {
			return "too many devices"
		}
		d = s.begin(st, said)
		d.resume()
		st.enqueue(d, dirtyDevice)
		if len(d.values) > 0 {
			st.enqueue(d, dirtyState)
		}
	case !reflect.DeepEqual(d.Device, said):
		for _, p := range d.Properties {
			if p.Kind == Light && !slices.ContainsFunc(said.Properties, func(q Property) bool { return q.Key == p.Key && q.Kind == Light }) {
				d.unlit = append(d.unlit, p.Key)
			}
		}
		d.Device = said
		for key := range d.values {
			if !slices.ContainsFunc(said.Properties, func(p Property) bool { return p.Key == key }) {
				delete(d.values, key)
			}
		}
		d.resume()
		d.moveTo(st)
		st.enqueue(d, dirtyDevice|dirtyState)
	}
	d.own, d.awaited = own, false
	d.moveTo(st)
	if !d.silent || !d.speaksByItself() {
		d.setOnline(true)
	}
	return ""
}

// begin begins to know a device.
func (s *Supervisor) begin(st *stick, said Device) *device {
	d := &device{Device: said, owner: st, values: make(map[string]any), before: s.before[said.ID]}
	s.devices[said.ID] = d
	delete(s.before, said.ID)
	if a, known := s.memory.acquaintance(said.ID); known {
		d.acquaint(a)
	}
	return d
}

// room tells whether there is room for a device that was heard; one that is only
// awaited makes it.
func (s *Supervisor) room() bool {
	if len(s.devices) < maxDevices {
		return true
	}
	for id, d := range s.devices {
		if d.awaited {
			d.setOnline(false)
			delete(s.devices, id)
			return true
		}
	}
	return false
}

// withdraw forgets a device and takes back what was published of it.
func (s *Supervisor) withdraw(d *device) {
	d.settle()
	delete(s.devices, d.ID)
	s.memory.remember(habits, d.ID, "")
	d.dirty, d.events, d.waiting = 0, nil, 0
	d.owner.enqueue(d, dirtyGone)
}

// moveTo makes st the stick that the device is behind: the last one that heard
// it.
func (d *device) moveTo(st *stick) {
	if d.owner == st {
		return
	}
	d.owner = st
	if d.dirty != 0 || len(d.events) > 0 {
		st.enqueue(d, 0) // the former owner's queue passes over it
	}
	if id := d.stickFor(st); id != d.Stick {
		d.Stick = id
		st.enqueue(d, dirtyDevice)
	}
}

// stickFor returns what Stick is to be for a device that st has heard: as long as
// the stick before works it stays, since two receivers in one house hear the same
// sensors in turn.
func (d *device) stickFor(st *stick) string {
	for _, before := range st.s.sticks {
		if before.state == Online && before.deviceID() == d.Stick {
			return d.Stick
		}
	}
	return st.deviceID()
}
