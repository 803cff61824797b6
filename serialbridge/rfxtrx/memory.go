package rfxtrx

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lintel/serialbridge"
)

// maxKept bounds the devices that are remembered.
const maxKept = 64

// A remembered is what is kept of a device that was switched by command, under its
// ID without "rfxtrx_", which says type, subtype and the ID that is sent.
type remembered struct {
	Units  []int `json:"units"`
	Levels []int `json:"levels,omitempty"` // of those that dim
}

// keep remembers a device. Only what somebody here has switched is: a neighbour's
// remote control is not to stay.
func (d *decoder) keep(id string) {
	t := d.transmitters[id]
	if t == nil || !t.kept && d.kept() >= maxKept {
		return
	}
	var r remembered
	for _, u := range t.units {
		if u.dims {
			r.Levels = append(r.Levels, int(u.number))
		}
		r.Units = append(r.Units, int(u.number))
	}
	slices.Sort(r.Units)
	slices.Sort(r.Levels)
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers
	}
	d.sink.Remember(strings.TrimPrefix(id, idPrefix), string(text))
	if !t.kept {
		t.kept = true
		if d.forgettable && t.has(serialbridge.ForgetButton()) {
			d.announce(t)
		}
	}
}

func (d *decoder) kept() int {
	n := 0
	for _, t := range d.transmitters {
		if t.kept {
			n++
		}
	}
	return n
}

// recall announces the devices that are remembered.
func (d *decoder) recall() {
	memory := d.sink.Recall()
	for _, key := range slices.Sorted(maps.Keys(memory)) {
		t, remote, ok := recalled(key)
		var r remembered
		if !ok || json.Unmarshal([]byte(memory[key]), &r) != nil || len(r.Units) == 0 || d.kept() >= maxKept {
			continue
		}
		t.kept = true
		for _, n := range r.Units {
			if n >= 0 && n <= 0xFF {
				t.add(remote, unit{number: byte(n)})
			}
		}
		for _, n := range r.Levels {
			if n >= 0 && n <= 0xFF && remote.levelMax > 0 {
				t.add(remote, unit{byte(n), true})
			}
		}
		if d.forgettable {
			t.has(serialbridge.ForgetButton())
		}
		d.transmitters[t.device.ID] = t
		d.announce(t)
	}
}

// recalled returns the device of a key, and its kind of remote control.
func recalled(key string) (*transmitter, remote, bool) {
	var kind, subtype byte
	var id string
	if n, err := fmt.Sscanf(key, "%02x_%02x_%s", &kind, &subtype, &id); n != 3 || err != nil || deviceID(kind, subtype, id) != idPrefix+key {
		return nil, remote{}, false
	}
	r, ok := remotes[kind]
	if !ok || r.commands[subtype] == nil {
		return nil, remote{}, false
	}
	bytes := []byte(id) // a house code
	if r.id > 1 {
		var err error
		if bytes, err = hex.DecodeString(id); err != nil {
			return nil, remote{}, false
		}
	}
	if len(bytes) != r.id {
		return nil, remote{}, false
	}
	if again, ok := r.identity(append(packet{kind, subtype, 0}, bytes...)); !ok || again != id {
		return nil, remote{}, false
	}
	return newTransmitter(r.name, id, kind, subtype, bytes), r, true
}

// forget makes a device one that was never heard.
func (d *decoder) forget(id string) {
	t := d.transmitters[id]
	if t == nil {
		return
	}
	delete(d.transmitters, id)
	d.sink.Remember(strings.TrimPrefix(id, idPrefix), "")
	d.sink.Gone(id)
}
