package drivertest

import (
	"iter"
	"testing"
	"time"

	"lintel/serialbridge"
)

// Decode feeds pieces that came at one time to a decoder that tells r.
func Decode[D ~string | ~[]byte](t testing.TB, r *Recorder, d serialbridge.Decoder, at time.Time, pieces []D) {
	t.Helper()
	for _, p := range pieces {
		d.Decode([]byte(p), at)
	}
	if r.Disorder != "" {
		t.Fatal(r.Disorder)
	}
}

// Splits returns ways in which data may come: in two pieces, cut at each step-th
// byte, and byte by byte.
func Splits[D ~string | ~[]byte](data D, step int) iter.Seq[[]D] {
	return func(yield func([]D) bool) {
		for i := 0; i < len(data); i += step {
			if !yield([]D{data[:i], data[i:]}) {
				return
			}
		}
		single := make([]D, len(data))
		for i := range single {
			single[i] = data[i : i+1]
		}
		yield(single)
	}
}
