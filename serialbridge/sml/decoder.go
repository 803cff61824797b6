package sml

import (
	"encoding/binary"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/crc"
)

// maxFile bounds a frame. Meters send 200 to 1000 bytes, with a signed load profile a
// few thousand.
const maxFile = 16 << 10

// Bytes of the transport protocol (SML 1.04, version 1 of it).
const (
	escape     = 0x1B
	escapeRun  = 4
	frameStart = 0x1B1B1B1B_01010101
	frameEnd   = 0x1A

	x25Initial = 0xFFFF // of CRC-16/X.25, which is inverted at the end
)

// A decoder finds frames in a stream of bytes.
type decoder struct {
	sink        serialbridge.Sink
	definitions map[obis]serialbridge.Property

	window uint64 // the last eight bytes
	inside bool   // a frame has begun
	size   int    // of the frame so far
	crc    uint16 // over the frame so far, up to and including the fill count
	file   []byte // what the frame carries, so far
	run    int    // how many bytes 1B end the file

	escaped  bool    // four bytes 1B were there: what follows says why
	sequence [4]byte // what follows
	length   int     // how much of it is there

	named    bool // the meter tells who it is
	nameless int  // lists in which it did not, before any other
	devices  serialbridge.Announcer
}

func newDecoder(sink serialbridge.Sink, definitions map[obis]serialbridge.Property) *decoder {
	return &decoder{
		sink:        sink,
		definitions: definitions,
		devices:     serialbridge.Announcer{Sink: sink},
	}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		d.next(b, received)
	}
}

func (d *decoder) next(b byte, received time.Time) {
	d.window = d.window<<8 | uint64(b)
	if d.window == frameStart {
		if d.inside {
			d.sink.Damaged(serialbridge.DamagedTruncated)
		}
		d.begin()
		return
	}
	if !d.inside {
		return
	}
	d.size++
	switch {
	case d.size > maxFile:
		d.drop(serialbridge.DamagedTooLong)
	case d.escaped:
		d.addEscaped(b, received)
	default:
		d.add(b)
	}
}

// begin starts a frame whose first eight bytes were there.
func (d *decoder) begin() {
	d.inside = true
	d.size = 8
	d.crc = crc.CCITT.Update(x25Initial, escape, escape, escape, escape, 1, 1, 1, 1)
	d.file = d.file[:0]
	d.run = 0
	d.escaped = false
}

// add takes a byte of the file.
func (d *decoder) add(b byte) {
	d.crc = crc.CCITT.Update(d.crc, b)
	d.file = append(d.file, b)
	if b != escape {
		d.run = 0
		return
	}
	d.run++
	if d.run == escapeRun {
		d.file = d.file[:len(d.file)-escapeRun]
		d.run = 0
		d.escaped = true
		d.length = 0
	}
}

// addEscaped takes a byte of the four behind an escape.
func (d *decoder) addEscaped(b byte, received time.Time) {
	if d.length < 2 || d.sequence[0] != frameEnd {
		d.crc = crc.CCITT.Update(d.crc, b) // all but the checksum itself
	}
	d.sequence[d.length] = b
	d.length++
	if d.length < len(d.sequence) {
		return
	}
	d.escaped = false
	switch {
	case d.sequence[0] == frameEnd:
		d.end(received)
	case d.sequence == [4]byte{escape, escape, escape, escape}:
		d.file = append(d.file, d.sequence[:]...)
	default:
		d.drop(serialbridge.DamagedSyntax)
	}
}

func (d *decoder) drop(reason string) {
	d.sink.Damaged(reason)
	d.inside = false
}

// end judges the frame, which is complete.
func (d *decoder) end(received time.Time) {
	fill := int(d.sequence[1])
	if ^d.crc != binary.LittleEndian.Uint16(d.sequence[2:]) {
		d.drop(serialbridge.DamagedChecksum)
		return
	}
	if fill > 3 || fill > len(d.file) {
		d.drop(serialbridge.DamagedSyntax)
		return
	}
	d.inside = false
	lists, reason := parseFile(d.file[:len(d.file)-fill])
	if reason != "" {
		d.sink.Damaged(reason)
		return
	}
	for _, l := range lists {
		device, values := interpret(l, d.definitions)
		if len(values) == 0 || !d.identify(&device) {
			continue
		}
		// A meter without PIN leaves power out.
		d.devices.Announce(d.devices.Complete(device))
		d.sink.Reading(serialbridge.Reading{Device: device.ID, Time: received, Values: values})
	}
}

// anonymousAfter is how many lists without a server ID make a meter one that has
// none.
const anonymousAfter = 3

// identify names a meter that does not tell who it is, and reports whether its
// list is to be published. A meter that tells it sometimes is meant to be named
// by that.
func (d *decoder) identify(device *serialbridge.Device) bool {
	if device.ID != "" {
		d.named = true
		return true
	}
	if d.named {
		d.sink.Ignored("the meter does not tell its number in some of its lists: these are not read")
		return false
	}
	d.nameless = min(d.nameless+1, anonymousAfter)
	device.ID, device.Anonymous = "sml_meter", true
	return d.nameless == anonymousAfter
}
