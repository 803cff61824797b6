package modbus

import (
	"bytes"
	"time"

	"lintel/serialbridge"
)

const (
	// pauseInFrame is the longest silence within a frame. On the line it is 1.5
	// characters (MODBUS over serial line 1.02, 2.5.1.1), but a USB converter
	// passes on what it has every 16 ms only, and a busy machine is later still.
	pauseInFrame = 50 * time.Millisecond

	// answerExpiry is how long a heard question waits for its answer.
	answerExpiry = 5 * time.Second

	// glitch is how many bytes of noise between a question and its answer may
	// come from drivers that are switched on and off. More may have been
	// another question, whose answer must not be taken for that of the first.
	glitch = 3
)

// Reasons for throwing bytes away.
const (
	damagedNoise = "noise"
	damagedShort = "short"
)

// A scanner finds frames among the bytes of a bus. A frame does not tell whether
// it is a question or an answer, nor, if it is neither, its length, and the
// silence between frames does not survive a USB converter. So a frame is what has
// the form of one here and a valid CRC; an answer is what the last question
// wants.
type scanner struct {
	// master is whether the questions are asked here. Then a question that
	// is heard is not waited for.
	master  bool
	damaged func(reason string)

	// What is heard. data is valid during the call.
	question func(q request)
	answer   func(q request, data []byte, received time.Time)
	refusal  func(q request, e exception)
	stray    func(unit byte) // an answer that was not asked for

	buf      []byte
	searched int       // bytes of buf in which inner has found nothing
	last     time.Time // of the last byte
	noisy    bool      // the bytes before buf were thrown away and counted

	waiting  bool // for the answer to expected
	expected request
	head     []byte // with which it begins
	length   int    // of it
	asked    time.Time
	glitches int // bytes thrown away since then
}

// ask notes the question that is asked next.
func (s *scanner) ask(q request, now time.Time) {
	s.flush()
	s.expect(q, now)
}

func (s *scanner) expect(q request, now time.Time) {
	s.expected, s.waiting, s.asked, s.glitches = q, q.unit != 0, now, 0
	s.head, s.length = q.answerHead()
}

// scan takes the next bytes.
func (s *scanner) scan(data []byte, received time.Time) {
	// A master waits for the answer that it wants as long as it has set itself:
	// on a line that leads through a network it may come in pieces.
	if len(data) > 0 && received.Sub(s.last) > pauseInFrame && !(s.master && s.waiting) {
		s.flush()
	}
	if s.waiting && !s.master && received.Sub(s.asked) > answerExpiry {
		s.waiting = false
	}
	// One by one: how the bytes come in pieces must not matter.
	for _, b := range data {
		s.buf = append(s.buf, b)
		s.last = received
		s.resolve()
	}
}

// verdict is what some bytes may be.
type verdict byte

const (
	nothing verdict = iota
	broken          // of the form of a frame, with a wrong CRC
	stub            // the beginning of an answer to something unknown
	partial         // the beginning of what is expected
	asking          // a whole frame, and so on
	answering
	refusing
	straying
)

// resolve takes all frames off that the buffer begins with.
func (s *scanner) resolve() {
	for len(s.buf) > 0 {
		switch v, n := s.judge(s.buf); v {
		case partial:
			return
		case stub:
			// It may be noise that holds back what follows.
			i := s.inner()
			if i == 0 {
				return
			}
			s.drop(i, damagedNoise)
		case nothing:
			s.drop(1, damagedNoise)
		case broken:
			s.drop(1, serialbridge.DamagedChecksum)
		default:
			s.take(v, n)
		}
	}
}

// flush gives up waiting for the rest of a frame.
func (s *scanner) flush() {
	for len(s.buf) > 0 {
		switch v, n := s.judge(s.buf); v {
		case nothing:
			s.drop(1, damagedNoise)
		case broken:
			s.drop(1, serialbridge.DamagedChecksum)
		case stub, partial:
			s.drop(1, damagedShort)
		default:
			s.take(v, n)
		}
	}
	s.noisy = false
}

