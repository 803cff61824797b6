package hardware

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The partition table of UEFI 2.10, 5.3, on a disk with sectors of 512 bytes.
const (
	sectorSize   = 512
	tableSectors = 32 // 128 entries of 128 bytes
	entrySize    = 128
	tableEntries = tableSectors * sectorSize / entrySize

	// The first copy of the entries is at one of these two sectors. Growing writes the one
	// that the header does not name, and then the header: so there is one valid table at
	// each moment. Linux asks for the second copy, at the end of the disk, only with "gpt"
	// on its command line, and gokrazy reads names of partitions at sector 2 whatever the
	// header says: they do not change.
	firstTable  = 2
	secondTable = firstTable + tableSectors
	firstUsable = secondTable + tableSectors
)

// tableDisk is the part of *os.File that growTable needs.
type tableDisk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// partitionTable is a header with its entries.
type partitionTable struct {
	header  [92]byte
	entries [tableSectors * sectorSize]byte
}

// entry returns the entry of a partition, from 1.
func (t *partitionTable) entry(number int) []byte {
	return t.entries[(number-1)*entrySize : number*entrySize]
}

// first and last are the sectors of an entry, both of the partition.
func firstSector(entry []byte) uint64 { return binary.LittleEndian.Uint64(entry[32:]) }
func lastSector(entry []byte) uint64  { return binary.LittleEndian.Uint64(entry[40:]) }

func entryUsed(entry []byte) bool { return !bytes.Equal(entry[:16], make([]byte, 16)) }

// readTable reads the table whose header is at sector lba.
func readTable(d io.ReaderAt, lba uint64) (*partitionTable, error) {
	var t partitionTable
	if _, err := d.ReadAt(t.header[:], int64(lba)*sectorSize); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	h := t.header
	sum := le.Uint32(h[16:])
	clear(h[16:20])
	switch {
	case string(h[:8]) != "EFI PART" || le.Uint32(h[8:]) != 0x10000 || le.Uint32(h[12:]) != uint32(len(h)):
		return nil, errors.New("there is no partition table of UEFI")
	case crc32.ChecksumIEEE(h[:]) != sum || le.Uint64(h[24:]) != lba:
		return nil, errors.New("the partition table is damaged")
	case le.Uint32(h[80:]) != tableEntries || le.Uint32(h[84:]) != entrySize:
		return nil, fmt.Errorf("the partition table has %d entries of %d bytes", le.Uint32(h[80:]), le.Uint32(h[84:]))
	}
	at := le.Uint64(h[72:])
	if at > 1<<48 {
		return nil, errors.New("the partition table is damaged")
	}
	if _, err := d.ReadAt(t.entries[:], int64(at)*sectorSize); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(t.entries[:]) != le.Uint32(h[88:]) {
		return nil, errors.New("the partition table is damaged")
	}
	return &t, nil
}

// place fills in what differs between the copies of a table: where this header is, where
// the other one is, where the entries are; and the checksums.
func (t *partitionTable) place(lba, other, entries, lastUsable uint64) {
	le := binary.LittleEndian
	le.PutUint64(t.header[24:], lba)
	le.PutUint64(t.header[32:], other)
	le.PutUint64(t.header[40:], firstUsable)
	le.PutUint64(t.header[48:], lastUsable)
	le.PutUint64(t.header[72:], entries)
	le.PutUint32(t.header[88:], crc32.ChecksumIEEE(t.entries[:]))
	clear(t.header[16:20])
	le.PutUint32(t.header[16:], crc32.ChecksumIEEE(t.header[:]))
}

// growTable makes a partition, which has to be the last one, end where the disk ends,
// and returns where it begins and ends then, in sectors. Where less than a MiB would be won
// nothing is written. A power cut after any write leaves the old table or the new one;
// growTable takes up from there.
func growTable(d tableDisk, sectors uint64, number int) (first, last uint64, err error) {
	if sectors < 1<<16 || number < 1 || number > tableEntries {
		return 0, 0, fmt.Errorf("partition %d of a disk of %d sectors", number, sectors)
	}
	t, err := readTable(d, 1)
	if err != nil {
		return 0, 0, err
	}
	entry := t.entry(number)
	first, last = firstSector(entry), lastSector(entry)
	if !entryUsed(entry) || last < first || last >= sectors {
		return 0, 0, fmt.Errorf("partition %d is not on the disk", number)
	}
	for n := 1; n <= tableEntries; n++ {
		e := t.entry(n)
		if !entryUsed(e) || n == number {
			continue
		}
		if lastSector(e) >= first {
			return 0, 0, fmt.Errorf("partition %d is in the way of partition %d", n, number)
		}
		if firstSector(e) < firstUsable {
			return 0, 0, fmt.Errorf("partition %d is where the partition table has to be", n)
		}
	}
	const mebibyte = 1 << 20 / sectorSize
	backup := sectors - 1
	lastUsable := backup - tableSectors - 1
	end := (lastUsable + 1) &^ (mebibyte - 1)
	if end < last+1+mebibyte {
		return first, last, nil
	}
	le := binary.LittleEndian
	spare := uint64(secondTable)
	if le.Uint64(t.header[72:]) == secondTable {
		spare = firstTable
	}
	le.PutUint64(entry[40:], end-1)

	write := func(b []byte, lba uint64) {
		if err == nil {
			_, err = d.WriteAt(b, int64(lba)*sectorSize)
		}
	}
	sync := func() {
		if err == nil {
			err = d.Sync()
		}
	}
	header := func() []byte { // a whole sector: the medium writes no less
		var s [sectorSize]byte
		copy(s[:], t.header[:])
		return s[:]
	}
	t.place(backup, 1, backup-tableSectors, lastUsable)
	write(t.entries[:], backup-tableSectors)
	write(header(), backup)
	t.place(1, backup, spare, lastUsable)
	write(t.entries[:], spare)
	sync()
	write(header(), 1)
	sync()
	if err != nil {
		return 0, 0, err
	}
	return first, end - 1, nil
}
