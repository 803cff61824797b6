package mysensors

import (
	"fmt"
	"maps"
	"os"
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

var known = variables()

func decode(t testing.TB, pieces ...string) *recorder {
	t.Helper()
	r := &recorder{}
	d := newDecoder(r, known, false)
	d.Decode([]byte("\n"), received)
	hearOnce(d)
	drivertest.Decode(t, r, d, received, pieces)
	return r
}

// hearOnce lets a decoder have heard each node once, so that it believes the next line.
func hearOnce(d *decoder) {
	for number := 1; number < nobody; number++ {
		d.once[number] = heard{message{node: number, child: wholeNode, command: internal, typ: discover}, received}
	}
}

// readLines returns the lines of the vectors.
func readLines(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

func TestVectors(t *testing.T) {
	r := decode(t, readLines(t))
	if !slices.Equal(r.Damage, []string{serialbridge.DamagedSyntax}) || len(r.Readings) != 2 {
		t.Fatalf("%d readings, damaged %q", len(r.Readings), r.Damage)
	}
	for i, want := range []map[string]any{{"light_level_0": 43.0}, {"battery": int64(79)}} {
		if r.Readings[i].Device != "mysensors_1" || !maps.Equal(r.Readings[i].Values, want) || !r.Readings[i].Time.Equal(received) {
			t.Errorf("%+v, want %v", r.Readings[i], want)
		}
	}
	d := r.Devices["mysensors_1"]
	if len(r.Devices) != 1 || d.Name != "lighthum demo sens" || d.Model != "MySensors 1.4.1" || len(d.Properties) != 2 {
		t.Errorf("%+v", r.Devices)
	}
}

func TestVariables(t *testing.T) {
	for _, test := range []struct {
		typ     int
		payload string
		want    map[string]any
		why     string // of damage
	}{
		{vTemp, "21.5", map[string]any{"temperature_3": 21.5}, ""},
		{vTemp, "-0.1", map[string]any{"temperature_3": -0.1}, ""},
		{vTemp, "-127", nil, serialbridge.DamagedImplausible}, // what a DS18B20 says that is not there
		{vTemp, "", nil, serialbridge.DamagedSyntax},
		{vTemp, "nan", nil, serialbridge.DamagedSyntax},
		{vTemp, "1e3", nil, serialbridge.DamagedSyntax},
		{vTemp, ".5", nil, serialbridge.DamagedSyntax},
		{vTemp, "5.", nil, serialbridge.DamagedSyntax},
		{vTemp, "0x10", nil, serialbridge.DamagedSyntax},
		{vHum, "50", map[string]any{"humidity_3": 50.0}, ""},
		{vHum, "101", nil, serialbridge.DamagedImplausible},
		{vStatus, "1", map[string]any{"status_3": true}, ""},
		{vStatus, "0", map[string]any{"status_3": false}, ""},
		{vStatus, "2", nil, serialbridge.DamagedSyntax},
		{vPercentage, "40", map[string]any{"percentage_3": 40.0}, ""},
		{vPercentage, "140", nil, serialbridge.DamagedImplausible},
		{vForecast, "sunny", map[string]any{"forecast_3": "sunny"}, ""},
		{vForecast, "fine", nil, serialbridge.DamagedSyntax},
		{vTripped, "1", map[string]any{"tripped_3": true}, ""},
		{vKWh, "1234.567", map[string]any{"energy_3": 1234.567}, ""},
		{vKWh, "-1", nil, serialbridge.DamagedImplausible},
		{vFlowState, "HeatOn", map[string]any{"mode_3": "HeatOn"}, ""},
		{vVar1 + 1, "anything", map[string]any{"var2_3": "anything"}, ""},
		{vPosition, "55.722526;13.017972;18", map[string]any{"position_3": "55.722526;13.017972;18"}, ""},
		{vUp, "", nil, ""},
		{42, "28FF", nil, ""}, // V_ID
		{200, "x", nil, ""},
	} {
		r := decode(t, fmt.Sprintf("7;3;1;0;%d;%s\n", test.typ, test.payload))
		var got map[string]any
		if len(r.Readings) > 0 {
			got = r.Readings[0].Values
		}
		var damaged []string
		if test.why != "" {
			damaged = []string{test.why}
		}
		if !maps.Equal(got, test.want) || !slices.Equal(r.Damage, damaged) {
			t.Errorf("%d %q: %v %q, want %v %q", test.typ, test.payload, got, r.Damage, test.want, damaged)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"temperature": "°C", "humidity": "%", "atmospheric_pressure": "hPa", "precipitation": "mm", "precipitation_intensity": "mm/h",
		"wind_direction": "°", "weight": "kg", "power": "W", "energy": "kWh", "volume": "m³", "water": "m³", "gas": "m³",
		"sound_pressure": "dB", "frequency": "Hz", "illuminance": "lx", "moisture": "%", "voltage": "V", "current": "A", "ph": "",
		"conductivity": "μS/cm", "reactive_power": "var", "apparent_power": "VA", "power_factor": "",
	}
	totals := []string{"precipitation", "energy", "volume", "water", "gas"}
	conditions := []string{"", "opening", "motion", "smoke", "moisture", "sound", "vibration"}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	for typ, v := range known {
		for childType := unknownChild; childType <= sWaterQual; childType++ {
			p := v.of(3, childType, "")
			if !key.MatchString(p.Key) || p.Name == "" {
				t.Errorf("%d: bad key or name: %+v", typ, p)
			}
			switch p.Kind {
			case serialbridge.Measurement:
				if unit, ok := units[p.Class]; p.Class != "" && (!ok || p.Unit != unit) {
					t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
				}
				if isTotal := slices.Contains(totals, p.Class); isTotal != (p.StateClass == "total_increasing") {
					t.Errorf("%s: state class %q of class %q", p.Key, p.StateClass, p.Class)
				}
			case serialbridge.Binary:
				if !slices.Contains(conditions, p.Class) {
					t.Errorf("%s: class %q", p.Key, p.Class)
				}
			case serialbridge.Choice:
				if len(p.Options) == 0 {
					t.Errorf("%s: no options", p.Key)
				}
			case serialbridge.Text:
				if typ != vText || childType != sInfo || p.Max != maxPayload {
					t.Errorf("%s: a text", p.Key)
				}
			case serialbridge.Setting:
				if !(p.Max > p.Min) || p.Step <= 0 {
					t.Errorf("%s: %v to %v", p.Key, p.Min, p.Max)
				}
			}
		}
	}
	for childType, types := range children {
		for _, typ := range types {
			if known[typ] == nil {
				t.Errorf("child type %d has an unknown variable %d", childType, typ)
			}
		}
	}
}
