package dsmr

import (
	"reflect"
	"slices"
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
	frames, _ := readSealed(f)
	o := Options{Keys: make(map[string]string)}
	for _, sealed := range frames[1:] {
		o.Keys[sealed.Title] = sealed.Key
	}
	keys := o.keyring()
	for _, sealed := range frames {
		f.Add(sealed.frame)
		f.Add(slices.Concat(sealed.frame[:len(sealed.frame)/2], sealed.frame, sealed.frame))
	}
	valid := telegrams["TELEGRAM_V5"]
	want := decode(f, valid).Readings

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := &recorder{}
		newDecoder(whole, objects(), keys).Decode(data, received)
		if whole.Disorder != "" {
			t.Fatal(whole.Disorder)
		}

		// The pieces do not matter, nor does what a decoder heard before.
		pieces := &recorder{}
		d := newDecoder(pieces, objects(), keys)
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxTelegram+1 || d.size > maxTelegram+1 || len(d.sealed) > maxTelegram || len(d.meters) > maxMeters {
				t.Fatalf("holds a line of %d bytes, a telegram of %d, a sealed one of %d, %d meters",
					len(d.line), d.size, len(d.sealed), len(d.meters))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}
		again := &recorder{}
		newDecoder(again, objects(), keys).Decode(data, received)
		if !reflect.DeepEqual(again, whole) {
			t.Fatalf("again: %+v, first: %+v", again, whole)
		}

		// Whatever came before, the next valid telegram is found. What began
		// as a sealed one takes as many bytes as it said before.
		for d.position == inSealed {
			d.Decode([]byte{0}, received)
		}
		d.Decode(valid, received)
		n := len(pieces.Readings) - len(want)
		if n < 0 || !reflect.DeepEqual(pieces.Readings[n:], want) {
			t.Fatalf("a valid telegram behind is not found: damaged %q", pieces.Damage)
		}
	})
}

// FuzzSealed seals what a meter would never say: no more comes of it than of the
// same bytes in the clear, and the next telegram is found.
func FuzzSealed(f *testing.F) {
	telegrams, _ := readTelegrams(f)
	for _, telegram := range telegrams {
		f.Add(telegram)
		f.Add(telegram[:len(telegram)/2])
		f.Add(slices.Concat(telegram, telegram))
	}
	frames, _ := readSealed(f)
	lux := frames[0]
	keys := lux.options().keyring()
	valid := seal(f, lux, 2, telegrams[lux.Telegram])
	want := decodeWith(f, lux.options(), valid).Readings

	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) == 0 || preambleSize+len(plain)+tagSize > maxTelegram {
			return
		}
		r := &recorder{}
		d := newDecoder(r, objects(), keys)
		d.Decode(seal(t, lux, 1, plain), received)
		if clear := decode(t, plain); len(r.Readings) > len(clear.Readings) {
			t.Fatalf("%d readings, %d in the clear", len(r.Readings), len(clear.Readings))
		}
		if r.Disorder != "" {
			t.Fatal(r.Disorder)
		}
		n := len(r.Readings)
		d.Decode(valid, received)
		if !reflect.DeepEqual(r.Readings[n:], want) {
			t.Fatalf("the next telegram is not found: damaged %q", r.Damage)
		}
	})
}
