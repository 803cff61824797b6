package herdsman

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"lintel/serialbridge"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/ezsp"
	"lintel/serialbridge/zigbee/znp"
)

// stick is a simulated stick of any family.
type stick interface {
	Serve(ctx context.Context, rw io.ReadWriter) error
}

// family is a kind of stick, and who drives it.
type family struct {
	name    string
	adapter string // herdsman's name of its driver
	make    func(n *air.Network, a zigbee.IEEEAddress) (s stick, unhandled func() []string)
	open    func(ctx context.Context, p serialbridge.Port) (zigbee.Coordinator, error)
}

func zstack(product znpstick.Product) func(*air.Network, zigbee.IEEEAddress) (stick, func() []string) {
	return func(n *air.Network, a zigbee.IEEEAddress) (stick, func() []string) {
		s := znpstick.New(n, znpstick.Options{Product: product, IEEEAddress: a})
		return s, func() (list []string) {
			for command, times := range s.Unhandled() {
				list = append(list, fmt.Sprintf("%s %d times", command, times))
			}
			return list
		}
	}
}

func ember(version uint8) func(*air.Network, zigbee.IEEEAddress) (stick, func() []string) {
	return func(n *air.Network, a zigbee.IEEEAddress) (stick, func() []string) {
		s := ezspstick.New(n, ezspstick.Options{Version: version, IEEEAddress: a})
		return s, func() (list []string) {
			for command, times := range s.Counters().Unhandled {
				list = append(list, fmt.Sprintf("0x%04x %d times", command, times))
			}
			return list
		}
	}
}

func openZNP(ctx context.Context, p serialbridge.Port) (zigbee.Coordinator, error) {
	return znp.Open(ctx, p, znp.Options{})
}

func openEZSP(ctx context.Context, p serialbridge.Port) (zigbee.Coordinator, error) {
	return ezsp.Open(ctx, p, ezsp.Options{})
}

// tested are the families that a test goes through: in the short form one of each adapter.
func tested(families []family) []family {
	if !testing.Short() {
		return families
	}
	return slices.CompactFunc(slices.Clone(families), func(a, b family) bool { return a.adapter == b.adapter })
}

// families are the sticks that herdsman is to drive.
var families = []family{
	{"Z-Stack 3.x.0", "zstack", zstack(znpstick.ZStack3x0), openZNP},
	{"EZSP 13", "ember", ember(13), openEZSP},
	{"EZSP 14", "ember", ember(14), openEZSP},
	{"EZSP 16", "ember", ember(16), openEZSP},
}

// onTCP gives a stick power and returns the path under which herdsman finds it.
func onTCP(t *testing.T, s stick) (path string, off func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			_ = s.Serve(ctx, c) // it ends when herdsman hangs up
			stop()
			c.Close()
		}
	})
	off = sync.OnceFunc(func() {
		cancel()
		l.Close()
		running.Wait()
	})
	t.Cleanup(off)
	return "tcp://" + l.Addr().String(), off
}

// onPTY is onTCP for a serial port.
func onPTY(t *testing.T, s stick) (path string, off func()) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(ctx, master) }) // it ends with ctx
	off = sync.OnceFunc(func() {
		cancel()
		slave.Close()
		master.Close()
		running.Wait()
	})
	t.Cleanup(off)
	return slave.Name(), off
}

// port is a port of ours, without a setting.
type port struct{ net.Conn }

func (port) SetLine(serialbridge.Line) error { return nil }

// drive opens a stick with our own driver. The events are gathered.
func drive(t *testing.T, f family, s stick) (c zigbee.Coordinator, heard func(is func(zigbee.Event) bool) bool) {
	t.Helper()
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(ctx, theirs) }) // it ends with ctx
	events := make(chan zigbee.Event, 1000)
	opening, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	c, err := f.open(opening, port{ours})
	if err != nil {
		t.Fatal(err)
	}
	c.Events(func(e zigbee.Event) { events <- e })
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		theirs.Close()
		running.Wait()
	})
	return c, func(is func(zigbee.Event) bool) bool {
		timeout := time.After(patience)
		for {
			select {
			case e := <-events:
				if is(e) {
					return true
				}
			case <-timeout:
				return false
			}
		}
	}
}
