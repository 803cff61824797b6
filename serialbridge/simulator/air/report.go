package air

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// maxReportings is how many attributes a device reports.
const maxReportings = 24

// reporting is an attribute that a device was told to report.
type reporting struct {
	endpoint uint8
	key      attributeKey
	kind     zcl.Type
	min, max uint16 // seconds
	change   any    // as it came; nil for what is not analog

	last    any // that was reported
	at      time.Time
	waiting bool // a report is due when min is over
	turn    uint64
}

// configureReporting carries out ConfigureReporting (section 2.5.7).
func (r *request) configureReporting() zcl.Status {
	data := r.frame.Payload
	var refused []byte
	for len(data) > 0 {
		if len(data) < 3 {
			return zcl.MalformedCommand
		}
		direction, id := data[0], binary.LittleEndian.Uint16(data[1:])
		data = data[3:]
		if direction != 0 {
			if len(data) < 2 {
				return zcl.MalformedCommand
			}
			data = data[2:]
			continue
		}
		if len(data) < 5 {
			return zcl.MalformedCommand
		}
		p := &reporting{endpoint: r.endpoint.id, key: r.key(id), kind: zcl.Type(data[0]),
			min: binary.LittleEndian.Uint16(data[1:]), max: binary.LittleEndian.Uint16(data[3:])}
		data = data[5:]
		if p.kind.Analog() {
			var err error
			if p.change, data, err = zcl.ReadValue(p.kind, data); err != nil {
				return zcl.MalformedCommand
			}
		}
		if status := r.device.report(r.endpoint, p); status != zcl.Success {
			refused = append(refused, byte(status), direction)
			refused = binary.LittleEndian.AppendUint16(refused, id)
		}
	}
	if refused == nil {
		refused = []byte{byte(zcl.Success)}
	}
	return r.respond(zcl.Global, zcl.ConfigureReportingResponse, refused)
}

// report begins to report an attribute, or stops it if max is 0xffff.
func (d *device) report(e *endpoint, p *reporting) zcl.Status {
	a := e.attributes[p.key]
	switch {
	case a == nil:
		return zcl.UnsupportedAttribute
	case a.unplanned:
		return zcl.UnreportableAttribute
	case a.kind != p.kind:
		return zcl.InvalidDataType
	case p.max < p.min && p.max != 0:
		return zcl.InvalidValue
	}
	d.reportings = slices.DeleteFunc(d.reportings, func(o *reporting) bool { return o.endpoint == p.endpoint && o.key == p.key })
	if p.max == 0xffff {
		return zcl.Success
	}
	if len(d.reportings) >= maxReportings {
		return zcl.InsufficientSpace
	}
	p.last, p.at = a.value, time.Now()
	d.reportings = append(d.reportings, p)
	d.rearm(p)
	return zcl.Success
}

// readReporting answers ReadReportingConfiguration (section 2.5.9).
func (r *request) readReporting() zcl.Status {
	data, answer := r.frame.Payload, []byte(nil)
	for ; len(data) >= 3; data = data[3:] {
		id := binary.LittleEndian.Uint16(data[1:])
		i := slices.IndexFunc(r.device.reportings, func(p *reporting) bool {
			return p.endpoint == r.endpoint.id && p.key == r.key(id)
		})
		if i < 0 {
			answer = append(answer, byte(zcl.NotFound), data[0])
			answer = binary.LittleEndian.AppendUint16(answer, id)
			continue
		}
		p := r.device.reportings[i]
		answer = append(answer, byte(zcl.Success), data[0])
		answer = binary.LittleEndian.AppendUint16(answer, id)
		answer = append(answer, byte(p.kind))
		answer = binary.LittleEndian.AppendUint16(answer, p.min)
		answer = binary.LittleEndian.AppendUint16(answer, p.max)
		if p.kind.Analog() {
			answer, _ = zcl.AppendValue(answer, p.kind, p.change)
		}
	}
	return r.respond(zcl.Global, zcl.ReadReportingConfigurationResponse, answer)
}

// changed reports an attribute that has changed if it has done so enough, now or
// when it may (section 2.5.7.1.6).
func (d *device) changed(e *endpoint, key attributeKey) {
	if d.model.changed != nil {
		d.model.changed(d, e, key)
	}
	for _, p := range d.reportings {
		if p.endpoint != e.id || p.key != key || !p.moved(e.attributes[key].value) {
			continue
		}
		earliest := p.at.Add(time.Duration(p.min) * time.Second)
		if wait := time.Until(earliest); wait <= 0 {
			d.tell(p)
		} else if !p.waiting {
			p.waiting = true
			d.later(p, wait)
		}
	}
}

// moved says whether the value is far enough from what was reported.
func (p *reporting) moved(value any) bool {
	if p.change == nil {
		return !same(value, p.last)
	}
	now, ok := zcl.Float(value)
	last, ok2 := zcl.Float(p.last)
	change, _ := zcl.Float(p.change)
	return !ok || !ok2 || now != last && math.Abs(now-last) >= change
}

