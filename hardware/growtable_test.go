package hardware

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"testing"
)

// fakeDisk is a disk in memory that notes what is written, sector by sector, and when it
// was asked to keep it.
type fakeDisk struct {
	sectors uint64
	content map[uint64][sectorSize]byte
	writes  []sectorWrite
}

type sectorWrite struct {
	lba   uint64
	data  [sectorSize]byte
	epoch int // number of syncs before
}

func (d *fakeDisk) epoch() int {
	if len(d.writes) == 0 {
		return 0
	}
	return d.writes[len(d.writes)-1].epoch
}

func (d *fakeDisk) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		at := uint64(off) + uint64(n)
		if at/sectorSize >= d.sectors {
			return n, io.EOF
		}
		s := d.content[at/sectorSize]
		n += copy(b[n:], s[at%sectorSize:])
	}
	return n, nil
}

func (d *fakeDisk) WriteAt(b []byte, off int64) (int, error) {
	if off%sectorSize != 0 || len(b)%sectorSize != 0 || uint64(off)+uint64(len(b)) > d.sectors*sectorSize {
		return 0, fmt.Errorf("write of %d bytes at %d", len(b), off)
	}
	for i := 0; i < len(b); i += sectorSize {
		w := sectorWrite{lba: (uint64(off) + uint64(i)) / sectorSize, epoch: d.epoch()}
		copy(w.data[:], b[i:])
		d.content[w.lba] = w.data
		d.writes = append(d.writes, w)
	}
	return len(b), nil
}

func (d *fakeDisk) Sync() error {
	if len(d.writes) > 0 {
		d.writes[len(d.writes)-1].epoch++ // counts for those after it
	}
	return nil
}

// cardOf returns a disk of some sectors that an image of 2 GiB was written to, with the
// table as gok makes it.
func cardOf(sectors uint64) *fakeDisk {
	const imageSectors = 2 << 30 / sectorSize
	d := &fakeDisk{sectors: max(sectors, imageSectors), content: map[uint64][sectorSize]byte{}}
	var t partitionTable
	le := binary.LittleEndian
	copy(t.header[:], "EFI PART")
	le.PutUint32(t.header[8:], 0x10000)
	le.PutUint32(t.header[12:], 92)
	le.PutUint32(t.header[80:], 128)
	le.PutUint32(t.header[84:], 128)
	copy(t.header[56:], "the disk's name.")
	for i, p := range [][2]uint64{{8192, 212991}, {212992, 1236991}, {1236992, 2260991}, {2260992, imageSectors - 34}} {
		e := t.entry(i + 1)
		copy(e, "what it is used for, and the nameN")
		e[31] = byte(i + 1)
		le.PutUint64(e[32:], p[0])
		le.PutUint64(e[40:], p[1])
	}
	for _, c := range [][3]uint64{{1, imageSectors - 1, 2}, {imageSectors - 1, 1, imageSectors - 33}} {
		t.place(c[0], c[1], c[2], imageSectors-34)
		le.PutUint64(t.header[40:], 34)
		clear(t.header[16:20])
		le.PutUint32(t.header[16:], crc32.ChecksumIEEE(t.header[:]))
		d.WriteAt(append(bytes.Clone(t.header[:]), make([]byte, sectorSize-92)...), int64(c[0])*sectorSize)
		d.WriteAt(t.entries[:], int64(c[2])*sectorSize)
	}
	d.sectors, d.writes = sectors, nil
	return d
}

// linuxTable finds the table that Linux takes, block/partitions/efi.c: the first one,
// if that is valid. "gpt" on the command line would have it take the last sector's too.
func linuxTable(d *fakeDisk) (*partitionTable, error) { return readTable(d, 1) }

