package bms

import (
	"reflect"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
)

func FuzzJKDecoder(f *testing.F) {
	for _, answer := range readJK(f).Answers {
		frame := unhex(f, answer.Hex)
		f.Add(frame)
		f.Add(append(frame[7:], frame...))
	}
	f.Add(jkSay(make([]byte, 4), []byte{0x83, 1, 2, 0x84, 3, 4, 0xC0, 1}))
	f.Add(unhex(f, readJK(f).Request))
	f.Add([]byte("NW"))
	valid := jkAnswer(f)
	want := decode(f, JK(), valid, valid).Readings[0]

	f.Fuzz(func(t *testing.T, data []byte) {
		// With its sum set right, so that the fields are reached.
		for _, data := range [][]byte{data, jkSay(make([]byte, 4), data[:min(len(data), jkMaxSize-jkData-jkTrailer)])} {
			whole := decode(t, JK(), data, data)
			pieces := &drivertest.Recorder{}
			d := newJKDecoder(pieces)
			for range 2 {
				for i := range data {
					d.Decode(data[i:i+1], received)
					if len(d.pending) > jkMaxSize || cap(d.pending) > 4*jkMaxSize {
						t.Fatalf("holds %d bytes", len(d.pending))
					}
				}
			}
			if !reflect.DeepEqual(pieces, whole) {
				t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
			}
			if n := len(data) * 2 / (jkData + jkTrailer); len(whole.Readings) > n {
				t.Fatalf("%d readings of %d bytes", len(whole.Readings), len(data))
			}

			// Whatever came before, valid frames are found after a pause.
			for range 2 {
				d.Decode(valid, received.Add(time.Minute))
			}
			n := len(pieces.Readings)
			if n == 0 || !reflect.DeepEqual(pieces.Readings[n-1].Values, want.Values) || pieces.Disorder != "" {
				t.Fatalf("valid frames behind are not found: damaged %q", pieces.Damage)
			}
		}
	})
}

func FuzzDalyDecoder(f *testing.F) {
	talk := dalyTalkOf(f, false)
	f.Add(append(dalyTalkOf(f, true), talk...))
	f.Add(talk[5:])
	f.Add(append(dalyCodeOf(f, "DL-0815"), talk...))
	f.Add([]byte{0xA5, 1, 0x94, 8})
	valid := append(dalySay(f, dalyCounts, "04 01 00 00 00 0000 00"), dalySay(f, dalyCharge, "0210 0000 7530 01F4")...)

	f.Fuzz(func(t *testing.T, data []byte) {
		// Also as what frames hold, so that the answers are reached.
		framed := append([]byte(nil), valid...)
		framed = append(framed, valid...)
		for b := data; len(b) >= 9; b = b[9:] {
			frame := append([]byte{0xA5, dalyBattery, b[0], 8}, b[1:9]...)
			framed = append(framed, append(frame, byte(sum16(frame)))...)
		}
		for _, data := range [][]byte{data, framed} {
			whole := decode(t, Daly(DalyOptions{}), data)
			pieces := &drivertest.Recorder{}
			d := newDalyDecoder(pieces, DalyOptions{})
			for i := range data {
				d.Decode(data[i:i+1], received)
				if len(d.pending) >= dalyFrame || cap(d.pending) > 128 || len(d.parts) > 35 {
					t.Fatalf("holds %d bytes", len(d.pending))
				}
			}
			if !reflect.DeepEqual(pieces, whole) {
				t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
			}
			if len(whole.Readings) > len(data)/dalyFrame {
				t.Fatalf("%d readings of %d bytes", len(whole.Readings), len(data))
			}
			before := len(pieces.Readings)
			for range 3 {
				d.Decode(valid, received.Add(time.Minute))
			}
			if len(pieces.Readings) < before+4 || pieces.Disorder != "" {
				t.Fatalf("valid frames behind are not found: damaged %q", pieces.Damage)
			}
		}
	})
}
