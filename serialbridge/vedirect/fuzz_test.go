package vedirect

import (
	"reflect"
	"slices"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	for _, dump := range readDumps(f) {
		f.Add(dump)
		f.Add(dump[:len(dump)/2])
	}
	f.Add(slices.Concat(lead, []byte(":7F0ED0071\n"), mainBlock("OR 0xFFFFFFFF", "AR 65535", "H6 -1")))
	f.Add([]byte("\r\nChecksum\t:\r\n:\n\r\nV\t:7F"))
	valid := slices.Concat(lead, mainBlock("V 12000", "LOAD ON"))
	want := decode(f, valid).Readings[1]

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, data)

		// The pieces do not matter.
		pieces := &recorder{}
		d := newDecoder(pieces, known())
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxLine || len(d.fields) > maxFields || len(d.hex) > maxHex {
				t.Fatalf("holds a line of %d, %d fields, %d digits", len(d.line), len(d.fields), len(d.hex))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, valid blocks are found: the first may go
		// with what was before it, and two make the device believed.
		d.Decode(valid, received)
		d.Decode(mainBlock("V 12000", "LOAD ON"), received)
		n := len(pieces.Readings)
		if n == 0 || !reflect.DeepEqual(pieces.Readings[n-1], want) {
			t.Fatalf("valid blocks behind are not found: damaged %q", pieces.Damage)
		}

		// With the sum made right, the fields are what is tried.
		decode(t, block(string(data)), block(string(data)))
		decode(t, lead, mainBlock("OR "+string(data)))
	})
}
