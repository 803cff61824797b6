package jsonlines

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"lintel/serialbridge"
)

const (
	// maxLine bounds a line. OpenMQTTGateway's buffer for a message is 1 KiB.
	maxLine = 4 << 10
	// maxSensors bounds what is remembered.
	maxSensors = 256
)

// Reasons for throwing a line away.
const (
	damagedSyntax  = "syntax"
	damagedTooLong = "too long"
)

// A decoder finds objects in a stream of bytes, line by line.
type decoder struct {
	sink        serialbridge.Sink
	definitions map[string]definition

	line    []byte
	passing bool // over the rest of a line

	sensors map[string]*sensor // by device ID
}

// A sensor is what is remembered of a device.
type sensor struct {
	device    serialbridge.Device
	announced bool
	keys      map[string]bool // of its properties
}

func newDecoder(sink serialbridge.Sink, definitions map[string]definition) *decoder {
	return &decoder{sink: sink, definitions: definitions, sensors: make(map[string]*sensor)}
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		switch {
		case b == '\n' || b == '\r':
			if len(d.line) > 0 {
				d.end(received)
			}
			d.line = d.line[:0]
			d.passing = false
		case d.passing:
		case len(d.line) == 0 && b != '{':
			d.passing = true
		case len(d.line) == maxLine:
			d.sink.Damaged(damagedTooLong)
			d.line = d.line[:0]
			d.passing = true
		default:
			d.line = append(d.line, b)
		}
	}
}

// end judges the line, which is complete.
func (d *decoder) end(received time.Time) {
	members, ok := object(d.line)
	if !ok {
		d.sink.Damaged(damagedSyntax)
		return
	}
	device, ok := identify(members)
	if !ok {
		return
	}
	values, properties := d.interpret(members)
	if !slices.ContainsFunc(properties, func(p serialbridge.Property) bool { return p.Key != "signal" }) {
		return
	}
	s := d.sensors[device.ID]
	if s == nil {
		if len(d.sensors) >= maxSensors {
			clear(d.sensors)
		}
		s = &sensor{device: device, keys: make(map[string]bool)}
		s.learn(device, properties)
		d.sensors[device.ID] = s
		return
	}
	if s.learn(device, properties) || !s.announced {
		s.announced = true
		d.sink.Device(s.announcement())
	}
	d.sink.Reading(serialbridge.Reading{Device: device.ID, Time: received, Values: values})
}

// interpret returns what is known of the members, sorted by their names.
func (d *decoder) interpret(members map[string]any) (map[string]any, []serialbridge.Property) {
	values := make(map[string]any)
	var properties []serialbridge.Property
	for _, name := range slices.Sorted(maps.Keys(members)) {
		def, known := d.definitions[name]
		if !known {
			continue
		}
		value, ok := def.value(members[name])
		if _, again := values[def.property.Key]; !ok || again {
			continue
		}
		values[def.property.Key] = value
		properties = append(properties, def.property)
	}
	return values, properties
}

// learn takes what a line adds to what is known of the sensor, and reports
// whether it does. Not every line names the sensor, nor holds all it measures.
// What is known once stays, so that no two lines make the name change for ever.
func (s *sensor) learn(said serialbridge.Device, properties []serialbridge.Property) (more bool) {
	for _, text := range []struct {
		known *string
		said  string
	}{
		{&s.device.Name, said.Name},
		{&s.device.Vendor, said.Vendor},
		{&s.device.Model, said.Model},
	} {
		if *text.known == "" && text.said != "" {
			*text.known = text.said
			more = true
		}
	}
	for _, p := range properties {
		if !s.keys[p.Key] {
			s.keys[p.Key] = true
			// What was announced is not changed in place.
			s.device.Properties = append(slices.Clip(s.device.Properties), p)
			more = true
		}
	}
	return more
}

// announcement returns the device with a name, whatever is known of it.
func (s *sensor) announcement() serialbridge.Device {
	device := s.device
	device.Name = cmp.Or(device.Name, device.Model, "Bluetooth sensor")
	return device
}
