package persist

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// start opens the store in dir. One that cannot be used is put aside, and another
// takes its place; s.report tells of it. It leaves s.dir locked, or returns an error
// in one line.
func (s *Store) start(dir string, o *Options) error {
	for again := false; ; again = true {
		q, err := replace(dir, o)
		if err != nil {
			return fmt.Errorf("persist: data folder %s: putting another store in its place: %s", dir, oneLine(err))
		}
		if s.dir, err = lockFolder(dir); err != nil {
			return err
		}
		if q == nil {
			// One of an earlier start stays to be told of.
			if folder := newestQuarantine(dir); folder != "" {
				q = readWhy(folder)
			}
		}
		s.report.Quarantine = q
		err = s.startIn(dir, o)
		if err == nil {
			break
		}
		if s.anchor != nil {
			s.anchor.file.Close()
			s.anchor = nil
		}
		var bad *damage
		if !errors.As(err, &bad) {
			s.dir.Close()
			return err
		}
		if s.space.now(lookBytes) != enough {
			s.dir.Close()
			return fmt.Errorf("persist: data folder %s cannot be opened (%s), while the disk is nearly full: make room and start again", dir, bad.reason)
		}
		if again {
			s.dir.Close()
			return fmt.Errorf("persist: data folder %s cannot be opened though it is new: %s: use another card or disk", dir, bad.reason)
		}
		s.log.Error("store cannot be used any more and is put aside", "folder", dir, "err", bad)
		err = putAside(dir, bad.reason, time.Now())
		s.dir.Close()
		if err != nil {
			return fmt.Errorf("persist: data folder %s cannot be opened (%s), nor renamed (%s): move it away to keep it, and start again", dir, bad.reason, oneLine(err))
		}
		s.report = Report{}
	}
	for _, line := range s.report.Losses() {
		s.log.Error("store has lost something", "what", line)
	}
	return nil
}

// startIn opens the store in the folder that is locked. A *damage means that there
// is no use in it.
func (s *Store) startIn(dir string, o *Options) error {
	s.space = newSpace(dir, o.MemTableSize, o.Ballast, o.Logger)
	if o.statfs != nil {
		s.space.statfs = o.statfs
	}
	if err := s.space.makeRoom(); err != nil {
		return err
	}
	if err := probeFolder(dir); err != nil {
		return err
	}
	used, err := prepareFolder(dir)
	if err != nil {
		return err
	}
	a, found, err := openAnchor(dir)
	if err != nil {
		return err
	}
	s.anchor = a
	before := a.record
	s.report.AnchorMissing = used && !found
	s.report.Unclean = used && before.state != closed

	// What the logs show has to be known before Badger, or the check, cuts them.
	l, err := readLogs(dir, before)
	if err != nil {
		return err
	}
	// A start that comes to an end has made a log of full length.
	s.report.LogDamaged = s.report.Unclean && found && before.state == running && before.lsn > 0 && (l.files == 0 || before.attempts == 0 && l.short)
	err = a.update(func(r *anchorRecord) {
		r.attempt(time.Now(), bootID())
		r.lsn = max(r.lsn, l.lsn)
		r.memtable = uint16(min(o.MemTableSize/memtableUnit, math.MaxUint16))
	})
	if err != nil {
		return err
	}
	tables, err := checkManifest(dir, l, before.state == closed)
	if err != nil {
		return err
	}
	if s.report.Unclean {
		for _, id := range tables {
			if line := verifyTable(dir, id); line != "" {
				s.report.Tables = append(s.report.Tables, line)
			}
		}
	}
	if n := int(a.record.attempts) - 1; used && n >= maxAttempts {
		return &damage{fmt.Sprintf("%d starts in a row came to no end", n)}
	}
	if s.report.Unclean && len(o.Check) > 0 {
		began := time.Now()
		err := check(o.Check, dir, o.MemTableSize, s.dir)
		s.report.Checked = time.Since(began)
		if bad := (*damage)(nil); errors.As(err, &bad) {
			return err
		}
		if err != nil {
			s.log.Warn("store not checked before opening", "err", err)
		}
		// The check ends while Badger still deletes the logs that it has made tables of:
		// one of them may be empty now.
		if _, err := removeEmptyLogs(dir); err != nil {
			return err
		}
	}
	return s.open(dir, o)
}

// open opens Badger.
func (s *Store) open(dir string, o *Options) error {
	db, err := badger.Open(badgerOptions(dir, o.MemTableSize).WithLogger(s.badger))
	if err != nil {
		why := oneLine(err)
		if ofTheMachine(why) {
			return fmt.Errorf("persist: data folder %s cannot be opened: %s", dir, why)
		}
		return &damage{why}
	}
	s.db = db
	s.limits = limits{
		// An operation makes up to two records; meta and Badger's own mark for
		// the end of a transaction come on top.
		operations: min(maxGroupOperations, int(db.MaxBatchCount()-10)/2),
		bytes:      o.MemTableSize / 10,
	}
	s.logs = newLogReserve(dir, o.MemTableSize+s.limits.bytes)
	if err := s.openMeta(dir, o.Clock); err != nil {
		db.Close()
		return err
	}
	return nil
}

// loaded ends the start: the store could be opened and read.
func (s *Store) loaded(state *State) (*State, error) {
	if err := s.anchor.update(func(r *anchorRecord) { r.attempts = 0 }); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Damaged = state.Damaged
	return state, nil
}

const (
	anchorTransactions = 1000
	anchorInterval     = time.Minute
)

// keepHouse does what nobody waits for, until the store is closed or fails: it moves
// the anchor along, keeps the ballast, and reads all tables once.
func (s *Store) keepHouse() {
	tick := time.NewTicker(anchorInterval)
	defer tick.Stop()
	if !s.report.Unclean { // else it was done before the start
		s.verifyTables()
	}
	for {
		select {
		case <-s.closing:
			return
		case <-s.failed:
			return
		case <-s.anchorDue:
			s.moveAnchor()
		case <-tick.C:
			s.moveAnchor()
			s.keepBallast()
		}
	}
}

func (s *Store) moveAnchor() {
	lsn := s.committed.Load()
	if lsn == s.anchor.read().lsn {
		return
	}
	if err := s.anchor.update(func(r *anchorRecord) { r.lsn = lsn }); err != nil {
		s.log.Error("anchor not written", "err", err)
	}
}

func (s *Store) keepBallast() {
	if err := s.space.keepBallast(s.closing); err != nil {
		s.log.Warn("space for an emergency not set aside", "err", err)
	}
}

// close closes Badger and tells the next start that all is well.
func (s *Store) close() error {
	lsn := s.committed.Load()
	mark := func(state byte) error {
		return s.anchor.update(func(r *anchorRecord) { r.lsn, r.state, r.attempts = lsn, state, 0 })
	}
	defer s.anchor.file.Close()
	if err := mark(closing); err != nil {
		return err
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("persist: closing: %s", oneLine(err))
	}
	return mark(closed)
}

// probeFolder makes sure that files can be written.
func probeFolder(dir string) error {
	probe := filepath.Join(dir, "write-test")
	f, err := os.OpenFile(probe, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return notWritable(dir, err)
	}
	f.Close()
	os.Remove(probe)
	return nil
}
