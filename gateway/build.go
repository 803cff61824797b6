package gateway

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/homeassistant"
	"lintel/gateway/mqtt"
	"lintel/gateway/settings"
	"lintel/persist"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee/dongle"
	"lintel/serialbridge/zigbee/z2m"
)

// settle has everything offline at the broker before anybody is let in: after a power
// cut the last word of the run before is that it is online.
func (g *gateway) settle(ctx context.Context) error {
	if g.zigbee != nil {
		m := mqtt.Message{Topic: g.zigbee.Bridge().StateTopic(), Payload: []byte(z2m.Offline), QoS: 1, Retain: true}
		if err := g.zigbee.options.Broker.Publish(ctx, m); err != nil {
			return err
		}
	}
	return g.bridge.Settle(ctx)
}

// build opens the listeners and connects the parts.
func (g *gateway) build() error {
	c := g.config
	if err := g.listen(); err != nil {
		return err
	}
	if c.MDNS.Enabled {
		if err := g.buildMDNS(); err != nil {
			return err
		}
	}
	g.box.ConfigurationURL = g.pageURL()

	bridgeClient, err := g.client("lintel-serialbridge")
	if err != nil {
		return err
	}
	homeassistantClient, err := g.client("lintel-homeassistant")
	if err != nil {
		return err
	}
	if g.boxClient, err = g.client("lintel-gateway"); err != nil {
		return err
	}
	g.tellSecurity(g.boxClient)
	if g.logins, err = homeassistant.NewLogins(homeassistant.LoginsOptions{
		Store: g.store, Users: g.access.users, Audit: g.access.audit, Claim: g.access.claim, HasClient: g.hasClient, Logger: g.log}); err != nil {
		return err
	}
	g.access.door.visited = g.logins.Visited
	if err := g.buildBox(g.boxClient); err != nil {
		return err
	}
	if g.simulated, err = newSimulations(context.Background(), g); err != nil {
		return err
	}
	if c.HomeAssistant.Enabled {
		memory, err := persist.NewBucket[map[string]string](g.store, "homeassistant")
		if err != nil {
			return err
		}
		g.publisher = homeassistant.NewPublisher(homeassistant.PublisherOptions{
			Broker: homeassistantClient, Box: g.box,
			Options:   homeassistant.Options{Prefix: c.HomeAssistant.Prefix, BaseTopic: c.Serial.BaseTopic},
			Republish: g.republish, Memory: memory, Logger: g.log})
	}
	if err := g.buildZigbee(); err != nil {
		return err
	}
	if g.devices, err = newDeviceBook(g); err != nil {
		return err
	}
	sticks, err := persist.NewBucket[homeassistant.Stick](g.store, "sticks")
	if err != nil {
		return err
	}
	g.sticks = homeassistant.NewSticks(homeassistant.SticksOptions{
		Broker: g.boxClient, BaseTopic: c.Serial.BaseTopic, Memory: sticks, Publisher: g.publisher,
		Plugged:  func() []serialbridge.StickStatus { return g.bridge.Sticks() }, // the bridge is not there yet
		Forget:   func(id string) error { return g.bridge.Forget(id) },
		Firmware: g.firmwareOf, Refused: g.commands.Refuse, Logger: g.log})
	var radio settings.Radio
	if g.zigbee != nil {
		radio = settings.Radio{Network: g.zigbee, Logger: g.log}
	}
	ports := c.Serial.NamedPorts(radio)
	if g.o.Simulate {
		ports = append(ports, serialbridge.NamedPort{Path: g.simulatedPort(), Protocol: "dsmr", Simulated: true})
		if g.zigbee != nil {
			ports = append(ports, serialbridge.NamedPort{Path: g.simulatedStick(), Protocol: dongle.Protocol, Simulated: true})
		}
	}
	if err := g.buildUplinks(); err != nil {
		return err
	}
	if g.haBridge, err = newHomeAssistantBridge(g); err != nil {
		return err
	}
	learned, err := persist.NewBucket[string](g.store, "serialbridge")
	if err != nil {
		return err
	}
	g.bridge = serialbridge.New(serialbridge.Options{
		Broker: bridgeClient, Drivers: c.Serial.Drivers(radio), Ports: ports, Root: g.o.Root, BaseTopic: c.Serial.BaseTopic,
		Interval: c.Serial.StateInterval(), AtLeast: time.Duration(c.Serial.AtLeast) * time.Second,
		OnDevice: g.onDevice, OnGone: g.onGone, Memory: learned,
		Journeys: &g.journeys.book, Logger: g.log})
	return nil
}

// client connects a part of the house to the broker.
func (g *gateway) client(id string) (*broker.Client, error) {
	c, err := g.broker.NewClient(id)
	if err == nil {
		g.clients = append(g.clients, c)
	}
	return c, err
}

// firmwareOf says what runs on a stick that is the Zigbee coordinator.
func (g *gateway) firmwareOf(s *serialbridge.StickStatus) string {
	if s.Protocol == dongle.Protocol && g.zigbee != nil && s.State == serialbridge.Online {
		if info, _, running := g.zigbee.Bridge().Network().Info(); running {
			return info.Revision
		}
	}
	return ""
}

func (g *gateway) onDevice(d serialbridge.Device) {
	if g.publisher != nil {
		g.sticks.Look() // below which it hangs
		g.simulated.heard(&d)
		g.devices.apply(&d)
		g.publisher.Device(d)
	}
}

// onGone takes a device out of Home Assistant before what is retained of it goes.
func (g *gateway) onGone(id string) {
	if g.publisher == nil {
		return
	}
	if done := g.publisher.Gone(id); done != nil {
		select {
		case <-done:
		case <-time.After(longestFarewell):
		}
	}
}

// longestFarewell is how long a device that is gone keeps its state at most, until Home
// Assistant has been told.
const longestFarewell = 2 * time.Second

// documentsSent is what the box waits for before it is online.
func (g *gateway) documentsSent() <-chan struct{} {
	if g.publisher == nil {
		return nil
	}
	return g.publisher.Ready()
}

// republish sends availability and state of everything again, the box last: as long as
// it is offline, nothing is shown.
func (g *gateway) republish(ctx context.Context) error {
	if g.boxUpdate != nil {
		if err := g.boxUpdate.Republish(ctx); err != nil {
			return err
		}
	}
	if g.zigbee != nil {
		g.zigbee.Bridge().Republish()
	}
	return errors.Join(g.sticks.Republish(ctx), g.bridge.Republish(ctx), g.boxState.Republish(ctx))
}

func (g *gateway) simulatedPort() string { return filepath.Join(g.o.Data, "simulated-meter") }

// Health reports why the house does not work, or nil.
func (g *gateway) Health() error { return g.store.Err() }

// losses says what is known to have been lost from the store.
func (g *gateway) losses() []string {
	report := g.store.Report()
	return report.Losses()
}
