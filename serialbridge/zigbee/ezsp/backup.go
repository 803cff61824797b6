package ezsp

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"lintel/serialbridge/zigbee"
)

// counterMargin is added to the frame counters of a backup: the network has
// gone on counting since it was made, and believes only what is above.
const counterMargin = 2500

// Backup reads the network that runs, its keys and those of its devices.
func (c *Coordinator) Backup(ctx context.Context) (*zigbee.Backup, error) {
	p, n, err := c.readNetwork(ctx)
	if err != nil {
		return nil, err
	}
	info, err := c.keyInfo(ctx)
	if err != nil {
		return nil, err
	}
	link, err := c.exportKey(ctx, keyTCLink, "read the link key")
	if err != nil {
		return nil, err
	}
	devices, err := c.linkKeys(ctx)
	if err != nil {
		return nil, err
	}
	devices = c.hashedLinkKeys(devices, link)
	return &zigbee.Backup{
		Parameters:      p,
		Coordinator:     c.Info().IEEEAddress,
		SecurityLevel:   securityLevel,
		FrameCounter:    info.frameCounter,
		ChannelMask:     n.channels,
		Devices:         devices,
		TCLinkKeyHashed: link,
		EZSPVersion:     c.version(),
	}, nil
}

// keyTableSize is for how many devices the stick has room for link keys.
func (c *Coordinator) keyTableSize(ctx context.Context) (int, error) {
	const doing = "read the size of the table of link keys"
	r, err := c.call(ctx, cmdGetConfigurationValue, []byte{configKeyTableSize})
	if err != nil {
		return 0, fmt.Errorf("ezsp: %s: %w", doing, err)
	}
	s, size := r.ezspStatus(c.version()), r.uint16()
	if err := c.check(r, s, doing); err != nil {
		return 0, err
	}
	return min(int(size), 0xff), nil // an index has one byte
}

// linkKeys reads the devices that have link keys in the table.
func (c *Coordinator) linkKeys(ctx context.Context) ([]zigbee.BackupDevice, error) {
	size, err := c.keyTableSize(ctx)
	if err != nil {
		return nil, err
	}
	var devices []zigbee.BackupDevice
	for i := range size {
		r, err := c.call(ctx, cmdExportLinkKeyByIndex, []byte{byte(i)})
		if err != nil {
			return nil, fmt.Errorf("ezsp: read link key %d: %w", i, err)
		}
		var s status
		var ieee zigbee.IEEEAddress
		var key zigbee.LinkKey
		if c.version() >= 14 {
			s = status(r.uint32())
			context := reader{rest: r.bytes(keyContextSize)}
			context.bytes(4)
			ieee = context.ieee()
			key.Key = r.key()
		} else {
			ieee, key.Key = r.ieee(), r.key()
		}
		r.bytes(2) // what of the rest is valid: counters always are, of a link key
		key.TxCounter, key.RxCounter = r.uint32(), r.uint32()
		r.bytes(2)
		if c.version() < 14 {
			s = status(r.uint32())
		}
		if r.bad {
			return nil, c.check(r, s, fmt.Sprintf("read link key %d", i))
		}
		if s != statusOK || ieee == 0 || ieee == blankAddress {
			continue // an entry that is empty
		}
		devices = append(devices, zigbee.BackupDevice{
			IEEEAddress: ieee, NetworkAddress: c.addressOf(ieee), LinkKey: &key,
		})
	}
	return devices, nil
}

// hashedLinkKeys adds the devices that were heard of and are not in the table: the
// stick makes their keys from the one that it keeps.
func (c *Coordinator) hashedLinkKeys(devices []zigbee.BackupDevice, link [16]byte) []zigbee.BackupDevice {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := make(map[zigbee.IEEEAddress]bool, len(devices))
	for _, d := range devices {
		known[d.IEEEAddress] = true
	}
	for _, ieee := range slices.Sorted(maps.Keys(c.addresses)) {
		if !known[ieee] {
			devices = append(devices, zigbee.BackupDevice{
				IEEEAddress: ieee, NetworkAddress: c.addresses[ieee],
				LinkKey: &zigbee.LinkKey{Key: zigbee.HashedLinkKey(link, ieee)},
			})
		}
	}
	return devices
}

// addressOf returns where a device was heard last.
func (c *Coordinator) addressOf(ieee zigbee.IEEEAddress) zigbee.NetworkAddress {
	c.mu.Lock()
	defer c.mu.Unlock()
	if address, ok := c.addresses[ieee]; ok {
		return address
	}
	return zigbee.UnknownAddress
}

