package vedirect

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type recorder = drivertest.Recorder

var received = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var known = sync.OnceValue(definitions)

// decode feeds pieces to a new decoder.
func decode(t testing.TB, pieces ...[]byte) *recorder {
	t.Helper()
	r := &recorder{}
	drivertest.Decode(t, r, newDecoder(r, known()), received, pieces)
	return r
}

func readDumps(t testing.TB) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/dumps.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	dumps := make(map[string][]byte)
	for name, text := range texts {
		if dumps[name], err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	return dumps
}

func TestDumps(t *testing.T) {
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Readings                         int
		ID, Name, Model, Serial, Version string
		Values                           map[string]any
	}
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	dumps := readDumps(t)
	if len(dumps) != len(expected) {
		t.Errorf("%d dumps, %d expectations", len(dumps), len(expected))
	}
	for name, dump := range dumps {
		want := expected[name]
		r := decode(t, dump)
		if len(r.Damage) > 0 {
			t.Errorf("%s: damaged %q", name, r.Damage)
		}
		if len(r.Readings) != want.Readings {
			t.Errorf("%s: %d readings, want %d", name, len(r.Readings), want.Readings)
		}
		if len(r.Devices) != 1 {
			t.Fatalf("%s: %d devices", name, len(r.Devices))
		}
		d := r.Announcements[len(r.Announcements)-1]
		got := []string{d.ID, d.Name, d.Vendor, d.Model, d.SerialNumber, d.SWVersion}
		if w := []string{want.ID, want.Name, "Victron Energy", want.Model, want.Serial, want.Version}; !slices.Equal(got, w) {
			t.Errorf("%s: device %q, want %q", name, got, w)
		}
		last := make(map[string]any)
		for _, reading := range r.Readings {
			if !reading.Time.Equal(received) {
				t.Errorf("%s: time %v", name, reading.Time)
			}
			maps.Copy(last, reading.Values)
		}
		// Through JSON, as the expectation came.
		text, err := json.Marshal(last)
		if err != nil {
			t.Fatal(err)
		}
		var values map[string]any
		if err := json.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(values, want.Values) {
			t.Errorf("%s:\n%v, want\n%v", name, values, want.Values)
		}
	}
}

// block returns a block with its checksum.
func block(fields ...string) []byte {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString("\r\n" + strings.Replace(f, " ", "\t", 1))
	}
	b.WriteString("\r\nChecksum\t")
	var sum byte
	for i := range b.Len() {
		sum += b.String()[i]
	}
	return append([]byte(b.String()), -sum)
}

func mainBlock(fields ...string) []byte {
	return block(append([]string{"PID 0xA05F", "FW 139", "SER# HQ18486U2B4"}, fields...)...)
}

// lead is what makes a device believed.
var lead = slices.Concat(mainBlock("V 1"), mainBlock("V 2"))

