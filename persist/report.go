package persist

import (
	"fmt"
	"time"
)

// Report tells what the start of a store found and did.
type Report struct {
	Unclean bool          // the run before did not end with Close
	Checked time.Duration // what the check in a process of its own took; 0: there was none

	// Quarantine is the folder that was put aside, by this start or by an earlier
	// one; nil if there is none.
	Quarantine *Quarantine

	// MissingTransactions is how many transactions are known to have been committed
	// and to be gone.
	MissingTransactions uint64

	// LogDamaged tells that the log of the last run is not there, or cut: what it
	// held is gone.
	LogDamaged bool

	// AnchorMissing tells that nothing says what the store must hold at least:
	// that something is missing at the end cannot be excluded.
	AnchorMissing bool

	Damaged []string // names and reasons of records that cannot be read: see State
	Tables  []string // what the check of Badger's tables has found, which goes on after the start
}

// Quarantine is a folder that could not be used any more and was put aside.
type Quarantine struct {
	Folder   string
	Time     time.Time
	Reason   string
	Restored string // what was loaded in its place; empty: nothing, all that it holds is out of use
	Now      bool   // by this start
}

// Losses says in lines for people what is known to be lost, or out of use. None
// means that nothing is known to be lost.
func (r *Report) Losses() []string {
	var lines []string
	if q := r.Quarantine; q != nil {
		instead := "Lintel went on with an empty store"
		if q.Restored != "" {
			instead = "Lintel went on with " + q.Restored
		}
		lines = append(lines, fmt.Sprintf("the store could not be used any more (%s): %s; the old one is kept in %s since %s",
			q.Reason, instead, q.Folder, q.Time.UTC().Format(time.DateTime)))
	}
	if r.MissingTransactions > 0 {
		lines = append(lines, fmt.Sprintf("of the last changes that were stored at least %d groups are gone", r.MissingTransactions))
	}
	if r.LogDamaged {
		lines = append(lines, "the log with the last changes that were stored is gone, or a part of it")
	}
	if r.AnchorMissing {
		lines = append(lines, "the file that says what the store must hold is gone: the last changes may be too")
	}
	for _, d := range r.Damaged[:min(len(r.Damaged), maxDamagedLines)] {
		lines = append(lines, "damaged: "+d)
	}
	if more := len(r.Damaged) - maxDamagedLines; more > 0 {
		lines = append(lines, fmt.Sprintf("damaged: %d records more", more))
	}
	return append(lines, r.Tables...)
}

// maxDamagedLines is how many records are named to people.
const maxDamagedLines = 20

// Report returns what is known. It grows while the check of the tables goes on.
func (s *Store) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Damaged = append([]string(nil), r.Damaged...)
	r.Tables = append([]string(nil), r.Tables...)
	return r
}
