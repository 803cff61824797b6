package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
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

// slot is where an entry of the root folder is.
type slot struct {
	at    int64
	entry [32]byte
}

// rootSlots returns all entries of the root folder, used or not.
func (f *fat) rootSlots() ([]slot, error) {
	type stretch struct{ at, size int64 }
	stretches := []stretch{{f.at + f.root, f.rootSize}}
	if f.bits == 32 {
		clusters, err := f.chain(f.rootCluster)
		if err != nil {
			return nil, err
		}
		stretches = nil
		if int64(len(clusters))*f.cluster > (maxRootSlots+1)*32+f.cluster {
			return nil, errors.New("the file system is damaged: its root folder does not end")
		}
		for _, c := range clusters {
			stretches = append(stretches, stretch{f.clusterAt(c), f.cluster})
		}
	}
	var out []slot
	for _, s := range stretches {
		b := make([]byte, s.size)
		if _, err := f.ReadAt(b, s.at); err != nil {
			return nil, fmt.Errorf("the root folder cannot be read: %w", err)
		}
		for i := 0; i+32 <= len(b); i += 32 {
			out = append(out, slot{s.at + int64(i), [32]byte(b[i:])})
		}
	}
	return out, nil
}

const (
	freeEntry    = 0xE5
	longName     = 0x0F // attributes of an entry with a part of a long name
	partOfName   = 13   // UTF-16 units in it
	lastNamePart = 0x40
)

// longPart returns the part of a name that an entry has.
func longPart(e *[32]byte) string {
	var units []uint16
	for _, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		u := binary.LittleEndian.Uint16(e[at:])
		if u == 0 || u == 0xFFFF {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// writeFile writes a file into the root folder, in place of one of that name. short is how
// programs know it that know names of eight and three characters only. What the old one had
// is overwritten: there may be a password in it.
func (f *fat) writeFile(name, short string, content []byte) error {
	slots, err := f.rootSlots()
	if err != nil {
		return err
	}
	var before []slot // of the old one
	var first uint32
	var parts []slot
	long, used := "", len(slots)
	for i, s := range slots {
		if s.entry[0] == 0 { // nothing is behind it
			used = i
			break
		}
		switch {
		case s.entry[0] == freeEntry:
			parts, long = nil, ""
			continue
		case s.entry[11] == longName:
			if s.entry[0]&lastNamePart != 0 {
				parts, long = nil, ""
			}
			parts, long = append(parts, s), longPart(&s.entry)+long
			continue
		}
		if strings.EqualFold(long, name) {
			before = append(parts, s)
			first = uint32(binary.LittleEndian.Uint16(s.entry[20:]))<<16 | uint32(binary.LittleEndian.Uint16(s.entry[26:]))
		} else if string(s.entry[:11]) == short {
			return fmt.Errorf("there is another file that is called %s in short: remove it", short)
		}
		parts, long = nil, ""
	}
	old := []uint32{}
	if first != 0 {
		if old, err = f.chain(first); err != nil {
			return err
		}
	}
	entries := nameEntries(name, short)
	place := make([]slot, 0, len(entries))
	for i := 0; i < len(slots) && len(place) < len(entries); i++ {
		free := i >= used || slots[i].entry[0] == freeEntry
		if mine := slices.ContainsFunc(before, func(b slot) bool { return b.at == slots[i].at }); !free && !mine {
			place = place[:0]
			continue
		}
		place = append(place, slots[i])
	}
	if len(place) < len(entries) {
		if err := f.extendRoot(len(slots)); err != nil {
			return err
		}
		return f.writeFile(name, short, content)
	}
	clusters, err := f.allocate(old, (int64(len(content))+f.cluster-1)/f.cluster)
	if err != nil {
		return err
	}
	// The order: content, table, folder. A card that is pulled out has the old file, or none.
	for _, c := range old {
		if _, err := f.WriteAt(make([]byte, f.cluster), f.clusterAt(c)); err != nil {
			return err
		}
	}
	for i, c := range clusters {
		b := make([]byte, f.cluster)
		copy(b, content[int64(i)*f.cluster:])
		if _, err := f.WriteAt(b, f.clusterAt(c)); err != nil {
			return err
		}
	}
	for i, c := range clusters {
		next := f.end()
		if i+1 < len(clusters) {
			next = clusters[i+1]
		}
		if err := f.setNext(c, next); err != nil {
			return err
		}
	}
	for _, c := range old {
		if !slices.Contains(clusters, c) {
			if err := f.setNext(c, 0); err != nil {
				return err
			}
		}
	}
	last := &entries[len(entries)-1]
	if len(clusters) > 0 {
		binary.LittleEndian.PutUint16(last[20:], uint16(clusters[0]>>16))
		binary.LittleEndian.PutUint16(last[26:], uint16(clusters[0]))
	}
	binary.LittleEndian.PutUint32(last[28:], uint32(len(content)))
	for _, s := range before {
		if _, err := f.WriteAt([]byte{freeEntry}, s.at); err != nil {
			return err
		}
	}
	for i := range entries {
		if _, err := f.WriteAt(entries[i][:], place[i].at); err != nil {
			return err
		}
	}
	if f.info != 0 { // the count of free clusters is a hint, and says so now: it is not known
		_, err = f.WriteAt([]byte{0xFF, 0xFF, 0xFF, 0xFF}, f.at+f.info+488)
	}
	return err
}

// maxRootSlots bounds the root folder of FAT32, in entries.
const maxRootSlots = 16384

// extendRoot makes the root folder of so many entries larger by a cluster, where it can be.
func (f *fat) extendRoot(slots int) error {
	if f.bits != 32 || slots >= maxRootSlots {
		return errors.New("the root folder is full")
	}
	chain, err := f.chain(f.rootCluster)
	if err != nil {
		return err
	}
	added, err := f.allocate(nil, 1)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, f.cluster), f.clusterAt(added[0])); err != nil {
		return err
	}
	if err := f.setNext(added[0], f.end()); err != nil {
		return err
	}
	return f.setNext(chain[len(chain)-1], added[0])
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

// nameEntries returns the entries of a file: its long name from behind, then itself.
func nameEntries(name, short string) [][32]byte {
	sum := byte(0)
	for _, c := range []byte(short) {
		sum = sum>>1 | sum<<7
		sum += c
	}
	units := utf16.Encode([]rune(name))
	parts := (len(units) + partOfName - 1) / partOfName
	var out [][32]byte
	for i := parts; i > 0; i-- {
		var e [32]byte
		e[0], e[11], e[13] = byte(i), longName, sum
		if i == parts {
			e[0] |= lastNamePart
		}
		for j, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
			u := uint16(0xFFFF)
			switch k := (i-1)*partOfName + j; {
			case k < len(units):
				u = units[k]
			case k == len(units):
				u = 0
			}
			binary.LittleEndian.PutUint16(e[at:], u)
		}
		out = append(out, e)
	}
	var e [32]byte
	copy(e[:11], short)
	e[11] = 0x20 // to be archived
	now := time.Now()
	date := uint16(max(now.Year(), 1980)-1980)<<9 | uint16(now.Month())<<5 | uint16(now.Day())
	clock := uint16(now.Hour())<<11 | uint16(now.Minute())<<5 | uint16(now.Second()/2)
	binary.LittleEndian.PutUint16(e[14:], clock)
	binary.LittleEndian.PutUint16(e[16:], date)
	binary.LittleEndian.PutUint16(e[18:], date)
	binary.LittleEndian.PutUint16(e[22:], clock)
	binary.LittleEndian.PutUint16(e[24:], date)
	return append(out, e)
}
