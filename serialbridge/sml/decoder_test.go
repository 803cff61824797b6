package sml

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge/crc"
	"lintel/serialbridge/drivertest"
)

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
	sum := crc.X25([]byte(m))
	return m + string([]byte{0x63, byte(sum), byte(sum >> 8), 0})
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
	return binary.LittleEndian.AppendUint16(f, crc.X25(f))
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
