package sml

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var objects = sync.OnceValue(definitions)

// decode feeds pieces to a new decoder.
func decode(t testing.TB, pieces ...[]byte) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, newDecoder(r, objects()), received, pieces)
	return r
}

type meter struct {
	Hex   string
	Lines []string `json:"libsml_lines"`
	OK    int      `json:"transport_crc_ok"`
	Bad   int      `json:"transport_crc_bad"`
	bytes []byte
}

func readMeters(t testing.TB) map[string]meter {
	t.Helper()
	data, err := os.ReadFile("testdata/meters.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Meters map[string]meter }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for name, m := range file.Meters {
		if m.bytes, err = hex.DecodeString(m.Hex); err != nil {
			t.Fatal(err)
		}
		file.Meters[name] = m
	}
	return file.Meters
}

// frames returns the whole frames of a capture whose checksum is right.
func frames(t testing.TB, capture []byte) [][]byte {
	t.Helper()
	var all [][]byte
	d := newDecoder(drivertest.Discard{}, objects())
	start := 0
	for i, b := range capture {
		inside := d.inside
		d.Decode([]byte{b}, received)
		switch {
		case d.inside && d.size == 8:
			start = i - 7
		case inside && !d.inside:
			if f := capture[start : i+1]; len(decode(t, f).Damage) == 0 {
				all = append(all, f)
			}
		}
	}
	return all
}

var line = regexp.MustCompile(`^(\d+)-(\d+):(\d+)\.(\d+)\.(\d+)\*(\d+)#(.*)#(\w*)$`)

// Every number that libsml prints is published in the unit of the property,
// and no other number is.
func TestMeters(t *testing.T) {
	type identity struct{ ID, SerialNumber, Vendor string }
	want := map[string]identity{
		"EMH-ED300L_consumption":           {"sml_06454D4801027156CD45", "06454D4801027156CD45", "EMH metering"},
		"ISKRA_MT175_eHZ":                  {"sml_1ISK0067362659", "1ISK0067362659", "Iskraemeco"},
		"DZG_DVS-7420.2V.G2_mtr2_neg":      {"sml_1DZG0060694611", "1DZG0060694611", "DZG Metering"},
		"HOLLEY_DTZ541-BDBA_with_PIN":      {"sml_1HLY0200879590", "1HLY0200879590", "Holley"},
		"EasyMeter_Q3A_A1064V1009":         {"sml_1ESY1162232997", "1ESY1162232997", "EasyMeter"},
		"ITRON_OpenWay-3.HZ_without_PIN":   {"sml_1ITR0055046208", "1ITR0055046208", "Itron"},
		"eBZ_DD3_DD32R06DTA-SMZ1":          {"sml_1EBZ0100191547", "1EBZ0100191547", "eBZ"},
		"EMH_eHZ-IW8E2A5L0EK2P_with_error": {"sml_06454D480107197C2456", "06454D480107197C2456", "EMH metering"},
	}
	meters := readMeters(t)
	if len(meters) != len(want) {
		t.Errorf("%d meters, want %d", len(meters), len(want))
	}
	for name, m := range meters {
		t.Run(name, func(t *testing.T) {
			r := decode(t, m.bytes)
			if len(r.Readings) != m.OK {
				t.Errorf("%d readings, want %d", len(r.Readings), m.OK)
			}
			bad := 0
			for _, reason := range r.Damage {
				if reason == damagedChecksum || reason == damagedSyntax {
					bad++
				}
			}
			if bad != m.Bad {
				t.Errorf("damaged %q, want %d", r.Damage, m.Bad)
			}
			for _, d := range r.Devices {
				if got := (identity{d.ID, d.SerialNumber, d.Vendor}); got != want[name] {
					t.Errorf("identity %+v, want %+v", got, want[name])
				}
			}
			if len(r.Devices) != 1 {
				t.Errorf("%d devices", len(r.Devices))
			}

			expected := make(map[string][]float64)
			for _, l := range m.Lines {
				key, value, ok := libsml(t, l)
				if ok {
					expected[key] = append(expected[key], value)
				}
			}
			got := make(map[string][]float64)
			for _, reading := range r.Readings {
				if !reading.Time.Equal(received) {
					t.Errorf("time %v", reading.Time)
				}
				for key, v := range reading.Values {
					if !slices.Contains(got[key], v.(float64)) {
						got[key] = append(got[key], v.(float64))
					}
				}
			}
			for key, values := range got {
				for _, v := range values {
					// libsml stops where a checksum is wrong; what comes
					// behind has no expectation.
					if !slices.Contains(expected[key], v) && m.Bad == 0 {
						t.Errorf("%s = %v, not in %v", key, v, expected[key])
					}
				}
			}
			for key, values := range expected {
				for _, v := range values {
					if !slices.Contains(got[key], v) {
						t.Errorf("%s = %v is missing in %v", key, v, got[key])
					}
				}
			}
		})
	}
}

