// Package zigbeehouse puts a simulated Zigbee stick, and a house full of devices behind it,
// where a gateway finds it: on a pty or on TCP. Demo mode, lintelctl and tests use it.
//
// [House.Run] blocks and owns all goroutines: those of the network, of the stick, and one that
// lets devices look for a network. On TCP one client is served at a time.
package zigbeehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/serialbridge/simulator"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/simulator/znpstick"
)

// Kinds are the sticks that there are: Texas Instruments' with Z-Stack 3.x.0, and Silicon
// Labs' with two versions of EZSP.
var Kinds = []string{"zigbee-znp", "zigbee-ezsp", "zigbee-ezsp14"}

// Options are the options of New.
type Options struct {
	Kind string // one of Kinds
	// At is where the stick is: the path of a link to its pty, or tcp:HOST:PORT.
	At      string
	Devices []air.Device // nil: those of air.Household
	Air     air.Options
	Seed    uint64 // of the stick
	// JoinEvery is how often one of the devices that are in no network looks for one; 0: each
	// second.
	JoinEvery time.Duration
	Logger    *slog.Logger // nil: silent
}

// House is a stick and its devices. Those that are not in a network look for one that is open
// all the time.
type House struct {
	o     Options
	Air   *air.Network
	serve func(context.Context, io.ReadWriter) error
}

// New returns a house that does nothing until Run.
func New(o Options) (*House, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.JoinEvery <= 0 {
		o.JoinEvery = time.Second
	}
	if o.Devices == nil {
		o.Devices = air.Household()
	}
	h := &House{o: o, Air: air.New(o.Air)}
	switch o.Kind {
	case "zigbee-znp":
		h.serve = znpstick.New(h.Air, znpstick.Options{Product: znpstick.ZStack3x0, Seed: o.Seed, Logger: o.Logger}).Serve
	case "zigbee-ezsp", "zigbee-ezsp14":
		version := uint8(13)
		if o.Kind == "zigbee-ezsp14" {
			version = 14
		}
		h.serve = ezspstick.New(h.Air, ezspstick.Options{Version: version, Logger: o.Logger}).Serve
	default:
		return nil, fmt.Errorf("there is no simulated stick %q, only %s", o.Kind, strings.Join(Kinds, ", "))
	}
	for _, d := range o.Devices {
		if err := h.Air.Add(d); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Known says whether there is a stick of that kind.
func Known(kind string) bool { return slices.Contains(Kinds, kind) }

// Run has the house live until ctx ends; it then returns nil.
func (h *House) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.Air.Run(ctx) })
	g.Go(func() error { return h.join(ctx) })
	g.Go(func() error {
		if address, ok := strings.CutPrefix(h.o.At, "tcp:"); ok {
			return h.listen(ctx, strings.TrimPrefix(address, "//"))
		}
		return simulator.Serve(ctx, h.o.At, h.serve)
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// join has one device after the other look for a network.
func (h *House) join(ctx context.Context) error {
	tick := time.NewTicker(h.o.JoinEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, d := range h.Air.Devices() {
			if !d.Joined && h.Air.Join(d.IEEEAddress) == nil {
				break
			}
		}
	}
}

// listen serves one client at a time.
func (h *House) listen(ctx context.Context, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		if err := h.serve(ctx, conn); err != nil && ctx.Err() == nil {
			h.o.Logger.Debug("client of the simulated stick gone", "err", err)
		}
		stop()
		conn.Close()
	}
}
