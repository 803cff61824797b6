package broker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// A broker in a program of its own, with its own listener and access check. Errors
// are left out for short.
func Example() {
	dir, _ := os.MkdirTemp("", "broker")
	defer os.RemoveAll(dir)
	store, _ := persist.Open(dir, persist.Options{})
	defer store.Close()
	b, _ := broker.New(store, broker.Options{
		Authenticate: func(_ context.Context, r *broker.ConnectRequest) error {
			if r.UserName == "alice" && string(r.Password) == "rabbit" {
				return nil
			}
			return &broker.Refusal{Code: mqtt.BadUserNameOrPassword}
		},
		Authorize: func(r *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
			if r.InProcess || strings.HasPrefix(topic, "garden/") {
				return broker.Allow
			}
			return broker.Deny
		},
	})
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error { return b.Serve(ctx, l, "garden") })

	c, _ := b.NewClient("gardener")
	received := make(chan mqtt.Message)
	c.Subscribe(ctx, "garden/#", 1, func(m mqtt.Message) { received <- m })
	c.Publish(ctx, mqtt.Message{Topic: "garden/temperature", Payload: []byte("21.5"), QoS: 1})
	m := <-received
	fmt.Printf("%s %s\n", m.Topic, m.Payload)

	cancel()
	fmt.Println(g.Wait())
	// Output:
	// garden/temperature 21.5
	// <nil>
}
