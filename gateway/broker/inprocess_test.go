package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

func newClient(t testing.TB, s *server, id string) *broker.Client {
	t.Helper()
	c, err := s.NewClient(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// inbox subscribes an in-process client and collects what comes.
func inbox(t testing.TB, c *broker.Client, filter string, qos mqtt.QoS) chan mqtt.Message {
	t.Helper()
	messages := make(chan mqtt.Message, 20_000)
	if err := c.Subscribe(t.Context(), filter, qos, func(m mqtt.Message) { messages <- m }); err != nil {
		t.Fatal(err)
	}
	return messages
}

func receive(t testing.TB, messages <-chan mqtt.Message) mqtt.Message {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		panic("unreachable")
	}
}

// An in-process client and one on a socket see the same.
func TestInProcessLikeSocket(t *testing.T) {
	s := newServer(t)
	inside := newClient(t, s, "inside")
	for qos := range mqtt.QoS(3) {
		topic := fmt.Sprint("both/", qos)
		socket := connect(t, s, clean(mqtt.V50, "socket"))
		socket.subscribe(filter(topic, 2))
		messages := inbox(t, inside, topic, 2)
		const properties = "\x03\x00\x01t\x26\x00\x01a\x00\x01b"
		published := mqtt.Message{Topic: topic, Payload: []byte("x"), QoS: qos, Retain: true, Properties: []byte(properties)}
		if err := inside.Publish(t.Context(), published); err != nil {
			t.Fatal(err)
		}
		socket.take(1, func(_ int, m *mqtt.Publish) {
			if string(m.Topic) != topic || string(m.Payload) != "x" || m.QoS != qos || m.Retain || string(m.Properties) != properties {
				t.Errorf("the socket received %+v", m)
			}
		})
		if m := receive(t, messages); m.Topic != topic || string(m.Payload) != "x" || m.QoS != qos || m.Retain || string(m.Properties) != properties {
			t.Errorf("the client received %+v", m)
		}
		// The retained message comes to who subscribes later, with RETAIN.
		late := newClient(t, s, "late")
		if m := receive(t, inbox(t, late, "both/+", 1)); !m.Retain || m.QoS != min(qos, 1) || string(m.Properties) != properties {
			t.Errorf("the late client received %+v", m)
		}
		late.Close()
		socket.exchange(&mqtt.Publish{Topic: []byte("else"), QoS: qos, PacketID: uint16(min(qos, 1))})
		m := pub(topic, "back", qos, 2)
		socket.send(m, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("unused", 0)}})
		if m := receive(t, messages); string(m.Payload) != "back" || m.QoS != qos {
			t.Errorf("the client received %+v", m)
		}
		if err := inside.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1, Retain: true}); err != nil {
			t.Fatal(err)
		}
		if m := receive(t, messages); len(m.Payload) != 0 {
			t.Errorf("the client received %+v", m)
		}
		socket.net.Close()
	}
	if n := s.Stats().Retained; n != 0 {
		t.Errorf("%d retained messages are left", n)
	}
}

