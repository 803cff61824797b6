package wmbus

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
)

func seeds(f *testing.F, add func(telegram []byte)) {
	for _, v := range vectors(f) {
		add(v.telegram(f))
	}
	radio, kamstrup := examples(f)
	for _, e := range radio {
		b := unhex(f, e.Hex)
		if telegram, ok := stripA(b); ok && e.Format == "A" {
			add(telegram)
		}
	}
	for _, e := range kamstrup {
		add(unhex(f, e.Hex)[1:])
	}
	add(mode5(f, 1, volume))
	add(inClear(1, volume...))
}

// fuzzOptions have the key of most meters of the vectors.
func fuzzOptions() Options {
	return Options{Keys: map[string]string{"12345678": "000102030405060708090A0B0C0D0E0F", "76348799": "28F64A24988064A079AA2C807D6102AE"}}
}

// FuzzDecoder takes any bytes from a receiver.
func FuzzDecoder(f *testing.F) {
	seeds(f, func(telegram []byte) {
		for _, framing := range framings {
			b := framing(telegram)
			f.Add(b)
			f.Add(b[:len(b)/2])
		}
	})
	for _, s := range []string{"", "b", "bY", "b\r\n", "V 1.67 CUL868\r\n", "\xA5", "\xFF\x83", "\xA5\x02\x03\xFF\x44\x2D\x2C"} {
		f.Add([]byte(s))
	}
	valid := amberFrame(inClear(0xEE, 0x04, 0x13, 0xB1, 0x68, 0xDE, 0x3A), false)

	f.Fuzz(func(t *testing.T, data []byte) {
		for _, receiver := range []string{"", "amber"} {
			o := fuzzOptions()
			o.Receiver = receiver
			fuzzStream(t, data, valid, o)
		}
	})
}

func fuzzStream(t *testing.T, data, valid []byte, o Options) {
	whole := &recorder{}
	newDecoder(whole, o).Decode(data, received)
	if whole.Disorder != "" {
		t.Fatal(whole.Disorder)
	}

	// The pieces do not matter.
	pieces := &recorder{}
	d := newDecoder(pieces, o)
	for i := range data {
		d.Decode(data[i:i+1], received)
		if len(d.buf) > maxFrame+1 || len(d.text) > maxText || len(d.announced) > maxMeters ||
			len(d.heardOnce) > maxHeardOnce || len(d.recent) > maxRecent || len(d.formats.known) > maxFormats {
			t.Fatal("holds too much")
		}
	}
	if !reflect.DeepEqual(pieces, whole) {
		t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
	}

	// Whatever came before, the next valid frame is found. The key of that
	// meter is not given.
	before := len(pieces.Readings)
	d.opener.keys = nil
	d.Decode(valid, received.Add(time.Minute))
	if n := len(pieces.Readings); n <= before || pieces.Readings[n-1].Device != testMeter || pieces.Readings[n-1].Values["water"] != 987654.321 {
		t.Fatalf("a valid frame behind is not found: damaged %q, ignored %q", pieces.Damage, pieces.Overheard)
	}
}

// FuzzTelegram takes any telegram of which a receiver said that it is whole.
func FuzzTelegram(f *testing.F) {
	seeds(f, func(telegram []byte) { f.Add(telegram, false) })
	seeds(f, func(telegram []byte) { f.Add(telegram, true) })
	f.Fuzz(func(t *testing.T, telegram []byte, clear bool) {
		if len(telegram) > maxTelegram {
			return
		}
		before := slices.Clone(telegram)
		var first *recorder
		for range 2 {
			r := &recorder{}
			d := newDecoder(r, fuzzOptions())
			d.opener.clear = clear
			d.telegram(frame{telegram: telegram, checked: true}, received)
			if r.Disorder != "" {
				t.Fatal(r.Disorder)
			}
			if len(r.Readings)+len(r.Damage)+len(r.Overheard) > 1 {
				t.Fatalf("%d readings, damaged %q, ignored %q", len(r.Readings), r.Damage, r.Overheard)
			}
			for _, device := range r.Devices {
				if len(device.Properties) > maxProperties {
					t.Fatalf("%d properties", len(device.Properties))
				}
				for _, p := range device.Properties {
					if len(p.Key) == 0 || len(p.Key) > 64 || !plain(p.Key) {
						t.Fatalf("key %q", p.Key)
					}
				}
			}
			if first != nil && !reflect.DeepEqual(r, first) {
				t.Fatalf("%+v, before %+v", r, first)
			}
			first = r
		}
		if !slices.Equal(telegram, before) {
			t.Fatal("the telegram was changed")
		}
		d := newDecoder(drivertest.Discard{}, Options{})
		d.telegram(frame{telegram: telegram}, received)
	})
}

func plain(key string) bool {
	return !slices.ContainsFunc([]byte(key), func(c byte) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_'
	})
}

// FuzzRecords takes any records.
func FuzzRecords(f *testing.F) {
	seeds(f, func(telegram []byte) {
		for _, at := range []int{linkLayer + 1, linkLayer + 5, linkLayer + 7} {
			f.Add(telegram[min(at, len(telegram)):], byte(water))
		}
	})
	f.Fuzz(func(t *testing.T, data []byte, m byte) {
		c, ok := parse(data)
		var r reading
		for i := range c.records {
			r.add(&c.records[i], c.records, medium(m%6))
		}
		if len(r.properties) != len(r.values) || len(r.properties) > maxProperties {
			t.Fatalf("%d properties, %d values", len(r.properties), len(r.values))
		}
		if !ok || len(c.format) > maxFormat {
			return
		}
		// Without headers and with them again it is the same.
		var bare []byte
		for _, record := range c.records {
			if record.field == fieldVariable {
				bare = append(bare, record.length)
			}
			bare = append(bare, record.data...)
		}
		bare = append(bare, c.maker...)
		again, full, ok := parseCompact(c.format, bare)
		if !ok || len(again.records) != len(c.records) || !slices.Equal(again.maker, c.maker) {
			t.Fatalf("compact: %v, %d records of %d", ok, len(again.records), len(c.records))
		}
		if second, ok := parse(full); !ok || !reflect.DeepEqual(second.records, c.records) {
			t.Fatalf("%X: %v", full, ok)
		}
	})
}
