package mqtt

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
)

func FuzzParse(f *testing.F) {
	versions := []Version{0, V31, V311, V50}
	for _, x := range vectors(f) {
		f.Add(x.packet, byte(slices.Index(versions, x.version)))
	}
	f.Fuzz(func(t *testing.T, data []byte, version byte) {
		v := versions[version&3]
		before := bytes.Clone(data)
		p, n, err := Parse(data, v, 0)
		if n < 0 || n > len(data) || err != nil && n != 0 {
			t.Fatalf("Parse took %d of %d bytes: %v", n, len(data), err)
		}
		mustBeError(t, err)
		if n == 0 {
			return
		}
		data = data[:n]
		if size, err := Size(data); size != n || err != nil {
			t.Fatalf("Size %d, %v; Parse took %d", size, err, n)
		}
		for i := range min(n, 64) {
			if _, m, err := Parse(data[:i], v, 0); m != 0 || err != nil {
				t.Fatalf("of the first %d bytes Parse took %d: %v", i, m, err)
			}
		}
		if _, m, err := Parse(data, v, n); m != n || err != nil {
			t.Fatalf("limit %d: %d, %v", n, m, err)
		}
		if _, _, err := Parse(data, v, n-1); code(err) != "95" {
			t.Fatalf("limit %d for %d bytes: %v", n-1, n, err)
		}
		// Before the CONNECT nothing else is decoded; be it as 5.0.
		if v == 0 {
			v = V50
		}
		first, err := decode(p, v)
		if !bytes.Equal(data, before[:n]) {
			t.Fatal("decoding changed the packet")
		}
		if err != nil {
			mustBeError(t, err)
			return
		}
		encoded := first.Append(nil, v)
		if len(encoded) > n {
			t.Fatalf("encodes to more than it was\n% x\n% x", encoded, data)
		}
		second, err := read(encoded, v)
		if err != nil {
			t.Fatalf("own encoding is refused: %v\n% x\n% x", err, encoded, data)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("first  %+v\nsecond %+v", first, second)
		}
		if again := second.Append(nil, v); !bytes.Equal(again, encoded) {
			t.Fatalf("encodes to\n% x\nthen to\n% x", encoded, again)
		}
	})
}

// mustBeError fails if err is neither nil nor an *Error with a code for failure.
func mustBeError(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Code < UnspecifiedError) {
		t.Fatalf("error without a reason code: %v", err)
	}
}
