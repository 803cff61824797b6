package sml

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var objects = sync.OnceValue(definitions)

// decode feeds pieces to a new decoder.
func decode(t testing.TB, pieces ...[]byte) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, newDecoder(r, objects()), received, pieces)
	return r
}

type meter struct {
	Hex   string
	Lines []string `json:"libsml_lines"`
	OK    int      `json:"transport_crc_ok"`
	Bad   int      `json:"transport_crc_bad"`
	bytes []byte
}

func readMeters(t testing.TB) map[string]meter {
	t.Helper()
	data, err := os.ReadFile("testdata/meters.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Meters map[string]meter }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for name, m := range file.Meters {
		if m.bytes, err = hex.DecodeString(m.Hex); err != nil {
			t.Fatal(err)
		}
		file.Meters[name] = m
	}
	return file.Meters
}

// frames returns the whole frames of a capture whose checksum is right.
func frames(t testing.TB, capture []byte) [][]byte {
	t.Helper()
	var all [][]byte
	d := newDecoder(drivertest.Discard{}, objects())
	start := 0
	for i, b := range capture {
		inside := d.inside
		d.Decode([]byte{b}, received)
		switch {
		case d.inside && d.size == 8:
			start = i - 7
		case inside && !d.inside:
			if f := capture[start : i+1]; len(decode(t, f).Damage) == 0 {
				all = append(all, f)
			}
		}
	}
	return all
}

var line = regexp.MustCompile(`^(\d+)-(\d+):(\d+)\.(\d+)\.(\d+)\*(\d+)#(.*)#(\w*)$`)

// Every number that libsml prints is published in the unit of the property,
// and no other number is.
func TestMeters(t *testing.T) {
	type identity struct{ ID, SerialNumber, Vendor string }
	want := map[string]identity{
		"EMH-ED300L_consumption":           {"sml_06454D4801027156CD45", "06454D4801027156CD45", "EMH metering"},
		"ISKRA_MT175_eHZ":                  {"sml_1ISK0067362659", "1ISK0067362659", "Iskraemeco"},
		"DZG_DVS-7420.2V.G2_mtr2_neg":      {"sml_1DZG0060694611", "1DZG0060694611", "DZG Metering"},
		"HOLLEY_DTZ541-BDBA_with_PIN":      {"sml_1HLY0200879590", "1HLY0200879590", "Holley"},
		"EasyMeter_Q3A_A1064V1009":         {"sml_1ESY1162232997", "1ESY1162232997", "EasyMeter"},
		"ITRON_OpenWay-3.HZ_without_PIN":   {"sml_1ITR0055046208", "1ITR0055046208", "Itron"},
		"eBZ_DD3_DD32R06DTA-SMZ1":          {"sml_1EBZ0100191547", "1EBZ0100191547", "eBZ"},
		"EMH_eHZ-IW8E2A5L0EK2P_with_error": {"sml_06454D480107197C2456", "06454D480107197C2456", "EMH metering"},
	}
	meters := readMeters(t)
	if len(meters) != len(want) {
		t.Errorf("%d meters, want %d", len(meters), len(want))
	}
	for name, m := range meters {
		t.Run(name, func(t *testing.T) {
			r := decode(t, m.bytes)
			if len(r.Readings) != m.OK {
				t.Errorf("%d readings, want %d", len(r.Readings), m.OK)
			}
			bad := 0
			for _, reason := range r.Damage {
				if reason == serialbridge.DamagedChecksum || reason == serialbridge.DamagedSyntax {
					bad++
				}
			}
			if bad != m.Bad {
				t.Errorf("damaged %q, want %d", r.Damage, m.Bad)
			}
			for _, d := range r.Devices {
				if got := (identity{d.ID, d.SerialNumber, d.Vendor}); got != want[name] {
					t.Errorf("identity %+v, want %+v", got, want[name])
				}
			}
			if len(r.Devices) != 1 {
				t.Errorf("%d devices", len(r.Devices))
			}

			expected := make(map[string][]float64)
			for _, l := range m.Lines {
				key, value, ok := libsml(t, l)
				if ok {
					expected[key] = append(expected[key], value)
				}
			}
			got := make(map[string][]float64)
			for _, reading := range r.Readings {
				if !reading.Time.Equal(received) {
					t.Errorf("time %v", reading.Time)
				}
				for key, v := range reading.Values {
					if !slices.Contains(got[key], v.(float64)) {
						got[key] = append(got[key], v.(float64))
					}
				}
			}
			for key, values := range got {
				for _, v := range values {
					// libsml stops where a checksum is wrong; what comes
					// behind has no expectation.
					if !slices.Contains(expected[key], v) && m.Bad == 0 {
						t.Errorf("%s = %v, not in %v", key, v, expected[key])
					}
				}
			}
			for key, values := range expected {
				for _, v := range values {
					if !slices.Contains(got[key], v) {
						t.Errorf("%s = %v is missing in %v", key, v, got[key])
					}
				}
			}
		})
	}
}

