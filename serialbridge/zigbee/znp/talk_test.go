package znp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
)

const climate zigbee.IEEEAddress = 0x00158d0012345678

// le writes an address as it is in the air.
func le(a zigbee.NetworkAddress) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(a)) }

func le64(a zigbee.IEEEAddress) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(a)) }

func join(b ...[]byte) (all []byte) {
	for _, x := range b {
		all = append(all, x...)
	}
	return all
}

// basic reads the model of a device.
func basic(to zigbee.NetworkAddress, endpoint uint8) zigbee.Outgoing {
	return zigbee.Outgoing{Destination: to, DestinationEndpoint: endpoint, SourceEndpoint: zigbee.EndpointHome,
		Profile: zigbee.ProfileHomeAutomation, Data: []byte{0x10, 7, 0x00, 5, 0}}
}

func TestZDO(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		coordinator := c.Info().IEEEAddress
		bind := join(le64(lamp), []byte{11, 6, 0, 3}, le64(coordinator), []byte{1})
		for _, x := range []struct {
			name    string
			to      zigbee.NetworkAddress
			cluster uint16
			request []byte
			want    []byte // how the answer begins
			length  int
		}{
			{"network address", zigbee.BroadcastAwake, 0x0000, join(le64(lamp), []byte{0, 0}), join([]byte{0}, le64(lamp), le(to)), 11},
			{"IEEE address", to, 0x0001, join(le(to), []byte{0, 0}), join([]byte{0}, le64(lamp), le(to)), 11},
			{"IEEE address of the coordinator", 0, 0x0001, []byte{0, 0, 0, 0}, join([]byte{0}, le64(coordinator), []byte{0, 0}), 11},
			{"node descriptor", to, 0x0002, le(to), join([]byte{0}, le(to), []byte{1, 0x40, 0x8e, 0x0b, 0x10}), 16},
			{"simple descriptor", to, 0x0004, append(le(to), 11), join([]byte{0}, le(to), []byte{26, 11, 0x04, 0x01, 0x0d, 0x01}), 30},
			{"no such endpoint", to, 0x0004, append(le(to), 77), []byte{0x83}, 4},
			{"endpoints", to, 0x0005, le(to), join([]byte{0}, le(to), []byte{1, 11}), 5},
			{"own endpoints", 0, 0x0005, []byte{0, 0}, []byte{0, 0, 0, 15, 1, 2, 3}, 19},
			{"bind", to, 0x0021, bind, []byte{0}, 1},
			{"bindings", to, 0x0033, []byte{0}, join([]byte{0, 1, 0, 1}, bind), 4 + 21},
			{"unbind", to, 0x0022, bind, []byte{0}, 1},
			{"bind to a group", to, 0x0021, join(le64(lamp), []byte{11, 6, 0, 1, 0x85, 0x03}), []byte{0}, 1},
			{"neighbors", to, 0x0031, []byte{0}, []byte{0, 1, 0, 1}, 4 + 22},
			{"own neighbors", 0, 0x0031, []byte{0}, []byte{0, 1, 0, 1}, 4 + 22},
			{"permit joining", to, 0x0036, []byte{60, 1}, []byte{0}, 1},
			{"leave", to, 0x0034, join(make([]byte, 8), []byte{0}), []byte{0}, 1},
		} {
			got, err := c.ZDO(b.ctx, x.to, x.cluster, x.request)
			if err != nil || len(got) != x.length || string(got[:min(len(got), len(x.want))]) != string(x.want) {
				t.Errorf("%s: %x, %v; want %d bytes that begin with %x", x.name, got, err, x.length, x.want)
			}
		}
		if left := one[zigbee.Left](b); left.IEEEAddress != lamp || left.NetworkAddress != to || left.Rejoin {
			t.Errorf("%+v", left)
		}
		if _, err := c.ZDO(b.ctx, to, 0x002b, []byte{0}); err == nil {
			t.Error("a request that sticks do not have was sent")
		}
		for _, cluster := range []uint16{0x0021, 0x0036, 0x0038} {
			if _, err := c.ZDO(b.ctx, to, cluster, []byte{1}); err == nil {
				t.Errorf("a request %04x of one byte was sent", cluster)
			}
		}
		start := time.Now()
		var delivery *zigbee.DeliveryError
		if _, err := c.ZDO(b.ctx, 0x7777, 0x0005, []byte{0x77, 0x77}); !errors.As(err, &delivery) {
			t.Errorf("nobody answers: %v", err)
		} else if d := time.Since(start); d > 11*time.Second {
			t.Errorf("waited for %v", d)
		}
	})
}

