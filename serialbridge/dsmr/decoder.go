package dsmr

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"time"

	"lintel/serialbridge"
)

const (
	// maxTelegram bounds a telegram. The longest legal ones carry a text
	// message of 2048 hex digits and stay below 6 KiB.
	maxTelegram = 16 << 10
	// maxHeader bounds the identification line; IEC 62056-21 allows 16
	// characters after the mode digit.
	maxHeader = 64
	// maxDevices bounds what is remembered of announced devices.
	maxDevices = 64
)

// Reasons for throwing a telegram away.
const (
	damagedChecksum  = "checksum"
	damagedSyntax    = "syntax"
	damagedTruncated = "truncated"
	damagedTooLong   = "too long"
	damagedReplayed  = "replayed"
)

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
	sink     serialbridge.Sink
	registry map[string]definition
	keys     []key

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

	announced map[string]serialbridge.Device
}

func newDecoder(sink serialbridge.Sink, registry map[string]definition, keys []key) *decoder {
	return &decoder{
		sink:      sink,
		registry:  registry,
		keys:      keys,
		meters:    make(map[systemTitle]openedMeter),
		announced: make(map[string]serialbridge.Device),
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
				d.sink.Damaged(damagedTruncated)
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
		d.sink.Damaged(damagedTruncated)
		d.begin()
	}
	if d.position == outside {
		return
	}

	d.size++
	if d.position != inEnd {
		d.crc = crc16(d.crc, b)
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
		d.drop(damagedTooLong)
	case d.position == inHeader:
		d.header(b)
	case d.position == inBody && b == '\n':
		if !d.telegram.addLine(trimEOL(d.line)) {
			d.drop(damagedSyntax)
			return
		}
		d.line = d.line[:0]
	case d.position == inEnd && b == '\n':
		d.end(received)
	case d.position == inEnd && (!isHex(b) || len(d.line) > 4):
		d.drop(damagedSyntax)
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
		crc, err := strconv.ParseUint(string(digits), 16, 16)
		if err != nil || uint16(crc) != d.crc {
			d.sink.Damaged(damagedChecksum)
			return
		}
	case d.telegram.has("0-0:1.0.0"):
		// The clock came with DSMR 4.0, as did the CRC: it got lost.
		d.sink.Damaged(damagedChecksum)
		return
	}
	reports, ok := interpret(&d.telegram, d.registry)
	if !ok {
		d.sink.Damaged(damagedSyntax)
		return
	}
	for _, r := range reports {
		d.announce(r.device)
	}
	for _, r := range reports {
		d.sink.Reading(serialbridge.Reading{Device: r.device.ID, Time: received, Values: r.values})
	}
}

// announce passes on a device that is new or has changed. A property that was
// seen once stays: some objects are not in every telegram.
func (d *decoder) announce(device serialbridge.Device) {
	last, known := d.announced[device.ID]
	properties := slices.Clone(last.Properties)
	for _, p := range device.Properties {
		i := slices.IndexFunc(properties, func(q serialbridge.Property) bool { return q.Key == p.Key })
		if i < 0 {
			properties = append(properties, p)
		} else {
			properties[i] = p
		}
	}
	device.Properties = properties
	if known && reflect.DeepEqual(last, device) {
		return
	}
	if !known && len(d.announced) >= maxDevices {
		clear(d.announced) // a house has a handful; this is noise
	}
	d.announced[device.ID] = device
	d.sink.Device(device)
}

// trimEOL cuts one line end, CR LF or LF alone.
func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
