package dsmr

import (
	"reflect"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	telegrams, bad := readTelegrams(f)
	for _, telegram := range telegrams {
		f.Add(telegram)
		f.Add(telegram[:len(telegram)/2])
	}
	for _, telegram := range bad {
		f.Add(telegram)
	}
	for _, s := range []string{"", "/", "/ABC5\r\n!\r\n", "/ABC5\n1-0:1.8.0(1*kWh)\n!\n", "/ABC5\r\n(", "/ABC5\r\n!/ABC5\r\n"} {
		f.Add([]byte(s))
	}
	f.Add(telegramWith("0-0:98.1.0(1)(1-0:1.6.0)(1-0:1.6.0)(200501000000S)(200423192538S)(03.695*kW)", "0-1:24.2.1(1)(2)(3)"))
	f.Add(telegramWithout("1-0:1.8.0(1*kWh)", "0-1:24.3.0(161107190000)(00)(60)(1)(0-1:24.2.1)(m3)", "(00001.001)"))
	valid := telegrams["TELEGRAM_V5"]
	want := decode(f, valid).Readings

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, data)

		// The pieces do not matter, nor does what a decoder heard before.
		pieces := &recorder{}
		d := newDecoder(pieces, registry())
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxTelegram+1 || d.size > maxTelegram+1 || len(d.announced) > maxDevices {
				t.Fatalf("holds a line of %d bytes, a telegram of %d, %d devices", len(d.line), d.size, len(d.announced))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}
		again := &recorder{}
		newDecoder(again, registry()).Decode(data, received)
		if !reflect.DeepEqual(again, whole) {
			t.Fatalf("again: %+v, first: %+v", again, whole)
		}

		// Whatever came before, the next valid telegram is found.
		d.Decode(valid, received)
		n := len(pieces.Readings) - len(want)
		if n < 0 || !reflect.DeepEqual(pieces.Readings[n:], want) {
			t.Fatalf("a valid telegram behind is not found: damaged %q", pieces.Damage)
		}
	})
}
