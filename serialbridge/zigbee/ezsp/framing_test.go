package ezsp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

type capture struct {
	Name, From, ASH, Control string
	OK                       bool   `json:"crc_ok"`
	Payload                  string `json:"payload_after_derandomising"`
}

func captures(t testing.TB) []capture {
	text, err := os.ReadFile("testdata/captures.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Frames []capture }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Frames) < 15 {
		t.Fatalf("there are %d captures only", len(file.Frames))
	}
	return file.Frames
}

func unhex(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCaptures: frames of real sticks are read, and written byte for byte.
func TestCaptures(t *testing.T) {
	for _, c := range captures(t) {
		line := unhex(t, c.ASH)
		var d deframer
		var frame []byte
		damage := ""
		for _, b := range line {
			f, dmg := d.push(b)
			frame, damage = append(frame, f...), damage+dmg
		}
		if !c.OK {
			if damage != damagedCRC || frame != nil {
				t.Errorf("%s: %x, %q", c.Name, frame, damage)
			}
			continue
		}
		if damage != "" || len(frame) == 0 || frame[0] != unhex(t, c.Control)[0] {
			t.Errorf("%s: %x, %q", c.Name, frame, damage)
			continue
		}
		data := bytes.Clone(frame[1:])
		if frame[0] < 0x80 {
			randomise(data)
		}
		if !bytes.Equal(data, unhex(t, c.Payload)) {
			t.Errorf("%s: data is %x, not %s", c.Name, data, c.Payload)
		}
		if frame[0] < 0x80 || len(data) == 0 {
			if written := appendFrame(nil, frame[0], data); !bytes.HasSuffix(line, written) {
				t.Errorf("%s: written as %x, not %x", c.Name, written, line)
			}
		}
	}
}

// TestDeframer: what stands between frames and what spoils one.
func TestDeframer(t *testing.T) {
	good := appendFrame(nil, 0x25, []byte("some data ~}\x11\x13\x18\x1a"))
	long := bytes.Repeat([]byte{0x55}, 1000)
	for _, test := range []struct {
		name    string
		line    []byte
		frames  int
		damages int
	}{
		{"whole", good, 1, 0},
		{"twice", append(bytes.Clone(good), good...), 2, 0},
		{"empty frames", append([]byte{0x7e, 0x7e, 0x7e}, good...), 1, 0},
		{"flow control", append([]byte{0x11}, append(bytes.Clone(good[:5]), append([]byte{0x13, 0x11}, good[5:]...)...)...), 1, 0},
		{"cancelled", append([]byte{1, 2, 3, 0x1a}, good...), 1, 0},
		{"woken", append([]byte{0xff, 0xff}, good...), 1, 0},
		{"substituted", append(append(bytes.Clone(good[:4]), 0x18), good[4:]...), 0, 1},
		{"changed", append(append(bytes.Clone(good[:4]), good[4]^1), good[5:]...), 0, 1},
		{"too long", append(append(long, 0x7e), good...), 1, 1},
		{"too short", append([]byte{0x80, 0x7e}, good...), 1, 1},
		{"lone substitute", append([]byte{0x18, 0x7e}, good...), 1, 1},
		{"end in an escape", append([]byte{0x80, 0x70, 0x78, 0x7d, 0x7e}, good...), 2, 0},
	} {
		var d deframer
		frames, damages := 0, 0
		for _, b := range test.line {
			frame, damage := d.push(b)
			if len(frame) > 0 {
				frames++
			}
			if damage != "" {
				damages++
			}
		}
		if frames != test.frames || damages != test.damages {
			t.Errorf("%s: %d frames, %d damaged", test.name, frames, damages)
		}
	}
}
