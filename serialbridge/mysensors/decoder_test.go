package mysensors

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

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
		{"half", good[:7] + good, 0, []string{serialbridge.DamagedSyntax}},
		{"half line", good[:7] + "\n" + good, 1, []string{serialbridge.DamagedSyntax}},
		{"no end", good + good[:len(good)-1], 1, nil},
		{"CR LF", "1;0;1;0;23;43\r\n", 1, nil},
		{"empty lines", "\n\r\n" + good, 1, nil},
		{"RFLink", "20;05;Cresta;ID=2801;TEMP=00af;\r\n" + good, 1, []string{serialbridge.DamagedSyntax}},
		{"DSMR", "/ISk5\\2MT382-1000\r\n" + good, 1, []string{serialbridge.DamagedSyntax}},
		{"NMEA", "$GPGGA,1,2\r\n", 0, []string{serialbridge.DamagedSyntax}},
		{"node too great", "256;0;1;0;23;43\n", 0, []string{serialbridge.DamagedSyntax}},
		{"command too great", "1;0;5;0;23;43\n", 0, []string{serialbridge.DamagedSyntax}},
		{"ack too great", "1;0;1;2;23;43\n", 0, []string{serialbridge.DamagedSyntax}},
		{"long number", "0001;0;1;0;23;43\n", 0, []string{serialbridge.DamagedSyntax}},
		{"sign", "+1;0;1;0;23;43\n", 0, []string{serialbridge.DamagedSyntax}},
		{"set of nobody", "255;0;1;0;23;43\n", 0, []string{serialbridge.DamagedSyntax}},
		{"set of a whole node", "1;255;1;0;23;43\n", 0, []string{serialbridge.DamagedSyntax}},
		{"binary", "1;0;1;0;47;a\x00b\n", 0, []string{serialbridge.DamagedSyntax}},
		{"not UTF-8", "1;0;1;0;47;a\xffb\n", 0, []string{serialbridge.DamagedSyntax}},
		{"too long", strings.Repeat("1", maxLine+1) + "\n" + good, 1, []string{serialbridge.DamagedTooLong}},
		{"battery", good + "1;255;3;0;0;x\n1;255;3;0;0;101\n", 1, []string{serialbridge.DamagedSyntax, serialbridge.DamagedImplausible}},
		{"log", "0;255;3;0;9;TSF:MSG:READ,1-1-0,s=0,c=1,t=23,pt=2,l=2,sg=0:43\n", 0, nil},
		{"ready, id request", "0;255;3;0;14;Gateway startup complete.\n255;255;3;0;3;\n", 0, nil},
		{"request", "1;0;2;0;2;\n", 0, nil},
		{"stream", "1;0;4;0;0;\x01\n", 0, nil},
		{"two in one", "1;0;1;0;47;hel2;0;1;0;0;20.5\n", 0, []string{serialbridge.DamagedSyntax}},
		{"more than a message", "1;0;1;0;47;" + strings.Repeat("x", maxPayload+1) + "\n", 0, []string{serialbridge.DamagedSyntax}},
		{"name of more than a message", "1;0;0;0;6;" + strings.Repeat("x", maxPayload+1) + "\n", 0, []string{serialbridge.DamagedSyntax}},
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
		d := newDecoder(r, known, false)
		hearOnce(d)
		d.Decode([]byte(test.input), received)
		if len(r.Readings) != test.readings {
			t.Errorf("%.30q: %v", test.input, r.Readings)
		}
	}
	var heard []message
	d := newDecoder(&recorder{}, known, false)
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
	d := newDecoder(r, known, false)
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
