package teleinfo

import (
	"time"

	"lintel/serialbridge"
)

const (
	// maxFrame bounds a frame. A producer with three phases in standard mode
	// sends some 1500 bytes.
	maxFrame = 8 << 10
	// maxGroups bounds its groups: there are some 80 labels.
	maxGroups = 128
)

// damagedNoNumber is a reason for throwing something away.
const damagedNoNumber = "no meter number"

// Control characters (Enedis-NOI-CPT_54E).
const (
	stx = 0x02
	etx = 0x03
	eot = 0x04
)

// position is where in a frame the decoder is.
type position byte

const (
	outside position = iota // looking for STX
	between                 // between groups
	inGroup                 // behind LF
)

// A decoder finds frames in a stream of bytes, group by group.
type decoder struct {
	sink        serialbridge.Sink
	definitions map[string]definition

	position position
	size     int    // of the frame so far
	line     []byte // the current group so far
	frame    frame

	number   string // of the meter
	nameless int    // frames without one, before any other
	other    string // what the last frame said instead
	devices  serialbridge.Announcer
}

func newDecoder(sink serialbridge.Sink, definitions map[string]definition) *decoder {
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
	// Neither label nor value holds a control character, so this one begins
	// a frame wherever it stands.
	if b == stx {
		if d.position != outside && d.size > 0 {
			d.sink.Damaged(serialbridge.DamagedTruncated)
		}
		d.position = between
		d.size = 0
		d.frame = frame{}
		return
	}
	if d.position == outside {
		return
	}
	d.size++
	switch {
	case d.size == 1 && b != '\n':
		d.position = outside // never a frame: the noise of another protocol
	case d.size > maxFrame:
		d.drop(serialbridge.DamagedTooLong)
	case b == eot:
		d.drop(serialbridge.DamagedTruncated)
	case d.position == between:
		switch b {
		case '\n':
			d.position = inGroup
			d.line = d.line[:0]
		case etx:
			d.end(received)
		default:
			d.drop(serialbridge.DamagedSyntax)
		}
	case b == '\r':
		d.position = between
		if reason := d.frame.add(d.line); reason != "" {
			d.drop(reason)
		}
	case b == etx || b == '\n':
		d.drop(serialbridge.DamagedSyntax)
	default:
		d.line = append(d.line, b)
	}
}

func (d *decoder) drop(reason string) {
	d.sink.Damaged(reason)
	d.position = outside
}

// end judges the frame, which is complete.
func (d *decoder) end(received time.Time) {
	d.position = outside
	if len(d.frame.groups) == 0 {
		return
	}
	r, reason := interpret(&d.frame, d.definitions)
	if reason != "" {
		d.sink.Damaged(reason)
		return
	}
	if r.device.Anonymous && !d.alone() {
		d.sink.Damaged(damagedNoNumber)
		return
	}
	if !r.device.Anonymous && !d.believe(r.device.SerialNumber) || len(r.values) == 0 {
		return
	}
	// The short frames of an overload have few groups.
	d.devices.Announce(d.devices.Complete(r.device))
	d.sink.Reading(serialbridge.Reading{Device: r.device.ID, Time: received, Values: r.values})
}

// believe reports whether a frame with this number is of the meter that is
// there: the first one heard, or another one that was heard twice in a row.
func (d *decoder) believe(number string) bool {
	if d.number == "" || number == d.other {
		d.number = number
	}
	d.other = ""
	if number != d.number {
		d.other = number
	}
	return number == d.number
}

// anonymousAfter is how many frames without a number make a meter one that has
// none.
const anonymousAfter = 3

// alone reports whether a frame without number is of a meter that has none: one
// that has lost its number among others is damaged.
func (d *decoder) alone() bool {
	d.nameless = min(d.nameless+1, anonymousAfter)
	return d.number == "" && d.nameless == anonymousAfter
}
