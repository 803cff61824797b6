package bms

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

type dalyFile struct {
	Requests []string
	Talk     []struct {
		Asked   string
		Answers []string
	}
	Values map[string]any
}

func readDaly(t testing.TB) dalyFile {
	var file dalyFile
	readJSON(t, "daly.json", &file)
	return file
}

// dalyTalkOf returns what the battery said, and what it was asked if so wanted.
func dalyTalkOf(t testing.TB, questions bool) (b []byte) {
	for _, talk := range readDaly(t).Talk {
		if questions {
			b = append(b, unhex(t, talk.Asked)...)
		}
		b = append(b, unhex(t, strings.Join(talk.Answers, ""))...)
	}
	return b
}

// dalySay makes an answer.
func dalySay(t testing.TB, command byte, data string) []byte {
	b := append([]byte{0xA5, dalyBattery, command, 8}, unhex(t, data)...)
	if len(b) != dalyFrame-1 {
		t.Fatalf("%d bytes", len(b))
	}
	return append(b, byte(sum16(b)))
}

// dalyCodeOf makes the answer to dalyCode.
func dalyCodeOf(t testing.TB, code string) (b []byte) {
	code += strings.Repeat(" ", 35-len(code))
	for i := range dalyCodeFrames {
		b = append(b, dalySay(t, dalyCode, fmt.Sprintf("%02x", i+1)+hex.EncodeToString([]byte(code[7*i:7*i+7])))...)
	}
	return b
}

// merged is the last value of everything.
func merged(r *drivertest.Recorder) map[string]any {
	values := make(map[string]any)
	for _, reading := range r.Readings {
		maps.Copy(values, reading.Values)
	}
	return values
}

func TestDalyCapture(t *testing.T) {
	file := readDaly(t)
	for _, questions := range []bool{false, true} {
		talk := dalyTalkOf(t, questions)
		r := decode(t, Daly(DalyOptions{}), talk, talk, talk)
		if len(r.Damage)+len(r.Overheard) > 0 || len(r.Announcements) != 1 {
			t.Fatalf("%d devices, damaged %q", len(r.Announcements), r.Damage)
		}
		d := r.Announcements[0]
		if d.ID != "dalybms" || !d.Anonymous || d.Vendor != "Daly" || d.SerialNumber != "" {
			t.Errorf("device %+v", d)
		}
		sameValues(t, merged(r), file.Values)
		if n := len(file.Values) + 1; len(d.Properties) != n { // and capacity, which was not asked for
			t.Errorf("%d properties, want %d", len(d.Properties), n)
		}
	}
	if got := hex.EncodeToString(dalyQuestion(dalyBluetooth, dalyCells)); got != file.Requests[0] {
		t.Errorf("question %s", got)
	}
}

