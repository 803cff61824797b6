package wmbus

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDamage(t *testing.T) {
	good := inClear(1, volume...)
	hciBad := hciFrame(good, hciCRC)
	hciBad[20] ^= 1
	amberBad := amberFrame(good, true)
	amberBad[20] ^= 1
	culBad := culLine(good, false, true)
	culBad[20] ^= 1
	reserved := hciFrame(good, hciCRC)
	reserved[1] |= hciReserved
	for _, test := range []struct {
		name   string
		input  []byte
		damage []string
	}{
		{"iM871A, CRC", hciBad, []string{"checksum"}},
		{"iM871A, reserved bit", reserved, nil},
		{"AMB8465, checksum", amberBad, []string{"checksum"}},
		{"CUL, CRC", culBad, []string{"checksum"}},
		{"CUL, digit lost", slices.Delete(culLine(good, false, true), 30, 31), []string{"syntax"}},
		{"CUL, length of nobody", []byte("b0A442D2C785634120107ABCD\r\n"), []string{"syntax"}},
		{"CUL, two of three L fields", culLine(append([]byte{0x77}, good[1:]...), false, true), []string{"syntax"}},
		{"records cut", amberFrame(good[:len(good)-1], false), []string{"syntax"}},
		{"reserved DIF", amberFrame(inClear(1, 0x3F, 0x13, 0, 0), false), []string{"syntax"}},
		{"header cut", amberFrame(good[:linkLayer+3], false), []string{"truncated"}},
		{"nothing behind the address", amberFrame(append(slices.Clone(testLink), ciELL1), false), []string{"truncated"}},
		{"long header of nobody", amberFrame(append(slices.Clone(testLink), ciLong, 1, 2, 3, 4, 0, 0, 1, 7, 1, 0, 0, 0, 0x01, 0x13, 1), false), []string{"syntax"}},
		{"AFL longer than the telegram", amberFrame(append(slices.Clone(testLink), ciAFL, 200, 0), false), []string{"truncated"}},
		{"CRC behind an extended link layer", amberFrame(append(slices.Clone(testLink), ciELL2, 0x20, 1, 0, 0, 0, 0, 0xAB, 0xCD, ciNone, 1, 0x13, 5), false), []string{"checksum"}},
		{"no manufacturer", amberFrame(append([]byte{0x44, 0, 0}, good[3:]...), false), nil},
		{"text", []byte("Nov 22 12:00:00 kernel: baud abc\r\nbrt\r\nb\r\nbY\r\nbeef\r\n"), nil},
	} {
		r := &recorder{}
		d := newDecoder(r, Options{})
		d.Decode(test.input, received)
		if len(r.Readings) > 0 || !slices.Equal(r.Damage, test.damage) || len(r.Overheard) > 0 {
			t.Errorf("%s: %d readings, damaged %q, want %q, ignored %q", test.name, len(r.Readings), r.Damage, test.damage, r.Overheard)
		}
		// What comes later is not harmed.
		d.Decode(amberFrame(good, false), received.Add(time.Minute))
		if len(r.Readings) != 1 || r.Readings[0].Device != testMeter || r.Readings[0].Values["water"] != 1.234 {
			t.Errorf("%s: then %+v", test.name, r.Readings)
		}
	}
}

// TestForeign hears what other sticks say.
func TestForeign(t *testing.T) {
	for name, said := range map[string]string{
		"P1":         "/ISk5\\2MT382-1000\r\n\r\n0-0:96.1.1(4B384547303034303436333935353037)\r\n1-0:1.8.1(012345.678*kWh)\r\n!A1B2\r\n",
		"SML":        "\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x76\x05\x44\x2d\x2c\xa5\x62\x00\x62\x00\x72\x63\x01\x01\x1b\x1b\x1b\x1b\x1a\x00\x12\x34",
		"VE.Direct":  "\r\nPID\t0x203\r\nV\t26201\r\nI\t0\r\nChecksum\t\xff",
		"ESP3":       "\x55\x00\x0a\x07\x01\xeb\xa5\x00\x00\x55\x08\x01\x81\xb7\x44\x00\x03\xff\xff\xff\xff\x2d\x00\x75",
		"NMEA":       "$GPGGA,220516,A,5133.82,N,00042.24,W,173.8,231.8,130694,004.2,W*70\r\n",
		"Modbus":     "\x01\x04\x04\x43\x66\x33\x34\x1b\x38",
		"MySensors":  "0;255;3;0;14;Gateway startup complete.\n",
		"wired":      "\x68\x1f\x1f\x68\x08\x02\x72\x78\x56\x34\x12\x24\x40\x01\x07\x55\x00\x00\x00\x03\x13\x15\x31\x00\x16",
		"idle":       strings.Repeat("\xff", 600) + strings.Repeat("\xa5", 600),
		"hex digits": strings.Repeat("b", 2000) + "\r\n",
	} {
		r := &recorder{}
		d := newDecoder(r, Options{})
		for i := range 5 {
			d.Decode([]byte(said), received.Add(time.Duration(i)*2*time.Second))
		}
		if len(r.Readings)+len(r.Announcements)+len(r.Overheard) > 0 {
			t.Errorf("%s: %+v, ignored %q", name, r.Readings, r.Overheard)
		}
	}
}