// Restore makes the stick the coordinator of the network in the backup; see
// [zigbee.Coordinator].
func (c *Coordinator) Restore(ctx context.Context, b *zigbee.Backup) error {
	c.starting.Lock()
	defer c.starting.Unlock()
	p, coordinator := b.Parameters, b.Coordinator
	if p.Channel < 11 || p.Channel > 26 || p.NetworkKey == [16]byte{} {
		return fmt.Errorf("ezsp: restore the network: the backup has no channel or no network key")
	}
	if err := c.leave(ctx); err != nil {
		return err
	}
	if coordinator != 0 && coordinator != blankAddress && coordinator != c.Info().IEEEAddress {
		if err := c.takeAddress(ctx, coordinator); err != nil {
			return err
		}
	}
	counter := uint32(min(uint64(b.FrameCounter)+counterMargin, 0xffffffff))
	if err := c.setValue(ctx, valueNetworkFrameCounter, append32(nil, counter), "set the frame counter"); err != nil {
		return err
	}
	link := b.TCLinkKeyHashed
	if link == [16]byte{} {
		link = newKey() // of another family of sticks: its devices have their keys in the table
	}
	if err := c.importLinkKeys(ctx, b.Devices, link); err != nil {
		return err
	}
	channels := b.ChannelMask & zigbee.Channels
	if channels == 0 {
		channels = zigbee.Channels
	}
	if err := c.form(ctx, p, link, channels, keepFrameCounter); err != nil {
		return err
	}
	c.mu.Lock()
	for _, d := range b.Devices[:min(len(b.Devices), maxAddresses)] {
		if d.LinkKey != nil {
			c.addresses[d.IEEEAddress] = d.NetworkAddress
		}
	}
	c.mu.Unlock()
	return c.begin(ctx)
}

// importLinkKeys fills the table of link keys with those that are not made from link.
func (c *Coordinator) importLinkKeys(ctx context.Context, devices []zigbee.BackupDevice, link [16]byte) error {
	size, err := c.keyTableSize(ctx)
	if err != nil {
		return err
	}
	if err := c.demand(ctx, cmdClearKeyTable, nil, "clear the link keys"); err != nil {
		return err
	}
	n, left, highest := 0, 0, uint32(0)
	for _, d := range devices {
		if d.LinkKey == nil {
			continue
		}
		highest = max(highest, d.LinkKey.TxCounter)
		if d.LinkKey.Key == zigbee.HashedLinkKey(link, d.IEEEAddress) {
			continue
		}
		if n == size {
			left++
			continue
		}
		doing := "set the link key of " + d.IEEEAddress.String()
		p := appendIEEE([]byte{byte(n)}, d.IEEEAddress)
		r, err := c.call(ctx, cmdImportLinkKey, append(p, d.LinkKey.Key[:]...))
		if err != nil {
			return fmt.Errorf("ezsp: %s: %w", doing, err)
		}
		if err := c.check(r, status(r.uint32()), doing); err != nil {
			return err
		}
		n++
	}
	if left > 0 {
		c.log.Warn("the stick has no room for the link keys of all devices: those without may have to be paired anew if they lose the network", "room", size, "devices", left)
	}
	if highest == 0 {
		return nil // none was used yet
	}
	// The stick has one counter for all the link keys that it sends with.
	counter := uint32(min(uint64(highest)+counterMargin, 0xffffffff))
	return c.setValue(ctx, valueAPSFrameCounter, append32(nil, counter), "set the frame counter of the link keys")
}

// restoredAddress are the tokens by which an EFR32 takes another IEEE address
// than the one it was made with; which one there is depends on its firmware.
var restoredAddress = [...]uint32{0xe12a, 0x1e12a}

// takeAddress gives the stick the IEEE address of the coordinator that it takes the
// place of, if its firmware can do that again and again. The address for
// good, which can be written once, is left alone.
func (c *Coordinator) takeAddress(ctx context.Context, address zigbee.IEEEAddress) error {
	for _, token := range restoredAddress {
		p := append32(append32(nil, token), 0)
		r, err := c.call(ctx, cmdGetTokenData, p)
		if err != nil {
			continue // it does not know the command, or is gone: the next one tells
		}
		if s := r.status(c.version()); s != statusOK || r.uint32() != 8 || r.bad {
			continue
		}
		p = append32(p, 8)
		if err := c.demand(ctx, cmdSetTokenData, appendIEEE(p, address), "take the address "+address.String()); err != nil {
			return err
		}
		if err := c.start(ctx); err != nil {
			return err
		}
		if c.Info().IEEEAddress == address {
			return nil
		}
	}
	if c.Info().IEEEAddress != address {
		c.log.Warn("the firmware cannot take the address of the former coordinator: devices that report to it have to be configured anew", "ieee", address)
	}
	return nil
}

func newKey() (key [16]byte) {
	rand.Read(key[:]) // never fails
	return key
}