// A handler that is slow loses nothing of QoS 1 and 2, and keeps nobody waiting.
func TestSlowHandler(t *testing.T) {
	s := newServer(t)
	inside := newClient(t, s, "inside")
	var mu sync.Mutex
	mu.Lock() // the handler is as slow as can be
	got := make(chan string, 5000)
	if err := inside.Subscribe(t.Context(), "slow/#", 2, func(m mqtt.Message) {
		mu.Lock()
		defer mu.Unlock()
		got <- string(m.Payload)
	}); err != nil {
		t.Fatal(err)
	}
	const n = 2000
	from := connect(t, s, clean(mqtt.V311, "from"))
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		for i := range n {
			from.send(pub("slow/x", fmt.Sprint(qos, i), qos, uint16(i+1)))
		}
		for i := range n {
			from.wantAck(mqtt.PUBACK+mqtt.PacketType(qos)-1, uint16(i+1), mqtt.Success)
		}
	}
	other := newClient(t, s, "other")
	receiveOther := inbox(t, other, "other", 1)
	if err := inside.Publish(t.Context(), mqtt.Message{Topic: "other", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	receive(t, receiveOther)
	mu.Unlock()
	for qos := 1; qos <= 2; qos++ {
		for i := range n {
			select {
			case payload := <-got:
				if payload != fmt.Sprint(qos, i) {
					t.Fatalf("received %q, want %q", payload, fmt.Sprint(qos, i))
				}
			case <-time.After(patience):
				t.Fatalf("message %d of QoS %d did not come", i, qos)
			}
		}
	}
}

// All retained messages reach an in-process client too.
func TestInProcessManyRetained(t *testing.T) {
	s := newServer(t)
	inside := newClient(t, s, "inside")
	const n = 15_000 // more than the inbox holds
	for i := range n {
		if err := inside.Publish(t.Context(), mqtt.Message{Topic: fmt.Sprint("r/", i), Payload: []byte("x"), Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	for qos := range mqtt.QoS(2) {
		messages := inbox(t, newClient(t, s, fmt.Sprint("late", qos)), "r/#", qos)
		for range n {
			receive(t, messages)
		}
	}
}

func TestInProcessRefusals(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	ctx := t.Context()
	nothing := func(mqtt.Message) {}
	for _, m := range []mqtt.Message{{}, {Topic: "a/#"}, {Topic: "a", QoS: 3}} {
		if c.Publish(ctx, m) == nil {
			t.Errorf("%+v was published", m)
		}
	}
	if c.Subscribe(ctx, "a#", 0, nothing) == nil || c.Subscribe(ctx, "a", 3, nothing) == nil {
		t.Error("a wrong subscription was made")
	}
	c.Close()
	c.Close()
	if err := c.Publish(ctx, mqtt.Message{Topic: "a"}); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Publish after Close: %v", err)
	}
	if err := c.Subscribe(ctx, "a", 0, nothing); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Subscribe after Close: %v", err)
	}
	if n := s.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// Close does not wait for all that is in the inbox, only for the handler that
// runs; a second client with the same id takes over.
func TestInProcessClose(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	if err := c.Subscribe(t.Context(), "t", 0, func(mqtt.Message) { entered <- struct{}{}; <-leave }); err != nil {
		t.Fatal(err)
	}
	other := newClient(t, s, "other")
	for range 100 {
		if err := other.Publish(t.Context(), mqtt.Message{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	<-entered
	var g sync.WaitGroup
	g.Go(c.Close)
	eventually(t, "the client is told to go", func() bool {
		return errors.Is(c.Publish(t.Context(), mqtt.Message{Topic: "x"}), broker.ErrClosed)
	})
	close(leave)
	g.Wait()
	if n := len(entered); n > 0 {
		t.Errorf("%d more handlers ran", n)
	}
	first := newClient(t, s, "same")
	second := newClient(t, s, "same")
	if err := first.Publish(t.Context(), mqtt.Message{Topic: "x"}); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("the first client still publishes: %v", err)
	}
	if err := second.Publish(t.Context(), mqtt.Message{Topic: "x"}); err != nil {
		t.Error(err)
	}
}

// Publishing of QoS 1 and 2 returns when the message is in the store.
func TestInProcessDurable(t *testing.T) {
	l := newLasting(t, broker.Options{})
	to := connect(t, l.server, durable(mqtt.V311, "to"))
	to.subscribe(filter("t", 2))
	to.bye()
	c := newClient(t, l.server, "c")
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		if err := c.Publish(context.Background(), mqtt.Message{Topic: "t", Payload: []byte{'0' + qos}, QoS: qos}); err != nil {
			t.Fatal(err)
		}
	}
	l.restart()
	connect(t, l.server, durable(mqtt.V311, "to")).take(2, func(i int, m *mqtt.Publish) {
		if m.QoS != mqtt.QoS(i+1) || string(m.Payload) != fmt.Sprint(i+1) {
			t.Errorf("received %s with QoS %d", m.Payload, m.QoS)
		}
	})
}

// Retained messages of QoS 1 and 2 that a client has not acknowledged are part
// of its session like all others, also over a restart.
func TestRestartWithRetainedInFlight(t *testing.T) {
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		l := newLasting(t, broker.Options{MaxInflight: 2})
		from := connect(t, l.server, clean(mqtt.V311, "from"))
		for i := range 4 {
			from.publish(fmt.Sprint("r/", i), "x", qos, true)
		}
		to := connect(t, l.server, durable(mqtt.V311, "to"))
		to.subscribe(filter("r/#", 2))
		first := map[string]uint16{}
		for range 2 {
			m := to.message()
			first[string(m.Topic)] = m.PacketID
		}
		to = l.again(to, durable(mqtt.V311, "to"))
		seen := make(map[string]bool)
		to.take(4, func(i int, m *mqtt.Publish) {
			id, before := first[string(m.Topic)]
			if m.Dup != before || before && m.PacketID != id || m.QoS != qos {
				t.Errorf("%s with id %d, DUP %t and QoS %d; first sent as %d", m.Topic, m.PacketID, m.Dup, m.QoS, id)
			}
			seen[string(m.Topic)] = true
		})
		if len(seen) != 4 {
			t.Errorf("received %v", seen)
		}
	}
}
