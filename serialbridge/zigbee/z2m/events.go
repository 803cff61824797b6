package z2m

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
)

// Started tells everything, as zigbee2mqtt does when it has connected.
func (b *Bridge) Started(zigbee.Info, zigbee.Parameters) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running {
		return // Run does it
	}
	b.publishAll()
	b.applyBlocklist()
	// Routers can be asked at any time, one after the other; who sleeps is set up
	// when it speaks.
	const apart = 10 * time.Second
	wait := apart
	for _, d := range b.sortedDevices() {
		if d.Type != zigbee.Router || d.definition == nil || d.Configured == configKeyOf(d) {
			continue
		}
		ieee := d.ieee
		b.timers.after("configure/"+ieee.String(), wait, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if d := b.devices[ieee]; d != nil {
				b.configureIfNeeded(d)
			}
		})
		wait += apart
	}
}

// Stopped says that nothing can be reached.
func (b *Bridge) Stopped(err error) {
	b.log.Error("the Zigbee stick is gone; plug it in again", "err", err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishText("bridge/state", Offline, retained, 1)
}

// Joined tells of a device that is new.
func (b *Bridge) Joined(told zigbee.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late(told.IEEEAddress) {
		return
	}
	d := b.take(told)
	ieee := told.IEEEAddress
	if !b.mayJoin(ieee) {
		b.log.Warn("a device that may not join has joined and is sent away", "ieee", ieee)
		b.jobs.add("request/"+ieee.String(), func(ctx context.Context) {
			if err := b.network.Remove(ctx, ieee, zigbee.RemoveOptions{}); err != nil {
				b.log.Error("a device that may not join could not be sent away", "ieee", ieee, "err", err)
			}
		})
		return
	}
	if d.own == nil {
		b.setDevice(ieee, map[string]any{"friendly_name": ieee.String()})
		b.saveSoon()
	}
	b.joinedLast = ieee
	d.attempts = 0
	b.log.Info("a device has joined", "device", d.name())
	b.applyAvailabilityOf(d)
	d.online = true // it has just spoken
	b.publishAvailability(entity{device: d}, false)
	b.publishSeen(d)
	b.publishDevices()
	b.event("device_joined", map[string]any{"friendly_name": d.name(), "ieee_address": ieee})
}

// mayJoin looks into passlist and blocklist.
func (b *Bridge) mayJoin(ieee zigbee.IEEEAddress) bool {
	if list := b.settings.Passlist; len(list) > 0 {
		return slices.Contains(list, ieee.String())
	}
	return !slices.Contains(b.settings.Blocklist, ieee.String())
}

// Announced tells that a device has come back. It has to be set up again if that
// has failed before, and may have another state.
func (b *Bridge) Announced(told zigbee.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late(told.IEEEAddress) {
		return
	}
	d := b.take(told)
	b.publishSeen(d)
	b.publishDevices()
	b.event("device_announce", map[string]any{"friendly_name": d.name(), "ieee_address": d.ieee})
	d.attempts = 0
	b.configureIfNeeded(d)
	b.retrieve(d)
}

// Interviewing tells how an interview goes.
func (b *Bridge) Interviewing(told zigbee.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late(told.IEEEAddress) {
		return
	}
	d := b.take(told)
	b.publishDevices()
	data := map[string]any{"friendly_name": d.name(), "ieee_address": d.ieee}
	switch told.Interview {
	case zigbee.InProgress:
		data["status"] = "started"
		b.log.Info("the interview begins", "device", d.name())
	case zigbee.Successful:
		data["status"], data["supported"] = "successful", supported(d)
		if d.definition != nil {
			data["definition"] = definitionPayload(d)
		}
		b.log.Info("the interview has succeeded", "device", d.name(), "model", told.ModelID, "supported", supported(d))
	case zigbee.Failed:
		data["status"] = "failed"
		b.log.Error("the interview has failed; wake the device up and ask for it again", "device", d.name())
	default:
		return
	}
	b.event("device_interview", data)
	if told.Interview != zigbee.InProgress {
		b.applyAvailabilityOf(d)
		b.discover(entity{device: d}, false)
		d.attempts = 0
		b.configureIfNeeded(d)
	}
}

// Left tells that a device is gone. What was set for it stays, for when it comes back.
func (b *Bridge) Left(told zigbee.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.removed, told.IEEEAddress)
	d := b.devices[told.IEEEAddress]
	if d == nil {
		return // a request has removed it, and has told so
	}
	name := d.name()
	b.forget(d)
	b.publishGroups()
	b.publishDevices()
	b.publishDefinitions()
	b.event("device_leave", map[string]any{"ieee_address": told.IEEEAddress, "friendly_name": name})
	b.log.Warn("a device has left the network", "device", name)
}

// late reports whether what the network tells of a device comes after a request has
// removed it: that it has left is yet to be told then, and what was to be told before
// must not bring it back. The mutex is held.
func (b *Bridge) late(ieee zigbee.IEEEAddress) bool {
	if !b.removed[ieee] {
		return false
	}
	_, back := b.network.Device(ieee)
	if back {
		delete(b.removed, ieee)
	}
	return !back
}

// forget drops what is known of a device that is gone. The mutex is held.
func (b *Bridge) forget(d *device) {
	id := d.ieee.String()
	delete(b.devices, d.ieee)
	for _, kind := range []string{"debounce/", "throttle/", "configure/", "retrieve/"} {
		b.timers.cancel(kind + id)
	}
	b.gone(id)
	b.discoverGroupsOf(d)
}

// Changed tells of what else is kept. Much of it comes at once, so that it waits.
func (b *Bridge) Changed(told zigbee.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late(told.IEEEAddress) {
		return
	}
	d := b.devices[told.IEEEAddress]
	before := d.groupsKey()
	had := d != nil && d.definition != nil
	d = b.take(told)
	if had != (d.definition != nil) {
		b.discover(entity{device: d}, false)
	}
	if before != d.groupsKey() {
		b.discoverGroupsOf(d)
	}
	if b.timers.pending("devices") {
		return
	}
	b.timers.after("devices", time.Second, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.publishDevicesIfChanged()
	})
}

// groupsKey tells whether memberships have changed.
func (d *device) groupsKey() string {
	if d == nil {
		return ""
	}
	key := ""
	for i := range d.Endpoints {
		key += fmt.Sprint(d.Endpoints[i].ID, d.Endpoints[i].Groups)
	}
	return key
}

// event publishes on bridge/event. The mutex is held.
func (b *Bridge) event(kind string, data map[string]any) {
	b.publish("bridge/event", encode(map[string]any{"type": kind, "data": data}), false, 0, 0, nil, false)
}

// applyBlocklist has the network know who may not join. The mutex is held.
func (b *Bridge) applyBlocklist() {
	wanted := make(map[zigbee.IEEEAddress]bool)
	for _, text := range b.settings.Blocklist {
		if ieee, err := zigbee.ParseIEEEAddress(text); err == nil {
			wanted[ieee] = true
		}
	}
	b.jobs.add("settings", func(ctx context.Context) {
		for _, ieee := range b.network.Blocked() {
			if !wanted[ieee] {
				b.blocked(ctx, ieee, false)
			}
		}
		for ieee := range maps.Keys(wanted) {
			b.blocked(ctx, ieee, true)
		}
	})
}

func (b *Bridge) blocked(ctx context.Context, ieee zigbee.IEEEAddress, blocked bool) {
	if err := b.network.SetBlocked(ctx, ieee, blocked); err != nil && ctx.Err() == nil {
		b.log.Error("who may join is not kept", "ieee", ieee, "err", err)
	}
}
