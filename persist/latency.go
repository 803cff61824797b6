package persist

import (
	"math/bits"
	"time"
)

// Latencies counts how long something took: element i that it took less than 2^i
// microseconds, and not less than half of that; the last element all that took longer.
type Latencies [24]uint64

func (l *Latencies) add(d time.Duration) {
	l[min(bits.Len64(uint64(d.Microseconds())), len(l)-1)]++
}

// Quantile returns the power of two of microseconds that a part q of all, between 0
// and 1, stayed below; 0 if there were none.
func (l *Latencies) Quantile(q float64) time.Duration {
	var all, n uint64
	for _, count := range l {
		all += count
	}
	for i, count := range l {
		if n += count; n > 0 && float64(n) >= q*float64(all) {
			return time.Microsecond << i
		}
	}
	return 0
}
