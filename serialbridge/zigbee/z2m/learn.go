package z2m

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// maxLearners is of how many devices datapoints are gathered at the same time. When there
// are more, the one that was heard the longest ago gives way.
const maxLearners = 32

// Lesson is what was gathered of a Tuya device whose datapoints no definition explains.
type Lesson struct {
	DeviceSummary
	Points []devices.Learnt `json:"datapoints"`
	// Latest is the datapoint that has changed last; 0: none has.
	Latest uint8 `json:"latest,omitempty"`
}

// Teaching is what a user says of such a device. Empty texts stay as they are, as do
// datapoints that are not among the meanings.
type Teaching struct {
	Model       string            `json:"model,omitempty"`
	Vendor      string            `json:"vendor,omitempty"`
	Description string            `json:"description,omitempty"`
	Meanings    []devices.Meaning `json:"datapoints"`
}

// NotLearningError says that there is nothing to learn of a device.
type NotLearningError struct{ Reason string }

func (e *NotLearningError) Error() string { return e.Reason }

// TeachingError says what is wrong in a Teaching.
type TeachingError struct{ Reason string }

func (e *TeachingError) Error() string { return e.Reason }

// learn takes note of datapoints that no definition explains. The mutex is held.
func (b *Bridge) learn(d *device, m zigbee.Message) {
	if m.Cluster != zigbee.ClusterTuya {
		return
	}
	if !d.definition.Learnable() {
		d.learner = nil
		return
	}
	b.learnerOf(d).Learn(m)
}

// adopt has names that a user has given shown before the device has said anything, and
// forgets what is gathered of a device that needs none. The mutex is held.
func (b *Bridge) adopt(d *device) {
	switch {
	case !d.definition.Learnable():
		d.learner = nil
	case d.learner != nil || d.definition != nil && d.definition.External:
		b.learnerOf(d).Adopt(d.definition)
	}
}

// learnerOf returns that of a device, which it makes if there is none.
func (b *Bridge) learnerOf(d *device) *devices.Learner {
	if d.learner != nil {
		return d.learner
	}
	var oldest *device
	learning := 0
	for _, other := range b.devices {
		if other.learner == nil {
			continue
		}
		learning++
		if oldest == nil || other.LastSeen.Before(oldest.LastSeen) {
			oldest = other
		}
	}
	if learning >= maxLearners {
		oldest.learner = nil
	}
	d.learner = new(devices.Learner)
	if d.definition != nil && d.definition.External {
		d.learner.Adopt(d.definition)
	}
	return d.learner
}

// student finds a device of which something was gathered. The mutex is held.
func (b *Bridge) student(ieee zigbee.IEEEAddress) (*device, error) {
	d := b.devices[ieee]
	switch {
	case d == nil:
		return nil, &NotLearningError{"there is no device " + ieee.String() + " in the network: look at the list of devices"}
	case !d.definition.Learnable():
		return nil, &NotLearningError{"the device " + d.name() + " is described already: there is nothing to learn of it"}
	case d.learner == nil || len(d.learner.Points()) == 0:
		return nil, &NotLearningError{"the device " + d.name() + " has told no datapoint of Tuya yet: make it do something, and look again"}
	}
	return d, nil
}

// Learnt returns what was gathered of a device. Its error is a *NotLearningError.
func (b *Bridge) Learnt(ieee zigbee.IEEEAddress) (Lesson, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.student(ieee)
	if err != nil {
		return Lesson{}, err
	}
	return b.lesson(d), nil
}

func (b *Bridge) lesson(d *device) Lesson {
	l := Lesson{DeviceSummary: b.summary(d), Points: d.learner.Points()}
	latest := time.Time{}
	for _, p := range l.Points {
		// What was told first has not changed.
		if p.Changed.After(latest) && (len(p.Values) > 1 || latest.IsZero() && p.Count > 0) {
			latest, l.Latest = p.Changed, p.ID
		}
	}
	return l
}

// Lessons returns what was gathered of all devices.
func (b *Bridge) Lessons() []Lesson {
	b.mu.Lock()
	defer b.mu.Unlock()
	lessons := []Lesson{}
	for _, d := range b.sortedDevices() {
		if _, err := b.student(d.IEEEAddress); err == nil {
			lessons = append(lessons, b.lesson(d))
		}
	}
	return lessons
}

