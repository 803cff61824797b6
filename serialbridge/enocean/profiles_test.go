package enocean

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"
)

func TestProfiles(t *testing.T) {
	for _, test := range []struct {
		profile string
		payload []byte
		want    map[string]any
	}{
		{"A5-02-01", []byte{0, 0, 255, 8}, map[string]any{"temperature": -40.0}},
		{"A5-02-01", []byte{0, 0, 0, 8}, map[string]any{"temperature": 0.0}},
		{"A5-02-05", []byte{0, 0, 85, 8}, map[string]any{"temperature": 26.7}},
		{"A5-02-0B", []byte{0, 0, 0, 8}, map[string]any{"temperature": 100.0}},
		{"A5-02-10", []byte{0, 0, 255, 8}, map[string]any{"temperature": -60.0}},
		{"A5-02-1B", []byte{0, 0, 0, 8}, map[string]any{"temperature": 130.0}},
		{"A5-02-20", []byte{0, 3, 255, 8}, map[string]any{"temperature": -10.0}},
		{"A5-02-20", []byte{0, 0, 0, 8}, map[string]any{"temperature": 41.2}},
		{"A5-02-30", []byte{0, 3, 254, 8}, map[string]any{"temperature": -39.9}},
		{"A5-04-01", []byte{0, 125, 125, 0x0A}, map[string]any{"humidity": 50.0, "temperature": 20.0}},
		{"A5-04-01", []byte{0, 250, 125, 0x08}, map[string]any{"humidity": 100.0}},                   // no temperature sensor
		{"A5-04-01", []byte{0, 251, 255, 0x0A}, map[string]any{"humidity": nil, "temperature": nil}}, // beyond the ranges
		{"A5-04-02", []byte{0, 1, 0, 0x0A}, map[string]any{"humidity": 0.4, "temperature": -20.0}},
		{"A5-04-03", []byte{255, 3, 255, 0x08}, map[string]any{"humidity": 100.0, "temperature": 60.0}},
		{"A5-07-01", []byte{100, 0, 128, 0x09}, map[string]any{"supply_voltage": 2.0, "motion": true}},
		{"A5-07-01", []byte{100, 0, 127, 0x08}, map[string]any{"motion": false}},
		{"A5-07-02", []byte{165, 0, 0, 0x88}, map[string]any{"supply_voltage": 3.3, "motion": true}},
		{"A5-07-03", []byte{165, 0x7D, 0, 0x08}, map[string]any{"supply_voltage": 3.3, "illuminance": 500.0, "motion": false}},
		{"A5-07-03", []byte{251, 0xFF, 0xC0, 0x08}, map[string]any{"supply_voltage": nil, "illuminance": nil, "motion": false}},
		{"A5-08-01", []byte{160, 100, 210, 0x09}, map[string]any{
			"supply_voltage": 3.2, "illuminance": 200.0, "temperature": 42.0, "motion": true, "occupancy": false}},
		{"A5-08-03", []byte{0, 255, 0, 0x0A}, map[string]any{
			"supply_voltage": 0.0, "illuminance": 1530.0, "temperature": -30.0, "motion": false, "occupancy": true}},
		{"A5-12-00", []byte{0, 1, 0, 0x08}, map[string]any{"count": 256.0}},
		{"A5-12-01", []byte{1, 0xE2, 0x40, 0x09}, map[string]any{"energy": 12345.6}},
		{"A5-12-01", []byte{0, 0, 100, 0x0C}, map[string]any{"power": 100.0}},
		{"A5-12-01", []byte{0, 0, 1, 0x2B}, map[string]any{"energy_2": 0.001}},
		{"A5-12-02", []byte{0, 0, 7, 0x0A}, map[string]any{"gas": 0.07}},
		{"A5-12-03", []byte{0xFF, 0xFF, 0xFF, 0x0B}, map[string]any{"water": 16777.215}},
		{"A5-12-03", []byte{0, 0, 3, 0x0D}, map[string]any{"flow": 0.3}},
		{"A5-20-01", []byte{50, 0b00100010, 128, 0x08}, map[string]any{
			"valve": 50.0, "temperature": 20.1, "service": false, "energy_input": false, "charged": true, "battery_low": false,
			"cover_open": false, "sensor_fault": false, "window_open": true, "obstructed": false}},
		{"A5-20-01", []byte{101, 0, 0, 0x08}, map[string]any{
			"valve": nil, "temperature": 0.0, "service": false, "energy_input": false, "charged": false, "battery_low": false,
			"cover_open": false, "sensor_fault": false, "window_open": false, "obstructed": false}},
		{"A5-12-10", []byte{0, 4, 0xD2, 0x3C}, map[string]any{"current_3": 1234.0}},
		{"A5-12-10", []byte{0, 4, 0xD2, 0x09}, map[string]any{"charge": 123.4}},
		{"A5-20-04", []byte{25, 255, 0, 0x08}, map[string]any{
			"valve": 25.0, "feed_temperature": 80.0, "temperature": 10.0, "locked": false, "failure": false}},
		{"A5-20-04", []byte{100, 128, 255, 0x0E}, map[string]any{
			"valve": 100.0, "set_point": 20.0, "temperature": 30.0, "locked": true, "failure": false}},
		{"A5-20-04", []byte{0, 0, 17, 0x89}, map[string]any{"valve": 0.0, "locked": false, "failure": true}},
	} {
		r := decode(t, taught(parseID(t, test.profile), testSender), sent(bs4, 0, test.payload...))
		got := last(r)
		if got == nil {
			got = make(map[string]any)
		}
		if !maps.Equal(got, test.want) {
			t.Errorf("%s %x: %v, want %v", test.profile, test.payload, got, test.want)
		}
	}
}

