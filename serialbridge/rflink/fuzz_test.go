package rflink

import (
	"reflect"
	"strings"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	lines := readLines(f)
	for _, line := range lines {
		f.Add([]byte(line))
	}
	f.Add([]byte(strings.Join(lines, "")))
	f.Add([]byte("20;03;NewKaku;ID=01;SWITCH=1;CMD=ALLON;\n20;0"))
	f.Add([]byte("/ISk5\\2MT382-1000\r\n"))
	const valid = "20;05;Cresta;ID=2801;TEMP=00af;HUM=53;BAT=OK;\r\n"

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, string(data))

		// The pieces do not matter, nor does what a decoder heard before.
		pieces := &recorder{}
		d := newDecoder(pieces, labels, false)
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxLine || len(d.transmitters) > maxDevices {
				t.Fatalf("holds a line of %d bytes, %d devices", len(d.line), len(d.transmitters))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, the next valid line is found.
		before := len(pieces.Readings)
		d.Decode([]byte("\n"+valid), received)
		if len(d.transmitters) < maxDevices && len(pieces.Readings) <= before {
			t.Fatalf("a valid line behind is not found: damaged %q", pieces.Damage)
		}
	})
}