// Teach returns the definition that a device would have with what a user says of it; it has
// no datapoints if none has a name any more. Nothing changes until that is saved where
// Options.Resolve finds it, and [Bridge.Redefine] is called. Its errors are of type
// *NotLearningError and *TeachingError.
func (b *Bridge) Teach(ieee zigbee.IEEEAddress, t Teaching) (devices.User, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.student(ieee)
	if err != nil {
		return devices.User{}, err
	}
	for _, text := range []struct {
		what, said string
		longest    int
	}{{"model", t.Model, 64}, {"vendor", t.Vendor, 64}, {"description", t.Description, 200}} {
		if len(text.said) > text.longest || !utf8.ValidString(text.said) || strings.ContainsFunc(text.said, unicode.IsControl) {
			return devices.User{}, &TeachingError{fmt.Sprintf("the %s is longer than %d bytes, or not a text: write a shorter one", text.what, text.longest)}
		}
	}
	model, maker := d.calls()
	if model == "" || maker == "" || !utf8.ValidString(model+maker) {
		// Without its maker the definition would be that of all devices with Tuya's model.
		return devices.User{}, &TeachingError{"the device has not said what it calls itself and who has made it: interview it again, then name its datapoints"}
	}
	learner := d.learner.Clone()
	if err := learner.Name(t.Meanings); err != nil {
		return devices.User{}, &TeachingError{err.Error()}
	}
	known := devices.Definition{Model: maker, Vendor: "Tuya", Description: "Tuya " + model}
	if d.definition != nil && d.definition.External {
		known = *d.definition
	}
	return devices.User{Models: []string{model}, Manufacturers: []string{maker}, Definition: learner.Definition(
		cmp.Or(strings.TrimSpace(t.Model), known.Model), cmp.Or(strings.TrimSpace(t.Vendor), known.Vendor),
		cmp.Or(strings.TrimSpace(t.Description), known.Description))}, nil
}

// Redefine finds the definitions of devices anew, when Options.Resolve may say something
// else of them, and takes them into use at once.
func (b *Bridge) Redefine(affected func(*zigbee.Device) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := false
	for _, d := range b.sortedDevices() {
		if d.resolved == "" || !affected(&d.Device) {
			continue
		}
		old := d.definition
		d.definition, d.exposes, d.choices, d.unknown = nil, nil, nil, nil
		d.setDefinition(b.o.Resolve(&d.Device))
		clear(d.memory) // it is of the old one's traits
		b.adopt(d)
		b.dropStale(d, old)
		b.discover(entity{device: d}, false)
		b.discoverGroupsOf(d)
		b.setUpAnew(d.IEEEAddress)
		changed = true
	}
	if changed && b.running {
		b.publishDevices()
	}
}

// dropStale takes values out of the state that only the old definition had.
func (b *Bridge) dropStale(d *device, old *devices.Definition) {
	if old == nil {
		return
	}
	state := b.states[d.IEEEAddress.String()]
	for _, e := range old.Exposes {
		stays := d.definition != nil && slices.ContainsFunc(d.definition.Exposes, func(now *devices.Expose) bool { return now.Property == e.Property })
		if _, there := state[e.Property]; !there || stays || e.Property == "" {
			continue
		}
		delete(state, e.Property)
		b.dirty[d.IEEEAddress.String()] = true
	}
}

// setUpAnew has a device set up as its definition says, at once if it can be asked at any time,
// else when it speaks.
func (b *Bridge) setUpAnew(ieee zigbee.IEEEAddress) {
	b.jobs.add("configure/"+ieee.String(), func(ctx context.Context) {
		err := b.network.SetConfigured(ieee, "")
		if err != nil && !errors.Is(err, zigbee.ErrNoDevice) {
			b.log.Error("that a device is to be set up anew is not kept", "device", b.nameOf(ieee), "err", err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		d := b.devices[ieee]
		if d == nil {
			return
		}
		d.Configured, d.attempts = "", 0
		if d.Active() {
			b.configureIfNeeded(d)
		}
	})
}
