package dsmr

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge"
	"lintel/serialbridge/crc"
	"lintel/serialbridge/drivertest"
)

func TestTruncated(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	for name, telegram := range telegrams {
		other := telegrams["TELEGRAM_V5"]
		if name == "TELEGRAM_V5" {
			other = telegrams["TELEGRAM_V2_2"]
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := decode(t, telegram)
			wholeOther := decode(t, other)
			end := bytes.LastIndexByte(telegram, '!')
			for cut := range telegram {
				first := decode(t, telegram[:cut]).Readings
				if len(first) > 0 && (cut <= end || !reflect.DeepEqual(first, whole.Readings)) {
					t.Fatalf("cut at %d: readings", cut)
				}
				// The telegram that follows is found, wherever the cut was.
				for _, next := range []struct {
					bytes []byte
					want  *recorder
				}{{other, wholeOther}, {telegram, whole}} {
					r := decode(t, telegram[:cut], next.bytes)
					want := append(slices.Clone(first), next.want.Readings...)
					if !reflect.DeepEqual(r.Readings, want) {
						t.Fatalf("cut at %d: the next telegram is not found: damaged %q", cut, r.Damage)
					}
				}
				// So it is when the tail of one comes first.
				r := decode(t, telegram[cut:], other)
				if cut > 0 && !reflect.DeepEqual(r.Readings, wholeOther.Readings) {
					t.Fatalf("from %d: the next telegram is not found: damaged %q", cut, r.Damage)
				}
			}
		})
	}
}

// A telegram that lost bytes in its middle is never taken for another one, as
// far as its text allows to tell: with a CRC always.
func TestBytesLost(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	for name, telegram := range telegrams {
		if !withCRC.Match(telegram) {
			continue
		}
		whole := decode(t, telegram)
		for _, n := range []int{1, 2, 16, 100} {
			for cut := 1; cut+n <= len(telegram)-2; cut += 3 {
				r := decode(t, telegram[:cut], telegram[cut+n:])
				if len(r.Readings) > 0 && !reflect.DeepEqual(r.Readings, whole.Readings) {
					t.Fatalf("%s without %d bytes at %d published something else", name, n, cut)
				}
			}
		}
	}
}

// One wrong bit in a telegram with a CRC publishes nothing, or exactly what the
// telegram says: the case of a hex digit of the CRC does not matter, nor does
// the line feed at the end.
func TestBitFlips(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	for name, telegram := range telegrams {
		if !withCRC.Match(telegram) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := decode(t, telegram)
			body := bytes.IndexByte(telegram, '\n') + 1
			for i := range telegram {
				for bit := range 8 {
					if len(telegram) > 900 && bit != i%8 {
						continue // the longest ones would take too long
					}
					flipped := slices.Clone(telegram)
					flipped[i] ^= 1 << bit
					r := decode(t, flipped)
					harmless := i == len(telegram)-1 || bit == 5 && i < len(telegram)-2 && i >= len(telegram)-6
					switch {
					case len(r.Readings) > 0 && !(harmless && reflect.DeepEqual(r.Readings, whole.Readings)):
						t.Fatalf("bit %d of byte %d published", bit, i)
					case len(r.Readings) == 0 && i >= body && len(r.Damage) != 1:
						t.Fatalf("bit %d of byte %d: damaged %q", bit, i, r.Damage)
					}
				}
			}
		})
	}
}

func TestPieces(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	for _, name := range telegramNames(telegrams) {
		telegram := telegrams[name]
		whole := decode(t, telegram)
		for pieces := range drivertest.Splits(telegram, 1) {
			if r := decode(t, pieces...); !reflect.DeepEqual(r, whole) {
				t.Fatalf("%s in %d pieces, %d bytes first, differs", name, len(pieces), len(pieces[0]))
			}
		}
	}
}

