package znp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Items of the non-volatile memory.
const (
	nvExtAddr          = 0x0001
	nvStartupOption    = 0x0003
	nvNIB              = 0x0021
	nvAddressManager   = 0x0023
	nvExtendedPANID    = 0x002d
	nvActiveKey        = 0x003a
	nvAlternateKey     = 0x003b
	nvUseExtendedPANID = 0x0047
	nvSecurityManager  = 0x004c
	nvConfigured       = 0x0060 // not TI's: by it programs tell each other that they are done
	nvPreconfigKey     = 0x0062
	nvPreconfigEnable  = 0x0063
	nvSecurityMaterial = 0x0075 // the first of a table
	nvNetworkKey       = 0x0082
	nvPANID            = 0x0083
	nvChannelList      = 0x0084
	nvLogicalType      = 0x0087
	nvDirectCallback   = 0x008f
	nvLinkKeySeed      = 0x0101
	nvLinkKey12        = 0x0101 // of Z-Stack 1.2
	nvTCLinkKeys       = 0x0111 // the first of a table
	nvLinkKeyData      = 0x0201 // the first of a table
	nvConfigured12     = 0x0f00 // nvConfigured of Z-Stack 1.2
)

// Tables of Z-Stack 3.x.0 are items of the extended memory with one sub-item
// for each entry.
const (
	exSystem           = 1
	exAddressManager   = 0x0001
	exTCLinkKeys       = 0x0004
	exLinkKeyData      = 0x0006
	exSecurityMaterial = 0x0007
)

const (
	// maxChunk is how much of an item is carried by one command.
	maxChunk = 240
	// maxEntries bounds tables: sticks have room for 300 devices at most.
	maxEntries = 1024
)

// nvLength returns the length of an item, 0 if there is none.
func (c *Coordinator) nvLength(ctx context.Context, item uint16) (int, error) {
	answer, err := c.link.request(ctx, sysNVLength, binary.LittleEndian.AppendUint16(nil, item))
	if err != nil {
		return 0, fmt.Errorf("length of NV item %04x: %w", item, err)
	}
	return int(binary.LittleEndian.Uint16(answer)), nil
}

// nvRead returns an item, nil if there is none.
func (c *Coordinator) nvRead(ctx context.Context, item uint16) ([]byte, error) {
	length, err := c.nvLength(ctx, item)
	if err != nil || length == 0 {
		return nil, err
	}
	value := make([]byte, 0, length)
	for len(value) < length {
		question := binary.LittleEndian.AppendUint16(nil, item)
		question = binary.LittleEndian.AppendUint16(question, uint16(len(value)))
		answer, err := c.link.request(ctx, sysNVReadExt, question)
		if err == nil {
			err = checkStatus(sysNVReadExt, answer)
		}
		if err == nil && len(answer) < 3 {
			err = errForm(sysNVReadExt)
		}
		if err != nil {
			return nil, fmt.Errorf("read NV item %04x: %w", item, err)
		}
		value = append(value, answer[2:]...)
	}
	return value[:length], nil
}

// nvWrite writes an item; one of another length gives way.
func (c *Coordinator) nvWrite(ctx context.Context, item uint16, value []byte) error {
	length, err := c.nvLength(ctx, item)
	if err != nil {
		return err
	}
	if length != 0 && length != len(value) {
		if err := c.nvDelete(ctx, item); err != nil {
			return err
		}
		length = 0
	}
	if length == 0 {
		first := value[:min(len(value), maxChunk)]
		b := binary.LittleEndian.AppendUint16(nil, item)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		b = append(append(b, byte(len(first))), first...)
		if err := c.link.do(ctx, sysNVInit, b, statusInitialized); err != nil {
			return fmt.Errorf("make NV item %04x: %w", item, err)
		}
	}
	for at := 0; at < len(value); at += maxChunk {
		chunk := value[at:min(at+maxChunk, len(value))]
		b := binary.LittleEndian.AppendUint16(nil, item)
		b = binary.LittleEndian.AppendUint16(b, uint16(at))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(chunk)))
		if err := c.link.do(ctx, sysNVWriteExt, append(b, chunk...)); err != nil {
			return fmt.Errorf("write NV item %04x: %w", item, err)
		}
	}
	return nil
}

// nvUpdate writes an item unless it has that value: flash wears out.
func (c *Coordinator) nvUpdate(ctx context.Context, item uint16, value []byte) error {
	old, err := c.nvRead(ctx, item)
	if err != nil || old != nil && bytes.Equal(old, value) {
		return err
	}
	return c.nvWrite(ctx, item, value)
}

// nvDelete deletes an item if there is one.
func (c *Coordinator) nvDelete(ctx context.Context, item uint16) error {
	length, err := c.nvLength(ctx, item)
	if err != nil || length == 0 {
		return err
	}
	b := binary.LittleEndian.AppendUint16(nil, item)
	b = binary.LittleEndian.AppendUint16(b, uint16(length))
	if err := c.link.do(ctx, sysNVDelete, b, statusInitialized); err != nil {
		return fmt.Errorf("delete NV item %04x: %w", item, err)
	}
	return nil
}