// TestDelivery tells what becomes of messages that do not arrive.
func TestDelivery(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		sensor := b.join(c, air.Device{IEEEAddress: climate, Kind: air.Climate})
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		reason := func(m zigbee.Outgoing) zigbee.DeliveryReason {
			t.Helper()
			var delivery *zigbee.DeliveryError
			if err := c.Send(b.ctx, m); !errors.As(err, &delivery) {
				t.Fatalf("to %04x: %v", m.Destination, err)
			}
			return delivery.Reason
		}
		if got := reason(basic(0x7777, 1)); got != zigbee.NoRoute {
			t.Errorf("to nobody: %s", got)
		}
		if err := c.Send(b.ctx, basic(sensor, 1)); err != nil {
			t.Errorf("to a device that sleeps for seconds: %v", err)
		}
		wait(time.Minute)
		b.air.Sleep(climate, true)
		start := time.Now()
		if got := reason(basic(sensor, 1)); got != zigbee.Expired {
			t.Errorf("to a device that does not wake up: %s", got)
		}
		if d := time.Since(start); d > 9*time.Second {
			t.Errorf("after %v", d)
		}
		// The second time it may have moved; then it is put back, since it has not.
		if got := reason(basic(sensor, 1)); got != zigbee.Expired {
			t.Errorf("to a device that does not wake up: %s", got)
		}
		wait(time.Second)
		if n := b.stick.Handled(); n["UTIL assocRemove"] != 1 || n["UTIL assocAdd"] != 1 {
			t.Errorf("taken out of the table of children %d times, put back %d times", n["UTIL assocRemove"], n["UTIL assocAdd"])
		}
		b.air.Sleep(climate, false)
		if err := c.Send(b.ctx, basic(sensor, 1)); err != nil {
			t.Errorf("to a device that wakes up again: %v", err)
		}

		long := basic(to, 11)
		long.Data = make([]byte, 300)
		if err := c.Send(b.ctx, long); err == nil {
			t.Error("a message of 300 bytes was sent")
		}
		strange := basic(to, 11)
		strange.Profile = 0x1234
		if err := c.Send(b.ctx, strange); err == nil {
			t.Error("a message of a profile that no endpoint has was sent")
		}
		ctx, cancel := context.WithTimeout(b.ctx, time.Second)
		defer cancel()
		b.air.Sleep(climate, true)
		before := b.stick.Handled()["AF dataRequest"]
		var others sync.WaitGroup
		defer others.Wait()
		for range 3 {
			others.Go(func() { c.Send(ctx, basic(sensor, 1)) })
		}
		wait(100 * time.Millisecond)
		if n := b.stick.Handled()["AF dataRequest"] - before; n != 1 {
			t.Errorf("%d messages to one device are under way", n)
		}
		if err := c.Send(ctx, basic(sensor, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the end of its context: %v", err)
		}
	})
}

// TestBusy sends while the stick's buffers are full now and then, and the channel is.
func TestBusy(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		b.stick.SetFaults(znpstick.Faults{Full: 0.15, Busy: 0.1})
		for i := range 20 {
			if err := c.Send(b.ctx, basic(to, 11)); err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		b.stick.SetFaults(znpstick.Faults{Full: 1})
		var delivery *zigbee.DeliveryError
		if err := c.Send(b.ctx, basic(to, 11)); !errors.As(err, &delivery) || delivery.Reason != zigbee.NoBuffers {
			t.Errorf("full: %v", err)
		}
		b.stick.SetFaults(znpstick.Faults{Busy: 1})
		if err := c.Send(b.ctx, basic(to, 11)); !errors.As(err, &delivery) || delivery.Reason != zigbee.NoChannel {
			t.Errorf("busy: %v", err)
		}
	})
}