func TestGarbage(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	noise := make([]byte, 256)
	for i := range noise {
		noise[i] = byte(i)
	}
	for _, garbage := range []string{
		"", "\x00\x00\xff", "0-0:96.1.1(12)\r\n!\r\n", "/", "//", "a/b/c", "/usr/bin/env", "/dev/ttyUSB0\r\n", "!", "!!\r\n",
		"/ABC5", "/ABC5\r\n", "/ABC5\r\n\r\n", "/ABC5\r\n1-0:1.8.0(000", "/ABC5\r\n1-0:1.8.0(00001.000*kWh)\r\n!12",
		"/ABC5\r\n1-0:1.8.0(00001.000*kWh)\r\n!", "/ABC5\r\n!12345\r\n",
		string(noise), "/ABC5\r\n" + string(noise), strings.Repeat("/", 100), strings.Repeat("/ABC5\r\n", 10),
		"/" + strings.Repeat("a", 20000), "/ABC5\r\n" + strings.Repeat("a", 20000) + "/x",
		"/ABC5\r\n" + strings.Repeat("\r\n", 10000),
		"/ABC5\r\n" + strings.Repeat("1-0:1.8.0(1*kWh)\r\n", 2000),
	} {
		for name, telegram := range telegrams {
			whole := decode(t, telegram)
			r := decode(t, []byte(garbage), telegram)
			if !reflect.DeepEqual(r.Readings, whole.Readings) {
				t.Errorf("%.40q: %s is not found: damaged %q", garbage, name, r.Damage)
			}
			r = decode(t, telegram, []byte(garbage), telegram)
			if want := append(slices.Clone(whole.Readings), whole.Readings...); !reflect.DeepEqual(r.Readings, want) {
				t.Errorf("%.40q between: %s is not found: damaged %q", garbage, name, r.Damage)
			}
		}
	}
}

func TestLongGarbageAtTheLimit(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	telegram := telegrams["TELEGRAM_V2_2"]
	for n := maxTelegram - len(telegram); n < maxTelegram+4; n++ {
		start := "/ABC5\r\n"
		r := decode(t, []byte(start+strings.Repeat("x", n-len(start))), telegram)
		if len(r.Readings) != 2 {
			t.Fatalf("%d bytes of garbage: the telegram is not found: damaged %q", n, r.Damage)
		}
	}
}

func TestConcatenated(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	var stream []byte
	var want []serialbridge.Reading
	for range 3 {
		for _, name := range telegramNames(telegrams) {
			stream = append(stream, telegrams[name]...)
			want = append(want, decode(t, telegrams[name]).Readings...)
		}
	}
	r := decode(t, stream)
	if len(r.Damage) > 0 {
		t.Errorf("damaged: %q", r.Damage)
	}
	if !reflect.DeepEqual(r.Readings, want) {
		t.Error("other readings than one by one")
	}
	if len(r.Announcements) != len(r.Devices) {
		t.Errorf("%d announcements of %d devices", len(r.Announcements), len(r.Devices))
	}
}

// A telegram is published with the first byte of its last line end.
func TestDoesNotWait(t *testing.T) {
	telegrams, _ := readTelegrams(t)
	for _, name := range []string{"TELEGRAM_V2_2", "TELEGRAM_V5", "TELEGRAM_UNPADDED_CRC"} {
		if r := decode(t, telegrams[name][:len(telegrams[name])-1]); len(r.Readings) == 0 {
			t.Errorf("%s: waits for the line feed", name)
		}
	}
}

// telegramWith returns a telegram with its CRC.
func telegramWith(lines ...string) []byte {
	body := "/ABC5NAME\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n!"
	return fmt.Appendf(nil, "%s%04X\r\n", body, crc.IBM.Update(0, []byte(body)...))
}

func telegramWithout(lines ...string) []byte {
	return []byte("/ABC5NAME\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n!\r\n")
}

