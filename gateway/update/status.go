package update

import "time"

// Phase is what an [Updater] is doing.
type Phase string

// The phases, in the order in which an update goes through them.
const (
	Idle        Phase = "idle"
	Checking    Phase = "checking"    // asks the feed
	Downloading Phase = "downloading" // from the feed
	Writing     Phase = "writing"     // to the other root, an upload as it comes
	Arming      Phase = "arming"      // what was written is read back and made the trial of the next start
	Restarting  Phase = "restarting"
	OnTrial     Phase = "trial"      // this is the new version, and it has to prove itself
	Committing  Phase = "committing" // it has
)

// Status says what there is and what is being done. Its JSON is GET /api/update.
type Status struct {
	Version string `json:"version"` // that runs
	Counter int64  `json:"counter,omitempty"`
	Board   string `json:"board,omitempty"`
	Kernel  string `json:"kernel,omitempty"`

	// Unable says why this Lintel cannot update itself and how it is done instead;
	// empty: it can.
	Unable string `json:"unable,omitempty"`

	Phase      Phase   `json:"phase"`
	Percentage float64 `json:"percentage"`           // of the phase; negative: not known
	Installing string  `json:"installing,omitempty"` // the version that is being installed or tried
	CanCancel  bool    `json:"can_cancel,omitempty"`

	Feed      string     `json:"feed,omitempty"`
	Channel   string     `json:"channel,omitempty"`
	Available *Available `json:"available,omitempty"` // newer than what runs; nil: nothing is known
	Checked   time.Time  `json:"checked,omitzero"`    // when the feed was asked with success, since the start
	CheckErr  string     `json:"check_error,omitempty"`
	Automatic bool       `json:"automatic,omitempty"`
	Hours     string     `json:"hours,omitempty"` // in which it installs by itself, as 03:00-05:00

	Failed   string    `json:"failed,omitempty"`   // why the last try came to nothing
	Returned *Returned `json:"returned,omitempty"` // the last trial that did not hold

	// RestartFirst says that this version was committed since the last start: before the
	// next update the box has to be started again.
	RestartFirst bool `json:"restart_first,omitempty"`

	Trial *Trial `json:"trial,omitempty"` // while Phase is trial or committing
}

// Available is a newer release, for people.
type Available struct {
	Version  string    `json:"version"`
	Counter  int64     `json:"counter"`
	Released time.Time `json:"released,omitzero"`
	Size     int64     `json:"size"` // of what is fetched, in bytes
	Summary  string    `json:"summary,omitempty"`
	URL      string    `json:"url,omitempty"` // of the release notes
}

// Returned is a version that was tried and left.
type Returned struct {
	Version string    `json:"version"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time,omitzero"` // zero: the clock was not right
}

// Trial is how a new version is doing.
type Trial struct {
	SecondsLeft int64    `json:"seconds_left"`
	Missing     []string `json:"missing"` // what must come back before it is kept, a sentence each
	Waiting     []string `json:"waiting"` // what may still come, but need not
	Back        []string `json:"back"`    // what is there again, such as "3 of 4 clients"
}

// Verdict is what the house says of itself in a trial. It is healthy when nothing is
// missing and nothing is waited for; it can be kept when nothing is missing.
type Verdict struct {
	Missing []string // what must be there and is not, a sentence each
	Waiting []string // what is to be waited for, but can be done without
	Back    []string // what is there again
}
