package main

import (
	"bytes"
	"math/rand/v2"
	"os"
)

const pageSize = 4096

// image is the content of a disk. A page that neither it nor the image under it
// has is zero. Pages are never changed, only replaced: images share them.
type image struct {
	under *image
	pages map[int64][]byte // by number
}

func newImage(under *image) *image { return &image{under, make(map[int64][]byte)} }

var zeroPage [pageSize]byte

func (m *image) page(n int64) []byte {
	for ; m != nil; m = m.under {
		if p, ok := m.pages[n]; ok {
			return p
		}
	}
	return zeroPage[:]
}

func (m *image) read(b []byte, offset int64) {
	for len(b) > 0 {
		n := copy(b, m.page(offset / pageSize)[offset%pageSize:])
		b, offset = b[n:], offset+int64(n)
	}
}

// write keeps parts of b, which must not change afterwards.
func (m *image) write(b []byte, offset int64) {
	for len(b) > 0 {
		number, start := offset/pageSize, offset%pageSize
		n := int(min(pageSize-start, int64(len(b))))
		if n == pageSize {
			m.pages[number] = b[:n:n]
		} else {
			p := bytes.Clone(m.page(number))
			copy(p[start:], b[:n])
			m.pages[number] = p
		}
		b, offset = b[n:], offset+int64(n)
	}
}

// record is one thing that a disk was asked for: a write, or a flush if there is
// no data.
type record struct {
	offset int64
	data   []byte
}

// mode is what of the writes after the last flush a disk has kept when the power
// failed.
type mode int

const (
	none       mode = iota
	all             // as they were sent
	somePages       // random pieces of 4 KiB
	someSector      // random pieces of 512 bytes
	modes
)

func (m mode) String() string {
	return [...]string{"none", "all", "pieces of 4 KiB", "pieces of 512 B"}[m]
}

// replay makes images of a recorded disk at positions that only go up.
type replay struct {
	image   *image // all that was flushed
	records []record
	applied int // of the records
}

func newReplay(start *image, records []record) *replay {
	return &replay{image: newImage(start), records: records}
}

// at returns the disk as it may be if the power fails after the first p records.
// What was flushed is in it in any case, of the other writes what the mode keeps.
func (rp *replay) at(p int, m mode, r *rand.Rand) (im *image, unflushed int) {
	flushed := lastFlush(rp.records, p)
	for ; rp.applied < flushed; rp.applied++ {
		rp.image.write(rp.records[rp.applied].data, rp.records[rp.applied].offset)
	}
	im = newImage(rp.image)
	for _, w := range rp.records[flushed:p] {
		unflushed++
		switch m {
		case all:
			im.write(w.data, w.offset)
		case somePages:
			writeSome(im, w, pageSize, r)
		case someSector:
			writeSome(im, w, 512, r)
		}
	}
	return im, unflushed
}

func writeSome(im *image, w record, piece int, r *rand.Rand) {
	for start := 0; start < len(w.data); start += piece {
		if r.IntN(2) == 0 {
			im.write(w.data[start:min(start+piece, len(w.data))], w.offset+int64(start))
		}
	}
}

// lastFlush returns the number of records that the last flush before p covers,
// itself included.
func lastFlush(records []record, p int) int {
	for p > 0 && records[p-1].data != nil {
		p--
	}
	return p
}

// save writes the image to a file, with holes for what is zero.
func (m *image) save(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(diskSize); err != nil {
		return err
	}
	written := make(map[int64]bool)
	for layer := m; layer != nil; layer = layer.under {
		for n, p := range layer.pages {
			if written[n] {
				continue
			}
			written[n] = true
			if _, err := f.WriteAt(p, n*pageSize); err != nil {
				return err
			}
		}
	}
	return f.Close()
}