func TestDamaged(t *testing.T) {
	const energy = "1-0:1.8.0(000001.000*kWh)"
	for _, test := range []struct {
		name     string
		telegram []byte
		reason   string // empty: published
	}{
		{"plain", telegramWith(energy), ""},
		{"plain without CRC", telegramWithout(energy), ""},
		{"LF alone", []byte("/ABC5NAME\n\n" + energy + "\n!\n"), ""},
		{"unknown object", telegramWith(energy, "9-9:99.99.9(what)"), ""},
		{"no number", telegramWith(energy, "1-0:1.7.0(00.1x4*kW)"), "syntax"},
		{"no number but a unit", telegramWith(energy, "1-0:1.7.0(*kW)"), "syntax"},
		{"two points", telegramWith(energy, "1-0:1.7.0(0.1.4*kW)"), "syntax"},
		{"exponent", telegramWith(energy, "1-0:1.7.0(1e3*kW)"), "syntax"},
		{"infinite", telegramWith(energy, "1-0:1.7.0(Inf*kW)"), "syntax"},
		{"hex float", telegramWith(energy, "1-0:1.7.0(0x1p3*kW)"), "syntax"},
		{"endless", telegramWith(energy, "1-0:1.7.0("+strings.Repeat("9", 400)+"*kW)"), "syntax"},
		{"counter with sign", telegramWith(energy, "0-0:96.7.21(-1)"), "syntax"},
		{"counter too large", telegramWith(energy, "0-0:96.7.21("+strings.Repeat("9", 40)+")"), "syntax"},
		{"no gas number", telegramWith(energy, "0-1:24.1.0(003)", "0-1:24.2.1(161129200000W)(x*m3)"), "syntax"},
		{"no device type", telegramWith(energy, "0-1:24.1.0(x)"), "syntax"},
		{"empty number", telegramWith(energy, "1-0:1.7.0()"), ""},
		{"no parenthesis", telegramWith(energy, "1-0:1.7.0"), "syntax"},
		{"open parenthesis", telegramWith(energy, "1-0:1.7.0(1*kW"), "syntax"},
		{"behind parenthesis", telegramWith(energy, "1-0:1.7.0(1*kW)x"), "syntax"},
		{"between parentheses", telegramWith(energy, "1-0:1.7.0(1)x(1*kW)"), "syntax"},
		{"no code", telegramWith(energy, "hello(1)"), "syntax"},
		{"short code", telegramWith(energy, "1.7.0(1*kW)"), "syntax"},
		{"value without object", telegramWith("(00001.001)", energy), "syntax"},
		{"control character", telegramWith(energy, "0-0:96.13.0(\x01)"), "syntax"},
		{"eight bits", telegramWith(energy, "0-0:96.13.0(\xb1)"), "syntax"},
		{"wrong CRC", []byte("/ABC5NAME\r\n\r\n" + energy + "\r\n!0000\r\n"), "checksum"},
		{"lost CRC", telegramWithout("0-0:1.0.0(161113205757W)", energy), "checksum"},
		{"CRC of five digits", []byte("/ABC5NAME\r\n\r\n" + energy + "\r\n!00000\r\n"), "syntax"},
		{"CRC of no digits", []byte("/ABC5NAME\r\n\r\n" + energy + "\r\n!XYZ\r\n"), "syntax"},
		{"no energy, no CRC", telegramWithout("1-0:1.7.0(1*kW)"), "syntax"},
		{"nothing, no CRC", telegramWithout(), "syntax"},
		{"twice, no CRC", telegramWithout(energy, energy), "syntax"},
		{"unknown unit, no CRC", telegramWithout(energy, "1-0:1.7.0(1*kX)"), "syntax"},
		{"unknown unit", telegramWith(energy, "1-0:1.7.0(1*kX)"), ""},
		{"impossible time", telegramWith(energy, "0-0:1.0.0(632525252525W)"), ""},
		{"unknown state", telegramWith(energy, "0-0:96.3.10(7)"), ""},
		{"too long", telegramWith(energy, "0-0:96.13.0("+strings.Repeat("30", maxTelegram/2)+")"), "too long"},
	} {
		r := decode(t, test.telegram)
		switch {
		case test.reason == "":
			if len(r.Damage) > 0 || len(r.Readings) != 1 || r.Readings[0].Values["energy_import"] != 1.0 {
				t.Errorf("%s: readings %v, damaged %q", test.name, r.Readings, r.Damage)
			} else if len(r.Readings[0].Values) != 1 {
				t.Errorf("%s: values %v", test.name, r.Readings[0].Values)
			}
		case len(r.Readings) > 0 || len(r.Announcements) > 0:
			t.Errorf("%s: readings %v", test.name, r.Readings)
		case !slices.Equal(r.Damage, []string{test.reason}):
			t.Errorf("%s: damaged %q, want %q", test.name, r.Damage, test.reason)
		}
	}
}

func TestAnnouncesWhenTheSetGrows(t *testing.T) {
	small := telegramWith("0-0:96.1.1(4142)", "1-0:1.8.0(1*kWh)")
	large := telegramWith("0-0:96.1.1(4142)", "1-0:1.8.0(1*kWh)", "1-0:1.7.0(2*kW)")
	r := decode(t, small, small, large, small, large)
	if len(r.Announcements) != 2 {
		t.Fatalf("%d announcements, want 2", len(r.Announcements))
	}
	if n := len(r.Announcements[1].Properties); n != 2 {
		t.Errorf("%d properties, want 2", n)
	}
	if len(r.Readings) != 5 {
		t.Errorf("%d readings, want 5", len(r.Readings))
	}
	if n := len(r.Announcements[0].Properties); n != 1 {
		t.Errorf("the first announcement changed afterwards: %d properties", n)
	}
}
