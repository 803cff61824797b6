package air

import (
	"encoding/binary"
	"slices"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// Tuya's microcontrollers speak of datapoints, in a cluster of their own. A
// datapoint is kept as an attribute of that cluster: its kind says which of
// Tuya's types it is.

// Commands of the cluster (Tuya, "Zigbee Serial Communication Protocol").
const (
	tuyaSet        = 0x00 // of the gateway, as 0x04 is
	tuyaReport     = 0x02
	tuyaQuery      = 0x03
	tuyaSend       = 0x04
	tuyaVersion    = 0x10
	tuyaVersionIs  = 0x11
	tuyaTime       = 0x24
	tuyaConnection = 0x25
)

// tuyaTypes are Tuya's types by ours.
var tuyaTypes = map[zcl.Type]byte{
	zcl.OctetString: 0x00,
	zcl.Boolean:     0x01,
	zcl.Int32:       0x02,
	zcl.CharString:  0x03,
	zcl.Enum8:       0x04,
	zcl.Bitmap8:     0x05,
}

// datapoint is a row of a model.
func datapoint(id uint8, kind zcl.Type, value any) attributeModel {
	return attributeModel{cluster: clusterTuya, id: uint16(id), kind: kind, value: value, flags: writable | unreportable}
}

// moving lets a datapoint move by itself.
func (a attributeModel) moving(lowest, highest, step float64) attributeModel {
	a.lowest, a.highest, a.step = lowest, highest, step
	return a
}

// What the datapoints are of these two is in the definitions TS0601_temperature_humidity_sensor_2
// and TS0601_thermostat of zigbee-herdsman-converters.
var (
	tuyaClimate = &model{
		modelID: "TS0601", maker: "_TZE200_yjjdcqsq", manufacturer: 0x1002,
		power: battery, sleepy: true, zigbee3: true, poll: 5 * time.Second,
		endpoints: tuyaEndpoints(
			datapoint(1, zcl.Int32, 213).moving(150, 280, 6),
			datapoint(2, zcl.Int32, 45).moving(30, 70, 3),
			datapoint(3, zcl.Enum8, 2),
			datapoint(9, zcl.Enum8, 0),
		),
		specific: tuyaSpecific, changed: tuyaChanged, live: tuyaLive, report: tuyaTellAll,
		spellbound: true,
	}
	tuyaTRV = &model{
		modelID: "TS0601", maker: "_TZE200_ckud7u2l", manufacturer: 0x1002,
		power: battery, sleepy: true, zigbee3: true, poll: 2 * time.Second,
		endpoints: tuyaEndpoints(
			datapoint(2, zcl.Int32, 210),
			datapoint(3, zcl.Int32, 205).moving(150, 280, 4),
			datapoint(4, zcl.Enum8, 1),
			datapoint(7, zcl.Boolean, false),
			datapoint(18, zcl.Boolean, false),
			datapoint(20, zcl.Boolean, false),
			datapoint(21, zcl.Int32, 95),
			datapoint(44, zcl.Int32, 0),
		),
		specific: tuyaSpecific, changed: tuyaChanged, live: tuyaLive, report: tuyaTellAll,
	}
	// tuyaUnknown is of nobody: no definition has its maker. It is told of here what its
	// datapoints would be.
	tuyaUnknown = &model{
		modelID: "TS0601", maker: "_TZE200_zzzzzzzz", manufacturer: 0x1002,
		power: mains, router: true, zigbee3: true,
		endpoints: tuyaEndpoints(
			datapoint(1, zcl.Boolean, false),                                // a switch
			datapoint(101, zcl.Int32, 213),                                  // a temperature with a decimal
			datapoint(102, zcl.Enum8, 1),                                    // low, medium, high
			datapoint(103, zcl.CharString, "<b>hall</b>"),                   // what its owner calls it
			datapoint(104, zcl.OctetString, []byte{0x06, 0x00, 0x14, 0xff}), // a schedule
			datapoint(105, zcl.Bitmap8, 0),                                  // faults
			datapoint(106, zcl.Boolean, true),                               // a lock for children
		),
		specific: tuyaSpecific, changed: tuyaChanged, live: tuyaLive, report: tuyaTellAll,
		spellbound: true,
	}
)

func tuyaEndpoints(datapoints ...attributeModel) []endpointModel {
	return []endpointModel{{id: 1, device: 0x0051, in: []uint16{4, 5, clusterTuya, 0}, out: []uint16{0x19, 0x0a}, attributes: datapoints}}
}

// tuyaLive asks for the time, as such devices do when they have joined, and tells all.
func tuyaLive(d *device) {
	life := d.life
	d.network.after(2*time.Second, func() {
		if d.life == life {
			d.publish(d.endpoints[0], clusterTuya, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: tuyaTime, Payload: []byte{0, 1}}, true)
			tuyaTellAll(d)
		}
	})
}

