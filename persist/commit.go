package persist

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	maxGroupOperations = 1000

	// A group that more than lingerWaiters waited for is followed by one that
	// as many will soon wait for: a moment's patience saves a commit.
	lingerWaiters = 8
	linger        = time.Millisecond
)

// commitGroups is the committer: it runs until Close or the first error.
func (s *Store) commitGroups() {
	defer close(s.groups)
	waiters := 0
	for {
		<-s.wake
		for {
			if waiters > lingerWaiters && s.fewerThan(waiters) {
				time.Sleep(linger)
			}
			group, superfluous, closed := s.take()
			if len(group) == 0 {
				waiters = 0
				if closed {
					return
				}
				break
			}
			if !superfluous {
				if err := s.commit(group); err != nil {
					s.fail(err)
					return
				}
			}
			var done []func()
			for _, it := range group {
				if it.done != nil {
					done = append(done, it.done)
				}
			}
			waiters = len(done)
			if superfluous {
				waiters = 0
			}
			if len(done) > 0 || !superfluous {
				s.groups <- done
			}
		}
	}
}

// callDone calls the done functions of each group.
func (s *Store) callDone() {
	for group := range s.groups {
		if s.Err() != nil {
			return
		}
		s.answered.Store(int64(time.Since(s.opened))) // before: a client may be quick to go on
		for _, done := range group {
			done()
		}
		if s.done != nil {
			s.done()
		}
	}
}

// fewerThan tells whether fewer batches wait than did the last time, and the
// store is not being closed.
func (s *Store) fewerThan(waiters int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.due && len(s.queue) < waiters && !s.closed
}

// take removes the next group from the queue: as many batches as fit into one
// transaction, or a single one that does not. While only lazy and patient batches
// wait whose time has not come, it takes those that have become superfluous: they
// need no transaction.
func (s *Store) take() (group []item, superfluous, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var (
		operations int
		bytes      int64
		n          int
	)
	if !s.due && !s.closed {
		return s.takeSuperfluous(), true, false
	}
	for _, it := range s.queue {
		if n > 0 && (operations+it.batch.Len() > s.limits.operations || bytes+it.batch.bytes > s.limits.bytes) {
			break
		}
		operations += it.batch.Len()
		bytes += it.batch.bytes
		n++
	}
	group = append(group, s.queue[:n]...)
	s.queue = slices.Delete(s.queue, 0, n)
	s.passed = 0
	if len(s.queue) == 0 {
		s.due, s.spared = false, 0
		s.stopTimer()
	}
	return group, false, s.closed
}

// takeSuperfluous removes from the front of the queue the batches of which nothing
// is to be written. It passes over those that nobody waits for, but not over one
// that has its done function called first, nor over a sparing one: that promises what
// was given before it, too. Called with mu held, by the committer.
func (s *Store) takeSuperfluous() (group []item) {
	kept, i := s.passed, s.passed
	for ; i < len(s.queue); i++ {
		it := s.queue[i]
		if !it.spares && it.batch.isSuperfluous() {
			group = append(group, it)
			s.stats.Operations += uint64(it.batch.Len())
			s.stats.Elided += uint64(it.batch.Len())
			for j := range it.batch.ops {
				s.stats.BytesElided += it.batch.ops[j].elidedBytes()
			}
			continue
		}
		if it.done != nil {
			break
		}
		s.queue[kept] = it
		kept++
	}
	s.passed = kept
	s.queue = slices.Delete(s.queue, kept, i)
	if len(s.queue) == 0 {
		s.stopTimer()
	}
	s.settle(group)
	return group
}

// stopTimer is for when nothing waits. Called with mu held.
func (s *Store) stopTimer() {
	if s.timerAt != 0 {
		s.timerAt = 0
		s.timer.Stop()
	}
}

