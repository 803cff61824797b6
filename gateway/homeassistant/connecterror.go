package homeassistant

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
	Unconnected   Reason = "unconnected"    // Home Assistant did not reach or not like the box's broker
	NotUnderstood Reason = "not understood" // an answer, of something else or of a version to come
)

// ConnectError says why a Home Assistant could not be connected, and what to do.
type ConnectError struct {
	Reason      Reason
	Text        string // sentences
	Fingerprint string // of the certificate that nobody vouches for: SHA-256, as browsers show it
}

func (e *ConnectError) Error() string { return e.Text }
