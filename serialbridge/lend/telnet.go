package lend

// Telnet commands (RFC 854) and what may follow them.
const (
	iac  = 255
	dont = 254
	do   = 253
	wont = 252
	will = 251
	sb   = 250
	se   = 240

	// firstCommand is the lowest command there is: EOF of RFC 1184.
	firstCommand = 236
)

// maxSubnegotiation bounds a subnegotiation. The longest that says anything here
// is the name of the client's program.
const maxSubnegotiation = 256

// Reasons why something of a client's telnet is thrown away.
const (
	damagedSyntax  = "telnet syntax"
	damagedTooLong = "telnet too long"
)

// position is where in telnet a parser is.
type position byte

const (
	inData        position = iota
	behindCommand          // IAC was the last byte
	inOption               // behind IAC WILL, WONT, DO or DONT
	inSub                  // in a subnegotiation
	behindSub              // IAC was the last byte of a subnegotiation
)

// A command is what a client wants of telnet. Its verb is WILL, WONT, DO, DONT
// or SB; 0 is none.
type command struct {
	verb    byte
	option  byte   // of all but SB
	sub     []byte // of SB: from the option on; valid until the next step
	damaged string // why something was thrown away; "" if nothing was
}

// A parser tells data from commands in what a client sends. Any bytes may come in
// any pieces.
type parser struct {
	// binary is whether the client's data are eight bits wide (RFC 856).
	// Otherwise a carriage return is followed by a line feed, or by a NUL that
	// is no data (RFC 854, The NVT printer and keyboard).
	binary bool

	position position
	verb     byte   // of the option that comes next
	sub      []byte // of the subnegotiation so far
	tooLong  bool   // it is longer than that
	cr       bool   // a carriage return was the last byte of data
}

// step takes the bytes up to the end of the next command. It returns the data
// before it, the command if there was one, and the bytes behind it. The data
// stand where the bytes were.
func (p *parser) step(in []byte) (data []byte, c command, rest []byte) {
	data = in[:0]
	for i, b := range in {
		switch p.position {
		case inData:
			if b == iac {
				p.position = behindCommand
			} else {
				data = p.take(data, b)
			}
			continue
		case behindCommand:
			p.position = inData
			switch {
			case b == iac:
				data = p.take(data, b)
				continue
			case b == will || b == wont || b == do || b == dont:
				p.position, p.verb = inOption, b
				continue
			case b == sb:
				p.position, p.sub, p.tooLong = inSub, p.sub[:0], false
				continue
			case b >= firstCommand && b != se:
				continue // none that means something to a serial line
			}
			c.damaged = damagedSyntax
		case inOption:
			p.position = inData
			c.verb, c.option = p.verb, b
		case inSub:
			if b == iac {
				p.position = behindSub
			} else {
				p.addToSub(b)
			}
			continue
		case behindSub:
			switch {
			case b == iac:
				p.position = inSub
				p.addToSub(b)
				continue
			case b != se:
				// The end is missing: this is the next command.
				p.position = behindCommand
				return data, command{damaged: damagedSyntax}, in[i:]
			}
			p.position = inData
			if c.verb, c.sub = sb, p.sub; p.tooLong {
				c = command{damaged: damagedTooLong}
			}
		}
		return data, c, in[i+1:]
	}
	return data, command{}, nil
}

// take adds a byte of data.
func (p *parser) take(data []byte, b byte) []byte {
	padding := p.cr && b == 0 && !p.binary
	p.cr = b == '\r'
	if padding {
		return data
	}
	return append(data, b)
}

func (p *parser) addToSub(b byte) {
	if len(p.sub) == maxSubnegotiation {
		p.tooLong = true
		return
	}
	p.sub = append(p.sub, b)
}

// An escaper makes data fit to be sent to a client.
type escaper struct {
	cr bool // a carriage return was the last byte
}

// escape adds data to dst. If they are not binary, a NUL comes behind each
// carriage return that is not the beginning of a line's end; it waits for the
// byte that shows it.
func (e *escaper) escape(dst, data []byte, binary bool) []byte {
	for _, b := range data {
		if e.cr && b != '\n' && !binary {
			dst = append(dst, 0)
		}
		e.cr = b == '\r'
		if b == iac {
			dst = append(dst, iac)
		}
		dst = append(dst, b)
	}
	return dst
}

// subnegotiation returns a subnegotiation as it is sent: from the option on it
// is content, in which IAC is doubled (RFC 855).
func subnegotiation(content ...byte) []byte {
	s := []byte{iac, sb}
	for _, b := range content {
		if b == iac {
			s = append(s, iac)
		}
		s = append(s, b)
	}
	return append(s, iac, se)
}
