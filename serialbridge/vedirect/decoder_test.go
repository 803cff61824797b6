package vedirect

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge/drivertest"
)

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
