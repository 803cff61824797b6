package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func fill(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

func read(im *image, offset int64, n int) []byte {
	b := make([]byte, n)
	im.read(b, offset)
	return b
}

// Images against a plain slice, with writes of any size and place.
func TestImage(t *testing.T) {
	const size = 10 * pageSize
	r := rand.New(rand.NewPCG(1, 2))
	im, want := newImage(nil), make([]byte, size)
	for i := range 500 {
		if i%100 == 99 {
			im = newImage(im)
		}
		b := fill(1+r.IntN(3*pageSize), byte(i))
		offset := r.IntN(size - len(b) + 1)
		im.write(b, int64(offset))
		copy(want[offset:], b)
		from := r.IntN(size)
		if n := r.IntN(size - from); !bytes.Equal(read(im, int64(from), n), want[from:from+n]) {
			t.Fatalf("after write %d: %d bytes at %d differ", i, n, from)
		}
	}
	name := filepath.Join(t.TempDir(), "image")
	if err := im.save(name); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(name)
	if err != nil || len(saved) != diskSize || !bytes.Equal(saved[:size], want) {
		t.Errorf("saved %d bytes, %v", len(saved), err)
	}
}

func TestImageOnTopLeavesTheOtherAlone(t *testing.T) {
	under := newImage(nil)
	under.write(fill(pageSize, 1), 0)
	top := newImage(under)
	top.write(fill(10, 2), 5)
	if got := read(under, 0, pageSize); !bytes.Equal(got, fill(pageSize, 1)) {
		t.Error("a write to an image changed the one under it")
	}
	if got := read(top, 0, 20); !bytes.Equal(got, append(append(fill(5, 1), fill(10, 2)...), fill(5, 1)...)) {
		t.Errorf("the image holds %v", got)
	}
}

// What was flushed is there in each mode; of the rest only what the mode keeps,
// and nothing of what came after the crash.
func TestReplay(t *testing.T) {
	records := []record{
		{0, fill(pageSize, 1)},
		{},
		{pageSize, fill(4*pageSize, 2)},
		{0, fill(pageSize, 3)},
		{},
		{8 * pageSize, fill(pageSize, 4)},
	}
	rp := newReplay(newImage(nil), records)
	check := func(p int, m mode, unflushed int, first, second byte) {
		t.Helper()
		im, n := rp.at(p, m, rand.New(rand.NewPCG(1, 1)))
		if n != unflushed {
			t.Errorf("at %d: %d unflushed writes, want %d", p, n, unflushed)
		}
		if got := [2]byte{read(im, 0, 1)[0], read(im, pageSize, 1)[0]}; m <= all && got != [2]byte{first, second} {
			t.Errorf("at %d with %v: pages hold %v, want %d and %d", p, m, got, first, second)
		}
		if read(im, 8*pageSize, 1)[0] != 0 {
			t.Errorf("at %d: what came later is there", p)
		}
	}
	check(1, none, 1, 0, 0)
	check(1, all, 1, 1, 0)
	check(2, none, 0, 1, 0)
	check(3, none, 1, 1, 0)
	check(3, all, 1, 1, 2)
	check(4, all, 2, 3, 2)
	check(5, none, 0, 3, 2)
	for m, piece := range map[mode]int{somePages: pageSize, someSector: 512} {
		im, _ := newReplay(newImage(nil), records).at(3, m, rand.New(rand.NewPCG(2, uint64(m))))
		kept := 0
		for offset := pageSize; offset < 5*pageSize; offset += piece {
			switch got := read(im, int64(offset), piece); {
			case bytes.Equal(got, fill(piece, 2)):
				kept++
			case !bytes.Equal(got, fill(piece, 0)):
				t.Errorf("%v: a piece at %d is torn", m, offset)
			}
		}
		if kept == 0 || kept == 4*pageSize/piece {
			t.Errorf("%v: all pieces or none are there", m)
		}
	}
}
