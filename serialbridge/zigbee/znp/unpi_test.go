package znp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
)

// vectors are those of testdata/znp.json, which says where they are from.
type vectors struct {
	Aligned  string   `json:"nib_aligned_116"`
	Packed   string   `json:"nib_unaligned_110"`
	Exchange []string `json:"exchange_herdsman_vs_sim"`
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/znp.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frames returns what a deframer finds in the pieces, as appendFrame writes it.
func frames(d *deframer, pieces ...[]byte) (found [][]byte) {
	now := time.Unix(0, 0)
	for _, p := range pieces {
		d.push(p, now)
		for f, ok := d.next(); ok; f, ok = d.next() {
			found = append(found, appendFrame(nil, f.command, f.data))
		}
	}
	return found
}

// TestExchangeFrames reads all frames of a recorded exchange, in one piece and byte by
// byte.
func TestExchangeFrames(t *testing.T) {
	var want [][]byte
	for _, line := range readVectors(t).Exchange {
		if text, ok := strings.CutPrefix(line, "TX "); ok {
			want = append(want, unhex(t, text))
		}
	}
	stream := bytes.Join(want, nil)
	var single [][]byte
	for i := range stream {
		single = append(single, stream[i:i+1])
	}
	for name, pieces := range map[string][][]byte{"at once": {stream}, "byte by byte": single} {
		var d deframer
		got := frames(&d, pieces...)
		if len(got) != len(want) || !bytes.Equal(bytes.Join(got, nil), stream) || d.damaged != 0 {
			t.Errorf("%s: %d of %d frames, %d damaged", name, len(got), len(want), d.damaged)
		}
	}
}

func TestResync(t *testing.T) {
	ping := appendFrame(nil, sysPing.answer(), []byte{0x79, 0x07})
	state := appendFrame(nil, zdoStateChange, []byte{9})
	bad := bytes.Clone(ping)
	bad[len(bad)-1] ^= 1
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	for _, c := range []struct {
		name    string
		stream  []byte
		want    [][]byte
		damaged uint64
	}{
		{"noise before", join([]byte{0, 1, 0xc0, 0x7e}, ping), [][]byte{ping}, 0},
		{"wrong sum", join(bad, state), [][]byte{state}, 1},
		{"a start too many", join([]byte{0xfe}, ping), [][]byte{ping}, 1},
		{"false start within noise", join([]byte{0xfe, 0x02, 0x61}, ping, state), [][]byte{ping, state}, 1},
		{"too long", join([]byte{0xfe, 0xfb, 0x61, 0x01}, ping), [][]byte{ping}, 1},
		{"not what a stick says", join([]byte{0xfe, 0x03, 0x21, 0x01}, ping), [][]byte{ping}, 1},
		{"cut off", ping[:4], nil, 0},
	} {
		var d deframer
		got := frames(&d, c.stream)
		if !bytes.Equal(join(got...), join(c.want...)) || d.damaged != c.damaged {
			t.Errorf("%s: %x, %d damaged", c.name, got, d.damaged)
		}
	}
}

// TestStaleStart finds the frames behind one that will never be whole, once it is old.
func TestStaleStart(t *testing.T) {
	ping := appendFrame(nil, sysPing.answer(), []byte{0x79, 0x07})
	var d deframer
	now := time.Unix(0, 0)
	d.push([]byte{0xfe, 0xf0, 0x44, 0x81, 1, 2, 3}, now)
	if _, ok := d.next(); ok {
		t.Fatal("a frame of nothing")
	}
	d.push(ping, now.Add(staleAfter/2))
	if _, ok := d.next(); ok {
		t.Fatal("the first one may still become whole")
	}
	d.push(ping, now.Add(2*staleAfter))
	for i := range 2 {
		if f, ok := d.next(); !ok || f.command != sysPing.answer() {
			t.Fatalf("frame %d is not found", i)
		}
	}
}

func FuzzUNPI(f *testing.F) {
	f.Add(appendFrame(nil, sysPing.answer(), []byte{0x79, 0x07}), 3)
	f.Add([]byte{0xfe, 0xfe, 0x00, 0x61, 0x01, 0x60, 0xfe, 0xfb}, 1)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		piece = max(1, min(piece&0xff, len(data)))
		var d deframer
		now := time.Unix(0, 0)
		total := 0
		for rest := data; len(rest) > 0; {
			n := min(piece, len(rest))
			d.push(rest[:n], now)
			rest = rest[n:]
			for fr, ok := d.next(); ok; fr, ok = d.next() {
				whole := appendFrame(nil, fr.command, fr.data)
				if !bytes.Contains(data, whole) {
					t.Fatalf("%x is not in what came", whole)
				}
				total += len(whole)
			}
			if len(d.buf)-d.read > maxData+frameExtra {
				t.Fatalf("%d bytes are held", len(d.buf)-d.read)
			}
			now = now.Add(time.Duration(n) * 100 * time.Millisecond)
		}
		if total > len(data) {
			t.Fatalf("%d bytes of frames in %d", total, len(data))
		}
		if m, ok := parseIncoming(data); ok && len(m.Data) > len(data) {
			t.Fatal("data out of nothing")
		}
		if m, ok := parseLong(data); ok && len(m.message.Data) > len(data) {
			t.Fatal("data out of nothing")
		}
		c := &Coordinator{}
		for _, c.aligned = range []bool{false, true} {
			c.parseAddress(data)
			c.parseSecurity(data)
			c.parseLinkKey(data)
			c.parseTC(data)
			c.parseCounter(data)
			if n, err := parseNIB(data, c.aligned); err == nil {
				n.formed()
			}
		}
		speaksASH(data)
		speaksDeCONZ(data)
		speaksZiGate(data)
	})
}