// Numbers print as they were meant.
func TestDecimals(t *testing.T) {
	for _, f := range known[profileID{bs4, 0x02, 0x05}].fields {
		for raw := range uint32(256) {
			v, ok := f.value(raw << 8)
			text, err := json.Marshal(v)
			if !ok || err != nil || len(text) > 4 {
				t.Errorf("%d: %s", raw, text)
			}
		}
	}
}

func TestRPS(t *testing.T) {
	for _, test := range []struct {
		status, data byte
		key, want    string
	}{
		{0x30, 0x10, "action", "ai_pressed"},
		{0x30, 0x30, "action", "ao_pressed"},
		{0x30, 0x50, "action", "bi_pressed"},
		{0x30, 0x70, "action", "bo_pressed"},
		{0x30, 0x15, "action", "ai_bi_pressed"},
		{0x30, 0x37, "action", "ao_bo_pressed"},
		{0x30, 0x51, "action", "ai_bi_pressed"},
		{0x30, 0x13, "action", "several_pressed"}, // both sides of one rocker
		{0x30, 0xF0, "action", "several_pressed"},
		{0x30, 0x00, "action", "released"},
		{0x20, 0x00, "action", "released"},
		{0x20, 0x70, "action", "several_pressed"},
		{0x20, 0xF0, "handle", "closed"},
		{0x20, 0xE0, "handle", "open"},
		{0x20, 0xC0, "handle", "open"},
		{0x20, 0xD0, "handle", "tilted"},
		{0x21, 0xF0, "handle", "closed"}, // once repeated
	} {
		r := decode(t, sent(rps, test.status, test.data))
		if got := last(r)[test.key]; got != test.want {
			t.Errorf("status %02X data %02X: %v, want %s", test.status, test.data, last(r), test.want)
		}
	}
}

type object = map[string]any