// settle counts batches as no longer pending. Called with mu held.
func (s *Store) settle(group []item) {
	for _, it := range group {
		s.stats.PendingOperations -= it.batch.Len()
		s.stats.PendingBytes -= it.batch.bytes
	}
	if s.room != nil && s.stats.PendingBytes <= s.budget {
		close(s.room)
		s.room = nil
	}
}

// commit writes a group, as one transaction unless it is a single batch that is
// too large for one.
func (s *Store) commit(group []item) error {
	whole := len(group) > 1 || group[0].batch.Len() <= s.limits.operations && group[0].batch.logged() <= s.limits.bytes
	if whole {
		// What moves within the group arrives before it is missed.
		for _, it := range group {
			if it.batch.deletes && it.batch.puts {
				it.batch.markDead()
			}
		}
	}
	var size int64
	for _, it := range group {
		size += it.batch.bytes
	}
	if !s.space.hasRoom(size) {
		return s.space.errFull()
	}
	s.tx.begin()
	for _, it := range group {
		for i := range it.batch.ops {
			o := &it.batch.ops[i]
			// Limits leave room for a delete that belongs to the put before it.
			moved := i > 0 && o.prefix == prefixEntry && o.remove && it.batch.ops[i-1].putsEntry()
			if !whole && !moved && s.tx.full(o, s.limits) {
				if err := s.endTransaction(); err != nil {
					return err
				}
				s.tx.begin()
			}
			s.tx.apply(o)
		}
	}
	if err := s.endTransaction(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(group)
	return nil
}

// endTransaction commits what was applied since begin, if anything is left of it.
func (s *Store) endTransaction() error {
	tx := &s.tx
	wrote := len(tx.records) > 0
	began := time.Now()
	if wrote {
		if err := s.writeTransaction(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Operations += uint64(tx.operations)
	s.stats.Elided += tx.elided
	s.stats.BytesElided += tx.bytesElided
	s.stats.BytesCoalesced += tx.bytesCoalesced
	if wrote {
		s.stats.Groups++
		took := time.Since(began)
		s.stats.Commits.add(took)
		s.stats.CommitTime += took
		s.stats.BytesWritten += tx.bytesWritten
		s.stats.BytesValueLog += tx.bytesValueLog
		s.stats.Entries += tx.entries
		s.stats.Tombstones += tx.tombstones
		s.compactIfDue()
	}
	return nil
}

// writeTransaction hands the records and the meta record to Badger.
func (s *Store) writeTransaction() error {
	tx := &s.tx
	tx.meta.LSN++
	tx.meta.Boot, tx.meta.Up = tx.clock.number, tx.now.up
	key := []byte{prefixMeta}
	value := appendMeta([]byte{codecVersion}, &tx.meta)
	tx.records = append(tx.records, record{key, appendSum(value, 0, key)})

	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	for _, r := range tx.records {
		tx.bytesWritten += uint64(len(r.key) + len(r.value))
		if len(r.value) >= valueThreshold {
			tx.bytesValueLog += uint64(len(r.value))
		}
		if len(r.value) > valueLogFileSize {
			return fmt.Errorf("%s has %d bytes, more than MaxMessageSize", keyString(r.key), len(r.value))
		}
		var err error
		if r.value == nil {
			tx.tombstones++
			err = txn.Delete(r.key)
		} else {
			err = txn.Set(r.key, r.value)
		}
		if err != nil {
			return err
		}
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	if s.badger.syncFailed.Load() {
		return errors.New("the value log could not be synced")
	}
	s.logs.keep()
	s.committed.Store(tx.meta.LSN)
	if tx.meta.LSN%anchorTransactions == 0 {
		select {
		case s.anchorDue <- struct{}{}:
		default:
		}
	}
	return nil
}

func (s *Store) fail(err error) {
	s.mu.Lock()
	s.err = fmt.Errorf("persist: commit: %s", oneLine(err))
	s.queue = nil
	s.mu.Unlock()
	close(s.failed)
	s.log.Error("store failed", "err", s.err)
}
