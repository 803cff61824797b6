package rflink

import (
	"encoding/json"
	"fmt"
	"maps"
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

var labels = definitions()

func decode(t testing.TB, pieces ...string) *recorder {
	t.Helper()
	r := &recorder{}
	d := newDecoder(r, labels)
	for _, p := range pieces {
		d.Decode([]byte(p), received)
	}
	if r.Disorder != "" {
		t.Fatal(r.Disorder)
	}
	return r
}

// readLines returns the lines from the gateway, with their ends.
func readLines(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "20;") {
			lines = append(lines, strings.TrimSuffix(line, "\n")+"\r\n")
		}
	}
	return lines
}

func TestVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected []struct {
		Device string
		Values map[string]any
	}
	if err := json.Unmarshal(file, &expected); err != nil {
		t.Fatal(err)
	}
	r := decode(t, readLines(t)...)
	if len(r.Readings) != len(expected) || len(r.Damage) > 0 {
		t.Fatalf("%d readings, want %d; damaged %q", len(r.Readings), len(expected), r.Damage)
	}
	for i, want := range expected {
		text, err := json.Marshal(r.Readings[i].Values)
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		if r.Readings[i].Device != want.Device || !maps.Equal(values, want.Values) {
			t.Errorf("%d: %s %v, want %s %v", i, r.Readings[i].Device, values, want.Device, want.Values)
		}
		if !r.Readings[i].Time.Equal(received) {
			t.Errorf("time %v", r.Readings[i].Time)
		}
	}
	d := r.Devices["rflink_upm_esic_0001"]
	if d.Name != "UPM/Esic 0001" || d.Model != "UPM/Esic" || d.SerialNumber != "0001" || len(d.Properties) != 3 {
		t.Errorf("%+v", d)
	}
}

func TestValues(t *testing.T) {
	for _, test := range []struct {
		label string
		want  map[string]any
		why   string // of damage
	}{
		{"TEMP=800d", map[string]any{"temperature": -1.3}, ""},
		{"TEMP=80DC", map[string]any{"temperature": -22.0}, ""},
		{"TEMP=0001", map[string]any{"temperature": 0.1}, ""},
		{"TEMP=7fff", nil, damagedImplausible},
		{"TEMP=ffff", nil, damagedImplausible},
		{"TEMP=00g0", nil, damagedSyntax},
		{"TEMP=", nil, damagedSyntax},
		{"TEMP=-1", nil, damagedSyntax},
		{"TEMP=10000", nil, damagedSyntax},
		{"HUM=100", map[string]any{"humidity": 100.0}, ""},
		{"HUM=101", nil, damagedImplausible},
		{"HUM=4f", nil, damagedSyntax},
		{"WINDIR=0015", map[string]any{"wind_direction": 337.5}, ""},
		{"WINDIR=0016", nil, damagedImplausible},
		{"HSTATUS=2", map[string]any{"comfort": "dry"}, ""},
		{"HSTATUS=4", nil, damagedImplausible},
		{"BFORECAST=4", map[string]any{"forecast": "rain"}, ""},
		{"BAT=FULL", nil, damagedSyntax},
		{"PIR=OFF", map[string]any{"motion": false}, ""},
		{"RAIN=ffff", map[string]any{"rain": 6553.5}, ""},
		{"RAINRATE=0003", map[string]any{"rain_rate": 0.3}, ""},
		{"CO2=1234", map[string]any{"co2": 1234.0}, ""},
		{"WATT=00ff", map[string]any{"power": 255.0}, ""},
		{"KWATT=00ff", nil, ""}, // of what?
		{"SWITCH=1;CMD=UNKOWN", nil, ""},
		{"SWITCH=1/2;CMD=ON", nil, damagedSyntax},
		{"SWITCH=1;CMD=", nil, damagedSyntax},
		{"SWITCH=1;CMD=SET_LEVEL=x", nil, damagedSyntax},
		{"SWITCH=1;CMD=SET_LEVEL=16", nil, damagedImplausible},
		{"SWITCH=1;CMD=SET_LEVEL=0", map[string]any{"switch_1": false, "level_1": int64(0)}, ""},
		{"CMD=ON", map[string]any{"switch": true}, ""},
		{"TEMP=0001;TEMP=0002", nil, damagedSyntax},
	} {
		r := decode(t, "20;01;NewKaku;ID=01;"+test.label+";\r\n")
		var got map[string]any
		if len(r.Readings) > 0 {
			got = r.Readings[0].Values
		}
		var damaged []string
		if test.why != "" {
			damaged = []string{test.why}
		}
		if !maps.Equal(got, test.want) || !slices.Equal(r.Damage, damaged) {
			t.Errorf("%s: %v %q, want %v %q", test.label, got, r.Damage, test.want, damaged)
		}
	}
}

// A remote control has one button that is meant for all.
func TestAll(t *testing.T) {
	r := decode(t,
		"20;01;NewKaku;ID=01;SWITCH=1;CMD=ON;\r\n",
		"20;02;NewKaku;ID=01;SWITCH=2;CMD=ON;\r\n",
		"20;03;NewKaku;ID=02;SWITCH=1;CMD=ON;\r\n",
		"20;04;NewKaku;ID=01;SWITCH=1;CMD=ALLOFF;\r\n")
	last := r.Readings[len(r.Readings)-1]
	if last.Device != "rflink_newkaku_01" || !maps.Equal(last.Values, map[string]any{"switch_1": false, "switch_2": false}) {
		t.Errorf("%+v", last)
	}
}

