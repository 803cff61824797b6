package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// With the settings of badgerOptions Badger compares no checksums of its tables: a
// damaged value shows by its own, but a damaged block may hide keys, and when the
// table is merged with others nobody can find that out any more. So all tables are
// read once, before Badger opens them after a run that did not end in order, and
// else soon after. db.VerifyChecksum could do the second only, and could not be
// ended before all is read.

// verifyPause is the time between two tables, for others.
const verifyPause = 50 * time.Millisecond

// verifyTable returns a line about a table, empty if it is sound or not there.
func verifyTable(dir string, id uint64) string {
	name := table.NewFilename(id, dir)
	between := "about which nothing is known"
	err := openTable(name, id, func(t *table.Table) error {
		between = fmt.Sprintf("which holds some of what is between %s and %s", tableKey(t.Smallest()), tableKey(t.Biggest()))
		return t.VerifyChecksum()
	})
	if err == nil || errors.Is(err, fs.ErrNotExist) { // it may have been merged into others
		return ""
	}
	return fmt.Sprintf("damaged: table %s, %s: %s", filepath.Base(name), between, oneLine(err))
}

// verifyTables reads all tables, some at a time.
func (s *Store) verifyTables() {
	for _, t := range s.db.Tables() {
		for waits := 0; waits == 0 || waits < 20 && s.Stats().PendingOperations > 0; waits++ {
			select {
			case <-s.closing:
				return
			case <-s.failed:
				return
			case <-time.After(verifyPause):
			}
		}
		line := verifyTable(s.dir.Name(), t.ID)
		if line != "" && s.hasTable(t.ID) { // else it was just being removed
			s.mu.Lock()
			s.report.Tables = append(s.report.Tables, line)
			s.mu.Unlock()
			s.log.Error("store has lost something", "what", line)
		}
	}
}

func (s *Store) hasTable(id uint64) bool {
	return slices.ContainsFunc(s.db.Tables(), func(t badger.TableInfo) bool { return t.ID == id })
}

// tableKey names a key of Badger, which has its version behind ours.
func tableKey(key []byte) string { return keyString(key[:max(0, len(key)-8)]) }

// openTable reads a table into memory, a few MB. What is damaged may make Badger's
// code panic.
func openTable(name string, id uint64, use func(*table.Table) error) (err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errors.New("it is empty")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading it fails: %v", p)
		}
	}()
	t, err := table.OpenInMemoryTable(data, id, &table.Options{ChkMode: options.NoVerification})
	if err != nil {
		return err
	}
	return use(t)
}