func TestFields(t *testing.T) {
	for _, test := range []struct {
		field, key string
		want       any
	}{
		{"V 12810", "battery_voltage", 12.81},
		{"I -10", "battery_current", -0.01},
		{"SOC 839", "state_of_charge", 83.9},
		{"AC_OUT_V 23010", "ac_voltage", 230.1},
		{"AC_OUT_I 12", "ac_current", 1.2},
		{"DC_IN_P 7", "dc_input_power", 7.0},
		{"H19 1234567", "yield_total", 12345.67},
		{"H4 3", "charge_cycles", int64(3)},
		{"LOAD ON", "load", true},
		{"LOAD off", "load", false},
		{"Relay OFF", "relay", false},
		{"Alarm ON", "alarm", true},
		{"CS 5", "charge_state", "float"},
		{"CS 99", "charge_state", "code 99"},
		{"MPPT 2", "tracker", "tracking"},
		{"MODE 253", "mode", "hibernate"},
		{"MON -9", "monitor_mode", "solar charger"},
		{"ERR 33", "error", "PV voltage too high"},
		{"AR 0", "alarm_reason", "none"},
		{"AR 5", "alarm_reason", "low voltage, low state of charge"},
		{"AR 65536", "alarm_reason", "code 65536"},
		{"OR 0x00000101", "off_reason", "no input power, analysing input voltage"},
		{"OR 0xFFFFFFFF", "off_reason", nil},
		{"WARN 4096", "warning_reason", "short circuit"},
		{"T ---", "battery_temperature", nil},
		{"XYZ 17", "xyz", nil},
	} {
		r := decode(t, lead, mainBlock("VPV 1", test.field))
		if len(r.Damage) > 0 || len(r.Readings) != 2 {
			t.Errorf("%s: %d readings, damaged %q", test.field, len(r.Readings), r.Damage)
			continue
		}
		got, found := r.Readings[1].Values[test.key]
		if test.field == "OR 0xFFFFFFFF" {
			if !found || !strings.HasSuffix(got.(string), "code 2147483648") {
				t.Errorf("%s: %v", test.field, got)
			}
			continue
		}
		if got != test.want || found != (test.want != nil) {
			t.Errorf("%s: %v, want %v", test.field, got, test.want)
		}
	}
}

