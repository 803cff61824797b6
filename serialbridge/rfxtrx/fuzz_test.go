package rfxtrx

import (
	"reflect"
	"testing"
	"time"
)

func FuzzDecoder(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.data)
		f.Add(append(v.data, v.data...))
		f.Add(v.data[:len(v.data)/2])
	}
	for kind, ls := range lengths {
		for _, length := range ls {
			p := make([]byte, 1+length)
			p[0], p[1], p[2] = byte(length), kind, 1
			f.Add(append(p, p...))
		}
	}
	f.Add([]byte("\x08\x20\x04\x4d\xd3\xdc\x54\x82\x89"))
	f.Add([]byte("20;00;Nodo RadioFrequencyLink;\r\n"))
	valid := readVectors(f)[1].data

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, data)

		// The pieces do not matter, nor does what a decoder heard before.
		pieces := &recorder{}
		d := newDecoder(pieces, false)
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.deframer.buf) > 1+maxLength || len(d.transmitters) > maxDevices {
				t.Fatalf("holds %d bytes, %d devices", len(d.deframer.buf), len(d.transmitters))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, the next valid packet is found.
		before := len(pieces.Readings)
		d.Decode(valid, received.Add(time.Minute))
		if len(d.transmitters) < maxDevices && len(pieces.Readings) <= before {
			t.Fatalf("a valid packet behind is not found: damaged %q", pieces.Damage)
		}
	})
}
