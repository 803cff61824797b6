package gateway

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// A clock that is set after the start shows when that really was, and one that is
// corrected a little does not move it.
func TestStartIsToldByTheRightClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVitals(nil)
		v.told = time.Unix(3, 0) // told before the network came
		time.Sleep(time.Minute)
		now := time.Now()
		first := v.start(now)
		if got := now.Sub(first); got != time.Minute {
			t.Errorf("started %v ago, want a minute", got)
		}
		time.Sleep(time.Hour)
		if got := v.start(time.Now().Add(2 * time.Second)); !got.Equal(first) {
			t.Errorf("moved by %v", got.Sub(first))
		}
	})
}

func TestMessagesPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVitals(nil)
		for _, step := range []struct {
			wait     time.Duration
			messages uint64
			want     int
		}{
			{time.Second, 100, -1},                 // what is said at a start is no figure
			{11 * time.Second, 120, 600},           // 120 in 12 s
			{30 * time.Second, 1000, 600},          // asked too soon after the last one
			{30 * time.Second, 180, 60},            // 60 in a minute
			{10 * time.Minute, 180 + 12*10, 12},    // asked late
			{time.Minute, 180 + 12*10, 0},          // nothing
			{70 * time.Second, 180 + 12*10 + 8, 7}, // 8 in 70 s
		} {
			time.Sleep(step.wait)
			if v.count(time.Now(), step.messages); v.perMinute != step.want {
				t.Errorf("after %v and %d messages: %d a minute, want %d", step.wait, step.messages, v.perMinute, step.want)
			}
		}
	})
}

// The counter of the disk begins anew with the machine, and that of Lintel goes on.
func TestWear(t *testing.T) {
	t.Parallel()
	var n wearNote
	for i, step := range []struct {
		seen  uint64
		boot  string
		since time.Duration
		total uint64
		day   float64 // negative: not known
	}{
		{1000, "a", 30 * time.Minute, 1000, -1},
		{3000, "a", 30 * time.Minute, 3000, 72_000},      // 3000 in an hour
		{3000, "a", time.Hour, 3000, 36_000},             // Lintel was started anew, the machine not
		{500, "b", time.Hour, 3500, 28_000},              // the machine was
		{400, "b", time.Hour, 3900, 23_400},              // the disk was changed while it ran
		{100_400, "b", 24 * time.Hour, 103_900, 100_000}, // only the last day counts
	} {
		n = n.with(step.seen, step.boot, step.since)
		day, known := n.perDay()
		if !known {
			day = -1
		}
		if n.Total != step.total || math.Abs(day-step.day) > 1 {
			t.Errorf("step %d: %d in all, %v a day, want %d and %v", i, n.Total, day, step.total, step.day)
		}
	}
	for range 1000 { // a program that is started again and again
		n = n.with(n.Seen, "b", time.Second)
	}
	if len(n.Spans) > wearSpans {
		t.Errorf("%d spans are kept", len(n.Spans))
	}
}
