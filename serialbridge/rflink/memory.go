package rflink

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"lintel/serialbridge"
)

// maxKept bounds the devices that are remembered.
const maxKept = 64

// A remembered is what is kept of a device that was switched by command, under
// its ID without "rflink_". The gateway needs no more to switch it again.
type remembered struct {
	Protocol string   `json:"protocol"`
	ID       string   `json:"id"`
	Switches []string `json:"switches"`         // numbers
	Levels   []string `json:"levels,omitempty"` // numbers of those that dim
}

const idPrefix = "rflink_"

// keep remembers a device. Only what somebody here has switched is: a neighbour's
// remote control is not to stay.
func (d *decoder) keep(id string) {
	t := d.transmitters[id]
	key := strings.TrimPrefix(id, idPrefix)
	if t == nil || !t.kept && d.kept() >= maxKept {
		return
	}
	r := remembered{Protocol: t.protocol, ID: t.id}
	for _, number := range slices.Sorted(maps.Values(t.switches)) {
		if !slices.Contains(r.Switches, number) {
			r.Switches = append(r.Switches, number)
			if t.knows(levelOf(t.protocol, number).Key) {
				r.Levels = append(r.Levels, number)
			}
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts
	}
	d.sink.Remember(key, string(text))
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
		var r remembered
		if json.Unmarshal([]byte(memory[key]), &r) != nil || idPrefix+key != deviceID(r.Protocol, r.ID) ||
			!canSend(r.Protocol) || !validID(r.ID) || len(r.Switches) == 0 || d.kept() >= maxKept {
			continue
		}
		t := d.transmitter(r.Protocol, r.ID)
		t.kept = true
		for _, number := range r.Switches {
			if !validNumber(number) {
				continue
			}
			if p := switchOf(r.Protocol, number); t.gets(p) {
				t.switches[p.Key] = number
			}
			if p := levelOf(r.Protocol, number); slices.Contains(r.Levels, number) && t.gets(p) {
				t.switches[p.Key] = number
			}
		}
		if d.forgettable {
			t.has(serialbridge.ForgetButton())
		}
		d.announce(t)
	}
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
