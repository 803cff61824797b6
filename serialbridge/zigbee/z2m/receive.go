package z2m

import (
	"maps"
	"reflect"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// Message publishes what a device has said.
func (b *Bridge) Message(told zigbee.Device, m zigbee.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late(told.IEEEAddress) {
		return
	}
	d := b.take(told)
	b.learn(d, m)
	if d.definition == nil {
		b.follow(m.Trace, func() { b.publishSeen(d) })
		return
	}
	c := b.context(d)
	c.Now = m.Received
	values, later := d.definition.Decode(c, m)
	b.followValues(m.Trace, values)
	b.follow(m.Trace, func() { b.receive(d, values) })
	for _, l := range later {
		b.timers.after("later/"+d.ieee.String()+"/"+l.Key, l.After, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if d := b.devices[told.IEEEAddress]; d != nil {
				b.receive(d, l.Values)
			}
		})
	}
	b.configureIfNeeded(d)
}

// context is what a definition has to know of a device.
func (b *Bridge) context(d *device) *devices.Context {
	return &devices.Context{
		Device: &d.Device, State: b.states[d.ieee.String()], Options: d.options,
		Memory: d.memory, Now: time.Now(),
	}
}

// publishSeen publishes that a device was heard, if anybody wants to know.
func (b *Bridge) publishSeen(d *device) {
	if b.settings.Advanced.LastSeen != "disable" {
		b.publishState(entity{device: d}, nil, seen)
	}
}

// receive publishes values of a device, or has them wait. The mutex is held.
func (b *Bridge) receive(d *device, values devices.Values) {
	if len(values) == 0 && b.settings.Advanced.LastSeen == "disable" {
		return
	}
	update := make(map[string]any, len(values)+1)
	maps.Copy(update, values)
	if b.settings.Advanced.Elapsed {
		now := time.Now()
		if !d.previous.IsZero() {
			update["elapsed"] = now.Sub(d.previous).Milliseconds()
		}
		d.previous = now
	}
	if wait := seconds(amount(d.options, "debounce")); wait > 0 {
		b.debounce(d, update, wait)
	} else if interval := seconds(amount(d.options, "throttle")); interval > 0 {
		b.throttle(d, update, interval)
	} else {
		b.publishState(entity{device: d}, update, changed)
	}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// debounce publishes what came when nothing more has come for a while. A value of
// an attribute that is not to be overwritten is published before the next one takes its place.
func (b *Bridge) debounce(d *device, update map[string]any, wait time.Duration) {
	for _, key := range texts(d.options, "debounce_ignore") {
		before, held := d.waiting[key]
		now, told := update[key]
		if held && told && !reflect.DeepEqual(before, now) {
			b.publishWaiting(d)
			break
		}
	}
	d.waiting = merge(d.waiting, update)
	b.waits(d, "debounce", wait)
	b.remember(entity{device: d}, d.waiting)
	b.timers.after("debounce/"+d.ieee.String(), wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.publishWaiting(d)
	})
}

func (b *Bridge) publishWaiting(d *device) {
	update := d.waiting
	d.waiting = nil
	number := d.waitingNumber
	d.waitingNumber = 0
	if update != nil {
		b.follow(number, func() { b.publishState(entity{device: d}, update, debounced) })
	}
}

// throttle publishes at most one message in an interval; what comes in between is
// published together at its end.
func (b *Bridge) throttle(d *device, update map[string]any, interval time.Duration) {
	now := time.Now()
	key := "throttle/" + d.ieee.String()
	if since := now.Sub(d.sent); since < interval {
		d.waiting = merge(d.waiting, update)
		b.waits(d, "throttle", interval-since)
		b.remember(entity{device: d}, update)
		if !b.timers.pending(key) {
			b.timers.after(key, interval-since, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				d.sent = time.Now()
				b.publishWaiting(d)
			})
		}
		return
	}
	d.sent = now
	b.publishState(entity{device: d}, update, changed)
}
