package z2m

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// house is a bridge at a real broker with real stores, and somebody who hears all.
type house struct {
	*Bridge
	t       *testing.T
	broker  *broker.Broker
	client  *broker.Client // somebody else's
	heard   chan mqtt.Message
	run     func() // starts Bridge.Run
	stopped chan error
	stop    context.CancelFunc
}

const patience = 10 * time.Second

// newHouse makes a house whose devices are what the test tells the bridge.
func newHouse(t *testing.T, change func(*Options)) *house {
	t.Helper()
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	br, err := broker.New(store, broker.Options{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- br.Run(ctx) }()
	own, err := br.NewClient("zigbee")
	if err != nil {
		t.Fatal(err)
	}
	other, err := br.NewClient("somebody")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, broker: br, client: other, heard: make(chan mqtt.Message, 10_000), stopped: make(chan error, 1)}
	const asPublished = 0x08
	if err := other.Subscribe(ctx, "zigbee2mqtt/#", 2|asPublished|mqtt.NoLocal, func(m mqtt.Message) { h.heard <- m }); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Broker: own, Version: "0", Server: "mqtt://localhost", Settings: bucket[map[string]any](t, store, "settings"),
		States: bucket[map[string]any](t, store, "states"),
		Network: zigbee.Options{
			Store: bucket[zigbee.Device](t, store, "devices"), Memory: bucket[string](t, store, "memory"),
		},
	}
	if change != nil {
		change(&o)
	}
	if h.Bridge, err = New(o); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	started := false
	h.stop = stop
	h.run = func() {
		started = true
		go func() { h.stopped <- h.Bridge.Run(running) }()
	}
	t.Cleanup(func() {
		stop()
		if started {
			<-h.stopped
		}
		own.Close()
		other.Close()
		cancel()
		<-served
		store.Close()
	})
	return h
}

func bucket[T any](t *testing.T, s *persist.Store, name string) *persist.Bucket[T] {
	t.Helper()
	b, err := persist.NewBucket[T](s, name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// next returns the next message whose topic is wanted.
func (h *house) next(topic string) mqtt.Message {
	h.t.Helper()
	deadline := time.After(patience)
	var others []string
	for {
		select {
		case m := <-h.heard:
			others = append(others, fmt.Sprintf("%s %.200s", m.Topic, m.Payload))
			if m.Topic == "zigbee2mqtt/"+topic {
				return m
			}
		case <-deadline:
			h.t.Fatalf("nothing came on %s, but\n%s", topic, strings.Join(others, "\n"))
		}
	}
}

// want waits for a message with that payload.
func (h *house) want(topic, payload string) mqtt.Message {
	h.t.Helper()
	m := h.next(topic)
	if string(m.Payload) != payload {
		h.t.Fatalf("%s:\n got %s\nwant %s", topic, m.Payload, payload)
	}
	return m
}

// say publishes below the base topic.
func (h *house) say(topic, payload string) {
	h.t.Helper()
	if err := h.client.Publish(context.Background(), mqtt.Message{Topic: "zigbee2mqtt/" + topic, Payload: []byte(payload)}); err != nil {
		h.t.Fatal(err)
	}
}

// ask sends a request and returns the answer.
func (h *house) ask(name, payload string) string {
	h.t.Helper()
	h.say("bridge/request/"+name, payload)
	return string(h.next("bridge/response/" + name).Payload)
}

// simple resolves devices to definitions of their model's name.
func simple(definitions map[string]*devices.Definition) func(*zigbee.Device) *devices.Definition {
	return func(d *zigbee.Device) *devices.Definition {
		def := definitions[d.ModelID]
		if def == nil {
			return nil
		}
		c := *def
		c.Model, c.Vendor, c.Description = d.ModelID, "Lintel", fmt.Sprintf("A %s of the tests", d.ModelID)
		return &c
	}
}
