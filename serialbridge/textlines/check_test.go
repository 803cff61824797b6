package textlines

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// Each entry is wrong in one thing, and Check says which.
func TestCheck(t *testing.T) {
	const ok = "[[properties]]\nkey = \"a\"\nfrom = \"a\"\n"
	csv := func(top string) string {
		return "format = \"csv\"\n" + top + "[[properties]]\nkey = \"a\"\nfrom = \"2\"\n"
	}
	pairs := func(top string) string { return "format = \"keyvalue\"\n" + top + ok }
	kind := func(s string) string { return "[[properties]]\nkey = \"a\"\nkind = " + s }
	for _, test := range []struct{ options, want string }{
		{``, `properties: there are 0; right is 1 to 64`},
		{`line = "9600 9N1"` + "\n" + ok, `line: "9600 9N1" is no setting of a line`},
		{`format = "xml"` + "\n" + ok, `format: "xml" is none of json, csv, keyvalue`},
		{`checksum = "crc32"` + "\n" + ok, `checksum: "crc32" is none of none, xor, sum8, crc16`},
		{`separator = ";"` + "\n" + ok, `separator: there is none in lines of JSON`},
		{csv("separator = \".\"\n"), `separator: "." cannot be told`},
		{csv("separator = \"x\"\n"), `separator: "x" cannot be told`},
		{csv("separator = \"  \"\n"), `separator: "  " cannot be told`},
		{csv("separator = \"\\n\"\n"), `separator: "\n" cannot be told`},
		{csv("separator = \";;;;;;;;;\"\n"), `separator: longer than 8 bytes`},
		{csv("pair = \"=\"\n"), `pair: only lines of the format keyvalue`},
		{pairs("pair = \"-\"\n"), `pair: "-" is none of =, :`},
		{pairs("pair = \":\"\nseparator = \":\"\n"), `pair: ":" is the separator too`},
		{`comment = "{"` + "\n" + ok, `comment: every line begins with {`},
		{`comment = "` + strings.Repeat("#", 65) + `"` + "\n" + ok, `comment: longer than 64 characters`},
		{"header = true\n" + ok, `header: only lines of the format csv`},
		{csv("header = true\n"), `header: no column is used by its name`},
		{"columns = 3\n" + ok, `columns: only lines of the format csv`},
		{csv("columns = -1\n"), `columns: -1 is not between 1 and 256`},
		{csv("columns = 1\n"), `columns: column 2 is used`},

		{"[[devices]]\nid = \"a b\"\n" + ok, `devices[0].id: "a b" is not 1 to 32 letters`},
		{"[[devices]]\nmatch = { a = \"1\" }\n[[devices]]\n" + ok, `devices[1].id: devices[0] has none either`},
		{"[[devices]]\nid = \"x\"\nmatch = { a = \"1\" }\n[[devices]]\nid = \"x\"\n" + ok, `devices[1].id: "x" is the ID of devices[0] too`},
		{"[[devices]]\nid = \"x\"\n[[devices]]\nid = \"y\"\n" + ok, `devices[0].match: every line is taken for this device, so devices[1] never has any`},
		{"[[devices]]\nid_from = \"a..b\"\n" + ok, `devices[0].id_from: "a..b" has an empty name between dots`},
		{"[[devices]]\nname = \"\\u0007\"\n" + ok, `devices[0].name: "\a" has characters that cannot be shown`},
		{"[[devices]]\nvendor = \"" + strings.Repeat("ä", 65) + "\"\n" + ok, `devices[0].vendor: longer than 64 characters`},
		{"[[devices]]\nmatch = { a = \"\" }\n" + ok, `devices[0].match: a place and a text are wanted`},
		{"[[devices]]\nmatch = { a = \"\\u0007\" }\n" + ok, `devices[0].match: "\a" has characters that cannot be shown`},

		{"[[properties]]\nkey = \"A\"\nfrom = \"a\"\n", `properties[0].key: "A" is not 1 to 64 lower case letters`},
		{ok + ok, `properties[1].key: "a" is the key of properties[0] too`},
		{ok + "device = \"x\"\n", `properties[0].device: there is no device with the ID "x"`},
		{ok + "name = \"\\u0000\"\n", `properties[0].name: "\x00" has characters`},
		{"[[properties]]\nkey = \"a\"\n", `properties[0].from: missing: where in a line the value is`},
		{"[[properties]]\nkey = \"a\"\nfrom = \" a\"\n", `properties[0].from: " a" has a space at an end`},
		{"[[properties]]\nkey = \"a\"\nfrom = \"a.\"\n", `properties[0].from: "a." has an empty name`},
		{"format = \"csv\"\n" + ok, `properties[0].from: "a" is no number of a column`},
		{"format = \"csv\"\n[[properties]]\nkey = \"a\"\nfrom = \"0\"\n", `properties[0].from: column 0 is not between 1 and 256`},
		{"format = \"csv\"\n[[properties]]\nkey = \"a\"\nfrom = \"99999999999999999999\"\n", `properties[0].from: column 99999999999999999999 is not`},
		{"format = \"keyvalue\"\n[[properties]]\nkey = \"a\"\nfrom = \"a=b\"\n", `properties[0].from: "a=b" holds`},

		{kind(`"light"`), `properties[0].kind: "light" is none of measurement, state`},
		{ok + "unit = \"C\"\nclass = \"temperature\"\n", `properties[0].unit: "C" is no unit of temperature; right is °C, °F, K`},
		{ok + "class = \"humidity\"\n", `properties[0].unit: missing: humidity has one; right is %`},
		{ok + "unit = \"pH\"\nclass = \"ph\"\n", `properties[0].unit: "pH" is no unit of ph; right is none: leave it out`},
		{ok + "unit = \" W\"\n", `properties[0].unit: " W" is too long, has a space`},
		{ok + "class = \"heat\"\n", `properties[0].class: "heat" is none of absolute_humidity`},
		{ok + "class = \"energy\"\nunit = \"kWh\"\nstate_class = \"measurement\"\n", `properties[0].state_class: "measurement" is none of total_increasing, total, none`},
		{ok + "kind = \"binary\"\nclass = \"tempest\"\n", `properties[0].class: "tempest" is none of battery`},
		{ok + "kind = \"state\"\nclass = \"enum\"\n", `properties[0].class: a state has none`},
		{ok + "kind = \"state\"\nunit = \"W\"\n", `properties[0].unit: only a measurement and a setting have it`},
		{ok + "kind = \"state\"\nmin = 0.0\n", `properties[0].min: only a measurement and a setting have it`},
		{ok + "kind = \"state\"\nstate_class = \"total\"\n", `properties[0].state_class: only a measurement has it`},
		{ok + "step = 1.0\n", `properties[0].step: only a setting has it`},
		{ok + "precision = 10\n", `properties[0].precision: 10 is not between 0 and 9`},
		{ok + "scale = 1e16\n", `properties[0].scale: 1e+16 is too large or too small`},
		{ok + "offset = nan\n", `properties[0].offset: NaN is too large or too small`},
		{ok + "min = -inf\n", `properties[0].min: -Inf is too large or too small`},
		{ok + "min = 1.0\nmax = 1.0\n", `properties[0].max: 1 is not greater than min, which is 1`},
		{ok + "command = \"x\"\n", `properties[0].command: a measurement cannot be commanded`},
		{ok + "category = \"config\"\n", `properties[0].category: only what can be commanded is config`},
		{ok + "category = \"main\"\n", `properties[0].category: "main" is none of diagnostic, config`},
		{ok + "options = [\"a\"]\n", `properties[0].options: only a state, an event and a choice have texts`},
		{ok + "on = \"a\"\noff = \"b\"\n", `properties[0].on: only what is binary and a switch`},
		{ok + "kind = \"binary\"\non = \"a\"\n", `properties[0].on: on and off go together`},
		{ok + "kind = \"event\"\n", `properties[0].options: missing: the texts that there are`},
		{ok + "kind = \"state\"\noptions = [\"a\", \"a\"]\n", `properties[0].options: "a" is empty, has a space at an end or is there twice`},
		{ok + "kind = \"state\"\noptions = [\"\\u0000\"]\n", `properties[0].options: "\x00" has characters`},

		{kind(`"switch"`), `properties[0].command: missing: the text that is written when the switch is used`},
		{kind("\"switch\"\ncommand = \"ON\""), `properties[0].command: %s is missing`},
		{kind("\"switch\"\ncommand = \"%d\""), `properties[0].command: % stands before s`},
		{kind("\"switch\"\ncommand = \"%s %\""), `properties[0].command: % stands before s`},
		{kind("\"switch\"\ncommand = \"%s %i\""), `properties[0].command: %i is the ID that is in the data`},
		{kind("\"switch\"\ncommand = \"%s" + strings.Repeat("x", 255) + "\""), `properties[0].command: longer than 256 bytes`},
		{kind("\"button\"\ncommand = \"%s\""), `properties[0].command: a button has no value`},
		{kind("\"button\"\ncommand = \"x\"\nfrom = \"x\""), `properties[0].from: a button has no value`},
		{kind("\"setting\"\ncommand = \"%s\"\nmax = 1.0"), `properties[0].min: missing: a setting has a range`},
		{kind("\"setting\"\ncommand = \"%s\"\nmin = 1.0"), `properties[0].max: missing: a setting has a range`},
		{kind("\"setting\"\ncommand = \"%s\"\nmin = 1.0\nmax = 2.0\nstep = -1.0"), `properties[0].step: -1 is less than 0`},
		{kind("\"choice\"\ncommand = \"%s\""), `properties[0].options: missing`},
		{kind(`"raw"`), `properties[0].command: missing, and so is from`},
		{kind(`"text"`), `properties[0].command: missing`},
		{kind(`"tag"`), `properties[0].from: missing`},
	} {
		err := parseOptions(t, test.options).Check()
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\ngot  %v\nwant %s", test.options, err, test.want)
		}
	}

	// All that is wrong is said at once.
	o := parseOptions(t, "format = \"csv\"\ncolumns = 300\n[[properties]]\nkey = \"\"\nfrom = \"1\"\nprecision = -1\n")
	if lines := strings.Split(o.Check().Error(), "\n"); len(lines) != 3 {
		t.Errorf("%q", lines)
	}
	for _, o := range []Options{{Properties: make([]Property, 65)}, {Devices: make([]Device, 33), Properties: []Property{{Key: "a", From: "a"}}},
		{Properties: []Property{{Key: "a", From: "a", Scale: math.Inf(1)}}}} {
		if o.Check() == nil {
			t.Error("nothing is wrong")
		}
		Driver(o) // as good as it can
	}
}

