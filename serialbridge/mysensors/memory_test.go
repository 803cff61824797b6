package mysensors

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
)

// A node is there again as it was: it presents itself only when it starts.
func TestRemember(t *testing.T) {
	lines := "7;255;0;0;17;2.3.2\n7;255;3;0;11;Greenhouse\n7;255;3;0;12;1.1\n7;3;0;0;0;Door\n7;3;1;0;16;1\n7;4;1;0;0;20.5\n7;12;0;0;3;\n7;13;1;0;3;5\n7;13;0;0;4;\n7;14;0;0;29;Heating\n7;14;1;0;44;25\n" +
		"0;255;0;0;18;2.3.2\n9;1;1;0;2;1\n"
	before := decode(t, lines)
	r := &recorder{Memory: before.Memory}
	d := newDecoder(r, known, false)
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
	d := newDecoder(r, known, false)
	if len(r.Announcements) != 1 || len(r.Devices["mysensors_8"].Properties) != 1 || !d.given[9] {
		t.Errorf("%+v %v", r.Announcements, d.given)
	}
}
