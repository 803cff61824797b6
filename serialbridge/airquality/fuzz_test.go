package airquality

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"
)

func FuzzDecoder(f *testing.F) {
	file := readCaptures(f)
	for _, capture := range file.Sensors {
		var stream []byte
		for _, line := range capture.HexLines {
			stream = append(stream, unhex(f, line)...)
		}
		f.Add(stream)
		f.Add(stream[3 : len(stream)-3])
	}
	for _, capture := range file.Asked {
		f.Add(unhex(f, capture.HexLines[0]))
	}
	f.Add([]byte(""))
	f.Add(plantower(4, 7, 9, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Add(plantower(1, 2, 3, 4, 5, 6, 700, 80, 9, 3, 2, 1, 21, 0xFFFB, 456, 0, 0x9100))
	valid := sds(6, 0, 6, 0, 0x58, 0xD9)
	want := decode(f, valid, valid).Readings[0]

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, data)
		if n := validFrames(data); len(whole.Readings) > n {
			t.Fatalf("%d readings of %d valid frames", len(whole.Readings), n)
		}

		// The pieces do not matter.
		pieces := newRecorder()
		d := newDecoder(pieces, forms())
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.frame) >= 40 || cap(d.frame) > 128 {
				t.Fatalf("holds %d bytes", len(d.frame))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, valid frames are found: at most what
		// would still be of a frame that began in data is lost.
		for range 8 {
			d.Decode(valid, received)
		}
		if n := len(pieces.Readings); n == 0 || !reflect.DeepEqual(pieces.Readings[n-1], want) {
			t.Fatalf("valid frames behind are not found: damaged %q", pieces.Damage)
		}
	})
}

// validFrames returns at how many places in data there is a frame with a valid
// sum.
func validFrames(data []byte) (n int) {
	forms := forms()
	for i := range data {
		for _, f := range forms {
			if len(data) >= i+f.size && f.fits(data[i:i+f.size]) && f.valid(data[i:i+f.size]) {
				n++
				break
			}
		}
	}
	return n
}

func FuzzAskedDecoder(f *testing.F) {
	good := goodAnswers(f)
	for _, g := range good {
		f.Add(append(g.answer[3:], g.answer...))
	}
	f.Add(senseairID(f, "071F 24D1"))
	f.Add(shdlcReply(sps30Info, 0, []byte("95BCE4C9AF3B8B9A\x00")))
	f.Add([]byte("~\x00}1C\x00\xab~~"))

	f.Fuzz(func(t *testing.T, data []byte) {
		for name, g := range good {
			inputs := [][]byte{data}
			switch {
			case name == "sps30": // with its sum set right, so that the values are reached
				inputs = append(inputs, shdlcReply(sps30Read, 0, data[:min(len(data), 255)]), shdlcReply(sps30Info, 0, data[:min(len(data), 255)]))
			case name == "senseair" && len(data) >= 8:
				inputs = append(inputs, modbus(t, senseairExample[:9]+hex.EncodeToString(data[:8])))
			}
			for _, data := range inputs {
				whole := decodeAs(t, g.driver, data, data)
				pieces := newRecorder()
				d := g.driver.NewDecoder(pieces)
				for range 2 {
					for i := range data {
						d.Decode(data[i:i+1], received)
					}
				}
				switch d := d.(type) {
				case *decoder:
					if len(d.frame) > 17 || cap(d.frame) > 64 || len(d.answers) > 3 {
						t.Fatalf("holds %d bytes", len(d.frame))
					}
				case *sps30Decoder:
					if len(d.frame) > shdlcMaxFrame || cap(d.frame) > 2*shdlcMaxFrame {
						t.Fatalf("holds %d bytes", len(d.frame))
					}
				}
				if !reflect.DeepEqual(pieces, whole) {
					t.Fatalf("%s in pieces: %+v, whole: %+v", name, pieces, whole)
				}
				if len(whole.Readings) > len(data)/4 {
					t.Fatalf("%d readings of %d bytes", len(whole.Readings), len(data))
				}
				for range 4 {
					d.Decode(g.answer, received.Add(time.Minute))
				}
				if len(pieces.Readings) == 0 || pieces.Disorder != "" {
					t.Fatalf("%s: valid frames behind are not found: damaged %q", name, pieces.Damage)
				}
			}
		}
	})
}
