package bms

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

var received = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// decode feeds pieces to a new decoder of a driver.
func decode(t testing.TB, driver serialbridge.Driver, pieces ...[]byte) *drivertest.Recorder {
	t.Helper()
	r := &drivertest.Recorder{}
	drivertest.Decode(t, r, driver.NewDecoder(r), received, pieces)
	return r
}

func readJSON(t testing.TB, file string, v any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameValues compares what was decoded with published values, as they print.
func sameValues(t *testing.T, got, want map[string]any) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		g, _ := json.Marshal(got[key])
		w, _ := json.Marshal(want[key])
		if _, there := got[key]; !there || string(g) != string(w) {
			t.Errorf("%s = %s, want %s", key, g, w)
		}
	}
	for key := range got {
		if _, there := want[key]; !there {
			t.Errorf("%s = %v, which was not published", key, got[key])
		}
	}
}

type jkFile struct {
	Answers []struct {
		Name, Hex, Model, Software string
		Values                     map[string]any
	}
	Request string
	Writes  []struct {
		Key   string
		Value bool
		Hex   string
	}
}

func readJK(t testing.TB) jkFile {
	var file jkFile
	readJSON(t, "jk.json", &file)
	return file
}

func jkAnswer(t testing.TB) []byte { return unhex(t, readJK(t).Answers[0].Hex) }

// jkEdit replaces bytes in the first answer and sets the sum right.
func jkEdit(t testing.TB, from, to string) []byte {
	t.Helper()
	frame := jkAnswer(t)
	data := hex.EncodeToString(frame[jkData : len(frame)-jkTrailer])
	from, to = strings.ToLower(strings.ReplaceAll(from, " ", "")), strings.ReplaceAll(to, " ", "")
	if strings.Count(data, from) != 1 {
		t.Fatalf("%q occurs %d times", from, strings.Count(data, from))
	}
	return jkSay(frame[4:8], unhex(t, strings.Replace(data, from, to, 1)))
}

// jkSay makes an answer of a terminal.
func jkSay(terminal, data []byte) []byte {
	b := []byte(jkHeader)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)+jkData+jkTrailer-2))
	b = append(append(b, terminal...), jkReadAll, jkFromBattery, 1)
	b = append(append(b, data...), 0, 0, 0, 0, jkEnd)
	return binary.BigEndian.AppendUint32(b, uint32(sum16(b)))
}

func TestJKCaptures(t *testing.T) {
	file := readJK(t)
	for _, answer := range file.Answers {
		t.Run(answer.Name, func(t *testing.T) {
			frame := unhex(t, answer.Hex)
			r := decode(t, JK(), frame, frame)
			if len(r.Damage)+len(r.Overheard) > 0 || len(r.Announcements) != 1 || len(r.Readings) != 1 {
				t.Fatalf("%d devices, %d readings, damaged %q, ignored %q", len(r.Announcements), len(r.Readings), r.Damage, r.Overheard)
			}
			d, reading := r.Announcements[0], r.Readings[0]
			if d.ID != "jkbms" || !d.Anonymous || d.SerialNumber != "" || d.Vendor != "JK" || d.Model != answer.Model || d.SWVersion != answer.Software {
				t.Errorf("device %+v", d)
			}
			if reading.Device != d.ID || !reading.Time.Equal(received) || len(d.Properties) != len(reading.Values) {
				t.Errorf("reading %+v", reading)
			}
			sameValues(t, reading.Values, answer.Values)
			if text, _ := json.Marshal(r); strings.Contains(string(text), "123456") {
				t.Error("the password is told")
			}
		})
	}
	if got := jkFrame(jkReadAll, jkRequest, 0); hex.EncodeToString(got) != strings.ToLower(file.Request) {
		t.Errorf("request % X", got)
	}
	d := newJKDecoder(drivertest.Discard{})
	for range 2 {
		d.Decode(jkAnswer(t), received)
	}
	for _, w := range file.Writes {
		got, ok := d.commandFrame(serialbridge.Command{Device: "jkbms", Key: w.Key, Value: w.Value})
		if !ok || hex.EncodeToString(got) != strings.ToLower(w.Hex) {
			t.Errorf("%s %v: % X", w.Key, w.Value, got)
		}
	}
}

