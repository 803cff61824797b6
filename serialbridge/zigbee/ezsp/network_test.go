package ezsp_test

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/zigbee"
)

func TestGroupsAndBroadcasts(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		var mu sync.Mutex
		var heard []zigbee.Incoming
		c, _, a := openQuiet(t, ezspstick.Options{Version: version}, func(e zigbee.Event) {
			mu.Lock()
			defer mu.Unlock()
			if m, ok := e.(zigbee.Incoming); ok {
				heard = append(heard, m)
			}
		})
		ctx := t.Context()
		send := func(m zigbee.Outgoing) {
			t.Helper()
			m.SourceEndpoint, m.Profile, m.Cluster, m.Data = 1, 0x0104, 6, []byte{1, 1, 2}
			if err := c.Send(ctx, m); err != nil {
				t.Fatalf("send: %v", err)
			}
		}
		send(zigbee.Outgoing{Group: 7})
		send(zigbee.Outgoing{Destination: zigbee.BroadcastAll, DestinationEndpoint: 0xff})
		time.Sleep(time.Second)
		sent := a.frames()
		if len(sent) != 2 || sent[0].Group != 7 || sent[0].DestinationEndpoint != 0xff || sent[1].Group != 0 || sent[1].Destination != zigbee.BroadcastAll {
			t.Fatalf("sent %+v", sent)
		}
		mu.Lock()
		if len(heard) != 0 {
			t.Errorf("it hears itself: %+v", heard)
		}
		mu.Unlock()

		// What it sends to it listens to; group 8 it does not know.
		group := report(0x1000, 1)
		group.Group = 7
		a.radio.Receive(group)
		group.Group = 8
		a.radio.Receive(group)
		all := report(0x1000, 2)
		all.Destination = zigbee.BroadcastAll
		a.radio.Receive(all)
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(heard) != 2 || heard[0].Group != 7 || heard[0].Broadcast || heard[1].Group != 0 || !heard[1].Broadcast {
			t.Errorf("heard %+v", heard)
		}
	})
}

// TestPermitJoin: everywhere, at the stick alone, through one router, and no more.
func TestPermitJoin(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		c, unplug := h.open()
		defer unplug()
		ctx := t.Context()
		if err := c.Form(ctx, parameters); err != nil {
			t.Fatal(err)
		}
		const first, second, third, fourth zigbee.IEEEAddress = 1, 2, 3, 4
		for _, d := range []air.Device{
			{IEEEAddress: first, Kind: air.Plug}, {IEEEAddress: second, Kind: air.Climate},
			{IEEEAddress: third, Kind: air.Contact}, {IEEEAddress: fourth, Kind: air.Motion},
		} {
			if err := h.network.Add(d); err != nil {
				t.Fatal(err)
			}
		}
		joins := func(d zigbee.IEEEAddress) (zigbee.Joined, bool) {
			t.Helper()
			before := len(eventsOf[zigbee.Joined](h))
			if err := h.network.Join(d); err != nil && !errors.Is(err, air.ErrClosed) {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			joined := eventsOf[zigbee.Joined](h)
			if len(joined) == before {
				return zigbee.Joined{}, false
			}
			return joined[len(joined)-1], true
		}
		if _, ok := joins(first); ok {
			t.Error("joined a network that is closed")
		}
		if err := c.PermitJoin(ctx, zigbee.ToCoordinator, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		router, ok := joins(first)
		if !ok || router.Parent != zigbee.ToCoordinator {
			t.Fatalf("joined: %+v", router)
		}
		time.Sleep(time.Minute)
		if _, ok := joins(second); ok {
			t.Error("joined after the time was up")
		}
		if err := c.PermitJoin(ctx, router.NetworkAddress, time.Minute); err != nil {
			t.Fatalf("permit through a router: %v", err)
		}
		if j, ok := joins(second); !ok || j.Parent != router.NetworkAddress {
			t.Errorf("joined: %+v", j)
		}
		if err := c.PermitJoin(ctx, zigbee.BroadcastRouters, 254*time.Second); err != nil {
			t.Fatal(err)
		}
		if _, ok := joins(third); !ok {
			t.Error("not joined through an open network")
		}
		if err := c.PermitJoin(ctx, zigbee.BroadcastRouters, 0); err != nil {
			t.Fatal(err)
		}
		if _, ok := joins(fourth); ok {
			t.Error("joined after the network was closed")
		}
	})
}

func TestInstallCode(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		c, unplug := h.open()
		defer unplug()
		if err := c.Form(t.Context(), parameters); err != nil {
			t.Fatal(err)
		}
		const device zigbee.IEEEAddress = 0x000d6ffffe000001
		key := [16]byte{0x66, 0xb6, 0x90, 0x09}
		if err := c.AddInstallCode(t.Context(), device, key); err != nil {
			t.Fatal(err)
		}
		h.join(c, air.Device{IEEEAddress: device, Kind: air.Climate, InstallCode: &key})
	})
}

func TestEnergyScan(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		c, _, _ := openQuiet(t, ezspstick.Options{Version: version}, nil)
		energy, err := c.EnergyScan(t.Context(), 1<<11|1<<15|1<<26)
		if err != nil || len(energy) != 3 {
			t.Fatalf("scan: %v, %v", energy, err)
		}
		for channel, e := range energy {
			if d := int(e) - int(channel)*9; d < -5 || d > 5 {
				t.Errorf("channel %d has %d, not %d", channel, e, channel*9)
			}
		}
	})
}

