package textlines

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
)

const (
	jsonTemp     = "[[properties]]\nkey = \"t\"\nfrom = \"t\"\nunit = \"°C\"\nclass = \"temperature\"\nmin = -40\nmax = 80\n"
	csvTemp      = "format = \"csv\"\n[[properties]]\nkey = \"t\"\nfrom = \"2\"\nmin = -40\nmax = 80\n"
	pairTemp     = "format = \"keyvalue\"\n[[properties]]\nkey = \"t\"\nfrom = \"T\"\nmin = -40\nmax = 80\n"
	headerTemp   = "format = \"csv\"\nheader = true\n[[properties]]\nkey = \"t\"\nfrom = \"temp\"\n"
	checkedTemp  = "checksum = \"xor\"\n" + pairTemp
	columnsTemp  = "columns = 3\n" + csvTemp
	textsOf      = "[[properties]]\nkey = \"s\"\nkind = \"state\"\nfrom = \"s\"\n"
	binaryOf     = "[[properties]]\nkey = \"b\"\nkind = \"binary\"\nfrom = \"b\"\n"
	withComments = "comment = \"#\"\n" + csvTemp
)

func TestLines(t *testing.T) {
	value := func(v string) string { return "textlines {\"t\":" + v + "}\n" }
	const syntax, implausible, empty = "damaged: syntax\n", "damaged: implausible\n", "ignored: " + ignoredEmpty + "\n"
	for _, test := range []struct {
		name, options, line, want string
	}{
		{"json", jsonTemp, `{"t":21.5}`, value("21.5")},
		{"json text", jsonTemp, `{"t":" 21.5 "}`, value("21.5")},
		{"json null", jsonTemp, `{"t":null}`, value("null")},
		{"json without", jsonTemp, `{"u":21.5}`, empty},
		{"json empty text", jsonTemp, `{"t":""}`, empty},
		{"json true", jsonTemp, `{"t":true}`, syntax},
		{"json object", jsonTemp, `{"t":{"v":1}}`, syntax},
		{"json list", jsonTemp, `[{"t":21.5}]`, syntax},
		{"json twice", jsonTemp, `{"t":21.5,"t":21.5}`, syntax},
		{"json twice inside", jsonTemp, `{"t":21.5,"x":{"y":1,"y":2}}`, syntax},
		{"json two", jsonTemp, `{"t":21.5}{"t":21.5}`, syntax},
		{"json cut", jsonTemp, `{"t":21.5`, syntax},
		{"json behind", jsonTemp, `{"t":21.5} x`, syntax},
		{"json spaces", jsonTemp, "\t {\"t\" : 21.5 } \x00", value("21.5")},
		{"json deep", jsonTemp, `{"t":21.5,"x":` + strings.Repeat("[", 7) + strings.Repeat("]", 7) + "}", value("21.5")},
		{"json too deep", jsonTemp, `{"t":21.5,"x":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + "}", syntax},
		{"json boot", jsonTemp, "rst:0x1 (POWERON_RESET)", syntax},
		{"not UTF-8", jsonTemp, "{\"t\":21.5,\"x\":\"\xFF\"}", syntax},
		{"number too long", jsonTemp, `{"t":1.` + strings.Repeat("0", maxDigits) + "}", syntax},
		{"number too large", jsonTemp, `{"t":1e400}`, syntax},
		{"number large", jsonTemp, `{"t":1e99}`, implausible},
		{"cold", jsonTemp, `{"t":-40.01}`, implausible},
		{"least", jsonTemp, `{"t":-40}`, value("-40")},
		{"most", jsonTemp, `{"t":8e1}`, value("80")},
		{"zero", jsonTemp, `{"t":-0.0}`, value("0")},

		{"csv", csvTemp, "1,21.50,x", value("21.5")},
		{"csv spaces", csvTemp, "1 , 21.5 ,x", value("21.5")},
		{"csv quotes", csvTemp, `"a,""b""",  "21.5" , x`, value("21.5")},
		{"csv open quote", csvTemp, `"a,21.5`, syntax},
		{"csv text behind quote", csvTemp, `"a"b,21.5`, syntax},
		{"csv empty", csvTemp, "1,,x", empty},
		{"csv too few", csvTemp, "21.5", syntax},
		{"csv more", csvTemp, "1,21.5,2,3,4", value("21.5")},
		{"csv NaN", csvTemp, "1,nan,2", syntax},
		{"csv NaN large", csvTemp, "1,NaN,2", syntax},
		{"csv Inf", csvTemp, "1,-inf,2", syntax},
		{"csv hex", csvTemp, "1,0x10,2", syntax},
		{"csv underscore", csvTemp, "1,1_0,2", syntax},
		{"csv fraction", csvTemp, "1,1/2,2", syntax},
		{"csv two signs", csvTemp, "1,+-1,2", syntax},
		{"csv sign", csvTemp, "1,+1,2", value("1")},
		{"csv point", csvTemp, "1,.,2", syntax},
		{"csv points", csvTemp, "1,1.2.3,2", syntax},
		{"csv no zero", csvTemp, "1,-.5,2", value("-0.5")},
		{"csv exponent", csvTemp, "1,2.15E+1,2", value("21.5")},
		{"csv no exponent", csvTemp, "1,2e,2", syntax},
		{"csv signs of exponent", csvTemp, "1,2e+-1,2", syntax},
		{"csv control", csvTemp, "1,21.5,\x01", syntax},
		{"csv DEL", csvTemp, "1,21.5,\x7F", syntax},
		{"csv tab", strings.Replace(csvTemp, "[[", "separator = \"\\t\"\n[[", 1), "1\t21.5\t", value("21.5")},
		{"csv words", strings.Replace(csvTemp, "[[", "separator = \" \"\n[[", 1), "1   21.5\tx", value("21.5")},
		{"columns", columnsTemp, "1,21.5,2", value("21.5")},
		{"fewer columns", columnsTemp, "1,21.5", syntax},
		{"more columns", columnsTemp, "1,21.5,2,3", syntax},
		{"comment", withComments, "# 1,21.5", ""},
		{"comment inside", withComments, "1,21.5 # x", syntax},

		{"pair", pairTemp, "T=21.5 H=40", value("21.5")},
		{"pair with spaces", pairTemp, "  H=40   T=21.5  ", value("21.5")},
		{"pair twice", pairTemp, "T=21.5 T=21.5", syntax},
		{"pair words", pairTemp, "WEATHER T=21.5 ok", value("21.5")},
		{"no pair", pairTemp, "Booting ...", syntax},
		{"pair empty", pairTemp, "T= H=40", empty},
		{"pair of two", pairTemp, "T=21.5=3", syntax},
		{"pair of another case", pairTemp, "t=21.5", empty},

		{"checksum", checkedTemp, "T=21.5*71", value("21.5")},
		{"checksum small letters", checkedTemp, "T=2*5b", value("2")},
		{"checksum of NMEA", checkedTemp, "$T=2*5B", value("2")},
		{"checksum wrong", checkedTemp, "T=21.6*71", "damaged: checksum\n"},
		{"checksum missing", checkedTemp, "T=21.5", "damaged: checksum\n"},
		{"checksum cut", checkedTemp, "T=21.5*7", "damaged: checksum\n"},
		{"checksum long", checkedTemp, "T=21.5*071", "damaged: checksum\n"},
		{"checksum no number", checkedTemp, "T=21.5*1x", "damaged: checksum\n"},
		{"checksum signed", checkedTemp, "T=21.5*+4", "damaged: checksum\n"},
		{"checksum and implausible", checkedTemp, "T=99.5*72", value("null")},
		{"sum8", strings.Replace(checkedTemp, "xor", "sum8", 1), "T=2*C3", value("2")},
		{"crc16", strings.Replace(checkedTemp, "xor", "crc16", 1), "T=2*55A1", value("2")},

		{"state", textsOf, `{"s":"on fire"}`, "textlines {\"s\":\"on fire\"}\n"},
		{"state of a number", textsOf, `{"s":1.50}`, "textlines {\"s\":\"1.50\"}\n"},
		{"state that cannot be shown", textsOf, `{"s":"\u0000"}`, syntax},
		{"state too long", textsOf, `{"s":"` + strings.Repeat("a", maxText+1) + `"}`, syntax},
		{"state long", textsOf, `{"s":"` + strings.Repeat("a", maxText) + `"}`, "textlines {\"s\":\"" + strings.Repeat("a", maxText) + "\"}\n"},
		{"option", textsOf + `options = ["a", "b"]`, `{"s":"b"}`, "textlines {\"s\":\"b\"}\n"},
		{"no option", textsOf + `options = ["a", "b"]`, `{"s":"B"}`, syntax},
		{"binary", binaryOf, `{"b":true}`, "textlines {\"b\":true}\n"},
		{"binary number", binaryOf, `{"b":0}`, "textlines {\"b\":false}\n"},
		{"binary text", binaryOf, `{"b":"OFF"}`, "textlines {\"b\":false}\n"},
		{"binary neither", binaryOf, `{"b":2}`, syntax},
		{"binary of its own", binaryOf + "on = \"wet\"\noff = \"dry\"", `{"b":"wet"}`, "textlines {\"b\":true}\n"},
		{"binary not of its own", binaryOf + "on = \"wet\"\noff = \"dry\"", `{"b":"Dry"}`, syntax},
		{"too long", jsonTemp, `{"x":"` + strings.Repeat("a", maxLine), "damaged: too long\n"},
		{"empty", jsonTemp, " \t\x00", ""},
	} {
		o := right(t, test.options)
		if got := said(decode(t, o, "\n"+test.line+"\r\n")); got != test.want {
			t.Errorf("%s: %q: got %q, want %q", test.name, test.line, got, test.want)
		}
	}
}

// The first line may lack its beginning.
func TestFirstLine(t *testing.T) {
	for _, test := range []struct{ options, text, want string }{
		{jsonTemp, "5}\n{\"t\":1}\n", "textlines {\"t\":1}\n"},
		{jsonTemp, "{\"t\":1}\n", "textlines {\"t\":1}\n"},
		{csvTemp, "1,2\n1,3\n", "textlines {\"t\":3}\n"},
		{csvTemp, strings.Repeat("1,", maxLine) + "\n1,3\n", "textlines {\"t\":3}\n"},
		{pairTemp, "T=1\rT=2\n", "textlines {\"t\":2}\n"},
		{checkedTemp, "=1*4\nT=2*5B\n", "textlines {\"t\":2}\n"},
		{checkedTemp, "T=2*5B\n", "textlines {\"t\":2}\n"},
	} {
		if got := said(decode(t, right(t, test.options), test.text)); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

func TestHeader(t *testing.T) {
	const waiting = "ignored: " + ignoredHeader + "\n"
	for _, test := range []struct{ text, want string }{
		{"time,temp\n1,2\n", "textlines {\"t\":2}\n"}, // the first line that comes may be the header
		{"\n1,2\n", waiting},
		{"\n1,2\ntemp,time\n1,2\n", "textlines {\"t\":1}\n" + waiting},
		{"temp,time\n1,2\ntime,temp\n1,2\n", "textlines {\"t\":1}\ntextlines {\"t\":2}\n"}, // other firmware
		{"temp,time\n1,2,3\n1\n", "damaged: syntax\ndamaged: syntax\n"},
		{"me,temp\n1,2\n", "textlines {\"t\":2}\n"},
		{"temp\n1,2\n", "damaged: syntax\n"},                   // its beginning was lost: the number of columns tells
		{"temp,temp\n1,2\n", waiting},                          // which one?
		{"temp,time\n", ""},                                    // nothing but the header
		{"temp,time\nx,2\n", "damaged: syntax\n"},              // not a number
		{"temp,time\n,2\n", "ignored: " + ignoredEmpty + "\n"}, // not there
	} {
		if got := said(decode(t, right(t, headerTemp), test.text)); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

const manyTOML = "[[devices]]\nid_from = \"id\"\n" + jsonTemp

// Lines of one form speak of many sensors.
func TestManyDevices(t *testing.T) {
	o := right(t, manyTOML)
	r := &recorder{}
	d := Driver(o).NewDecoder(r).(*decoder)
	for i := range 1000 {
		line := fmt.Sprintf("{\"id\":%d,\"t\":1}\n", i)
		d.Decode([]byte(line+line), received)
		if len(d.known) > maxDevices {
			t.Fatalf("%d devices", len(d.known))
		}
	}
	if len(r.Readings) != 1000 || len(r.Announcements) != 1000 || r.Disorder != "" {
		t.Errorf("%d readings, %d devices %s", len(r.Readings), len(r.Announcements), r.Disorder)
	}
	if d := r.Announcements[7]; d.ID != "textlines_7" || d.Name != "Board 7" || d.SerialNumber != "7" || d.Anonymous {
		t.Errorf("%+v", d)
	}
	for id, want := range map[string]string{
		`"a b/c"`:                           "textlines_a_b_c",
		`"A-1_x"`:                           "textlines_A-1_x",
		`""`:                                "",
		`null`:                              "",
		`{}`:                                "",
		`"\n"`:                              "",
		`"x\u0000"`:                         "",
		`"é"`:                               "textlines__",
		`"` + strings.Repeat("a", 54) + `"`: "textlines_" + strings.Repeat("a", 54),
	} {
		line := "{\"id\":" + id + ",\"t\":1}\n"
		r := decode(t, o, "\n"+line+line)
		if want == "" && (len(r.Readings) > 0 || !slices.Equal(r.Damage, []string{"syntax", "syntax"})) {
			t.Errorf("%s: %s", id, said(r))
		}
		if want != "" && (len(r.Readings) != 1 || r.Readings[0].Device != want) {
			t.Errorf("%s: %s", id, said(r))
		}
	}
	line := `{"id":"` + strings.Repeat("a", 55) + `","t":1}` + "\n"
	if r := decode(t, o, line, line); len(r.Readings) > 0 || !slices.Equal(r.Overheard, []string{ignoredLongID, ignoredLongID}) {
		t.Errorf("%s", said(r))
	}
	// A checksum vouches for the ID.
	o.Checksum = "sum8"
	if r := decode(t, o, "{\"id\":1,\"t\":1}*C3\n"); len(r.Readings) != 1 {
		t.Errorf("%s", said(r))
	}
}

// A configuration that makes one ID in two ways does not mix them up.
func TestSameID(t *testing.T) {
	o := right(t, `
[[devices]]
id = "a"
id_from = "id"
match = { kind = "one" }
[[devices]]
id = "a_b"
id_from = "id"
[[properties]]
key = "t"
from = "t"
device = "a"
[[properties]]
key = "u"
from = "t"
device = "a_b"
`)
	one, two := `{"kind":"one","id":"b_c","t":1}`+"\n", `{"kind":"two","id":"c","t":2}`+"\n"
	if got, want := said(decode(t, o, one+one+two+two)), "textlines_a_b_c {\"t\":1}\nignored: "+ignoredTwice+"\nignored: "+ignoredTwice+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What other protocols say, and noise, is nothing.
func TestForeign(t *testing.T) {
	foreign := "\n/ISk5\\2MT382-1000\r\n1-0:1.8.1(00001.001*kWh)\r\n!522B\r\n" +
		"$GPRMC,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*70\r\n" +
		"20;2D;UPM/Esic;ID=0001;TEMP=00cf;HUM=16;BAT=OK;\r\n" +
		"{\"command\":\"restart\"}\n"
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, options := range []string{jsonTemp, pairTemp, csvTemp, checkedTemp, headerTemp} {
		o := right(t, options)
		for _, text := range []string{foreign, string(noise)} {
			if r := decode(t, o, text); len(r.Readings) > 0 {
				t.Errorf("%s: %s", options, said(r))
			}
		}
	}
}

func TestAnnouncement(t *testing.T) {
	o := right(t, `
format = "csv"
[[devices]]
id = "garden"
name = "Garden"
vendor = "Me"
model = "Nano"
when_used = true
[[properties]]
key = "rain_today"
from = "1"
unit = "mm"
class = "precipitation"
state_class = "total_increasing"
precision = 1
category = "diagnostic"
[[properties]]
key = "energy"
from = "2"
unit = "kWh"
class = "energy"
[[properties]]
key = "dust"
name = "Dust"
from = "3"
unit = "`+"\u00b5"+`g/m³"
class = "pm25"
state_class = "none"
`)
	r := decode(t, o, "\n1,2,3\n1,2,3\n")
	want := []serialbridge.Device{{
		ID: "textlines_garden", Name: "Garden", Vendor: "Me", Model: "Nano", WhenUsed: true,
		Properties: []serialbridge.Property{
			{Key: "rain_today", Name: "Rain today", Kind: serialbridge.Measurement, Unit: "mm", Class: "precipitation",
				StateClass: "total_increasing", Precision: 1, Category: serialbridge.Diagnostic},
			{Key: "energy", Name: "Energy", Kind: serialbridge.Measurement, Unit: "kWh", Class: "energy", StateClass: "total_increasing", Precision: -1},
			{Key: "dust", Name: "Dust", Kind: serialbridge.Measurement, Unit: "\u03bcg/m³", Class: "pm25", Precision: -1},
		},
	}}
	if !reflect.DeepEqual(r.Announcements, want) {
		t.Errorf("got  %+v\nwant %+v", r.Announcements, want)
	}
	if d := decode(t, right(t, jsonTemp), "{\"t\":1}\n").Announcements[0]; d.ID != "textlines" || !d.Anonymous || d.Name != "Board" {
		t.Errorf("%+v", d)
	}
}
