package air

import (
	"encoding/binary"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// lumi is Aqara's manufacturer code.
const lumi = 0x115f

var aqaraWeather = &model{
	modelID: "lumi.weather", maker: "LUMI", version: "3000-0001", manufacturer: lumi,
	power: battery, sleepy: true, poll: time.Hour,
	endpoints: []endpointModel{{id: 1, device: 0x5f01, in: []uint16{0, 3, 0xffff, 0x0402, 0x0403, 0x0405}, out: []uint16{0, 4, 0xffff}}},
	changed:   aqaraChanged, live: aqaraLive, report: aqaraTellAll,
	trigger: map[string]func(*device){"press": aqaraModel},
}

// aqaraLive tells the model after joining, and all values at once now and then.
// Such devices report to the coordinator without being bound.
func aqaraLive(d *device) {
	aqaraAfter(d, time.Second, aqaraModel)
	aqaraAfter(d, 2*time.Second, aqaraTellAll)
	var again func(*device)
	again = func(d *device) {
		aqaraTellAll(d)
		aqaraAfter(d, 50*time.Minute, again)
	}
	aqaraAfter(d, 50*time.Minute, again)
}

func aqaraAfter(d *device, wait time.Duration, do func(*device)) {
	life := d.life
	d.network.after(wait, func() {
		if d.life == life {
			do(d)
		}
	})
}

// aqaraModel tells the model, as the button of such a device does.
func aqaraModel(d *device) {
	e := d.endpoints[0]
	d.reportNow(e, clusterBasic, 0, []zcl.Attribute{
		{ID: 0x0005, Type: zcl.CharString, Value: d.model.modelID},
		{ID: 0x0001, Type: zcl.Uint8, Value: 3},
	}, true)
}

// aqaraChanged tells what was measured.
func aqaraChanged(d *device, e *endpoint, key attributeKey) {
	switch key.cluster {
	case clusterTemperature, clusterHumidity:
		a := e.attributes[key]
		d.reportNow(e, key.cluster, 0, []zcl.Attribute{{ID: key.id, Type: a.kind, Value: a.value}}, true)
	case clusterPressure:
		kilo := e.get(clusterPressure, 0)
		d.reportNow(e, key.cluster, 0, []zcl.Attribute{
			{ID: 0x0000, Type: zcl.Int16, Value: kilo},
			{ID: 0x0014, Type: zcl.Int8, Value: -1},
			{ID: 0x0010, Type: zcl.Int16, Value: kilo * 10},
		}, true)
	}
}

// aqaraTellAll tells everything in attribute 0xff01 of the Basic cluster: tag, type
// and value again and again, in what claims to be a string of characters.
func aqaraTellAll(d *device) {
	e := d.endpoints[0]
	var data []byte
	for _, row := range []struct {
		tag   byte
		kind  zcl.Type
		value any
	}{
		{0x01, zcl.Uint16, 3005},
		{0x04, zcl.Uint16, 0x13a8},
		{0x05, zcl.Uint16, 6},
		{0x06, zcl.Uint40, 1},
		{0x64, zcl.Int16, e.get(clusterTemperature, 0)},
		{0x65, zcl.Uint16, e.get(clusterHumidity, 0)},
		{0x66, zcl.Int32, e.get(clusterPressure, 0) * 100},
		{0x0a, zcl.Uint16, uint16(d.parentAddress())},
	} {
		data = append(data, row.tag, byte(row.kind))
		data, _ = zcl.AppendValue(data, row.kind, row.value)
	}
	payload := binary.LittleEndian.AppendUint16(nil, 0xff01)
	payload = append(payload, byte(zcl.CharString), byte(len(data)))
	d.publish(e, clusterBasic, zcl.Frame{Command: zcl.ReportAttributes, ServerToClient: true, DisableDefaultResponse: true,
		ManufacturerCode: lumi, Payload: append(payload, data...)}, true)
}