func TestChangeChannel(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		c, unplug := h.open()
		defer unplug()
		ctx := t.Context()
		if err := c.Form(ctx, parameters); err != nil {
			t.Fatal(err)
		}
		const plug zigbee.IEEEAddress = 0x000d6ffffe000001
		address := h.join(c, air.Device{IEEEAddress: plug, Kind: air.Plug})
		if err := c.ChangeChannel(ctx, 25); err != nil {
			t.Fatalf("change: %v", err)
		}
		if p, err := c.Network(ctx); err != nil || p.Channel != 25 || p.UpdateID != 1 {
			t.Errorf("network is %+v, %v", p, err)
		}
		time.Sleep(15 * time.Second)
		if _, err := c.ZDO(ctx, address, 0x0005, []byte{byte(address), byte(address >> 8)}); err != nil {
			t.Errorf("the device was lost: %v (it says: %v)", err, h.network.Doubts(plug))
		}
		if err := c.ChangeChannel(ctx, 27); err == nil {
			t.Error("changed to channel 27")
		}
	})
}

// TestAddressChanged: a device is heard at another address.
func TestAddressChanged(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		var mu sync.Mutex
		var events []zigbee.Event
		c, _, a := openQuiet(t, ezspstick.Options{Version: version}, func(e zigbee.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		})
		const device zigbee.IEEEAddress = 0x000d6ffffe000001
		a.radio.Joined(device, 0x1111, 0, nil)
		// NWK_addr_rsp to a broadcast.
		answer := binary.LittleEndian.AppendUint64([]byte{5, 0}, uint64(device))
		a.radio.Receive(air.Frame{Source: 0x2222, Cluster: 0x8000, Data: append(answer, 0x22, 0x22)})
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		want := []zigbee.Event{
			zigbee.Joined{IEEEAddress: device, NetworkAddress: 0x1111},
			zigbee.AddressChanged{IEEEAddress: device, NetworkAddress: 0x2222},
		}
		if len(events) != 2 || events[0] != want[0] || events[1] != want[1] {
			t.Errorf("events are %+v", events)
		}
		if err := c.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestGreenPower(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		var mu sync.Mutex
		var heard []zigbee.Incoming
		_, stick, _ := openQuiet(t, ezspstick.Options{Version: version}, func(e zigbee.Event) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, e.(zigbee.Incoming))
		})
		stick.GreenPower(0x01234567, 42, 0x22, []byte{0xaa})
		stick.GreenPower(0x01234567, 43, 0xe0, []byte{0x02, 0x85})
		stick.GreenPower(0x01234567, 44, 0xe0, nil) // says nothing
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(heard) != 2 {
			t.Fatalf("heard %+v", heard)
		}
		for i, want := range []string{
			"\x01\x2a\x00\x80\x03\x67\x45\x23\x01\x2a\x00\x00\x00\x22\x01\xaa",
			"\x01\x2b\x04\xe0\x00\x67\x45\x23\x01\x2b\x00\x00\x00\xe0\x02\x02\x85",
		} {
			m := heard[i]
			if string(m.Data) != want || m.Source != 0x4567 || m.Cluster != 0x21 || m.Profile != zigbee.ProfileGreenPower || m.DestinationEndpoint != 242 || m.LinkQuality != 0xc8 {
				t.Errorf("heard %+v\n%x, not\n%x", m, m.Data, want)
			}
		}
	})
}

// TestMatchDescriptor: the stack answers what devices ask of the coordinator.
func TestMatchDescriptor(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		c, _, a := openQuiet(t, ezspstick.Options{Version: version}, nil)
		// Match_Desc_req for the time.
		a.radio.Receive(air.Frame{Source: 0x1000, Cluster: 0x0006, Data: []byte{9, 0, 0, 4, 1, 1, 0x0a, 0, 0}})
		time.Sleep(time.Second)
		sent := a.frames()
		if len(sent) != 1 || sent[0].Cluster != 0x8006 || string(sent[0].Data) != "\x09\x00\x00\x00\x01\x01" {
			t.Errorf("sent %+v", sent)
		}
		if n := c.Counters(); n.Malformed > 0 {
			t.Errorf("counters %+v", n)
		}
	})
}

// TestManufacturer: a device of Aqara that joins sees a coordinator of its own maker,
// and others do not.
func TestManufacturer(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		c, stick, a := openQuiet(t, ezspstick.Options{Version: version}, func(zigbee.Event) {})
		code := func() uint16 {
			t.Helper()
			time.Sleep(time.Second)
			answer, err := c.ZDO(t.Context(), 0, 0x0002, []byte{0, 0})
			if err != nil || len(answer) < 8 {
				t.Fatalf("node descriptor: %x, %v", answer, err)
			}
			return binary.LittleEndian.Uint16(answer[6:])
		}
		if err := c.PermitJoin(t.Context(), zigbee.ToCoordinator, time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			joins zigbee.IEEEAddress
			want  uint16
		}{
			{0x54ef441000123456, 0x115f}, {0x000d6ffffe000001, 0x1049}, {0x54ef441000123457, 0x115f},
		} {
			a.radio.Joined(step.joins, 0x1234, 0, nil)
			if got := code(); got != step.want {
				t.Errorf("after %s the code is %#x", step.joins, got)
			}
		}
		time.Sleep(2 * time.Minute) // the network closes
		if got := code(); got != 0x1049 {
			t.Errorf("after the network was closed the code is %#x", got)
		}
		if n := stick.Counters().Unhandled; len(n) > 0 {
			t.Errorf("unhandled %v", n)
		}
	})
}
