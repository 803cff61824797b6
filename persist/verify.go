package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4/table"
)

// verifyPause is the time between two tables, for others.
const verifyPause = 50 * time.Millisecond

// verifyTables reads all tables of Badger once and compares their checksums. Badger
// itself does not with the settings of badgerOptions: a damaged value shows by its
// own checksum, but a damaged index may hide keys. db.VerifyChecksum would do the
// same, but could not be ended before all is read.
func (s *Store) verifyTables() {
	for _, t := range s.db.Tables() {
		for waits := 0; waits == 0 || waits < 20 && s.Stats().PendingOperations > 0; waits++ {
			select {
			case <-s.stop:
				return
			case <-s.failed:
				return
			case <-time.After(verifyPause):
			}
		}
		name := table.NewFilename(t.ID, s.dir.Name())
		if err := openTable(name, t.ID, (*table.Table).VerifyChecksum); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been merged into others
			line := fmt.Sprintf("damaged: table %s, which holds some of what is between %s and %s: %s",
				filepath.Base(name), tableKey(t.Left), tableKey(t.Right), oneLine(err))
			s.mu.Lock()
			s.report.Tables = append(s.report.Tables, line)
			s.mu.Unlock()
			s.log.Error("store has lost something", "what", line)
		}
	}
}

// tableKey names a key of Badger, which has its version behind ours.
func tableKey(key []byte) string { return keyString(key[:max(0, len(key)-8)]) }
