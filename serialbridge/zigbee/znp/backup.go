package znp

import (
	"context"
	"fmt"

	"lintel/serialbridge/zigbee"
)

// firstCounter is the frame counter of a network that has written none down yet: the
// stick does so every 1250 frames.
const firstCounter = 1250

func (c *Coordinator) addressTable() table {
	if c.version.product == zStack3x0 {
		return table{item: exAddressManager, extended: true, limit: maxEntries}
	}
	return table{item: nvAddressManager, whole: true, entry: len(c.packAddress(addressEntry{}))}
}

func (c *Coordinator) securityTable() table {
	return table{item: nvSecurityManager, whole: true, header: 2, entry: len(c.packSecurity(securityEntry{}))}
}

func (c *Coordinator) linkKeyTable() table {
	if c.version.product == zStack3x0 {
		return table{item: exLinkKeyData, extended: true, limit: maxEntries}
	}
	return table{item: nvLinkKeyData, limit: 255}
}

func (c *Coordinator) tcTable() table {
	if c.version.product == zStack3x0 {
		return table{item: exTCLinkKeys, extended: true, limit: maxEntries}
	}
	return table{item: nvTCLinkKeys, limit: 239}
}

func (c *Coordinator) counterTable() table {
	if c.version.product == zStack3x0 {
		return table{item: exSecurityMaterial, extended: true, limit: maxEntries}
	}
	return table{item: nvSecurityMaterial, limit: 12}
}

// Backup implements [zigbee.Coordinator]. Z-Stack loses devices from its tables now
// and then that are still in the network; whoever keeps the backup adds those that
// earlier ones had.
func (c *Coordinator) Backup(ctx context.Context) (*zigbee.Backup, error) {
	b, err := c.backup(ctx)
	if err != nil {
		return nil, fmt.Errorf("back up the Zigbee stick: %w", err)
	}
	return b, nil
}

func (c *Coordinator) backup(ctx context.Context) (*zigbee.Backup, error) {
	p, err := c.parameters(ctx)
	if err != nil {
		return nil, err
	}
	n, err := c.readNIB(ctx)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, zigbee.ErrNoNetwork
	}
	b := &zigbee.Backup{
		Parameters:    p,
		SecurityLevel: n.data[n.securityLevel],
		ChannelMask:   n.mask(),
		ZNPVersion:    c.version.product,
	}
	if b.Coordinator, err = c.readAddress(ctx); err != nil {
		return nil, err
	}
	if b.FrameCounter, err = c.readCounter(ctx, p.ExtendedPANID); err != nil {
		return nil, err
	}
	if c.version.product != zStack12 {
		seed, err := c.nvRead(ctx, nvLinkKeySeed)
		if err != nil {
			return nil, err
		}
		copy(b.TCLinkKeySeed[:], seed)
	}
	keys, err := c.readKeys(ctx, b.TCLinkKeySeed)
	if err != nil {
		return nil, err
	}
	b.Devices, err = c.readDevices(ctx, keys)
	return b, err
}

// readCounter returns the frame counter of the network key.
func (c *Coordinator) readCounter(ctx context.Context, extended [8]byte) (uint32, error) {
	if c.version.product == zStack12 {
		// There it is in the item of the active key: sequence number, key, counter.
		data, err := c.nvRead(ctx, nvNetworkKey)
		u := unpacker{aligned: c.aligned, b: data}
		u.take(1 + 16)
		return u.u32(), err
	}
	entries, err := c.readTable(ctx, c.counterTable())
	if err != nil {
		return 0, err
	}
	counter, found := uint32(firstCounter), false
	for _, entry := range entries {
		switch e := c.parseCounter(entry); {
		case e.extended == extended:
			return e.counter, nil
		case e.extended == anyNetwork && !found && e.counter != 1<<32-1:
			found, counter = true, e.counter
		}
	}
	return counter, nil
}

// keys are the link keys that the stick holds.
type keys struct {
	own     map[uint16]zigbee.LinkKey // by index into the address manager
	derived map[zigbee.IEEEAddress]zigbee.LinkKey
}

func (c *Coordinator) readKeys(ctx context.Context, seed [16]byte) (k keys, err error) {
	k = keys{make(map[uint16]zigbee.LinkKey), make(map[zigbee.IEEEAddress]zigbee.LinkKey)}
	entries, err := c.readTable(ctx, c.securityTable())
	if err != nil {
		return k, err
	}
	data, err := c.readTable(ctx, c.linkKeyTable())
	if err != nil {
		return k, err
	}
	for _, entry := range entries {
		e := c.parseSecurity(entry)
		if !e.used() {
			continue
		}
		i := int(e.key)
		if c.version.product != zStack3x0 {
			i -= nvLinkKeyData
		}
		if i < 0 || i >= len(data) {
			continue
		}
		if key := c.parseLinkKey(data[i]); key.Key != [16]byte{} {
			k.own[e.address] = key
		}
	}
	if c.version.product == zStack12 || seed == [16]byte{} {
		return k, nil
	}
	entries, err = c.readTable(ctx, c.tcTable())
	if err != nil {
		return k, err
	}
	for _, entry := range entries {
		e := c.parseTC(entry)
		if e.ieee != 0 && e.ieee != 1<<64-1 && e.shift < 16 {
			k.derived[e.ieee] = zigbee.LinkKey{Key: linkKey(seed, e.shift, e.ieee), RxCounter: e.rx, TxCounter: e.tx}
		}
	}
	return k, nil
}

// readDevices returns the devices that the stick knows.
func (c *Coordinator) readDevices(ctx context.Context, k keys) ([]zigbee.BackupDevice, error) {
	entries, err := c.readTable(ctx, c.addressTable())
	if err != nil {
		return nil, err
	}
	var devices []zigbee.BackupDevice
	for i, entry := range entries {
		e := c.parseAddress(entry)
		if !e.used() || e.user&(userAssociated|userSecurity) == 0 {
			continue
		}
		d := zigbee.BackupDevice{
			IEEEAddress:    e.ieee,
			NetworkAddress: e.network,
			IsChild:        e.user&userAssociated != 0,
		}
		key, ok := k.own[uint16(i)]
		if !ok {
			key, ok = k.derived[e.ieee]
		}
		if ok {
			d.LinkKey = &key
		}
		devices = append(devices, d)
	}
	return devices, nil
}
