package ezspstick

import "time"

// Reset codes.
const (
	resetPowerOn  = 0x02
	resetWatchdog = 0x03
	resetSoftware = 0x0b
	errorTimeouts = 0x51
)

const (
	maxUnacknowledged = 5 // frames that the stick sends ahead
	maxCallbacks      = 64
	ackTimeFirst      = 800 * time.Millisecond
	ackTimeLongest    = 2400 * time.Millisecond
	patienceAcks      = 6
)

// line is the stick's end of ASH.
type line struct {
	connected bool
	failed    bool // it answers ERROR to everything until it is reset

	// Receiving.
	partial  []byte
	escaped  bool
	spoiled  bool
	wanted   byte // number of the next frame of the host
	refusing bool

	// Sending.
	urgent    []byte   // frames without data, as they go on the line
	answers   [][]byte // EZSP frames that go before callbacks
	callbacks [][]byte
	flying    [][]byte // not acknowledged yet
	first     byte     // number of flying[0]
	sentAt    time.Time
	ackTime   time.Duration
	timeouts  int
	hold      time.Time // nothing is sent before: see Faults.Delay
	notReady  bool      // the host has no room for callbacks
	overflow  bool      // callbacks were lost
	sequence  byte      // of the last command
}

// receive takes bytes of the host.
func (s *Stick) receive(data []byte) {
	l := &s.ash
	for _, b := range data {
		switch b {
		case 0x1a: // cancel
			l.partial, l.escaped, l.spoiled = nil, false, false
		case 0x18: // substitute
			l.spoiled = true
		case 0x11, 0x13: // flow control of the line
		case 0x7d:
			l.escaped = true
		case 0x7e:
			frame, spoiled := l.partial, l.spoiled
			l.partial, l.escaped, l.spoiled = nil, false, false
			if len(frame) > 0 {
				s.takeFrame(frame, spoiled)
				l = &s.ash // a reset has made another
			}
		default:
			if l.escaped {
				b, l.escaped = b^0x20, false
			}
			if l.partial = append(l.partial, b); len(l.partial) > 400 {
				l.partial, l.spoiled = l.partial[:1], true
			}
		}
	}
}

// takeFrame takes a frame with its CRC.
func (s *Stick) takeFrame(frame []byte, spoiled bool) {
	l := &s.ash
	n := len(frame) - 2
	if spoiled || n < 1 || crc(frame[:n]) != uint16(frame[n])<<8|uint16(frame[n+1]) {
		s.refuse()
		return
	}
	control, data := frame[0], frame[1:n]
	if control == 0xc0 && len(data) == 0 {
		s.restart(resetSoftware)
		return
	}
	if l.failed {
		l.urgent = append(l.urgent, appendLineFrame(nil, []byte{0xc2, 2, errorTimeouts})...)
		return
	}
	if !l.connected {
		return
	}
	switch {
	case control&0x80 == 0:
		if s.random.chance(s.random.faults.Reject) {
			s.refuse()
			return
		}
		if !s.acknowledge(control & 7) {
			s.refuse()
			return
		}
		switch number := control >> 4 & 7; {
		case number == l.wanted:
			l.wanted = (l.wanted + 1) & 7
			l.refusing = false
			s.acknowledgeHost()
			mix(data)
			s.command(data)
		case control&0x08 != 0:
			s.acknowledgeHost() // it has come before
		default:
			s.refuse()
		}
	case control&0xe0 == 0x80 && len(data) == 0:
		l.notReady = control&0x08 != 0
		s.acknowledge(control & 7)
	case control&0xe0 == 0xa0 && len(data) == 0:
		l.notReady = control&0x08 != 0
		if s.acknowledge(control & 7) {
			s.again()
		}
	default:
		s.refuse()
	}
}