func TestJKValues(t *testing.T) {
	for _, test := range []struct {
		name, from, to string
		want           map[string]any
	}{
		{"discharging", "84 80D0", "84 07D0", map[string]any{"current": -20.0, "power": -1071.8}},
		{"charging 20 A", "84 80D0", "84 87D0", map[string]any{"current": 20.0, "power": 1071.8}},
		{"cold", "81 001E", "81 0065", map[string]any{"temperature_1": int64(-1)}},
		{"colder", "81 001E", "81 008C", map[string]any{"temperature_1": int64(-40)}},
		{"boiling", "81 001E", "81 0064", map[string]any{"temperature_1": int64(100)}},
		{"one sensor", "86 02", "86 01", map[string]any{"temperature_1": int64(30), "temperature_2": nil}},
		{"alarm", "8B 0000", "8B 0801", map[string]any{"problem": true, "alarms": "low capacity, cell undervoltage"}},
		{"reserved bits", "8B 0000", "8B C000", map[string]any{"problem": false, "alarms": "none"}},
		{"all alarms", "8B 0000", "8B 3FFF", map[string]any{"problem": true, "alarms": "low capacity, MOSFET too hot, charging overvoltage, " +
			"discharging undervoltage, battery too hot, charging overcurrent, discharging overcurrent, cell voltages differ, battery box too hot, " +
			"battery too cold, cell overvoltage, cell undervoltage, …"}},
		{"off", "8C 0007", "8C 0000", map[string]any{"charging_mosfet": false, "discharging_mosfet": false, "balancing": false}},
		{"not allowed", "AB 01 AC 01", "AB 00 AC 01", map[string]any{"charging": false, "discharging": true}},
		{"unknown chemistry", "AF 01", "AF 07", map[string]any{"chemistry": nil, "voltage": 53.59}},
	} {
		frame := jkEdit(t, test.from, test.to)
		r := decode(t, JK(), frame, frame)
		if len(r.Readings) != 1 || len(r.Damage) > 0 {
			t.Errorf("%s: %d readings, damaged %q", test.name, len(r.Readings), r.Damage)
			continue
		}
		for key, want := range test.want {
			if got := r.Readings[0].Values[key]; got != want {
				t.Errorf("%s: %s = %v, want %v", test.name, key, got, want)
			}
		}
	}

	// Version 0 counts down from 10000; that is what is told if there is none.
	for _, version := range []string{"C0 00", ""} {
		for raw, want := range map[string]float64{"2710": 0, "2AF8": -10, "251C": 5} {
			frame := jkSay(make([]byte, 4), unhex(t, "83 1000 84"+raw+version))
			r := decode(t, JK(), frame, frame)
			if len(r.Readings) != 1 || r.Readings[0].Values["current"] != want {
				t.Errorf("version %q, %s: %+v", version, raw, r.Readings)
			}
		}
	}
}

func TestJKUnknownField(t *testing.T) {
	frame := jkEdit(t, "C0 01", "D3 01 02 C0 01")
	r := decode(t, JK(), frame, frame)
	want := []string{"the battery tells a field D3 that is not known here: nothing behind it is read"}
	if len(r.Readings) != 1 || len(r.Damage) > 0 || !slices.Equal(r.Overheard, append(want, want...)) {
		t.Fatalf("%d readings, damaged %q, ignored %q", len(r.Readings), r.Damage, r.Overheard)
	}
	values := r.Readings[0].Values
	if _, told := values["current"]; told || values["voltage"] != 53.59 {
		t.Errorf("values %v", values)
	}
}

