package homeassistant

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/homeassistant/fakehome"
	"lintel/gateway/mqtt"
	"lintel/persist"
	"lintel/serialbridge"
)

// TestQuickChangesLoseNothing: a device that comes to know of its properties faster than
// Home Assistant makes entities has all of them in the end, and only those.
func TestQuickChangesLoseNothing(t *testing.T) {
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(store, broker.Options{Authenticate: func(context.Context, *broker.ConnectRequest) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := b.NewClient("publisher")
	if err != nil {
		t.Fatal(err)
	}
	box := Box{ID: "box", Name: "Box", Version: "test"}
	publisher := NewPublisher(PublisherOptions{Broker: client, Box: box})
	home := fakehome.New(fakehome.Options{Timing: fakehome.Measured().Faster(20)})
	home.Configure(fakehome.Entry{Broker: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port})
	ctx, cancel := context.WithCancel(context.Background())
	brokerCtx, stopBroker := context.WithCancel(context.Background())
	var house, all errgroup.Group
	house.Go(func() error { return b.Run(brokerCtx) })
	house.Go(func() error { return b.Serve(brokerCtx, l, "") })
	all.Go(func() error { return publisher.Run(ctx) })
	all.Go(func() error { return home.Run(ctx) })
	defer func() {
		cancel()
		err := all.Wait()
		client.Close()
		stopBroker()
		if err := errors.Join(err, house.Wait(), store.Close()); err != nil {
			t.Error(err)
		}
	}()
	for topic, payload := range map[string]string{
		"lintel/gateway/availability": "online", "lintel/x/availability": "online", "lintel/x/state": `{"p0":0,"p1":1,"p2":2,"p3":3,"p4":4,"p5":5,"p6":6,"p7":7}`,
	} {
		if err := client.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte(payload), Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	device := func(n int) serialbridge.Device {
		d := serialbridge.Device{ID: "x", Name: "X"}
		for i := range n {
			d.Properties = append(d.Properties, serialbridge.Property{Key: fmt.Sprint("p", i), Kind: serialbridge.Measurement, Unit: "W", Precision: -1})
		}
		return d
	}
	right := func(n int) bool {
		states := make(map[string]string)
		for _, e := range home.Entities() {
			if e.Device == "lintel_x" {
				states[e.UniqueID] = e.State
			}
		}
		for i := range n {
			if states[fmt.Sprint("lintel_x_p", i)] != fmt.Sprint(i) {
				return false
			}
		}
		return len(states) == n
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for _, counts := range [][]int{{3, 8}, {2, 8}, {8, 1, 7, 4}} {
		for _, n := range counts {
			publisher.Device(device(n))
		}
		n := counts[len(counts)-1]
		late := time.After(time.Minute)
		for !right(n) {
			select {
			case <-again.C:
			case <-late:
				t.Fatalf("after %d properties: %+v", counts, home.Entities())
			}
		}
	}
	for _, c := range home.Complaints() {
		t.Error(c)
	}
}
