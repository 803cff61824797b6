package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

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
