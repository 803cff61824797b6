package broker

import (
	"testing"
	"time"
)

func TestTokenBucket(t *testing.T) {
	b := tokenBucket{rate: 10, burst: 3}
	start := time.Now()
	for i, step := range []struct {
		at   time.Duration
		want string // y: passes
	}{
		{0, "yyyn"},
		{50 * time.Millisecond, "n"},
		{101 * time.Millisecond, "yn"},
		{90 * time.Millisecond, "n"}, // from another goroutine, late
		{201 * time.Millisecond, "yn"},
		{time.Hour, "yyyn"}, // no more than the burst
	} {
		got := ""
		for range step.want {
			if b.take(start.Add(step.at)) {
				got += "y"
			} else {
				got += "n"
			}
		}
		if got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}
