package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// medium is what a file system lies on.
type medium interface {
	io.ReaderAt
	io.WriterAt
}

// fat is the FAT file system of a card (Microsoft, FAT: General Overview of On-Disk Format,
// 1.03), as far as writing one small file into its root folder takes.
type fat struct {
	medium
	at                               int64 // where it begins on the disk, in bytes
	cluster                          int64 // bytes
	tables                           int
	tableSize, table, root, rootSize int64 // bytes; root: of FAT12 and FAT16
	data                             int64 // of cluster 2
	clusters                         uint32
	bits                             int
	rootCluster                      uint32 // of FAT32
	sector                           int64
	info                             int64 // of FAT32: where the count of free clusters is; 0: nowhere
}

var errNoFAT = errors.New("there is no FAT file system on it: is that a card or an image of Lintel?")

// openFAT opens the file system in the first partition that has one, or on the whole disk.
func openFAT(d medium) (*fat, error) {
	starts := []int64{0}
	var head [512]byte
	if _, err := d.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("%w (%v)", errNoFAT, err)
	}
	for i := range 4 { // of the master boot record: a GPT has its FAT there too on a Raspberry Pi
		entry := head[446+16*i:]
		if start := binary.LittleEndian.Uint32(entry[8:]); entry[4] != 0 && entry[4] != 0xEE {
			starts = append(starts, int64(start)*512)
		}
	}
	var gpt [512]byte
	if _, err := d.ReadAt(gpt[:], 512); err == nil && bytes.HasPrefix(gpt[:], []byte("EFI PART")) { // UEFI 5.3.2
		entries := binary.LittleEndian.Uint64(gpt[72:])
		for i := range 8 {
			var entry [128]byte
			if _, err := d.ReadAt(entry[:], int64(entries)*512+int64(i)*128); err != nil || entries > 1<<20 {
				break
			}
			if start := binary.LittleEndian.Uint64(entry[32:]); start > 0 && start < 1<<40 {
				starts = append(starts, int64(start)*512)
			}
		}
	}
	for _, at := range starts {
		if f := readFAT(d, at); f != nil {
			return f, nil
		}
	}
	return nil, errNoFAT
}

// readFAT reads the boot sector; nil: there is none.
func readFAT(d medium, at int64) *fat {
	var b [512]byte
	if _, err := d.ReadAt(b[:], at); err != nil || b[510] != 0x55 || b[511] != 0xAA || b[0] != 0xEB && b[0] != 0xE9 {
		return nil
	}
	sector := int64(binary.LittleEndian.Uint16(b[11:]))
	reserved := int64(binary.LittleEndian.Uint16(b[14:]))
	entries := int64(binary.LittleEndian.Uint16(b[17:]))
	total := int64(binary.LittleEndian.Uint16(b[19:]))
	if total == 0 {
		total = int64(binary.LittleEndian.Uint32(b[32:]))
	}
	tableSize := int64(binary.LittleEndian.Uint16(b[22:]))
	if tableSize == 0 {
		tableSize = int64(binary.LittleEndian.Uint32(b[36:]))
	}
	perCluster, tables := int64(b[13]), int64(b[16])
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || perCluster == 0 || perCluster&(perCluster-1) != 0 ||
		reserved == 0 || tables < 1 || tables > 2 || tableSize == 0 {
		return nil
	}
	f := &fat{medium: d, at: at, sector: sector, cluster: sector * perCluster, tables: int(tables), tableSize: tableSize * sector, table: reserved * sector}
	f.root = f.table + tables*f.tableSize
	f.rootSize = (entries*32 + sector - 1) / sector * sector
	f.data = f.root + f.rootSize
	n := (total*sector - f.data) / f.cluster
	if n < 1 || n > 0x0FFFFFF5 {
		return nil
	}
	f.clusters = uint32(n)
	switch { // by the count of clusters and nothing else
	case n < 4085:
		f.bits = 12
	case n < 65525:
		f.bits = 16
	default:
		f.bits = 32
		f.rootCluster = binary.LittleEndian.Uint32(b[44:])
		if i := int64(binary.LittleEndian.Uint16(b[48:])); i > 0 && i < reserved {
			f.info = i * sector
		}
	}
	if (f.tableSize*8)/int64(f.bits) < n+2 || f.bits != 32 && f.rootSize == 0 {
		return nil
	}
	return f
}

