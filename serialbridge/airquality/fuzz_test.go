package airquality

import (
	"reflect"
	"testing"
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
			if len(d.frame) >= 40 || cap(d.frame) > 128 || len(d.announced) > maxDevices {
				t.Fatalf("holds %d bytes, %d devices", len(d.frame), len(d.announced))
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
