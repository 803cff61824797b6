package mysensors

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
)

// maxProperties bounds those of one node.
const maxProperties = 128

// damagedMany is a reason for throwing something away.
const damagedMany = "too many properties"

// A child is one sensor or actuator of a node.
type child struct {
	typ         int
	description string
}

// onceTime is how long a node that was heard once may be silent before it was never
// there.
const onceTime = 24 * time.Hour

// heard is a message and when it came.
type heard struct {
	message
	at time.Time
}

// A place is where a property is found.
type place struct {
	child, typ int // typ of a variable, or wholeChild
}

// wholeChild is the place of a property that several variables are together.
const wholeChild = -1

// maxVariable is one more than the greatest type of a variable.
const maxVariable = 256

// A node is a device that was heard.
type node struct {
	number    int
	presented bool
	library   string // version of MySensors, as it presented itself
	children  map[int]child
	heard     map[place]bool     // variables that it has
	places    map[string]place   // of properties, by key
	last      map[string]float64 // numbers, by key
	doubted   map[string]float64 // numbers that were too far from the last ones, by key
	device    serialbridge.Device
	changed   bool // the device is to be announced
}

// A decoder turns lines into devices and readings.
type decoder struct {
	sink      serialbridge.Sink
	variables map[int]*variable

	line        []byte // the current line so far
	skip        bool   // up to the end of the line
	first       bool   // it is the first line
	nodes       map[int]*node
	once        map[int]heard // of nodes that were heard once, which are not believed yet
	forgettable bool          // what is remembered can be forgotten by command
	given       map[int]bool  // numbers that nodes got and have not used yet

	// Of use to Run; nil elsewhere.
	onMessage func(message)
}

// newDecoder returns a decoder that knows what is remembered, and announces it.
func newDecoder(sink serialbridge.Sink, variables map[int]*variable, forgettable bool) *decoder {
	d := &decoder{sink: sink, variables: variables, nodes: make(map[int]*node), once: make(map[int]heard), forgettable: forgettable, given: make(map[int]bool)}
	d.first = true
	d.recall()
	return d
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		switch {
		case b == '\n':
			if !d.skip {
				d.end(string(bytes.TrimSuffix(d.line, []byte("\r"))), received)
			}
			d.line, d.skip, d.first = d.line[:0], false, false
		case d.skip:
		case len(d.line) == maxLine:
			d.sink.Damaged(serialbridge.DamagedTooLong)
			d.skip = true
		default:
			d.line = append(d.line, b)
		}
	}
}

// ready begins the line in which the gateway says that it has started.
const ready = "0;255;3;0;14;"

// end takes a line that is complete.
func (d *decoder) end(line string, received time.Time) {
	// The line that was under way when the port was opened may be one of node
	// 12 without its 1: nothing tells it from one that is whole.
	if line == "" || d.first && !strings.HasPrefix(line, ready) {
		return
	}
	m, ok := parseMessage(line)
	if !ok || m.node == nobody && m.command != internal {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	if d.stranger(m.node) {
		first, again := d.once[m.node]
		if d.once[m.node] = (heard{m, received}); !again || received.Sub(first.at) > onceTime {
			d.tell(m)
			return
		}
		delete(d.once, m.node)
		d.take(first.message, first.at)
	}
	if d.take(m, received) {
		d.tell(m)
	}
}

// stranger tells whether a node is to be heard twice before it is believed: the first
// digits of one line before the next line make a node that is not there.
func (d *decoder) stranger(number int) bool {
	return d.nodes[number] == nil && !d.given[number] && number != 0 && number != nobody
}

// tell passes on a message to whoever speaks with the gateway.
func (d *decoder) tell(m message) {
	if d.onMessage != nil {
		d.onMessage(m)
	}
}

// take takes a message. It reports false if it is malformed.
func (d *decoder) take(m message, received time.Time) bool {
	values, ok := d.message(m)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return false
	}
	if n := d.nodes[m.node]; n != nil {
		d.announce(n)
		if len(values) > 0 {
			d.sink.Reading(serialbridge.Reading{Device: n.device.ID, Time: received, Values: values})
		}
	}
	return true
}