// next returns what the table has for a cluster.
func (f *fat) next(cluster uint32) (uint32, error) {
	if cluster < 2 || cluster >= f.clusters+2 {
		return 0, fmt.Errorf("the file system is damaged: there is no cluster %d", cluster)
	}
	var b [4]byte
	at := f.at + f.table
	switch f.bits {
	case 12:
		_, err := f.ReadAt(b[:2], at+int64(cluster)*3/2)
		v := uint32(binary.LittleEndian.Uint16(b[:]))
		if cluster%2 == 1 {
			v >>= 4
		}
		return v & 0xFFF, err
	case 16:
		_, err := f.ReadAt(b[:2], at+int64(cluster)*2)
		return uint32(binary.LittleEndian.Uint16(b[:])), err
	}
	_, err := f.ReadAt(b[:4], at+int64(cluster)*4)
	return binary.LittleEndian.Uint32(b[:]) & 0x0FFFFFFF, err
}

// setNext writes it, into each table.
func (f *fat) setNext(cluster, v uint32) error {
	for i := range f.tables {
		at := f.at + f.table + int64(i)*f.tableSize
		var b [4]byte
		var err error
		switch f.bits {
		case 12:
			at += int64(cluster) * 3 / 2
			if _, err = f.ReadAt(b[:2], at); err != nil {
				return err
			}
			old := binary.LittleEndian.Uint16(b[:])
			if cluster%2 == 1 {
				old = old&0x000F | uint16(v)<<4
			} else {
				old = old&0xF000 | uint16(v)&0xFFF
			}
			binary.LittleEndian.PutUint16(b[:], old)
			_, err = f.WriteAt(b[:2], at)
		case 16:
			binary.LittleEndian.PutUint16(b[:], uint16(v))
			_, err = f.WriteAt(b[:2], at+int64(cluster)*2)
		default:
			at += int64(cluster) * 4
			if _, err = f.ReadAt(b[:], at); err != nil {
				return err
			}
			v := binary.LittleEndian.Uint32(b[:])&0xF0000000 | v&0x0FFFFFFF
			binary.LittleEndian.PutUint32(b[:], v)
			_, err = f.WriteAt(b[:], at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end is the mark of the last cluster of a file.
func (f *fat) end() uint32 { return 0x0FFFFFFF & (1<<f.bits - 1) }

// isEnd reports whether a mark is one.
func (f *fat) isEnd(v uint32) bool { return v >= f.end()-7 }

func (f *fat) clusterAt(c uint32) int64 { return f.at + f.data + int64(c-2)*f.cluster }

// chain returns the clusters of a file.
func (f *fat) chain(first uint32) ([]uint32, error) {
	var out []uint32
	for c := first; !f.isEnd(c); {
		if out = append(out, c); len(out) > 1<<16 {
			return nil, errors.New("the file system is damaged: a file does not end")
		}
		var err error
		if c, err = f.next(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// allocate returns so many clusters, those of mine first.
func (f *fat) allocate(mine []uint32, n int64) ([]uint32, error) {
	out := slices.Clone(mine[:min(int64(len(mine)), n)])
	for c := uint32(2); int64(len(out)) < n; c++ {
		if c >= f.clusters+2 {
			return nil, errors.New("the boot partition is full: remove what you do not need there")
		}
		v, err := f.next(c)
		if err != nil {
			return nil, err
		}
		if v == 0 {
			out = append(out, c)
		}
	}
	return out, nil
}
