package znp_test

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
)

// sample reads a backup of a real CC2538 network with link keys:
// samples/z2m-sample-1.json of github.com/zigpy/open-coordinator-backup.
func sample(t *testing.T) *zigbee.Backup {
	t.Helper()
	text, err := os.ReadFile("../testdata/backup_sample.json")
	if err != nil {
		t.Fatal(err)
	}
	b := new(zigbee.Backup)
	if err := json.Unmarshal(text, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRestore puts a backup onto blank sticks of all kinds and reads it back.
func TestRestore(t *testing.T) {
	for name, o := range map[string]znpstick.Options{
		"CC2652": {Product: znpstick.ZStack3x0},
		"CC2531": {Product: znpstick.ZStack30x},
		"CC2538": {Product: znpstick.ZStack30x, Aligned: true},
	} {
		t.Run(name, func(t *testing.T) {
			want := sample(t)
			o.IEEEAddress = 0x00124b00aabbccdd
			play(t, o, func(b *bench) {
				c := b.open()
				if err := c.Restore(b.ctx, want); err != nil {
					t.Fatal(err)
				}
				if got := c.Info().IEEEAddress; got != want.Coordinator {
					t.Errorf("the coordinator is %v", got)
				}
				got, err := c.Backup(b.ctx)
				if err != nil {
					t.Fatal(err)
				}
				b.close(c)

				// Counters are ahead of those of the backup, never behind.
				ahead := got.FrameCounter - want.FrameCounter
				if ahead < 2500 || ahead > 5000 {
					t.Errorf("the frame counter is %d ahead", ahead)
				}
				want.FrameCounter, want.Date = got.FrameCounter, got.Date
				want.ZNPVersion = uint8(o.Product)
				for _, d := range want.Devices {
					if d.LinkKey != nil {
						d.LinkKey.TxCounter += 2500
					}
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		})
	}
}

// TestRestoreElsewhere moves a network with devices to another kind of stick. They
// notice nothing.
func TestRestoreElsewhere(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
		backup, err := c.Backup(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(backup.Devices) != 1 || backup.Devices[0].LinkKey == nil {
			t.Fatalf("%+v", backup)
		}
		// The old stick goes on for a while after its backup.
		read := zigbee.Outgoing{Destination: to, DestinationEndpoint: 11, SourceEndpoint: 1, Data: []byte{0, 1, 0, 4, 0}}
		for range 300 {
			if err := c.Send(b.ctx, read); err != nil {
				t.Fatal(err)
			}
		}
		b.close(c)
		b.stick.Close()

		b.stick = znpstick.New(b.air, znpstick.Options{Product: znpstick.ZStack30x, IEEEAddress: 0x00124b00aabbccdd, Seed: 2})
		c = b.open()
		defer b.close(c)
		if err := c.Restore(b.ctx, backup); err != nil {
			t.Fatal(err)
		}
		if err := b.air.Doubts(lamp); err != nil {
			t.Errorf("the lamp doubts the new stick: %v", err)
		}
		heard[zigbee.Incoming](b)
		if err := c.Send(b.ctx, read); err != nil {
			t.Fatal(err)
		}
		one[zigbee.Incoming](b)
	})
}

// TestRestoreInterrupted pulls the stick while a network is restored: what is in it is
// none, and the next try succeeds.
func TestRestoreInterrupted(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.form()
		b.close(c)
		for _, after := range []time.Duration{20 * time.Millisecond, 60 * time.Millisecond, 1050 * time.Millisecond} {
			c = b.open()
			stop := time.AfterFunc(after, func() { c.Close() })
			if err := c.Restore(b.ctx, sample(t)); err == nil {
				t.Fatalf("restored within %v", after)
			}
			stop.Stop()
			b.serve.Wait()
			b.stick.Reset()
			c = b.open()
			if _, err := c.Network(b.ctx); !errors.Is(err, zigbee.ErrNoNetwork) {
				t.Errorf("after %v: %v", after, err)
			}
			b.close(c)
		}
		c = b.open()
		defer b.close(c)
		if err := c.Restore(b.ctx, sample(t)); err != nil {
			t.Fatal(err)
		}
		if p, err := c.Network(b.ctx); err != nil || p != sample(t).Parameters {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestRestoreTooLarge leaves a stick alone that has too little room.
func TestRestoreTooLarge(t *testing.T) {
	play(t, znpstick.Options{Product: znpstick.ZStack3x0, Devices: 3}, func(b *bench) {
		c := b.form()
		defer b.close(c)
		if err := c.Restore(b.ctx, sample(t)); err == nil {
			t.Fatal("six devices fit into a table of three")
		}
		if p, err := c.Network(b.ctx); err != nil || p != home {
			t.Errorf("the old network is gone: %+v, %v", p, err)
		}
	})
}

// TestRestoreForeignKeys restores more keys of another family than the stick has room
// for: those that do not fit are left out.
func TestRestoreForeignKeys(t *testing.T) {
	play(t, znpstick.Options{Product: znpstick.ZStack3x0, Devices: 60}, func(b *bench) {
		want := sample(t)
		want.TCLinkKeySeed, want.Devices = [16]byte{}, nil
		for i := range 50 {
			want.Devices = append(want.Devices, zigbee.BackupDevice{
				IEEEAddress: lamp + zigbee.IEEEAddress(i), NetworkAddress: zigbee.NetworkAddress(1 + i), IsChild: true,
				LinkKey: &zigbee.LinkKey{Key: [16]byte{1, byte(i)}, TxCounter: 7, RxCounter: uint32(i)},
			})
		}
		c := b.open()
		defer b.close(c)
		if err := c.Restore(b.ctx, want); err != nil {
			t.Fatal(err)
		}
		got, err := c.Backup(b.ctx)
		if err != nil || len(got.Devices) != 50 {
			t.Fatalf("%d devices, %v", len(got.Devices), err)
		}
		const room = 60 / 4
		for i, d := range got.Devices {
			if d.IEEEAddress != want.Devices[i].IEEEAddress || (d.LinkKey != nil) != (i < room) {
				t.Errorf("device %d: %+v", i, d)
			} else if i < room && (d.LinkKey.Key != want.Devices[i].LinkKey.Key || d.LinkKey.TxCounter != 2507 || d.LinkKey.RxCounter != uint32(i)) {
				t.Errorf("device %d: %+v", i, d.LinkKey)
			}
		}
	})
}

func TestRestoreRefuses(t *testing.T) {
	play(t, cc2652, func(b *bench) {
		c := b.open()
		defer b.close(c)
		for name, change := range map[string]func(*zigbee.Backup){
			"no channel":     func(b *zigbee.Backup) { b.Channel = 27 },
			"no key":         func(b *zigbee.Backup) { b.NetworkKey = [16]byte{} },
			"no PAN":         func(b *zigbee.Backup) { b.PANID = 0xffff },
			"no coordinator": func(b *zigbee.Backup) { b.Coordinator = 0 },
			"no network":     func(b *zigbee.Backup) { b.ExtendedPANID = [8]byte{} },
		} {
			bad := sample(t)
			change(bad)
			if err := c.Restore(b.ctx, bad); err == nil {
				t.Errorf("%s: restored", name)
			}
		}
	})
	play(t, znpstick.Options{Product: znpstick.ZStack12}, func(b *bench) {
		c := b.open()
		defer b.close(c)
		if c.Info().CanRestore {
			t.Error("Z-Stack 1.2 says that it can restore")
		}
		if err := c.Restore(b.ctx, sample(t)); err == nil {
			t.Error("restored onto Z-Stack 1.2")
		}
	})
}

// TestResume forms, takes the power away and resumes, with every product.
func TestResume(t *testing.T) {
	for name, o := range map[string]znpstick.Options{
		"ZStack12":  {Product: znpstick.ZStack12},
		"ZStack3x0": {Product: znpstick.ZStack3x0},
		"ZStack30x": {Product: znpstick.ZStack30x},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, o, func(b *bench) {
				c := b.form()
				if got := c.Info(); got.Type != name || got.IEEEAddress != 0x00124b0009d80ba7 || got.Revision == "" {
					t.Errorf("%+v", got)
				}
				to := b.join(c, air.Device{IEEEAddress: lamp, Kind: air.Bulb})
				b.close(c)
				b.stick.Reset()

				c = b.open()
				defer b.close(c)
				if p, err := c.Network(b.ctx); err != nil || p != home {
					t.Fatalf("%+v, %v", p, err)
				}
				read := zigbee.Outgoing{Destination: to, DestinationEndpoint: 11, SourceEndpoint: 1, Data: []byte{0, 1, 0, 4, 0}}
				if err := c.Send(b.ctx, read); err == nil {
					t.Error("sent before the network was started")
				}
				for range 2 { // the second time it runs already
					if err := c.Resume(b.ctx); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.air.Doubts(lamp); err != nil {
					t.Errorf("the lamp doubts the stick: %v", err)
				}
				if err := c.Send(b.ctx, read); err != nil {
					t.Error(err)
				}
				backup, err := c.Backup(b.ctx)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(backup.Devices, func(d zigbee.BackupDevice) bool {
					return d.IEEEAddress == lamp && d.NetworkAddress == to && d.IsChild
				}) {
					t.Errorf("%+v", backup.Devices)
				}
				if backup.FrameCounter == 0 {
					t.Error("the backup has no frame counter")
				}
			})
		})
	}
}

// TestFormCollides wants to know of a PAN ID that another network has.
func TestFormCollides(t *testing.T) {
	play(t, znpstick.Options{Product: znpstick.ZStack3x0, NearbyPANs: []uint16{home.PANID}}, func(b *bench) {
		c := b.open()
		defer b.close(c)
		if err := c.Form(b.ctx, home); err == nil {
			t.Error("formed")
		}
		if _, err := c.Network(b.ctx); !errors.Is(err, zigbee.ErrNoNetwork) {
			t.Error(err)
		}
		other := home
		other.PANID = 0x2222
		if err := c.Form(b.ctx, other); err != nil {
			t.Error(err)
		}
	})
}
