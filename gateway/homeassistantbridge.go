package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"

	"lintel/gateway/broker"
	"lintel/gateway/dashboard"
	"lintel/gateway/homeassistant"
	"lintel/gateway/mqtt"
	"lintel/gateway/settings"
	"lintel/gateway/uplink"
	"lintel/persist"
	"lintel/serialbridge/zigbee/z2m"
)

// homeassistantBridge is the uplink to the broker that a Home Assistant has already. It is
// [dashboard.HomeAssistantBridge].
type homeassistantBridge struct {
	g    *gateway
	kept *persist.Bucket[dashboard.BridgeSettings] // under bridgeKey

	changing sync.Mutex // one change at a time
	mu       sync.Mutex
	up       *uplink.Uplink // nil: bridge mode is off
	ctx      context.Context
	stop     func() // ends up.Run and waits for it; nil: it does not run
}

const bridgeKey = "broker"

// newHomeAssistantBridge returns the bridge as it was set.
func newHomeAssistantBridge(g *gateway) (*homeassistantBridge, error) {
	kept, err := persist.NewBucket[dashboard.BridgeSettings](g.store, "homeassistant.bridge")
	if err != nil {
		return nil, err
	}
	b := &homeassistantBridge{g: g, kept: kept}
	if s, ok := kept.Get(bridgeKey); ok {
		if err := b.make(s); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// options are those of the uplink: documents, states, availability and events go out; what
// Home Assistant says of itself, and commands, come in.
func (b *homeassistantBridge) options(s dashboard.BridgeSettings) (o uplink.Options, err error) {
	g := b.g
	scheme, port := "mqtt", 1883
	if s.TLS {
		scheme, port = "mqtts", 8883
		if o.TLS, err = uplink.TLSConfig(nil, s.Fingerprint, nil, nil); err != nil {
			return o, err
		}
	}
	if s.Port != 0 {
		port = s.Port
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(s.Host, strconv.Itoa(port))}
	o.Name, o.URL, o.User, o.Password = settings.HomeAssistantUplink, u.String(), s.User, s.Password
	o.ClientID = settings.UplinkClientID(g.box.ID, settings.HomeAssistantUplink)
	add := func(d uplink.Direction, base string, filters ...string) {
		for _, f := range filters {
			o.Maps = append(o.Maps, uplink.Map{Direction: d, Filter: base + "/" + f, QoS: 1})
		}
	}
	prefix, base := g.config.HomeAssistant.Prefix, g.config.Serial.BaseTopic
	add(uplink.Out, prefix, "#")
	add(uplink.In, prefix, "status")
	add(uplink.Out, base, "#")
	add(uplink.In, base, "+/set/#")
	o.First = []string{prefix + "/#", base + "/+/availability"}
	o.Wills = []mqtt.Message{{Topic: base + "/" + homeassistant.GatewayID + "/availability", Payload: []byte("offline"), QoS: 1, Retain: true}}
	if g.zigbee != nil {
		zigbee := g.config.Zigbee.BaseTopic
		add(uplink.Out, zigbee, "#")
		// The name of a device may have slashes in it.
		for _, device := range []string{"+", "+/+", "+/+/+"} {
			add(uplink.In, zigbee, device+"/set/#", device+"/get/#")
		}
		add(uplink.In, zigbee, "bridge/request/#")
		o.First = append(o.First, zigbee+"/bridge/state", zigbee+"/+/availability", zigbee+"/+/+/availability")
		o.Wills = append(o.Wills, mqtt.Message{Topic: zigbee + "/bridge/state", Payload: []byte(z2m.Offline), QoS: 1, Retain: true})
	}
	return o, nil
}

// tried are topics under which the user of the broker must be let to publish: one of each
// tree. Nobody listens there.
func (b *homeassistantBridge) tried() []string {
	g := b.g
	topics := []string{g.config.HomeAssistant.Prefix + "/lintel-check", g.config.Serial.BaseTopic + "/" + homeassistant.GatewayID + "/check"}
	if g.zigbee != nil {
		topics = append(topics, g.config.Zigbee.BaseTopic+"/bridge/lintel-check")
	}
	return topics
}

// make makes the uplink.
func (b *homeassistantBridge) make(s dashboard.BridgeSettings) error {
	o, err := b.options(s)
	if err != nil {
		return err
	}
	up, err := b.g.newUplink(o)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = up
	b.start()
	return nil
}

// start starts the uplink if there is one and the house runs. Called with mu held.
func (b *homeassistantBridge) start() {
	if b.up == nil || b.ctx == nil || b.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan struct{})
	up := b.up
	go func() {
		defer close(done)
		up.Run(ctx) // it has no errors: those of the network are in its status
	}()
	b.stop = func() {
		cancel()
		<-done
	}
}

// end ends the uplink. mu is not held while it says goodbye.
func (b *homeassistantBridge) end() {
	b.mu.Lock()
	stop := b.stop
	b.stop = nil
	b.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// run runs the uplink, whichever it is, until ctx ends.
func (b *homeassistantBridge) run(ctx context.Context) error {
	b.mu.Lock()
	b.ctx = ctx
	b.start()
	b.mu.Unlock()
	<-ctx.Done()
	b.changing.Lock() // what is being changed has begun before
	defer b.changing.Unlock()
	b.end()
	return nil
}

// Bridge implements [dashboard.HomeAssistantBridge].
func (b *homeassistantBridge) Bridge() *dashboard.Bridge {
	s, ok := b.kept.Get(bridgeKey)
	b.mu.Lock()
	up := b.up
	b.mu.Unlock()
	if !ok || up == nil {
		return nil
	}
	s.Password = ""
	return &dashboard.Bridge{Settings: s, Status: up.Status()}
}

// SetBridge implements [dashboard.HomeAssistantBridge].
func (b *homeassistantBridge) SetBridge(ctx context.Context, s dashboard.BridgeSettings) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	o, err := b.options(s)
	if err != nil {
		return err
	}
	if err := uplink.Check(ctx, b.g.broker, o, b.tried()); err != nil {
		return err
	}
	old, was := b.kept.Get(bridgeKey)
	if err := b.kept.Put(ctx, bridgeKey, s); err != nil {
		return err
	}
	b.end()
	if was && (old.Host != s.Host || old.Port != s.Port) {
		// What waits is for another broker, and so is what is remembered of it.
		if err := b.forget(ctx); err != nil {
			return err
		}
	}
	return b.make(s)
}

// RemoveBridge implements [dashboard.HomeAssistantBridge].
func (b *homeassistantBridge) RemoveBridge(ctx context.Context, clear bool) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	s, ok := b.kept.Get(bridgeKey)
	if !ok {
		return nil
	}
	o, err := b.options(s)
	if err != nil {
		return err
	}
	b.end()
	if clear {
		if o.Memory, err = persist.NewBucket[string](b.g.store, "uplink."+settings.HomeAssistantUplink); err != nil {
			return err
		}
		// Documents first: else entities would be taken for unavailable before they go.
		if err := uplink.Clear(ctx, b.g.broker, o, b.g.config.HomeAssistant.Prefix+"/#"); err != nil {
			b.mu.Lock()
			b.start()
			b.mu.Unlock()
			if unfit, ok := errors.AsType[*uplink.Unfit](err); ok {
				err = &uplink.Unfit{Text: unfit.Text + " So the devices could not be taken out there. Try it again, or end bridge mode without that."}
			}
			return err
		}
	}
	if err := b.kept.Delete(ctx, bridgeKey); err != nil {
		return err
	}
	b.mu.Lock()
	b.up = nil
	b.mu.Unlock()
	return b.forget(ctx)
}

// forget ends the session at the box, and forgets what is retained at the other broker.
func (b *homeassistantBridge) forget(ctx context.Context) error {
	b.g.broker.EndSession(uplink.SessionID(settings.HomeAssistantUplink), &broker.Refusal{Code: mqtt.AdministrativeAction})
	memory, err := persist.NewBucket[string](b.g.store, "uplink."+settings.HomeAssistantUplink)
	if err != nil {
		return err
	}
	for key := range memory.All() {
		if err := memory.Delete(ctx, key); err != nil {
			return fmt.Errorf("forget what is at the broker: %w", err)
		}
	}
	return nil
}
