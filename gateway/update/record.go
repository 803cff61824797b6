package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// State is how far an update has come.
type State string

// The states of a [Record].
const (
	StateWriting   State = "writing"   // the other root is being written
	StateArmed     State = "armed"     // the next start tries it
	StateCommitted State = "committed" // it is the root from now on
	StateReturned  State = "failed"    // it was tried and left; Reason says why
)

// A Record is what is known of an update on the card: data/update/record.json. It is
// written before what it tells of is done, so that a power cut finds it true.
type Record struct {
	State   State  `json:"state"`
	From    int    `json:"from"` // partition of the root that ran before
	To      int    `json:"to"`   // partition of the new root
	Version string `json:"version"`
	Counter int64  `json:"counter"`
	Root    Blob   `json:"root"`
	Tries   int    `json:"tries"` // how often a start was asked to try it
	// Patience is after how many seconds since the start of the machine a trial has failed
	// that was not committed.
	Patience int             `json:"patience"`
	Alive    json.RawMessage `json:"alive,omitempty"`  // what there was before, for who has to be back
	Reason   string          `json:"reason,omitempty"` // why the trial was left, a sentence
	Time     time.Time       `json:"time,omitzero"`    // of the last change, if the clock was right
	// Left is the version that was tried and left before: if this update comes to nothing,
	// that is what is known again.
	Left *Record `json:"left,omitempty"`
}

const (
	maxRecord = 1 << 20
	maxReason = 2 << 10

	// MinTrial and MaxTrial bound the time that a new version may be given to prove itself.
	MinTrial = 3 * time.Minute
	MaxTrial = time.Hour
	// guardMargin lies between the end of that time and the moment when guard ends the trial.
	guardMargin = 90 * time.Second
	// MinPatience and MaxPatience bound a trial, whatever its record says.
	MinPatience = 2 * time.Minute
	MaxPatience = MaxTrial + guardMargin
	minPatience = int(MinPatience / time.Second)
	maxPatience = int(MaxPatience / time.Second)
)

func (m *Machine) recordFile() string { return filepath.Join(m.data, "update", "record.json") }

// Record returns what is known of the last update; nil: nothing is. What cannot be read
// counts as nothing: a trial without a record is left again.
func (m *Machine) Record() (*Record, error) {
	info, err := os.Stat(m.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the record of the update: %w", err)
	}
	if info.Size() > maxRecord {
		return nil, nil
	}
	text, err := os.ReadFile(m.recordFile())
	if err != nil {
		return nil, fmt.Errorf("read the record of the update: %w", err)
	}
	return parseRecord(text), nil
}

// parseRecord returns nil for what is no record. Keys that a later version has added are
// let through.
func parseRecord(text []byte) *Record {
	r := new(Record)
	if len(text) > maxRecord || json.Unmarshal(text, r) != nil || !r.valid() {
		return nil
	}
	r.Patience = min(max(r.Patience, minPatience), maxPatience)
	if l := r.Left; l != nil && (l.State != StateReturned || l.Left != nil || !l.valid()) {
		r.Left = nil
	}
	return r
}

// left returns what is to be kept of r, which may be nil, when another update begins.
func (r *Record) left() *Record {
	switch {
	case r == nil || r.State == StateCommitted:
		return nil
	case r.State == StateReturned:
		l := *r
		l.Alive, l.Left = nil, nil
		return &l
	}
	return r.Left
}

func (r *Record) valid() bool {
	switch r.State {
	case StateWriting, StateArmed, StateCommitted, StateReturned:
	default:
		return false
	}
	return (r.From == rootA && r.To == rootB || r.From == rootB && r.To == rootA) &&
		isLabel(r.Version) && r.Counter > 0 && r.Root.Size > 0 && r.Root.Size <= MaxRoot && r.Tries >= 0 && len(r.Reason) <= maxReason
}

// save makes r what is known.
func (m *Machine) save(r *Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the record of the update: %w", err)
	}
	if len(text) > maxRecord {
		return fmt.Errorf("write the record of the update: it has %d bytes, more than %d", len(text), maxRecord)
	}
	if err := os.MkdirAll(filepath.Dir(m.recordFile()), 0o700); err != nil {
		return fmt.Errorf("write the record of the update: %w", err)
	}
	if err := m.replace(m.recordFile(), text); err != nil {
		return fmt.Errorf("write the record of the update: %w", err)
	}
	return nil
}