// TestLines reads what a CUL said, as lintelctl decode does: without keys.
func TestLines(t *testing.T) {
	said, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	newDecoder(r, Options{}).Decode(said, received)
	if len(r.Damage) > 0 || len(r.Devices) != 28 || r.Disorder != "" {
		t.Errorf("%d devices, damaged %q, %s", len(r.Devices), r.Damage, r.Disorder)
	}
	for _, reason := range r.Overheard {
		if !strings.HasSuffix(reason, "is encrypted: its key is needed") {
			t.Error(reason)
		}
	}
	if len(r.Overheard) != 6 {
		t.Errorf("%d encrypted", len(r.Overheard))
	}
}

// TestCut cuts frames short; the next one comes later.
func TestCut(t *testing.T) {
	for name, framing := range framings {
		if name == "iM871A" {
			continue // two frames
		}
		frame := framing(inClear(1, volume...))
		next := framing(inClear(2, volume...))
		for n := range frame {
			if name == "AMB8465, RSSI" && n == len(frame)-1 && xorOf(frame[:n-1]) == frame[n-1] {
				continue // without its last byte it is one without RSSI
			}
			r := &recorder{}
			d := newDecoder(r, Options{})
			d.Decode(frame[:n], received)
			if strings.HasPrefix(name, "CUL") && n == len(frame)-1 {
				continue // LF missing: CR is an end too
			}
			if len(r.Readings) > 0 {
				t.Fatalf("%s: reading after %d of %d bytes", name, n, len(frame))
			}
			d.Decode(next, received.Add(2*time.Second))
			if len(r.Readings) != 1 {
				t.Fatalf("%s: after %d bytes of another: %d readings, damaged %q", name, n, len(r.Readings), r.Damage)
			}
		}
	}
}

// TestPieces decodes all telegrams in pieces of all sizes.
func TestPieces(t *testing.T) {
	var stream []byte
	for i, v := range vectors(t) {
		names := []string{"iM871A with CRC", "AMB8465", "CUL", "AMB8465, RSSI", "CUL, no RSSI"}
		stream = append(stream, framings[names[i%len(names)]](v.telegram(t))...)
	}
	whole := &recorder{}
	newTestDecoder(whole, Options{}).Decode(stream, received)
	if len(whole.Readings) != len(vectors(t))-2 || len(whole.Damage) > 0 {
		t.Fatalf("%d readings, damaged %q", len(whole.Readings), whole.Damage)
	}
	for _, size := range []int{1, 2, 3, 7, 64, 1000} {
		pieces := &recorder{}
		d := newTestDecoder(pieces, Options{})
		for piece := range slices.Chunk(stream, size) {
			d.Decode(piece, received)
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Errorf("pieces of %d: %d readings, damaged %q", size, len(pieces.Readings), pieces.Damage)
		}
	}
	telegram := framings["iM871A with CRC"](vectors(t)[0].telegram(t))
	want := &recorder{}
	newTestDecoder(want, Options{}).Decode(telegram, received)
	for n := range telegram {
		got := &recorder{}
		d := newTestDecoder(got, Options{})
		d.Decode(telegram[:n], received)
		d.Decode(telegram[n:], received)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d: %+v", n, got)
		}
	}
}

// TestNoise publishes nothing of noise.
func TestNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := &recorder{}
	d := newDecoder(r, Options{})
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(random.Uint32())
		if random.IntN(16) == 0 {
			noise[i] = []byte{startHCI, startAmber, startCUL, cSendNoReply, hciRadioLink, hciTelegramHere, 0x83}[random.IntN(7)]
		}
	}
	d.Decode(noise, received)
	if len(r.Readings) > 0 || len(r.Announcements) > 0 {
		t.Errorf("%d readings of %v", len(r.Readings), r.Announcements)
	}
}

