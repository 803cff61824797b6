package update

import "fmt"

// Reason says to the program why something is refused.
type Reason string

// The reasons of a [Refusal].
const (
	Malformed     Reason = "malformed"     // not a bundle, or a damaged one
	UnknownFormat Reason = "format"        // of a time after this program
	UnknownKey    Reason = "unknown key"   // signed, but by nobody whom this box trusts
	BadSignature  Reason = "bad signature" // said to be of a trusted key, and is not
	WrongBoard    Reason = "wrong board"
	OtherKernel   Reason = "other kernel"
	OlderVersion  Reason = "older version" // or the same
	BelowMinimum  Reason = "below minimum" // an older release than this one has to come first
	Expired       Reason = "expired"
	TooLarge      Reason = "too large"
	NotAnImage    Reason = "not an image"
	NoSpace       Reason = "no space" // on the disk

	// About the box, whatever the bundle is.
	Busy       Reason = "busy"
	RestartDue Reason = "restart first"
	Nothing    Reason = "nothing newer"
	Unable     Reason = "unable"
	Canceled   Reason = "canceled"
)

// Refusal is why something is not done.
type Refusal struct {
	Reason Reason
	Text   string // a sentence for people, that says what to do
}

// Error returns the sentence.
func (r *Refusal) Error() string { return r.Text }

func refuse(reason Reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Text: fmt.Sprintf(format, args...)}
}