func TestJKIdentity(t *testing.T) {
	const example = "42543330373230323031323030303032303035323130 3031"
	for _, test := range []struct {
		name, id   string // in hexadecimal
		terminal   []byte
		want       string
		serial     string
		anonymous  bool
		wantsModel string
	}{
		{"example", example, make([]byte, 4), "jkbms", "", true, "JK BMS"},
		{"number", strings.Replace(example, "3031", "3137", 1) + "", make([]byte, 4), "", "", false, "JK BMS"},
		{"terminal", example, []byte{0, 0, 1, 0xFE}, "jkbms_000001FE", "", true, "JK BMS"},
		{"not text", strings.Repeat("80", 24), make([]byte, 4), "jkbms", "", true, "JK BMS"},
		{"the user's", "4D7920626F6174" + strings.Repeat("00", 17), make([]byte, 4), "jkbms", "", true, "JK BMS"},
		{"the user's, model", "4D7920626F61742020202020" + hex.EncodeToString([]byte("JK_B1A8S20P\x00")), make([]byte, 4), "jkbms", "", true, "JK_B1A8S20P"},
		{"empty", strings.Repeat("00", 24), make([]byte, 4), "jkbms", "", true, "JK BMS"},
	} {
		id := unhex(t, test.id)
		if test.name == "number" {
			test.serial = string(id)
			test.want = "jkbms_" + test.serial
		}
		frame := jkSay(test.terminal, append(append([]byte{0x83, 0x10, 0x00, 0xBA}, id...), 0xC0, 1))
		r := decode(t, JK(), frame, frame)
		if len(r.Announcements) != 1 {
			t.Errorf("%s: %d devices", test.name, len(r.Announcements))
			continue
		}
		d := r.Announcements[0]
		if d.ID != test.want || d.SerialNumber != test.serial || d.Anonymous != test.anonymous || d.Model != test.wantsModel {
			t.Errorf("%s: %+v", test.name, d)
		}
	}

	// A frame that tells no ID is of the battery that did.
	told := jkSay(make([]byte, 4), unhex(t, "83 1000 BA"+hex.EncodeToString([]byte("BT1048100040000240101007"))))
	silent := jkSay(make([]byte, 4), unhex(t, "83 1000"))
	if r := decode(t, JK(), told, told, silent); len(r.Readings) != 2 || r.Readings[1].Device != "jkbms_BT1048100040000240101007" {
		t.Errorf("readings %+v", r.Readings)
	}
}

func TestJKDamage(t *testing.T) {
	good := jkAnswer(t)
	edit := func(at int, b byte) []byte {
		frame := slices.Clone(good)
		frame[at] = b
		return frame
	}
	request := unhex(t, readJK(t).Request)
	for _, test := range []struct {
		name     string
		pieces   [][]byte
		readings int
		damaged  []string
	}{
		{"one frame", [][]byte{good}, 0, nil},
		{"two frames", [][]byte{good, good}, 1, nil},
		{"wrong value", [][]byte{good, edit(15, 7), good}, 1, []string{"checksum"}},
		{"wrong sum", [][]byte{good, edit(len(good)-1, 7), good}, 1, []string{"checksum"}},
		{"wrong end", [][]byte{good, edit(len(good)-5, 7), good}, 1, []string{"checksum"}},
		{"wrong length", [][]byte{good, edit(2, 0xFF), good}, 1, nil},
		{"begins within", [][]byte{good[100:], good, good}, 1, nil},
		{"ends within", [][]byte{good, good[:100], good, good}, 2, []string{"checksum"}},
		{"begins twice", [][]byte{good, good[:1], good, good[:4], good, good}, 3, []string{"checksum"}},
		{"noise between", [][]byte{good, []byte("NW noise"), good}, 1, nil},
		{"questions between", [][]byte{request, good, request, good, jkFrame(jkWrite, jkReport, jkCharging, 0), good}, 2, nil},
		{"too much charge", [][]byte{good, jkEdit(t, "85 0F", "85 65"), good}, 1, []string{"syntax"}},
		{"too hot", [][]byte{good, jkEdit(t, "80 001D", "80 008D"), good}, 1, []string{"syntax"}},
		{"neither on nor off", [][]byte{good, jkEdit(t, "AB 01", "AB 02"), good}, 1, []string{"syntax"}},
		{"too high a cell", [][]byte{good, jkEdit(t, "01 0EED", "01 1389"), good}, 1, []string{"syntax"}},
		{"cells out of order", [][]byte{good, jkEdit(t, "01 0EED", "02 0EED"), good}, 1, []string{"syntax"}},
		{"half a cell", [][]byte{good, jkSay(make([]byte, 4), unhex(t, "79 02 01 0E")), good}, 1, []string{"syntax"}},
		{"too many cells", [][]byte{good, jkSay(make([]byte, 4), append([]byte{0x79, 147}, make([]byte, 147)...)), good}, 1, []string{"syntax"}},
		{"no length of cells", [][]byte{good, jkSay(make([]byte, 4), unhex(t, "79")), good}, 1, []string{"syntax"}},
		{"half a field", [][]byte{good, jkSay(make([]byte, 4), unhex(t, "83 10")), good}, 1, []string{"syntax"}},
		{"a field twice", [][]byte{good, jkSay(make([]byte, 4), unhex(t, "83 1000 83 1000")), good}, 1, []string{"syntax"}},
		{"field 00", [][]byte{good, jkSay(make([]byte, 4), unhex(t, "00")), good}, 1, []string{"syntax"}},
		{"nothing", [][]byte{good, jkSay(make([]byte, 4), nil), good}, 1, nil},
	} {
		r := decode(t, JK(), test.pieces...)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}

	// A frame that stops is over after a second.
	r := &drivertest.Recorder{}
	d := newJKDecoder(r)
	d.Decode(good, received)
	d.Decode(good[:100], received.Add(time.Second))
	d.Decode(good, received.Add(3*time.Second))
	if len(r.Readings) != 1 || !slices.Equal(r.Damage, []string{"truncated"}) || len(d.pending) > 0 {
		t.Errorf("%d readings, damaged %q", len(r.Readings), r.Damage)
	}
}

