package ezsp_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/ezsp"
)

// versions are those that the tests run with: before 14 and from it on, and
// those in which something else has changed.
var versions = []uint8{13, 14, 16, 19}

const stickAddress zigbee.IEEEAddress = 0x00124b0000000001

// house is a stick with a network around it, under synctest.
type house struct {
	t       *testing.T
	network *air.Network
	stick   *ezspstick.Stick
	cancel  context.CancelFunc

	mu      sync.Mutex
	events  []zigbee.Event
	records []air.Record
}

func newHouse(t *testing.T, o ezspstick.Options) *house {
	h := &house{t: t}
	h.network = air.New(air.Options{Seed: 1, Sent: func(r air.Record) {
		h.mu.Lock()
		h.records = append(h.records, r)
		h.mu.Unlock()
	}})
	if o.IEEEAddress == 0 {
		o.IEEEAddress = stickAddress
	}
	h.stick = ezspstick.New(h.network, o)
	ctx, cancel := context.WithCancel(t.Context())
	h.cancel = cancel
	go h.network.Run(ctx)
	t.Cleanup(cancel)
	return h
}

// plug gives the stick power and returns the host's end of its line, and what pulls
// it out.
func (h *house) plug() (host *end, unplug func()) {
	return h.plugIn(h.stick)
}

func (h *house) plugIn(stick *ezspstick.Stick) (host *end, unplug func()) {
	host, far := newLine()
	done := make(chan struct{})
	go func() {
		defer close(done)
		stick.Serve(context.Background(), far)
	}()
	var once sync.Once
	unplug = func() {
		once.Do(func() {
			far.unplug()
			<-done
			synctest.Wait()
		})
	}
	h.t.Cleanup(unplug)
	return host, unplug
}

func (h *house) event(e zigbee.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// open plugs the stick in and opens it.
func (h *house) open() (c *ezsp.Coordinator, unplug func()) {
	h.t.Helper()
	return h.openStick(h.stick)
}

func (h *house) openStick(stick *ezspstick.Stick) (*ezsp.Coordinator, func()) {
	h.t.Helper()
	host, unplug := h.plugIn(stick)
	c, err := ezsp.Open(h.t.Context(), host, ezsp.Options{})
	if err != nil {
		h.t.Fatalf("open: %v", err)
	}
	c.Events(h.event)
	return c, func() {
		c.Close()
		unplug()
	}
}

// wanted returns the events of one type so far.
func eventsOf[E zigbee.Event](h *house) []E {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []E
	for _, e := range h.events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

var parameters = zigbee.Parameters{
	PANID:         0x1a62,
	ExtendedPANID: [8]byte{1, 2, 3, 4, 5, 6, 7, 8},
	Channel:       15,
	NetworkKey:    [16]byte{1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12, 13},
}

// each runs a test with each version, in time that is made up.
func each(t *testing.T, test func(t *testing.T, version uint8)) {
	for _, v := range versions {
		t.Run(fmt.Sprintf("EZSP%d", v), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, v) })
		})
	}
}

// join lets a device join through a network that is open, and returns where it is.
func (h *house) join(c *ezsp.Coordinator, device air.Device) zigbee.NetworkAddress {
	h.t.Helper()
	if err := c.PermitJoin(h.t.Context(), zigbee.BroadcastRouters, time.Minute); err != nil {
		h.t.Fatalf("permit join: %v", err)
	}
	if err := h.network.Add(device); err != nil {
		h.t.Fatal(err)
	}
	if err := h.network.Join(device.IEEEAddress); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(5 * time.Second) // of made-up time
	for _, d := range h.network.Devices() {
		if d.IEEEAddress == device.IEEEAddress && d.Joined {
			return d.Address
		}
	}
	h.t.Fatalf("%s has not joined", device.IEEEAddress)
	return 0
}

