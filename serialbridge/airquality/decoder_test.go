package airquality

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestDamage(t *testing.T) {
	good := unhex(t, "aac00600060058d93dab")
	other := sds(9, 0, 9, 0, 0x58, 0xD8)
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
		{"one frame", [][]byte{good}, 0, nil},
		{"two frames", [][]byte{good, good}, 1, nil},
		{"wrong value", [][]byte{good, edit(2, 7), good}, 1, []string{"checksum"}},
		{"wrong sum", [][]byte{good, edit(8, 0), good}, 1, []string{"checksum"}},
		{"wrong end", [][]byte{good, edit(9, 0xAA), good}, 1, []string{"checksum"}},
		{"wrong header", [][]byte{good, edit(1, 0xC1), good}, 1, nil},
		{"begins within", [][]byte{good[4:], good, good}, 1, nil},
		{"ends within", [][]byte{good, good[:7], good, good}, 2, []string{"checksum"}},
		{"begins twice", [][]byte{good, {0xAA}, good, {0xAA, 0xC0}, good, {0xAA}}, 2, []string{"checksum"}},
		{"noise between", [][]byte{good, []byte("noise"), good}, 1, nil},
		{"another id", [][]byte{good, good, other, good, good}, 2, nil},
		{"other to stay", [][]byte{good, good, other, other, other}, 3, nil},
		{"more than can be", [][]byte{good, sds(0x10, 0x27, 0, 0, 0x58, 0xD9), good}, 1, []string{"syntax"}},
		{"answer to a command", [][]byte{good, unhex(t, "AA C5 02 01 01 00 58 D9 35 AB"), good}, 1, nil},
	} {
		r := decode(t, test.pieces...)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}

	for _, frame := range [][]byte{
		mcu(t, "2135 0AC4 018B89 0019 00009EF2 0005"), // 85.01 °C
		mcu(t, "097D 2711 018B89 0019 00009EF2 0005"), // 100.01 %
		mcu(t, "097D 0AC4 00752F 0019 00009EF2 0005"), // 299.99 hPa
		mcu(t, "097D 0AC4 018B89 01F5 00009EF2 0005"), // index 501
		mcu(t, "097D 0AC4 018B89 4019 00009EF2 0005"), // accuracy 4
	} {
		r := decode(t, frame)
		if len(r.Readings) > 0 || !slices.Equal(r.Damage, []string{"syntax"}) {
			t.Errorf("% X: %d readings, damaged %q", frame, len(r.Readings), r.Damage)
		}
	}
}

// Each bit of each frame is covered: a frame with one bit wrong is not
// published, and the next ones are.
func TestBits(t *testing.T) {
	for name, capture := range readCaptures(t).Sensors {
		good := unhex(t, capture.HexLines[0])
		want := decode(t, good, good).Readings
		for i := range 8 * len(good) {
			frame := slices.Clone(good)
			frame[i/8] ^= 1 << (i % 8)
			r := decode(t, frame, good, good)
			if !reflect.DeepEqual(r.Readings, want) {
				t.Errorf("%s, bit %d: %+v", name, i, r.Readings)
			}
		}
	}
}

// What other protocols say is no air.
func TestForeign(t *testing.T) {
	var foreign []byte
	for _, name := range slices.Sorted(maps.Keys(readCaptures(t).Asked)) {
		for _, line := range readCaptures(t).Asked[name].HexLines {
			foreign = append(foreign, unhex(t, line)...)
		}
	}
	foreign = append(foreign, "$GPRMC,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*70\r\n"...)
	foreign = append(foreign, "/ISk5\\2MT382-1000\r\n1-0:1.8.1(00001.001*kWh)\r\n!\r\n\r\nPID\t0xA389\r\nV\t26201\r\n"...)
	foreign = append(foreign, unhex(t, "1b1b1b1b01010101760512345678620062007263010176010102310b")...)
	if r := decode(t, foreign); len(r.Readings)+len(r.Announcements)+len(r.Damage) > 0 {
		t.Errorf("foreign: %d readings, damaged %q", len(r.Readings), r.Damage)
	}

	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	source.Read(noise)
	if r := decode(t, noise); len(r.Readings)+len(r.Announcements) > 0 {
		t.Errorf("noise: %+v", r.Readings)
	}
}

// The pieces do not matter.
func TestSplits(t *testing.T) {
	var stream []byte
	captures := readCaptures(t).Sensors
	for _, name := range slices.Sorted(maps.Keys(captures)) {
		for _, line := range captures[name].HexLines {
			stream = append(stream, unhex(t, line)...)
		}
		stream = append(stream, 0xAA, 0xC0, 0x42)
	}
	want := decode(t, stream)
	if len(want.Announcements) != len(captures) {
		t.Fatalf("%d devices", len(want.Announcements))
	}
	for i := range stream {
		if got := decode(t, stream[:i], stream[i:]); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: %+v", i, got)
		}
	}
	for size := 1; size < 50; size++ {
		if got := decode(t, slices.Collect(slices.Chunk(stream, size))...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in pieces of %d: %+v", size, got)
		}
	}
}

// No header begins another one that is not the same: scan relies on it.
func TestHeaders(t *testing.T) {
	for _, f := range forms() {
		if f.size > 40 || f.size < len(f.header) {
			t.Errorf("% X: size %d", f.header, f.size)
		}
		for _, g := range forms() {
			if f.header != g.header && strings.HasPrefix(f.header, g.header) {
				t.Errorf("% X begins % X", g.header, f.header)
			}
			if f.header == g.header && (f.size != g.size || f.claims == nil && f.sensor != g.sensor) {
				t.Errorf("% X is ambiguous", f.header)
			}
		}
	}
}
