package raw

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"lintel/serialbridge/drivertest"
)

// cut is what the lines of data are, by the definition.
func cut(data []byte, delimiter string, maxLength int) (lines []string, tooLong int) {
	pieces := bytes.Split(data, []byte(delimiter))
	for i, line := range pieces {
		last := i == len(pieces)-1
		if delimiter == "\n" && !last {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		switch {
		case len(line) > maxLength && !last:
			tooLong++
			lines = append(lines, string(line[:maxLength]))
		case !last:
			lines = append(lines, string(line))
		}
	}
	return lines, tooLong
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte("one\r\ntwo\n"), "\n", uint8(10))
	f.Add([]byte("<<END><EN<END>"), "<END>", uint8(2))
	f.Add([]byte("aaabaaaaab"), "aab", uint8(1))
	f.Add([]byte("xaab"), "ab", uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, delimiter string, maxLength uint8) {
		for _, o := range []Options{
			{Delimiter: delimiter, MaxLength: int(maxLength)},
			{Mode: Frames, MaxLength: int(maxLength)},
		} {
			if o.Check() != nil {
				return
			}
			o = o.complete()
			whole := &drivertest.Recorder{}
			newDecoder(whole, o).Decode(data, received)

			// The pieces do not matter, as long as they come without gaps.
			pieces := &drivertest.Recorder{}
			d := newDecoder(pieces, o)
			for i := range data {
				d.Decode(data[i:i+1], received)
				if len(d.message) > d.limit {
					t.Fatalf("holds %d bytes", len(d.message))
				}
			}
			if !reflect.DeepEqual(pieces, whole) {
				t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
			}
			got := messages(t, pieces)
			if o.Mode == Frames {
				d.Decode([]byte("x"), received.Add(o.Gap))
				got = messages(t, pieces)
				want := data[:min(len(data), o.MaxLength)]
				if len(data) == 0 && len(got) != 0 || len(data) > 0 && (len(got) != 1 || got[0] != string(want)) {
					t.Fatalf("%q: got %q", data, got)
				}
				continue
			}
			want, tooLong := cut(data, o.Delimiter, o.MaxLength)
			if len(got) == len(want)+1 && len(pieces.Damage) == tooLong+1 {
				got = got[:len(want)] // the beginning of one that has not ended
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q: got %q, want %q", data, got, want)
			}
		}
	})
}
