package homeassistant

import (
	"fmt"
	"strings"
)

// Reason is why a Home Assistant could not be connected, for who branches on it.
type Reason string

// The reasons.
const (
	BadRequest    Reason = "bad request"    // what was typed, or came back, cannot be right
	NoLogin       Reason = "no login"       // none can be made
	NotReached    Reason = "not reached"    // Home Assistant does not answer the box
	Certificate   Reason = "certificate"    // nobody vouches for Home Assistant's; a person may
	NotAllowed    Reason = "not allowed"    // by Home Assistant: the person there, or what they may do
	HasBroker     Reason = "has a broker"   // another one: the way is bridge mode
	Connected     Reason = "connected"      // to this box already
	Unconnected   Reason = "unconnected"    // Home Assistant did not come to the broker
	NotUnderstood Reason = "not understood" // an answer, of something else or of a version to come
)

// ConnectError says why a Home Assistant could not be connected, and what to do.
type ConnectError struct {
	Reason      Reason
	Text        string // sentences
	Fingerprint string // of the certificate that nobody vouches for: SHA-256, as browsers show it
}

func (e *ConnectError) Error() string { return e.Text }

func connectError(reason Reason, format string, args ...any) *ConnectError {
	return &ConnectError{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// quote makes of a word that Home Assistant said what may stand in a sentence: letters,
// digits and little else, and not much of it.
func quote(word string) string {
	const most = 60
	var b strings.Builder
	for _, c := range word {
		if b.Len() >= most {
			b.WriteString("…")
			break
		}
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("_-.:/ ", c):
			b.WriteRune(c)
		default:
			b.WriteByte('?')
		}
	}
	return `"` + b.String() + `"`
}
