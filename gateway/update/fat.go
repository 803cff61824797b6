package update

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// bootFile is a file of the boot partition, no longer than a cluster.
type bootFile struct {
	name    string
	at      int64 // of the first byte
	size    int
	entryAt int64 // of its entry in the folder
}

const (
	maxBootFile     = 4096
	maxFolderBytes  = 1 << 20
	entrySize       = 32
	attributeLong   = 0x0f // of an entry with a part of a long name
	attributeFolder = 0x10
	attributeLabel  = 0x08
)

var errFAT = errors.New("the boot partition is no FAT16 that the start of the box can read: copy what you need off the card and flash it again")

// readHead reads the first sector (Microsoft, FAT: General Overview, 1.03, the BPB).
func (b *boot) readHead() error {
	var err error
	if b.size, err = b.Size(); err != nil {
		return fmt.Errorf("size of the boot partition: %w", err)
	}
	head, err := b.read(0, sectorSize)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	reserved, fatSectors := int64(le.Uint16(head[14:])), int64(le.Uint16(head[22:]))
	copies := head[16]
	b.rootEntries, b.cluster = int(le.Uint16(head[17:])), int64(head[13])*sectorSize
	// gokrazy's init counts one copy of the table, whatever stands there: with another
	// number it would look for cmdline.txt in a wrong place. It knows no FAT32 either.
	if le.Uint16(head[11:]) != sectorSize || b.cluster == 0 || reserved == 0 || fatSectors == 0 || b.rootEntries == 0 || copies != 1 {
		return errFAT
	}
	b.rootFolder = (reserved + fatSectors) * sectorSize
	b.data = b.rootFolder + roundUp(int64(b.rootEntries)*entrySize)
	if b.data >= b.size {
		return errFAT
	}
	return nil
}

func roundUp(n int64) int64 { return (n + sectorSize - 1) / sectorSize * sectorSize }

// read reads whole sectors.
func (b *boot) read(at int64, size int) ([]byte, error) {
	if at < 0 || at%sectorSize != 0 || at > b.size-int64(size) {
		return nil, errFAT
	}
	text := aligned(size)
	if _, err := b.ReadAt(text, at); err != nil {
		return nil, fmt.Errorf("read the boot partition: %w", err)
	}
	return text, nil
}

// clusterAt returns where a cluster begins.
func (b *boot) clusterAt(n uint16) (int64, error) {
	at := b.data + (int64(n)-2)*b.cluster
	if n < 2 || at > b.size-sectorSize {
		return 0, errFAT
	}
	return at, nil
}

// find finds a file, nil if there is none. Names are compared as Windows does.
func (b *boot) find(name string) (*bootFile, error) {
	at, entries := b.rootFolder, b.rootEntries
	parts := strings.Split(name, "/")
	for i, part := range parts {
		folder, err := b.read(at, int(min(roundUp(int64(entries)*entrySize), maxFolderBytes)))
		if err != nil {
			return nil, err
		}
		n := findEntry(folder, part)
		if n < 0 {
			return nil, nil
		}
		entry := folder[n*entrySize:]
		start, err := b.clusterAt(binary.LittleEndian.Uint16(entry[26:]))
		if err != nil {
			return nil, err
		}
		if isFolder := entry[11]&attributeFolder != 0; isFolder != (i < len(parts)-1) {
			return nil, nil
		}
		if i == len(parts)-1 {
			size := int64(binary.LittleEndian.Uint32(entry[28:]))
			if size > min(maxBootFile, b.cluster) || start+roundUp(size) > b.size {
				return nil, fmt.Errorf("%s on the boot partition has %d bytes, too many", name, size)
			}
			return &bootFile{name: name, at: start, size: int(size), entryAt: at + int64(n*entrySize)}, nil
		}
		// Folders that are looked into are small: their first cluster is enough.
		at, entries = start, int(min(b.cluster, b.size-start)/entrySize)
	}
	return nil, nil
}

