package z2m

import (
	"context"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// configureVersion is part of the key of what was set up in a device. When what
// definitions set up changes for all, it is counted up, and all are set up anew.
const configureVersion = "1 "

// maxAttempts is how often a device is set up in vain until it announces itself again.
const maxAttempts = 3

func configKeyOf(d *device) string { return configureVersion + d.definition.Model }

// configureIfNeeded has a device set up that is not. It is called when the device
// has just said something: then those that sleep are awake. The mutex is held.
func (b *Bridge) configureIfNeeded(d *device) {
	if d.definition == nil || d.configuring || d.attempts >= maxAttempts || d.disabled() || d.Interview == zigbee.InProgress ||
		d.Configured == configKeyOf(d) || !b.running {
		return
	}
	ieee := d.ieee
	d.configuring = b.jobs.add("configure/"+ieee.String(), func(ctx context.Context) {
		if err := b.configure(ctx, ieee); err != nil && ctx.Err() == nil {
			b.log.Error("a device could not be set up; it is tried again when it speaks", "device", b.nameOf(ieee), "err", err)
		}
	})
}

func (b *Bridge) nameOf(ieee zigbee.IEEEAddress) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.devices[ieee]; d != nil {
		return d.name()
	}
	return ieee.String()
}

// configure does the steps of a device's definition.
func (b *Bridge) configure(ctx context.Context, ieee zigbee.IEEEAddress) error {
	b.mu.Lock()
	d := b.devices[ieee]
	if d == nil || d.definition == nil {
		b.mu.Unlock()
		return zigbee.ErrNoDevice
	}
	d.configuring = true
	steps := d.definition.Steps(b.context(d))
	key, name := configKeyOf(d), d.name()
	info, _, _ := b.network.Info()
	b.mu.Unlock()

	b.log.Info("a device is set up", "device", name)
	err := b.doSteps(ctx, ieee, info.IEEEAddress, steps)
	if err == nil {
		err = b.network.SetConfigured(ieee, key)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	d = b.devices[ieee]
	if d == nil {
		return zigbee.ErrNoDevice
	}
	d.configuring = false
	if err != nil {
		d.attempts++
		d.setupError = sayError(err)
		return err
	}
	d.attempts, d.setupError = 0, ""
	if told, ok := b.network.Device(ieee); ok {
		b.take(told)
	}
	d.Configured = key
	b.log.Info("a device was set up", "device", name)
	b.publishDevices()
	b.publishInfo()
	b.publishDefinitions()
	return nil
}

func (b *Bridge) doSteps(ctx context.Context, ieee, coordinator zigbee.IEEEAddress, steps []devices.Step) error {
	for _, step := range steps {
		err := b.doStep(ctx, ieee, coordinator, step)
		if err != nil && ctx.Err() == nil && step.Optional {
			b.log.Debug("a step that may fail has failed", "ieee", ieee, "endpoint", step.Endpoint, "err", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Bridge) doStep(ctx context.Context, ieee, coordinator zigbee.IEEEAddress, step devices.Step) error {
	for _, cluster := range step.Bind {
		binding := zigbee.Binding{Cluster: cluster, Device: coordinator, Endpoint: zigbee.EndpointHome}
		if err := b.network.Bind(ctx, ieee, step.Endpoint, binding); err != nil {
			return err
		}
	}
	if len(step.Report) > 0 {
		if err := b.network.ConfigureReporting(ctx, ieee, step.Endpoint, step.Report...); err != nil {
			return err
		}
	}
	if step.Request != nil {
		r := *step.Request
		if r.Endpoint == 0 {
			r.Endpoint = step.Endpoint
		}
		_, err := b.network.Request(ctx, ieee, r)
		return err
	}
	return nil
}

// retrieve reads what a device may have changed while it was away, a little later: it
// may announce itself several times. The mutex is held.
func (b *Bridge) retrieve(d *device) {
	if d.definition == nil {
		return
	}
	ieee := d.ieee
	b.timers.after("retrieve/"+ieee.String(), 2*time.Second, func() {
		b.jobs.add(ieee.String(), func(ctx context.Context) {
			b.mu.Lock()
			d := b.devices[ieee]
			if d == nil || d.definition == nil || d.disabled() {
				b.mu.Unlock()
				return
			}
			c := b.context(d)
			c.Message = retrievable(d, c.State)
			outcomes := d.definition.Get(c)
			b.mu.Unlock()
			for _, o := range outcomes {
				if o.Err != nil {
					continue
				}
				if _, err := b.send(ctx, entity{device: d}, o.Requests); err != nil {
					b.log.Debug("the state of a device could not be read", "device", b.nameOf(ieee), "err", err)
					return
				}
			}
		})
	})
}

// retrievable are the keys that tell what a light, switch or cover is like; brightness and
// color only of what is on.
func retrievable(d *device, state map[string]any) map[string]any {
	keys := make(map[string]any)
	for _, e := range d.definition.Exposes {
		for _, f := range e.Features {
			suffix := ""
			if f.Endpoint != "" {
				suffix = "_" + f.Endpoint
			}
			on := state["state"+suffix] == "ON"
			switch f.Name {
			case "state":
			case "brightness", "color_temp":
				if !on {
					continue
				}
			case "color_xy", "color_hs":
				if !on || keys["color_temp"+suffix] != nil {
					continue // both are read together
				}
			default:
				continue
			}
			if f.Access&devices.Gettable != 0 {
				keys[f.Property] = ""
			}
		}
	}
	return keys
}