// message takes what a message says. It reports false if it is malformed.
func (d *decoder) message(m message) (values map[string]any, ok bool) {
	switch m.command {
	case presentation:
		if m.child != wholeNode && m.typ > maxChildType {
			d.sink.Ignored(fmt.Sprintf("node %d has a child of type %d, which is not known", m.node, m.typ))
			return nil, true
		}
		n := d.node(m.node)
		if m.child == wholeNode {
			d.present(n, m.payload)
			d.keep(n)
			return nil, true
		}
		if c := (child{m.typ, m.payload}); n.children[m.child] != c {
			d.becomes(n, m.child, c)
			for _, typ := range children[m.typ] {
				d.has(n, m.child, typ)
			}
			d.keepChild(n, m.child)
		}
	case set:
		v := d.variables[m.typ]
		if m.child == wholeNode {
			return nil, false
		}
		if v == nil {
			d.sink.Ignored(fmt.Sprintf("variables of type %d are not read", m.typ))
			return nil, true
		}
		value, ok := v.read(m.payload)
		if !ok {
			return nil, false
		}
		n := d.nodes[m.node]
		part := n != nil && m.payload == "1" && n.compositeOf(m.child, m.typ) != nil
		if value == nil && !part {
			if v.property.Kind != serialbridge.Button {
				d.sink.Damaged(serialbridge.DamagedImplausible)
			}
			return nil, true
		}
		return d.set(d.node(m.node), m.child, m.typ, value)
	case req:
		d.sink.Ignored(fmt.Sprintf("node %d asks for a value: nobody here has one for it", m.node))
	case stream:
		d.sink.Ignored(fmt.Sprintf("node %d asks for firmware: it is not updated by radio", m.node))
	case internal:
		if m.node == nobody {
			return nil, true
		}
		switch m.typ {
		case sketchName:
			if n := d.node(m.node); m.payload != "" {
				n.learn(&n.device.Name, m.payload)
				d.keep(n)
			}
		case sketchVersion:
			n := d.node(m.node)
			n.learn(&n.device.SWVersion, m.payload)
			d.keep(n)
		case timeRequest:
			d.sink.Ignored(fmt.Sprintf("node %d asks for the time: it wants that of its place, which is not known here", m.node))
		case batteryLevel:
			percent, ok := number(m.payload, 999)
			if !ok {
				return nil, false
			}
			if percent > 100 {
				d.sink.Damaged(serialbridge.DamagedImplausible)
				return nil, true
			}
			if d.add(d.node(m.node), battery()) {
				values = map[string]any{battery().Key: int64(percent)}
			}
		}
	}
	return values, true
}

// set takes the value of a variable. It reports false if it is malformed.
func (d *decoder) set(n *node, child, typ int, value any) (values map[string]any, ok bool) {
	isNew, fits := d.has(n, child, typ)
	if isNew {
		d.keepChild(n, child)
	}
	if !fits {
		return nil, true
	}
	v := d.variables[typ]
	key := v.of(child, unknownChild, "").Key
	if !n.believes(key, value, v.jump) {
		d.sink.Damaged(serialbridge.DamagedImplausible)
		return nil, true
	}
	values = make(map[string]any)
	c := n.compositeOf(child, typ)
	if c == nil || !c.has(typ) {
		values[key] = value
	}
	if c != nil {
		object, ok := c.value(n, child, typ, value)
		if !ok {
			return nil, false
		}
		if object != nil {
			values[c.of(n, child).Key] = object
		}
	}
	return values, true
}

func battery() serialbridge.Property {
	return serialbridge.Measured("battery", "Battery", "%", "battery", 0).AsDiagnostic()
}

