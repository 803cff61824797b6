package devices

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// heardOf is a report of datapoints as they go over the air.
func heardOf(t testing.TB, points string) zigbee.Message {
	t.Helper()
	payload, err := hex.DecodeString("0001" + strings.ReplaceAll(points, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return zigbee.Message{Cluster: zigbee.ClusterTuya, Endpoint: 1, Received: time.Unix(1e9, 0),
		Frame: zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: tuyaDataReport, Payload: payload}}
}

// TestLearnerMakesADefinition: what is learnt and named is a definition that its file
// brings back, and that a Learner can go on with.
func TestLearnerMakesADefinition(t *testing.T) {
	var l Learner
	l.Learn(heardOf(t, "01010001 00 65020004 000000d5 66040001 01 67030002 6869 68000002 0614 69050001 00"))
	if err := l.Name([]Meaning{
		{ID: 1, Property: "child_lock", Kind: "bool", Settable: true},
		{ID: 0x65, Property: "temperature", Kind: "scale", Divisor: 10, Unit: "°C"},
		{ID: 0x66, Property: "level", Kind: "enum", Values: map[int64]any{0: "low", 1: "high"}, Settable: true},
		{ID: 0x67, Property: "room", Kind: "identity"}, {ID: 0x68, Property: "plan", Kind: "identity"}, {ID: 0x69, Property: "fault", Kind: "identity"},
	}); err != nil {
		t.Fatal(err)
	}
	u := User{Models: []string{"TS0601"}, Manufacturers: []string{"_TZE200_zzzzzzzz"}, Definition: l.Definition("ZZ-1", "Acme", "Thermostat")}
	text, err := FormatUser([]User{u})
	if err != nil {
		t.Fatal(err)
	}
	users, err := ParseUser(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	d := users[0].Definition
	if !d.Learnable() {
		t.Errorf("nothing more can be learnt with\n%s", text)
	}
	var again Learner
	again.Adopt(d)
	before, after := l.Points(), again.Points()
	if len(after) != len(before) {
		t.Fatalf("%d datapoints, of %d", len(after), len(before))
	}
	for i := range before {
		if !reflect.DeepEqual(asJSON(before[i].Meaning), asJSON(after[i].Meaning)) || before[i].Type != after[i].Type || after[i].Count != 0 {
			t.Errorf("%+v became %+v", before[i].Meaning, after[i].Meaning)
		}
	}
	// The names are those of the definition, and go with it.
	again.Learn(heardOf(t, "65020004 000000d6"))
	if p := again.Points()[1]; p.Value != 214.0 || p.Meaning == nil {
		t.Errorf("%+v", p)
	}
	again.Adopt(nil)
	if points := again.Points(); len(points) != 1 || points[0].Meaning != nil {
		t.Errorf("%+v", points)
	}
}

func TestLearnerRefusesNames(t *testing.T) {
	var l Learner
	l.Learn(heardOf(t, "01010001 00 65020004 000000d5 67030002 6869"))
	many := make(map[int64]any)
	for i := range int64(maxMeaningEnum + 1) {
		many[i] = float64(i)
	}
	for _, test := range []struct {
		meaning Meaning
		says    string
	}{
		{Meaning{ID: 9, Property: "x", Kind: "identity"}, "has not told"},
		{Meaning{ID: 101, Property: "Wärme", Kind: "identity"}, "small letters"},
		{Meaning{ID: 101, Property: strings.Repeat("x", 65), Kind: "identity"}, "at most 64"},
		{Meaning{ID: 101, Property: "linkquality", Kind: "identity"}, "another name"},
		{Meaning{ID: 101, Property: "x", Kind: "range"}, "it is identity, scale, enum or bool"},
		{Meaning{ID: 101, Property: "x", Kind: "scale"}, "above zero"},
		{Meaning{ID: 103, Property: "x", Kind: "scale", Divisor: 10}, "no number"},
		{Meaning{ID: 101, Property: "x", Kind: "enum"}, "needs its values"},
		{Meaning{ID: 101, Property: "x", Kind: "enum", Values: many}, "at most 64"},
		{Meaning{ID: 101, Property: "x", Kind: "enum", Values: map[int64]any{0: []any{}}}, "is none"},
		{Meaning{ID: 101, Property: "x", Kind: "enum", Values: map[int64]any{0: "a", 1: "A"}}, "different values"},
		{Meaning{ID: 1, Property: "x", Kind: "bool", Values: map[int64]any{1: "a", 2: "b"}}, "values of 0 and 1"},
		{Meaning{ID: 103, Property: "x", Kind: "enum", Values: map[int64]any{0: "a"}}, "choose identity"},
		{Meaning{ID: 101, Property: "x", Kind: "identity", Unit: "a\x00"}, "unit"},
	} {
		if err := l.Name([]Meaning{{ID: 1, Property: "good", Kind: "bool"}, test.meaning}[btoi(test.meaning.ID == 1):]); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v; want it to say %q", test.meaning, err, test.says)
		}
	}
	for _, p := range l.Points() {
		if p.Meaning != nil {
			t.Errorf("%d has got a name", p.ID)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestLearnable: what a user has written with more in it than the page can show is not
// taken apart by it.
func TestLearnable(t *testing.T) {
	users, err := ParseUser([]byte(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	if users[0].Definition.Learnable() {
		t.Error("a definition with a range of values is taken for one of the page")
	}
	if (*Definition)(nil).Learnable() != true || (&Definition{Generated: true}).Learnable() != true {
		t.Error("of unknown devices nothing is learnt")
	}
	if (&Definition{Datapoints: []Datapoint{{ID: 1}}}).Learnable() {
		t.Error("what is known is learnt")
	}
}

// FuzzLearner: whatever a device tells, it is bounded and can be named.
func FuzzLearner(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 0, 1, 0, 101, 2, 0, 4, 0, 0, 0, 213})
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := heardOf(t, "")
		m.Frame.Payload = payload
		var l Learner
		l.Learn(m)
		points := l.Points()
		if len(points) > 256 {
			t.Errorf("%d datapoints", len(points))
		}
		for _, p := range points {
			if err := l.Name([]Meaning{{ID: p.ID, Property: "x", Kind: "identity"}, {ID: p.ID, Property: ""}}[:1]); err != nil {
				t.Error(err)
			}
			if err := l.Name([]Meaning{{ID: p.ID}}); err != nil {
				t.Error(err)
			}
		}
	})
}