func TestDamage(t *testing.T) {
	const good = "20;05;Cresta;ID=2801;TEMP=00af;HUM=53;BAT=OK;\r\n"
	for _, test := range []struct {
		name, input string
		readings    int
		damaged     []string
	}{
		{"half", good[:20] + good, 0, []string{damagedSyntax}}, // ID occurs twice
		{"half line", good[:20] + "\r\n" + good, 1, []string{damagedSyntax}},
		{"no end", good + good[:len(good)-2], 1, nil},
		{"line feed alone", strings.ReplaceAll(good, "\r", ""), 1, nil},
		{"empty lines", "\r\n\n\r\n" + good, 1, nil},
		{"DSMR", "/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(40)\r\n" + good, 1, []string{damagedSyntax, damagedSyntax}},
		{"MySensors", "20;25;1;0;0;21.5\n0;255;3;0;14;Gateway startup complete.\n" + good, 1, []string{damagedSyntax, damagedSyntax}},
		{"JSON", "{\"id\":1}\n", 0, []string{damagedSyntax}},
		{"from us", "10;NewKaku;00c142;1;ON;\r\n", 0, []string{damagedSyntax}},
		{"binary", "20;05;Cresta;ID=28\x0001;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"UTF-8", "20;05;Crest\u00e4;ID=2801;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"long number", "20;005;Cresta;ID=2801;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"bad number", "20;0x;Cresta;ID=2801;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"bad ID", "20;05;Cresta;ID=28z1;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"long ID", "20;05;Cresta;ID=28012801280128012;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"no protocol", "20;05;;ID=2801;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"long protocol", "20;05;" + strings.Repeat("C", 40) + ";ID=2801;TEMP=00af;\r\n", 0, []string{damagedSyntax}},
		{"too long", "20;" + strings.Repeat("5", maxLine) + "\r\n" + good, 1, []string{damagedTooLong}},
		{"of the gateway", "20;02;PONG;\r\n20;03;VER=1.1;REV=37;BUILD=01;\r\n20;99;RFDEBUG=ON;\r\n", 0, nil},
		{"debug", "20;75;DEBUG;Pulses=90;Pulses(uSec)=1200,2760,120;\r\n", 0, nil},
		{"space at the end", "20;04;NewKaku;ID=000007;SWITCH=2;CMD=ON; \r\n", 1, nil},
	} {
		r := decode(t, test.input)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}
}

func TestPieces(t *testing.T) {
	some := strings.Join(readLines(t)[30:], "") // with switches, levels and blinds
	want := decode(t, some)
	for i := range some {
		if got := decode(t, some[:i], some[i:]); !reflect.DeepEqual(got, want) {
			t.Fatalf("split at %d", i)
		}
	}
	all := strings.Join(readLines(t), "")
	want = decode(t, all)
	if got := decode(t, strings.Split(all, "")...); !reflect.DeepEqual(got, want) {
		t.Fatal("byte by byte")
	}
}

func TestLimits(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, labels)
	for i := range 2 * maxDevices {
		d.Decode(fmt.Appendf(nil, "20;05;Cresta;ID=%04x;TEMP=00af;\r\n", i), received)
	}
	if len(d.transmitters) != maxDevices || len(r.Damage) != maxDevices {
		t.Errorf("%d devices, %d damaged", len(d.transmitters), len(r.Damage))
	}
	r = &recorder{}
	d = newDecoder(r, labels)
	for i := range 2 * maxProperties {
		d.Decode(fmt.Appendf(nil, "20;05;NewKaku;ID=01;SWITCH=%d;CMD=ON;\r\n", i), received)
	}
	if got := len(r.Devices["rflink_newkaku_01"].Properties); got != maxProperties || r.Disorder != "" {
		t.Errorf("%d properties; %s", got, r.Disorder)
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"temperature": "°C", "humidity": "%", "atmospheric_pressure": "hPa", "illuminance": "lx", "precipitation": "mm",
		"precipitation_intensity": "mm/h", "wind_speed": "km/h", "wind_direction": "°", "carbon_dioxide": "ppm", "power": "W",
		"voltage": "V", "current": "A", "": "",
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	var all []serialbridge.Property
	for _, d := range labels {
		all = append(all, d.property)
	}
	for _, protocol := range []string{"NewKaku", "RTS", "Other"} {
		all = append(all, switchOf(protocol, "0A"), levelOf(protocol, "1"), switchOf(protocol, ""))
	}
	for _, p := range all {
		if !key.MatchString(p.Key) || p.Name == "" {
			t.Errorf("bad key or name: %+v", p)
		}
		switch p.Kind {
		case serialbridge.Measurement:
			if unit, ok := units[p.Class]; !ok || p.Unit != unit {
				t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
			}
			want := "measurement"
			switch p.Class {
			case "precipitation":
				want = "total_increasing"
			case "wind_direction":
				want = "measurement_angle"
			}
			if p.Key != "level_1" && p.StateClass != want {
				t.Errorf("%s: state class %q", p.Key, p.StateClass)
			}
		case serialbridge.State, serialbridge.Event, serialbridge.Choice:
			if len(p.Options) == 0 {
				t.Errorf("%s: no options", p.Key)
			}
		case serialbridge.Setting:
			if p.Max != maxLevel {
				t.Errorf("%s: to %v", p.Key, p.Max)
			}
		}
	}
}