// node returns a node, which is new if it was not heard before.
func (d *decoder) node(number int) *node {
	n := d.nodes[number]
	if n == nil {
		n = d.begin(number)
		d.keep(n)
	}
	return n
}

// begin begins to know a node.
func (d *decoder) begin(number int) *node {
	n := &node{number: number, changed: true, children: make(map[int]child), places: make(map[string]place), heard: make(map[place]bool),
		last: make(map[string]float64), doubted: make(map[string]float64),
		device: serialbridge.Device{ID: "mysensors_" + strconv.Itoa(number), Name: nameless(number), Model: "MySensors", Anonymous: true}}
	if d.forgettable && number != 0 {
		n.device.Properties = []serialbridge.Property{serialbridge.ForgetButton()}
	}
	d.nodes[number] = n
	delete(d.given, number)
	return n
}

// believes tells whether a value is not too far from what the node said before, or
// was said twice: without a checksum a point or a digit may be lost.
func (n *node) believes(key string, value any, jump float64) bool {
	number, ok := value.(float64)
	if !ok || jump == 0 {
		return true
	}
	last, known := n.last[key]
	doubted, again := n.doubted[key]
	delete(n.doubted, key)
	if known && math.Abs(number-last) > jump && !(again && math.Abs(number-doubted) <= jump) {
		n.doubted[key] = number
		return false
	}
	n.last[key] = number
	return true
}

// present notes that a node has said of which version it is.
func (d *decoder) present(n *node, library string) {
	n.presented, n.library = true, library
	n.learn(&n.device.Model, "MySensors "+library)
}

// announce passes on a node that is new or has changed.
func (d *decoder) announce(n *node) {
	if !n.changed {
		return
	}
	n.changed = false
	// Who measures something says it now and then; relays and contacts need
	// not. A battery is told of together with something else.
	n.device.WhenUsed = !slices.ContainsFunc(n.device.Properties, func(p serialbridge.Property) bool {
		return p.Kind == serialbridge.Measurement && p.Category == ""
	})
	device := n.device
	device.Properties = slices.Clone(device.Properties)
	d.sink.Device(device)
}

// learn notes something that a node says of itself.
func (n *node) learn(what *string, text string) {
	if *what != text {
		*what = text
		n.changed = true
	}
}

// has notes that a child has a variable, and returns whether that is new. It reports
// false if there is no room for it.
func (d *decoder) has(n *node, number, typ int) (isNew, ok bool) {
	c, presented := n.children[number]
	if !presented {
		c.typ = unknownChild
	}
	isNew = !n.heard[place{number, typ}]
	n.heard[place{number, typ}] = true
	ok = true
	composite := n.compositeOf(number, typ)
	if composite == nil || !composite.has(typ) {
		ok = d.place(n, number, typ, d.variables[typ].of(number, c.typ, c.description))
	}
	if composite != nil {
		ok = d.place(n, number, wholeChild, composite.of(n, number)) && ok
	}
	if !ok && isNew {
		delete(n.heard, place{number, typ})
	}
	return isNew && ok, ok
}

// place adds the property of a variable, or of a whole child.
func (d *decoder) place(n *node, number, typ int, p serialbridge.Property) bool {
	if !d.add(n, p) {
		return false
	}
	n.places[p.Key] = place{number, typ}
	return true
}

// becomes notes what a child is. What is known of it already is taken for that.
func (d *decoder) becomes(n *node, number int, c child) {
	n.children[number] = c
	n.device.Properties = slices.DeleteFunc(n.device.Properties, func(p serialbridge.Property) bool {
		at, ok := n.places[p.Key]
		return ok && at.child == number
	})
	maps.DeleteFunc(n.places, func(_ string, at place) bool { return at.child == number })
	n.changed = true
	for typ := range maxVariable {
		if n.heard[place{number, typ}] {
			d.has(n, number, typ)
		}
	}
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
	case !reflect.DeepEqual(n.device.Properties[i], p):
		n.device.Properties[i] = p
		n.changed = true
	}
	return true
}