// TestCrowd sends to many devices at once, more than the stick takes.
func TestCrowd(t *testing.T) {
	for _, o := range []znpstick.Options{cc2652, {Product: znpstick.ZStack30x}} {
		play(t, o, func(b *bench) {
			c := b.form()
			defer b.close(c)
			var to []zigbee.NetworkAddress
			for i := range zigbee.IEEEAddress(30) {
				to = append(to, b.join(c, air.Device{IEEEAddress: lamp + i, Kind: air.Bulb}))
			}
			start := time.Now()
			var all sync.WaitGroup
			for _, a := range to {
				for range 3 {
					all.Go(func() {
						if err := c.Send(b.ctx, basic(a, 11)); err != nil {
							t.Errorf("to %04x: %v", a, err)
						}
					})
				}
			}
			all.Wait()
			// Whoever finds the stick's buffers full waits for two seconds.
			if d := time.Since(start); d > 1900*time.Millisecond {
				t.Errorf("it took %v", d)
			}
			wait(time.Second)
			if got := len(heard[zigbee.Incoming](b)); got != 90 {
				t.Errorf("%d answers to 90 messages", got)
			}
		})
	}
}

// TestGroup switches lamps by a message to their group, and to all.
func TestGroup(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		on := func() bool {
			v, _ := b.air.Attribute(lamp, 11, 6, 0)
			return reflect.ValueOf(v).IsValid() && v == true
		}
		toggle := zigbee.Outgoing{SourceEndpoint: 1, Profile: zigbee.ProfileHomeAutomation, Cluster: 6, Data: []byte{0x11, 9, 2}}
		add := basic(to, 11)
		add.Cluster, add.Data = 4, []byte{0x01, 8, 0x00, 0x05, 0x00, 0}
		if err := c.Send(b.ctx, add); err != nil {
			t.Fatal(err)
		}
		was := on()
		for _, how := range []zigbee.Outgoing{
			{Group: 5},
			{Destination: zigbee.BroadcastAwake, DestinationEndpoint: 0xff},
		} {
			m := toggle
			m.Group, m.Destination, m.DestinationEndpoint = how.Group, how.Destination, how.DestinationEndpoint
			if err := c.Send(b.ctx, m); err != nil {
				t.Fatal(err)
			}
			wait(time.Second)
			if on() == was {
				t.Errorf("group %d, destination %04x: the lamp was not reached", how.Group, how.Destination)
			}
			was = on()
		}
	})
}

// TestLongMessage fetches what is too long for one command of the stick.
func TestLongMessage(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		for _, length := range []int{100, 223, 224, 600} {
			data := make([]byte, length)
			for i := range data {
				data[i] = byte(i * 7)
			}
			b.stick.Hear(air.Frame{Source: to, SourceEndpoint: 11, DestinationEndpoint: 1, Profile: 0x0104, Cluster: 0xfc00, LinkQuality: 99, Data: data})
			if m := one[zigbee.Incoming](b); m.Source != to || m.Cluster != 0xfc00 || m.LinkQuality != 99 || string(m.Data) != string(data) {
				t.Errorf("%d bytes: %+v", length, m)
			}
		}
	})
}

