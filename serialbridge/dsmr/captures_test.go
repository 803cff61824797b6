package dsmr

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
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
	drivertest.Decode(t, r, newDecoder(r, objects(), nil), received, pieces)
	return r
}

// latin1 turns the text of the vectors into the bytes that it stands for.
func latin1(s string) []byte {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func readTelegrams(t testing.TB) (good, bad map[string][]byte) {
	t.Helper()
	data, err := os.ReadFile("testdata/telegrams.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Telegrams map[string]string
		Negative  map[string]string
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	good, bad = make(map[string][]byte), make(map[string][]byte)
	for name, text := range file.Telegrams {
		good[name] = latin1(text)
	}
	for name, text := range file.Negative {
		bad[name] = latin1(text)
	}
	return good, bad
}

func telegramNames(telegrams map[string][]byte) []string {
	return slices.Sorted(maps.Keys(telegrams))
}

var withCRC = regexp.MustCompile(`(?m)^![0-9A-F]+\r?$`)

func TestTelegrams(t *testing.T) {
	type expectedDevice struct {
		ID, Name, Vendor, Model, Serial, Version, Via string
		Values                                        map[string]any
	}
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string][]expectedDevice
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	telegrams, _ := readTelegrams(t)
	if len(telegrams) != len(expected) {
		t.Fatalf("%d telegrams, %d expectations", len(telegrams), len(expected))
	}
	for name, telegram := range telegrams {
		t.Run(name, func(t *testing.T) {
			r := decode(t, telegram)
			if len(r.Damage) > 0 {
				t.Fatalf("damaged: %q", r.Damage)
			}
			var got []expectedDevice
			for i, d := range r.Announcements {
				if i >= len(r.Readings) || r.Readings[i].Device != d.ID {
					t.Fatalf("device %s has no reading", d.ID)
				}
				if !r.Readings[i].Time.Equal(received) {
					t.Errorf("time %v, want %v", r.Readings[i].Time, received)
				}
				// Through JSON, as the expectation came.
				text, err := json.Marshal(r.Readings[i].Values)
				if err != nil {
					t.Fatal(err)
				}
				var values map[string]any
				if err := json.Unmarshal(text, &values); err != nil {
					t.Fatal(err)
				}
				got = append(got, expectedDevice{d.ID, d.Name, d.Vendor, d.Model, d.SerialNumber, d.SWVersion, d.Via, values})
			}
			if len(r.Readings) != len(r.Announcements) {
				t.Errorf("%d readings of %d devices", len(r.Readings), len(r.Announcements))
			}
			want := expected[name]
			for i := range min(len(got), len(want)) {
				for key, v := range want[i].Values {
					if got[i].Values[key] != v {
						t.Errorf("%s %s = %v, want %v", want[i].ID, key, got[i].Values[key], v)
					}
				}
				for key, v := range got[i].Values {
					if _, ok := want[i].Values[key]; !ok {
						t.Errorf("%s %s = %v, want none", want[i].ID, key, v)
					}
				}
				got[i].Values, want[i].Values = nil, nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("devices\n%+v, want\n%+v", got, want)
			}
		})
	}
}

func TestNegative(t *testing.T) {
	_, bad := readTelegrams(t)
	for name, telegram := range bad {
		r := decode(t, telegram)
		if len(r.Readings) > 0 || len(r.Announcements) > 0 || !slices.Equal(r.Damage, []string{"checksum"}) {
			t.Errorf("%s: %d readings, damaged %q", name, len(r.Readings), r.Damage)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string][]string{
		"energy": {"kWh", "GJ"}, "reactive_energy": {"kvarh"}, "power": {"kW"}, "reactive_power": {"kvar"},
		"apparent_power": {"kVA"}, "voltage": {"V"}, "current": {"A"}, "frequency": {"Hz"}, "power_factor": {""},
		"gas": {"m³"}, "water": {"m³"}, "volume": {"m³"}, "duration": {"s"}, "timestamp": {""}, "enum": {""}, "": {""},
	}
	totals := []string{"energy", "reactive_energy", "gas", "water", "volume"}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	var all []serialbridge.Property
	for _, d := range definitions() {
		all = append(all, d.properties...)
	}
	for deviceType := range 14 {
		for _, unit := range []string{"m3", "GJ", "kWh"} {
			p, ok := mbusProperty(deviceType, unit)
			if !ok {
				t.Errorf("no property for type %d in %s", deviceType, unit)
			}
			all = append(all, p)
		}
	}
	telegrams, _ := readTelegrams(t)
	for _, telegram := range telegrams {
		for _, d := range decode(t, telegram).Announcements {
			all = append(all, d.Properties...)
		}
	}
	for _, p := range all {
		if !key.MatchString(p.Key) || p.Name == "" {
			t.Errorf("bad key or name: %+v", p)
		}
		if !slices.Contains(units[p.Class], p.Unit) {
			t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
		}
		switch p.StateClass {
		case "":
		case "measurement":
			if slices.Contains(totals, p.Class) {
				t.Errorf("%s: %s is a total", p.Key, p.Class)
			}
		case "total_increasing":
			if p.Class != "" && !slices.Contains(totals, p.Class) {
				t.Errorf("%s: %s is no total", p.Key, p.Class)
			}
		default:
			t.Errorf("%s: state class %q", p.Key, p.StateClass)
		}
		if (p.Class == "enum") != (len(p.Options) > 0) {
			t.Errorf("%s: class %q with options %q", p.Key, p.Class, p.Options)
		}
		if (p.Kind == serialbridge.State) != (p.Precision < 0) {
			t.Errorf("%s: kind %s with precision %d", p.Key, p.Kind, p.Precision)
		}
	}
}

// Two devices never have one key each in two units.
func TestKeysHaveOneUnit(t *testing.T) {
	units := make(map[string]string)
	for code, d := range definitions() {
		for _, p := range d.properties {
			if u, ok := units[p.Key]; ok {
				t.Errorf("%s: key %s was there before, in %q", code, p.Key, u)
			}
			units[p.Key] = p.Unit
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	telegrams, _ := readTelegrams(b)
	telegram := telegrams["TELEGRAM_V5"]
	d := newDecoder(drivertest.Discard{}, objects(), nil)
	b.SetBytes(int64(len(telegram)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(telegram, received)
	}
}
