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
	drivertest.Decode(t, r, newDecoder(r, labels, false), received, pieces)
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
		if r.Readings[i].Device != want.Device || !reflect.DeepEqual(values, want.Values) {
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

type object = map[string]any

// A switch of which a level is heard is a light from then on.
func TestBecomesALight(t *testing.T) {
	r := decode(t,
		"20;01;NewKaku;ID=01;SWITCH=1;CMD=ON;\r\n",
		"20;02;NewKaku;ID=01;SWITCH=1;CMD=SET_LEVEL=3;\r\n",
		"20;03;NewKaku;ID=01;SWITCH=1;CMD=OFF;\r\n",
		"20;04;NewKaku;ID=01;SWITCH=2;CMD=ON;\r\n",
		"20;05;NewKaku;ID=01;SWITCH=2;CMD=ALLON;\r\n")
	var keys []string
	for _, p := range r.Devices["rflink_newkaku_01"].Properties {
		keys = append(keys, p.Key)
	}
	if !slices.Equal(keys, []string{"light_1", "switch_2"}) || r.Disorder != "" {
		t.Errorf("it has %q: %s", keys, r.Disorder)
	}
	for i, want := range []object{{"switch_1": true}, {"light_1": object{"state": "ON", "brightness": 51.0, "color_mode": "brightness"}},
		{"light_1": lit(0)}, {"switch_2": true}, {"light_1": object{"state": "ON", "color_mode": "brightness"}, "switch_2": true}} {
		if got := r.Readings[i].Values; !reflect.DeepEqual(got, want) {
			t.Errorf("reading %d: %v, want %v", i, got, want)
		}
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
		{"TEMP=7fff", nil, serialbridge.DamagedImplausible},
		{"TEMP=ffff", nil, serialbridge.DamagedImplausible},
		{"TEMP=00g0", nil, serialbridge.DamagedSyntax},
		{"TEMP=", nil, serialbridge.DamagedSyntax},
		{"TEMP=-1", nil, serialbridge.DamagedSyntax},
		{"TEMP=10000", nil, serialbridge.DamagedSyntax},
		{"TEMP=0af", nil, serialbridge.DamagedSyntax}, // a digit got lost
		{"TEMP=f", nil, serialbridge.DamagedSyntax},
		{"HUM=5", nil, serialbridge.DamagedSyntax},
		{"WINDIR=15", nil, serialbridge.DamagedSyntax},
		{"HUM=100", map[string]any{"humidity": 100.0}, ""},
		{"HUM=101", nil, serialbridge.DamagedImplausible},
		{"HUM=4f", nil, serialbridge.DamagedSyntax},
		{"WINDIR=0015", map[string]any{"wind_direction": 337.5}, ""},
		{"WINDIR=0016", nil, serialbridge.DamagedImplausible},
		{"HSTATUS=2", map[string]any{"comfort": "dry"}, ""},
		{"HSTATUS=4", nil, serialbridge.DamagedImplausible},
		{"BFORECAST=4", map[string]any{"forecast": "rain"}, ""},
		{"BAT=FULL", nil, serialbridge.DamagedSyntax},
		{"PIR=OFF", map[string]any{"motion": false}, ""},
		{"RAIN=ffff", map[string]any{"rain": 6553.5}, ""},
		{"RAINRATE=0003", map[string]any{"rain_rate": 0.3}, ""},
		{"CO2=1234", map[string]any{"co2": 1234.0}, ""},
		{"WATT=00ff", map[string]any{"power": 255.0}, ""},
		{"KWATT=00ff", nil, ""}, // of what?
		{"SWITCH=1;CMD=UNKOWN", nil, ""},
		{"SWITCH=1/2;CMD=ON", nil, serialbridge.DamagedSyntax},
		{"SWITCH=1;CMD=", nil, serialbridge.DamagedSyntax},
		{"SWITCH=1;CMD=SET_LEVEL=x", nil, serialbridge.DamagedSyntax},
		{"SWITCH=1;CMD=SET_LEVEL=16", nil, serialbridge.DamagedImplausible},
		{"SWITCH=1;CMD=SET_LEVEL=0", map[string]any{"light_1": lit(0)}, ""},
		{"SWITCH=1;CMD=SET_LEVEL=15", map[string]any{"light_1": object{"state": "ON", "brightness": 255.0, "color_mode": "brightness"}}, ""},
		{"CMD=ON", map[string]any{"switch": true}, ""},
		{"TEMP=0001;TEMP=0002", nil, serialbridge.DamagedSyntax},
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
		if len(got) != len(test.want) || len(got) > 0 && !reflect.DeepEqual(got, test.want) || !slices.Equal(r.Damage, damaged) {
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
		{"half", good[:20] + good, 0, []string{serialbridge.DamagedSyntax}}, // ID occurs twice
		{"half line", good[:20] + "\r\n" + good, 1, []string{serialbridge.DamagedSyntax}},
		{"no end", good + good[:len(good)-2], 1, nil},
		{"line feed alone", strings.ReplaceAll(good, "\r", ""), 1, nil},
		{"empty lines", "\r\n\n\r\n" + good, 1, nil},
		{"DSMR", "/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(40)\r\n" + good, 1, []string{serialbridge.DamagedSyntax, serialbridge.DamagedSyntax}},
		{"MySensors", "20;25;1;0;0;21.5\n0;255;3;0;14;Gateway startup complete.\n" + good, 1, []string{serialbridge.DamagedSyntax, serialbridge.DamagedSyntax}},
		{"JSON", "{\"id\":1}\n", 0, []string{serialbridge.DamagedSyntax}},
		{"from us", "10;NewKaku;00c142;1;ON;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"binary", "20;05;Cresta;ID=28\x0001;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"UTF-8", "20;05;Crest\u00e4;ID=2801;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"long number", "20;005;Cresta;ID=2801;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"bad number", "20;0x;Cresta;ID=2801;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"bad ID", "20;05;Cresta;ID=28z1;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"long ID", "20;05;Cresta;ID=28012801280128012;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"no protocol", "20;05;;ID=2801;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"long protocol", "20;05;" + strings.Repeat("C", 40) + ";ID=2801;TEMP=00af;\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"too long", "20;" + strings.Repeat("5", maxLine) + "\r\n" + good, 1, []string{serialbridge.DamagedTooLong}},
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

// A value that is far from the last one is published when it is said again.
func TestDoubt(t *testing.T) {
	for _, test := range []struct {
		name    string
		values  []string
		want    []any // of each reading
		damaged int
	}{
		{"temperature", []string{"TEMP=00af", "TEMP=00b0", "TEMP=00ff", "TEMP=00b1"}, []any{17.5, 17.6, 25.5, 17.7}, 0},
		{"one wrong", []string{"TEMP=00af", "TEMP=01af", "TEMP=00b0"}, []any{17.5, 17.6}, 1},
		{"it was so", []string{"TEMP=00af", "TEMP=01af", "TEMP=01a0"}, []any{17.5, 41.6}, 1},
		{"two different", []string{"TEMP=00af", "TEMP=01af", "TEMP=800f", "TEMP=00b0"}, []any{17.5, 17.6}, 2},
		{"rain", []string{"RAIN=0100", "RAIN=0103", "RAIN=0003", "RAIN=0103"}, []any{25.6, 25.9, 25.9}, 1},
		{"new battery", []string{"RAIN=0100", "RAIN=0001", "RAIN=0001"}, []any{25.6, 0.1}, 1},
		{"humidity", []string{"HUM=40", "HUM=90", "HUM=41"}, []any{40.0, 41.0}, 1},
		{"light", []string{"LUX=0001", "LUX=ffff"}, []any{1.0, 65535.0}, 0},
	} {
		var lines []string
		for _, v := range test.values {
			lines = append(lines, "20;05;Cresta;ID=2801;"+v+";\r\n")
		}
		r := decode(t, lines...)
		var got []any
		for _, reading := range r.Readings {
			for _, v := range reading.Values {
				got = append(got, v)
			}
		}
		if !slices.Equal(got, test.want) || len(r.Damage) != test.damaged {
			t.Errorf("%s: %v %q, want %v", test.name, got, r.Damage, test.want)
		}
	}
}

func TestIgnored(t *testing.T) {
	r := decode(t, "20;05;Mystery;ID=01;FOO=1;\r\n")
	if want := []string{"nothing that devices of Mystery say is known here"}; !slices.Equal(r.Overheard, want) || len(r.Devices) > 0 {
		t.Errorf("ignored %q, devices %v", r.Overheard, r.Devices)
	}
}

// Remote controls and detectors are silent while nothing happens.
func TestWhenUsed(t *testing.T) {
	r := decode(t, readLines(t)...)
	for id, want := range map[string]bool{
		"rflink_upm_esic_0001": false, "rflink_cresta_8301": false, "rflink_pir_aa66": true, "rflink_smokealert_123456": true,
		"rflink_newkaku_000007": true, "rflink_selectplus_1bb4": true, "rflink_rts_1a602a": true, "rflink_milightv1_f746": true,
	} {
		if d, ok := r.Devices[id]; !ok || d.WhenUsed != want {
			t.Errorf("%+v", d)
		}
	}
}

func TestPieces(t *testing.T) {
	some := strings.Join(readLines(t)[30:], "") // with switches, levels and blinds
	want := decode(t, some)
	for pieces := range drivertest.Splits(some, 1) {
		if got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in %d pieces, %d bytes first: %+v", len(pieces), len(pieces[0]), got)
		}
	}
	all := strings.Join(readLines(t), "")
	want = decode(t, all)
	if got := decode(t, strings.Split(all, "")...); !reflect.DeepEqual(got, want) {
		t.Fatal("byte by byte")
	}
}

// There is room for the devices of a house beside what was heard once only.
func TestLimits(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, labels, false)
	hear := func(id int, at time.Duration) {
		d.Decode(fmt.Appendf(nil, "20;05;Cresta;ID=%04x;TEMP=00af;\r\n", id), received.Add(at))
	}
	for i := range maxDevices {
		hear(i, time.Duration(i)*time.Second)
	}
	hear(0, time.Hour)
	hear(maxDevices, time.Hour)
	if len(d.transmitters) != maxDevices || len(r.Devices) != maxDevices || d.transmitters["rflink_cresta_0000"] == nil || d.transmitters["rflink_cresta_0001"] != nil || len(r.Overheard) != 0 {
		t.Errorf("%d devices, ignored %q", len(d.transmitters), r.Overheard)
	}
	for i := range 2 * maxDevices {
		hear(i, 2*time.Hour)
		hear(i, 2*time.Hour)
	}
	if len(d.transmitters) != maxDevices || len(r.Overheard) != 2*maxDevices || len(r.Damage) != 0 {
		t.Errorf("%d devices, %d ignored, damaged %q", len(d.transmitters), len(r.Overheard), r.Damage)
	}
	r = &recorder{}
	d = newDecoder(r, labels, false)
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
		case serialbridge.State, serialbridge.Event:
			if len(p.Options) == 0 {
				t.Errorf("%s: no options", p.Key)
			}
		case serialbridge.Light, serialbridge.Cover:
			if !p.Has(serialbridge.Assumed) {
				t.Errorf("%s: who confirms it?", p.Key)
			}
		}
	}
}

// Half a line and the next one are never taken for a line of a third device.
func TestLinesRunTogether(t *testing.T) {
	lines := readLines(t)
	for i, first := range lines[:len(lines)-1] {
		next := lines[i+1]
		of := func(line string) []serialbridge.Reading { return decode(t, line).Readings }
		alone := append(of(first), of(next)...)
		for cut := range strings.TrimRight(first, "\r\n") {
			for _, r := range of(first[:cut] + next) {
				if !slices.ContainsFunc(alone, func(a serialbridge.Reading) bool { return reflect.DeepEqual(a, r) }) {
					t.Errorf("%q makes %v", first[:cut]+next, r)
				}
			}
		}
	}
}
