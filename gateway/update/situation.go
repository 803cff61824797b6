package update

import (
	"fmt"
)

// Situation is where a start finds an update.
type Situation int

// The situations of a start.
const (
	NormalStart      Situation = iota // nothing is pending
	TrialStart                        // this is the new version on trial
	CommittedStart                    // this is the new version, kept, and not restarted since
	ForeignTrial                      // this is a trial that nobody here asked for
	TrialReturned                     // the trial did not hold, or never came: this is the old version
	TrialComplete                     // this is the new version, started as any other
	WriteInterrupted                  // the other root was being written
)

// String returns the situation in words for people.
func (s Situation) String() string {
	switch s {
	case NormalStart:
		return "no update is pending"
	case TrialStart:
		return "this version is on trial"
	case CommittedStart:
		return "this version was kept after its trial; a restart is due before the next update"
	case ForeignTrial:
		return "this version was started on trial, and nothing here says why: the box goes back to the version before"
	case TrialReturned:
		return "the new version did not hold in its trial, or never started: the version before is back"
	case TrialComplete:
		return "the update is complete"
	case WriteInterrupted:
		return "an update was interrupted before it was complete; the running version is untouched"
	}
	return fmt.Sprintf("situation %d", int(s))
}

// situation decides by four values: the root that runs, the one that the loader was told
// to start, the one that it is told to start next, and the record. This program is of the
// release r.
func situation(running, booted, next int, record *Record, r Release) Situation {
	switch {
	case running != booted && next != booted:
		return CommittedStart
	case running != booted:
		if record != nil && record.State == StateArmed && record.To == running && record.Counter == r.Counter && record.Version == r.Version {
			return TrialStart
		}
		return ForeignTrial
	case record == nil || record.State == StateReturned:
		return NormalStart
	case record.State == StateWriting:
		return WriteInterrupted
	case record.To == running:
		return TrialComplete
	case record.State == StateArmed:
		return TrialReturned
	}
	// Committed, and yet the root before was started: somebody has put it back.
	return NormalStart
}

// Look tells the situation and what the record says, and changes nothing: guard asks
// while lintel may be at work.
func (m *Machine) Look(r Release) (Situation, *Record, error) {
	record, err := m.Record()
	if err != nil {
		return 0, nil, err
	}
	boot, err := m.openBoot(false)
	if err != nil {
		return 0, nil, err
	}
	defer boot.Close()
	next, err := boot.next()
	if err != nil {
		return 0, nil, err
	}
	return situation(m.Running, m.Booted, next, record, r), record, nil
}

// Start tells the situation, once, when lintel starts, and tidies up what a power cut or
// a trial has left: flags of a trial that is over, records of what is done. The record
// that it returns is that of after it; after [TrialReturned] its reason says why.
// After [ForeignTrial] the caller has to call [Machine.Reboot].
func (m *Machine) Start(r Release) (Situation, *Record, error) {
	s, record, err := m.Look(r)
	if err != nil || m.Running != m.Booted {
		return s, record, err
	}
	if err := m.tidyBoot(); err != nil {
		return s, record, err
	}
	switch s {
	case TrialReturned:
		record.State, record.Left = StateReturned, nil
		if record.Reason == "" {
			record.Reason = fmt.Sprintf("Version %s did not start, or lost power or hung before it was found healthy.", record.Version)
		}
		return s, record, m.save(record)
	case WriteInterrupted:
		left := record.left()
		return s, left, m.remember(left)
	case TrialComplete:
		return s, nil, m.remember(nil)
	}
	return s, record, nil
}
