package sml

import (
	"reflect"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	meters := readMeters(f)
	for _, name := range meterNames(meters) {
		first := frames(f, meters[name].bytes)[0]
		f.Add(first)
		f.Add(first[:len(first)/2])
	}
	f.Add(frame(listMessage(energy, importing)))
	f.Add(frame(listMessage(listEntry("\x01\x00\x10\x07\x00\xff", "\x62\x1b", "\x52\x7f", "\x59\x80\x00\x00\x00\x00\x00\x00\x00"))))
	f.Add(frame("\x76\xff\x8f\x8f\x0f"))
	f.Add([]byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x1b\x1b\x1b\x1b\x1a\x00\x1b\x1b"))
	valid := frame(listMessage(energy, importing))
	want := decode(f, valid).Readings

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, data)

		// The pieces do not matter.
		pieces := &recorder{}
		d := newDecoder(pieces, objects())
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.file) > maxFile || d.size > maxFile+1 {
				t.Fatalf("holds %d bytes of %d", len(d.file), d.size)
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, the next valid frame is found.
		d.Decode(valid, received)
		n := len(pieces.Readings) - len(want)
		if n < 0 || !reflect.DeepEqual(pieces.Readings[n:], want) {
			t.Fatalf("a valid frame behind is not found: damaged %q", pieces.Damage)
		}

		// With checksums made right, the tree is what is tried.
		decode(t, frame(string(data)))
		decode(t, frame(message("\x63\x07\x01", string(data))))
		decode(t, frame(listMessage(string(data))))
	})
}
