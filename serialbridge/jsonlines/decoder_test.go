package jsonlines

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
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
	drivertest.Decode(t, r, newDecoder(r, definitions(), radioDefinitions()), received, pieces)
	return r
}

func readLines(t testing.TB, name string) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(data)))
}

// TestLines compares every line with what it says.
func TestLines(t *testing.T) {
	names := map[string]string{
		"tempc": "temperature", "hum": "humidity", "batt": "battery", "for": "formaldehyde", "moi": "moisture",
		"lux": "illuminance", "lowbatt": "battery_low", "motion": "motion",
	}
	lines := readLines(t, "lines")
	if len(lines) != 14 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		r := decode(t, line, line)
		if len(r.Announcements) != 1 || len(r.Readings) != 1 || len(r.Damage) > 0 {
			t.Errorf("%s: %d devices, %d readings, damaged %q", line, len(r.Announcements), len(r.Readings), r.Damage)
			continue
		}
		var said map[string]any
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		want := make(map[string]any)
		for name, key := range names {
			if v, ok := said[name]; ok {
				want[key] = v
			}
		}
		if got := r.Readings[0]; !reflect.DeepEqual(got.Values, want) || !got.Time.Equal(received) {
			t.Errorf("%s: %+v, want %v", line, got, want)
		}
		d := r.Announcements[0]
		mac := said["mac"].(string)
		if d.ID != "jsonlines_"+strings.ReplaceAll(mac, ":", "") || d.SerialNumber != mac ||
			d.Name != said["model"] || d.Model != said["model"] || d.Vendor != said["brand"] {
			t.Errorf("%s: %+v", line, d)
		}
	}
}

// What a gateway sends around it.
func TestGateway(t *testing.T) {
	const line = `{"id":"a4c13874b085","mac_type":0,"rssi":-70,"brand":"Oria","tempc":21.10,"tempc2_dp":-0.0,"volt":3.079,"open":true,"more":{"a":[1,2]}}`
	const named = `{"id":"A4:C1:38:74:B0:85","name":"Cellar","model_id":"T201","hum":50,"batt_low":false,"open":30,"pres":1.9}`
	r := decode(t, "rst:0x1 (POWERON_RESET)\r\nN: Welcome to OpenMQTTGateway\r\n"+line+"\r\n"+line+"\n"+named+"\n"+named+"\r\n")
	if len(r.Readings) != 3 || len(r.Announcements) != 2 || len(r.Damage) > 0 {
		t.Fatalf("%d readings, %d announcements, damaged %q", len(r.Readings), len(r.Announcements), r.Damage)
	}
	const want = `{"dew_point":0,"open":true,"signal":-70,"temperature":21.1,"voltage":3.079}`
	if text, _ := json.Marshal(r.Readings[0].Values); string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	if text, _ := json.Marshal(r.Readings[1].Values); string(text) != `{"battery_low":false,"humidity":50}` {
		t.Errorf("%s", text)
	}
	first, last := r.Announcements[0], r.Announcements[1]
	if first.Name != "Bluetooth sensor" || first.Vendor != "Oria" || len(first.Properties) != 5 {
		t.Errorf("first %+v", first)
	}
	if last.ID != first.ID || last.Name != "Cellar" || last.Model != "T201" || last.Vendor != "Oria" || len(last.Properties) != 7 {
		t.Errorf("last %+v", last)
	}
}

