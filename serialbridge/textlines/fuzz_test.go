package textlines

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"lintel/serialbridge"
)

func FuzzDecoder(f *testing.F) {
	boards := readBoards(f)
	var options []Options
	for i, b := range boards {
		options = append(options, b.options)
		f.Add(uint8(i), []byte(b.capture))
		for line := range strings.Lines(b.capture) {
			f.Add(uint8(i), []byte("\n"+line+line))
		}
	}
	for _, text := range []string{jsonTemp, csvTemp, pairTemp, checkedTemp, headerTemp, manyTOML, textsOf, lamps} {
		f.Add(uint8(len(options)), []byte("\n{\"t\":1,\"s\":\"x\",\"b\":true}\n1,2\nT=1*3F\ntime,temp\n"))
		options = append(options, right(f, text))
	}
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		o := options[int(n)%len(options)]
		whole := decode(t, o, string(data))

		// The pieces do not matter.
		pieces := &recorder{}
		d := newDecoder(pieces, newLayout(o))
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxLine || len(d.known) > maxDevices+maxConfigured || len(d.header) > maxLine {
				t.Fatalf("holds a line of %d bytes, %d devices, %d columns", len(d.line), len(d.known), len(d.header))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}
		for _, reading := range whole.Readings {
			for _, p := range whole.Devices[reading.Device].Properties {
				switch v := reading.Values[p.Key].(type) {
				case float64:
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Fatalf("%s is %v", p.Key, v)
					}
				case string:
					if len(v) > maxText {
						t.Fatalf("%s has %d bytes", p.Key, len(v))
					}
				}
			}
		}
	})
}

// Whatever a person writes, it is refused in words or works.
func FuzzOptions(f *testing.F) {
	for _, text := range []string{jsonTemp, csvTemp, pairTemp, checkedTemp, headerTemp, manyTOML, textsOf, binaryOf, lamps, columnsTemp} {
		f.Add(text, "{\"t\":1}\n\n1,2\nT=1*3F\ntime,temp\n1,2\n", "x", 1.0)
	}
	f.Fuzz(func(t *testing.T, text, data, raw string, n float64) {
		var o Options
		if _, err := toml.Decode(text, &o); err != nil {
			return
		}
		err := o.Check()
		driver := Driver(o)
		r := &recorder{}
		d := driver.NewDecoder(r).(*decoder)
		d.Decode([]byte(data), received)
		if err != nil {
			return // it need not work, but it must not panic
		}
		if r.Disorder != "" {
			t.Fatal(r.Disorder)
		}
		d.announceListeners()
		for id, device := range r.Devices {
			for _, p := range device.Properties {
				for _, v := range []any{true, false, n, raw, []byte(raw)} {
					if line, _, ok := d.command(serialbridge.Command{Device: id, Key: p.Key, Value: v}); ok && len(line) > maxCommand*(len(raw)+maxName*4+40) {
						t.Fatalf("%d bytes", len(line))
					}
				}
			}
		}
	})
}