// TestHeardOnce believes a frame without a checksum when its meter comes again.
func TestHeardOnce(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, Options{Keys: map[string]string{"12345678": testKey}})
	d.Decode(hciFrame(mode5(t, 1, volume), 0), received)
	if len(r.Readings) != 1 {
		t.Errorf("a decrypted telegram waits to be heard again")
	}
	r = &recorder{}
	d = newDecoder(r, Options{})
	d.Decode(hciFrame(inClear(1, volume...), hciRSSI), received)
	if len(r.Readings) > 0 {
		t.Errorf("a telegram without checksum is published at once")
	}
	d.Decode(hciFrame(inClear(2, volume...), hciRSSI), received.Add(time.Minute))
	if len(r.Readings) != 1 || r.Readings[0].Values["signal_strength"] != int64(-80) {
		t.Errorf("heard again: %+v", r.Readings)
	}
	for i := range 2 * maxHeardOnce {
		b := inClear(1, volume...)
		b[3], b[4] = byte(i%100), byte(i/100)
		d.Decode(hciFrame(b, 0), received.Add(time.Hour))
	}
	if len(d.heardOnce) != maxHeardOnce || len(r.Readings) != 1 {
		t.Errorf("%d are remembered, %d readings", len(d.heardOnce), len(r.Readings))
	}
}

// TestBare takes telegrams without a head from a receiver that is named, and only as
// long as it sends none with one.
func TestBare(t *testing.T) {
	telegram := func(access byte, rssi ...byte) []byte {
		b := inClear(access, volume...)
		return append(append([]byte{byte(len(b))}, b...), rssi...)
	}
	for _, rssi := range [][]byte{nil, {0xCE}, {0x44}, {0xFF}, {0xA5}, {0x0B}} {
		r := &recorder{}
		d := newDecoder(r, Options{Receiver: "amber"})
		d.Decode(telegram(1, rssi...), received)
		if len(r.Readings) > 0 {
			t.Error("published when heard once")
		}
		d.Decode(telegram(2, rssi...), received.Add(16*time.Second))
		d.Decode(telegram(3, rssi...), received.Add(32*time.Second))
		if len(r.Readings) != 2 || r.Readings[0].Values["water"] != 1.234 || len(r.Damage) > 0 {
			t.Errorf("RSSI %X: %+v, damaged %q", rssi, r.Readings, r.Damage)
		}
		if d.frames != 3 {
			t.Errorf("RSSI %X: %d frames", rssi, d.frames)
		}
		// A damaged frame with a head is not taken for what is in it.
		bad := amberFrame(inClear(4, volume...), true)
		bad[20] ^= 1
		d.Decode(bad, received.Add(48*time.Second))
		d.Decode(bad[:20], received.Add(60*time.Second))
		d.Decode(nil, received.Add(70*time.Second))
		if len(r.Readings) != 2 || !slices.Equal(r.Damage, []string{"checksum", "truncated"}) {
			t.Errorf("%d readings, damaged %q", len(r.Readings), r.Damage)
		}
		d.Decode(amberFrame(inClear(5, volume...), true), received.Add(80*time.Second))
		d.Decode(telegram(6), received.Add(90*time.Second))
		if len(r.Readings) != 3 {
			t.Errorf("%d readings, want no bare ones behind one with a head", len(r.Readings))
		}
	}
	r := &recorder{}
	d := newDecoder(r, Options{})
	for i := range 5 {
		d.Decode(telegram(byte(i)), received.Add(time.Duration(i)*time.Minute))
	}
	if d.frames > 0 || len(r.Readings) > 0 {
		t.Error("taken from a receiver that is not named")
	}
}

// TestRepeater publishes a telegram once that a repeater sends again.
func TestRepeater(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, Options{})
	at := func(seconds int, telegram []byte) int {
		d.Decode(amberFrame(telegram, false), received.Add(time.Duration(seconds)*time.Second))
		return len(r.Readings)
	}
	first := inClear(7, volume...)
	hop := inClear(7, volume...)
	hop[linkLayer+3] |= 1 // hop counter
	for i, step := range []struct {
		seconds  int
		telegram []byte
		want     int
	}{
		{0, first, 1},
		{1, first, 1},
		{2, hop, 1},
		{3, inClear(8, volume...), 2},
		{4, inClear(8, 0x04, 0x13, 0xD3, 0x04, 0, 0), 3},
		{30, first, 4},
	} {
		if got := at(step.seconds, step.telegram); got != step.want {
			t.Errorf("step %d: %d readings, want %d", i, got, step.want)
		}
	}
}

