package enocean

import (
	"reflect"
	"testing"
	"time"
)

func FuzzDecoder(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.data)
		f.Add(v.data[:len(v.data)/2])
	}
	f.Add(stream(f))
	f.Add([]byte{syncByte, 2, 0, 0xFF, 1, 0x55})
	f.Add([]byte("20;00;Nodo RadioFrequencyLink;\r\n"))
	for id := range known {
		f.Add(append(taught(id, testSender), sent(bs4, 0, 1, 2, 3, 8)...))
	}
	f.Add(append(taught(profileID{vld, 1, 0x12}, testSender), sent(vld, 0, 4, 1, 100)...))
	valid := readVectors(f)[3].data // a contact

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, data)

		// The pieces do not matter, nor does what a decoder heard before.
		pieces := &recorder{}
		d := newDecoder(pieces, known, false)
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.deframer.buf) > maxPacket || len(d.senders) > maxSenders {
				t.Fatalf("holds %d bytes, %d senders", len(d.deframer.buf), len(d.senders))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}

		// What was learned is known again.
		again := &recorder{Memory: whole.Memory}
		newDecoder(again, known, false)
		for id := range again.Devices {
			if _, ok := whole.Devices[id]; !ok {
				t.Fatalf("remembered %s, which was not announced", id)
			}
		}
		if len(again.Readings) > 0 || again.Disorder != "" {
			t.Fatalf("remembered readings %v %s", again.Readings, again.Disorder)
		}

		// Whatever came before, the next valid packet is found.
		before := len(pieces.Readings)
		d.Decode(valid, received.Add(time.Minute))
		s := d.senders[0x01825DAB]
		if len(pieces.Readings) <= before && s != nil && d.readable(s) {
			t.Fatalf("a valid packet behind is not found: damaged %q", pieces.Damage)
		}
	})
}