func TestNIB(t *testing.T) {
	v := readVectors(t)
	for _, c := range []struct {
		text    string
		aligned bool
	}{{v.Aligned, true}, {v.Packed, false}} {
		data := unhex(t, c.text)
		n, err := parseNIB(data, c.aligned)
		if err != nil {
			t.Fatal(err)
		}
		if want := [8]byte{0x00, 0x12, 0x4b, 0x00, 0x09, 0xd6, 0x9f, 0x77}; n.extendedPAN() != want {
			t.Errorf("extended PAN ID %x", n.extendedPAN())
		}
		if !n.formed() || n.pan() != 0x007b || data[n.channel] != 21 || data[n.securityLevel] != 5 || data[n.updateID] != 0 {
			t.Errorf("aligned %v: %04x, channel %d, level %d, update %d", c.aligned, n.pan(), data[n.channel], data[n.securityLevel], data[n.updateID])
		}
		if _, err := parseNIB(data[1:], c.aligned); err == nil {
			t.Error("a NIB that is too short is taken")
		}
	}
}

func TestStructures(t *testing.T) {
	for _, c := range []struct {
		aligned bool
		pack    func(*Coordinator) []byte
		want    string
	}{
		{false, func(c *Coordinator) []byte { return c.packAddress(addressEntry{3, 0x1234, 0x0102030405060708}) }, "0334120807060504030201"},
		{true, func(c *Coordinator) []byte { return c.packAddress(addressEntry{3, 0x1234, 0x0102030405060708}) }, "03ff34120807060504030201"},
		{false, func(c *Coordinator) []byte { return c.packSecurity(securityEntry{1, 0x0201, 1}) }, "0100010201"},
		{true, func(c *Coordinator) []byte { return c.packSecurity(securityEntry{1, 0x0201, 1}) }, "010001020100"},
		{false, func(c *Coordinator) []byte { return c.packTC(tcEntry{1, 2, 3, 4, 5, 6}) }, "01000000020000000300000000000000040506"},
		{true, func(c *Coordinator) []byte { return c.packTC(tcEntry{1, 2, 3, 4, 5, 6}) }, "0100000002000000030000000000000004050600"},
		{true, func(c *Coordinator) []byte { return c.packCounter(counterEntry{7, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}) }, "070000000807060504030201"},
	} {
		if got := hex.EncodeToString(c.pack(&Coordinator{aligned: c.aligned})); got != c.want {
			t.Errorf("aligned %v: %s, want %s", c.aligned, got, c.want)
		}
	}
}

// TestSeedShift finds every shift of the seed again, and none where there is none. Two
// keys are of a real network (../testdata/backup_sample.json).
func TestSeedShift(t *testing.T) {
	seed := [16]byte(unhex(t, "4973f5450493c3cd90552c5f1d388a12"))
	for shift := range uint8(16) {
		device := zigbee.IEEEAddress(0x00158d0002ec571d) + zigbee.IEEEAddress(shift)
		if got, ok := seedShift(seed, linkKey(seed, shift, device), device); !ok || got != shift {
			t.Errorf("shift %d is found as %d (%v)", shift, got, ok)
		}
	}
	for _, c := range []struct {
		device  zigbee.IEEEAddress
		key     string
		derived bool
	}{
		{0x04cf8cdf3c79455f, "9c88e969f3d3d23cd557304f2ac9cb97", true},
		{0x00124b002226ef87, "4422b6772c140f380dfd6f51f50e1693", true},
		{0x680ae2fffeae5647, "184b9674edab799d02523d3d32725f44", true},
		{0x0f01020304050607, "f1f2f3f4f5f6f7f8a1a2a3a4a5a6a7a8", false},
	} {
		if _, ok := seedShift(seed, [16]byte(unhex(t, c.key)), c.device); ok != c.derived {
			t.Errorf("%v: derived %v", c.device, ok)
		}
	}
}

// TestAddressAnswer puts the fields of an address with children into the order of the
// air: number of children, then the first index. The stick has them the other way round.
func TestAddressAnswer(t *testing.T) {
	const head = "0008070605040302013412" // status, IEEE address, address
	for _, c := range []struct{ stick, air string }{
		{head + "0000", head},
		{head + "0002" + "1111" + "2222", head + "0200" + "1111" + "2222"},
	} {
		if got := hex.EncodeToString(zdoAnswer(zdpIEEEAddress, unhex(t, c.stick))); got != c.air {
			t.Errorf("%s becomes %s, want %s", c.stick, got, c.air)
		}
	}
}

func BenchmarkDeframer(b *testing.B) {
	data := appendFrame(nil, afIncoming, make([]byte, 40))
	var d deframer
	b.ReportAllocs()
	for b.Loop() {
		d.push(data, time.Time{})
		if _, ok := d.next(); !ok {
			b.Fatal("no frame")
		}
	}
}
