package jsonlines

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

var update = flag.Bool("update", false, "write testdata/*.want")

// TestSensors compares what is made of every line, given twice, with what stands in
// the .want file beside.
func TestSensors(t *testing.T) {
	for _, name := range []string{"radio", "shelly"} {
		var b strings.Builder
		for _, line := range readLines(t, name) {
			r := decode(t, line, line)
			for _, d := range r.Devices {
				used := ""
				if d.WhenUsed {
					used = ", when used"
				}
				fmt.Fprintf(&b, "%s: %s, %s, %s%s\n", d.ID, d.Name, d.Model, d.Vendor, used)
			}
			for _, reading := range r.Readings {
				values, err := json.Marshal(reading.Values)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s\n", values)
			}
			for _, reason := range append(r.Damage, r.Overheard...) {
				fmt.Fprintf(&b, "%s\n", reason)
			}
			if len(r.Devices)+len(r.Overheard) == 0 {
				b.WriteString("nothing\n")
			}
			if len(r.Devices) > 1 || len(r.Readings) > 1 || len(r.Damage) > 0 {
				t.Errorf("%s: %+v", line, r)
			}
		}
		path := "testdata/" + name + ".want"
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != string(want) {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}

// What OpenMQTTGateway logs is read like what it writes by itself.
func TestLogged(t *testing.T) {
	const sensor = `{"model":"Nexus-TH","id":7,"channel":1,"temperature_C":20.5}`
	for _, test := range []struct {
		line     string
		readings int
	}{
		{sensor, 1},
		{"N: Received message : " + sensor, 1},
		{"N: Send on /RTL_433toMQTT/Nexus-TH/1/7 msg " + sensor, 1},
		{"N: Send on /RTL_433toMQTT msg " + sensor, 1},
		{"N: Send on /433toMQTT msg " + `{"value":1315156,"protocol":1,"length":24,"delay":317}`, 1},
		{"N: Send on /BTtoMQTT/A4C13874B085 msg " + `{"id":"A4:C1:38:74:B0:85","tempc":20.5}`, 1},
		{"N: Send on /SYStoMQTT msg " + `{"mac":"A4:C1:38:74:B0:85","tempc":50.5}`, 0}, // of the gateway itself
		{"N: Received message : ", 0},
		{"N: " + sensor, 0},
		{"n: Received message : " + sensor, 0},
		{"N" + strings.Repeat(" ", 2*maxLine) + sensor, 0},
	} {
		if r := decode(t, strings.Repeat(test.line+"\n", 2)); len(r.Readings) != test.readings || len(r.Damage) > 0 {
			t.Errorf("%s: %d readings, damaged %q", test.line, len(r.Readings), r.Damage)
		}
	}
	if r := decode(t, "N: Received message : "+sensor[:20]+"\n"); !slices.Equal(r.Damage, []string{"syntax"}) {
		t.Errorf("damaged %q", r.Damage)
	}
}

func TestRadioIdentity(t *testing.T) {
	for _, test := range []struct{ members, want string }{
		{`"model":"A-B","id":1`, "jsonlines_rf_A-B_1"},
		{`"model":"A-B","id":1,"channel":2`, "jsonlines_rf_A-B_1_2"},
		{`"model":"A-B","id":"0a","channel":"AR"`, "jsonlines_rf_A-B_0a_AR"},
		{`"model":"A-B","channel":2`, "jsonlines_rf_A-B_2"},
		{`"model":"A b/C","id":1`, "jsonlines_rf_A_b_C_1"},
		{`"model":"` + strings.Repeat("a", 60) + `","id":"1234567890123456","channel":"12345678"`,
			"jsonlines_rf_" + strings.Repeat("a", 24) + "_1234567890123456_12345678"},
		{`"model":"A-B"`, ""},
		{`"model":"A-B","id":null`, ""},
		{`"model":"A-B","id":true`, ""},
		{`"model":"A-B","id":1.5`, ""},
		{`"model":"A-B","id":-1`, ""},
		{`"model":"A-B","id":1e3`, ""},
		{`"model":"A-B","id":"a b"`, ""},
		{`"model":"A-B","id":12345678901234567`, ""},
		{`"model":"","id":1`, ""},
		{`"model":5,"id":1`, ""},
		{`"id":1`, ""},
		{`"model":"A-B","id":1,"type":"TPMS"`, ""},
	} {
		line := "{" + test.members + `,"temperature_C":1}` + "\n"
		r := decode(t, line, line)
		got := ""
		if len(r.Readings) == 1 {
			got = r.Readings[0].Device
		}
		if got != test.want || len(got) > 64 || len(r.Damage) > 0 {
			t.Errorf("%s: %q, want %q", test.members, got, test.want)
		}
	}
}

func TestRadioValues(t *testing.T) {
	const none = "null"
	for _, test := range []struct{ members, want string }{
		{`"temperature_C":-40.1,"temperature_F":-40.2`, `{"temperature":-40.1}`},
		{`"temperature_3_F":70`, `{"temperature_3":70}`},
		{`"temperature_C":"20"`, none},
		{`"temperature_C":1001`, none},
		{`"humidity":101`, none},
		{`"rssi":-50`, none},
		{`"wind_max_m_s":3.5,"wind_avg_mi_h":2`, `{"wind_gust":3.5,"wind_speed":2}`},
		{`"pm2_5_ug_m3":12`, `{"pm25":12}`},
		{`"battery_ok":1`, `{"battery_low":false}`},
		{`"battery_ok":0`, `{"battery_low":true}`},
		{`"battery_ok":0.095`, `{"battery":10,"battery_low":true}`},
		{`"battery_ok":0.5,"battery_pct":49`, `{"battery":49,"battery_low":false}`},
		{`"battery_ok":7`, none},
		{`"battery_ok":"OK"`, none},
		{`"tamper":1`, `{"tamper":true}`},
		{`"tamper":2`, none},
		{`"detect_wet":true`, `{"wet":true}`},
		{`"switch1":"Open"`, `{"contact_1":true}`},
		{`"switch1":"ajar"`, none},
		{`"state":"closed"`, `{"open":false}`},
		{`"state":"ON","unit":3,"group":0`, `{"switch_3":true}`},
		{`"command":"Off","unit":10,"group_call":"No","dim":"No"`, `{"switch_10":false}`},
		{`"command":"On","unit":10,"group_call":"Yes"`, `{"switch_all":true}`},
		{`"control":"Stop (5)"`, `{"command":"stop"}`},
		{`"opened":0`, `{"open":false}`},
		{`"state":"off"`, `{"switch":false}`},
		{`"state":"off","unit":"x"`, `{"switch":false}`},
		{`"state":"Panic"`, `{"command":"panic"}`},
		{`"command":"stop_or_release"`, `{"command":"stop_or_release"}`},
		{`"command":"` + strings.Repeat("a", 33) + `"`, none},
		{`"cmd":7`, `{"command":"7"}`},
		{`"cmd":10,"state":"motion","motion":1`, `{"motion":"motion"}`},
		{`"motion":"true"`, `{"motion":"motion"}`},
		{`"motion":"false"`, none},
		{`"event":"Button Press"`, `{"event":"button press"}`},
		{`"event":160`, none},
		{`"button":1`, `{"button":"1"}`},
		{`"button":0`, none},
	} {
		line := `{"model":"A-B","id":1,` + test.members + "}\n"
		r := decode(t, line, line)
		got := []byte(none)
		if len(r.Readings) == 1 {
			got, _ = json.Marshal(r.Readings[0].Values)
		}
		if string(got) != test.want || len(r.Damage) > 0 {
			t.Errorf("%s: %s, want %s", test.members, got, test.want)
		}
	}
}

// A press is told once, though it is sent several times.
func TestRepetitions(t *testing.T) {
	press := func(r *recorder) string {
		var all []string
		for _, reading := range r.Readings {
			for _, key := range []string{"button", "command"} {
				if v, ok := reading.Values[key]; ok {
					all = append(all, v.(string))
				}
			}
		}
		return strings.Join(all, " ")
	}
	button := func(packet, n int) string {
		return fmt.Sprintf(`{"mac":"BC:02:6E:AA:BB:CC","type":"BTN","packet":%d,"press":%d}`+"\n", packet, n)
	}
	r := decode(t, button(1, 1), button(1, 1), button(1, 1), button(2, 1), button(2, 1), button(3, 2), button(4, 0), button(5, 4), button(5, 4))
	if got := press(r); got != "single single double long" || !r.Announcements[0].WhenUsed {
		t.Errorf("%q, %+v", got, r.Announcements)
	}
	if r := decode(t, strings.Repeat(`{"mac":"BC:02:6E:AA:BB:CC","press":1}`+"\n", 3)); len(r.Readings) > 0 {
		t.Errorf("without the number of the packet: %+v", r.Readings)
	}

	r = &recorder{}
	d := Driver().NewDecoder(r)
	at := received
	for _, step := range []struct {
		cmd   int
		after time.Duration
	}{{1, 0}, {1, 0}, {1, 60 * time.Millisecond}, {2, 100 * time.Millisecond}, {2, 900 * time.Millisecond}, {2, 900 * time.Millisecond}, {2, time.Second}, {1, 0}} {
		at = at.Add(step.after)
		d.Decode([]byte(fmt.Sprintf(`{"model":"Generic-Remote","id":9,"cmd":%d}`+"\n", step.cmd)), at)
	}
	if got := press(r); got != "1 2 2 1" {
		t.Errorf("%q", got)
	}
	last := r.Announcements[len(r.Announcements)-1]
	if len(r.Announcements) != 2 || !last.WhenUsed || !slices.Equal(last.Properties[0].Options, []string{"1", "2"}) ||
		!slices.Equal(r.Announcements[0].Properties[0].Options, []string{"1"}) {
		t.Errorf("%+v", r.Announcements)
	}

	// Not more commands than can be listed.
	r = &recorder{}
	d = Driver().NewDecoder(r)
	for i := range 100 {
		d.Decode([]byte(fmt.Sprintf(`{"model":"Generic-Remote","id":9,"cmd":%d,"tamper":0}`+"\n", i)), received)
	}
	if n := len(r.Devices["jsonlines_rf_Generic-Remote_9"].Properties[1].Options); n != maxOptions || r.Disorder != "" {
		t.Errorf("%d options %s", n, r.Disorder)
	}
}

// The neighbours' sensors have an end.
func TestManyRadios(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, definitions(), radioDefinitions())
	for i := range 200 {
		line := fmt.Sprintf(`{"model":"A-B","id":%d,"temperature_C":1}`+"\n", i)
		d.Decode([]byte(line+line), received)
	}
	const more = "more than 128 radio sensors are heard: the rest is left out"
	if len(r.Devices) != maxRadio || len(r.Overheard) != 200-maxRadio || r.Overheard[0] != more {
		t.Errorf("%d devices, ignored %q", len(r.Devices), r.Overheard)
	}
	known := `{"model":"A-B","id":0,"temperature_C":2}` + "\n"
	bluetooth := `{"id":"A4:C1:38:74:B0:85","tempc":20.5}` + "\n"
	d.Decode([]byte(known+bluetooth+bluetooth), received)
	if n := len(r.Readings); n != maxRadio+2 {
		t.Errorf("%d readings", n)
	}
}

func TestRadioProperties(t *testing.T) {
	units := map[string][]string{
		"temperature": {"°C", "°F"}, "humidity": {"%"}, "moisture": {"%"}, "atmospheric_pressure": {"hPa"}, "pressure": {"kPa", "psi"},
		"precipitation": {"mm", "in"}, "precipitation_intensity": {"mm/h", "in/h"}, "illuminance": {"lx"}, "carbon_dioxide": {"ppm"},
		"distance": {"cm"}, "power": {"W"}, "energy": {"kWh"}, "current": {"A"}, "voltage": {"V", "mV"}, "battery": {"%"},
		"signal_strength": {"dBm"}, "wind_speed": {"m/s", "km/h", "mph"}, "wind_direction": {"°"}, "": {""},
		"pm1": {"\u03bcg/m³"}, "pm25": {"\u03bcg/m³"}, "pm4": {"\u03bcg/m³"}, "pm10": {"\u03bcg/m³"},
	}
	for name, d := range radioDefinitions() {
		p := d.property
		switch p.Kind {
		case serialbridge.Binary:
			if !slices.Contains([]string{"opening", "moisture", "safety", "tamper"}, p.Class) || p.Unit+p.StateClass != "" {
				t.Errorf("%s: %+v", name, p)
			}
		case serialbridge.Measurement:
			if !slices.Contains(units[p.Class], p.Unit) || d.min >= d.max || p.StateClass == "" {
				t.Errorf("%s: %+v", name, d)
			}
			if (p.Class == "energy") && p.StateClass != "total_increasing" {
				t.Errorf("%s: %+v", name, p)
			}
		default:
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// The pieces do not matter here either.
func TestRadioSplits(t *testing.T) {
	text := strings.Join(append(readLines(t, "radio"), readLines(t, "shelly")...), "")
	text += "N: Received message : " + text
	want := decode(t, text)
	for pieces := range drivertest.Splits(text, 211) {
		if got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in %d pieces, %d bytes first: %+v", len(pieces), len(pieces[0]), got)
		}
	}
}
