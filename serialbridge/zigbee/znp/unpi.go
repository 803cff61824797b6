package znp

import (
	"time"
)

// UNPI is the framing of TI's network processors:
// FE, length of the data, two bytes of command, the data, and the exclusive or of
// all that is between FE and itself.
const (
	startOfFrame = 0xfe
	maxData      = 250
	frameExtra   = 5 // bytes of a frame besides its data
)

// staleAfter is how long the rest of a frame may be on its way before what is
// waited for is doubted: the stick sends a frame without a pause, but a
// network in between may not.
const staleAfter = 500 * time.Millisecond

// A command is what a frame is: type, subsystem and identifier, as they are sent.
type command uint16

// The types, in the three highest bits.
const (
	typeMask     command = 7 << 13
	synchronous  command = 1 << 13 // answered by a response of the same subsystem and identifier
	asynchronous command = 2 << 13
	response     command = 3 << 13
)

// answer is the command of the response to c.
func (c command) answer() command { return c&^typeMask | response }

// appendFrame appends a frame to b.
func appendFrame(b []byte, c command, data []byte) []byte {
	start := len(b) + 1
	b = append(b, startOfFrame, byte(len(data)), byte(c>>8), byte(c))
	b = append(b, data...)
	return append(b, checksum(b[start:]))
}

func checksum(b []byte) (sum byte) {
	for _, x := range b {
		sum ^= x
	}
	return sum
}

// A frame is one that the stick has sent. Its data is good until the deframer is
// used again.
type frame struct {
	command command
	data    []byte
}

// A deframer finds the frames in what the stick sends. It holds at most what was
// pushed last and one frame that is not whole yet.
type deframer struct {
	buf     []byte
	read    int // all before it is done with
	last    time.Time
	stale   bool   // the frame at buf[read] takes too long
	damaged uint64 // bytes that began no frame, though they said so
}

// push takes what was received at that time.
func (d *deframer) push(data []byte, now time.Time) {
	d.stale = d.read < len(d.buf) && now.Sub(d.last) >= staleAfter
	d.last = now
	n := copy(d.buf, d.buf[d.read:])
	d.buf, d.read = append(d.buf[:n], data...), 0
}

// next returns the next frame that is whole. After a false start it looks one byte
// further: a true frame may be within what the false one would have been.
func (d *deframer) next() (frame, bool) {
	for d.read < len(d.buf) {
		if d.buf[d.read] != startOfFrame {
			d.read++
			continue
		}
		f, size := parse(d.buf[d.read:])
		switch {
		case size > 0:
			d.read += size
			d.stale = false
			return f, true
		case size < 0:
			d.damaged++
			d.read++
		case d.stale:
			// Nothing says that this is a false start but its age; a
			// whole frame behind it does.
			d.stale = false
			if at := d.behind(); at > 0 {
				d.damaged++
				d.read = at
				continue
			}
			return frame{}, false
		default:
			return frame{}, false
		}
	}
	return frame{}, false
}

// behind looks for a whole frame behind the one that is not whole. 0: there is none.
func (d *deframer) behind() int {
	for i := d.read + 1; i < len(d.buf); i++ {
		if d.buf[i] == startOfFrame {
			if _, size := parse(d.buf[i:]); size > 0 {
				return i
			}
		}
	}
	return 0
}

// parse reads the frame at the beginning of b, which is a start of frame. The size
// is 0 if the frame is not whole yet and -1 if it is none.
func parse(b []byte) (f frame, size int) {
	if len(b) >= 2 && b[1] > maxData {
		return f, -1
	}
	if len(b) >= 3 {
		// A stick says nothing but answers and what nobody has asked for.
		if t := command(b[2]) << 8 & typeMask; t != asynchronous && t != response {
			return f, -1
		}
	}
	if len(b) < frameExtra || len(b) < frameExtra+int(b[1]) {
		return f, 0
	}
	size = frameExtra + int(b[1])
	if checksum(b[1:size-1]) != b[size-1] {
		return f, -1
	}
	return frame{command(b[2])<<8 | command(b[3]), b[4 : size-1]}, size
}