// A frame with one bit wrong says nothing wrong.
func TestJKBits(t *testing.T) {
	good := jkAnswer(t)
	want := decode(t, JK(), good, good).Readings[0]
	for i := range 8 * len(good) {
		frame := slices.Clone(good)
		frame[i/8] ^= 1 << (i % 8)
		r := decode(t, JK(), good, frame, good, good)
		if len(r.Readings) < 1 || len(r.Announcements) != 1 {
			t.Errorf("bit %d: %d readings of %d devices", i, len(r.Readings), len(r.Announcements))
		}
		for _, reading := range r.Readings {
			if !reflect.DeepEqual(reading, want) {
				t.Errorf("bit %d: %+v", i, reading)
			}
		}
	}
}

// foreign is what other devices say.
func foreign(t testing.TB) []byte {
	b := []byte("$GPRMC,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*70\r\n" +
		"/ISk5\\2MT382-1000\r\n1-0:1.8.1(00001.001*kWh)\r\n!\r\n\r\nPID\t0xA389\r\nV\t26201\r\n")
	b = append(b, unhex(t, "1b1b1b1b01010101760512345678620062007263010176010102310b")...)
	b = append(b, unhex(t, "aac00600060058d93dab 424d001400000000000000000000000000000000005100f4 ff86027c42000000ba")...)
	return append(b, unhex(t, "dd0300 1d 0618 0000 01f2 0000 77 01040400434ffa2a")...)
}

func TestForeign(t *testing.T) {
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, driver := range []serialbridge.Driver{JK(), Daly(DalyOptions{})} {
		if r := decode(t, driver, foreign(t)); len(r.Readings)+len(r.Announcements)+len(r.Damage) > 0 {
			t.Errorf("%s: %d readings, damaged %q", driver.Protocol, len(r.Readings), r.Damage)
		}
		if r := decode(t, driver, noise); len(r.Readings)+len(r.Announcements) > 0 {
			t.Errorf("%s: %+v", driver.Protocol, r.Readings)
		}
	}
}

// The pieces do not matter.
func TestSplits(t *testing.T) {
	jk := jkAnswer(t)
	for name, test := range map[string]struct {
		driver serialbridge.Driver
		stream []byte
	}{
		"jk":   {JK(), slices.Concat(jk, jk[:50], []byte("NW"), jk, jk, jk)},
		"daly": {Daly(DalyOptions{}), slices.Concat(dalyTalkOf(t, false), []byte{0xA5, 1}, dalyTalkOf(t, false)[5:], dalyTalkOf(t, false))},
	} {
		want := decode(t, test.driver, test.stream)
		if len(want.Announcements) != 1 || len(want.Readings) < 2 {
			t.Fatalf("%s: %d devices, %d readings", name, len(want.Announcements), len(want.Readings))
		}
		for i := range test.stream {
			if got := decode(t, test.driver, test.stream[:i], test.stream[i:]); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: cut at %d: %+v", name, i, got)
			}
		}
		for size := 1; size < 50; size++ {
			if got := decode(t, test.driver, slices.Collect(slices.Chunk(test.stream, size))...); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: in pieces of %d: %+v", name, size, got)
			}
		}
	}
}
