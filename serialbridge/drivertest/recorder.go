package drivertest

import (
	"fmt"
	"maps"
	"slices"

	"lintel/serialbridge"
)

// Recorder is a [serialbridge.Sink] that keeps what it is told.
type Recorder struct {
	// Whole holds each reading to carry all that was announced, buttons aside.
	Whole bool

	Announcements []serialbridge.Device
	Devices       map[string]serialbridge.Device // as announced last, by ID
	Readings      []serialbridge.Reading
	Damage        []string // reasons
	Overheard     []string // reasons of Ignored
	Memory        map[string]string
	Disorder      string // how the contract of Sink was broken last; empty: it was not
}

// Device implements [serialbridge.Sink].
func (r *Recorder) Device(d serialbridge.Device) {
	if r.Devices == nil {
		r.Devices = make(map[string]serialbridge.Device)
	}
	r.Announcements = append(r.Announcements, d)
	r.Devices[d.ID] = d
}

// Gone implements [serialbridge.Sink].
func (r *Recorder) Gone(device string) {
	if _, ok := r.Devices[device]; !ok {
		r.Disorder = device + " is gone, and was never there"
	}
	delete(r.Devices, device)
}

// Reading implements [serialbridge.Sink].
func (r *Recorder) Reading(reading serialbridge.Reading) {
	d, ok := r.Devices[reading.Device]
	if !ok {
		r.Disorder = "reading of " + reading.Device + " before its announcement"
	}
	for key, value := range reading.Values {
		i := slices.IndexFunc(d.Properties, func(p serialbridge.Property) bool { return p.Key == key })
		if i < 0 {
			r.Disorder = "value of " + reading.Device + " without property: " + key
			continue
		}
		if !d.Properties[i].Fits(value) {
			r.Disorder = fmt.Sprintf("value of %s that %s cannot have: %v", reading.Device, key, value)
		}
	}
	if r.Whole {
		for _, p := range d.Properties {
			if _, has := reading.Values[p.Key]; has == (p.Kind == serialbridge.Button) {
				r.Disorder = p.Key + " of " + reading.Device + " has no value, or should have none"
			}
		}
	}
	r.Readings = append(r.Readings, reading)
}

// Damaged implements [serialbridge.Sink].
func (r *Recorder) Damaged(reason string) { r.Damage = append(r.Damage, reason) }

// Ignored implements [serialbridge.Sink].
func (r *Recorder) Ignored(reason string) { r.Overheard = append(r.Overheard, reason) }

// Recall implements [serialbridge.Sink].
func (r *Recorder) Recall() map[string]string { return maps.Clone(r.Memory) }

// Remember implements [serialbridge.Sink].
func (r *Recorder) Remember(key, value string) {
	if r.Memory == nil {
		r.Memory = make(map[string]string)
	}
	if r.Memory[key] = value; value == "" {
		delete(r.Memory, key)
	}
}

// Discard is a [serialbridge.Sink] that keeps nothing.
type Discard struct{}

// Device implements [serialbridge.Sink].
func (Discard) Device(serialbridge.Device) {}

// Gone implements [serialbridge.Sink].
func (Discard) Gone(string) {}

// Reading implements [serialbridge.Sink].
func (Discard) Reading(serialbridge.Reading) {}

// Damaged implements [serialbridge.Sink].
func (Discard) Damaged(string) {}

// Ignored implements [serialbridge.Sink].
func (Discard) Ignored(string) {}

// Recall implements [serialbridge.Sink].
func (Discard) Recall() map[string]string { return nil }

// Remember implements [serialbridge.Sink].
func (Discard) Remember(string, string) {}
