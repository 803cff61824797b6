package vedirect

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var known = sync.OnceValue(definitions)

// decode feeds pieces to a new decoder.
func decode(t testing.TB, pieces ...[]byte) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, newDecoder(r, known()), received, pieces)
	return r
}

func readDumps(t testing.TB) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/dumps.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	dumps := make(map[string][]byte)
	for name, text := range texts {
		if dumps[name], err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	return dumps
}

func TestDumps(t *testing.T) {
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Readings                         int
		ID, Name, Model, Serial, Version string
		Values                           map[string]any
	}
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	dumps := readDumps(t)
	if len(dumps) != len(expected) {
		t.Errorf("%d dumps, %d expectations", len(dumps), len(expected))
	}
	for name, dump := range dumps {
		want := expected[name]
		r := decode(t, dump)
		if len(r.Damage) > 0 {
			t.Errorf("%s: damaged %q", name, r.Damage)
		}
		if len(r.Readings) != want.Readings {
			t.Errorf("%s: %d readings, want %d", name, len(r.Readings), want.Readings)
		}
		if len(r.Devices) != 1 {
			t.Fatalf("%s: %d devices", name, len(r.Devices))
		}
		d := r.Announcements[len(r.Announcements)-1]
		got := []string{d.ID, d.Name, d.Vendor, d.Model, d.SerialNumber, d.SWVersion}
		if w := []string{want.ID, want.Name, "Victron Energy", want.Model, want.Serial, want.Version}; !slices.Equal(got, w) {
			t.Errorf("%s: device %q, want %q", name, got, w)
		}
		last := make(map[string]any)
		for _, reading := range r.Readings {
			if !reading.Time.Equal(received) {
				t.Errorf("%s: time %v", name, reading.Time)
			}
			maps.Copy(last, reading.Values)
		}
		// Through JSON, as the expectation came.
		text, err := json.Marshal(last)
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(values, want.Values) {
			t.Errorf("%s:\n%v, want\n%v", name, values, want.Values)
		}
	}
}

func TestFields(t *testing.T) {
	for _, test := range []struct {
		field, key string
		want       any
	}{
		{"V 12810", "battery_voltage", 12.81},
		{"I -10", "battery_current", -0.01},
		{"SOC 839", "state_of_charge", 83.9},
		{"AC_OUT_V 23010", "ac_voltage", 230.1},
		{"AC_OUT_I 12", "ac_current", 1.2},
		{"DC_IN_P 7", "dc_input_power", 7.0},
		{"H19 1234567", "yield_total", 12345.67},
		{"H4 3", "charge_cycles", int64(3)},
		{"LOAD ON", "load", true},
		{"LOAD off", "load", false},
		{"Relay OFF", "relay", false},
		{"Alarm ON", "alarm", true},
		{"CS 5", "charge_state", "float"},
		{"CS 99", "charge_state", "code 99"},
		{"MPPT 2", "tracker", "tracking"},
		{"MODE 253", "mode", "hibernate"},
		{"MON -9", "monitor_mode", "solar charger"},
		{"ERR 33", "error", "PV voltage too high"},
		{"AR 0", "alarm_reason", "none"},
		{"AR 5", "alarm_reason", "low voltage, low state of charge"},
		{"AR 65536", "alarm_reason", "code 65536"},
		{"OR 0x00000101", "off_reason", "no input power, analysing input voltage"},
		{"OR 0xFFFFFFFF", "off_reason", nil},
		{"WARN 4096", "warning_reason", "short circuit"},
		{"T ---", "battery_temperature", nil},
		{"XYZ 17", "xyz", nil},
	} {
		r := decode(t, lead, mainBlock("VPV 1", test.field))
		if len(r.Damage) > 0 || len(r.Readings) != 2 {
			t.Errorf("%s: %d readings, damaged %q", test.field, len(r.Readings), r.Damage)
			continue
		}
		got, found := r.Readings[1].Values[test.key]
		if test.field == "OR 0xFFFFFFFF" {
			if !found || !strings.HasSuffix(got.(string), "code 2147483648") {
				t.Errorf("%s: %v", test.field, got)
			}
			continue
		}
		if got != test.want || found != (test.want != nil) {
			t.Errorf("%s: %v, want %v", test.field, got, test.want)
		}
	}
}

// Numbers print as the device means them.
func TestExact(t *testing.T) {
	r := decode(t, lead, mainBlock("V 12345", "I 7", "SOC 1", "H19 3", "T 21", "CE -300"))
	text, err := json.Marshal(r.Readings[1].Values)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"battery_current":0.007,"battery_temperature":21,"battery_voltage":12.345,"consumed_charge":-0.3,"state_of_charge":0.1,"yield_total":0.03}`
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string][]string{
		"voltage": {"V"}, "current": {"A"}, "power": {"W", ""}, "apparent_power": {"VA"}, "energy": {"kWh"},
		"temperature": {"°C"}, "battery": {"%"}, "duration": {"s", "min"}, "problem": {""}, "": {"", "%", "Ah"},
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	keys := make(map[string]bool)
	for label, d := range known() {
		p := d.property
		if !key.MatchString(p.Key) || p.Name == "" || keys[p.Key] || !isLabel([]byte(label)) {
			t.Errorf("%s: %+v", label, p)
		}
		keys[p.Key] = true
		if !slices.Contains(units[p.Class], p.Unit) {
			t.Errorf("%s: unit %q of class %q", label, p.Unit, p.Class)
		}
		if p.Class == "energy" && p.StateClass == "measurement" {
			t.Errorf("%s: state class %q of energy", label, p.StateClass)
		}
		if measured := p.Kind == serialbridge.Measurement; measured != (p.Precision >= 0) || !measured && p.StateClass != "" {
			t.Errorf("%s: %+v", label, p)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	dump := readDumps(b)["bvm702"]
	d := newDecoder(drivertest.Discard{}, known())
	b.SetBytes(int64(len(dump)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(dump, received)
	}
}
