package teleinfo

import (
	"reflect"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	frames := readFrames(f)
	for _, name := range frameNames(frames) {
		f.Add(frames[name])
		f.Add(frames[name][:len(frames[name])/2])
	}
	f.Add([]byte("\x02\n\r\x03\x02\nA B\r\x04\x02"))
	f.Add([]byte("STGE\tFFFFFFFF"))
	f.Add([]byte("SMAXSN-1\tE991231235959\t99999"))
	valid := frames["historic_off_peak"]
	want := decode(f, valid).Readings[0]

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, data)

		// The pieces do not matter.
		pieces := &recorder{}
		d := newDecoder(pieces, known())
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxFrame || d.size > maxFrame+1 || len(d.frame.groups) > maxGroups {
				t.Fatalf("holds a group of %d, a frame of %d, %d groups", len(d.line), d.size, len(d.frame.groups))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, the next valid frames are found: two, for
		// another meter may have been heard.
		d.Decode(valid, received)
		d.Decode(valid, received)
		n := len(pieces.Readings)
		if n == 0 || !reflect.DeepEqual(pieces.Readings[n-1], want) {
			t.Fatalf("valid frames behind are not found: damaged %q", pieces.Damage)
		}

		// With the checksum made right, the groups are what is tried.
		decode(t, historicFrame(adco, string(data)))
		decode(t, standardFrame(adsc, string(data)))
	})
}