func TestDamage(t *testing.T) {
	const good = `{"id":"A4:C1:38:74:B0:85","tempc":20.5}`
	for _, test := range []struct {
		name, text string
		damaged    []string
		readings   int // besides those of the good lines
	}{
		{"nothing", "", nil, 0},
		{"empty lines", "\n\r\n\n", nil, 0},
		{"no object", "[1,2]\n\"text\"\n42\nnull\n", nil, 0},
		{"empty object", "{}\n", nil, 0},
		{"cut", good[:20] + "\n", []string{"syntax"}, 0},
		{"fused", good[:20] + good + "\n", []string{"syntax"}, 0},
		{"two objects", good + good + "\n", []string{"syntax"}, 0},
		{"something behind", good + " x\n", []string{"syntax"}, 0},
		{"space behind", good + " \n", nil, 1},
		{"a member twice", `{"id":"A4:C1:38:74:B0:85","tempc":20.5,"tempc":20.6}` + "\n", []string{"syntax"}, 0},
		{"not UTF-8", `{"id":"A4:C1:38:74:B0:85","name":"` + "\xFF" + `","tempc":20.5}` + "\n", []string{"syntax"}, 0},
		{"too deep", `{"id":"A4:C1:38:74:B0:85","tempc":20.5,"x":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + "}\n", []string{"syntax"}, 0},
		{"deep", `{"id":"A4:C1:38:74:B0:85","tempc":20.5,"x":` + strings.Repeat("[", 7) + strings.Repeat("]", 7) + "}\n", nil, 1},
		{"brackets in a text", `{"id":"A4:C1:38:74:B0:85","tempc":20.5,"x":"\"[[[[[[[[[[[["}` + "\n", nil, 1},
		{"too long", `{"x":"` + strings.Repeat("a", maxLine) + "\"}\n", []string{"too long"}, 0},
		{"without end", strings.Repeat("{", 3*maxLine) + "\n", []string{"too long"}, 0},
		{"long talk", strings.Repeat("a", 3*maxLine) + "\n", nil, 0},
		{"no address", `{"tempc":20.5}` + "\n", nil, 0},
		{"id that is no address", `{"id":"kitchen","tempc":20.5}` + "\n", nil, 0},
		{"short address", `{"id":"A4:C1:38:74:B0","tempc":20.5}` + "\n", nil, 0},
		{"address of other characters", `{"id":"A4:C1:38:74:B0:8/","tempc":20.5}` + "\n", nil, 0},
		{"address without form", `{"id":"A4-C1-38-74-B0-85","tempc":20.5}` + "\n", nil, 0},
		{"address of nobody", `{"id":"00:00:00:00:00:00","tempc":20.5}` + "\n", nil, 0},
		{"a phone", `{"id":"A4:C1:38:74:B0:85","name":"phone","rssi":-55,"txpower":12,"distance":0.49}` + "\n", nil, 0},
		{"text for a number", `{"id":"A4:C1:38:74:B0:85","tempc":"20.5"}` + "\n", nil, 0},
		{"number for a contact", `{"id":"A4:C1:38:74:B0:85","open":1}` + "\n", nil, 0},
		{"null", `{"id":"A4:C1:38:74:B0:85","tempc":null}` + "\n", nil, 0},
		{"too warm", `{"id":"A4:C1:38:74:B0:85","tempc":1e3000,"hum":100.1}` + "\n", nil, 0},
	} {
		r := decode(t, good+"\n", good+"\n", test.text, good+"\n")
		if !slices.Equal(r.Damage, test.damaged) || len(r.Readings) != 2+test.readings {
			t.Errorf("%s: damaged %q, want %q; %d readings", test.name, r.Damage, test.damaged, len(r.Readings))
		}
		for _, reading := range r.Readings {
			if reading.Values["temperature"] != 20.5 {
				t.Errorf("%s: %v", test.name, reading.Values)
			}
		}
	}
}

// What other protocols say is no sensor.
func TestForeign(t *testing.T) {
	foreign := "/ISk5\\2MT382-1000\r\n1-0:1.8.1(00001.001*kWh)\r\n!522B\r\n" +
		"$GPRMC,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*70\r\n" +
		"20;2D;UPM/Esic;ID=0001;TEMP=00cf;HUM=16;BAT=OK;\r\n" +
		"{\"command\":\"restart\"}\n"
	if r := decode(t, foreign); len(r.Readings)+len(r.Announcements)+len(r.Damage) > 0 {
		t.Errorf("foreign: %d readings, damaged %q", len(r.Readings), r.Damage)
	}
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	source.Read(noise)
	if r := decode(t, string(noise)); len(r.Readings)+len(r.Announcements) > 0 {
		t.Errorf("noise: %+v", r.Readings)
	}
}

// The pieces do not matter.
func TestSplits(t *testing.T) {
	text := strings.Join(readLines(t, "lines"), "") + "boot\n{\n" + strings.Join(readLines(t, "lines"), "")
	want := decode(t, text)
	if len(want.Devices) != 6 || !slices.Equal(want.Damage, []string{"syntax"}) {
		t.Fatalf("%d devices, damaged %q", len(want.Devices), want.Damage)
	}
	for pieces := range drivertest.Splits(text, 7) {
		if got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in %d pieces, %d bytes first: %+v", len(pieces), len(pieces[0]), got)
		}
	}
}

func TestBounds(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, definitions(), radioDefinitions())
	for i := range 1000 {
		line := fmt.Sprintf(`{"id":"0000%08X","name":%q,"tempc":1}`+"\n", i+1, strings.Repeat("ä", 1000))
		d.Decode([]byte(line+line), received)
		if len(d.sensors) > maxSensors {
			t.Fatalf("%d sensors", len(d.sensors))
		}
	}
	if name := r.Announcements[0].Name; len(r.Announcements) != 1000 || name != strings.Repeat("ä", 64) {
		t.Errorf("%d devices, the first is %q", len(r.Announcements), name)
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"temperature": "°C", "humidity": "%", "atmospheric_pressure": "hPa", "illuminance": "lx", "moisture": "%",
		"conductivity": "\u03bcS/cm", "carbon_dioxide": "ppm", "volatile_organic_compounds": "mg/m³", "wind_speed": "m/s",
		"voltage": "V", "signal_strength": "dBm",
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	for name, d := range definitions() {
		p := d.property
		if !key.MatchString(p.Key) || p.Name == "" {
			t.Errorf("%s: bad key or name: %+v", name, p)
		}
		switch p.Kind {
		case serialbridge.Binary:
			if !slices.Contains([]string{"opening", "motion", "battery"}, p.Class) || p.Unit != "" || p.StateClass != "" {
				t.Errorf("%s: %+v", name, p)
			}
		case serialbridge.Measurement:
			unit, ok := units[p.Class]
			switch p.Class {
			case "battery":
				unit, ok = "%", true
			case "":
				unit, ok = p.Unit, true
			}
			if !ok || unit != p.Unit || p.StateClass != "measurement" || d.min >= d.max {
				t.Errorf("%s: %+v", name, d)
			}
		default:
			t.Errorf("%s: %+v", name, p)
		}
	}
}