// TestGreenPower takes what a proxy tells of a switch without a battery.
func TestGreenPower(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		notification := []byte{0x11, 1, 0x00, 0, 0, 1, 2, 3, 4}
		b.stick.Hear(air.Frame{Source: 0x1234, Destination: zigbee.BroadcastAwake, SourceEndpoint: zigbee.EndpointGreenPower,
			DestinationEndpoint: zigbee.EndpointGreenPower, Profile: zigbee.ProfileGreenPower, Cluster: 0x0021, Data: notification})
		m := one[zigbee.Incoming](b)
		if m.DestinationEndpoint != zigbee.EndpointGreenPower || m.Cluster != 0x0021 || !m.Broadcast || string(m.Data) != string(notification) {
			t.Errorf("%+v", m)
		}
		mode := zigbee.Outgoing{Destination: zigbee.BroadcastAwake, DestinationEndpoint: zigbee.EndpointGreenPower,
			SourceEndpoint: zigbee.EndpointGreenPower, Profile: zigbee.ProfileGreenPower, Cluster: 0x0021, Data: []byte{0x19, 2, 2, 0x0b, 60, 0}}
		if err := c.Send(b.ctx, mode); err != nil {
			t.Error(err)
		}
	})
}

func TestRadio(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		energy, err := c.EnergyScan(b.ctx, 1<<11|1<<15|1<<20|1<<26)
		if err != nil || len(energy) != 4 || energy[11] != b.air.Energy(11) || energy[26] != b.air.Energy(26) {
			t.Errorf("%v, %v", energy, err)
		}
		for _, mask := range []uint32{0, 1 << 10, 1 << 27} {
			if _, err := c.EnergyScan(b.ctx, mask); err == nil {
				t.Errorf("scanned %08x", mask)
			}
		}
		if err := c.ChangeChannel(b.ctx, 20); err != nil {
			t.Fatal(err)
		}
		if p, err := c.Network(b.ctx); err != nil || p.Channel != 20 || p.UpdateID != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		if err := b.air.Doubts(lamp); err != nil {
			t.Error(err)
		}
		if err := c.Send(b.ctx, basic(to, 11)); err != nil {
			t.Error(err)
		}
		if err := c.ChangeChannel(b.ctx, 27); err == nil {
			t.Error("there is a channel 27")
		}
	})
}

// TestChangeChannelOfStick moves a stick that does not obey its own broadcast.
func TestChangeChannelOfStick(t *testing.T) {
	play(t, znpstick.Options{Product: znpstick.ZStack3x0, Disobedient: true}, func(b *bench) {
		c := b.form()
		defer b.close(c)
		b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		if err := c.ChangeChannel(b.ctx, 25); err != nil {
			t.Fatal(err)
		}
		if err := b.air.Doubts(lamp); err != nil {
			t.Error(err)
		}
	})
}

// TestInstallCode lets a device join that knows no key but that of its install code.
func TestInstallCode(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		key := [16]byte{0x66, 0xb6, 0x90, 0x09, 0x81, 0xe1, 0xee, 0x3c, 0xa4, 0x20, 0x6b, 0x6b, 0x86, 0x1c, 0x02, 0xbb}
		if err := c.AddInstallCode(b.ctx, lamp, key); err != nil {
			t.Fatal(err)
		}
		b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb, InstallCode: &key})
	})
}

// TestPermitJoin opens the network at one router alone, and closes it.
func TestPermitJoin(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		defer b.close(c)
		router := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		if err := c.PermitJoin(b.ctx, zigbee.BroadcastRouters, 0); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		b.air.Add(air.Device{IEEEAddress: climate, Kind: air.Climate})
		if err := b.air.Join(climate); err == nil {
			t.Error("the network is closed and lets a device join")
		}
		if err := c.PermitJoin(b.ctx, router, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := b.air.Join(climate); err != nil {
			t.Fatal(err)
		}
		if joined := one[zigbee.Joined](b); joined.Parent != router {
			t.Errorf("%+v", joined)
		}
		if err := c.PermitJoin(b.ctx, zigbee.ToCoordinator, time.Minute); err != nil {
			t.Error(err)
		}
		if err := c.PermitJoin(b.ctx, zigbee.BroadcastRouters, 300*time.Second); err == nil {
			t.Error("opened for 300 s")
		}
	})
}