// libsml turns a line of libsml into a key and what is to be published.
func libsml(t *testing.T, l string) (string, float64, bool) {
	t.Helper()
	match := line.FindStringSubmatch(l)
	if match == nil {
		t.Fatalf("what is %q?", l)
	}
	var code obis
	for i := range code {
		n, err := strconv.Atoi(match[i+1])
		if err != nil {
			t.Fatal(err)
		}
		code[i] = byte(n)
	}
	p, known := objects()[code]
	if match[8] == "" {
		return "", 0, false
	}
	if !known {
		t.Errorf("%s is not known", l)
	}
	number := match[7]
	if match[8] == "Wh" {
		number += "e-3"
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatal(err)
	}
	return p.Key, n, true
}

// Numbers print as the meter means them.
func TestExact(t *testing.T) {
	meters := readMeters(t)
	for _, test := range []struct{ meter, key, want string }{
		{"ISKRA_MT175_eHZ", "energy_import", "22462.4136"},
		{"EasyMeter_Q3A_A1064V1009", "energy_import", "2941.6461614"},
		{"EasyMeter_Q3A_A1064V1009", "voltage_l1", "232.5"},
		{"DZG_DVS-7420.2V.G2_mtr2_neg", "power", "-105.5"},
		{"ITRON_OpenWay-3.HZ_without_PIN", "energy_import", "25688"},
	} {
		found := false
		for _, r := range decode(t, meters[test.meter].bytes).Readings {
			text, err := json.Marshal(r.Values[test.key])
			if err != nil {
				t.Fatal(err)
			}
			found = found || string(text) == test.want
		}
		if !found {
			t.Errorf("%s: %s is never %s", test.meter, test.key, test.want)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"energy": "kWh", "reactive_energy": "kvarh", "power": "W", "reactive_power": "var", "apparent_power": "VA",
		"voltage": "V", "current": "A", "frequency": "Hz", "power_factor": "", "": "°",
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	keys := make(map[string]bool)
	for code, p := range objects() {
		if !key.MatchString(p.Key) || p.Name == "" || p.Kind != serialbridge.Measurement || p.Precision < 0 {
			t.Errorf("%v: %+v", code, p)
		}
		if keys[p.Key] {
			t.Errorf("%s is there twice", p.Key)
		}
		keys[p.Key] = true
		if u, ok := units[p.Class]; !ok || u != p.Unit {
			t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
		}
		energy := p.Class == "energy" || p.Class == "reactive_energy"
		if energy == (p.StateClass == "measurement") {
			t.Errorf("%s: state class %q of class %q", p.Key, p.StateClass, p.Class)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	capture := readMeters(b)["ISKRA_MT175_eHZ"].bytes
	d := newDecoder(drivertest.Discard{}, objects())
	b.SetBytes(int64(len(capture)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(capture, received)
	}
}

func meterNames(meters map[string]meter) []string {
	return slices.Sorted(maps.Keys(meters))
}
