package mysensors

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

var known = variables()

func decode(t testing.TB, pieces ...string) *recorder {
	t.Helper()
	r := &recorder{}
	d := newDecoder(r, known)
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
	if !slices.Equal(r.Damage, []string{damagedSyntax}) || len(r.Readings) != 2 {
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
		{vTemp, "-127", nil, damagedImplausible}, // what a DS18B20 says that is not there
		{vTemp, "", nil, damagedSyntax},
		{vTemp, "nan", nil, damagedSyntax},
		{vTemp, "1e3", nil, damagedSyntax},
		{vTemp, ".5", nil, damagedSyntax},
		{vTemp, "5.", nil, damagedSyntax},
		{vTemp, "0x10", nil, damagedSyntax},
		{vHum, "50", map[string]any{"humidity_3": 50.0}, ""},
		{vHum, "101", nil, damagedImplausible},
		{vStatus, "1", map[string]any{"status_3": true}, ""},
		{vStatus, "0", map[string]any{"status_3": false}, ""},
		{vStatus, "2", nil, damagedSyntax},
		{vPercentage, "40", map[string]any{"percentage_3": 40.0}, ""},
		{vPercentage, "140", nil, damagedImplausible},
		{vForecast, "sunny", map[string]any{"forecast_3": "sunny"}, ""},
		{vForecast, "fine", nil, damagedSyntax},
		{vTripped, "1", map[string]any{"tripped_3": true}, ""},
		{vKWh, "1234.567", map[string]any{"energy_3": 1234.567}, ""},
		{vKWh, "-1", nil, damagedImplausible},
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

// A child that presents itself says what its variables are about.
func TestPresentation(t *testing.T) {
	property := func(r *recorder, key string) serialbridge.Property {
		for _, p := range r.Devices["mysensors_7"].Properties {
			if p.Key == key {
				return p
			}
		}
		return serialbridge.Property{}
	}
	r := decode(t, "7;3;1;0;16;1\n")
	if p := property(r, "tripped_3"); p.Class != "" || p.Name != "Tripped 3" {
		t.Errorf("before: %+v", p)
	}
	r = decode(t, "7;3;1;0;16;1\n", "7;3;0;0;0;Garage\n", "7;3;1;0;16;0\n")
	if p := property(r, "tripped_3"); p.Class != "opening" || p.Name != "Garage (Door)" || len(r.Readings) != 2 {
		t.Errorf("after: %+v", p)
	}
	r = decode(t, "7;4;0;0;21;\n", "7;4;1;0;35;12.5\n")
	if p := property(r, "volume_4"); p.Class != "water" || p.Unit != "m³" || p.StateClass != "total_increasing" {
		t.Errorf("water: %+v", p)
	}
	r = decode(t, "7;5;0;0;5;Blind\n")
	if n := len(r.Devices["mysensors_7"].Properties); n != 1 || len(r.Readings) > 0 {
		t.Errorf("cover: %+v", r.Devices)
	}
	r = decode(t, "7;255;0;0;17;2.3.2\n", "7;255;3;0;12;1.1\n", "7;255;3;0;11;\n")
	if d := r.Devices["mysensors_7"]; d.Model != "MySensors 2.3.2" || d.SWVersion != "1.1" || d.Name != "MySensors node 7" {
		t.Errorf("%+v", d)
	}
	r = decode(t, "0;255;0;0;18;2.3.2\n")
	if d := r.Devices["mysensors_0"]; d.Name != "MySensors gateway" {
		t.Errorf("%+v", d)
	}
	// Saying it again changes nothing.
	r = decode(t, "7;3;0;0;0;Garage\n", "7;3;0;0;0;Garage\n", "7;255;3;0;11;A\n", "7;255;3;0;11;A\n")
	if len(r.Announcements) != 2 {
		t.Errorf("%d announcements", len(r.Announcements))
	}
}

func TestDamage(t *testing.T) {
	const good = "1;0;1;0;23;43\n"
	for _, test := range []struct {
		name, input string
		readings    int
		damaged     []string
	}{
		{"half", good[:7] + good, 0, []string{damagedSyntax}},
		{"half line", good[:7] + "\n" + good, 1, []string{damagedSyntax}},
		{"no end", good + good[:len(good)-1], 1, nil},
		{"CR LF", "1;0;1;0;23;43\r\n", 1, nil},
		{"empty lines", "\n\r\n" + good, 1, nil},
		{"RFLink", "20;05;Cresta;ID=2801;TEMP=00af;\r\n" + good, 1, []string{damagedSyntax}},
		{"DSMR", "/ISk5\\2MT382-1000\r\n" + good, 1, []string{damagedSyntax}},
		{"NMEA", "$GPGGA,1,2\r\n", 0, []string{damagedSyntax}},
		{"node too great", "256;0;1;0;23;43\n", 0, []string{damagedSyntax}},
		{"command too great", "1;0;5;0;23;43\n", 0, []string{damagedSyntax}},
		{"ack too great", "1;0;1;2;23;43\n", 0, []string{damagedSyntax}},
		{"long number", "0001;0;1;0;23;43\n", 0, []string{damagedSyntax}},
		{"sign", "+1;0;1;0;23;43\n", 0, []string{damagedSyntax}},
		{"set of nobody", "255;0;1;0;23;43\n", 0, []string{damagedSyntax}},
		{"set of a whole node", "1;255;1;0;23;43\n", 0, []string{damagedSyntax}},
		{"binary", "1;0;1;0;47;a\x00b\n", 0, []string{damagedSyntax}},
		{"not UTF-8", "1;0;1;0;47;a\xffb\n", 0, []string{damagedSyntax}},
		{"too long", strings.Repeat("1", maxLine+1) + "\n" + good, 1, []string{damagedTooLong}},
		{"battery", good + "1;255;3;0;0;x\n1;255;3;0;0;101\n", 1, []string{damagedSyntax, damagedImplausible}},
		{"log", "0;255;3;0;9;TSF:MSG:READ,1-1-0,s=0,c=1,t=23,pt=2,l=2,sg=0:43\n", 0, nil},
		{"ready, id request", "0;255;3;0;14;Gateway startup complete.\n255;255;3;0;3;\n", 0, nil},
		{"request", "1;0;2;0;2;\n", 0, nil},
		{"stream", "1;0;4;0;0;\x01\n", 0, nil},
		{"two in one", "1;0;1;0;47;hel2;0;1;0;0;20.5\n", 0, []string{damagedSyntax}},
		{"more than a message", "1;0;1;0;47;" + strings.Repeat("x", maxPayload+1) + "\n", 0, []string{damagedSyntax}},
		{"name of more than a message", "1;0;0;0;6;" + strings.Repeat("x", maxPayload+1) + "\n", 0, []string{damagedSyntax}},
	} {
		r := decode(t, test.input)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}
}

// The line that was under way is passed over: it may be another node's.
func TestFirstLine(t *testing.T) {
	for _, test := range []struct {
		input    string
		readings int
	}{
		{"1;0;1;0;23;43\n", 0}, // was node 21
		{"1;0;1;0;23;43\n1;0;1;0;23;43\n", 1},
		{"\n1;0;1;0;23;43\n", 1},
		{"x" + strings.Repeat("1", 2*maxLine) + "\n1;0;1;0;23;43\n", 1},
	} {
		r := &recorder{}
		d := newDecoder(r, known)
		hearOnce(d)
		d.Decode([]byte(test.input), received)
		if len(r.Readings) != test.readings {
			t.Errorf("%.30q: %v", test.input, r.Readings)
		}
	}
	var heard []message
	d := newDecoder(&recorder{}, known)
	d.onMessage = func(m message) { heard = append(heard, m) }
	d.Decode([]byte("0;255;3;0;14;Gateway startup complete.\n"), received)
	if len(heard) != 1 {
		t.Error("the start of the gateway was passed over")
	}
}

// The first digits of a line before the next one make no node, and one that is there is
// known with all that it said when it speaks again.
func TestSpeaksTwice(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, known)
	say := func(line string, at time.Duration) { d.Decode([]byte(line+"\n"), received.Add(at)) }
	say("", 0)
	say("12;0;1;0;0;20.5", 0)
	if len(r.Devices) != 0 || len(r.Memory) != 0 {
		t.Errorf("believed at once: %v, %v", r.Devices, r.Memory)
	}
	say("12;0;1;0;0;20.6", time.Hour)
	if len(r.Readings) != 2 || r.Readings[0].Values["temperature_0"] != 20.5 || !r.Readings[0].Time.Equal(received) {
		t.Errorf("then: %v", r.Readings)
	}
	for i := range 3 { // once a week a line is cut behind the 1
		say("112;0;1;0;0;20.6", time.Duration(i)*7*24*time.Hour)
	}
	if len(r.Devices) != 1 || len(r.Readings) != 2 {
		t.Errorf("invented: %v", r.Devices)
	}
}

// A number that lost its point is not believed at once.
func TestDoubt(t *testing.T) {
	for _, test := range []struct {
		values  []string
		want    []float64
		damaged int
	}{
		{[]string{"20.5", "205", "20.6"}, []float64{20.5, 20.6}, 1},
		{[]string{"20.5", "60", "61"}, []float64{20.5, 61}, 1}, // a stove
		{[]string{"20.5", "60", "-20", "20.6"}, []float64{20.5, 20.6}, 2},
		{[]string{"20.5", "45", "20"}, []float64{20.5, 45, 20}, 0},
	} {
		var lines strings.Builder
		for _, v := range test.values {
			fmt.Fprintf(&lines, "7;3;1;0;0;%s\n7;4;1;0;13;%s\n", v, v) // a distance may be any
		}
		r := decode(t, lines.String())
		var got []float64
		for _, reading := range r.Readings {
			if v, ok := reading.Values["temperature_3"]; ok {
				got = append(got, v.(float64))
			}
		}
		if !slices.Equal(got, test.want) || len(r.Damage) != test.damaged || len(r.Readings) != len(test.want)+len(test.values) {
			t.Errorf("%v: %v, damaged %q", test.values, got, r.Damage)
		}
	}
}

// What is whole but of no use is told in words.
func TestIgnored(t *testing.T) {
	for _, test := range []struct{ input, want string }{
		{"7;3;1;0;42;28FF\n", "variables of type 42 are not read"},
		{"7;3;0;0;40;x\n", "node 7 has a child of type 40, which is not known"},
		{"7;3;2;0;2;\n", "node 7 asks for a value: nobody here has one for it"},
		{"7;3;4;0;0;0A\n", "node 7 asks for firmware: it is not updated by radio"},
		{"7;255;3;0;1;\n", "node 7 asks for the time: it wants that of its place, which is not known here"},
	} {
		r := decode(t, test.input)
		if len(r.Devices) > 0 || len(r.Damage) > 0 || !slices.Equal(r.Overheard, []string{test.want}) {
			t.Errorf("%q: ignored %q, damaged %q, devices %v", test.input, r.Overheard, r.Damage, r.Devices)
		}
	}
}

// A node is there again as it was: it presents itself only when it starts.
func TestRemember(t *testing.T) {
	lines := "7;255;0;0;17;2.3.2\n7;255;3;0;11;Greenhouse\n7;255;3;0;12;1.1\n7;3;0;0;0;Door\n7;3;1;0;16;1\n7;4;1;0;0;20.5\n7;12;0;0;3;\n7;13;1;0;3;5\n7;13;0;0;4;\n7;14;0;0;29;Heating\n7;14;1;0;44;25\n" +
		"0;255;0;0;18;2.3.2\n9;1;1;0;2;1\n"
	before := decode(t, lines)
	r := &recorder{Memory: before.Memory}
	d := newDecoder(r, known)
	if len(r.Readings) > 0 || !slices.Equal(slices.Sorted(maps.Keys(r.Devices)), []string{"mysensors_0", "mysensors_7", "mysensors_9"}) {
		t.Fatalf("%v", r.Devices)
	}
	for id, is := range r.Devices {
		was := before.Devices[id]
		byKey := func(a, b serialbridge.Property) int { return strings.Compare(a.Key, b.Key) }
		slices.SortFunc(is.Properties, byKey)
		slices.SortFunc(was.Properties, byKey)
		if !reflect.DeepEqual(is, was) || !is.Anonymous {
			t.Errorf("%+v, was %+v", is, was)
		}
	}
	if r.Devices["mysensors_7"].WhenUsed || !r.Devices["mysensors_9"].WhenUsed {
		t.Errorf("%+v", r.Devices)
	}
	m := d.command(serialbridge.Command{Device: "mysensors_7", Key: "status_12", Value: true})
	if len(m) != 1 || m[0].String() != "7;12;1;1;2;1\n" {
		t.Errorf("%v", m)
	}
	// Saying it all again changes nothing.
	announced, memory := len(r.Announcements), maps.Clone(r.Memory)
	d.Decode([]byte("\n"+lines), received)
	if len(r.Announcements) != announced || !maps.Equal(r.Memory, memory) || r.Disorder != "" {
		t.Errorf("%v %v %s", r.Announcements[announced:], r.Memory, r.Disorder)
	}
}

// What is not of our hand in the memory is passed over.
func TestRecallDamaged(t *testing.T) {
	r := &recorder{Memory: map[string]string{
		"":        "{}",
		"255":     "{}",
		"07":      "{}",
		"7":       "[]",
		"8":       "{}",
		"9":       `{"given":true}`,
		"8.255":   `{"type":0}`,
		"8.1":     `{"type":400}`,
		"8.2":     `{"type":-1,"variables":[0,999,-5]}`,
		"8.3":     `{"type":0,`,
		"8.x":     `{"type":0}`,
		"10.1":    `{"type":0,"variables":[16]}`, // of no node
		"8.4.5":   `{"type":0}`,
		"a.b":     "",
		"mesh id": "x",
	}}
	d := newDecoder(r, known)
	if len(r.Announcements) != 1 || len(r.Devices["mysensors_8"].Properties) != 1 || !d.given[9] {
		t.Errorf("%+v %v", r.Announcements, d.given)
	}
}

func TestPieces(t *testing.T) {
	all := readLines(t) + "7;3;0;0;0;Garage\n7;3;1;0;16;1\n7;4;1;0;0;-1.5\n"
	want := decode(t, all)
	for pieces := range drivertest.Splits(all, 1) {
		if got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in %d pieces, %d bytes first: %+v", len(pieces), len(pieces[0]), got)
		}
	}
}

func TestManyProperties(t *testing.T) {
	var lines strings.Builder
	for child := range 200 {
		fmt.Fprintf(&lines, "7;%d;1;0;0;20\n", child)
	}
	lines.WriteString("7;255;3;0;0;50\n")
	r := decode(t, lines.String())
	if n := len(r.Devices["mysensors_7"].Properties); n != maxProperties || len(r.Damage) != 201-maxProperties || r.Damage[0] != damagedMany {
		t.Errorf("%d properties, %d damaged", n, len(r.Damage))
	}
}

// Numbers print as they came.
func TestDecimals(t *testing.T) {
	for _, payload := range []string{"0.1", "20.7", "-3.3", "1234.567", "99999.9"} {
		v, ok := known[vDistance].read(payload)
		text, err := json.Marshal(v)
		if !ok || err != nil || string(text) != payload {
			t.Errorf("%s: %s", payload, text)
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