// Numbers print as the device means them.
func TestExact(t *testing.T) {
	r := decode(t, lead, mainBlock("V 12345", "I 7", "SOC 1", "H19 3", "T 21", "CE -300"))
	text, err := json.Marshal(r.Readings[1].Values)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"battery_current":0.007,"battery_temperature":21,"battery_voltage":12.345,"consumed_charge":-0.3,"state_of_charge":0.1,"yield_total":0.03}`
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string][]string{
		"voltage": {"V"}, "current": {"A"}, "power": {"W", ""}, "apparent_power": {"VA"}, "energy": {"kWh"},
		"temperature": {"°C"}, "battery": {"%"}, "duration": {"s", "min"}, "problem": {""}, "": {"", "%", "Ah"},
	}
	key := regexp.MustCompile(`^[a-z0-9_]+$`)
	keys := make(map[string]bool)
	for label, d := range known() {
		p := d.property
		if !key.MatchString(p.Key) || p.Name == "" || keys[p.Key] || !isLabel([]byte(label)) {
			t.Errorf("%s: %+v", label, p)
		}
		keys[p.Key] = true
		if !slices.Contains(units[p.Class], p.Unit) {
			t.Errorf("%s: unit %q of class %q", label, p.Unit, p.Class)
		}
		if p.Class == "energy" && p.StateClass == "measurement" {
			t.Errorf("%s: state class %q of energy", label, p.StateClass)
		}
		if measured := p.Kind == serialbridge.Measurement; measured != (p.Precision >= 0) || !measured && p.StateClass != "" {
			t.Errorf("%s: %+v", label, p)
		}
	}
}

func TestPieces(t *testing.T) {
	for name, dump := range readDumps(t) {
		whole := decode(t, dump)
		for pieces := range drivertest.Splits(dump, 1) {
			if r := decode(t, pieces...); !reflect.DeepEqual(r, whole) {
				t.Fatalf("%s in %d pieces, %d bytes first, differs", name, len(pieces), len(pieces[0]))
			}
		}
	}
}

// A block that is cut publishes nothing. The block behind may go with it, the
// next one does not.
func TestTruncated(t *testing.T) {
	good := mainBlock("V 12810", "I -10", "LOAD ON")
	want := decode(t, lead, good).Readings[1]
	for cut := range good {
		r := decode(t, lead, good[:cut], good, good)
		if cut == 0 {
			continue
		}
		n := len(r.Readings)
		if n < 2 || n > 3 || !reflect.DeepEqual(r.Readings[n-1], want) {
			t.Errorf("cut at %d: %d readings, damaged %q", cut, n, r.Damage)
		}
		for _, reading := range r.Readings[1:] {
			if !reflect.DeepEqual(reading, want) {
				t.Errorf("cut at %d: published %v", cut, reading.Values)
			}
		}
		if len(r.Damage) != 1 && cut > 1 { // CR CR LF is a beginning as well
			t.Errorf("cut at %d: damaged %q", cut, r.Damage)
		}
		// From within a block: nothing is counted, and the next is found.
		r = decode(t, good[cut:], lead)
		if n := len(r.Readings); n != 1 && cut > 1 || len(r.Damage) > 0 {
			t.Errorf("from %d: %d readings, damaged %q", cut, len(r.Readings), r.Damage)
		}
	}
}

func TestBitFlips(t *testing.T) {
	good := mainBlock("V 12810", "I -10", "LOAD ON", "H19 4711")
	for i := range good {
		for bit := range 8 {
			flipped := slices.Clone(good)
			flipped[i] ^= 1 << bit
			r := decode(t, lead, flipped)
			// Without the first CR LF the block is still whole.
			if len(r.Readings) != 1 && i > 0 {
				t.Fatalf("bit %d of byte %d published", bit, i)
			}
		}
	}
}

func TestDamaged(t *testing.T) {
	longLine := "X " + strings.Repeat("x", maxLine)
	var many []string
	for i := range maxFields {
		many = append(many, fmt.Sprintf("X%d 1", i))
	}
	for _, test := range []struct {
		name   string
		block  []byte
		reason string // empty: published; with "+": counted, but the block is whole
	}{
		{"plain", mainBlock("V 12000"), ""},
		{"unknown field", mainBlock("V 12000", "NEW what ever"), ""},
		{"HEX in front", slices.Concat([]byte(":7F0ED0071\n"), mainBlock("V 12000")), ""},
		{"HEX between", []byte(strings.Replace(string(mainBlock("V 12000")), "\r\nV", ":A0102000543\n\r\nV", 1)), ""},
		{"HEX within a value", []byte(strings.Replace(string(mainBlock("V 12000")), "12000", "12:7F0ED0071\n000", 1)), ""},
		{"HEX with a wrong sum", slices.Concat([]byte(":7F0ED0072\n"), mainBlock("V 12000")), "checksum+"},
		{"HEX of nothing", slices.Concat([]byte(":\n"), mainBlock("V 12000")), "checksum+"},
		{"HEX of an even length", slices.Concat([]byte(":7F0ED007\n"), mainBlock("V 12000")), "checksum+"},
		{"HEX without end", slices.Concat([]byte(":7F0ED0071"), mainBlock("V 12000")), "syntax+"},
		{"HEX with other digits", slices.Concat([]byte(":7F0EDX"), mainBlock("V 12000")), "syntax+"},
		{"endless HEX", slices.Concat([]byte(":"), []byte(strings.Repeat("0", maxHex+1)), mainBlock("V 12000")), "too long+"},
		{"wrong sum", append(mainBlock("V 12000")[:len(mainBlock("V 12000"))-1], 0), "checksum"},
		{"no number", mainBlock("V 12x00"), "syntax"},
		{"fraction", mainBlock("V 12.5"), "syntax"},
		{"exponent", mainBlock("V 1e5"), "syntax"},
		{"plus", mainBlock("V +15"), "syntax"},
		{"empty number", mainBlock("V "), "syntax"},
		{"minus alone", mainBlock("V -"), "syntax"},
		{"endless number", mainBlock("V " + strings.Repeat("9", 30)), "syntax"},
		{"count below zero", mainBlock("H4 -1"), "syntax"},
		{"neither on nor off", mainBlock("LOAD MAYBE"), "syntax"},
		{"no code", mainBlock("CS float"), "syntax"},
		{"no bits", mainBlock("OR 0xyz"), "syntax"},
		{"too many bits", mainBlock("OR 0x1FFFFFFFF"), "syntax"},
		{"no TAB", mainBlock("V12000"), "syntax"},
		{"empty line", mainBlock("V 12000", ""), "syntax"},
		{"no label", mainBlock("\t12000"), "syntax"},
		{"label with a point", mainBlock("V.1 12000"), "syntax"},
		{"control character", mainBlock("V 12\x01"), "syntax"},
		{"eight bits", mainBlock("V 12\xb1"), "syntax"},
		{"LF alone", []byte(strings.Replace(string(mainBlock("V 12000")), "\r\nV", "\nV", 1)), "syntax"},
		{"CR alone", []byte(strings.Replace(string(mainBlock("V 12000")), "\r\nV", "\rV", 1)), "syntax"},
		{"label twice", mainBlock("V 12000", "V 12000"), "truncated"},
		{"long line", mainBlock(longLine), "too long"},
		{"many fields", mainBlock(many...), "too long"},
		{"noise between", slices.Concat([]byte("noise"), mainBlock("V 12000")), "syntax+"},
	} {
		r := decode(t, lead, test.block)
		published := len(r.Readings) == 2
		if published && !reflect.DeepEqual(r.Readings[1].Values, map[string]any{"battery_voltage": 12.0}) {
			t.Errorf("%s: values %v", test.name, r.Readings[1].Values)
		}
		reason, intact := strings.CutSuffix(test.reason, "+")
		intact = intact || reason == ""
		if published != intact {
			t.Errorf("%s: published %t, damaged %q", test.name, published, r.Damage)
		}
		if len(slices.Compact(r.Damage)) > 1 || reason != "" && !slices.Contains(r.Damage, reason) || reason == "" && len(r.Damage) > 0 {
			t.Errorf("%s: damaged %q, want %q", test.name, r.Damage, reason)
		}
		// What is behind is found, at the latest at the second block.
		behind := decode(t, lead, test.block, mainBlock("V 1000"), mainBlock("V 1000"))
		if n := len(behind.Readings); behind.Readings[n-1].Values["battery_voltage"] != 1.0 {
			t.Errorf("%s: the next block is not found: damaged %q", test.name, behind.Damage)
		}
	}
}

// The checksum may be any byte, also one that means something elsewhere.
func TestAnyChecksum(t *testing.T) {
	seen := make(map[byte]bool)
	for i := range 4096 {
		b := mainBlock("V 12000", fmt.Sprintf("X %c%c%c", '@'+i%60, '@'+i/70, '@'+i%59))
		sum := b[len(b)-1]
		if seen[sum] {
			continue
		}
		seen[sum] = true
		if r := decode(t, lead, b, mainBlock("V 1")); len(r.Readings) != 3 || len(r.Damage) > 0 {
			t.Errorf("checksum %q: %d readings, damaged %q", sum, len(r.Readings), r.Damage)
		}
	}
	for _, b := range []byte(":\r\n\t\x00") {
		if !seen[b] {
			t.Errorf("checksum %q was not tried", b)
		}
	}
}

func TestIdentity(t *testing.T) {
	plain := func(pid string) []byte { return block("PID "+pid, "V 12000") }
	with := func(pid, serial string) []byte { return block("PID "+pid, "SER# "+serial, "V 12000") }
	history := block("H1 -1000", "H18 5")
	for _, test := range []struct {
		name   string
		blocks [][]byte
		want   []string // device of each reading
	}{
		{"one block", [][]byte{with("0xA053", "HQ1")}, nil},
		{"two blocks", [][]byte{with("0xA053", "HQ1"), with("0xA053", "HQ1")}, []string{"vedirect_HQ1"}},
		{"no serial number", [][]byte{plain("0x203"), plain("0x203")}, []string{"vedirect_pid_0203"}},
		{"history of nobody", [][]byte{history, history, history}, nil},
		{"history too early", [][]byte{plain("0x203"), history, plain("0x203"), history}, []string{"vedirect_pid_0203", "vedirect_pid_0203"}},
		{"one odd block", [][]byte{with("0xA053", "HQ1"), with("0xA053", "HQ1"), with("0xA053", "HQ2"), with("0xA053", "HQ1"), with("0xA053", "HQ1")},
			[]string{"vedirect_HQ1", "vedirect_HQ1", "vedirect_HQ1"}},
		{"another device", [][]byte{with("0xA053", "HQ1"), with("0xA053", "HQ1"), plain("0xA389"), history, plain("0xA389"), history},
			[]string{"vedirect_HQ1", "vedirect_pid_A389", "vedirect_pid_A389"}},
		{"no product ID", [][]byte{block("SER# HQ1", "V 1"), block("SER# HQ1", "V 1")}, nil},
		{"bad product ID", [][]byte{plain("A053"), plain("A053"), plain("0x12345"), plain("0x12345")}, nil},
		{"odd serial number", [][]byte{with("0xA053", "a/b+c #"), with("0xA053", "a/b+c #")}, []string{"vedirect_a_b_c__"}},
		{"nothing known in it", [][]byte{block("PID 0x203"), block("PID 0x203")}, nil},
	} {
		var got []string
		for _, reading := range decode(t, test.blocks...).Readings {
			got = append(got, reading.Device)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// Who tells no serial number may have a twin.
func TestAnonymous(t *testing.T) {
	plain, named := block("PID 0xA389", "V 12000"), block("PID 0xA053", "SER# HQ1", "V 12000")
	if d := decode(t, plain, plain).Devices["vedirect_pid_A389"]; !d.Anonymous {
		t.Errorf("%+v", d)
	}
	if d := decode(t, named, named).Devices["vedirect_HQ1"]; d.Anonymous {
		t.Errorf("%+v", d)
	}
}

// What the device knows no more is told; what it never knew is not there.
func TestVanished(t *testing.T) {
	r := decode(t, lead, mainBlock("V 1", "TTG 60", "T ---"), mainBlock("V 1", "TTG ---", "T ---"), mainBlock("TTG ---"), mainBlock("T ---"), mainBlock("T 20"))
	want := []map[string]any{
		{"battery_voltage": 0.002},
		{"battery_voltage": 0.001, "time_to_go": 60.0},
		{"battery_voltage": 0.001, "time_to_go": nil},
		{"time_to_go": nil},
		{"battery_temperature": 20.0},
	}
	var got []map[string]any
	for _, reading := range r.Readings {
		got = append(got, reading.Values)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if n := len(r.Devices["vedirect_HQ18486U2B4"].Properties); n != 3 {
		t.Errorf("%d properties", n)
	}
	if r := decode(t, mainBlock("T ---"), mainBlock("T ---")); len(r.Announcements) > 0 || len(r.Readings) > 0 {
		t.Errorf("%+v", r.Announcements)
	}
}

func TestProduct(t *testing.T) {
	for _, test := range []struct{ pid, name, model string }{
		{"0203", "Battery monitor", "BMV-700"},
		{"A381", "Battery monitor", "BMV-712 Smart"},
		{"A389", "Battery monitor", "SmartShunt 500A/50mV"},
		{"0300", "Solar charger", "BlueSolar MPPT 70/15"},
		{"A053", "Solar charger", "SmartSolar MPPT 75/15"},
		{"A07A", "Solar charger", "BlueSolar MPPT 75/15 rev2"},
		{"A117", "Solar charger", "BlueSolar MPPT VE.Can 150/100 rev2"},
		{"A0FF", "Solar charger", ""},
		{"A201", "Inverter", "Phoenix Inverter 12V 250VA 230V"},
		{"A231", "Inverter", "Phoenix Inverter 12V 250VA 230V"},
		{"A26C", "Inverter", "Phoenix Inverter 48V 800VA 120V"},
		{"A2A4", "Inverter", "Phoenix Inverter 48V 3000VA 230V"},
		{"A2B2", "Inverter", "Phoenix Inverter Smart 24V 5000VA 230V"},
		{"A2E9", "Inverter", "Phoenix Inverter 12V 800VA 120V"},
		{"A289", "Inverter", ""},
		{"A233", "Inverter", ""},
		{"A2C1", "Inverter", ""},
		{"A345", "Charger", "Phoenix Smart IP43 Charger 12/30 (3)"},
		{"0000", "Victron device", ""},
		{"", "Victron device", ""},
	} {
		if name, model := product(test.pid); name != test.name || model != test.model {
			t.Errorf("%s: %q %q, want %q %q", test.pid, name, model, test.name, test.model)
		}
	}
}

func TestFirmware(t *testing.T) {
	for _, test := range []struct{ label, value, want string }{
		{"FW", "0308", "3.08"}, {"FW", "139", "1.39"}, {"FW", "C208", "2.08-C"}, {"FW", "050", "0.50"},
		{"FW", "", ""}, {"FW", "12", ""}, {"FW", "x", ""}, {"FW", "C", ""}, {"FW", "-139", ""},
		{"FWE", "0208FF", "2.08"}, {"FWE", "020801", "2.08-beta-01"}, {"FWE", "FF", ""}, {"FWE", "", ""}, {"V", "12", ""},
	} {
		if got := firmware([]field{{test.label, test.value}}); got != test.want {
			t.Errorf("%s %s: %q, want %q", test.label, test.value, got, test.want)
		}
	}
}

func TestForeign(t *testing.T) {
	noise := make([]byte, 256)
	for i := range noise {
		noise[i] = byte(i)
	}
	for _, foreign := range []string{
		"", string(noise), "\n", "\r\n\r\n", "Checksum\t", "\r\nChecksum\t", ":", strings.Repeat(":", 100),
		"/ABC5NAME\r\n\r\n1-0:1.8.0(00001.000*kWh)\r\n!\r\n/ABC5NAME\r\n", "\n{\"a\": 1}\r\n",
		"\x02\nADSC\t031776013513\t2\r\nVTIC\t02\tJ\r\x03", "\nADCO 050022120078 2\r",
		"\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x76", "\n:7F0ED0072\n", "\r\n" + strings.Repeat("x", 10000),
	} {
		r := decode(t, []byte(foreign), []byte(foreign))
		if len(r.Readings) > 0 || len(r.Damage) > 0 && !strings.Contains(foreign, "Checksum") {
			t.Errorf("%.30q: %d readings, damaged %q", foreign, len(r.Readings), r.Damage)
		}
		r = decode(t, []byte(foreign), lead, mainBlock("V 1"))
		if len(r.Readings) == 0 {
			t.Errorf("%.30q: the blocks behind are not found: damaged %q", foreign, r.Damage)
		}
	}
}

func TestAnnouncesWhenTheSetGrows(t *testing.T) {
	r := decode(t, lead, mainBlock("V 1"), mainBlock("V 1", "I 2"), mainBlock("V 1"))
	if len(r.Announcements) != 2 || len(r.Announcements[0].Properties) != 1 || len(r.Announcements[1].Properties) != 2 {
		t.Errorf("announcements %+v", r.Announcements)
	}
}

func TestRemembersBoundedDevices(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, known())
	for i := range 3 * maxDevices {
		b := block("PID 0xA053", fmt.Sprintf("SER# HQ%d", i), "V 1")
		d.Decode(slices.Concat(b, b), received)
		if len(d.announced) > maxDevices {
			t.Fatalf("%d devices remembered", len(d.announced))
		}
	}
	if len(r.Devices) != 3*maxDevices {
		t.Errorf("%d devices announced", len(r.Devices))
	}
}

func BenchmarkDecode(b *testing.B) {
	dump := readDumps(b)["bvm702"]
	d := newDecoder(drivertest.Discard{}, known())
	b.SetBytes(int64(len(dump)))
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(dump, received)
	}
}
