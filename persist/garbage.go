package persist

import (
	"cmp"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// garbageRules say when Badger's garbage is worth a pass over the tables. Badger
// itself never gives back what queues leave behind: deleted entries and their
// tombstones settle in the lowest level of its tables and stay there, and a file
// of the value log goes only when it is asked for.
type garbageRules struct {
	interval   time.Duration // between looks; default 10 s
	calm       time.Duration // how long there has to be little to do; default 30 s
	tombstones int64         // so many, and twice as many as entries, are worth it when it is calm; default 100,000
	force      int64         // so many are worth it unless there is much to do; default 1,000,000
	valueLog   time.Duration // between looks at the value log; default 10 min
	rotate     uint64        // bytes in the value log after which the memtable has to become a table; default 32 MiB
}

const (
	// calmRate and busyRate are operations per second.
	calmRate = 10

	// At this rate the flattening would not come to its end: it goes on while
	// new tables come, and merges each with all that there is.
	busyRate = 1000
)

func (r garbageRules) withDefaults() garbageRules {
	return garbageRules{
		interval:   cmp.Or(r.interval, 10*time.Second),
		calm:       cmp.Or(r.calm, 30*time.Second),
		tombstones: cmp.Or(r.tombstones, 100_000),
		force:      cmp.Or(r.force, 1_000_000),
		valueLog:   cmp.Or(r.valueLog, 10*time.Minute),
		rotate:     cmp.Or(r.rotate, 32<<20),
	}
}

// collectGarbage runs until Close, and says when Badger's own compactors rest. A pass that
// has begun is finished: Badger has no way to stop it.
func (s *Store) collectGarbage(r garbageRules) {
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	s.compact(s.unmerged())
	last := time.Now()
	operations := s.Stats().Operations
	var rotated, written uint64
	var calm, sinceValueLog time.Duration
	for {
		select {
		case <-s.closing:
			return
		case <-s.failed:
			return
		case <-s.compactDue:
			s.compact(true)
			continue
		case <-tick.C:
		}
		now, stats := time.Now(), s.Stats()
		passed := now.Sub(last)
		rate := float64(stats.Operations-operations) / passed.Seconds()
		last, operations = now, stats.Operations
		if calm += passed; rate >= calmRate {
			calm = 0
		}
		if r.worthIt(stats, calm, rate) {
			s.flatten(stats.Tombstones)
		}
		if stats.BytesValueLog-rotated >= r.rotate {
			rotated = stats.BytesValueLog
			s.compact(true)
			s.rotate()
		}
		if sinceValueLog += passed; sinceValueLog >= r.valueLog {
			sinceValueLog = 0
			s.compact(true) // what is left in a file is written anew
			s.shrinkValueLog()
		}
		wrote := s.Stats().BytesWritten
		s.compact(wrote-written >= compactAfter || s.unmerged())
		written = wrote
	}
}

// rotate fills the memtable, so that Badger makes a table of it. Badger learns that a
// value in the value log is garbage when it merges tables, and a memtable has room for
// the pointers to gigabytes of values: without this a camera that retains its pictures
// would fill any card.
func (s *Store) rotate() {
	const size = valueThreshold - 1<<10 // goes into the table
	filler := string(make([]byte, size))
	number := int(s.limits.bytes / valueThreshold)
	for filled := 0; filled < int(s.db.Opts().MemTableSize); filled += number * size {
		var b Batch
		for i := range number {
			b.add(op{prefix: prefixMeta, name: fillerName(i), value: filler, size: size})
		}
		if !s.write(&b) {
			return
		}
	}
	var b Batch
	for i := range number {
		b.add(op{prefix: prefixMeta, remove: true, name: fillerName(i)})
	}
	if s.write(&b) {
		s.mu.Lock()
		s.stats.Rotations++
		s.mu.Unlock()
	}
}

func fillerName(i int) string { return string([]byte{0xFE, byte(i)}) }

// write commits a batch. It reports false if the store is closed or fails.
func (s *Store) write(b *Batch) bool {
	done := make(chan struct{})
	s.Append(b, func() { close(done) })
	select {
	case <-done:
		return true
	case <-s.closing:
	case <-s.failed:
	}
	return false
}

// worthIt reports whether a flattening pays, after it was calm for so long and at
// so many operations per second.
func (r garbageRules) worthIt(s Stats, calm time.Duration, rate float64) bool {
	return s.Tombstones > max(r.tombstones, 2*s.Entries) && calm >= r.calm ||
		s.Tombstones > r.force && rate < busyRate
}

// countGarbage takes what an earlier run has left behind: half of what the tables
// hold beyond the records that there are is deleted, half says so.
func (s *Store) countGarbage(records, entries int64) {
	var held int64
	for _, table := range s.db.Tables() {
		held += int64(table.KeyCount)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Entries = entries
	s.stats.Tombstones = max(0, (held-records)/2)
}

// flatten merges Badger's tables into one level, which leaves the garbage out.
func (s *Store) flatten(tombstones int64) {
	began := time.Now()
	s.compactors.Lock()
	err := s.db.Flatten(1)
	s.setResting(false) // it starts them
	s.compactors.Unlock()
	s.mu.Lock()
	s.stats.Tombstones -= tombstones // also after an error: it comes again with as many more
	if err == nil {
		s.stats.Flattened++
	}
	s.mu.Unlock()
	if err != nil {
		s.log.Warn("tables not flattened", "err", oneLine(err))
		return
	}
	s.log.Info("tables flattened", "tombstones", tombstones, "dur", time.Since(began))
}

// shrinkValueLog removes the files of the value log of which half is garbage. What
// is left in them is written anew first. Badger knows the garbage of each file from
// its compactions, so that a look that finds nothing costs nothing. (At the beginning
// it reads the newest version without a lock, as of 4.9.6. One that is not the newest
// any more only makes it keep more tombstones for the time being.)
func (s *Store) shrinkValueLog() {
	for {
		select {
		case <-s.closing:
			return
		default:
		}
		err := s.db.RunValueLogGC(0.5)
		if errors.Is(err, badger.ErrNoRewrite) {
			return
		}
		if err != nil {
			s.log.Warn("value log not shrunk", "err", oneLine(err))
			return
		}
		s.mu.Lock()
		s.stats.ValueLogsRemoved++
		s.mu.Unlock()
	}
}
