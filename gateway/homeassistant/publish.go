package homeassistant

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"lintel/gateway/mqtt"
)

// withdraw takes the document of e back, which removes the device with all its
// entities. Only Run calls it.
func (p *Publisher) withdraw(ctx context.Context, e *entry) {
	id := e.device.ID // it does not change
	// If the program ends before it is done, the next start goes on.
	if _, known := p.remembered[id]; known {
		p.remember(ctx, id)
	}
	err := p.o.Broker.Publish(ctx, mqtt.Message{Topic: Topic(p.o.Box, id, p.o.Options), QoS: 1, Retain: true})
	if err == nil {
		p.noteHeld(id, nil)
	}
	if err == nil && p.o.Memory != nil {
		if err = p.o.Memory.Delete(ctx, id); err == nil {
			delete(p.remembered, id)
		}
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("device not taken back from home assistant", "device", id, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !e.withdrawn: // it came back
	case err != nil:
		e.due = time.Now().Add(retry)
	default:
		e.settle()
		delete(p.entries, id)
	}
}

// publish sends the document of e and plans what follows. Only Run calls it.
func (p *Publisher) publish(ctx context.Context, e *entry) {
	p.mu.Lock()
	if e.withdrawn {
		p.mu.Unlock()
		p.withdraw(ctx, e)
		return
	}
	device, changed, box := e.device, e.changed, p.o.Box
	box.ConfigurationURL = p.pages
	e.changed = false
	e.due = time.Time{}
	parent := above(device)
	_, hangs := p.entries[parent]
	p.mu.Unlock()

	doc, err := newDocument(box, device, p.o.Options)
	if err != nil {
		// The driver has to be mended; another try would not help.
		p.log.Error("device not announced to home assistant", "device", device.ID, "err", err)
		return
	}
	if !hangs && device.ID != GatewayID {
		// Home Assistant must know the device that another one hangs below.
		doc.Device.ViaDevice = identifier(p.o.Box, GatewayID)
	}
	refused := doc.refused(Topic(p.o.Box, device.ID, p.o.Options))
	p.mu.Lock()
	e.refused = slices.Sorted(maps.Keys(refused))
	p.mu.Unlock()
	for key, why := range refused {
		if changed {
			p.log.Error("property not shown in home assistant", "device", device.ID, "property", key, "err", why)
		}
		delete(doc.Components, key)
	}
	settled := !time.Now().Before(e.settled)
	changed = changed || settled && len(e.missing) > 0
	gone := e.gone
	if changed {
		gone = make(map[string]string)
	}
	components := make(map[string]string, len(doc.Components))
	for key, c := range doc.Components {
		components[key] = c.platform()
	}
	missing := make(map[string]string)
	again := false
	if changed {
		told := maps.Clone(e.components)
		if told == nil {
			told = make(map[string]string)
		}
		for key, platform := range e.missing {
			if _, ok := components[key]; ok || settled {
				told[key] = platform
			} else {
				missing[key] = platform
			}
		}
		// A component that is left out stays in Home Assistant: it must
		// be sent with its platform alone once. One that moved to another
		// platform goes first and comes back with the next version.
		for key, platform := range told {
			if now, ok := components[key]; now != platform {
				gone[key] = platform
				delete(components, key)
				again = again || ok
			}
		}
	} else {
		missing = e.missing
	}
	for key, platform := range gone {
		doc.Components[key] = component{"p": platform}
	}
	if len(doc.Components) == 0 {
		return // a port that is lent or bridged: nothing to show
	}
	if changed && !again && p.holds(device.ID, doc) {
		// It is there from before this start, and nobody has to hear it again.
		p.remember(ctx, device.ID, components, gone, missing)
		p.mu.Lock()
		defer p.mu.Unlock()
		e.components, e.gone, e.missing = components, nil, missing
		if len(missing) > 0 && !e.changed {
			e.due = e.settled
		}
		return
	}
	payload, err := doc.marshal()
	if err == nil {
		// Home Assistant may know of all that from now on.
		p.remember(ctx, device.ID, components, gone, missing)
		err = p.o.Broker.Publish(ctx, mqtt.Message{
			Topic:   Topic(p.o.Box, device.ID, p.o.Options),
			Payload: payload,
			QoS:     1,
			Retain:  true,
		})
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("discovery document not taken", "device", device.ID, "err", err)
	}
	if err == nil && !changed {
		p.remember(ctx, device.ID, components, missing)
	}
	if err == nil {
		p.noteHeld(device.ID, doc)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	e.sent = now
	plan := func(d time.Duration) {
		if !e.changed { // a newer change has its own time
			e.due = now.Add(d)
		}
	}
	switch {
	case err != nil:
		plan(retry)
		e.changed = e.changed || changed
		return
	case again:
		e.components, e.gone = components, nil
		plan(debounce)
		e.changed = true
	case changed:
		e.components, e.gone = components, maps.Clone(gone)
		plan(resend)
	default:
		e.gone = nil
		if len(missing) > 0 {
			plan(e.settled.Sub(now))
		}
	}
	e.missing = missing
}

// remember writes down what Home Assistant may know of a device, if that is new.
func (p *Publisher) remember(ctx context.Context, device string, parts ...map[string]string) {
	if p.o.Memory == nil {
		return
	}
	all := make(map[string]string)
	for _, part := range parts {
		maps.Copy(all, part)
	}
	known, ok := p.remembered[device]
	if ok && maps.Equal(known, all) {
		return
	}
	err := errors.New("too many devices")
	if ok || len(p.remembered) < maxRemembered {
		err = p.o.Memory.Put(ctx, device, all)
	}
	if err == nil {
		p.remembered[device] = all
	} else if ctx.Err() == nil {
		p.log.Warn("components not remembered over a restart", "device", device, "err", err)
	}
}
