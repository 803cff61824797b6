package witness

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// key names a message: the sequence number seq of what from sent.
type key struct {
	from string
	seq  int
}

func (k key) String() string { return fmt.Sprintf("%s %d", k.from, k.seq) }

// payload returns the payload of a message, which follows from its key. Most are
// small, some go to the value log of the store, and the large ones below that fill
// its memory table, so that tables are written and compacted.
func (k key) payload(run string) []byte {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %v", run, k)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	var size int
	switch n := r.IntN(20); {
	case n < 11:
		size = r.IntN(200)
	case n < 16:
		size = 200 + r.IntN(4000)
	case n < 19:
		size = 10<<10 + r.IntN(20<<10)
	default:
		size = 33<<10 + r.IntN(20<<10)
	}
	b := fmt.Appendf(make([]byte, 0, size+64), "%s %v\n", run, k)
	for len(b) < size {
		x := r.Uint64()
		for range 8 {
			b = append(b, 'a'+byte(x&15))
			x >>= 8
		}
	}
	return b
}

// parsePayload returns the key of a message of this run; ok is false if the
// payload is of no such message or not whole.
func parsePayload(run string, payload []byte) (k key, ok bool) {
	line, _, _ := bytes.Cut(payload, []byte{'\n'})
	var of string
	if n, err := fmt.Sscan(string(line[:min(len(line), 200)]), &of, &k.from, &k.seq); err != nil || n != 3 || of != run {
		return k, false
	}
	return k, bytes.Equal(payload, k.payload(run))
}
