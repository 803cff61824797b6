package rflink

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	maxDevices    = 256
	maxProperties = 64 // of one device
)

// Reasons for throwing something away.
const (
	damagedSyntax      = "syntax"
	damagedImplausible = "implausible"
	damagedTooLong     = "too long"
	damagedManyDevices = "too many devices"
	damagedRefused     = "command refused"
)

// A transmitter is a device that was heard.
type transmitter struct {
	protocol, id string
	device       serialbridge.Device
	changed      bool              // the device is to be announced
	switches     map[string]string // number as it was heard, by key
}

// A decoder turns lines into devices and readings.
type decoder struct {
	sink   serialbridge.Sink
	labels map[string]*definition

	line         []byte // the current line so far
	skip         bool   // up to the end of the line
	transmitters map[string]*transmitter

	// Of use to Run; nil elsewhere.
	onReply func(ok bool)
}

func newDecoder(sink serialbridge.Sink, labels map[string]*definition) *decoder {
	return &decoder{sink: sink, labels: labels, transmitters: make(map[string]*transmitter)}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		switch {
		case b == '\n':
			if !d.skip {
				d.end(string(bytes.TrimRight(d.line, " \r")), received)
			}
			d.line, d.skip = d.line[:0], false
		case d.skip:
		case len(d.line) == maxLine:
			d.sink.Damaged(damagedTooLong)
			d.skip = true
		default:
			d.line = append(d.line, b)
		}
	}
}

// end takes a line that is complete.
func (d *decoder) end(line string, received time.Time) {
	if line == "" {
		return
	}
	m, ok := parseLine(line)
	if !ok {
		d.sink.Damaged(damagedSyntax)
		return
	}
	if m.id == "" {
		d.reply(m)
		return
	}
	values, properties, ok := d.read(m)
	if !ok {
		d.sink.Damaged(damagedSyntax)
		return
	}
	if len(properties) == 0 {
		return // nothing is known of it
	}
	t := d.transmitter(m)
	if t == nil {
		d.sink.Damaged(damagedManyDevices)
		return
	}
	for _, p := range properties {
		t.has(p)
	}
	t.command(m, values)
	maps.DeleteFunc(values, func(key string, _ any) bool { return !t.knows(key) })
	if t.changed {
		t.changed = false
		device := t.device
		device.Properties = slices.Clone(device.Properties)
		d.sink.Device(device)
	}
	if len(values) > 0 {
		d.sink.Reading(serialbridge.Reading{Device: t.device.ID, Time: received, Values: values})
	}
}

// reply takes a line of the gateway itself.
func (d *decoder) reply(m message) {
	if d.onReply == nil {
		return
	}
	switch m.protocol {
	case "OK":
		d.onReply(true)
	case "CMD UNKNOWN":
		d.onReply(false)
	}
}

// read returns what the labels of a line say, but for switches, of which it
// only checks the form.
func (d *decoder) read(m message) (map[string]any, []serialbridge.Property, bool) {
	values := make(map[string]any)
	var properties []serialbridge.Property
	for _, l := range m.labels {
		known := d.labels[l.name]
		if known == nil {
			continue
		}
		v, ok := known.value(l.value)
		if !ok {
			return nil, nil, false
		}
		if v == nil {
			d.sink.Damaged(damagedImplausible)
			continue
		}
		properties = append(properties, known.property)
		values[known.property.Key] = v
	}
	command, ok := m.get("CMD")
	if !ok {
		return values, properties, true
	}
	number, _ := m.get("SWITCH")
	if len(number) > 8 || number != "" && !alphanumeric(number) || command == "" {
		return nil, nil, false
	}
	if level, ok := strings.CutPrefix(command, "SET_LEVEL="); ok {
		n, err := strconv.ParseUint(level, 10, 8)
		if err != nil {
			return nil, nil, false
		}
		if n > maxLevel {
			d.sink.Damaged(damagedImplausible)
			return values, properties, true
		}
		p := levelOf(m.protocol, number)
		values[p.Key] = int64(n)
		properties = append(properties, switchOf(m.protocol, number), p)
		return values, properties, true
	}
	p := switchOf(m.protocol, number)
	switch {
	case p.Kind == serialbridge.Choice && !slices.Contains(blindCommands, command):
		return values, properties, true // a programming key
	case p.Kind != serialbridge.Choice && !slices.Contains(switchCommands, command):
		return values, properties, true
	}
	return values, append(properties, p), true
}

// switchCommands are the commands of a switch.
var switchCommands = []string{"ON", "OFF", "ALLON", "ALLOFF"}

// command adds to values what a command means for the switches of the device.
func (t *transmitter) command(m message, values map[string]any) {
	command, ok := m.get("CMD")
	if !ok {
		return
	}
	number, _ := m.get("SWITCH")
	p := switchOf(t.protocol, number)
	if !t.knows(p.Key) {
		return
	}
	t.switches[p.Key] = number
	level := levelOf(t.protocol, number)
	if t.knows(level.Key) {
		t.switches[level.Key] = number
	}
	if n, ok := values[level.Key]; ok {
		values[p.Key] = n != int64(0)
		return
	}
	switch {
	case p.Kind == serialbridge.Choice:
		if slices.Contains(blindCommands, command) {
			values[p.Key] = command
		}
	case command == "ON" || command == "OFF":
		values[p.Key] = command == "ON"
	case command == "ALLON" || command == "ALLOFF":
		for key := range t.switches {
			if strings.HasPrefix(key, "switch") {
				values[key] = command == "ALLON"
			}
		}
	}
}

// transmitter returns the device that a line is from, or nil if there are too
// many.
func (d *decoder) transmitter(m message) *transmitter {
	id := "rflink_" + word(m.protocol) + "_" + m.id
	t := d.transmitters[id]
	if t == nil && len(d.transmitters) < maxDevices {
		t = &transmitter{protocol: m.protocol, id: m.id, switches: make(map[string]string), device: serialbridge.Device{
			ID:           id,
			Name:         m.protocol + " " + m.id,
			Model:        m.protocol,
			SerialNumber: m.id,
		}}
		d.transmitters[id] = t
	}
	return t
}

// has notes a property. It stays: a device does not always say all.
func (t *transmitter) has(p serialbridge.Property) {
	if !t.knows(p.Key) && len(t.device.Properties) < maxProperties {
		t.device.Properties = append(t.device.Properties, p)
		t.changed = true
	}
}

func (t *transmitter) knows(key string) bool {
	return slices.ContainsFunc(t.device.Properties, func(p serialbridge.Property) bool { return p.Key == key })
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
