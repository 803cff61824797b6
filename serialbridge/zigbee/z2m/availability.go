package z2m

import (
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// hasAvailability says whether it is told if a device is there; of a group, if that
// is told of all of its members. The mutex is held.
func (b *Bridge) hasAvailability(e entity) bool {
	if g := e.group; g != nil {
		members := b.members(g.id)
		for _, m := range members {
			if !b.hasAvailability(entity{device: m.device}) {
				return false
			}
		}
		return len(members) > 0 || b.settings.Availability.Enabled
	}
	if e.device.disabled() {
		return false
	}
	switch v := e.device.options["availability"].(type) {
	case nil:
	case bool:
		return v
	default:
		return true
	}
	return b.settings.Availability.Enabled
}

// applyAvailability tells the network how to find out who is there. The mutex is held.
func (b *Bridge) applyAvailability() {
	for _, d := range b.devices {
		b.applyAvailabilityOf(d)
	}
}

func (b *Bridge) applyAvailabilityOf(d *device) {
	s := b.settings.Availability
	a := zigbee.Availability{
		Enabled:                   b.hasAvailability(entity{device: d}),
		Timeout:                   minutes(s.Passive.Timeout),
		MaxJitter:                 milliseconds(s.Active.MaxJitter),
		Backoff:                   s.Active.Backoff,
		PauseOnBackoffGreaterThan: int(s.Active.PauseOnBackoffGT),
	}
	if d.Active() {
		a.Timeout = minutes(s.Active.Timeout)
	}
	if own, ok := object(d.options["availability"]); ok {
		if n, ok := zcl.Float(own["timeout"]); ok {
			a.Timeout = minutes(n)
		}
		if n, ok := zcl.Float(own["max_jitter"]); ok {
			a.MaxJitter = milliseconds(n)
		}
		a.Backoff = flag(own, "backoff", a.Backoff)
		if n, ok := zcl.Float(own["pause_on_backoff_gt"]); ok {
			a.PauseOnBackoffGreaterThan = int(n)
		}
	}
	b.network.SetAvailability(d.ieee, a)
}

func minutes(n float64) time.Duration      { return time.Duration(n * float64(time.Minute)) }
func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// Available publishes that a device is there, or that it is not.
func (b *Bridge) Available(ieee zigbee.IEEEAddress, online bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[ieee]
	if d == nil || !b.hasAvailability(entity{device: d}) {
		return
	}
	back := online && d.told.once && !d.told.online
	d.online = online
	b.publishAvailability(entity{device: d}, false)
	if back {
		b.retrieve(d)
	}
	for _, g := range b.groupsOf(d) {
		b.publishAvailability(entity{group: g}, false)
	}
}

// onlineTold is what was published of an availability.
type onlineTold struct{ once, online bool }

// publishAvailability publishes whether a device or group is there, if that has
// changed. A group is there if a member is. The mutex is held.
func (b *Bridge) publishAvailability(e entity, again bool) {
	if !b.hasAvailability(e) {
		return
	}
	online := false
	var published *onlineTold
	if d := e.device; d != nil {
		online, published = d.online, &d.told
	} else {
		for _, m := range b.members(e.group.id) {
			online = online || m.online
		}
		published = &e.group.told
	}
	if published.once && !again && published.online == online {
		return
	}
	*published = onlineTold{true, online}
	payload := Offline
	if online {
		payload = `{"state":"online"}`
	}
	b.publishText(e.name()+"/availability", payload, retained, 1)
}

// publishAvailabilities publishes who is there. The mutex is held.
func (b *Bridge) publishAvailabilities() {
	for _, d := range b.sortedDevices() {
		d.online = b.network.Available(d.ieee)
		b.publishAvailability(entity{device: d}, true)
	}
	for _, g := range b.sortedGroups() {
		b.publishAvailability(entity{group: g}, true)
	}
}