func TestGrowTable(t *testing.T) {
	for _, card := range []struct {
		sectors, last uint64
	}{
		{2 << 30 / sectorSize, 2<<30/sectorSize - 34},                      // the image itself
		{2<<30/sectorSize + 2000, 2<<30/sectorSize - 34},                   // not a MiB more
		{31116288, 31115263},                                               // a card sold as 16 GB
		{31116289, 31115263},                                               // an odd number of sectors
		{1 << 40 / sectorSize, 1<<40/sectorSize - 2048 - 1},                // 1 TiB
		{8 << 40 / sectorSize, 8<<40/sectorSize - 2048 - 1},                // more than 32 bits count
		{2<<30/sectorSize + 2048 + 33 + 2015, 2<<30/sectorSize + 2048 - 1}, // just one MiB more
	} {
		d := cardOf(card.sectors)
		before, err := linuxTable(d)
		if err != nil {
			t.Fatal(err)
		}
		first, last, err := growTable(d, card.sectors, 4)
		if err != nil || first != 2260992 || last != card.last {
			t.Errorf("%d sectors: partition 4 is %d to %d, %v; want its end at %d", card.sectors, first, last, err, card.last)
			continue
		}
		if grew := last != 2<<30/sectorSize-34; grew != (len(d.writes) > 0) {
			t.Errorf("%d sectors: %d sectors written, grown: %v", card.sectors, len(d.writes), grew)
		}
		after, err := linuxTable(d)
		if err != nil {
			t.Fatal(err)
		}
		checkTable(t, d, before, after, last)
		writes := len(d.writes)
		if _, again, err := growTable(d, card.sectors, 4); err != nil || again != last || len(d.writes) != writes {
			t.Errorf("%d sectors: once more: %d, %v, %d sectors written", card.sectors, again, err, len(d.writes)-writes)
		}
		// The card is copied to a larger one.
		d.sectors *= 2
		if _, again, err := growTable(d, d.sectors, 4); err != nil || again != (d.sectors-33)&^2047-1 {
			t.Errorf("%d sectors: twice as many: %d, %v", card.sectors, again, err)
		}
		if twice, err := linuxTable(d); err != nil {
			t.Errorf("%d sectors: twice as many: %v", card.sectors, err)
		} else {
			checkTable(t, d, before, twice, lastSector(twice.entry(4)))
		}
	}
}

// checkTable holds a table that was grown against what it was before.
func checkTable(t *testing.T, d *fakeDisk, before, after *partitionTable, last uint64) {
	t.Helper()
	want := *before
	binary.LittleEndian.PutUint64(want.entry(4)[40:], last)
	if want.entries != after.entries {
		t.Error("growing changes more of the entries than the end of partition 4")
	}
	le := binary.LittleEndian
	if !bytes.Equal(before.header[56:72], after.header[56:72]) {
		t.Error("growing changes the name of the disk")
	}
	if le.Uint64(after.header[72:]) == firstTable && after.header == before.header {
		return
	}
	backup := le.Uint64(after.header[32:])
	second, err := readTable(d, backup)
	if backup != d.sectors-1 || err != nil || second.entries != after.entries || le.Uint64(second.header[32:]) != 1 {
		t.Errorf("the second copy is at %d of %d: %v", backup, d.sectors, err)
	}
	if at := le.Uint64(after.header[72:]); at+tableSectors > le.Uint64(after.header[40:]) || le.Uint64(after.header[48:]) < last {
		t.Errorf("the entries at %d and partition 4, to %d, are outside of what the header says", at, last)
	}
	// gokrazy reads the names here, whatever the header says.
	var names [4 * entrySize]byte
	d.ReadAt(names[:], 2*sectorSize)
	for n := range 4 {
		if !bytes.Equal(names[n*entrySize:][:32], before.entry(n + 1)[:32]) {
			t.Errorf("the name of partition %d is another one at sector 2", n+1)
		}
	}
}

// TestGrowTableCut pulls the plug after any write, with any one of the sectors since the
// last sync lost, or none but one of them written: Linux always finds the partitions, and
// the next start finishes what was begun.
func TestGrowTableCut(t *testing.T) {
	const sectors = 62333952 // a card sold as 32 GB
	whole := cardOf(sectors)
	if _, _, err := growTable(whole, sectors, 4); err != nil {
		t.Fatal(err)
	}
	final, err := linuxTable(whole)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := linuxTable(cardOf(sectors))
	states := 0
	try := func(writes []sectorWrite, what string) {
		states++
		d := cardOf(sectors)
		for _, w := range writes {
			d.content[w.lba] = w.data
		}
		cut, err := linuxTable(d)
		if err != nil {
			t.Fatalf("%s: Linux finds no partitions: %v", what, err)
		}
		if cut.entries != before.entries && cut.entries != final.entries {
			t.Fatalf("%s: the table is neither the old one nor the new one", what)
		}
		_, last, err := growTable(d, sectors, 4)
		if err != nil {
			t.Fatalf("%s: the next start: %v", what, err)
		}
		after, err := linuxTable(d)
		if err != nil {
			t.Fatalf("%s: after the next start: %v", what, err)
		}
		checkTable(t, d, before, after, last)
	}
	for n := 0; n <= len(whole.writes); n++ {
		done := whole.writes[:n]
		synced := 0
		for i := range done {
			if i > 0 && done[i].epoch != done[i-1].epoch {
				synced = i
			}
		}
		try(done, fmt.Sprintf("cut after write %d", n))
		for lost := synced; lost < n; lost++ {
			try(slices.Concat(done[:lost], done[lost+1:]), fmt.Sprintf("cut after write %d, write %d lost", n, lost))
			try(slices.Concat(done[:synced], done[lost:lost+1]), fmt.Sprintf("cut after write %d, of the last only %d kept", n, lost))
		}
	}
	if states < 1000 {
		t.Errorf("%d states tried", states)
	}
}