// tuyaTellAll reports all datapoints.
func tuyaTellAll(d *device) {
	for _, key := range d.endpoints[0].keys {
		if key.cluster == clusterTuya {
			tuyaChanged(d, d.endpoints[0], key)
		}
	}
}

// tuyaChanged reports a datapoint. Sensors do so only to a gateway that has read
// attributes of the Basic cluster as Tuya's own does.
func tuyaChanged(d *device, e *endpoint, key attributeKey) {
	if key.cluster != clusterTuya || d.model.spellbound && !d.spelled {
		return
	}
	a := e.attributes[key]
	var value []byte
	switch v := a.value.(type) {
	case []byte:
		value = v
	case string:
		value = []byte(v)
	case int64:
		value = binary.BigEndian.AppendUint32(nil, uint32(v))
	default:
		value, _ = zcl.AppendValue(nil, a.kind, v)
	}
	d.tuyaSeq++
	payload := binary.BigEndian.AppendUint16(nil, d.tuyaSeq)
	payload = append(payload, byte(key.id), tuyaTypes[a.kind])
	payload = binary.BigEndian.AppendUint16(payload, uint16(len(value)))
	d.publish(e, clusterTuya, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: tuyaReport, Payload: append(payload, value...)}, true)
}

// tuyaSpecific carries out commands of the cluster.
func tuyaSpecific(r *request) (zcl.Status, bool) {
	if r.cluster != clusterTuya || r.frame.ServerToClient {
		return 0, false
	}
	switch r.frame.Command {
	case tuyaSet, tuyaSend:
		return r.tuyaWrite(), true
	case tuyaQuery:
		tuyaTellAll(r.device)
		return zcl.Success, true
	case tuyaVersion:
		payload := []byte{r.u8(0), r.u8(1), 0x40} // 1.0.0
		r.device.publish(r.endpoint, clusterTuya, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: tuyaVersionIs, Payload: payload}, true)
		return zcl.Success, true
	case tuyaTime:
		if len(r.frame.Payload) >= 10 {
			r.device.clock, r.device.told = time.Unix(int64(binary.BigEndian.Uint32(r.frame.Payload[2:])), 0), time.Now()
		}
		return zcl.Success, true
	case tuyaConnection:
		return zcl.Success, true
	}
	return zcl.UnsupportedCommand, true
}

// tuyaWrite sets datapoints and reports what they are then.
func (r *request) tuyaWrite() zcl.Status {
	if len(r.frame.Payload) < 2 {
		return zcl.MalformedCommand
	}
	for data := r.frame.Payload[2:]; len(data) > 0; {
		if len(data) < 4 || len(data) < 4+int(binary.BigEndian.Uint16(data[2:])) {
			return zcl.MalformedCommand
		}
		id, kind, value := data[0], data[1], data[4:4+int(binary.BigEndian.Uint16(data[2:]))]
		data = data[4+len(value):]
		key := attributeKey{cluster: clusterTuya, id: uint16(id)}
		a := r.endpoint.attributes[key]
		if a == nil || tuyaTypes[a.kind] != kind {
			continue // the microcontroller does not know it, and does not say so
		}
		switch {
		case a.kind == zcl.OctetString:
			a.value = slices.Clone(value)
		case a.kind == zcl.CharString:
			a.value = string(value)
		case a.kind == zcl.Int32 && len(value) == 4:
			a.value = int64(int32(binary.BigEndian.Uint32(value)))
		case a.kind == zcl.Boolean && len(value) == 1:
			a.value = value[0] != 0
		case len(value) == 1:
			a.value = uint64(value[0])
		default:
			continue
		}
		r.device.changed(r.endpoint, key)
	}
	return zcl.Success
}
