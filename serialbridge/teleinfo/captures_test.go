package teleinfo

import (
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

func readFrames(t testing.TB) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string][]string
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	frames := make(map[string][]byte)
	for name, groups := range texts {
		frames[name] = enclose(groups...)
	}
	return frames
}

func frameNames(frames map[string][]byte) []string {
	return slices.Sorted(maps.Keys(frames))
}

func TestFrames(t *testing.T) {
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		ID, Vendor, Model, Version string
		Values                     map[string]any
	}
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	frames := readFrames(t)
	if len(frames) != len(expected) {
		t.Errorf("%d frames, %d expectations", len(frames), len(expected))
	}
	for name, f := range frames {
		want := expected[name]
		r := decode(t, f)
		if len(r.Damage) > 0 || len(r.Readings) != 1 || len(r.Announcements) != 1 {
			t.Errorf("%s: %d readings of %d devices, damaged %q", name, len(r.Readings), len(r.Announcements), r.Damage)
			continue
		}
		d := r.Announcements[0]
		got := []string{d.ID, d.Name, d.Vendor, d.Model, d.SerialNumber, d.SWVersion}
		if w := []string{want.ID, "Electricity meter", want.Vendor, want.Model, strings.TrimPrefix(want.ID, "teleinfo_"), want.Version}; !slices.Equal(got, w) {
			t.Errorf("%s: device %q, want %q", name, got, w)
		}
		if !r.Readings[0].Time.Equal(received) {
			t.Errorf("%s: time %v", name, r.Readings[0].Time)
		}
		// Through JSON, as the expectation came.
		text, err := json.Marshal(r.Readings[0].Values)
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		for key, v := range want.Values {
			if values[key] != v {
				t.Errorf("%s: %s = %v, want %v", name, key, values[key], v)
			}
		}
		for key, v := range values {
			if _, ok := want.Values[key]; !ok {
				t.Errorf("%s: %s = %v, want none", name, key, v)
			}
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"energy": "kWh", "reactive_energy": "kvarh", "power": "W", "apparent_power": "VA", "voltage": "V", "current": "A",
		"timestamp": "", "enum": "", "problem": "", "opening": "", "": "",
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	announced := []serialbridge.Property{overloaded}
	for _, f := range readFrames(t) {
		announced = append(announced, decode(t, f).Announcements[0].Properties...)
	}
	for _, d := range known() {
		if d.form != status && d.form != relays {
			announced = append(announced, d.property)
		}
	}
	seen := make(map[string]serialbridge.Property)
	for _, p := range announced {
		if !key.MatchString(p.Key) || p.Name == "" {
			t.Errorf("%+v", p)
		}
		// A key is the same property in both modes.
		if q, ok := seen[p.Key]; ok && !reflect.DeepEqual(p, q) {
			t.Errorf("%s is %+v and %+v", p.Key, p, q)
		}
		seen[p.Key] = p
		if u, ok := units[p.Class]; !ok || u != p.Unit {
			t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
		}
		energy := p.Class == "energy" || p.Class == "reactive_energy"
		if energy != (p.StateClass == "total_increasing") {
			t.Errorf("%s: state class %q of class %q", p.Key, p.StateClass, p.Class)
		}
		if measured := p.Kind == serialbridge.Measurement; measured != (p.Precision >= 0) || !measured && p.StateClass != "" {
			t.Errorf("%s: %+v", p.Key, p)
		}
		if (p.Class == "enum") != (len(p.Options) > 0) {
			t.Errorf("%s: class %q with options %q", p.Key, p.Class, p.Options)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	f := readFrames(b)["standard_three_phases"]
	d := newDecoder(drivertest.Discard{}, known())
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(f, received)
	}
}
