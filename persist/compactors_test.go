package persist

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// compactors counts Badger's goroutines that look for tables to merge.
func compactors() int {
	stacks := make([]byte, 1<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("(*levelsController).runCompactor("))
}

// Badger's compactors rest while there is nothing to merge, and nothing waits for them
// when there is.
func TestCompactorsRest(t *testing.T) {
	s := open(t, t.TempDir(), Options{MemTableSize: minMemTableSize, garbage: garbageRules{interval: 20 * time.Millisecond, valueLog: never}})
	var setUp Batch
	setUp.PutSession(Session{ID: 1, ClientID: "c", Version: 5, ExpiryInterval: NeverExpires})
	s.Append(&setUp, nil)
	m := message("home/room/sensor/state", 1000)
	id := 0
	write := func(n int) {
		inBatches(t, s, n, func(b *Batch, _ int) {
			id++
			b.PutEntry(1, Entry{ID: uint64(id), QoS: 1, Message: m}, new(Ref))
		})
	}
	rest := func() bool { return compactors() == 0 }
	for range 2 {
		until(t, "the compactors rest, and nothing is left to merge", func() bool { return rest() && !s.unmerged() })
		until(t, "they are woken", func() bool {
			write(200)
			return !rest()
		})
		// Twice as much as Badger takes before it waits for them.
		write(2 * s.db.Opts().NumLevelZeroTablesStall * minMemTableSize / 1000)
	}
	until(t, "the compactors rest in the end", rest)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// They do not wait for the next look when much is written.
func TestCompactorsWake(t *testing.T) {
	s := open(t, t.TempDir(), Options{garbage: garbageRules{interval: never}})
	until(t, "the compactors rest", func() bool { return compactors() == 0 })
	fillQueue(t, s, 2*compactAfter/1000, 1000)
	until(t, "they are woken", func() bool { return compactors() > 0 })
}

// A little that is written again and again does not wake them at once, but adds up to
// tables that are to be merged.
func TestCompactorsLookNowAndThen(t *testing.T) {
	s := open(t, t.TempDir(), Options{MemTableSize: minMemTableSize, garbage: garbageRules{interval: 20 * time.Millisecond, valueLog: never}})
	until(t, "the compactors rest", func() bool { return compactors() == 0 })
	var setUp Batch
	setUp.PutSession(Session{ID: 1, ClientID: "c", Version: 5, ExpiryInterval: NeverExpires})
	s.Append(&setUp, nil)
	m := message("home/room/sensor/state", 1000)
	id := uint64(0)
	until(t, "tables were merged", func() bool {
		var b Batch
		for range 50 { // a twentieth of what wakes them at once
			id++
			b.PutEntry(1, Entry{ID: id, QoS: 1, Message: m}, new(Ref))
		}
		commit(t, s, &b)
		return slices.ContainsFunc(s.db.Levels()[1:], func(l badger.LevelInfo) bool { return l.NumTables > 0 })
	})
	until(t, "the compactors rest again", func() bool { return compactors() == 0 })
}
