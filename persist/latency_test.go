package persist

import (
	"testing"
	"time"
)

func TestLatencies(t *testing.T) {
	var l Latencies
	if q := l.Quantile(0.5); q != 0 {
		t.Errorf("of nothing: %v", q)
	}
	for d, n := range map[time.Duration]int{0: 10, 1023 * time.Microsecond: 50, 1024 * time.Microsecond: 39, time.Hour: 1} {
		for range n {
			l.add(d)
		}
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.1: 1, 0.11: 1024, 0.6: 1024, 0.61: 2048, 0.99: 2048, 1: 1 << 23} {
		if got := l.Quantile(q); got != want*time.Microsecond {
			t.Errorf("Quantile(%g) = %v, want %v", q, got, want*time.Microsecond)
		}
	}
}

// Every transaction is counted, and nothing else.
func TestCommitsAreTimed(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for range 3 {
		commit(t, s, putRetained("r"))
		commit(t, s, new(Batch))
	}
	st := s.Stats()
	var n uint64
	for _, count := range st.Commits {
		n += count
	}
	if n != 3 || n != st.Groups || st.Commits[0] > 0 {
		t.Errorf("%d groups, commits %v", st.Groups, st.Commits)
	}
}
