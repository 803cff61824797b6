package jsonlines

import (
	"bytes"
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
	// samePress is how long after an event the same one is a repetition of the
	// signal.
	samePress = time.Second
)

// A decoder finds objects in a stream of bytes, line by line.
type decoder struct {
	sink        serialbridge.Sink
	definitions map[string]definition // of Bluetooth sensors
	radio       map[string]definition // of radio sensors

	line []byte
	skip bool // over the rest of a line

	sensors map[string]*sensor // by device ID
	radios  int                // of these that are radio sensors and were announced
}

// A sensor is what is remembered of a device.
type sensor struct {
	device    serialbridge.Device
	announced bool
	keys      map[string]int // where its properties are
	events    map[string]event
}

// An event is what happened last.
type event struct {
	what, packet string
	at           time.Time
}

// A report is what a line says of a device.
type report struct {
	values     map[string]any
	properties []serialbridge.Property
}

// add adds a value, unless another member said it already.
func (r *report) add(p serialbridge.Property, value any) {
	if _, again := r.values[p.Key]; again {
		return
	}
	r.values[p.Key] = value
	r.properties = append(r.properties, p)
}

func newDecoder(sink serialbridge.Sink, definitions, radio map[string]definition) *decoder {
	return &decoder{sink: sink, definitions: definitions, radio: radio, sensors: make(map[string]*sensor)}
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
			d.skip = false
		case d.skip:
		case len(d.line) == 0 && b != '{' && b != logged[0][0]:
			d.skip = true
		case len(d.line) == maxLine:
			if d.line[0] == '{' {
				d.sink.Damaged(serialbridge.DamagedTooLong)
			}
			d.line = d.line[:0]
			d.skip = true
		default:
			d.line = append(d.line, b)
		}
	}
}

// logged is how OpenMQTTGateway logs what it tells by MQTT, and how examples of
// rtl_433_ESP write what they receive. The object is at the end of the line.
var logged = []string{"N: Send on /BTtoMQTT", "N: Send on /RTL_433toMQTT", "N: Send on /433toMQTT", "N: Received message : "}

// object returns the part of the line that is an object, if there is one.
func (d *decoder) object() []byte {
	if d.line[0] == '{' {
		return d.line
	}
	for _, prefix := range logged {
		if bytes.HasPrefix(d.line, []byte(prefix)) {
			if i := bytes.IndexByte(d.line, '{'); i >= 0 {
				return d.line[i:]
			}
		}
	}
	return nil
}

// end judges the line, which is complete.
func (d *decoder) end(received time.Time) {
	line := d.object()
	if line == nil {
		return
	}
	members, ok := object(line)
	if !ok {
		d.sink.Damaged(serialbridge.DamagedSyntax)
		return
	}
	var r report
	device, ok := identify(members)
	radio := false
	if ok {
		r = d.interpret(members)
	} else if device, radio = identifyRadio(members); radio {
		r = d.interpretRadio(members)
	} else if device, radio = identifyCode(members); radio {
		r = report{values: make(map[string]any)}
		r.addEvent("code", "Code", "button", "received")
	} else {
		return
	}
	if !slices.ContainsFunc(r.properties, func(p serialbridge.Property) bool { return p.Key != "signal" }) {
		if _, encrypted := members["cipher"]; encrypted && !radio {
			d.sink.Ignored("sensor " + device.SerialNumber + " is encrypted: the gateway needs its key, or the sensor to be set up without")
		}
		return
	}
	s := d.sensors[device.ID]
	if s == nil {
		d.makeRoom()
		s = &sensor{device: device, keys: make(map[string]int), events: make(map[string]event)}
		s.learn(device, r.properties)
		d.sensors[device.ID] = s
		return
	}
	if radio && !s.announced && d.radios == maxRadio {
		d.sink.Ignored("more than 128 radio sensors are heard: the rest is left out")
		return
	}
	more := s.learn(device, r.properties)
	s.news(&r, members, received)
	if more || !s.announced {
		if radio && !s.announced {
			d.radios++
		}
		s.announced = true
		d.sink.Device(s.announcement(radio))
	}
	if len(r.values) > 0 {
		d.sink.Reading(serialbridge.Reading{Device: device.ID, Time: received, Values: r.values})
	}
}

// makeRoom keeps the number of sensors in bounds: those that were heard once go first.
func (d *decoder) makeRoom() {
	if len(d.sensors) < maxSensors {
		return
	}
	maps.DeleteFunc(d.sensors, func(_ string, s *sensor) bool { return !s.announced })
	if len(d.sensors) >= maxSensors {
		clear(d.sensors)
		d.radios = 0
	}
}

// interpret returns what is known of the members, sorted by their names.
func (d *decoder) interpret(members map[string]any) report {
	r := report{values: make(map[string]any)}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		def, known := d.definitions[name]
		if !known {
			continue
		}
		if value, ok := def.value(members[name]); ok {
			r.add(def.property, value)
		}
	}
	r.addPress(members)
	return r
}

// news leaves out events that are repetitions: sensors say everything several times,
// with the number of the packet if they have one.
func (s *sensor) news(r *report, members map[string]any, received time.Time) {
	packet := identifier(members["packet"], 16)
	for _, p := range r.properties {
		if p.Kind != serialbridge.Event {
			continue
		}
		what := r.values[p.Key].(string)
		if !slices.Contains(s.device.Properties[s.keys[p.Key]].Options, what) {
			delete(r.values, p.Key) // one of too many
			continue
		}
		last, again := s.events[p.Key]
		s.events[p.Key] = event{what, packet, received}
		if !again || last.what != what {
			continue
		}
		if packet != "" && packet == last.packet || packet == "" && received.Sub(last.at) < samePress {
			delete(r.values, p.Key)
		}
	}
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
	if said.WhenUsed && !s.device.WhenUsed {
		s.device.WhenUsed = true
		more = true
	}
	for _, p := range properties {
		i, known := s.keys[p.Key]
		if !known {
			s.keys[p.Key] = len(s.device.Properties)
			// What was announced is not changed in place.
			s.device.Properties = append(slices.Clip(s.device.Properties), p)
			more = true
			continue
		}
		// What a remote control can say is known when it was said.
		options := s.device.Properties[i].Options
		for _, o := range p.Options {
			if !slices.Contains(options, o) && len(options) < maxOptions {
				options = append(slices.Clip(options), o)
				s.device.Properties = slices.Clone(s.device.Properties)
				s.device.Properties[i].Options = options
				more = true
			}
		}
	}
	return more
}

// announcement returns the device with a name, whatever is known of it. A radio sensor
// that measures nothing, such as a remote control or a contact, speaks when it is used.
func (s *sensor) announcement(radio bool) serialbridge.Device {
	device := s.device
	device.Name = cmp.Or(device.Name, device.Model, "Bluetooth sensor")
	device.WhenUsed = device.WhenUsed || radio && !slices.ContainsFunc(device.Properties, func(p serialbridge.Property) bool {
		return p.Kind == serialbridge.Measurement && p.Category != serialbridge.Diagnostic
	})
	return device
}
