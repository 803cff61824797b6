package herdsman

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// driven checks that devices and our own driver hear each other.
func (n *world) driven(t *testing.T, c zigbee.Coordinator, heard func(func(zigbee.Event) bool) bool, celsius int, on bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Set(climate, 1, 0x0402, 0, celsius); err != nil {
		t.Fatal(err)
	}
	if !heard(func(e zigbee.Event) bool {
		in, ok := e.(zigbee.Incoming)
		if !ok || in.Cluster != 0x0402 {
			return false
		}
		f, err := zcl.ParseFrame(in.Data)
		if err != nil {
			return false
		}
		a, err := zcl.ParseAttributes(f.Command, f.Payload)
		return err == nil && len(a) == 1 && a[0].Value == int64(celsius)
	}) {
		t.Errorf("the report of %d was not heard", celsius)
	}
	command := zcl.Frame{Type: zcl.Specific, Command: map[bool]uint8{true: 1}[on], Sequence: 9}
	err := c.Send(ctx, zigbee.Outgoing{Destination: n.at(lamp), DestinationEndpoint: 11, SourceEndpoint: 1,
		Profile: zigbee.ProfileHomeAutomation, Cluster: 0x0006, Data: command.Append(nil)})
	if err != nil {
		t.Error(err)
	}
	n.eventually(t, "the lamp obeys", func() bool { v, _ := n.Attribute(lamp, 11, 6, 0); return v == on })
}

// at returns the network address of a device.
func (n *world) at(a zigbee.IEEEAddress) zigbee.NetworkAddress {
	for _, d := range n.Devices() {
		if d.IEEEAddress == a {
			return d.Address
		}
	}
	return zigbee.UnknownAddress
}

// believed checks that all devices believe the coordinator, and would take a network
// key from it. Those that ever had a link key of their own may doubt it if lost is set.
func (n *world) believed(t *testing.T, lost bool) {
	t.Helper()
	for _, d := range n.Devices() {
		err := n.Doubts(d.IEEEAddress)
		if lost && d.LinkKey != nil && err != nil && strings.Contains(err.Error(), "link key") {
			continue
		}
		if err != nil {
			t.Errorf("%s does not believe the coordinator: %v", d.IEEEAddress, err)
		}
	}
}

// settled forms a network with herdsman, and returns the backup that it has made.
func (n *world) settled(t *testing.T, f family, folder string) *zigbee.Backup {
	t.Helper()
	s, unhandled := f.make(n.Network, coordinator)
	path, off := onTCP(t, s)
	h, _ := run(t, network(f, path, folder))
	h.populate(n)
	h.temperature()
	h.works(n, 1850, false)
	h.ask(nil, "backup", nil)
	h.finish(unhandled)
	off()
	return backup(t, folder)
}

// restored puts a backup onto a blank stick with our own driver.
func (n *world) restored(t *testing.T, f family, b *zigbee.Backup) (c zigbee.Coordinator, heard func(func(zigbee.Event) bool) bool) {
	t.Helper()
	s, unhandled := f.make(n.Network, coordinator+1)
	t.Cleanup(func() {
		if list := unhandled(); len(list) > 0 {
			t.Errorf("commands that the stick does not know: %v", list)
		}
	})
	c, heard = drive(t, f, s)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Restore(ctx, b); err != nil {
		t.Fatal(err)
	}
	return c, heard
}

// again makes a backup with our own driver, and passes it through its format.
func again(t *testing.T, c zigbee.Coordinator, folder string) *zigbee.Backup {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := c.Backup(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := b.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "coordinator_backup.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return backup(t, folder)
}

// What herdsman has backed up from Z-Stack we restore on EZSP, and what we then back
// up there on Z-Stack again: all link keys go along.
func TestFromZStackToEZSPAndBack(t *testing.T) {
	installed(t)
	for _, f := range tested(families[1:]) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := house(t)
			folder := t.TempDir()
			b := n.settled(t, families[0], folder)
			for _, d := range n.Devices() {
				if d.LinkKey == nil {
					continue
				}
				found := false
				for _, o := range b.Devices {
					found = found || o.IEEEAddress == d.IEEEAddress && o.LinkKey != nil && o.LinkKey.Key == *d.LinkKey
				}
				if !found {
					t.Errorf("the backup does not have the link key of %s", d.IEEEAddress)
				}
			}
			c, heard := n.restored(t, f, b)
			n.believed(t, false)
			n.driven(t, c, heard, 1900, true)
			b = again(t, c, folder)
			if err := c.Close(); err != nil {
				t.Error(err)
			}

			c, heard = n.restored(t, families[0], b)
			n.believed(t, false)
			n.driven(t, c, heard, 1950, false)
		})
	}
}

// What herdsman has backed up from EZSP we restore on Z-Stack: nobody is paired
// again. Herdsman's backup does not name devices whose link keys the stick makes
// from the one that it keeps, so they would not come back if they lost the network.
func TestFromEZSPToZStack(t *testing.T) {
	installed(t)
	for _, f := range tested(families[1:]) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := house(t)
			b := n.settled(t, f, t.TempDir())
			c, heard := n.restored(t, families[0], b)
			n.believed(t, true)
			n.driven(t, c, heard, 1900, true)
		})
	}
}

// What we back up from the stick on which herdsman has formed a network names them,
// with their keys.
func TestTakeOverFromHerdsman(t *testing.T) {
	installed(t)
	for _, f := range tested(families) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := house(t)
			s, unhandled := f.make(n.Network, coordinator)
			path, off := onTCP(t, s)
			h, _ := run(t, network(f, path, t.TempDir()))
			h.populate(n)
			h.temperature()
			h.works(n, 1850, false)
			h.finish(unhandled)
			off()

			c, heard := drive(t, f, s)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := c.Resume(ctx); err != nil {
				t.Fatal(err)
			}
			n.driven(t, c, heard, 1900, true)
			// Every device is heard of, so that the driver knows where it is.
			for _, d := range n.Devices() {
				if err := n.Move(d.IEEEAddress); err != nil {
					t.Fatal(err)
				}
				heard(func(e zigbee.Event) bool { a, ok := e.(zigbee.Announced); return ok && a.IEEEAddress == d.IEEEAddress })
			}
			b := again(t, c, t.TempDir())
			if err := c.Close(); err != nil {
				t.Error(err)
			}

			for i, other := range []family{families[0], families[1]} {
				c, heard = n.restored(t, other, b)
				n.believed(t, false)
				n.driven(t, c, heard, 1950+50*i, i == 1)
				b = again(t, c, t.TempDir())
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// What we have formed and backed up herdsman restores on the same family of sticks.
func TestOursToHerdsman(t *testing.T) {
	installed(t)
	for _, f := range tested(families) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := house(t)
			folder := t.TempDir()
			n.settled(t, f, folder) // for herdsman's list of devices
			b := backup(t, folder)
			c, heard := n.restored(t, f, b)
			n.believed(t, false)
			n.driven(t, c, heard, 1900, true)
			again(t, c, folder)
			if err := c.Close(); err != nil {
				t.Error(err)
			}

			s, unhandled := f.make(n.Network, coordinator)
			path, _ := onTCP(t, s)
			h, began := run(t, network(f, path, folder))
			if began != "restored" {
				t.Errorf("herdsman says %q", began)
			}
			h.works(n, 1950, false)
			h.finish(unhandled)
		})
	}
}