// refuse asks for a frame once more, once.
func (s *Stick) refuse() {
	l := &s.ash
	if !l.connected || l.failed || l.refusing {
		return
	}
	l.refusing = true
	l.urgent = append(l.urgent, appendLineFrame(nil, []byte{0xa0 | l.wanted})...)
}

func (s *Stick) acknowledgeHost() {
	s.ash.urgent = append(s.ash.urgent, appendLineFrame(nil, []byte{0x80 | s.ash.wanted})...)
}

// acknowledge takes which frame the host waits for.
func (s *Stick) acknowledge(number byte) bool {
	l := &s.ash
	n := int(number-l.first) & 7
	if n > len(l.flying) {
		return false
	}
	if n > 0 {
		l.flying, l.first = l.flying[n:], number
		l.timeouts, l.sentAt = 0, time.Now()
		l.ackTime = ackTimeFirst
	}
	return true
}

// again sends once more what is not acknowledged.
func (s *Stick) again() {
	l := &s.ash
	for i, data := range l.flying {
		s.counters.Retransmitted++
		l.urgent = append(l.urgent, s.dataFrame((l.first+byte(i))&7, 0x08, data)...)
	}
	l.sentAt = time.Now()
}

func (s *Stick) dataFrame(number, flags byte, data []byte) []byte {
	mixed := append([]byte{number<<4 | flags | s.ash.wanted}, data...)
	mix(mixed[1:])
	return appendLineFrame(nil, mixed)
}

// transmit returns what goes on the line now, and how long until more may be due
// (0: never).
func (s *Stick) transmit(now time.Time) (out []byte, wait time.Duration) {
	l := &s.ash
	if len(l.flying) > 0 && now.Sub(l.sentAt) >= l.ackTime {
		if l.timeouts++; l.timeouts >= patienceAcks {
			l.failed = true
			l.flying = nil
			l.urgent = appendLineFrame(nil, []byte{0xc2, 2, errorTimeouts})
		} else {
			l.ackTime = min(2*l.ackTime, ackTimeLongest)
			s.again()
		}
	}
	out, l.urgent = l.urgent, nil
	if !l.connected || l.failed {
		return s.random.damage(out), 0
	}
	if held := l.hold.Sub(now); held > 0 {
		wait = held
	} else {
		for len(l.flying) < maxUnacknowledged {
			var data []byte
			switch {
			case len(l.answers) > 0:
				data, l.answers = l.answers[0], l.answers[1:]
			case len(l.callbacks) > 0 && !l.notReady:
				data, l.callbacks = l.callbacks[0], l.callbacks[1:]
			}
			if data == nil {
				break
			}
			if len(l.flying) == 0 {
				l.sentAt = now
			}
			out = append(out, s.dataFrame((l.first+byte(len(l.flying)))&7, 0, data)...)
			l.flying = append(l.flying, data)
		}
	}
	if len(l.flying) > 0 {
		if due := max(l.ackTime-now.Sub(l.sentAt), time.Millisecond); wait == 0 || due < wait {
			wait = due
		}
	}
	return s.random.damage(out), wait
}

// appendLineFrame puts a frame into the form of the line.
func appendLineFrame(dst, frame []byte) []byte {
	sum := crc(frame)
	for _, b := range append(frame[:len(frame):len(frame)], byte(sum>>8), byte(sum)) {
		switch b {
		case 0x7e, 0x7d, 0x11, 0x13, 0x18, 0x1a:
			dst = append(dst, 0x7d, b^0x20)
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, 0x7e)
}

// crc is CRC-16/CCITT-FALSE, bit by bit.
func crc(data []byte) uint16 {
	sum := uint16(0xffff)
	for _, b := range data {
		sum ^= uint16(b) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// mix applies the pseudo-random sequence to a data field.
func mix(data []byte) {
	state := 0x42
	for i := range data {
		data[i] ^= byte(state)
		low := state & 1
		state >>= 1
		if low == 1 {
			state ^= 0xb8
		}
	}
}