// exKey is how an entry of an extended table is called.
func exKey(item uint16, entry int) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{exSystem}, item)
	return binary.LittleEndian.AppendUint16(b, uint16(entry))
}

func (c *Coordinator) exLength(ctx context.Context, item uint16, entry int) (int, error) {
	answer, err := c.link.request(ctx, sysExNVLength, exKey(item, entry))
	if err != nil {
		return 0, fmt.Errorf("length of entry %d of NV table %d: %w", entry, item, err)
	}
	return int(answer[0]), nil
}

// exRead returns an entry of an extended table, nil if there is none.
func (c *Coordinator) exRead(ctx context.Context, item uint16, entry int) ([]byte, error) {
	length, err := c.exLength(ctx, item, entry)
	if err != nil || length == 0 {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint16(exKey(item, entry), 0)
	answer, err := c.link.request(ctx, sysExNVRead, append(b, byte(length)))
	if err == nil {
		err = checkStatus(sysExNVRead, answer)
	}
	if err == nil && len(answer) != 2+length {
		err = errForm(sysExNVRead)
	}
	if err != nil {
		return nil, fmt.Errorf("read entry %d of NV table %d: %w", entry, item, err)
	}
	return answer[2:], nil
}

// exUpdate writes an entry of an extended table unless it has that value.
func (c *Coordinator) exUpdate(ctx context.Context, item uint16, entry int, value []byte) error {
	old, err := c.exRead(ctx, item, entry)
	if err != nil || old != nil && bytes.Equal(old, value) {
		return err
	}
	if old == nil {
		b := binary.LittleEndian.AppendUint32(exKey(item, entry), uint32(len(value)))
		if err := c.link.do(ctx, sysExNVCreate, b, statusInitialized); err != nil {
			return fmt.Errorf("make entry %d of NV table %d: %w", entry, item, err)
		}
	}
	b := append(exKey(item, entry), 0, 0, byte(len(value)))
	if err := c.link.do(ctx, sysExNVWrite, append(b, value...)); err != nil {
		return fmt.Errorf("write entry %d of NV table %d: %w", entry, item, err)
	}
	return nil
}

// A table is a table in NV: in one item, in an item for each entry, or in the
// extended memory.
type table struct {
	item     uint16
	extended bool
	whole    bool // all entries are in one item
	entry    int  // length of an entry, if whole
	header   int  // bytes before the first entry, if whole
	limit    int  // the most entries that there can be
}

// readTable returns the entries of a table.
func (c *Coordinator) readTable(ctx context.Context, t table) ([][]byte, error) {
	var entries [][]byte
	if t.whole {
		value, err := c.nvRead(ctx, t.item)
		if err != nil || value == nil {
			return nil, err
		}
		if len(value) < t.header || (len(value)-t.header)%t.entry != 0 {
			return nil, fmt.Errorf("NV item %04x has %d bytes, which is no table with entries of %d", t.item, len(value), t.entry)
		}
		for value = value[t.header:]; len(value) > 0; value = value[t.entry:] {
			entries = append(entries, value[:t.entry])
		}
		return entries, nil
	}
	for len(entries) < min(t.limit, maxEntries) {
		entry, err := c.readEntry(ctx, t, len(entries))
		if err != nil {
			return nil, err
		}
		if entry == nil {
			break
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func (c *Coordinator) readEntry(ctx context.Context, t table, i int) ([]byte, error) {
	if t.extended {
		return c.exRead(ctx, t.item, i)
	}
	return c.nvRead(ctx, t.item+uint16(i))
}

// writeTable writes all entries of a table. Entries of a whole one come with their
// header.
func (c *Coordinator) writeTable(ctx context.Context, t table, header []byte, entries [][]byte) error {
	if t.whole {
		value := append([]byte(nil), header...)
		return c.nvWrite(ctx, t.item, append(value, bytes.Join(entries, nil)...))
	}
	for i, entry := range entries {
		var err error
		if t.extended {
			err = c.exUpdate(ctx, t.item, i, entry)
		} else {
			err = c.nvUpdate(ctx, t.item+uint16(i), entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// findAlignment finds out whether structures in NV are aligned to 16 bits, as on
// ARM, or packed, as on the 8051: the length of one that is always there tells it.
func (c *Coordinator) findAlignment(ctx context.Context) error {
	length, err := c.nvLength(ctx, nvNetworkKey)
	switch unknown := (*unknownError)(nil); {
	case errors.As(err, &unknown):
		return fmt.Errorf("the firmware of the stick does not let its memory be read: flash Z-Stack coordinator firmware: %w", err)
	case err != nil:
		return err
	}
	switch length {
	case 21:
		c.aligned = false
	case 24:
		c.aligned = true
	default:
		c.aligned = c.version.product == zStack3x0
	}
	return nil
}
