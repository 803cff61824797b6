package nmea

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// decode feeds pieces to a new decoder.
func decode(t testing.TB, pieces ...string) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, newDecoder(r), received, pieces)
	return r
}

// sentence adds what stands around a sentence.
func sentence(text string) string {
	sum := byte(0)
	for _, b := range []byte(text) {
		sum ^= b
	}
	return fmt.Sprintf("$%s*%02X\r\n", text, sum)
}

// knownAs is what makes a talker believed in, and have a fix.
func knownAs(talker string) string {
	return sentence(talker+"GLL,,,,,,V") + sentence(talker+"GLL,5000.000,N,00700.000,E,120000,A")
}

var known = knownAs("GP")

// say returns the values of one sentence of a receiver that is known.
func say(t testing.TB, text string) (values map[string]any, damaged []string) {
	t.Helper()
	r := decode(t, knownAs(text[:2]), sentence(text))
	if len(r.Readings) > 1 {
		values = r.Readings[1].Values
	}
	return values, r.Damage
}

type vector struct {
	Raw    string
	Expect map[string]any
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/sentences.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

// TestVectors compares with what was published for each sentence.
func TestVectors(t *testing.T) {
	keys := map[string]string{
		"latitude": "latitude", "longitude": "longitude", "altitude": "altitude", "separation": "geoid_separation",
		"num_satellites": "satellites", "hdop": "hdop", "vdop": "vdop", "pdop": "pdop", "course": "course", "variation": "magnetic_variation",
		"true_track": "course", "magnetic_track": "magnetic_course", "ground_speed_kph": "speed",
		"speed": "speed", "ground_speed_knots": "speed",
	}
	vectors := readVectors(t)
	if len(vectors) != 13 {
		t.Errorf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		text, _, _ := strings.Cut(v.Raw[1:], "*")
		if sentence(text) != v.Raw+"\r\n" {
			t.Errorf("%s: checksum", v.Raw)
		}
		values, damaged := say(t, text)
		if len(damaged) > 0 {
			t.Errorf("%s: damaged %q", v.Raw, damaged)
			continue
		}
		if v.Expect["type"] == "GSV" {
			if len(values) > 0 { // satellites in view are not published
				t.Errorf("%s: %v", v.Raw, values)
			}
			continue
		}
		for name, want := range v.Expect {
			key, ok := keys[name]
			if !ok {
				continue
			}
			want := want.(float64)
			if name == "speed" || name == "ground_speed_knots" {
				want *= 1.852
			}
			got, ok := values[key].(float64)
			if n, whole := values[key].(int64); whole {
				got, ok = float64(n), true
			}
			// The source makes 0 of what is missing; a speed in km/h
			// was rounded by the receiver.
			if !ok && want == 0 && strings.Contains(v.Raw, ",,") {
				continue
			}
			tolerance := 1e-8
			if name == "ground_speed_knots" {
				tolerance = 0.01
			}
			if !ok || math.Abs(got-want) > tolerance {
				t.Errorf("%s: %s = %v, want %v", v.Raw, key, values[key], want)
			}
		}
		switch v.Expect["type"] {
		case "RMC":
			// "dd 13 mm 06 yy 94", "22:05:16.000"
			date := v.Expect["date"].(string)
			century := "20"
			if date[15:] >= "80" {
				century = "19"
			}
			clock := strings.TrimSuffix(v.Expect["time"].(string), ".000")
			if want := century + date[15:] + "-" + date[9:11] + "-" + date[3:5] + "T" + clock + "Z"; values["time"] != want {
				t.Errorf("%s: time %v, want %s", v.Raw, values["time"], want)
			}
			if values["fix"] != true {
				t.Errorf("%s: fix %v", v.Raw, values["fix"])
			}
		case "GLL":
			if values["fix"] != true {
				t.Errorf("%s: fix %v", v.Raw, values["fix"])
			}
		case "GGA":
			if values["fix"] != true || values["fix_quality"] != "GPS" {
				t.Errorf("%s: fix %v, %v", v.Raw, values["fix"], values["fix_quality"])
			}
		case "GSA":
			if values["fix_type"] != "3D" {
				t.Errorf("%s: %v", v.Raw, values["fix_type"])
			}
		case "ZDA":
			if values["time"] != "1996-07-12T17:28:09.456Z" {
				t.Errorf("%s: time %v", v.Raw, values["time"])
			}
		}
	}
}

// A place for the map has the accuracy that was said last.
func TestPosition(t *testing.T) {
	r := decode(t, known, sentence("GNGSA,A,3,22,19,,,,,,,,,,,3.1,2.3,2.4,1"), sentence("GPGGA,120000,5133.82,N,00042.24,W,1,08,1.1,545.4,M,46.9,M,,"),
		sentence("GPRMC,120000.10,A,5133.820,N,00042.240,W,0.1,359.9,211126,,,A"), sentence("GPRMC,120001,V,,,,,,,211126,,,N"))
	want := []any{map[string]any{"latitude": 50.0, "longitude": 7.0}, nil,
		map[string]any{"latitude": 51.56366667, "longitude": -0.704, "altitude": 545.4, "gps_accuracy": 6.0},
		map[string]any{"latitude": 51.56366667, "longitude": -0.704, "gps_accuracy": 6.0}, nil}
	for i, reading := range r.Readings {
		if got := reading.Values["position"]; !reflect.DeepEqual(got, want[i]) {
			t.Errorf("reading %d: %v, want %v", i, got, want[i])
		}
	}
	if len(r.Readings) != len(want) || r.Disorder != "" {
		t.Errorf("%d readings: %s", len(r.Readings), r.Disorder)
	}
}

// Numbers print as they were sent.
func TestExact(t *testing.T) {
	values, _ := say(t, "GPRMC,120000.10,A,5133.820,N,00042.240,W,0.1,359.9,211126,,,A")
	const want = `{"course":359.9,"fix":true,"latitude":51.56366667,"longitude":-0.704,"position":{"latitude":51.56366667,"longitude":-0.704},"speed":0.1852,"time":"2026-11-21T12:00:00.1Z"}`
	if text, _ := json.Marshal(values); string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	for _, test := range []struct {
		text, hemisphere string
		want             float64
	}{
		{"00000", "E", 0},
		{"18000.000000", "W", -180},
		{"17959.999999999", "E", 179.99999998},
		{"00000.000001", "E", 0.00000002},
		{"00000.0000001", "W", 0},
		{"00730", "E", 7.5},
	} {
		if got, ok := angle(test.text, test.hemisphere, 3, 180, "E", "W"); !ok || got != test.want {
			t.Errorf("%s %s = %v, %v", test.text, test.hemisphere, got, ok)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{"distance": "m", "speed": "km/h", "timestamp": "", "enum": ""}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	seen := make(map[string]bool)
	for _, p := range properties {
		if !key.MatchString(p.Key) || p.Name == "" || seen[p.Key] {
			t.Errorf("bad key or name: %+v", p)
		}
		seen[p.Key] = true
		if unit, ok := units[p.Class]; p.Class != "" && (!ok || unit != p.Unit) {
			t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
		}
		if (p.Class == "enum") != (len(p.Options) > 0) || p.StateClass != "" && p.Kind != serialbridge.Measurement {
			t.Errorf("%+v", p)
		}
	}
}