// The telegrams of D2-01 and D2-05 are made by the tables of EEP 2.6.7.
func TestActuatorStatus(t *testing.T) {
	for _, test := range []struct {
		profile string
		payload []byte
		want    map[string]any
	}{
		{"D2-01-01", []byte{4, 0x80, 0x64}, map[string]any{"output": true, "overload": true, "hardware": "ok"}},
		{"D2-01-01", []byte{0xC4, 0x60, 0}, map[string]any{"output": false, "overload": false, "power_failure": true}},
		{"D2-01-01", []byte{4, 0x40, 0x7F}, map[string]any{"overload": false, "hardware": "failure"}},
		{"D2-01-01", []byte{4, 1, 0x64}, nil}, // it has one channel
		{"D2-01-01", []byte{4, 0x1F, 0x64}, nil},
		{"D2-01-03", []byte{4, 0, 42}, map[string]any{"light": object{"state": "ON", "brightness": 107.0, "color_mode": "brightness"}, "overload": false, "hardware": "ok"}},
		{"D2-01-03", []byte{4, 0, 0}, map[string]any{"light": object{"state": "OFF", "color_mode": "brightness"}, "overload": false, "hardware": "ok"}},
		{"D2-05-00", []byte{0, 127, 0, 4}, map[string]any{"cover": object{"state": "open", "position": 100.0}}},
		{"D2-05-00", []byte{100, 100, 0, 4}, map[string]any{"cover": object{"state": "closed", "position": 0.0, "tilt": 0.0}}},
		{"D2-05-00", []byte{0x80 | 30, 20, 0, 4}, map[string]any{"cover": object{"state": "open", "position": 70.0, "tilt": 80.0}}},
		{"D2-05-00", []byte{127, 127, 0, 4}, nil},
		{"D2-05-00", []byte{7, 127, 0, 1}, nil},
		{"D2-01-12", []byte{4, 1, 0x64}, map[string]any{"output_2": true, "overload_2": false, "hardware_2": "ok"}},
		{"D2-01-0E", []byte{7, 0, 0, 0, 0x0E, 0x10}, map[string]any{"energy": 0.001}},
		{"D2-01-0E", []byte{7, 0x20, 0, 0, 0x30, 0x39}, map[string]any{"energy": 12.345}},
		{"D2-01-0E", []byte{7, 0x40, 0, 0, 0, 7}, map[string]any{"energy": 7.0}},
		{"D2-01-0E", []byte{7, 0x60, 0, 0, 0, 60}, map[string]any{"power": 60.0}},
		{"D2-01-0E", []byte{7, 0x80, 0, 0, 0, 2}, map[string]any{"power": 2000.0}},
		{"D2-01-0E", []byte{7, 0xA0, 0, 0, 0, 2}, nil},
		{"D2-01-0E", []byte{3, 0x1E}, nil},
	} {
		r := decode(t, taught(parseID(t, test.profile), testSender), sent(vld, 0, test.payload...))
		if len(last(r)) != len(test.want) || len(test.want) > 0 && !reflect.DeepEqual(last(r), test.want) || len(r.Damage) > 0 || r.Disorder != "" {
			t.Errorf("%s %x: %v %q, want %v", test.profile, test.payload, last(r), r.Damage, test.want)
		}
	}
	r := decode(t, taught(parseID(t, "D2-01-01"), testSender), sent(vld, 0, 4, 0), sent(vld, 0, 7, 0, 0))
	if len(r.Readings) > 0 || len(r.Damage) != 2 {
		t.Errorf("short: %v %q", r.Readings, r.Damage)
	}
	r = decode(t, taught(parseID(t, "D2-05-00"), testSender), sent(vld, 0, 1, 4))
	if len(r.Readings) > 0 || len(r.Damage) != 1 {
		t.Errorf("short: %v %q", r.Readings, r.Damage)
	}
}

func TestCommandPayload(t *testing.T) {
	for _, test := range []struct {
		profile string
		key     string
		value   any
		want    string
	}{
		{"D2-01-01", "output", true, "\x01\x00\x64"},
		{"D2-01-01", "output", false, "\x01\x00\x00"},
		{"D2-01-12", "output_2", true, "\x01\x01\x64"},
		{"D2-01-03", "light", object{"state": "ON", "brightness": 85.0}, "\x01\x00\x21"},
		{"D2-01-03", "light", object{"brightness": 1.0}, "\x01\x00\x01"},
		{"D2-01-03", "light", object{"brightness": 0.0}, "\x01\x00\x00"},
		{"D2-01-03", "light", object{"state": "ON"}, "\x01\x00\x32"}, // as bright as it was
		{"D2-01-16", "light_2", object{"state": "ON"}, "\x01\x01\x64"},
		{"D2-01-03", "light", object{"state": "OFF"}, "\x01\x00\x00"},
		{"D2-01-03", "light", object{}, ""},
		{"D2-01-03", "light", "x", ""},
		{"D2-01-03", "output", true, ""},
		{"D2-01-01", "light", object{"state": "ON"}, ""},
		{"D2-01-01", "output", 1.0, ""},
		{"D2-01-01", "output_1", true, ""},
		{"D2-05-00", "cover", object{"state": "open"}, "\x00\x7f\x00\x01"},
		{"D2-05-00", "cover", object{"state": "close"}, "\x64\x7f\x00\x01"},
		{"D2-05-00", "cover", object{"state": "stop"}, "\x02"},
		{"D2-05-00", "cover", object{"position": 70.0}, "\x1e\x7f\x00\x01"},
		{"D2-05-00", "cover", object{"tilt": 100.0}, "\x7f\x00\x00\x01"},
		{"D2-05-00", "cover", object{}, ""},
		{"D2-05-00", "output", true, ""},
	} {
		e, _ := executorOf(parseID(t, test.profile))
		got, ok := e.command(test.key, test.value, &sender{brightness: map[string]float64{"light": 128}})
		if ok != (test.want != "") || ok && string(got) != test.want {
			t.Errorf("%+v: %x %v", test, got, ok)
		}
	}
}
