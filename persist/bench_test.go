package persist

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend is publishers that each wait for their acknowledgement before
// they go on, for one session that is away. Times are those of the disk below;
// the other figures are those of the store.
func BenchmarkAppend(b *testing.B) {
	for _, publishers := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{})
			m := message("home/room/sensor/state", 200)
			before := s.Stats()
			var next atomic.Int64
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range publishers {
				all.Go(func() {
					done := make(chan struct{}, 1)
					for {
						id := next.Add(1)
						if id > int64(b.N) {
							return
						}
						var x Batch
						x.PutEntry(1, Entry{ID: uint64(id), QoS: 1, Message: m}, new(Ref))
						s.Append(&x, func() { done <- struct{}{} })
						<-done
					}
				})
			}
			all.Wait()
			b.StopTimer()
			report(b, s, before)
		})
	}
}

// BenchmarkElision is a publisher with a window of 100 whose subscriber
// acknowledges each message as soon as it has been appended.
func BenchmarkElision(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	m := message("home/room/sensor/state", 200)
	before := s.Stats()
	window := make(chan struct{}, 100)
	b.ReportAllocs()
	b.ResetTimer()
	for id := range b.N {
		window <- struct{}{}
		var put, gone Batch
		r := new(Ref)
		put.PutEntry(1, Entry{ID: uint64(id), QoS: 1, Message: m}, r)
		s.Append(&put, func() { <-window })
		gone.DeleteEntry(1, uint64(id), r)
		s.AppendLazy(&gone)
	}
	for range cap(window) {
		window <- struct{}{}
	}
	b.StopTimer()
	report(b, s, before)
}

func report(b *testing.B, s *Store, before Stats) {
	after := s.Stats()
	groups := float64(after.Groups - before.Groups)
	b.ReportMetric(float64(after.BytesWritten-before.BytesWritten)/float64(b.N), "written-B/op")
	b.ReportMetric(float64(after.Elided-before.Elided)/float64(b.N), "elided/op")
	b.ReportMetric(groups/float64(b.N), "groups/op")
	if groups > 0 {
		b.ReportMetric(float64(after.Operations-before.Operations)/groups, "operations/group")
	}
}
