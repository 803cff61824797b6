package serialbridge

import (
	"cmp"
	"reflect"
	"slices"
)

// maxAnnounced bounds what an Announcer remembers.
const maxAnnounced = 64

// Announcer passes on the devices that are new or have changed: a decoder may tell it with
// every telegram who speaks. It is for one goroutine.
type Announcer struct {
	Sink Sink
	last map[string]Device // as passed on, by ID
}

// Announce passes d on unless the same was passed on before.
func (a *Announcer) Announce(d Device) {
	last, known := a.last[d.ID]
	if known && reflect.DeepEqual(last, d) {
		return
	}
	if a.last == nil || !known && len(a.last) >= maxAnnounced {
		a.last = make(map[string]Device) // a stick has a handful; this is noise
	}
	a.last[d.ID] = d
	a.Sink.Device(d)
}

// Complete returns d with what was announced of it and is not said now: the properties,
// and the SWVersion. It is for telegrams that do not always tell everything.
func (a *Announcer) Complete(d Device) Device {
	last := a.last[d.ID]
	properties := slices.Clone(last.Properties)
	for _, p := range d.Properties {
		i := slices.IndexFunc(properties, func(q Property) bool { return q.Key == p.Key })
		if i < 0 {
			properties = append(properties, p)
		} else {
			properties[i] = p
		}
	}
	d.Properties = properties
	d.SWVersion = cmp.Or(d.SWVersion, last.SWVersion)
	return d
}