func TestDalyValues(t *testing.T) {
	counts := dalySay(t, dalyCounts, "10 02 01 01 02 0123 00")
	for _, test := range []struct {
		name    string
		command byte
		data    string
		want    map[string]any
	}{
		{"cycles", dalyCounts, "10 02 01 00 02 0123 00", map[string]any{"cycles": int64(0x123), "charger": true, "load": false}},
		{"charge", dalyCharge, "0210 0000 7531 03E8", map[string]any{"voltage": 52.8, "current": 0.1, "power": 5.28, "state_of_charge": 100.0}},
		{"remaining", dalyMOSFETs, "02 01 00 10 0001869F", map[string]any{"state": "discharging", "charging_mosfet": true, "discharging_mosfet": false, "remaining_capacity": 99.999}},
		{"last cells", dalyCells, "06 0E74 0E75 0E76 00", map[string]any{"cell_16_voltage": 3.7}},
		{"no such cells", dalyCells, "07 0E74 0E75 0E76 00", nil},
		{"cells 0", dalyCells, "00 0E74 0E75 0E76 00", nil},
		{"temperatures", dalySensors, "01 3D 27 FF FF FF FF FF", map[string]any{"temperature_1": int64(21), "temperature_2": int64(-1)}},
		{"no sensor", dalySensors, "01 3D FF FF FF FF FF FF", map[string]any{"temperature_1": int64(21), "temperature_2": nil}},
		{"balancing", dalyBalancing, "00 00 01 00 00 00 00 00", map[string]any{"balancing": true}},
		{"not a cell", dalyBalancing, "00 00 00 00 00 00 01 00", map[string]any{"balancing": false}},
		{"alarms", dalyAlarms, "02 80 00 00 01 00 04 07", map[string]any{"problem": true,
			"alarms": "cell voltage too high, too cold for discharging, charging MOSFET too hot, short circuit, fault 7"}},
		{"rated", dalyRated, "00041EB0 00000E10", map[string]any{"capacity": 270.0}},
		{"unknown", 0x61, "00 00 00 00 00 00 00 00", nil},
	} {
		r := decode(t, Daly(DalyOptions{}), counts, counts, dalySay(t, test.command, test.data))
		var got map[string]any
		if len(r.Readings) > 1 {
			got = r.Readings[1].Values
		}
		if len(r.Damage) > 0 || !maps.Equal(got, test.want) {
			t.Errorf("%s: %v, damaged %q", test.name, got, r.Damage)
		}
	}

	// All alarms at once still are a state of Home Assistant.
	r := decode(t, Daly(DalyOptions{}), counts, counts, dalySay(t, dalyAlarms, "FFFFFFFFFFFFFFFF"))
	if text, _ := merged(r)["alarms"].(string); len(text) > 255 || !strings.HasSuffix(text, "warm for discharging, …") {
		t.Errorf("alarms %q", text)
	}

	// What cannot be.
	for command, data := range map[byte]string{
		dalyCounts:       "31 02 01 01 02 0123 00",
		dalyCharge:       "0210 0000 7531 03E9",
		dalyCellRange:    "1389 01 0E9C 02 0000",
		dalyTemperatures: "BF 01 3D 01 0000 0000",
		dalyMOSFETs:      "03 01 00 10 0001869F",
		dalyCells:        "01 0E74 1389 0E76 00",
		dalySensors:      "01 3D BF 00 00 00 00 00",
		dalyRated:        "FFFFFFFF 00000E10",
	} {
		r := decode(t, Daly(DalyOptions{}), counts, counts, dalySay(t, command, data))
		if len(r.Readings) != 1 || !slices.Equal(r.Damage, []string{"syntax"}) {
			t.Errorf("%02X: %d readings, damaged %q", command, len(r.Readings), r.Damage)
		}
	}
}

