package znp_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/znp"
)

// port is one end of a stream in memory.
type port struct{ net.Conn }

func (port) SetLine(serialbridge.Line) error { return nil }

// bench is a simulated stick in a network, and what its driver tells.
type bench struct {
	*testing.T
	air   *air.Network
	stick *znpstick.Stick

	ctx    context.Context
	serve  sync.WaitGroup
	mu     sync.Mutex
	events []zigbee.Event
}

// play runs a test with a stick in a bubble of synctest.
func play(t *testing.T, o znpstick.Options, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &bench{T: t, ctx: ctx, air: air.New(air.Options{Seed: 1})}
		var run sync.WaitGroup
		run.Go(func() { b.air.Run(ctx) })
		if os.Getenv("ZNP_DEBUG") != "" {
			o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		b.stick = znpstick.New(b.air, o)
		test(b)
		if n := b.stick.Unhandled(); len(n) > 0 {
			t.Errorf("the stick does not know %v", n)
		}
		b.stick.Close()
		cancel()
		run.Wait()
		b.serve.Wait()
	})
}

// plug connects to the stick.
func (b *bench) plug() serialbridge.Port {
	near, far := net.Pipe()
	b.serve.Go(func() { b.stick.Serve(b.ctx, far) })
	return port{near}
}

// open opens the stick.
func (b *bench) open() *znp.Coordinator {
	b.Helper()
	c, err := b.tryOpen()
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (b *bench) tryOpen() (*znp.Coordinator, error) {
	return b.openFor(func(e zigbee.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	})
}

func (b *bench) openFor(events func(zigbee.Event)) (*znp.Coordinator, error) {
	c, err := znp.Open(b.ctx, b.plug(), znp.Options{})
	if err == nil && events != nil {
		c.Events(events)
	}
	return c, err
}

// close closes the coordinator and waits until the stick notices.
func (b *bench) close(c *znp.Coordinator) {
	b.Helper()
	if err := c.Close(); err != nil {
		b.Error(err)
	}
	b.serve.Wait()
}

// heard returns the events of a type and forgets them.
func heard[E zigbee.Event](b *bench) (found []E) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []zigbee.Event
	for _, e := range b.events {
		if wanted, ok := e.(E); ok {
			found = append(found, wanted)
		} else {
			rest = append(rest, e)
		}
	}
	b.events = rest
	return found
}

// one waits for an event.
func one[E zigbee.Event](b *bench) (e E) {
	b.Helper()
	for range 1000 {
		if found := heard[E](b); len(found) > 0 {
			return found[0]
		}
		wait(10 * time.Millisecond)
	}
	b.Fatalf("no %T came", e)
	return e
}

// wait lets the time of the bubble pass.
func wait(d time.Duration) { <-time.After(d) }

// home is the network of the tests.
var home = zigbee.Parameters{
	PANID:         0x1a62,
	ExtendedPANID: [8]byte{1, 2, 3, 4, 5, 6, 7, 8},
	Channel:       15,
	NetworkKey:    [16]byte{1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 13},
}

var cc2652 = znpstick.Options{Product: znpstick.ZStack3x0}

const lamp zigbee.IEEEAddress = 0x0017880103cafe01

// form opens a blank stick and forms the network.
func (b *bench) form() *znp.Coordinator {
	b.Helper()
	c := b.open()
	if _, err := c.Network(b.ctx); !errors.Is(err, zigbee.ErrNoNetwork) {
		b.Fatalf("a blank stick has a network: %v", err)
	}
	if err := c.Form(b.ctx, home); err != nil {
		b.Fatal(err)
	}
	return c
}

// join lets a device join and returns its address.
func (b *bench) join(c *znp.Coordinator, d air.Device) zigbee.NetworkAddress {
	b.Helper()
	if err := b.air.Add(d); err != nil {
		b.Fatal(err)
	}
	if err := c.PermitJoin(b.ctx, zigbee.BroadcastRouters, time.Minute); err != nil {
		b.Fatal(err)
	}
	wait(100 * time.Millisecond)
	if err := b.air.Join(d.IEEEAddress); err != nil {
		b.Fatal(err)
	}
	joined, announced := one[zigbee.Joined](b), one[zigbee.Announced](b)
	if joined.IEEEAddress != d.IEEEAddress || announced.IEEEAddress != d.IEEEAddress ||
		joined.NetworkAddress != announced.NetworkAddress {
		b.Fatalf("%+v, %+v", joined, announced)
	}
	return joined.NetworkAddress
}

func TestFormAndTalk(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		if p, err := c.Network(b.ctx); err != nil || p != home {
			t.Fatalf("%+v, %v", p, err)
		}
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		// Read the model: Basic, attribute 5.
		if err := c.Send(b.ctx, zigbee.Outgoing{
			Destination: to, DestinationEndpoint: 11, SourceEndpoint: zigbee.EndpointHome,
			Profile: zigbee.ProfileHomeAutomation, Data: []byte{0x10, 7, 0x00, 5, 0},
		}); err != nil {
			t.Fatal(err)
		}
		m := one[zigbee.Incoming](b)
		if want := "\x18\x07\x01\x05\x00\x00\x42\x06LCA001"; string(m.Data) != want || m.Source != to ||
			m.SourceEndpoint != 11 || m.DestinationEndpoint != zigbee.EndpointHome || m.LinkQuality != 120 {
			t.Errorf("%+v", m)
		}
	})
}
