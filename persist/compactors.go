package persist

import (
	"slices"
	_ "unsafe" // for go:linkname

	"github.com/dgraph-io/badger/v4"
)

// Badger's two compactors each look 20 times a second whether tables are to be merged,
// for ever, and every look wakes a processor: that was most of what an idle box did, and
// a twelfth of what messages at a house's rate cost. So they are stopped while little is
// written, and started before there can be much to merge: what is written until then
// fills one memtable at most, and Badger stalls at twelve tables.
//
// Badger stops and starts them itself, around a Flatten for instance, but exports
// neither. A version without these two methods does not link.

//go:linkname stopCompactions github.com/dgraph-io/badger/v4.(*DB).stopCompactions
func stopCompactions(*badger.DB)

//go:linkname startCompactions github.com/dgraph-io/badger/v4.(*DB).startCompactions
func startCompactions(*badger.DB)

// compactAfter is how many bytes, written within a garbageRules.interval, have the
// compactors run.
const compactAfter = 1 << 20

// compact starts the compactors, or stops them, which waits for what they are doing.
func (s *Store) compact(run bool) {
	s.compactors.Lock()
	defer s.compactors.Unlock()
	s.mu.Lock()
	resting := s.resting
	s.mu.Unlock()
	switch {
	case run && resting:
		startCompactions(s.db)
	case !run && !resting:
		stopCompactions(s.db)
	}
	s.setResting(!run)
}

// setResting notes whether the compactors are stopped. Called with compactors held.
func (s *Store) setResting(resting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting, s.restedAt = resting, s.stats.BytesWritten
}

// compactIfDue has the compactors woken if much was written while they rest. Called with
// mu held.
func (s *Store) compactIfDue() {
	if s.resting && s.stats.BytesWritten-s.restedAt >= compactAfter {
		select {
		case s.compactDue <- struct{}{}:
		default:
		}
	}
}

// unmerged reports whether the compactors would find something to do.
func (s *Store) unmerged() bool {
	return slices.ContainsFunc(s.db.Levels(), func(l badger.LevelInfo) bool { return l.Score >= 1 })
}
