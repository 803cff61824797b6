package modbus

import (
	"bytes"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

func listener(t testing.TB, sink serialbridge.Sink, units ...Unit) *decoder {
	t.Helper()
	o := Options{Listen: true, Units: units}
	compiled, _, wrong := o.compile()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return newDecoder(sink, compiled)
}

func readCapture(t testing.TB) []serialbridge.Chunk {
	t.Helper()
	data, err := os.ReadFile("testdata/solax_sdm230.capture")
	if err != nil {
		t.Fatal(err)
	}
	var chunks []serialbridge.Chunk
	err = serialbridge.ReadCapture(bytes.NewReader(data), func(c serialbridge.Chunk) error {
		if c.Kind == serialbridge.Received {
			chunks = append(chunks, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return chunks
}

// TestListen hears how an inverter asks its meter.
func TestListen(t *testing.T) {
	r := &recorder{}
	d := listener(t, r, Unit{Address: 1, Map: "sdm230", Name: "Grid"})
	from := time.Date(2022, 5, 4, 0, 0, 0, 0, time.UTC)
	for _, c := range readCapture(t) {
		d.Decode(c.Data, c.Time)
	}
	reading := func(milliseconds int, key string, value float64) serialbridge.Reading {
		return serialbridge.Reading{Device: "modbus_sdm230_1", Time: from.Add(time.Duration(milliseconds) * time.Millisecond), Values: map[string]any{key: value}}
	}
	want := []serialbridge.Reading{
		reading(729, "energy_import", 10909.282), reading(1249, "energy_import", 10909.282),
		reading(1769, "energy_import", 10909.283), reading(2279, "power", 4551.5),
	}
	if !reflect.DeepEqual(r.Readings, want) || r.Disorder != "" || len(r.Damage) != 0 {
		t.Errorf("readings %v %s, damaged %q", r.Readings, r.Disorder, r.Damage)
	}
	if want := []string{"Grid (unit 1) was asked to read holding register 11, which its map does not have"}; !slices.Equal(r.Overheard, want) {
		t.Errorf("ignored %q", r.Overheard)
	}
	g := r.Devices["modbus_sdm230_1"]
	if g.Name != "Grid" || g.Vendor != "Eastron" || g.Model != "SDM230" || !g.Anonymous || len(r.Announcements) != 1 || len(g.Properties) != 14 {
		t.Errorf("announced %d times: %+v", len(r.Announcements), g)
	}
}

func TestListenIdentity(t *testing.T) {
	r := &recorder{}
	d := listener(t, r, Unit{Address: 1, Map: "growatt_min"}, Unit{Address: 2, Map: "sun2000"}, Unit{Address: 2, Map: "sun2000_meter"})
	hear := func(frames ...[]byte) { d.Decode(slices.Concat(frames...), heardAt) }
	hear(asks(1, 3, 23, 5), reading(1, 3, 0x4142, 0x4331, 0x3233, 0x3435, 0x3637))
	hear(asks(1, 3, 3, 1), reading(1, 3, 80))
	g := r.Devices["modbus_growatt_min_1"]
	if g.SerialNumber != "ABC1234567" || !g.Anonymous {
		t.Errorf("%+v", g)
	}
	i := slices.IndexFunc(g.Properties, func(p serialbridge.Property) bool { return p.Key == "power_limit" })
	if p := g.Properties[i]; p.Kind != serialbridge.Measurement || p.Max != 0 || p.Category != serialbridge.Diagnostic {
		t.Errorf("what cannot be commanded is announced as %+v", p)
	}
	// One answer may be of both maps of a unit.
	hear(asks(2, 3, 37100, 1), reading(2, 3, 1))
	hear(asks(2, 3, 32080, 2), reading(2, 3, 0, 1234))
	hear(asks(7, 3, 0, 1), reading(7, 3, 1))
	hear(asks(2, 3, 1, 1), seal([]byte{2, 0x83, 2}))
	hear(reading(1, 4, 1))
	want := []serialbridge.Reading{
		{Device: "modbus_growatt_min_1", Time: heardAt, Values: map[string]any{"power_limit": int64(80)}},
		{Device: "modbus_sun2000_meter_2", Time: heardAt, Values: map[string]any{"status": "Normal"}},
		{Device: "modbus_sun2000_2", Time: heardAt, Values: map[string]any{"power": int64(1234)}},
	}
	if !reflect.DeepEqual(r.Readings, want) || r.Disorder != "" || len(r.Damage) != 0 {
		t.Errorf("readings %v %s, damaged %q", r.Readings, r.Disorder, r.Damage)
	}
	if want := []string{
		"unit 7 is on the bus, but not in the settings: give it a map",
		"Solar inverter (unit 2) refuses to read holding register 1: it does not have them all",
		"unit 1 answers, but what it was asked was not heard",
	}; !slices.Equal(r.Overheard, want) {
		t.Errorf("ignored %q", r.Overheard)
	}
}

// TestAlone hears a capture without any settings, and one of answers only.
func TestAlone(t *testing.T) {
	r := &recorder{}
	d := Driver(Options{}).NewDecoder(r)
	for _, c := range readCapture(t) {
		d.Decode(c.Data, c.Time)
	}
	if len(r.Announcements) > 0 || len(r.Readings) > 0 || len(r.Damage) > 0 || len(r.Overheard) != 5 {
		t.Errorf("%+v", r)
	}
	r = &recorder{}
	d = listener(t, r, Unit{Address: 1, Map: "sdm230"})
	for i, c := range readCapture(t) {
		if i < 2 && c.Data[1] == 3 || len(c.Data) == 8 {
			continue
		}
		d.Decode(c.Data, c.Time)
	}
	if len(r.Readings) > 0 || len(r.Damage) > 0 || len(r.Overheard) != 4 {
		t.Errorf("%+v", r)
	}
}