func TestGrowTableRefuses(t *testing.T) {
	const sectors = 31116288
	damage := func(at int, b byte) func(*fakeDisk) {
		return func(d *fakeDisk) {
			s := d.content[uint64(at)/sectorSize]
			s[at%sectorSize] ^= b
			d.content[uint64(at)/sectorSize] = s
		}
	}
	resign := func(change func(*partitionTable)) func(*fakeDisk) {
		return func(d *fakeDisk) {
			table, err := readTable(d, 1)
			if err != nil {
				t.Fatal(err)
			}
			change(table)
			table.place(1, sectors-1, firstTable, sectors-34)
			var s [sectorSize]byte
			copy(s[:], table.header[:])
			d.WriteAt(s[:], sectorSize)
			d.WriteAt(table.entries[:], firstTable*sectorSize)
		}
	}
	le := binary.LittleEndian
	for name, change := range map[string]func(*fakeDisk){
		"damaged header":         damage(sectorSize+60, 1),
		"damaged entries":        damage(2*sectorSize+400, 1),
		"no table":               damage(sectorSize, 1),
		"one more behind it":     resign(func(t *partitionTable) { copy(t.entry(5), t.entry(4)); le.PutUint64(t.entry(5)[40:], 1<<25) }),
		"one where the table is": resign(func(t *partitionTable) { le.PutUint64(t.entry(1)[32:], 40) }),
		"ends before it begins":  resign(func(t *partitionTable) { le.PutUint64(t.entry(4)[40:], 5) }),
		"ends behind the disk":   resign(func(t *partitionTable) { le.PutUint64(t.entry(4)[40:], 1<<40) }),
		"not there":              resign(func(t *partitionTable) { clear(t.entry(4)) }),
		"entries of 256 bytes":   resign(func(t *partitionTable) { le.PutUint32(t.header[84:], 256) }),
	} {
		d := cardOf(sectors)
		change(d)
		d.writes = nil
		if first, last, err := growTable(d, sectors, 4); err == nil || len(d.writes) > 0 {
			t.Errorf("%s: %d to %d, %d sectors written", name, first, last, len(d.writes))
		}
	}
}

// failingDisk fails from one call on.
type failingDisk struct {
	*fakeDisk
	calls int
}

var errMedium = errors.New("the card is gone")

func (d *failingDisk) WriteAt(b []byte, off int64) (int, error) {
	if d.calls--; d.calls < 0 {
		return 0, errMedium
	}
	return d.fakeDisk.WriteAt(b, off)
}

func (d *failingDisk) Sync() error {
	if d.calls--; d.calls < 0 {
		return errMedium
	}
	return d.fakeDisk.Sync()
}

func TestGrowTableFails(t *testing.T) {
	const sectors = 31116288
	for calls := range 7 { // five pieces are written, and two times is synced
		d := &failingDisk{cardOf(sectors), calls}
		if _, _, err := growTable(d, sectors, 4); !errors.Is(err, errMedium) && calls < 6 {
			t.Errorf("%d calls succeed: %v", calls, err)
		}
		if _, err := linuxTable(d.fakeDisk); err != nil {
			t.Errorf("%d calls succeed: %v", calls, err)
		}
	}
}

func FuzzGrowTable(f *testing.F) {
	seed := cardOf(31116288)
	table := make([]byte, 33*sectorSize)
	seed.ReadAt(table, sectorSize)
	f.Add(table[:sectorSize], table[sectorSize:], true)
	f.Add(table[:sectorSize], table[sectorSize:][:600], false)
	f.Fuzz(func(t *testing.T, header, entries []byte, sign bool) {
		const sectors = 1 << 20
		d := &fakeDisk{sectors: sectors, content: map[uint64][sectorSize]byte{}}
		var given partitionTable
		copy(given.header[:], header)
		copy(given.entries[:], entries)
		if sign {
			given.place(1, sectors-1, firstTable, sectors-34)
		}
		var s [sectorSize]byte
		copy(s[:], given.header[:])
		d.WriteAt(s[:], sectorSize)
		d.WriteAt(given.entries[:], firstTable*sectorSize)
		d.writes = nil
		first, last, err := growTable(d, sectors, 4)
		if err != nil && len(d.writes) > 0 {
			t.Errorf("%v, after %d sectors were written", err, len(d.writes))
		}
		if err == nil && (last < first || last >= sectors || first < firstUsable && len(d.writes) > 0) {
			t.Errorf("partition 4 from %d to %d of %d", first, last, sectors)
		}
	})
}
