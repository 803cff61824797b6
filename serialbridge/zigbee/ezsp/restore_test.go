package ezsp_test

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/zigbee"
)

// equal compares backups but for the counters, which must not go back.
func equal(t *testing.T, got, want *zigbee.Backup) {
	t.Helper()
	g, w := *got, *want
	if g.FrameCounter <= w.FrameCounter {
		t.Errorf("the frame counter is %d after %d", g.FrameCounter, w.FrameCounter)
	}
	type device struct {
		ieee    zigbee.IEEEAddress
		address zigbee.NetworkAddress
		key     [16]byte
	}
	devices := func(b *zigbee.Backup) (all []device) {
		for _, d := range b.Devices {
			all = append(all, device{d.IEEEAddress, d.NetworkAddress, d.LinkKey.Key})
		}
		slices.SortFunc(all, func(a, b device) int { return cmp.Compare(a.ieee, b.ieee) })
		return all
	}
	if g.Parameters != w.Parameters || g.Coordinator != w.Coordinator || g.SecurityLevel != w.SecurityLevel ||
		g.ChannelMask != w.ChannelMask || g.TCLinkKeyHashed != w.TCLinkKeyHashed {
		t.Errorf("the backup is\n%#v, not\n%#v", g, w)
	}
	if a, b := devices(got), devices(want); !slices.Equal(a, b) {
		t.Errorf("the devices are\n%v, not\n%v", a, b)
	}
}

// TestRestore: a stick takes the place of another one, and no device notices.
func TestRestore(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		ctx := t.Context()
		c, unplug := h.open()
		if err := c.Form(ctx, parameters); err != nil {
			t.Fatal(err)
		}
		const plug, sensor zigbee.IEEEAddress = 0x000d6ffffe000001, 0x00124b0022000001
		address := h.join(c, air.Device{IEEEAddress: plug, Kind: air.Plug})
		h.join(c, air.Device{IEEEAddress: sensor, Kind: air.Climate})
		before, err := c.Backup(ctx)
		if err != nil {
			t.Fatalf("backup: %v", err)
		}
		if len(before.Devices) != 2 || before.Coordinator != stickAddress || before.Parameters != parameters || before.TCLinkKeyHashed == [16]byte{} {
			t.Fatalf("backup is %+v", before)
		}
		for _, d := range h.network.Devices() {
			for _, b := range before.Devices {
				if b.IEEEAddress == d.IEEEAddress && d.LinkKey != nil && b.LinkKey.Key != *d.LinkKey {
					t.Errorf("link key of %s is %x, the device has %x", b.IEEEAddress, b.LinkKey.Key, *d.LinkKey)
				}
			}
		}
		unplug()

		// The other stick has a network of its own, which goes.
		other := ezspstick.New(h.network, ezspstick.Options{Version: version, IEEEAddress: 0x000d6f000abcdef0})
		c, unplug = h.openStick(other)
		defer unplug()
		mine := parameters
		mine.PANID, mine.Channel = 0x4242, 20
		if err := c.Form(ctx, mine); err != nil {
			t.Fatal(err)
		}
		if err := c.Restore(ctx, before); err != nil {
			t.Fatalf("restore: %v", err)
		}
		if info := c.Info(); info.IEEEAddress != stickAddress {
			t.Errorf("its address is %s", info.IEEEAddress)
		}
		after, err := c.Backup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, after, before)
		for _, device := range []zigbee.IEEEAddress{plug, sensor} {
			if err := h.network.Doubts(device); err != nil {
				t.Errorf("%s does not believe it: %v", device, err)
			}
		}
		if _, err := c.ZDO(ctx, address, 0x0005, []byte{byte(address), byte(address >> 8)}); err != nil {
			t.Errorf("the device does not answer: %v", err)
		}
	})
}