func TestOnly(t *testing.T) {
	for _, only := range []string{"12345678", "KAM12345678"} {
		r := &recorder{}
		d := newDecoder(r, Options{Only: []string{only}})
		d.Decode(amberFrame(inClear(1, volume...), false), received)
		other := inClear(1, volume...)
		other[3] = 0x79
		d.Decode(amberFrame(other, false), received)
		d.Decode(amberFrame(mode5(t, 2, volume), false), received)
		if len(r.Readings) != 1 || len(r.Announcements) != 1 || r.Readings[0].Device != testMeter {
			t.Errorf("%s: %+v", only, r.Readings)
		}
		want := []string{"telegrams of meters that are not wanted", "meter 12345678 (KAM) is encrypted: its key is needed"}
		if !slices.Equal(r.Overheard, want) {
			t.Errorf("%s: ignored %q", only, r.Overheard)
		}
	}
}

// TestMany keeps to its bounds where more meters are heard than a house has.
func TestMany(t *testing.T) {
	r := &recorder{}
	d := newDecoder(r, Options{})
	for i := range maxMeters + 50 {
		b := inClear(1, volume...)
		copy(b[3:7], unhex(t, fmt.Sprintf("%08d", i)))
		d.Decode(amberFrame(b, false), received)
	}
	if len(r.Devices) != maxMeters || len(r.Readings) != maxMeters || len(r.Overheard) != 50 {
		t.Errorf("%d devices, %d readings, %d ignored", len(r.Devices), len(r.Readings), len(r.Overheard))
	}
	if want := "more than 200 meters are heard: name those that are wanted"; r.Overheard[0] != want {
		t.Errorf("ignored %q", r.Overheard[0])
	}

	// And where one meter has more values than any has.
	d = newDecoder(&recorder{}, Options{})
	for i := range 20 {
		var records []byte
		for j := range 30 {
			records = append(records, 0x81, byte(i&3<<4|0x40|j&0x0F), 0x13, byte(j))
			records[len(records)-4] |= byte(j >> 4 << 6)
		}
		d.Decode(amberFrame(inClear(byte(i), records...), false), received.Add(time.Duration(i)*time.Minute))
	}
	if n := len(d.announced[testMeter].Properties); n > maxProperties {
		t.Errorf("%d properties", n)
	}
}

// TestNothing takes telegrams in which there are no readings.
func TestNothing(t *testing.T) {
	for _, test := range []struct {
		telegram []byte
		want     []string
	}{
		{append([]byte{cAccessNoReply}, inClear(1)[1:]...), nil},
		{append([]byte{0x40}, inClear(1)[1:]...), nil},
		{append(slices.Clone(testLink), 0xA3, 1, 2, 3), []string{"telegrams of meter 12345678 (KAM) are in a form of its maker that is not known (CI A3)"}},
		{append(slices.Clone(testLink), 0x5B, 1, 2, 3), []string{"telegrams of meter 12345678 (KAM) hold no readings (CI 5B)"}},
		{append(slices.Clone(testLink), ciNone, difIdle), []string{"telegrams of meter 12345678 (KAM) hold no readings that are known"}},
	} {
		r := &recorder{}
		newDecoder(r, Options{}).Decode(amberFrame(test.telegram, false), received)
		if len(r.Readings) > 0 || len(r.Damage) > 0 || !slices.Equal(r.Overheard, test.want) {
			t.Errorf("%X: %d readings, damaged %q, ignored %q", test.telegram, len(r.Readings), r.Damage, r.Overheard)
		}
	}
}

// TestFormatB has two blocks: the second CRC is at byte 126.
func TestFormatB(t *testing.T) {
	var records []byte
	for range 30 {
		records = append(records, volume...)
	}
	telegram := inClear(1, records...)
	line := culLine(telegram, true, false)
	f, n, v := cul(line)
	if v != whole || n != len(line)-2 || !bytes.Equal(f.telegram, telegram) {
		t.Errorf("verdict %d, %d of %d bytes", v, n, len(line))
	}
}