// findEntry returns the number of the entry with a name in a folder, or -1.
func findEntry(folder []byte, name string) int {
	var long []uint16 // the long name that goes with the next entry
	for n := 0; n+1 <= len(folder)/entrySize; n++ {
		e := folder[n*entrySize : (n+1)*entrySize]
		switch {
		case e[0] == 0: // the end; gokrazy's own reader goes on, and finds nothing
			return -1
		case e[0] == 0xe5: // removed
			long = nil
		case e[11]&0x3f == attributeLong:
			var part []uint16
			for _, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
				if c := binary.LittleEndian.Uint16(e[at:]); c != 0 && c != 0xffff {
					part = append(part, c)
				}
			}
			if e[0]&0x40 != 0 { // the last part stands first
				long = nil
			}
			if long = append(part, long...); len(long) > 255 {
				long = nil
			}
		case e[11]&attributeLabel != 0:
			long = nil
		default:
			short := strings.TrimRight(string(e[:8]), " ")
			if extension := strings.TrimRight(string(e[8:11]), " "); extension != "" {
				short += "." + extension
			}
			if strings.EqualFold(short, name) || long != nil && strings.EqualFold(string(utf16.Decode(long)), name) {
				return n
			}
			long = nil
		}
	}
	return -1
}

// content returns what is in a file.
func (b *boot) content(f *bootFile) ([]byte, error) {
	text, err := b.read(f.at, int(roundUp(int64(f.size))))
	if err != nil {
		return nil, err
	}
	return text[:f.size], nil
}

// file finds a file and reads it.
func (b *boot) file(name string) (*bootFile, []byte, error) {
	f, err := b.find(name)
	if err != nil {
		return nil, nil, err
	}
	if f == nil {
		return nil, nil, nil
	}
	text, err := b.content(f)
	return f, text, err
}

// overwrite writes content over that of a file, which is as long, and reads it back.
func (b *boot) overwrite(f *bootFile, content []byte) error {
	old, err := b.read(f.at, int(roundUp(int64(f.size))))
	if err != nil {
		return err
	}
	if len(content) != f.size {
		return fmt.Errorf("%s would have %d bytes, not %d", f.name, len(content), f.size)
	}
	changed := -1
	for at := 0; at < len(content); at += sectorSize {
		if end := min(at+sectorSize, len(content)); !bytes.Equal(old[at:end], content[at:end]) {
			if changed >= 0 {
				return fmt.Errorf("%s is too long to be changed in one step: shorten it to %d characters", f.name, sectorSize)
			}
			changed = at
		}
	}
	if changed < 0 {
		return nil
	}
	sector := aligned(sectorSize)
	copy(sector, old[changed:])
	copy(sector, content[changed:])
	return b.writeSector(f.name, sector, f.at+int64(changed))
}

// writeSector writes one sector, and reads it back from the medium.
func (b *boot) writeSector(name string, sector []byte, at int64) error {
	if _, err := b.WriteAt(sector, at); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := b.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	got, err := b.read(at, sectorSize)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, sector) {
		return fmt.Errorf("write %s: the card has kept something else; replace the card", name)
	}
	return nil
}

// lengthen makes a file longer with spaces, within its first sector. Raspberry Pi Imager
// leaves no spaces at the end of cmdline.txt.
func (b *boot) lengthen(f *bootFile, size int) error {
	if size > sectorSize {
		return fmt.Errorf("%s has no room for %d characters: remove words from its end", f.name, size)
	}
	// First the spaces, which nobody sees until the entry says that they are there.
	sector, err := b.read(f.at, sectorSize)
	if err != nil {
		return err
	}
	for i := f.size; i < size; i++ {
		sector[i] = ' '
	}
	if err := b.writeSector(f.name, sector, f.at); err != nil {
		return err
	}
	at := f.entryAt / sectorSize * sectorSize
	if sector, err = b.read(at, sectorSize); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(sector[f.entryAt-at+28:], uint32(size))
	if err := b.writeSector(f.name, sector, at); err != nil {
		return err
	}
	f.size = size
	return nil
}
