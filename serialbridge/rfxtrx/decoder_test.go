package rfxtrx

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// Noise without a pause publishes nothing.
func TestNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	if r := decode(t, noise); len(r.Readings) > 0 || len(r.Announcements) > 0 {
		t.Errorf("%d readings, %v", len(r.Readings), r.Devices)
	}
}

// What is whole but not read is told in words.
func TestIgnored(t *testing.T) {
	for _, test := range []struct{ hex, want string }{
		{"085000001234008059", "packets of the type 50.00 are not read"},
		{"085020001234008059", "packets of the type 50.20 are not read"},
		{"0b5506001234" + "0000" + "000003" + "49", "packets of the type 55.06 are not read"},
		{"0b1100000123456703090f70", "command 09 of the type 11.00 is not read"},
		{"0b1109000123456703010f70", "packets of the type 11.09 are not read"},
		{"09190000009ba8010300", "command 03 of the type 19.00 is not read"}, // pairing
		{"081200000000000000", "packets of the type 12.00 are not read"},
		{"0820034dd3dc541789", "status 17 of the type 20.03 is not read"}, // pairing
		{"0820084dd3dc540089", "packets of the type 20.08 are not read"},
		{"0503010203040500"[:12], "the transceiver itself could not read something"},
	} {
		data := unhex(t, test.hex)
		r := decode(t, data)
		if len(r.Readings) > 0 || len(r.Damage) > 0 || !slices.Equal(r.Overheard, []string{test.want}) {
			t.Errorf("%s: ignored %q, damaged %q, %v", test.hex, r.Overheard, r.Damage, r.Readings)
		}
	}
}

// A value that is far from the last one is published when it is said again.
func TestDoubt(t *testing.T) {
	for _, test := range []struct {
		name, format string
		values       []int
		want         []any
		damaged      int
	}{
		{"temperature", "085001001234%04x59", []int{0x80, 0x80, 0x90, 0x1F0, 0x91}, []any{12.8, 14.4, 14.5}, 1},
		{"it was so", "085001001234%04x59", []int{0x80, 0x80, 0x1F0, 0x1F1}, []any{12.8, 49.7}, 1},
		{"rain", "0b55030012340000%06x49", []int{1000, 1000, 1003, 3, 1004}, []any{100.0, 100.3, 100.4}, 1},
		{"new battery", "0b55030012340000%06x49", []int{1000, 1000, 1, 1}, []any{100.0, 0.1}, 1},
	} {
		var all []byte
		for _, v := range test.values {
			all = append(all, unhex(t, fmt.Sprintf(test.format, v))...)
		}
		r := decode(t, all)
		var got []any
		for _, reading := range r.Readings {
			for _, key := range []string{"temperature", "rain"} {
				if v, ok := reading.Values[key]; ok {
					got = append(got, v)
				}
			}
		}
		if !slices.Equal(got, test.want) || len(r.Damage) != test.damaged {
			t.Errorf("%s: %v %q, want %v", test.name, got, r.Damage, test.want)
		}
	}
}

func TestWhenUsed(t *testing.T) {
	for _, v := range readVectors(t) {
		d := decode(t, v.data, v.data).Devices[v.Device]
		if d.WhenUsed == v.Twice {
			t.Errorf("%+v", d)
		}
	}
}

func TestPieces(t *testing.T) {
	var all []byte
	for range 2 {
		for _, v := range readVectors(t) {
			all = append(all, v.data...)
		}
	}
	want := decode(t, all)
	if len(want.Readings) != 7 || len(want.Damage) > 0 {
		t.Fatalf("%d readings, damaged %q", len(want.Readings), want.Damage)
	}
	for pieces := range drivertest.Splits(all, 1) {
		if got := decode(t, pieces...); !reflect.DeepEqual(got, want) {
			t.Fatalf("in %d pieces, %d bytes first: %+v", len(pieces), len(pieces[0]), got)
		}
	}
}

func TestDamage(t *testing.T) {
	good := readVectors(t)[1].data
	for _, test := range []struct {
		name     string
		input    []byte
		readings int
		damaged  []string
	}{
		{"zeros", slices.Concat(good, make([]byte, 100), good), 2, []string{serialbridge.DamagedSyntax}},
		{"ones", slices.Concat(good, slices.Repeat([]byte{0xFF}, 100), good), 2, []string{serialbridge.DamagedSyntax}},
		{"text", slices.Concat(good, []byte("20;00;Nodo RadioFrequencyLink;\r\n"), good), 2, []string{serialbridge.DamagedSyntax}},
		{"wrong length", slices.Concat([]byte{0x08}, good[1:], good), 0, []string{serialbridge.DamagedSyntax, serialbridge.DamagedSyntax}},
		{"right behind noise", slices.Concat(make([]byte, 100), good), 0, []string{serialbridge.DamagedSyntax, serialbridge.DamagedSyntax}},
		{"the one after", slices.Concat(make([]byte, 100), good, good), 1, []string{serialbridge.DamagedSyntax, serialbridge.DamagedSyntax}},
		{"twice", slices.Concat(good, good[1:2], good, []byte{0}, good), 3, []string{serialbridge.DamagedSyntax, serialbridge.DamagedSyntax}},
		{"of the transceiver", unhex(t, "0d01000102530200000c2f01010000"+"0402010000")[:14], 0, nil},
	} {
		r := decode(t, test.input)
		if len(r.Readings) != test.readings || !slices.Equal(r.Damage, test.damaged) {
			t.Errorf("%s: %d readings, damaged %q; want %d, %q", test.name, len(r.Readings), r.Damage, test.readings, test.damaged)
		}
	}

	// What stands still within a packet is not going on.
	r := &recorder{}
	d := newDecoder(r, false)
	d.Decode(good[:5], received)
	d.Decode(good, received.Add(time.Second))
	if len(r.Readings) != 1 || !slices.Equal(r.Damage, []string{serialbridge.DamagedTruncated}) {
		t.Errorf("%d readings, damaged %q", len(r.Readings), r.Damage)
	}
}

func TestLimits(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, false)
	press := func(id int, at time.Duration) {
		d.Decode([]byte{0x0B, lighting2, 0, 0, 0, 1, byte(id >> 8), byte(id), 3, 1, 15, 0x70}, received.Add(at))
	}
	// There is room for the devices of a house beside what was heard once only.
	for id := range maxDevices {
		press(id, time.Duration(id)*time.Second)
	}
	press(0, time.Hour)
	press(maxDevices, time.Hour)
	if len(d.transmitters) != maxDevices || len(r.Devices) != maxDevices || d.transmitters["rfxtrx_11_00_00010000"] == nil || d.transmitters["rfxtrx_11_00_00010001"] != nil || len(r.Overheard) != 0 {
		t.Errorf("%d devices, ignored %q", len(d.transmitters), r.Overheard)
	}
	for id := range 2 * maxDevices {
		press(id, 2*time.Hour)
		press(id, 2*time.Hour)
	}
	if len(d.transmitters) != maxDevices || len(r.Overheard) != 2*maxDevices || len(r.Damage) != 0 {
		t.Errorf("%d devices, %d ignored, damaged %q", len(d.transmitters), len(r.Overheard), r.Damage)
	}
	r = &recorder{}
	d = newDecoder(r, false)
	for i := range 200 {
		d.Decode([]byte{0x0B, lighting2, 0, 0, 0, 1, 2, 3, byte(i), 2, 7, 0x70}, received)
	}
	if n := len(r.Devices["rfxtrx_11_00_00010203"].Properties); n != maxProperties || r.Disorder != "" {
		t.Errorf("%d properties; %s", n, r.Disorder)
	}
}
