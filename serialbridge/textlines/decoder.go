package textlines

import (
	"bytes"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"lintel/serialbridge"
)

const (
	// maxLine bounds a line.
	maxLine = 4 << 10
	// maxDevices bounds what is remembered of devices.
	maxDevices = 256
)

// Reasons for making nothing of a line.
const (
	ignoredHeader = "the line that names the columns has not come yet: restart the board"
	ignoredDevice = "the line speaks of none of the configured devices"
	ignoredEmpty  = "the line holds none of the configured properties"
	ignoredTwice  = "two configured devices have the same ID"
	ignoredLongID = "the ID in the line is too long: with that of the device, 54 bytes are left"
)

// A decoder finds lines in a stream of bytes.
type decoder struct {
	sink   serialbridge.Sink
	layout *layout

	line   []byte
	skip   bool // over the rest of a line
	joined bool // a line ended: what comes is whole lines

	columns int            // of the header; 0: it has not come
	header  map[string]int // its columns by name, from 1 on

	known map[string]*known // by device ID
}

// known is what is remembered of a device.
type known struct {
	device    *device
	text      string // that IDFrom found
	announced bool
}

func newDecoder(sink serialbridge.Sink, l *layout) *decoder {
	return &decoder{sink: sink, layout: l, known: make(map[string]*known)}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		switch {
		case b == '\n' || b == '\r':
			if !d.skip {
				d.end(d.line, received)
			}
			d.line = d.line[:0]
			d.skip = false
			d.joined = true
		case d.skip:
		case len(d.line) == maxLine:
			d.damaged(serialbridge.DamagedTooLong)
			d.skip = true
		default:
			d.line = append(d.line, b)
		}
	}
}

// damaged counts a line that was thrown away, unless it was the rest of one that
// began before there was anybody to hear it.
func (d *decoder) damaged(reason string) {
	if d.joined {
		d.sink.Damaged(reason)
	}
}

// end judges a line, which is complete.
func (d *decoder) end(line []byte, received time.Time) {
	l := d.layout
	line = bytes.Trim(line, " \t\x00") // zeros are what a port hears when a board starts
	if len(line) == 0 || l.comment != "" && bytes.HasPrefix(line, []byte(l.comment)) {
		return
	}
	if l.checksum != nil {
		text, ok := l.checksum.verify(line)
		if !ok {
			d.damaged(serialbridge.DamagedChecksum)
			return
		}
		line = text
	}
	if !utf8.Valid(line) || bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }) {
		d.damaged(serialbridge.DamagedSyntax)
		return
	}
	r, ok := l.parse(line)
	if !ok {
		d.damaged(serialbridge.DamagedSyntax)
		return
	}
	if l.header && d.isHeader(r.columns) {
		return
	}
	if !d.joined && l.format != "json" && l.checksum == nil {
		return // nothing says that its beginning is there
	}
	if l.format == "csv" {
		if l.header && d.columns == 0 {
			d.sink.Ignored(ignoredHeader)
			return
		}
		if n := d.wanted(); n > 0 && len(r.columns) != n || len(r.columns) < l.used {
			d.damaged(serialbridge.DamagedSyntax)
			return
		}
		r.header = d.header
	}
	d.tell(&r, received)
}

// wanted returns how many columns a line must have; 0: it is not known.
func (d *decoder) wanted() int {
	if d.layout.columns > 0 {
		return d.layout.columns
	}
	return d.columns
}

// isHeader reports whether a line names all columns that are used, each once. If so
// it holds from now on.
func (d *decoder) isHeader(columns []string) bool {
	header := make(map[string]int)
	for i, name := range columns {
		if header[name] > 0 && slices.Contains(d.layout.names, name) {
			return false
		}
		header[name] = i + 1
	}
	for _, name := range d.layout.names {
		if header[name] == 0 {
			return false
		}
	}
	d.header, d.columns = header, len(columns)
	return true
}

// tell passes on what a line says.
func (d *decoder) tell(r *record, received time.Time) {
	device := d.layout.find(r)
	if device == nil {
		d.sink.Ignored(ignoredDevice)
		return
	}
	id, text, ok := device.identify(r)
	if !ok {
		d.damaged(serialbridge.DamagedSyntax)
		return
	}
	if len(id) > maxID {
		d.sink.Ignored(ignoredLongID)
		return
	}
	values := make(map[string]any)
	for i := range device.properties {
		p := &device.properties[i]
		if p.from == nil {
			continue
		}
		v, verdict := p.read(r.at(*p.from))
		switch {
		case verdict == absent:
			continue
		case verdict == wrong:
			d.damaged(serialbridge.DamagedSyntax)
			return
		case verdict == implausible && d.layout.checksum == nil:
			d.damaged(serialbridge.DamagedImplausible)
			return
		case verdict == implausible:
			v = nil // the board did say so: it does not know better
		}
		values[p.Key] = v
	}
	if len(values) == 0 {
		d.sink.Ignored(ignoredEmpty)
		return
	}
	k := d.known[id]
	if k == nil {
		k = d.learn(id, text, device)
		// A new ID may be a known one with a damaged digit, unless a checksum
		// vouches for it: nothing is told before its second line.
		if device.idFrom != nil && d.layout.checksum == nil {
			return
		}
	}
	if k.device != device {
		d.sink.Ignored(ignoredTwice)
		return
	}
	d.announce(id, k)
	d.sink.Reading(serialbridge.Reading{Device: id, Time: received, Values: values})
}

func (d *decoder) learn(id, text string, device *device) *known {
	if len(d.known) >= maxDevices {
		// A board has a handful of sensors; this is noise.
		maps.DeleteFunc(d.known, func(_ string, k *known) bool { return k.device.idFrom != nil })
	}
	k := &known{device: device, text: text}
	d.known[id] = k
	return k
}

// announce passes on a device that is new.
func (d *decoder) announce(id string, k *known) {
	if k.announced {
		return
	}
	k.announced = true
	device := k.device.template
	device.ID = id
	if k.device.idFrom != nil {
		device.Name += " " + k.text
		device.SerialNumber = k.text
	}
	device.Properties = slices.Clone(device.Properties)
	d.sink.Device(device)
}

// find returns the first device that the line speaks of.
func (l *layout) find(r *record) *device {
	for i := range l.devices {
		d := &l.devices[i]
		if !slices.ContainsFunc(d.match, func(c condition) bool { return r.at(c.place) != field{plain, c.text} }) {
			return d
		}
	}
	return nil
}

// identify returns the ID of the device, and the text that it is made from.
func (dev *device) identify(r *record) (id, text string, ok bool) {
	id = dev.template.ID
	if dev.idFrom == nil {
		return id, "", true
	}
	f := r.at(*dev.idFrom)
	if f.form != plain || !printable(f.text) { // it is shown, and written to the board
		return "", "", false
	}
	return id + "_" + serialbridge.IDPart(f.text), f.text, true
}
