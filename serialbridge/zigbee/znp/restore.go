package znp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"lintel/serialbridge/zigbee"
)

// counterLead is what is added to frame counters: devices throw away what has a
// counter that they have seen, and the network has gone on after the backup.
const counterLead = 2500

// Restore implements [zigbee.Coordinator]. A network of its own is formed first, so
// that the stick makes all its structures; then what is in them is replaced, and the
// stick restarts.
func (c *Coordinator) Restore(ctx context.Context, b *zigbee.Backup) error {
	if err := c.restore(ctx, b); err != nil {
		return fmt.Errorf("restore the Zigbee network: %w", err)
	}
	return c.serve(ctx)
}

func (c *Coordinator) restore(ctx context.Context, b *zigbee.Backup) error {
	if c.version.product == zStack12 {
		return errors.New("this stick has Z-Stack 1.2, which cannot take over a network: flash Z-Stack 3 coordinator firmware")
	}
	if err := usable(b.Parameters); err != nil {
		return err
	}
	if b.Coordinator == 0 || b.Coordinator == 1<<64-1 {
		return errors.New("the backup does not have the address of the coordinator")
	}
	// What will not fit is better found out while the old network is there.
	if err := c.restorable(ctx, b); err != nil {
		return err
	}
	if err := c.form(ctx, provisional(), false); err != nil {
		return err
	}
	t, err := c.restoredTables(ctx, b)
	if err != nil {
		return err
	}
	if t.left > 0 {
		c.log.Warn("the zigbee stick has no room for all link keys; devices without theirs work, but have to be paired "+
			"again should they ever lose the network", "devices", t.left)
	}
	if err := c.writeNetwork(ctx, b); err != nil {
		return err
	}
	if err := t.write(ctx, c); err != nil {
		return err
	}
	if err := c.writeConfiguration(ctx, b.Parameters, channelMask(b)); err != nil {
		return err
	}
	if err := c.link.sleep(ctx, settlePause); err != nil {
		return err
	}
	if err := c.reset(ctx); err != nil {
		return err
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	if err := c.verify(ctx, b); err != nil {
		return err
	}
	return c.mark(ctx, true)
}

// provisional makes up a network that lives for seconds.
func provisional() (p zigbee.Parameters) {
	rand.Read(p.NetworkKey[:])
	rand.Read(p.ExtendedPANID[:])
	p.ExtendedPANID[0] &= 0x7f // not all ones
	p.ExtendedPANID[7] |= 1    // not all zeros
	var random [3]byte
	rand.Read(random[:])
	p.PANID = 1 + binary.LittleEndian.Uint16(random[:])%0xfff0
	p.Channel = 11 + random[2]%16
	return p
}

// writeNetwork writes who the coordinator is and the network itself.
func (c *Coordinator) writeNetwork(ctx context.Context, b *zigbee.Backup) error {
	n, err := c.readNIB(ctx)
	if err != nil {
		return err
	}
	if n == nil {
		return errors.New("the stick has lost its network information: reset it and try again")
	}
	n.set(b)
	key := append([]byte{b.KeySequence}, b.NetworkKey[:]...)
	items := []struct {
		id    uint16
		value []byte
	}{
		{nvExtAddr, binary.LittleEndian.AppendUint64(nil, uint64(b.Coordinator))},
		{nvNIB, n.data},
		{nvActiveKey, key},
		{nvAlternateKey, key},
	}
	if b.TCLinkKeySeed != [16]byte{} {
		items = append(items, struct {
			id    uint16
			value []byte
		}{nvLinkKeySeed, b.TCLinkKeySeed[:]})
	}
	for _, item := range items {
		if err := c.nvUpdate(ctx, item.id, item.value); err != nil {
			return err
		}
	}
	return nil
}

// tables are the tables of a network, as large as those of the stick.
type tables struct {
	addresses []addressEntry
	security  []securityEntry
	keys      []zigbee.LinkKey
	tc        []tcEntry
	counters  []counterEntry
	left      int // devices whose link keys did not fit
}

// sizes returns empty tables of the size of those in the stick.
func (c *Coordinator) sizes(ctx context.Context) (t tables, err error) {
	for _, x := range []struct {
		table table
		make  func(n int)
	}{
		{c.addressTable(), func(n int) { t.addresses = make([]addressEntry, n) }},
		{c.securityTable(), func(n int) { t.security = make([]securityEntry, n) }},
		{c.linkKeyTable(), func(n int) { t.keys = make([]zigbee.LinkKey, n) }},
		{c.tcTable(), func(n int) { t.tc = make([]tcEntry, n) }},
		{c.counterTable(), func(n int) { t.counters = make([]counterEntry, n) }},
	} {
		entries, err := c.readTable(ctx, x.table)
		if err != nil {
			return t, err
		}
		x.make(len(entries))
	}
	for i := range t.security {
		t.security[i].address = unusedAddress
	}
	return t, nil
}

// restorable says whether the backup fits into the stick, as far as can be told:
// before a network was formed the tables need not be there.
func (c *Coordinator) restorable(ctx context.Context, b *zigbee.Backup) error {
	t, err := c.sizes(ctx)
	if err != nil || len(t.addresses) == 0 || len(t.counters) == 0 {
		return err
	}
	return t.fill(b, c.version.product)
}

// restoredTables returns the tables of the backup.
func (c *Coordinator) restoredTables(ctx context.Context, b *zigbee.Backup) (t tables, err error) {
	if t, err = c.sizes(ctx); err == nil {
		err = t.fill(b, c.version.product)
	}
	return t, err
}

// fill puts counters and devices into the tables.
func (t *tables) fill(b *zigbee.Backup, product uint8) error {
	if len(t.counters) == 0 {
		return errors.New("the stick has no room for a frame counter: flash current Z-Stack coordinator firmware")
	}
	counter := ahead(b.FrameCounter)
	t.counters[0] = counterEntry{counter, b.ExtendedPANID}
	if last := len(t.counters) - 1; last > 0 {
		t.counters[last] = counterEntry{counter, anyNetwork}
	}
	addresses, derived, own := 0, 0, 0
	for i := range b.Devices {
		d := &b.Devices[i]
		e := addressEntry{network: d.NetworkAddress, ieee: d.IEEEAddress}
		if d.IsChild {
			e.user |= userAssociated
		}
		if d.LinkKey != nil {
			e.user |= userSecurity
		}
		if e.user == 0 {
			continue // nothing that the stick has to know
		}
		if addresses == len(t.addresses) {
			return tooSmall("devices", len(t.addresses), len(b.Devices))
		}
		at := addresses
		t.addresses[at] = e
		addresses++
		if d.LinkKey == nil {
			continue
		}
		key := *d.LinkKey
		key.TxCounter = ahead(key.TxCounter)
		shift, ok := seedShift(b.TCLinkKeySeed, key.Key, d.IEEEAddress)
		if ok && b.TCLinkKeySeed != [16]byte{} {
			if derived == len(t.tc) {
				return tooSmall("trust center link keys", len(t.tc), len(b.Devices))
			}
			t.tc[derived] = tcEntry{key.TxCounter, key.RxCounter, d.IEEEAddress, verifiedKey, 0, shift}
			derived++
			continue
		}
		if own == min(len(t.keys), len(t.security)) {
			// Keys of another family of sticks: each takes a place of its own, of
			// which there are few. The device knows the network key; it needs
			// its link key only to come back after that has changed.
			t.addresses[at].user &^= userSecurity
			t.left++
			continue
		}
		index := uint16(own)
		if product != zStack3x0 {
			index += nvLinkKeyData
		}
		t.keys[own] = key
		t.security[own] = securityEntry{uint16(at), index, authenticated}
		own++
	}
	return nil
}

// ahead adds the lead to a counter, as far as there is room.
func ahead(counter uint32) uint32 { return uint32(min(uint64(counter)+counterLead, 1<<32-2)) }

func tooSmall(what string, room, devices int) error {
	return fmt.Errorf("the stick has room for %d %s only, the backup has %d devices: use a larger stick, "+
		"or firmware for more devices", room, what, devices)
}

// write writes the tables.
func (t *tables) write(ctx context.Context, c *Coordinator) error {
	used := uint16(0)
	for _, e := range t.security {
		if e.used() {
			used++
		}
	}
	for _, x := range []struct {
		table   table
		header  []byte
		entries [][]byte
	}{
		{c.counterTable(), nil, packed(t.counters, c.packCounter)},
		{c.addressTable(), nil, packed(t.addresses, c.packAddress)},
		{c.securityTable(), binary.LittleEndian.AppendUint16(nil, used), packed(t.security, c.packSecurity)},
		{c.linkKeyTable(), nil, packed(t.keys, c.packLinkKey)},
		{c.tcTable(), nil, packed(t.tc, c.packTC)},
	} {
		if len(x.entries) == 0 {
			continue
		}
		if err := c.writeTable(ctx, x.table, x.header, x.entries); err != nil {
			return err
		}
	}
	return nil
}

func packed[E any](entries []E, pack func(E) []byte) [][]byte {
	b := make([][]byte, len(entries))
	for i, e := range entries {
		b[i] = pack(e)
	}
	return b
}

// verify reads back whether the stick is what the backup says.
func (c *Coordinator) verify(ctx context.Context, b *zigbee.Backup) error {
	address, err := c.readAddress(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.info.IEEEAddress = address
	c.mu.Unlock()
	p, err := c.parameters(ctx)
	if err != nil {
		return err
	}
	if p != b.Parameters || address != b.Coordinator {
		return errors.New("the stick has not taken over the network: reset it and try again")
	}
	return c.check(ctx, b.Parameters)
}
