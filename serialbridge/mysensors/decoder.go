package mysensors

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"lintel/serialbridge"
)

// maxProperties bounds those of one node.
const maxProperties = 128

// Reasons for throwing something away.
const (
	damagedSyntax      = "syntax"
	damagedImplausible = "implausible"
	damagedTooLong     = "too long"
	damagedMany        = "too many properties"
)

// A child is one sensor or actuator of a node.
type child struct {
	typ         int
	description string
}

// A place is where a property is found.
type place struct {
	child, typ int
}

// A node is a device that was heard.
type node struct {
	number    int
	presented bool
	children  map[int]child
	places    map[string]place // of properties, by key
	device    serialbridge.Device
	changed   bool // the device is to be announced
}

// A decoder turns lines into devices and readings.
type decoder struct {
	sink      serialbridge.Sink
	variables map[int]*variable

	line  []byte // the current line so far
	skip  bool   // up to the end of the line
	nodes map[int]*node

	// Of use to Run; nil elsewhere.
	onMessage func(message)
}

func newDecoder(sink serialbridge.Sink, variables map[int]*variable) *decoder {
	return &decoder{sink: sink, variables: variables, nodes: make(map[int]*node)}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		switch {
		case b == '\n':
			if !d.skip {
				d.end(string(bytes.TrimSuffix(d.line, []byte("\r"))), received)
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
	m, ok := parseMessage(line)
	if !ok || m.node == nobody && m.command != internal {
		d.sink.Damaged(damagedSyntax)
		return
	}
	values, ok := d.message(m)
	if !ok {
		d.sink.Damaged(damagedSyntax)
		return
	}
	if n := d.nodes[m.node]; n != nil {
		if n.changed {
			n.changed = false
			device := n.device
			device.Properties = slices.Clone(device.Properties)
			d.sink.Device(device)
		}
		if len(values) > 0 {
			d.sink.Reading(serialbridge.Reading{Device: n.device.ID, Time: received, Values: values})
		}
	}
	if d.onMessage != nil {
		d.onMessage(m)
	}
}

// message takes what a message says. It reports false if it is malformed.
func (d *decoder) message(m message) (values map[string]any, ok bool) {
	switch m.command {
	case presentation:
		n := d.node(m.node)
		if m.child == wholeNode {
			n.presented = true
			n.learn(&n.device.Model, "MySensors "+m.payload)
			return nil, true
		}
		n.children[m.child] = child{m.typ, m.payload}
		for _, typ := range children[m.typ] {
			d.has(n, m.child, typ)
		}
	case set:
		v := d.variables[m.typ]
		if m.child == wholeNode {
			return nil, false
		}
		if v == nil {
			return nil, true
		}
		value, ok := v.read(m.payload)
		if !ok {
			return nil, false
		}
		if value == nil {
			if v.property.Kind != serialbridge.Button {
				d.sink.Damaged(damagedImplausible)
			}
			return nil, true
		}
		if key, ok := d.has(d.node(m.node), m.child, m.typ); ok {
			values = map[string]any{key: value}
		}
	case internal:
		if m.node == nobody {
			return nil, true
		}
		switch m.typ {
		case sketchName:
			if n := d.node(m.node); m.payload != "" {
				n.learn(&n.device.Name, m.payload)
			}
		case sketchVersion:
			n := d.node(m.node)
			n.learn(&n.device.SWVersion, m.payload)
		case batteryLevel:
			percent, ok := number(m.payload, 999)
			if !ok {
				return nil, false
			}
			if percent > 100 {
				d.sink.Damaged(damagedImplausible)
				return nil, true
			}
			if d.add(d.node(m.node), battery()) {
				values = map[string]any{battery().Key: int64(percent)}
			}
		}
	}
	return values, true
}

func battery() serialbridge.Property {
	return serialbridge.Property{Key: "battery", Name: "Battery", Kind: serialbridge.Measurement, Unit: "%", Class: "battery",
		StateClass: "measurement", Category: serialbridge.Diagnostic}
}

// node returns a node, which is new if it was not heard before.
func (d *decoder) node(number int) *node {
	n := d.nodes[number]
	if n == nil {
		text := strconv.Itoa(number)
		n = &node{number: number, changed: true, children: make(map[int]child), places: make(map[string]place),
			device: serialbridge.Device{ID: "mysensors_" + text, Name: "MySensors node " + text, Model: "MySensors"}}
		if number == 0 {
			n.device.Name = "MySensors gateway"
		}
		d.nodes[number] = n
	}
	return n
}

// learn notes something that a node says of itself.
func (n *node) learn(what *string, text string) {
	if *what != text {
		*what = text
		n.changed = true
	}
}

// has notes that a child has a variable, and returns the key of its property. It
// reports false if there is no room for it.
func (d *decoder) has(n *node, number, typ int) (key string, ok bool) {
	c, presented := n.children[number]
	if !presented {
		c.typ = unknownChild
	}
	p := d.variables[typ].of(number, c.typ, c.description)
	if !d.add(n, p) {
		return "", false
	}
	n.places[p.Key] = place{number, typ}
	return p.Key, true
}

// add adds a property or replaces it. It reports false if there are too many.
func (d *decoder) add(n *node, p serialbridge.Property) bool {
	i := slices.IndexFunc(n.device.Properties, func(q serialbridge.Property) bool { return q.Key == p.Key })
	switch {
	case i < 0 && len(n.device.Properties) >= maxProperties:
		d.sink.Damaged(damagedMany)
		return false
	case i < 0:
		n.device.Properties = append(n.device.Properties, p)
		n.changed = true
	case n.device.Properties[i].Name != p.Name || n.device.Properties[i].Class != p.Class || n.device.Properties[i].Unit != p.Unit:
		n.device.Properties[i] = p
		n.changed = true
	}
	return true
}
