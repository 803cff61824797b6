package devices

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// example is the file that user.md shows.
func example(t testing.TB) string {
	text, err := os.ReadFile("user.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, ok := strings.Cut(string(text), "```toml\n")
	toml, _, ok2 := strings.Cut(text2, "```")
	if !ok || !ok2 {
		t.Fatal("user.md shows no file")
	}
	return toml
}

func TestParseUser(t *testing.T) {
	users, err := ParseUser([]byte(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	device := &zigbee.Device{ModelID: "TS0601", ManufacturerName: "_TZE200_yjjdcqsq", Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{0xef00}}}}
	d := ResolveUser(users, device)
	if !d.External || d.Model != "ZTH01" || len(d.Exposes) != 3 || len(d.Datapoints) != 3 {
		t.Fatalf("%+v", d)
	}
	for _, test := range []struct {
		frame string
		want  Values
	}{
		{"0901020001" + "01020004000000d7", Values{"temperature": 21.5}},
		{"0902020002" + "0304000102", Values{"battery_state": "high"}},
	} {
		f := oracleFrame{Cluster: 0xef00, EP: 1, Hex: test.frame}
		got, err := f.decode(d, device, map[string]any{})
		if err != nil || !reflect.DeepEqual(asJSON(got), asJSON(test.want)) {
			t.Errorf("%s: %v, %v; want %v", test.frame, got, err, test.want)
		}
	}
	if other := ResolveUser(users, &zigbee.Device{ModelID: "TS0601", ManufacturerName: "_TZE200_b6wax7g0"}); other.External {
		t.Errorf("another maker's device is %+v", other)
	}

	text, err := FormatUser(users)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseUser(text)
	if err != nil || !reflect.DeepEqual(asJSON(again), asJSON(users)) {
		t.Errorf("written and read again: %v\n%s", err, text)
	}
}

// TestParseUserRefuses changes the example in one place each.
func TestParseUserRefuses(t *testing.T) {
	good := example(t)
	for _, test := range []struct{ old, new, says string }{
		{`model = "ZTH01"`, ``, "give it a model"},
		{`vendor = "Tuya"`, ``, "give it a vendor"},
		{`zigbee_models = ["TS0601"]`, ``, "zigbee_models = "},
		{`divisor = 10`, ``, "needs a divisor"},
		{`divisor = 10`, `divisor = `, "line 29"},
		{`kind = "scale"`, `kind = "scales"`, "it is one of identity, scale"},
		{`property = "temperature"`, `property = "warmth"`, "no expose has the property"},
		{`enum = { 0 = "low"`, `enum = { none = "low"`, "no whole number"},
		{`id = 17`, `id = 700`, "from 1 to 255"},
		{`type = "number"`, `type = "integer"`, "no type of a datapoint"},
		{`access = ["state", "set"]`, `access = ["write"]`, "it is state, set, get"},
		{`values = ["low", "medium", "high"]`, ``, "needs its values"},
		{`unit = "°C"`, `units = "°C"`, "is no key"},
		{`name = "temperature"`, `name = "Temperature °"`, "small letters"},
	} {
		text := strings.Replace(good, test.old, test.new, 1)
		if text == good {
			t.Fatalf("%q is not in the example", test.old)
		}
		if _, err := ParseUser([]byte(text)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s → %s: %v; want it to say %q", test.old, test.new, err, test.says)
		}
	}
	if _, err := ParseUser(nil); err == nil || !strings.Contains(err.Error(), "[[device]]") {
		t.Errorf("an empty file: %v", err)
	}
}

func TestUserAttribute(t *testing.T) {
	users, err := ParseUser([]byte(`
[[device]]
model = "X"
vendor = "ACME"
zigbee_models = ["ACME-X"]
[[device.expose]]
type = "numeric"
name = "level"
access = ["state", "set", "get"]
[[device.attribute]]
cluster = 0xfc77
id = 0x0002
manufacturer_code = 0x1234
property = "level"
kind = "scale"
divisor = 100
type = "uint16"
read = true
report = [10, 3600, 5]
`))
	if err != nil {
		t.Fatal(err)
	}
	device := &zigbee.Device{ModelID: "ACME-X", Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{0xfc77}}}}
	f := oracleFrame{Cluster: 0xfc77, EP: 1, Hex: "0c3412010a020021e803"}
	got, err := f.decode(ResolveUser(users, device), device, map[string]any{})
	if err != nil || !near(asJSON(got), map[string]any{"level": 10.0}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestUserReport: what is reported is set up with its own type, be it that of the standard.
func TestUserReport(t *testing.T) {
	const text = `
[[device]]
model = "X"
vendor = "ACME"
zigbee_models = ["ACME-X"]
[[device.expose]]
type = "numeric"
name = "coil_temperature"
[[device.attribute]]
cluster = "msTemperatureMeasurement"
id = "measuredValue"
property = "coil_temperature"
kind = "scale"
divisor = 100
report = [10, 3600, 50]
`
	users, err := ParseUser([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	device := &zigbee.Device{ModelID: "ACME-X", Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{clusterTemperature}}}}
	found := false
	for _, step := range ResolveUser(users, device).Steps(&Context{Device: device}) {
		for _, r := range step.Report {
			if found = true; r.Type != uint8(zcl.Int16) {
				t.Errorf("reported as %v", zcl.Type(r.Type))
			}
		}
	}
	if !found {
		t.Error("nothing is reported")
	}
	for _, id := range []string{`id = 0x7777`, "manufacturer_code = 1\nid = 0"} {
		if _, err := ParseUser([]byte(strings.Replace(text, `id = "measuredValue"`, id, 1))); err == nil || !strings.Contains(err.Error(), "the type with which it is reported") {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func FuzzParseUser(f *testing.F) {
	f.Add([]byte(example(f)))
	f.Fuzz(func(t *testing.T, text []byte) {
		users, err := ParseUser(text)
		if err != nil {
			return
		}
		again, err := FormatUser(users)
		if err != nil {
			return // quirks may hold what TOML has and its encoder has not
		}
		if _, err := ParseUser(again); err != nil {
			t.Errorf("%s\nbecame\n%s\n%v", text, again, err)
		}
	})
}
