package rflink

import (
	"bytes"
	"fmt"
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

// A transmitter is a device that was heard.
type transmitter struct {
	protocol, id string
	device       serialbridge.Device
	changed      bool              // the device is to be announced
	switches     map[string]string // number as it was heard, by key
	last         map[string]int64  // raw values, by label
	doubted      map[string]int64  // raw values that did not follow the last ones
	lines        int               // that were heard
	heard        time.Time         // the last of them
	kept         bool              // it is remembered
}

// A decoder turns lines into devices and readings.
type decoder struct {
	sink   serialbridge.Sink
	labels map[string]*definition

	line         []byte // the current line so far
	skip         bool   // up to the end of the line
	transmitters map[string]*transmitter
	forgettable  bool // what is remembered can be forgotten by command

	// Of use to Run; nil elsewhere.
	onReply func(ok bool)
}

// newDecoder returns a decoder that knows what is remembered, and announces it.
func newDecoder(sink serialbridge.Sink, labels map[string]*definition, forgettable bool) *decoder {
	d := &decoder{sink: sink, labels: labels, transmitters: make(map[string]*transmitter), forgettable: forgettable}
	d.recall()
	return d
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
			d.sink.Damaged(serialbridge.DamagedTooLong)
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
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	if m.id == "" {
		d.reply(m)
		return
	}
	values, raw, properties, ok := d.read(m)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	if len(properties) == 0 {
		d.sink.Ignored(fmt.Sprintf("nothing that devices of %s say is known here", m.protocol))
		return
	}
	t := d.transmitter(m.protocol, m.id)
	if t == nil {
		d.sink.Ignored(fmt.Sprintf("more than %d devices were heard: what others say is not read", maxDevices))
		return
	}
	t.heard = received
	t.lines++
	for _, p := range properties {
		t.gets(p)
	}
	d.doubt(t, raw, values)
	t.command(m, values)
	maps.DeleteFunc(values, func(key string, _ any) bool { return !t.knows(key) })
	d.announce(t)
	if len(values) > 0 {
		d.sink.Reading(serialbridge.Reading{Device: t.device.ID, Time: received, Values: values})
	}
}

// doubt takes out of values what is too far from what the device said before,
// unless it says it again: without a checksum a digit may be another.
func (d *decoder) doubt(t *transmitter, raw map[string]int64, values map[string]any) {
	for name, n := range raw {
		known := d.labels[name]
		last, ok := t.last[name]
		doubted, again := t.doubted[name]
		delete(t.doubted, name)
		if ok && !known.follows(n, last) && !(again && known.follows(n, doubted)) {
			t.doubted[name] = n
			delete(values, known.property.Key)
			d.sink.Damaged(serialbridge.DamagedImplausible)
			continue
		}
		t.last[name] = n
	}
}

// announce passes on a device that is new or has changed.
func (d *decoder) announce(t *transmitter) {
	if !t.changed {
		return
	}
	t.changed = false
	// Weather sensors speak every few minutes; remote controls, contacts and
	// motion sensors when something happens.
	t.device.WhenUsed = !slices.ContainsFunc(t.device.Properties, func(p serialbridge.Property) bool {
		return p.Kind == serialbridge.Measurement && p.StateClass != ""
	})
	device := t.device
	device.Properties = slices.Clone(device.Properties)
	d.sink.Device(device)
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
// only checks the form. raw are the raw values of numbers by label.
func (d *decoder) read(m message) (values map[string]any, raw map[string]int64, properties []serialbridge.Property, ok bool) {
	values, raw = make(map[string]any), make(map[string]int64)
	for _, l := range m.labels {
		known := d.labels[l.name]
		if known == nil {
			continue
		}
		v, n, ok := known.value(l.value)
		if !ok {
			return nil, nil, nil, false
		}
		if v == nil {
			d.sink.Damaged(serialbridge.DamagedImplausible)
			continue
		}
		properties = append(properties, known.property)
		values[known.property.Key] = v
		if known.property.Kind == serialbridge.Measurement {
			raw[l.name] = n
		}
	}
	command, ok := m.get("CMD")
	if !ok {
		return values, raw, properties, true
	}
	number, _ := m.get("SWITCH")
	if !validNumber(number) || command == "" {
		return nil, nil, nil, false
	}
	if level, ok := strings.CutPrefix(command, "SET_LEVEL="); ok {
		n, err := strconv.ParseUint(level, 10, 8)
		if err != nil {
			return nil, nil, nil, false
		}
		if n > maxLevel {
			d.sink.Damaged(serialbridge.DamagedImplausible)
			return values, raw, properties, true
		}
		p := levelOf(m.protocol, number)
		if p.Kind == serialbridge.Light {
			values[p.Key] = lit(int64(n))
			return values, raw, append(properties, p), true
		}
		values[p.Key] = int64(n)
		return values, raw, append(properties, switchOf(m.protocol, number), p), true
	}
	p := switchOf(m.protocol, number)
	switch {
	case p.Kind == serialbridge.Cover && blindStates[command] == "":
		return values, raw, properties, true // a programming key
	case p.Kind != serialbridge.Cover && !slices.Contains(switchCommands, command):
		return values, raw, properties, true
	}
	return values, raw, append(properties, p), true
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
	p, level := switchOf(t.protocol, number), levelOf(t.protocol, number)
	for _, key := range []string{p.Key, level.Key} {
		if t.knows(key) {
			t.switches[key] = number
		}
	}
	if n, ok := values[level.Key]; ok {
		if t.knows(p.Key) {
			values[p.Key] = n != int64(0)
		}
		return
	}
	on := command == "ON" || command == "ALLON"
	switch {
	case p.Kind == serialbridge.Cover:
		if state := blindStates[command]; state != "" && t.knows(p.Key) {
			values[p.Key] = map[string]any{"state": state}
		}
	case command == "ON" || command == "OFF":
		t.switchTo(p.Key, on, values)
		t.switchTo(level.Key, on, values)
	case command == "ALLON" || command == "ALLOFF":
		for key := range t.switches {
			t.switchTo(key, on, values)
		}
	}
}

// switchTo adds to values that a switch or a light is on or off, if the device has it.
func (t *transmitter) switchTo(key string, on bool, values map[string]any) {
	switch {
	case !t.knows(key):
	case strings.HasPrefix(key, switchPrefix):
		values[key] = on
	case strings.HasPrefix(key, lightPrefix):
		values[key] = lighted(on)
	}
}

// transmitter returns the device of a protocol with an ID, or nil if there are
// too many.
func (d *decoder) transmitter(protocol, id string) *transmitter {
	key := deviceID(protocol, id)
	t := d.transmitters[key]
	if t != nil {
		return t
	}
	if len(d.transmitters) >= maxDevices && !d.displace() {
		return nil
	}
	t = &transmitter{protocol: protocol, id: id, switches: make(map[string]string),
		last: make(map[string]int64), doubted: make(map[string]int64), changed: true,
		device: serialbridge.Device{
			ID:           key,
			Name:         protocol + " " + id,
			Model:        protocol,
			SerialNumber: id,
		}}
	d.transmitters[key] = t
	return t
}

func deviceID(protocol, id string) string { return idPrefix + word(protocol) + "_" + id }

// displace forgets one of the devices that were heard just once, the one that is
// the longest ago: most of those were never there. It reports false if there is
// none.
func (d *decoder) displace() bool {
	var oldest *transmitter
	for _, t := range d.transmitters {
		if t.lines > 1 || t.kept {
			continue
		}
		if oldest == nil || t.heard.Before(oldest.heard) || t.heard.Equal(oldest.heard) && t.device.ID < oldest.device.ID {
			oldest = t
		}
	}
	if oldest == nil {
		return false
	}
	delete(d.transmitters, oldest.device.ID)
	if !oldest.changed { // else nobody was told of it
		d.sink.Gone(oldest.device.ID)
	}
	return true
}

// gets notes a property. A switch that dims is a light from then on.
func (t *transmitter) gets(p serialbridge.Property) bool {
	if number, isSwitch := strings.CutPrefix(p.Key, switchPrefix); isSwitch && t.knows(lightPrefix+number) {
		return false
	}
	number, isLight := strings.CutPrefix(p.Key, lightPrefix)
	if !t.has(p) {
		return false
	}
	if key := switchPrefix + number; isLight && t.knows(key) {
		t.device.Properties = slices.DeleteFunc(t.device.Properties, func(q serialbridge.Property) bool { return q.Key == key })
		delete(t.switches, key)
		t.changed = true
	}
	return true
}

// has notes a property. It stays: a device does not always say all. It reports
// false if there is no room for it.
func (t *transmitter) has(p serialbridge.Property) bool {
	if t.knows(p.Key) {
		return true
	}
	if len(t.device.Properties) >= maxProperties {
		return false
	}
	t.device.Properties = append(t.device.Properties, p)
	t.changed = true
	return true
}

func (t *transmitter) knows(key string) bool {
	return slices.ContainsFunc(t.device.Properties, func(p serialbridge.Property) bool { return p.Key == key })
}

// validNumber tells whether s may be the number of a switch. There is none if a
// device has just one.
func validNumber(s string) bool { return len(s) <= 8 && alphanumeric(s) }

func alphanumeric(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
