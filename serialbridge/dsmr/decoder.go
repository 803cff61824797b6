package dsmr

import (
	"bytes"
	"strconv"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/crc"
)

const (
	// maxTelegram bounds a telegram. The longest legal ones carry a text
	// message of 2048 hex digits and stay below 6 KiB.
	maxTelegram = 16 << 10
	// maxHeader bounds the identification line; IEC 62056-21 allows 16
	// characters after the mode digit.
	maxHeader = 64
	// maxMeters bounds the meters whose counters are remembered.
	maxMeters = 64
)

// damagedReplayed is a reason for throwing something away.
const damagedReplayed = "replayed"

// position is where in a telegram the decoder is.
type position byte

const (
	outside  position = iota // looking for '/'
	inHeader                 // in the identification line
	inBody                   // in the lines of objects
	inEnd                    // behind '!'
	inSealed                 // in one that is encrypted
)

// A decoder finds telegrams in a stream of bytes, line by line. What does not
// fit is dropped where it stands, so that a telegram right behind is found.
type decoder struct {
	sink        serialbridge.Sink
	definitions map[string]definition
	keys        []key

	position position
	line     []byte // the current line so far
	size     int    // of the telegram so far
	crc      uint16 // over the telegram so far, up to and including '!'
	telegram telegram

	tail   [headSize]byte // of the stream: what a sealed telegram is known by
	sealed []byte         // the sealed telegram so far
	need   int            // its size
	title  string         // of the sealed telegram that the lines come from
	meters map[systemTitle]openedMeter

	devices serialbridge.Announcer
}

func newDecoder(sink serialbridge.Sink, definitions map[string]definition, keys []key) *decoder {
	return &decoder{
		sink:        sink,
		definitions: definitions,
		keys:        keys,
		meters:      make(map[systemTitle]openedMeter),
		devices:     serialbridge.Announcer{Sink: sink},
	}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		copy(d.tail[:], d.tail[1:])
		d.tail[headSize-1] = b
		// No telegram holds such a head but by a chance of 2⁻⁴⁴ a byte: who
		// sees one is at the beginning of a sealed telegram, whatever came
		// before, and so bytes that got lost cost only one telegram.
		if n, ok := sealedSize(d.tail[:]); ok {
			if d.position > inHeader {
				d.sink.Damaged(serialbridge.DamagedTruncated)
			}
			d.position, d.need = inSealed, n
			d.sealed = append(d.sealed[:0], d.tail[:]...)
			continue
		}
		if d.position != inSealed {
			d.next(b, received)
			continue
		}
		if d.sealed = append(d.sealed, b); len(d.sealed) == d.need {
			d.position = outside
			d.unseal(received)
		}
	}
}

// next takes a byte that is not encrypted, or not any more.
func (d *decoder) next(b byte, received time.Time) {
	// IEC 62056-21: neither an identification nor a data line holds
	// a second '/' of its own, so this one begins a telegram.
	if b == '/' && (d.position == outside || d.position == inHeader) {
		d.begin()
	} else if b == '/' && d.position == inBody && len(d.line) == 0 {
		d.sink.Damaged(serialbridge.DamagedTruncated)
		d.begin()
	}
	if d.position == outside {
		return
	}

	d.size++
	if d.position != inEnd {
		d.crc = crc.IBM.Update(d.crc, b)
	}
	if d.position == inBody && b == '!' && len(d.line) == 0 {
		d.position = inEnd
		return
	}
	if d.position == inEnd && b == '\r' {
		b = '\n' // do not wait for the line feed: the telegram is complete
	}
	d.line = append(d.line, b)

	switch {
	case d.size > maxTelegram:
		d.drop(serialbridge.DamagedTooLong)
	case d.position == inHeader:
		d.header(b)
	case d.position == inBody && b == '\n':
		if !d.telegram.addLine(trimEOL(d.line)) {
			d.drop(serialbridge.DamagedSyntax)
			return
		}
		d.line = d.line[:0]
	case d.position == inEnd && b == '\n':
		d.end(received)
	case d.position == inEnd && (!isHex(b) || len(d.line) > 4):
		d.drop(serialbridge.DamagedSyntax)
	}
}

// begin starts a telegram at the '/' that comes next.
func (d *decoder) begin() {
	d.position = inHeader
	d.line = d.line[:0]
	d.size = 0
	d.crc = 0
	d.telegram = telegram{title: d.title}
}

// header looks at the identification line after each byte. What is not one was
// never a telegram and is not counted.
func (d *decoder) header(b byte) {
	switch {
	case len(d.line) > maxHeader:
		d.position = outside
	case b == '\n':
		header := trimEOL(d.line)
		if !validHeader(header) {
			d.position = outside
			return
		}
		d.telegram.header = string(header[1:])
		d.position = inBody
		d.line = d.line[:0]
	}
}

// drop throws the telegram away. The line at which it broke may be two lines
// that lost what stood between them: if there is a '/' in it, a telegram may
// begin there.
func (d *decoder) drop(reason string) {
	d.sink.Damaged(reason)
	d.position = outside
	i := bytes.LastIndexByte(d.line, '/')
	if i < 0 {
		return
	}
	// At most an identification line comes out of this: it ends no telegram.
	for _, b := range bytes.Clone(d.line[i:]) {
		d.next(b, time.Time{})
	}
}

// end judges the telegram, whose last line is complete.
func (d *decoder) end(received time.Time) {
	d.position = outside
	digits := trimEOL(d.line)
	d.telegram.checked = len(digits) > 0
	switch {
	case d.telegram.checked:
		// Some meters do not pad the number, so it is compared as one.
		sum, err := strconv.ParseUint(string(digits), 16, 16)
		if err != nil || uint16(sum) != d.crc {
			d.sink.Damaged(serialbridge.DamagedChecksum)
			return
		}
	case d.telegram.has("0-0:1.0.0"):
		// The clock came with DSMR 4.0, as did the CRC: it got lost.
		d.sink.Damaged(serialbridge.DamagedChecksum)
		return
	}
	reports, ok := interpret(&d.telegram, d.definitions)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	for _, r := range reports {
		// Some objects are not in every telegram.
		d.devices.Announce(d.devices.Complete(r.device))
	}
	for _, r := range reports {
		d.sink.Reading(serialbridge.Reading{Device: r.device.ID, Time: received, Values: r.values})
	}
}

// trimEOL cuts one line end, CR LF or LF alone.
func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
