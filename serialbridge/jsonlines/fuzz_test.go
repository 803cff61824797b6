package jsonlines

import (
	"reflect"
	"slices"
	"testing"
)

func FuzzDecoder(f *testing.F) {
	for _, line := range slices.Concat(readLines(f, "lines"), readLines(f, "radio"), readLines(f, "shelly")) {
		f.Add([]byte(line + line))
		f.Add([]byte(line[:len(line)/2]))
	}
	for _, s := range []string{
		"", "{", "{}\n", "{{\n", "{\"a\":[[[[[[[[[[\n", "{\"id\":\"A4C13874B085\",\"rssi\":-1,\"tempc6\":1e1}\n",
		"{\"mac\":\"A4:C1:38:74:B0:85\",\"open\":false,\"name\":\"\\ud800\\u0000\"}\n",
	} {
		f.Add([]byte(s + s))
	}
	const valid = `{"id":"A4:C1:38:74:B0:8F","tempc":20.5,"hum":40}` + "\n"
	want := decode(f, valid, valid).Readings[0]

	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decode(t, string(data))

		// The pieces do not matter.
		pieces := &recorder{}
		d := newDecoder(pieces, definitions(), radioDefinitions())
		for i := range data {
			d.Decode(data[i:i+1], received)
			if len(d.line) > maxLine || len(d.sensors) > maxSensors {
				t.Fatalf("holds a line of %d bytes, %d sensors", len(d.line), len(d.sensors))
			}
		}
		if !reflect.DeepEqual(pieces, whole) {
			t.Fatalf("in pieces: %+v, whole: %+v", pieces, whole)
		}
		for _, reading := range whole.Readings {
			for _, def := range d.definitions {
				if v, ok := reading.Values[def.property.Key].(float64); ok && (v < -150 || v > 200_000) {
					t.Fatalf("%s is %v", def.property.Key, v)
				}
			}
		}

		// Whatever came before, valid lines are found.
		d.Decode([]byte("\n"+valid+valid), received)
		if n := len(pieces.Readings); n == 0 || !reflect.DeepEqual(pieces.Readings[n-1], want) {
			t.Fatalf("valid lines behind are not found: damaged %q", pieces.Damage)
		}
	})
}
