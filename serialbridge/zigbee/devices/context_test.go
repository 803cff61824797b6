package devices

import (
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// telling is a report of an attribute.
func telling(cluster, id uint16, value any) zigbee.Message {
	return zigbee.Message{Endpoint: 1, Cluster: cluster, Frame: zcl.Frame{Command: zcl.ReportAttributes},
		Attributes: []zcl.Attribute{{ID: id, Value: value}}}
}

// TestMotionEnds checks sensors that never say that nobody is there any more.
func TestMotionEnds(t *testing.T) {
	d := &Definition{Clusters: []uint16{clusterOccupancy},
		Exposes: []*Expose{{Type: "binary", Name: "occupancy", Property: "occupancy"}},
		Options: []*Expose{{Name: "occupancy_timeout"}}}
	for _, c := range []struct {
		options Values
		after   time.Duration
		values  bool
	}{
		{nil, 90 * time.Second, true},
		{Values{"occupancy_timeout": 15.0}, 15 * time.Second, true},
		{Values{"occupancy_timeout": "20"}, 20 * time.Second, true},
		{Values{"occupancy_timeout": 0.0}, 0, false},
	} {
		values, later := d.Decode(&Context{Device: &zigbee.Device{}, Options: c.options}, telling(clusterOccupancy, 0, uint64(1)))
		if values["occupancy"] != true || len(later) != 1 || later[0].After != c.after || (len(later[0].Values) > 0) != c.values {
			t.Errorf("with %v: %v, then %+v", c.options, values, later)
		}
	}
	if values, later := d.Decode(&Context{Device: &zigbee.Device{}}, telling(clusterOccupancy, 0, uint64(0))); len(values)+len(later) != 0 {
		t.Errorf("it says that nobody is there: %v, %+v", values, later)
	}
}

// TestCalibration checks the order of the options: moved first, then rounded.
func TestCalibration(t *testing.T) {
	d := &Definition{Clusters: []uint16{clusterTemperature, clusterElectrical}, Exposes: []*Expose{
		{Type: "numeric", Name: "temperature", Property: "temperature"}, {Type: "numeric", Name: "power", Property: "power"}}}
	for _, c := range []struct {
		cluster, id uint16
		raw         any
		options     Values
		property    string
		want        float64
	}{
		{clusterTemperature, 0, int64(2137), nil, "temperature", 21.37},
		{clusterTemperature, 0, int64(2137), Values{"temperature_calibration": -0.5, "temperature_precision": 1.0}, "temperature", 20.9},
		{clusterTemperature, 0, int64(-55), Values{"temperature_precision": 0.0}, "temperature", -1},
		{clusterElectrical, 0x050b, int64(97), Values{"power_calibration": 10.0, "power_precision": 1.0}, "power", 106.7},
	} {
		values, _ := d.Decode(&Context{Device: &zigbee.Device{}, Options: c.options}, telling(c.cluster, c.id, c.raw))
		if values[c.property] != c.want {
			t.Errorf("%v with %v: %v, want %v", c.raw, c.options, values[c.property], c.want)
		}
	}
}

// TestMeterSetUp checks that what is worth a report is in the unit of the device.
func TestMeterSetUp(t *testing.T) {
	d := &Definition{Clusters: []uint16{clusterElectrical}, Exposes: []*Expose{
		{Type: "numeric", Name: "power", Property: "power"}, {Type: "numeric", Name: "current", Property: "current"}, {Type: "numeric", Name: "voltage", Property: "voltage"}}}
	device := &zigbee.Device{Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{0, clusterElectrical},
		Attributes: map[uint16]map[uint16]any{clusterElectrical: {0x0604: uint64(1), 0x0605: uint64(10), 0x0602: uint64(1), 0x0603: uint64(1000)}}}}}
	changes := make(map[uint16]float64)
	bound := false
	for _, s := range d.Steps(&Context{Device: device}) {
		bound = bound || len(s.Bind) == 1 && s.Bind[0] == clusterElectrical
		if len(s.Report) > 4 {
			t.Errorf("%d attributes in a message", len(s.Report))
		}
		for _, r := range s.Report {
			changes[r.Attribute] = r.Change
		}
	}
	if !bound || len(changes) != 3 || changes[0x050b] != 50 || changes[0x0508] != 50 || changes[0x0505] != 5 {
		t.Errorf("bound %t, changes %v; want 50, 50 and 5", bound, changes)
	}
}

