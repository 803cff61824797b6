package bms

import (
	"strings"
	"time"

	"lintel/serialbridge"
)

// frameGap ends a frame that is not complete: no battery pauses within one.
const frameGap = time.Second

// A deframer finds frames in a stream of bytes. Of what is no frame the first
// byte is dropped and the rest looked at again, so that a frame within is found.
type deframer struct {
	sink   serialbridge.Sink
	header string
	// size returns how long the frame is that b begins: 0 if more bytes have
	// to tell, less if it begins none.
	size func(b []byte) int
	// valid reports whether the sum of a frame of that size is right.
	valid func(frame []byte) bool
	// take gets what is valid.
	take func(frame []byte, received time.Time)

	pending []byte // what may be the beginning of a frame
	last    time.Time
}

// Decode implements serialbridge.Decoder.
func (d *deframer) Decode(data []byte, received time.Time) {
	if len(d.pending) > 0 && received.Sub(d.last) > frameGap {
		d.scan(d.last, false)
	}
	d.last = received
	d.pending = append(d.pending, data...)
	d.scan(received, true)
}

// scan takes the frames out of what is pending. If more bytes cannot come the
// beginning of a frame is none.
func (d *deframer) scan(received time.Time, more bool) {
	b := d.pending
	for len(b) > 0 {
		n := min(len(b), len(d.header))
		if !strings.HasPrefix(d.header, string(b[:n])) {
			b = b[1:]
			continue
		}
		size := 0
		if n == len(d.header) {
			size = d.size(b)
		}
		switch {
		case size < 0:
			b = b[1:]
		case size == 0 || len(b) < size:
			if more {
				d.pending = d.pending[:copy(d.pending, b)]
				return
			}
			if size > 0 {
				d.sink.Damaged(serialbridge.DamagedTruncated)
			}
			b = b[1:]
		case !d.valid(b[:size]):
			d.sink.Damaged(serialbridge.DamagedChecksum)
			b = b[1:]
		default:
			d.take(b[:size], received)
			b = b[size:]
		}
	}
	d.pending = d.pending[:0]
}
