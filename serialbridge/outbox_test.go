package serialbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lintel/gateway/mqtt"
)

func TestSlowBrokerGetsTheNewest(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	h.broker.set(func() { h.broker.held = true })
	const frames = 2000
	for i := range frames {
		so.say(fmt.Sprintf("lines a temperature=%d .", i))
	}
	// All is decoded although the broker takes nothing.
	h.status(so.path, "through", func(st StickStatus) bool { return st.Frames == frames })
	h.broker.set(func() { h.broker.held = false })
	h.broker.awaitLast(t, "lintel/a/state", fmt.Sprintf(`{"temperature":%d}`, frames-1))
	if n := len(h.broker.all("lintel/a/state")); n > 3 {
		t.Errorf("%d states were published", n)
	}
}

func TestFailingBrokerIsTriedAgain(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	h.broker.set(func() { h.broker.refuse = errors.New("full") })
	so.say("lines a temperature=1 .")
	h.status(so.path, "heard", func(st StickStatus) bool { return st.Frames == 1 })
	h.broker.set(func() { h.broker.refuse = nil })
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.broker.awaitLast(t, "lintel/a/state", `{"temperature":1}`)
}

func TestRepublish(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("lines a temperature=1 .", "lines b humidity=2 .")
	h.broker.awaitLast(t, "lintel/b/state", `{"humidity":2}`)
	if err := h.Republish(t.Context()); err != nil { // what is on its way is there now
		t.Fatal(err)
	}
	topics := []string{"lintel/a/availability", "lintel/a/state", "lintel/b/availability", "lintel/b/state"}
	before := make(map[string]int)
	for _, topic := range topics {
		before[topic] = len(h.broker.all(topic))
	}
	if err := h.Republish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		if n := len(h.broker.all(topic)) - before[topic]; n != 1 {
			t.Errorf("%s was sent %d times", topic, n)
		}
	}
	h.broker.set(func() { h.broker.held = true })
	if err := h.Republish(canceled()); !errors.Is(err, context.Canceled) {
		t.Errorf("Republish = %v", err)
	}
	h.broker.set(func() { h.broker.held = false })
	h.stop()
	if err := h.Republish(t.Context()); err == nil {
		t.Error("Republish after the end")
	}
}

func TestEndSaysOffline(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{talker()}, Ports: []NamedPort{{Path: so.path, Protocol: "talker"}}}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("talker a temperature=1 .")
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.stop()
	if got := last(h.broker.messages, "lintel/a/availability"); got != "offline" {
		t.Errorf("availability is %q", got)
	}
}

func TestRunWithoutBroker(t *testing.T) {
	s := New(Options{Broker: deafBroker{}})
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "subscribe to the topics of devices: closed") {
		t.Errorf("Run = %v", err)
	}
}

type deafBroker struct{}

func (deafBroker) Publish(context.Context, mqtt.Message) error { return errors.New("closed") }

func (deafBroker) Subscribe(context.Context, string, mqtt.SubscriptionOptions, func(mqtt.Message)) error {
	return errors.New("closed")
}

// A power cut leaves "online" retained. Whoever is not there any more when the
// box comes back must not stay online for ever.
func TestLeftOnline(t *testing.T) {
	so := newSocket(t)
	so.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("lines attic temperature=1 .")
	h.broker.awaitLast(t, "lintel/attic/availability", "online")

	var retained func(mqtt.Message)
	h.broker.set(func() { retained = h.broker.handle["lintel/+/availability"] })
	for _, id := range []string{"gone", "attic", "gateway"} {
		retained(mqtt.Message{Topic: "lintel/" + id + "/availability", Payload: []byte("online"), QoS: 1, Retain: true})
	}
	retained(mqtt.Message{Topic: "lintel/live/availability", Payload: []byte("online"), QoS: 1})
	h.broker.awaitLast(t, "lintel/gone/availability", "offline")
	for _, id := range []string{"attic", "gateway", "live"} {
		for _, m := range h.broker.all("lintel/" + id + "/availability") {
			if string(m.Payload) == "offline" {
				t.Errorf("said offline for %s", id)
			}
		}
	}
}
