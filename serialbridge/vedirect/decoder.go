package vedirect

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"lintel/serialbridge"
)

const (
	// maxFields bounds a block: the longest known have some thirty.
	maxFields = 64
	// maxLine bounds a field: 9 characters of label and 33 of value
	// (VE.Direct Protocol 3.33).
	maxLine = 64
	// maxHex bounds a HEX frame. Histories of chargers are the longest.
	maxHex = 256
)

// position is where in the text the decoder is.
type position byte

const (
	outside    position = iota // looking for LF
	between                    // behind the checksum of a block
	inLine                     // in a field
	afterCR                    // between CR and LF
	inChecksum                 // the next byte is the checksum
)

// A field is one line of a block.
type field struct{ label, value string }

// A decoder finds blocks in a stream of bytes, field by field.
type decoder struct {
	sink        serialbridge.Sink
	definitions map[string]definition

	position position
	whole    bool // the beginning of the block was heard
	sum      byte // of the block so far
	line     []byte
	fields   []field

	inHex bool
	hex   []byte

	said     identity // what the last PID block said
	believed identity // what two of them said
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
		if d.inHex && d.addHex(b) {
			continue
		}
		// No label or value holds ':', but a checksum may be one.
		if b == ':' && d.position != inChecksum {
			d.inHex = true
			d.hex = d.hex[:0]
			continue
		}
		d.next(b, received)
	}
}

// next takes a byte of the text.
func (d *decoder) next(b byte, received time.Time) {
	d.sum += b
	switch d.position {
	case outside:
		if b == '\n' {
			d.begin()
			d.whole = false
			d.sum = '\r' + '\n'
			d.position = inLine
		}
	case between:
		switch b {
		case '\r':
		case '\n':
			// If CR was lost, or taken for the checksum of a block
			// that was cut, what matters is there all the same.
			d.sum = '\r' + '\n'
			d.position = inLine
		default:
			d.drop(serialbridge.DamagedSyntax)
		}
	case afterCR:
		if b != '\n' {
			d.drop(serialbridge.DamagedSyntax)
			return
		}
		d.position = inLine
	case inLine:
		d.addByte(b)
	case inChecksum:
		d.end(received)
	}
}

// addByte takes a byte of a field.
func (d *decoder) addByte(b byte) {
	switch {
	case b == '\r':
		if reason := d.addField(); reason != "" {
			d.drop(reason)
			return
		}
		d.line = d.line[:0]
		d.position = afterCR
	case b == '\t' && string(d.line) == "Checksum":
		d.position = inChecksum
	case len(d.line) == maxLine:
		d.drop(serialbridge.DamagedTooLong)
	default:
		d.line = append(d.line, b)
	}
}

// addField adds the line to the block, or returns why it cannot.
func (d *decoder) addField() string {
	label, value, found := bytes.Cut(d.line, []byte("\t"))
	if !found || !isLabel(label) || !isValue(value) {
		return serialbridge.DamagedSyntax
	}
	f := field{string(label), string(value)}
	if slices.ContainsFunc(d.fields, func(g field) bool { return g.label == f.label }) {
		return serialbridge.DamagedTruncated
	}
	if len(d.fields) == maxFields {
		return serialbridge.DamagedTooLong
	}
	d.fields = append(d.fields, f)
	return ""
}

func isLabel(s []byte) bool {
	for _, b := range s {
		if !('a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || b == '_' || b == '#') {
			return false
		}
	}
	return len(s) > 0
}

func isValue(s []byte) bool {
	for _, b := range s {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// begin starts a block.
func (d *decoder) begin() {
	d.whole = true
	d.sum = 0
	d.line = d.line[:0]
	d.fields = nil
}

// ours reports whether what goes on may be VE.Direct: damage in the noise of
// another protocol is not counted.
func (d *decoder) ours() bool { return d.whole || len(d.fields) > 0 }

func (d *decoder) drop(reason string) {
	if d.ours() {
		d.sink.Damaged(reason)
	}
	d.begin()
	d.whole = false
	d.position = outside
}

// end judges the block, whose checksum was just added.
func (d *decoder) end(received time.Time) {
	sum, whole, fields := d.sum, d.whole, d.fields
	d.begin()
	d.position = between
	if sum != 0 {
		if whole {
			d.sink.Damaged(serialbridge.DamagedChecksum)
		}
		return
	}
	properties, values, ok := interpret(fields, d.definitions)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	d.identify(fields)
	if d.believed.pid == "" || d.said != d.believed {
		return
	}
	device := d.believed.device()
	device.Properties = properties
	device.SWVersion = firmware(fields)
	// A battery monitor tells its values and its history in turn.
	if device = d.devices.Complete(device); len(device.Properties) > 0 {
		d.devices.Announce(device)
	}
	// What was never known is not there: a temperature without a sensor.
	maps.DeleteFunc(values, func(key string, v any) bool { return v == nil && !has(device.Properties, key) })
	if len(values) == 0 {
		return
	}
	d.sink.Reading(serialbridge.Reading{Device: device.ID, Time: received, Values: values})
}

// identify notes what a block says of the device.
func (d *decoder) identify(fields []field) {
	var now identity
	for _, f := range fields {
		switch f.label {
		case "PID":
			now.pid = productID(f.value)
		case "SER#":
			now.serial = f.value
		}
	}
	if now.pid == "" {
		return
	}
	if now == d.said {
		d.believed = now
	}
	d.said = now
}

func has(properties []serialbridge.Property, key string) bool {
	return slices.ContainsFunc(properties, func(p serialbridge.Property) bool { return p.Key == key })
}