// foreign is a backup of a network whose devices have keys of their own, as Z-Stack
// makes them.
func foreign(devices int) *zigbee.Backup {
	b := &zigbee.Backup{
		Parameters: parameters, Coordinator: 0x00124b0009d80ba7, SecurityLevel: 5,
		FrameCounter: 108522, ChannelMask: 1 << 15,
	}
	for i := range devices {
		key := &zigbee.LinkKey{RxCounter: 6, TxCounter: 10098}
		key.Key[0], key.Key[15] = byte(i), 0x5a
		b.Devices = append(b.Devices, zigbee.BackupDevice{
			IEEEAddress: 0x04cf8cdf3c790000 + zigbee.IEEEAddress(i), NetworkAddress: 0x1000 + zigbee.NetworkAddress(i), LinkKey: key,
		})
	}
	return b
}

func TestRestoreForeign(t *testing.T) {
	each(t, func(t *testing.T, version uint8) {
		h := newHouse(t, ezspstick.Options{Version: version})
		c, unplug := h.open()
		defer func() { unplug() }()
		ctx := t.Context()
		want := foreign(40)
		if err := c.Restore(ctx, want); err != nil {
			t.Fatalf("restore: %v", err)
		}
		got, err := c.Backup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want.TCLinkKeyHashed, want.EZSPVersion = got.TCLinkKeyHashed, version // the key is made up
		equal(t, got, want)
		for _, d := range got.Devices {
			if d.LinkKey.TxCounter <= 10098 {
				t.Fatalf("the counter of the link keys is %d", d.LinkKey.TxCounter)
			}
		}

		// The keys are in the stick, not in the driver.
		unplug()
		c, unplug = h.open()
		if err := c.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		again, err := c.Backup(ctx)
		if err != nil || len(again.Devices) != 40 || again.Coordinator != 0x00124b0009d80ba7 {
			t.Errorf("after power came back there are %d devices, %v", len(again.Devices), err)
		}
	})
}

// TestRestoreSmall: a stick with room for a few keys takes those.
func TestRestoreSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, ezspstick.Options{KeyTableSize: 4, FixedAddress: true})
		c, unplug := h.open()
		ctx := t.Context()
		if err := c.Restore(ctx, foreign(10)); err != nil {
			t.Fatalf("restore: %v", err)
		}
		if c.Info().IEEEAddress != stickAddress {
			t.Error("an address that cannot be changed was")
		}
		unplug()
		c, unplug = h.open()
		defer unplug()
		if err := c.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		if b, err := c.Backup(ctx); err != nil || len(b.Devices) != 4 {
			t.Errorf("it holds %+v, %v", b, err)
		}
	})
}

// TestRestoreHerdsman: the network of a backup of zigbee-herdsman is the one that it
// runs on a stick, though it writes two addresses the other way round.
func TestRestoreHerdsman(t *testing.T) {
	text, err := os.ReadFile("../testdata/backup_ezsp.json")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, ezspstick.Options{})
		c, unplug := h.open()
		defer unplug()
		b := new(zigbee.Backup)
		if err := json.Unmarshal(text, b); err != nil {
			t.Fatal(err)
		}
		if err := c.Restore(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		got, err := c.Backup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, b)
		// In its configuration the identifier is 1 to 8, and goes on the line as such.
		if got.Coordinator != stickAddress || got.ExtendedPANID != [8]byte{8, 7, 6, 5, 4, 3, 2, 1} {
			t.Errorf("it is %s, %v", got.Coordinator, got.ExtendedPANID)
		}
	})
}

// TestRestoreNothing: what cannot be restored leaves the network that there is.
func TestRestoreNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, ezspstick.Options{})
		c, unplug := h.open()
		defer unplug()
		if err := c.Form(t.Context(), parameters); err != nil {
			t.Fatal(err)
		}
		if err := c.Restore(t.Context(), &zigbee.Backup{}); err == nil {
			t.Error("an empty backup was restored")
		}
		time.Sleep(time.Minute)
		if p, err := c.Network(t.Context()); err != nil || p != parameters {
			t.Errorf("the network is %+v, %v", p, err)
		}
	})
}