// The sign follows the state, which is what the maker has written down.
func TestDalyCurrent(t *testing.T) {
	const idle, charging, discharging, above, below = "00", "01", "02", "75BC", "74A4" // 30000 ± 140
	for _, test := range []struct {
		states, currents []string
		invert           bool
		want             []float64
	}{
		{[]string{idle}, []string{above}, false, []float64{14}},
		{[]string{charging, discharging}, []string{above, below}, false, []float64{14, -14}},
		{[]string{charging, discharging}, []string{below, above}, false, []float64{14, -14}},
		{[]string{discharging, idle, idle}, []string{above, above, below}, false, []float64{-14, -14, 14}},
		{[]string{discharging, idle}, []string{"7530", above}, false, []float64{0, 14}},
		{[]string{discharging, charging}, []string{below, above}, true, []float64{14, -14}},
		// The current turned between the answers.
		{[]string{charging, charging, discharging, idle}, []string{above, below, below, below}, false, []float64{14, -14, -14, -14}},
		// What was found first was wrong.
		{[]string{charging, discharging, discharging, idle}, []string{below, below, below, below}, false, []float64{14, 14, -14, -14}},
	} {
		counts := dalySay(t, dalyCounts, "04 01 00 00 00 0000 00")
		pieces := [][]byte{counts, counts}
		for i := range test.states {
			pieces = append(pieces, dalySay(t, dalyMOSFETs, test.states[i]+"01010000000000"), dalySay(t, dalyCharge, "02100000"+test.currents[i]+"01F4"))
		}
		r := decode(t, Daly(DalyOptions{InvertCurrent: test.invert}), pieces...)
		var got []float64
		for _, reading := range r.Readings {
			if v, ok := reading.Values["current"].(float64); ok {
				got = append(got, v)
				if p := reading.Values["power"].(float64); math.Abs(p-v*52.8) > 1e-9 {
					t.Errorf("%v W of %v A", p, v)
				}
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func TestDalyIdentity(t *testing.T) {
	counts := dalySay(t, dalyCounts, "04 01 00 00 00 0000 00")
	code, other := dalyCodeOf(t, "DL-4S/2024 0815"), dalyCodeOf(t, "DL-4S/2024 0816")
	for _, test := range []struct {
		name   string
		pieces [][]byte
		id     string
		serial string
	}{
		{"none told", nil, "dalybms", ""},
		{"once", [][]byte{code}, "dalybms", ""},
		{"twice", [][]byte{code, code}, "dalybms_DL-4S_2024_0815", "DL-4S/2024 0815"},
		{"two", [][]byte{code, other}, "dalybms", ""},
		{"settles", [][]byte{code, other, other}, "dalybms_DL-4S_2024_0816", "DL-4S/2024 0816"},
		{"cut", [][]byte{code[:26], code[26:52], code, code}, "dalybms_DL-4S_2024_0815", "DL-4S/2024 0815"},
		{"parts lost", [][]byte{code[:13], code[26:], code[:13], code[26:]}, "dalybms", ""},
		{"blank", [][]byte{dalyCodeOf(t, ""), dalyCodeOf(t, "")}, "dalybms", ""},
		{"not text", [][]byte{dalyCodeOf(t, "\x01\x02"), dalyCodeOf(t, "\x01\x02")}, "dalybms", ""},
	} {
		r := decode(t, Daly(DalyOptions{}), append(test.pieces, counts, counts)...)
		if len(r.Announcements) != 1 {
			t.Fatalf("%s: %d devices", test.name, len(r.Announcements))
		}
		d := r.Announcements[0]
		if d.ID != test.id || d.SerialNumber != test.serial || d.Anonymous != (test.serial == "") {
			t.Errorf("%s: %+v", test.name, d)
		}
	}
}

func TestDalyDamage(t *testing.T) {
	counts := dalySay(t, dalyCounts, "04 01 00 00 00 0000 00")
	good := dalySay(t, dalyCharge, "0210 0000 7530 01F4")
	edit := func(at int, b byte) []byte {
		frame := slices.Clone(good)
		frame[at] = b
		return frame
	}
	for _, test := range []struct {
		name     string
		pieces   [][]byte
		readings int
		damaged  []string
	}{
		{"too early", [][]byte{good, counts, good, counts}, 1, nil},
		{"counts differ", [][]byte{counts, dalySay(t, dalyCounts, "05 01 00 00 00 0000 00"), good}, 0, nil},
		{"good", [][]byte{counts, counts, good}, 2, nil},
		{"wrong value", [][]byte{counts, counts, edit(5, 7), good}, 2, []string{"checksum"}},
		{"wrong sum", [][]byte{counts, counts, edit(12, 7), good}, 2, []string{"checksum"}},
		{"wrong length", [][]byte{counts, counts, edit(3, 7), good}, 2, nil},
		{"another address", [][]byte{counts, counts, dalyQuestion(dalyHost, dalyCharge), good}, 2, nil},
		{"begins within", [][]byte{counts[5:], counts, counts, good}, 2, nil},
		{"ends within", [][]byte{counts, counts, good[:7], good, good}, 3, []string{"checksum"}},
		{"noise between", [][]byte{counts, counts, []byte("noise \xA5"), good}, 2, nil},
	} {
		r := decode(t, Daly(DalyOptions{}), test.pieces...)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}
	for i := range 8 * len(good) {
		frame := slices.Clone(good)
		frame[i/8] ^= 1 << (i % 8)
		if r := decode(t, Daly(DalyOptions{}), counts, counts, frame, good); len(r.Readings) != 2 {
			t.Errorf("bit %d: %+v", i, r.Readings)
		}
	}
}

// Properties are announced with what Home Assistant wants of each class.
func TestProperties(t *testing.T) {
	units := map[string]string{"voltage": "V", "current": "A", "power": "W", "battery": "%", "temperature": "°C", "duration": "min"}
	flags := []string{"", "problem", "running", "plug"}
	counts := dalySay(t, dalyCounts, "30 10 00 00 00 0000 00")
	for _, r := range []*drivertest.Recorder{
		decode(t, JK(), jkAnswer(t), jkAnswer(t)),
		decode(t, Daly(DalyOptions{}), counts, counts),
	} {
		seen := make(map[string]bool)
		for _, p := range r.Announcements[0].Properties {
			ok := p.Name != "" && strings.Trim(p.Key, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && !seen[p.Key]
			seen[p.Key] = true
			switch p.Kind {
			case serialbridge.Measurement:
				unit, known := units[p.Class]
				ok = ok && (p.Class == "" || known && p.Unit == unit) && p.Precision >= 0 && p.Category != serialbridge.Config
			case serialbridge.Binary:
				ok = ok && slices.Contains(flags, p.Class) && p.Unit == "" && p.StateClass == ""
			case serialbridge.State:
				ok = ok && (p.Class == "enum") == (len(p.Options) > 0) && p.Unit == "" && p.StateClass == ""
			case serialbridge.Switch:
				ok = ok && p.Class == "" && p.Category == serialbridge.Config
			default:
				ok = false
			}
			if !ok {
				t.Errorf("%+v", p)
			}
		}
		if len(seen) > 256 {
			t.Errorf("%d properties", len(seen))
		}
	}
}