// The tables are those of Home Assistant, as its discovery is tested with.
func TestClasses(t *testing.T) {
	data, err := os.ReadFile("../../gateway/homeassistant/judge/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		DeviceClasses map[string][]string `json:"device_classes"`
		Sensor        map[string]struct {
			Units        []string `json:"units"`
			StateClasses []string `json:"state_classes"`
		} `json:"sensor"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	for class := range sensorClasses {
		there := schema.Sensor[class]
		for _, u := range unitsOf(class) {
			if !slices.Contains(there.Units, u) {
				t.Errorf("%s: %s is none of %v", class, u, there.Units)
			}
		}
		for _, u := range there.Units {
			if !fits(class, u) && u != "fl. oz." {
				t.Errorf("%s: %s is missing", class, u)
			}
		}
		for _, s := range stateClasses(class) {
			if !slices.Contains(there.StateClasses, s) {
				t.Errorf("%s: %s is none of %v", class, s, there.StateClasses)
			}
		}
	}
	for class := range schema.Sensor {
		if _, known := sensorClasses[class]; !known && !slices.Contains([]string{"date", "enum", "timestamp", "monetary"}, class) {
			t.Errorf("%s is missing", class)
		}
	}
	for kind, platform := range map[string]string{"binary": "binary_sensor", "button": "button", "event": "event", "switch": "switch"} {
		if !slices.Equal(otherClasses[kind], schema.DeviceClasses[platform]) {
			t.Errorf("%s: %v, want %v", kind, otherClasses[kind], schema.DeviceClasses[platform])
		}
	}
}
