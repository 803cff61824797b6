package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

// What a run before has left online is offline before anybody is let in: the box, its
// sticks, and more devices than go to a client at once.
func TestNobodyIsOnlineBeforeTheDoorOpens(t *testing.T) {
	t.Parallel()
	store, err := openStore(t.TempDir(), nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b, err := broker.New(store, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	defer func() { stop(); <-ended }()

	before, err := b.NewClient("the run before")
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	left := []string{"gateway", "stick_1a86_7523_1-1"}
	for i := range 200 {
		left = append(left, fmt.Sprint("device_", i))
	}
	for _, id := range left {
		if err := before.Publish(ctx, mqtt.Message{Topic: "lintel/" + id + "/availability", Payload: []byte("online"), QoS: 1, Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	own, err := b.NewClient("lintel-serialbridge")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	s := serialbridge.New(serialbridge.Options{Broker: own, Root: t.TempDir()})
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	shown := make(chan mqtt.Message, 2*len(left))
	if err := before.Subscribe(ctx, "lintel/+/availability", 1, func(m mqtt.Message) { shown <- m }); err != nil {
		t.Fatal(err)
	}
	for range left {
		select {
		case m := <-shown:
			if !m.Retain || string(m.Payload) != "offline" {
				t.Fatalf("%s is %q, retained %v", m.Topic, m.Payload, m.Retain)
			}
		case <-ctx.Done():
			t.Fatal("an availability is missing")
		}
	}
}
