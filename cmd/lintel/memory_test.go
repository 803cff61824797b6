package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// When a burst is over, what it has left in use is below the limit at once: else the
// collector would run without a pause until the next look.
func TestLimitAfterABurst(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	percent, limit := debug.SetGCPercent(400), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	before := make([]byte, 8<<20)
	runtime.GC()
	burst := make([]byte, 20<<20) // too little for another collection

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		balance(ctx)
	}()
	defer func() {
		stop()
		<-ended
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var set int64 // what the burst made it
	for {
		<-tick.C
		now := debug.SetMemoryLimit(-1)
		switch {
		case now == limit || now == set:
		case set == 0:
			set = now
		default:
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if uint64(now) < m.HeapAlloc {
				t.Errorf("%d MiB are in use, and the limit is %d", m.HeapAlloc>>20, now>>20)
			}
			runtime.KeepAlive(before)
			runtime.KeepAlive(burst)
			return
		}
	}
}