// TestTuyaSetUp checks what wakes a Tuya device.
func TestTuyaSetUp(t *testing.T) {
	d := &Definition{Clusters: []uint16{zigbee.ClusterTuya}, Quirks: map[string]any{"tuya": map[string]any{"query": true}},
		Datapoints: []Datapoint{{ID: 1, Property: "temperature", Conversion: Conversion{Kind: "identity"}}}}
	device := &zigbee.Device{Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{0, zigbee.ClusterTuya}}}}
	magic, query := false, false
	for _, s := range d.Steps(&Context{Device: device}) {
		if s.Request == nil {
			continue
		}
		ids, _ := zcl.ParseIDs(s.Request.Frame.Payload)
		magic = magic || s.Request.Cluster == clusterBasic && len(ids) == 6 && ids[0] == 4 && ids[5] == 0xfffe
		query = query || s.Request.Cluster == zigbee.ClusterTuya && s.Request.Frame.Command == zigbee.TuyaDataQuery
	}
	if !magic || !query {
		t.Errorf("magic read %t, query %t", magic, query)
	}
}

// TestUnknownZone checks alarms of which only the exposes tell what they mean.
func TestUnknownZone(t *testing.T) {
	for name, want := range map[string]bool{"contact": false, "water_leak": true, "smoke": true, "occupancy": true, "alarm_1": true} {
		d := &Definition{Clusters: []uint16{clusterZone}, Exposes: []*Expose{
			{Type: "binary", Name: name, Property: name}, {Type: "binary", Name: "battery_low", Property: "battery_low"}}}
		notified := zigbee.Message{Endpoint: 1, Cluster: clusterZone, Frame: zcl.Frame{Type: zcl.Specific, ServerToClient: true, Payload: []byte{9, 0, 0, 0, 0, 0}}}
		for _, m := range []zigbee.Message{notified, telling(clusterZone, zoneStatus, uint64(9))} {
			values, _ := d.Decode(&Context{Device: &zigbee.Device{}}, m)
			if values[name] != want || values["battery_low"] != true || len(values) != 2 {
				t.Errorf("%s: %v", name, values)
			}
		}
	}
}

// TestHoldOfButton checks a button that tells only that it is pressed and let go.
func TestHoldOfButton(t *testing.T) {
	d := &Definition{Clusters: []uint16{clusterOnOff}, Quirks: map[string]any{"converters": []any{"lumi.lumi_action_WXKG01LM"}},
		Exposes: []*Expose{{Type: "enum", Name: "action", Property: "action"}}}
	memory := make(map[string]any)
	now := time.Unix(1800000000, 0)
	sequence := uint8(0)
	tell := func(state uint64, at time.Duration) (Values, []Later) {
		m := telling(clusterOnOff, 0, state)
		sequence++
		m.Frame.Sequence = sequence
		return d.Decode(&Context{Device: &zigbee.Device{}, Memory: memory, Now: now.Add(at)}, m)
	}
	if values, later := tell(0, 0); len(values) != 0 || len(later) != 1 || later[0].After != time.Second || later[0].Values["action"] != "hold" {
		t.Errorf("pressed: %v, then %+v", values, later)
	}
	if values, later := tell(1, 200*time.Millisecond); values["action"] != "single" || len(later) != 1 || len(later[0].Values) > 0 {
		t.Errorf("let go at once: %v, then %+v", values, later)
	}
	tell(0, time.Minute)
	if values, _ := tell(1, time.Minute+2500*time.Millisecond); values["action"] != "release" || values["action_duration"] != 1500.0 {
		t.Errorf("let go late: %v", values)
	}
}
