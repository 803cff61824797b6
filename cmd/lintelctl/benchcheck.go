//go:build linux

package main

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// payloadSize is the size of every message that the load generator publishes.
const payloadSize = 128

// stamp is what a message says about itself, at the start of its payload.
type stamp struct {
	run    uint64        // which row this belongs to: what earlier rows left behind is not counted
	stream uint32        // a publisher and a topic
	seq    uint32        // from 0 in each stream
	sent   time.Duration // on the clock of the row
}

func (s stamp) put(payload []byte) {
	binary.BigEndian.PutUint64(payload, s.run)
	binary.BigEndian.PutUint32(payload[8:], s.stream)
	binary.BigEndian.PutUint32(payload[12:], s.seq)
	binary.BigEndian.PutUint64(payload[16:], uint64(s.sent))
}

func readStamp(payload []byte) (s stamp, ok bool) {
	if len(payload) != payloadSize {
		return s, false
	}
	return stamp{
		run:    binary.BigEndian.Uint64(payload),
		stream: binary.BigEndian.Uint32(payload[8:]),
		seq:    binary.BigEndian.Uint32(payload[12:]),
		sent:   time.Duration(binary.BigEndian.Uint64(payload[16:])),
	}, true
}

// checker counts what arrives in flows. A flow is what one receiver gets of one
// stream: each sequence number once, in ascending order. It remembers every
// number, so that one that comes late is told from one that comes twice.
type checker struct {
	limit   uint32 // numbers in a stream
	words   int    // of a flow in seen
	seen    []uint64
	highest []int64 // of each flow; -1 before the first

	received   uint64 // without duplicates
	duplicated uint64
	reordered  uint64 // came after a higher number of its flow
	stray      uint64 // never sent there
}

func newChecker(flows int, limit int) *checker {
	words := (limit + 63) / 64
	c := &checker{limit: uint32(limit), words: words, seen: make([]uint64, flows*words), highest: make([]int64, flows)}
	for i := range c.highest {
		c.highest[i] = -1
	}
	return c
}

// add notes that seq arrived in a flow and reports whether it is the first time.
func (c *checker) add(flow int, seq uint32) bool {
	if seq >= c.limit {
		c.stray++
		return false
	}
	word, bit := &c.seen[flow*c.words+int(seq/64)], uint64(1)<<(seq%64)
	if *word&bit != 0 {
		c.duplicated++
		return false
	}
	*word |= bit
	c.received++
	if int64(seq) < c.highest[flow] {
		c.reordered++
	} else {
		c.highest[flow] = int64(seq)
	}
	return true
}

// capacity is how many messages there are in all.
func (c *checker) capacity() uint64 { return uint64(len(c.highest)) * uint64(c.limit) }

// lost returns how many of the first sent numbers of a flow did not arrive.
func (c *checker) lost(flow int, sent int) uint64 {
	missing := uint64(sent)
	for i := range c.words {
		if left := sent - i*64; left > 0 {
			word := c.seen[flow*c.words+i]
			if left < 64 {
				word &= 1<<left - 1
			}
			missing -= uint64(bits.OnesCount64(word))
		}
	}
	return missing
}

// histogram counts durations in buckets that are 3 % wide.
type histogram struct {
	buckets [64 * 32]uint64
	count   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucket(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// bucket numbers below 64 are the value itself; above, the place of the highest
// bit and the five bits that follow it.
func bucket(v uint64) int {
	if v < 64 {
		return int(v)
	}
	shift := bits.Len64(v) - 6
	return shift*32 + int(v>>shift)
}

// quantile returns the upper end of the bucket that holds quantile q.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q*float64(h.count)) + 1
	var sum uint64
	for i, n := range h.buckets {
		if sum += n; sum < rank {
			continue
		}
		if i < 64 {
			return time.Duration(i)
		}
		shift := i/32 - 1
		return min(time.Duration(uint64(i-shift*32+1)<<shift-1), h.max)
	}
	return h.max
}