// inner returns where in the buffer a whole question, or the awaited answer, begins
// behind the first byte; 0: nowhere.
func (s *scanner) inner() int {
	for i := 1; i < len(s.buf); i++ {
		b := s.buf[i:]
		whole := func(length int) bool {
			return i+length > s.searched && length > 0 && len(b) >= length && sealed(b[:length])
		}
		if length, v := s.awaited(b); v != nothing && whole(length) {
			return i
		}
		if _, length, ok := parseRequest(b); ok && whole(length) {
			return i
		}
	}
	s.searched = len(s.buf)
	return 0
}

// awaited tells whether b begins as the awaited answer does, and the length of that.
func (s *scanner) awaited(b []byte) (int, verdict) {
	switch {
	case !s.waiting || b[0] != s.expected.unit:
	case begins(b, s.head):
		return s.length, answering
	case b[1] == s.expected.function|exceptionFlag:
		return 5, refusing
	}
	return 0, nothing
}

// drop throws bytes away. They are counted once until the next frame.
func (s *scanner) drop(n int, reason string) {
	if !s.noisy {
		s.damaged(reason)
	}
	s.noisy = true
	s.glitches += n
	if s.glitches > glitch && !s.master {
		s.waiting = false
	}
	s.cut(n)
}

// cut takes n bytes off the beginning of the buffer.
func (s *scanner) cut(n int) {
	s.buf = s.buf[:copy(s.buf, s.buf[n:])]
	s.searched = max(0, s.searched-n)
}

// judge tells what b begins with, and the length of that.
func (s *scanner) judge(b []byte) (verdict, int) {
	best := nothing
	// consider notes one possibility: a frame that begins as b does and is
	// length bytes long, or zero if that is not known yet.
	consider := func(length int, incomplete, complete verdict) bool {
		v := incomplete
		if length > 0 && len(b) >= length {
			if sealed(b[:length]) {
				best = complete
				return true
			}
			v = broken
		}
		best = max(best, v)
		return false
	}

	if length, v := s.awaited(b); v != nothing && consider(length, partial, v) {
		return best, length
	}
	if _, length, ok := parseRequest(b); ok && consider(length, partial, asking) {
		return best, length
	}
	if length, ok := answerLength(b); ok && consider(length, stub, straying) {
		return best, length
	}
	if best == broken && s.noisy {
		best = nothing
	}
	return best, 0
}

// begins reports whether b begins with head, as far as it goes.
func begins(b, head []byte) bool {
	return bytes.HasPrefix(b, head) || bytes.HasPrefix(head, b)
}

// answerLength returns the length of an answer to whatever, zero if it is not known
// yet. Answers to single writes are the same as their questions.
func answerLength(b []byte) (length int, ok bool) {
	if b[0] == 0 || b[0] > maxUnit {
		return 0, false
	}
	if len(b) < 3 {
		return 0, true
	}
	switch function := b[1]; function {
	case readCoils, readDiscreteInputs:
		return 3 + int(b[2]) + 2, b[2] > 0 && b[2] <= maxReadBits/8
	case readHoldingRegisters, readInputRegisters:
		return 3 + int(b[2]) + 2, b[2] > 0 && b[2] <= 2*maxReadRegisters && b[2]%2 == 0
	case writeMultipleCoils, writeMultipleRegisters:
		return 8, true
	default:
		known := function&^exceptionFlag <= writeSingleRegister && function != exceptionFlag ||
			function&^exceptionFlag == writeMultipleCoils || function&^exceptionFlag == writeMultipleRegisters
		return 5, function&exceptionFlag != 0 && known && b[2] > 0 && b[2] <= 11
	}
}

// take passes on the frame of n bytes that the buffer begins with.
func (s *scanner) take(v verdict, n int) {
	frame := s.buf[:n]
	s.noisy = false
	switch v {
	case asking:
		q, _, _ := parseRequest(frame)
		q.data = bytes.Clone(q.data)
		if !s.master {
			s.expect(q, s.last)
		}
		s.question(q)
	case answering:
		s.waiting = false
		if s.expected.reads() {
			s.answer(s.expected, frame[3:n-2], s.last)
		} else {
			s.answer(s.expected, nil, s.last)
		}
	case refusing:
		s.waiting = false
		s.refusal(s.expected, exception(frame[2]))
	case straying:
		s.stray(frame[0])
	}
	s.cut(n)
	s.searched = 0 // for something else
}
