package modbus

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func FuzzDecoder(f *testing.F) {
	units := []Unit{{Address: 1, Map: "sdm230"}, {Address: 2, Map: "growatt_min"}, {Address: 10, Map: "own"}}
	own := Map{Name: "own", Function: "coil", Registers: []Register{
		{Key: "a", Name: "A", Address: 3, Writable: true}, {Key: "b", Name: "B", Function: "discrete"},
		{Key: "c", Name: "C", Function: "holding", Type: "u64", Words: "little", Scale: 0.1}, {Kind: "serial", Function: "input", Type: "text", Length: 4},
	}}
	o := Options{Line: "9600 8N1", Listen: true, Units: units, Maps: []Map{own}}
	compiled, _, wrong := o.compile()
	if len(wrong) > 0 {
		f.Fatal(wrong)
	}
	for _, x := range readExchanges(f) {
		req, rsp := x.bytes(f)
		f.Add(slices.Concat(req, rsp))
		f.Add(slices.Concat(req, rsp[:len(rsp)/2], req, rsp))
		f.Add(rsp)
	}
	var capture []byte
	for _, c := range readCapture(f) {
		capture = append(capture, c.Data...)
	}
	f.Add(capture)
	f.Add(slices.Concat(asks(2, 3, 23, 5), reading(2, 3, 1, 2, 3, 4, 5), asks(2, 4, 3000, 28), reading(2, 4, make([]uint16, 28)...)))
	f.Add(slices.Concat(asks(10, 1, 0, 8), seal([]byte{10, 1, 1, 8}), asks(10, 4, 0, 4), reading(10, 4, 0x4142, 0, 0, 0xFFFF)))
	f.Add([]byte{1, 3, 0xFA, 1, 16, 0, 0, 0, 123, 246})
	valid := slices.Concat(asks(1, 4, 0, 2), reading(1, 4, 0x4366, 0x3333))

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := &recorder{}
		newDecoder(whole, fresh(compiled)).Decode(data, heardAt)
		if whole.Disorder != "" {
			t.Fatal(whole.Disorder)
		}

		// The pieces do not matter.
		pieces := &recorder{}
		d := newDecoder(pieces, fresh(compiled))
		for i := range data {
			d.Decode(data[i:i+1], heardAt)
			if len(d.scanner.buf) > maxFrame {
				t.Fatalf("holds %d bytes", len(d.scanner.buf))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// Whatever came before, the next answer is found after a silence.
		before := len(pieces.Readings)
		d.Decode(valid, heardAt.Add(time.Minute))
		if len(pieces.Readings) <= before {
			t.Fatalf("an answer behind is not found: damaged %q", pieces.Damage)
		}

		// No reading without the CRC of a question and of an answer.
		if len(data) < 8+5 && before > 0 {
			t.Fatalf("readings out of %d bytes", len(data))
		}
	})
}