func TestFormJoinSend(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		c, unplug := h.open()
		defer unplug()
		ctx := t.Context()
		if info := c.Info(); info.IEEEAddress != stickAddress || info.Type != "EmberZNet" || info.Meta["ezsp"] != version {
			t.Errorf("info is %+v", info)
		}
		if _, err := c.Network(ctx); !errors.Is(err, zigbee.ErrNoNetwork) {
			t.Fatalf("a blank stick holds a network: %v", err)
		}
		if err := c.Form(ctx, parameters); err != nil {
			t.Fatalf("form: %v", err)
		}
		if p, err := c.Network(ctx); err != nil || p != parameters {
			t.Fatalf("network is %+v, %v", p, err)
		}

		const plug zigbee.IEEEAddress = 0x000d6ffffe000001
		address := h.join(c, air.Device{IEEEAddress: plug, Kind: air.Plug})
		if joined := eventsOf[zigbee.Joined](h); len(joined) != 1 || joined[0].IEEEAddress != plug || joined[0].NetworkAddress != address {
			t.Errorf("joined: %+v", joined)
		}
		if announced := eventsOf[zigbee.Announced](h); len(announced) == 0 || announced[0].IEEEAddress != plug {
			t.Errorf("announced: %+v", announced)
		}

		// Node_Desc_req.
		answer, err := c.ZDO(ctx, address, 0x0002, []byte{byte(address), byte(address >> 8)})
		if err != nil || len(answer) < 4 || answer[0] != 0 {
			t.Fatalf("node descriptor: %x, %v", answer, err)
		}
		// Active_EP_req of the coordinator itself.
		answer, err = c.ZDO(ctx, 0, 0x0005, []byte{0, 0})
		if want := []byte{0, 0, 0, 2, 1, 242}; err != nil || string(answer) != string(want) {
			t.Errorf("endpoints: %x, %v", answer, err)
		}

		// Toggle, and a read of OnOff.
		err = c.Send(ctx, zigbee.Outgoing{
			Destination: address, DestinationEndpoint: 1, SourceEndpoint: 1,
			Profile: zigbee.ProfileHomeAutomation, Cluster: 0x0006, Data: []byte{0x00, 0x21, 0x00, 0x00, 0x00},
		})
		if err != nil {
			t.Fatalf("send: %v", err)
		}
		time.Sleep(time.Second)
		incoming := eventsOf[zigbee.Incoming](h)
		if len(incoming) == 0 {
			t.Fatal("no answer came")
		}
		last := incoming[len(incoming)-1]
		if last.Source != address || last.Cluster != 6 || last.Data[1] != 0x21 || last.Data[2] != 0x01 || last.Profile != zigbee.ProfileHomeAutomation || last.DestinationEndpoint != 1 {
			t.Errorf("answer is %+v", last)
		}
		if version >= 14 && last.IEEEAddress != plug {
			t.Errorf("of %s", last.IEEEAddress)
		}

		if err := h.network.Leave(plug); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if left := eventsOf[zigbee.Left](h); len(left) != 1 || left[0].IEEEAddress != plug {
			t.Errorf("left: %+v", left)
		}
		var failed *zigbee.DeliveryError
		err = c.Send(ctx, zigbee.Outgoing{Destination: address, DestinationEndpoint: 1, SourceEndpoint: 1, Profile: 0x0104, Cluster: 6, Data: []byte{1, 1, 2}})
		if !errors.As(err, &failed) || failed.Reason != zigbee.NoRoute || failed.Status != 0x66 {
			t.Errorf("send to nobody: %v", err)
		}
		if n := h.stick.Counters(); len(n.Unhandled) > 0 {
			t.Errorf("the stick does not know %v", n.Unhandled)
		}
		if n := c.Counters(); n.Malformed > 0 || n.Retransmitted > 0 || n.BadChecksums > 0 {
			t.Errorf("counters: %+v", n)
		}
	})
}

// TestResume: power goes, and the network comes back as it was.
func TestResume(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		c, unplug := h.open()
		if err := c.Form(t.Context(), parameters); err != nil {
			t.Fatal(err)
		}
		const plug zigbee.IEEEAddress = 0x000d6ffffe000001
		address := h.join(c, air.Device{IEEEAddress: plug, Kind: air.Plug})
		unplug()
		<-c.Done()

		c, unplug = h.open()
		defer unplug()
		if p, err := c.Network(t.Context()); err != nil || p != parameters {
			t.Fatalf("network is %+v, %v", p, err)
		}
		if err := c.Resume(t.Context()); err != nil {
			t.Fatalf("resume: %v", err)
		}
		if _, err := c.ZDO(t.Context(), address, 0x0005, []byte{byte(address), byte(address >> 8)}); err != nil {
			t.Errorf("the device does not answer after power came back: %v (it says: %v)", err, h.network.Doubts(plug))
		}
	})
}

// TestReset: a stick that restarts by itself ends the coordinator with a reason.
func TestReset(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		c, unplug := h.open()
		defer unplug()
		if err := c.Form(t.Context(), parameters); err != nil {
			t.Fatal(err)
		}
		h.stick.Reset()
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "watchdog") {
			t.Errorf("it ended with %v", err)
		}
		if err := c.Send(t.Context(), zigbee.Outgoing{Destination: 1}); err == nil {
			t.Error("sent after it had ended")
		}
		unplug()

		c, unplug = h.open()
		defer unplug()
		if err := c.Resume(t.Context()); err != nil {
			t.Errorf("resume: %v", err)
		}
	})
}

func TestUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, ezspstick.Options{})
		host, unplug := h.plug()
		c, err := ezsp.Open(t.Context(), host, ezsp.Options{})
		if err != nil {
			t.Fatal(err)
		}
		unplug()
		<-c.Done()
		if err := c.Err(); err == nil {
			t.Error("no reason")
		}
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, ezspstick.Options{})
		c, unplug := h.open()
		defer unplug()
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := c.Err(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("it ended with %v", err)
		}
		if err := c.Resume(t.Context()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("resume after close: %v", err)
		}
	})
}

// TestTooOld and those after it: a stick that cannot be used says why.
func TestTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, ezspstick.Options{Faults: ezspstick.Faults{OldVersion: 8}})
		host, unplug := h.plug()
		defer unplug()
		_, err := ezsp.Open(t.Context(), host, ezsp.Options{})
		if err == nil || err.Error() != "ezsp: the firmware speaks EZSP 8; flash EmberZNet 7.4 or later" {
			t.Errorf("open: %v", err)
		}
	})
}

func TestForeign(t *testing.T) {
	for _, test := range []struct{ name, says, want string }{
		{"silent", "", "nothing answers"},
		{"ZNP", "\xfe\x02\x61\x01\x59\x06\x3d", "Z-Stack"},
		{"boot loader", "\r\nGecko Bootloader v2.4.2\r\n1. upload gbl\r\n2. run\r\nBL > ", "boot loader"},
		{"Thread", "\x7e\x80\x06\x00\x72\x45\x1f\x7e", "Thread"},
		{"noise", "\x00\xff\x13\x37\x42\x00\x11\x7e", "sends what is not of EZSP"},
		{"old ASH", "\xc1\x01\x0b\x5f\x01\x7e", "ASH"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host, far := newLine()
				go func() {
					buf := make([]byte, 100)
					for {
						if _, err := far.Read(buf); err != nil {
							return
						}
						far.Write([]byte(test.says))
					}
				}()
				_, err := ezsp.Open(t.Context(), host, ezsp.Options{})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("open: %v", err)
				}
				far.unplug()
			})
		})
	}
}

var _ serialbridge.Port = (*end)(nil)