// libsml turns a line of libsml into a key and what is to be published.
func libsml(t *testing.T, l string) (string, float64, bool) {
	t.Helper()
	match := line.FindStringSubmatch(l)
	if match == nil {
		t.Fatalf("what is %q?", l)
	}
	var code obis
	for i := range code {
		n, err := strconv.Atoi(match[i+1])
		if err != nil {
			t.Fatal(err)
		}
		code[i] = byte(n)
	}
	p, known := objects()[code]
	if match[8] == "" {
		return "", 0, false
	}
	if !known {
		t.Errorf("%s is not known", l)
	}
	number := match[7]
	if match[8] == "Wh" {
		number += "e-3"
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatal(err)
	}
	return p.Key, n, true
}

// Numbers print as the meter means them.
func TestExact(t *testing.T) {
	meters := readMeters(t)
	for _, test := range []struct{ meter, key, want string }{
		{"ISKRA_MT175_eHZ", "energy_import", "22462.4136"},
		{"EasyMeter_Q3A_A1064V1009", "energy_import", "2941.6461614"},
		{"EasyMeter_Q3A_A1064V1009", "voltage_l1", "232.5"},
		{"DZG_DVS-7420.2V.G2_mtr2_neg", "power", "-105.5"},
		{"ITRON_OpenWay-3.HZ_without_PIN", "energy_import", "25688"},
	} {
		found := false
		for _, r := range decode(t, meters[test.meter].bytes).Readings {
			text, err := json.Marshal(r.Values[test.key])
			if err != nil {
				t.Fatal(err)
			}
			found = found || string(text) == test.want
		}
		if !found {
			t.Errorf("%s: %s is never %s", test.meter, test.key, test.want)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{
		"energy": "kWh", "reactive_energy": "kvarh", "power": "W", "reactive_power": "var", "apparent_power": "VA",
		"voltage": "V", "current": "A", "frequency": "Hz", "power_factor": "", "": "°",
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	keys := make(map[string]bool)
	for code, p := range objects() {
		if !key.MatchString(p.Key) || p.Name == "" || p.Kind != serialbridge.Measurement || p.Precision < 0 {
			t.Errorf("%v: %+v", code, p)
		}
		if keys[p.Key] {
			t.Errorf("%s is there twice", p.Key)
		}
		keys[p.Key] = true
		if u, ok := units[p.Class]; !ok || u != p.Unit {
			t.Errorf("%s: unit %q of class %q", p.Key, p.Unit, p.Class)
		}
		energy := p.Class == "energy" || p.Class == "reactive_energy"
		if energy == (p.StateClass == "measurement") {
			t.Errorf("%s: state class %q of class %q", p.Key, p.StateClass, p.Class)
		}
	}
}

func TestPieces(t *testing.T) {
	for name, m := range readMeters(t) {
		whole := decode(t, m.bytes)
		for pieces := range drivertest.Splits(m.bytes, 1+len(m.bytes)/150) {
			if r := decode(t, pieces...); !reflect.DeepEqual(r, whole) {
				t.Fatalf("%s in %d pieces, %d bytes first, differs", name, len(pieces), len(pieces[0]))
			}
		}
	}
}

// A frame that is cut anywhere publishes nothing, and the one behind is found.
func TestTruncated(t *testing.T) {
	for name, m := range readMeters(t) {
		frame := frames(t, m.bytes)[0]
		whole := decode(t, frame)
		for cut := range frame {
			if r := decode(t, frame[:cut]); len(r.Readings) > 0 {
				t.Fatalf("%s cut at %d: readings", name, cut)
			}
			r := decode(t, frame[:cut], frame)
			if !reflect.DeepEqual(r.Readings, whole.Readings) {
				t.Fatalf("%s cut at %d: the next frame is not found: damaged %q", name, cut, r.Damage)
			}
			if n := len(r.Damage); n != min(1, cut/8) {
				t.Fatalf("%s cut at %d: damaged %q", name, cut, r.Damage)
			}
			r = decode(t, frame[cut:], frame)
			if cut > 0 && !reflect.DeepEqual(r.Readings, whole.Readings) {
				t.Fatalf("%s from %d: the next frame is not found: damaged %q", name, cut, r.Damage)
			}
		}
	}
}

func TestBitFlips(t *testing.T) {
	for name, m := range readMeters(t) {
		frame := frames(t, m.bytes)[0]
		for i := range frame {
			for bit := range 8 {
				if len(frame) > 300 && bit != i%8 {
					continue // the long ones would take too long
				}
				flipped := slices.Clone(frame)
				flipped[i] ^= 1 << bit
				r := decode(t, flipped)
				if len(r.Readings) > 0 {
					t.Fatalf("%s: bit %d of byte %d published", name, bit, i)
				}
			}
		}
	}
}

func TestBytesLost(t *testing.T) {
	for name, m := range readMeters(t) {
		frame := frames(t, m.bytes)[0]
		for _, n := range []int{1, 2, 7, 40} {
			for cut := 0; cut+n <= len(frame); cut++ {
				if r := decode(t, frame[:cut], frame[cut+n:]); len(r.Readings) > 0 {
					t.Fatalf("%s without %d bytes at %d published", name, n, cut)
				}
			}
		}
	}
}

// octets, list and message build what a meter sends.
func octets(s string) string {
	n := len(s) + 1
	if n < 16 {
		return string([]byte{byte(n)}) + s
	}
	n++
	return string([]byte{0x80 | byte(n>>4), byte(n & 15)}) + s
}

func elements(s ...string) string {
	if len(s) < 16 {
		return string([]byte{0x70 | byte(len(s))}) + strings.Join(s, "")
	}
	return string([]byte{0xF0 | byte(len(s)>>4), byte(len(s) & 15)}) + strings.Join(s, "")
}

const (
	none   = "\x01"
	server = "\x0A\x01EMH\x00\x00\x00\x00\x07"
)

// energy is 1.8.0 with 12345 tenths of a Wh; importing is 16.7.0 with 300 W.
var (
	energy    = listEntry("\x01\x00\x01\x08\x00\xff", "\x62\x1e", "\x52\xff", "\x63\x30\x39")
	importing = listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x00", "\x53\x01\x2c")
)

func listEntry(name, unit, scaler, value string) string {
	return elements(octets(name), none, none, unit, scaler, value, none)
}

func getList(id string, entries ...string) string {
	return elements(none, octets(id), none, none, elements(entries...), none, none)
}

func message(tag, body string) string {
	m := "\x76" + octets("id") + "\x62\x00\x62\x00" + elements(tag, body)
	crc := crc16(x25Initial, []byte(m)...) ^ x25Final
	return m + string([]byte{0x63, byte(crc), byte(crc >> 8), 0})
}

func listMessage(entries ...string) string {
	return message("\x63\x07\x01", getList(server, entries...))
}

func frame(file string) []byte {
	fill := (4 - len(file)%4) % 4
	f := []byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01")
	f = append(f, strings.ReplaceAll(file, "\x1b\x1b\x1b\x1b", "\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b")...)
	f = append(f, make([]byte, fill)...)
	return seal(append(f, 0x1b, 0x1b, 0x1b, 0x1b, 0x1a, byte(fill)))
}

func seal(f []byte) []byte {
	crc := crc16(x25Initial, f...) ^ x25Final
	return append(f, byte(crc), byte(crc>>8))
}

func TestDamaged(t *testing.T) {
	deep := strings.Repeat("\x71", maxDepth+8) + none
	for _, test := range []struct {
		name   string
		frame  []byte
		reason string // empty: published
	}{
		{"plain", frame(listMessage(energy)), ""},
		{"with open and close", frame(message("\x63\x01\x01", elements(none, none)) + listMessage(energy) + message("\x63\x02\x01", elements(none))), ""},
		{"long tag", frame(message("\x65\x00\x00\x07\x01", getList(server, energy))), ""},
		{"filled with zeros", frame(listMessage(energy) + "\x00\x00\x00\x00"), ""},
		{"unknown object", frame(listMessage(energy, listEntry("\x01\x00\x63\x63\x00\xff", none, none, octets("what")))), ""},
		{"unknown unit", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x63", "\x52\x00", "\x62\x01"))), ""},
		{"text for a number", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x00", octets("1")))), ""},
		{"list for a number", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x00", elements(none)))), ""},
		{"boolean for a number", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x00", "\x42\x01"))), ""},
		{"endless scaler", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x7f", "\x62\x01"))), ""},
		{"escape in the data", frame(listMessage(energy, listEntry("\x01\x00\x63\x63\x00\xff", none, none, octets("\x1b\x1b\x1b\x1b\x1b")))), ""},
		{"many entries", frame(listMessage(append(slices.Repeat([]string{importing}, 40), energy)[40:]...)), ""},
		{"wrong transport CRC", append(frame(listMessage(energy))[:len(frame(listMessage(energy)))-1], 0), "checksum"},
		{"wrong message CRC", frame(listMessage(energy)[:len(listMessage(energy))-2] + "\x00\x00"), "checksum"},
		{"checksum of four bytes", frame(listMessage(energy)[:len(listMessage(energy))-4] + "\x65\x00\x01\x00\x00\x00"), "syntax"},
		{"no end of message", frame(listMessage(energy)[:len(listMessage(energy))-1] + "\x01"), "syntax"},
		{"half a message", frame(listMessage(energy)[:20]), "syntax"},
		{"a message too few elements", frame("\x75" + listMessage(energy)[1:]), "syntax"},
		{"not a list", frame("hello, world"), "syntax"},
		{"length zero", frame("\x76\x80\x00"), "syntax"},
		{"length past the end", frame("\x76\x8f\x0f\x01"), "syntax"},
		{"endless length", frame("\x76\x8f\x8f\x8f\x8f\x8f"), "syntax"},
		{"endless list", frame("\x76\xff\x8f\x8f\x0f"), "syntax"},
		{"deep", frame("\x76" + deep), "syntax"},
		{"name of five bytes", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00", none, none, none))), "syntax"},
		{"number of nine bytes", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x00", "\x6a123456789"))), "syntax"},
		{"number of no bytes", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x00", "\x61"))), "syntax"},
		{"text for a unit", frame(listMessage(energy, listEntry("\x01\x00\x10\x07\x00\xff", octets("W"), "\x52\x00", "\x61"))), "syntax"},
		{"fill of four", seal([]byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x00\x00\x00\x00\x1b\x1b\x1b\x1b\x1a\x04")), "syntax"},
		{"fill of nothing", seal([]byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x1b\x1b\x1b\x1b\x1a\x01")), "syntax"},
		{"unknown escape", []byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x1b\x1b\x1b\x1b\x02\x02\x02\x02"), "syntax"},
		{"too long", frame(listMessage(energy, octets("x")) + strings.Repeat("x", maxFile)), "too long"},
	} {
		r := decode(t, test.frame)
		switch {
		case test.reason == "":
			if len(r.Damage) > 0 || len(r.Readings) != 1 || !reflect.DeepEqual(r.Readings[0].Values, map[string]any{"energy_import": 1.2345}) {
				t.Errorf("%s: readings %v, damaged %q", test.name, r.Readings, r.Damage)
			}
		case len(r.Readings) > 0 || len(r.Announcements) > 0:
			t.Errorf("%s: readings %v", test.name, r.Readings)
		case !slices.Equal(r.Damage, []string{test.reason}):
			t.Errorf("%s: damaged %q, want %q", test.name, r.Damage, test.reason)
		}
		// What is behind is found in any case.
		behind := decode(t, test.frame, frame(listMessage(importing)))
		if n := len(behind.Readings); n == 0 || behind.Readings[n-1].Values["power"] != 300.0 {
			t.Errorf("%s: the next frame is not found: damaged %q", test.name, behind.Damage)
		}
	}
}

// Numbers come in any length, and in either sign.
func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		value, scaler string
		want          float64
	}{
		{"\x62\xff", "\x52\x00", 255},
		{"\x52\xff", "\x52\x00", -1},
		{"\x53\xd6\xca", "\x52\xfe", -105.5},
		{"\x54\x80\x00\x00", "\x52\x00", -8388608},
		{"\x64\x01\x00\x00", "\x52\xff", 6553.6},
		{"\x59\x80\x00\x00\x00\x00\x00\x00\x00", "\x52\x00", -9223372036854775808},
		{"\x69\xff\xff\xff\xff\xff\xff\xff\xff", "\x52\x00", 18446744073709551615},
		{"\x62\x03", "\x52\x03", 3000},
		{"\x62\x03", none, 3},
	} {
		r := decode(t, frame(listMessage(listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", test.scaler, test.value))))
		if len(r.Readings) != 1 || r.Readings[0].Values["power"] != test.want {
			t.Errorf("%x: %v, want %v", test.value, r.Readings, test.want)
		}
	}
}

// A checksum whose first byte is zero may be sent without it.
func TestShortChecksum(t *testing.T) {
	for i := range 1 << 16 {
		body := listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x00", string([]byte{0x63, byte(i >> 8), byte(i)}))
		m := listMessage(body)
		if m[len(m)-3] != 0 {
			continue
		}
		short := m[:len(m)-4] + "\x62" + m[len(m)-2:]
		if r := decode(t, frame(short)); len(r.Readings) != 1 || r.Readings[0].Values["power"] != float64(i) {
			t.Errorf("%x: damaged %q", short, r.Damage)
		}
		return
	}
}

func TestIdentity(t *testing.T) {
	for _, test := range []struct{ server, id, vendor string }{
		{"\x09\x01ESY\x11\x03\xb5\x99\xa5", "sml_1ESY1162232997", "EasyMeter"},
		{"\x06EMH\x01\x02\x71\x56\xcd\x45", "sml_06454D4801027156CD45", "EMH metering"},
		{"1ESY1162232997", "sml_1ESY1162232997", "EasyMeter"},
		{"\x0a\x01XYZ\x00\x00\x00\x00\x01", "sml_1XYZ0000000001", "XYZ"},
		{"\x01\x02", "sml_0102", ""},
		{strings.Repeat("\xfe", 200), "sml_" + strings.Repeat("FE", 32), ""},
	} {
		r := decode(t, frame(message("\x63\x07\x01", getList(test.server, energy))))
		if len(r.Announcements) != 1 || r.Announcements[0].ID != test.id || r.Announcements[0].Vendor != test.vendor {
			t.Errorf("%q: %+v", test.server, r.Announcements)
		}
	}
	// Without a server ID the objects that hold it are asked, and without
	// those nothing is published.
	named := listEntry("\x01\x00\x60\x01\x00\xff", none, none, octets("\x0a\x01EMH\x00\x00\x00\x00\x07"))
	r := decode(t, frame(message("\x63\x07\x01", getList("", energy, named))))
	if len(r.Announcements) != 1 || r.Announcements[0].ID != "sml_1EMH0000000007" {
		t.Errorf("%+v", r.Announcements)
	}
	if r := decode(t, frame(message("\x63\x07\x01", getList("", energy)))); len(r.Announcements) > 0 {
		t.Errorf("%+v", r.Announcements)
	}
}

// A meter that never tells who it is has no name of its own.
func TestAnonymous(t *testing.T) {
	with := func(server string) []byte { return frame(message("\x63\x07\x01", getList(server, energy))) }
	empty, zeros, named := with(""), with("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), with(server)
	for _, test := range []struct {
		name    string
		frames  [][]byte
		want    []string // device of each reading
		ignored int
	}{
		{"one", [][]byte{empty}, nil, 0},
		{"two", [][]byte{empty, empty}, nil, 0},
		{"three and more", [][]byte{empty, zeros, empty, with("\xff")}, []string{"sml_meter", "sml_meter"}, 0},
		{"named", [][]byte{named, empty, empty, empty, empty}, []string{"sml_1EMH0000000007"}, 4},
		{"named late", [][]byte{empty, empty, named, empty}, []string{"sml_1EMH0000000007"}, 1},
	} {
		r := decode(t, test.frames...)
		var got []string
		for _, reading := range r.Readings {
			got = append(got, reading.Device)
		}
		if !slices.Equal(got, test.want) || len(r.Overheard) != test.ignored || len(r.Damage) > 0 {
			t.Errorf("%s: %q, %d ignored, damaged %q; want %q", test.name, got, len(r.Overheard), r.Damage, test.want)
		}
		for id, d := range r.Devices {
			if d.Anonymous != (id == "sml_meter") {
				t.Errorf("%s: %+v", test.name, d)
			}
		}
	}
}

func TestGarbage(t *testing.T) {
	noise := make([]byte, 256)
	for i := range noise {
		noise[i] = byte(i)
	}
	const start = "\x1b\x1b\x1b\x1b\x01\x01\x01\x01"
	good := frame(listMessage(energy))
	want := decode(t, good).Readings
	for _, garbage := range []string{
		"", "\x1b", "\x1b\x1b\x1b\x1b", "\x1b\x1b\x1b\x1b\x1b", "\x1b\x1b\x1b\x1b\x1a\x00\x00\x00", "\x01\x01\x01\x01",
		start, start + start, start + "\x1b", start + "\x1b\x1b\x1b", start + "\x1b\x1b\x1b\x1b", start + "\x1b\x1b\x1b\x1b\x1a",
		start + strings.Repeat("\x1b", 4000), start + strings.Repeat("x", 40000), strings.Repeat(start[:7], 100),
		string(noise), start + string(noise), "/ABC5NAME\r\n\r\n1-0:1.8.0(1*kWh)\r\n!\r\n", "\r\nPID\t0x203\r\nChecksum\tq",
	} {
		r := decode(t, []byte(garbage), good, []byte(garbage), good)
		if !reflect.DeepEqual(r.Readings, append(slices.Clone(want), want...)) {
			t.Errorf("%.30q: %d readings, damaged %q", garbage, len(r.Readings), r.Damage)
		}
	}
}

func TestAnnouncesWhenTheSetGrows(t *testing.T) {
	small, large := frame(listMessage(energy)), frame(listMessage(energy, importing))
	r := decode(t, small, small, large, small, large)
	if len(r.Announcements) != 2 || len(r.Announcements[0].Properties) != 1 || len(r.Announcements[1].Properties) != 2 {
		t.Errorf("announcements %+v", r.Announcements)
	}
	if len(r.Readings) != 5 {
		t.Errorf("%d readings, want 5", len(r.Readings))
	}
}

func TestRemembersBoundedDevices(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, objects())
	for i := range 3 * maxDevices {
		d.Decode(frame(message("\x63\x07\x01", getList(fmt.Sprintf("m%d", i), energy))), received)
		if len(d.announced) > maxDevices {
			t.Fatalf("%d devices remembered", len(d.announced))
		}
	}
	if len(r.Devices) != 3*maxDevices {
		t.Errorf("%d devices announced", len(r.Devices))
	}
}

func TestCRC(t *testing.T) {
	check := []byte("123456789")
	if crc := crc16(x25Initial, check...) ^ x25Final; crc != 0x906E {
		t.Errorf("X.25 %04X, want 906E", crc)
	}
	if crc := crc16(kermitInitial, check...); crc != 0x2189 {
		t.Errorf("KERMIT %04X, want 2189", crc)
	}
}

func BenchmarkDecode(b *testing.B) {
	capture := readMeters(b)["ISKRA_MT175_eHZ"].bytes
	d := newDecoder(drivertest.Discard{}, objects())
	b.SetBytes(int64(len(capture)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(capture, received)
	}
}

func meterNames(meters map[string]meter) []string {
	return slices.Sorted(maps.Keys(meters))
}
