package mysensors

import (
	"reflect"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(readLines(f)))
	for _, s := range []string{
		"", "1;0;1;0;23;43", "1;0;1;0;23;\n", "7;3;0;0;0;Garage\n7;3;1;0;16;1\n", "7;5;0;0;5;Blind\n7;5;1;0;3;50\n",
		"7;255;0;0;17;2.3.2\n7;255;3;0;0;50\n", "255;255;3;0;3;\n", "7;3;1;1;0;-1.5\n", "20;05;Cresta;ID=2801;TEMP=00af;\r\n",
	} {
		f.Add([]byte(s))
	}
	const valid = "1;0;1;0;23;43\n"

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, string(data))

		// The pieces do not matter, nor does what a decoder heard before.
		pieces := &recorder{}
		d := newDecoder(pieces, known, false)
		d.Decode([]byte("\n"), received)
		hearOnce(d)
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxLine {
				t.Fatalf("holds a line of %d bytes", len(d.line))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}
		for _, n := range d.nodes {
			if len(n.device.Properties) > maxProperties || len(n.places) > maxProperties || len(n.children) > 255 {
				t.Fatalf("a node with %d properties", len(n.device.Properties))
			}
		}

		// What was remembered is known again.
		again := &recorder{Memory: whole.Memory}
		newDecoder(again, known, false)
		if len(again.Devices) != len(whole.Devices) || len(again.Readings) > 0 {
			t.Fatalf("remembered %v, was %v", again.Devices, whole.Devices)
		}

		// Whatever came before, the next valid line is found.
		before := len(pieces.Readings)
		d.Decode([]byte("\n"+valid+valid), received)
		if n := d.nodes[1]; len(n.device.Properties) < maxProperties && len(pieces.Readings) <= before {
			t.Fatalf("a valid line behind is not found: damaged %q", pieces.Damage)
		}
	})
}
