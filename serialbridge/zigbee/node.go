package zigbee

import (
	"bytes"
	"maps"
	"slices"
	"time"
)

// node is a device and what goes on with it. All but gate is guarded by Network.mu.
type node struct {
	device Device

	kept  keptState
	gate  chan struct{} // holds one token: whoever sends to the device has it
	heard chan struct{} // closed when the device is heard, and replaced
	gone  chan struct{} // closed when the device is not of the network any more

	sequence uint8
	queued   int       // exchanges that are under way or wait for their turn
	held     int       // those of them that wait for the device to wake up
	searched time.Time // when its address was asked for last

	recent [8]recentFrame // the last frames, to tell duplicates
	next   int

	interviewing bool
	retries      int       // of failed interviews, since the device has joined
	retried      time.Time // when the last interview ended
	progress     *InterviewProgress

	presence presence
}

// keptState is how urgently a device has to be written down.
type keptState uint8

const (
	keptClean keptState = iota
	keptLater           // values that a power cut may take
	keptNow
)

func newNode(d Device) *node {
	return &node{
		device: d,
		gate:   make(chan struct{}, 1),
		heard:  make(chan struct{}),
		gone:   make(chan struct{}),
	}
}

// Capability bits of a node descriptor and of an announcement (Zigbee specification,
// section 2.3.2.3.6).
const (
	capabilityRouter             = 0x02
	capabilityReceiverOnWhenIdle = 0x08
)

// sleepy says that the device hears only when it asks its parent. One that was not
// interviewed yet has said so when it announced itself, if it has.
func (d *node) sleepy() bool {
	c := d.device.Capability
	end := d.device.Type == EndDevice || d.device.Type == Unknown && c != 0 && c&capabilityRouter == 0
	return end && c&capabilityReceiverOnWhenIdle == 0
}

// edit returns an endpoint to be changed, nil if there is none. Endpoints that were
// told to others are never changed in place: they are replaced, and so has to be
// every slice and map in them.
func (d *node) edit(id uint8) *Endpoint {
	i := slices.IndexFunc(d.device.Endpoints, func(e Endpoint) bool { return e.ID == id })
	if i < 0 {
		return nil
	}
	d.device.Endpoints = slices.Clone(d.device.Endpoints)
	return &d.device.Endpoints[i]
}

// addEndpoint adds an endpoint that is not there yet.
func (d *node) addEndpoint(id uint8) {
	if id == EndpointZDO || d.device.Endpoint(id) != nil {
		return
	}
	d.device.Endpoints = append(slices.Clip(d.device.Endpoints), Endpoint{ID: id})
	slices.SortFunc(d.device.Endpoints, func(a, b Endpoint) int { return int(a.ID) - int(b.ID) })
}

// keep takes note of the value of an attribute, and says whether it is new.
func (d *node) keep(endpoint uint8, cluster, attribute uint16, value any) bool {
	e := d.device.Endpoint(endpoint)
	if e == nil || value == nil {
		return false
	}
	old, ok := e.Attributes[cluster][attribute]
	switch {
	case ok && equalValues(old, value):
		return false
	case !ok && d.attributes() >= maxAttributes:
		return false
	}
	e = d.edit(endpoint)
	if e.Attributes = maps.Clone(e.Attributes); e.Attributes == nil {
		e.Attributes = make(Attributes)
	}
	values := maps.Clone(e.Attributes[cluster])
	if values == nil {
		values = make(map[uint16]any)
	}
	values[attribute] = value
	e.Attributes[cluster] = values
	return true
}

func (d *node) attributes() (count int) {
	for i := range d.device.Endpoints {
		for _, values := range d.device.Endpoints[i].Attributes {
			count += len(values)
		}
	}
	return count
}

// equalValues compares values as package zcl makes them.
func equalValues(a, b any) bool {
	switch a := a.(type) {
	case bool, uint64, int64, float64, string:
		return a == b
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	}
	return false // lists and structures: to look at them is as much work as to keep them
}

// wake tells those who wait for the device that it is awake now.
func (d *node) wake() {
	close(d.heard)
	d.heard = make(chan struct{})
}

// recentFrame is the trace of a frame.
type recentFrame struct {
	hash uint64
	at   time.Time
}

// duplicateWindow is how long the same bytes of the same endpoint are taken for
// another copy of one frame. APS drops most of them; what is left are those that come
// by unicast and by broadcast, and those of devices that ask again at once.
const duplicateWindow = 500 * time.Millisecond

// greenPowerWindow is the same for Green Power devices, whose frames come through several
// routers (section A.3.6.1.2, gpDuplicateTimeout).
const greenPowerWindow = 2 * time.Second

// duplicate says whether a frame was heard just now, and takes note of it.
func (d *node) duplicate(hash uint64, now time.Time) bool {
	window := duplicateWindow
	if d.device.Type == GreenPower {
		window = greenPowerWindow
	}
	for _, r := range d.recent {
		if r.hash == hash && now.Sub(r.at) < window && !r.at.IsZero() {
			return true
		}
	}
	d.recent[d.next%len(d.recent)] = recentFrame{hash, now}
	d.next++
	return false
}

// Clone returns a copy that shares nothing with d.
func (d Device) Clone() Device {
	d.ZCLVersion = cloneUint8(d.ZCLVersion)
	d.ApplicationVersion = cloneUint8(d.ApplicationVersion)
	d.StackVersion = cloneUint8(d.StackVersion)
	d.HardwareVersion = cloneUint8(d.HardwareVersion)
	d.LinkQuality = cloneUint8(d.LinkQuality)
	d.Endpoints = slices.Clone(d.Endpoints)
	for i := range d.Endpoints {
		e := &d.Endpoints[i]
		e.Input, e.Output = slices.Clone(e.Input), slices.Clone(e.Output)
		e.Bindings, e.Reportings = slices.Clone(e.Bindings), slices.Clone(e.Reportings)
		e.Groups, e.Scenes = slices.Clone(e.Groups), slices.Clone(e.Scenes)
		for j := range e.Scenes {
			e.Scenes[j].State = maps.Clone(e.Scenes[j].State)
		}
		e.Attributes = maps.Clone(e.Attributes)
		for cluster, values := range e.Attributes {
			e.Attributes[cluster] = maps.Clone(values)
		}
	}
	return d
}

func cloneUint8(p *uint8) *uint8 {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