func same(a, b any) bool {
	x, isBytes := a.([]byte)
	y, _ := b.([]byte)
	if isBytes {
		return slices.Equal(x, y)
	}
	switch a.(type) {
	case zcl.List, zcl.Struct:
		return false
	}
	return a == b
}

// rearm lets the attribute be reported when max is over.
func (d *device) rearm(p *reporting) {
	if p.max > 0 {
		d.later(p, time.Duration(p.max)*time.Second)
	}
}

// later reports an attribute after that time unless it was reported before.
func (d *device) later(p *reporting, wait time.Duration) {
	p.turn++
	turn, life := p.turn, d.life
	d.network.after(wait, func() {
		if p.turn == turn && d.life == life && slices.Contains(d.reportings, p) {
			d.tell(p)
		}
	})
}

// live starts what the device does by itself: after it has joined, and after its
// power came back.
func (d *device) live() {
	for _, p := range d.reportings {
		p.waiting, p.at = false, time.Now()
		d.rearm(p)
	}
	d.measure()
	d.checkIn()
	if start := d.model.live; start != nil {
		start(d)
	}
}

// tell reports an attribute to whom its cluster is bound.
func (d *device) tell(p *reporting) {
	e := d.endpoint(p.endpoint)
	a := e.attributes[p.key]
	p.last, p.at, p.waiting = a.value, time.Now(), false
	d.rearm(p)
	d.reportNow(e, p.key.cluster, p.key.manufacturer, []zcl.Attribute{{ID: p.key.id, Type: a.kind, Value: a.value}}, false)
}

// reportNow sends a report: to whom the cluster is bound, or to the coordinator
// in any case if unasked is set, as devices of Aqara and Tuya do.
func (d *device) reportNow(e *endpoint, cluster, manufacturer uint16, attributes []zcl.Attribute, unasked bool) {
	payload, err := zcl.AppendAttributes(nil, zcl.ReportAttributes, attributes)
	if err != nil {
		return
	}
	z := zcl.Frame{Command: zcl.ReportAttributes, ServerToClient: true, DisableDefaultResponse: true, ManufacturerCode: manufacturer, Payload: payload}
	d.publish(e, cluster, z, unasked)
}

// publish sends a frame to whom the cluster is bound.
func (d *device) publish(e *endpoint, cluster uint16, z zcl.Frame, unasked bool) {
	z.Sequence = d.next()
	f := Frame{SourceEndpoint: e.id, Profile: e.profile, Cluster: cluster}
	if unasked {
		f.Destination, f.DestinationEndpoint = zigbee.ToCoordinator, 1
		d.send(f, z)
		return
	}
	for _, b := range d.bindings {
		if b.endpoint != e.id || b.cluster != cluster {
			continue
		}
		f.Destination, f.Group, f.DestinationEndpoint = zigbee.ToCoordinator, b.group, b.to
		if b.group == 0 && b.destination != d.trust {
			other := d.network.devices[b.destination]
			if other == nil || !other.joined {
				continue
			}
			f.Destination = other.address
		}
		d.send(f, z)
	}
}

// between carries a frame from one device to others: to another one, or to those of
// a group and to the radio, which hears what is for groups.
func (n *Network) between(d *device, f Frame) {
	f.Source, f.LinkQuality = d.address, d.LinkQuality
	n.rouse(d)
	for _, other := range n.sorted {
		if other == d || !other.there() || other.sleepy() && !n.awake(other) || other.known.NetworkKey != d.known.NetworkKey ||
			f.Group == 0 && other.address != f.Destination || n.chance(n.options.Loss) {
			continue
		}
		n.after(n.options.Latency, func() { other.handle(f) })
	}
	if f.Group != 0 {
		n.after(n.options.Latency, func() { n.arrive(d, f) })
	}
}

// Report lets a device report at once all that it was told to report.
func (n *Network) Report(a zigbee.IEEEAddress) error {
	return n.with(a, func(d *device) {
		for _, p := range slices.Clone(d.reportings) {
			d.tell(p)
		}
		if d.model.report != nil && d.there() {
			d.model.report(d)
		}
	})
}

// measure lets what the device measures move, by chance and for ever.
func (d *device) measure() {
	every, life := d.network.options.Drift, d.life
	if every == 0 {
		return
	}
	d.network.after(every/2+time.Duration(d.network.random.Int64N(int64(every))), func() {
		if d.life != life {
			return
		}
		for _, e := range d.endpoints {
			for _, key := range e.keys {
				a := e.attributes[key]
				v, ok := zcl.Float(a.value)
				if a.step == 0 || !ok {
					continue
				}
				v += math.Round((2*d.network.random.Float64() - 1) * a.step)
				if v, err := normal(a.kind, min(max(v, a.lowest), a.highest)); err == nil {
					a.value = v
					d.changed(e, key)
				}
			}
		}
		d.measure()
	})
}
