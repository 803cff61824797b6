package main

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"lintel/hardware"
)

// limitMemory has the collector run often before a third of the machine's memory is
// used. GOMEMLIMIT goes before.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit())
	}
}

func memoryLimit() int64 {
	if total := hardware.ReadVitals("/").MemoryTotal; total > 0 {
		return int64(total / 3)
	}
	return math.MaxInt64
}

// smallMemory is what the program is to do with. As long as that is enough the
// collector runs seldom, which saves CPU under load: messages of QoS 1 and 2 live shortly.
const smallMemory = 44 << 20

const (
	calm       = 4 << 20  // bytes allocated in a second
	calmMemory = 24 << 20 // what the program is to do with as long as less is

	giveBack = 3 * time.Second // passes at least before memory is given back again
)

// balance sets the limit for the memory by what is in use of it, until ctx ends: with
// twice that, and 16 MiB that are not heap, the collector runs about as often as Go has
// it run by itself. While little is allocated it may run more often at no cost, and the house
// gets the memory back, that of a burst as soon as it is over: the collector would not
// run again for a long time. GOGC and GOMEMLIMIT go before.
func balance(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(400)
	most := memoryLimit()
	const every = 200 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	var (
		now       int64
		allocated uint64
		burst     bool // since memory was given back
		gaveBack  time.Time
	)
	for {
		metrics.Read(samples)
		all := samples[1].Value.Uint64()
		atRest := all-allocated < calm*uint64(every)/uint64(time.Second)
		allocated = all
		burst = burst || !atRest
		if burst && atRest && time.Since(gaveBack) >= giveBack {
			debug.FreeOSMemory()
			burst, gaveBack = false, time.Now()
			// What is live was counted anew. A limit by the old count might be below
			// it: until the next look the collector would run all the time.
			metrics.Read(samples)
		}
		live := int64(samples[0].Value.Uint64())
		limit := max(smallMemory, 2*live+16<<20)
		if atRest {
			limit = max(calmMemory, live+live/4+12<<20)
		}
		if limit = min(limit, most); limit != now {
			now = limit
			debug.SetMemoryLimit(limit)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
