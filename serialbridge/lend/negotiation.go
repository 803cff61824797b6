package lend

// Telnet options.
const (
	optionBinary          = 0  // RFC 856
	optionSuppressGoAhead = 3  // RFC 858
	optionComPort         = 44 // RFC 2217
)

// opinion is how far one side of an option is agreed upon: the states of
// RFC 1143 that one who never changes his mind can be in.
type opinion byte

const (
	off   opinion = iota
	asked         // we want it on and wait for the answer
	on
)

// A negotiation is which options both ends have agreed to.
type negotiation struct {
	ours   map[byte]opinion // what we do: WILL and DO
	theirs map[byte]opinion // what the client does: DO and WILL
}

func newNegotiation() *negotiation {
	return &negotiation{
		ours:   map[byte]opinion{optionBinary: asked, optionSuppressGoAhead: asked, optionComPort: off},
		theirs: map[byte]opinion{optionBinary: asked, optionSuppressGoAhead: asked, optionComPort: asked},
	}
}

// offers are the first words to a client: what newNegotiation says was asked.
// Clients ask for COM-PORT-OPTION themselves (RFC 2217, 1), but pyserial does
// not ask for BINARY, which it needs.
func offers() []byte {
	return []byte{
		iac, will, optionBinary,
		iac, do, optionBinary,
		iac, will, optionSuppressGoAhead,
		iac, do, optionSuppressGoAhead,
		iac, do, optionComPort,
	}
}

// answer takes WILL, WONT, DO or DONT and returns what is to be said to it.
// Agreement to what is agreed upon gets no answer, or the two ends would never
// stop (RFC 854, General considerations).
func (n *negotiation) answer(c command) []byte {
	side, yes, no := n.theirs, byte(do), byte(dont)
	if c.verb == do || c.verb == dont {
		side, yes, no = n.ours, will, wont
	}
	before, supported := side[c.option]
	if c.verb == wont || c.verb == dont {
		if supported {
			side[c.option] = off
		}
		if before == on {
			return []byte{iac, no, c.option}
		}
		return nil
	}
	if !supported {
		return []byte{iac, no, c.option}
	}
	side[c.option] = on
	if before == off {
		return []byte{iac, yes, c.option}
	}
	return nil
}
