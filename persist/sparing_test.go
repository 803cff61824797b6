package persist

import (
	"testing"
	"time"
)

// Sparing batches share a commit as soon as there are enough of them.
func TestSparingBatchesShareACommit(t *testing.T) {
	s := open(t, t.TempDir(), Options{Sparing: time.Hour})
	commit(t, s, putRetained("r"))
	s.answered.Store(-int64(time.Hour)) // nobody sends one after the other
	before := s.Stats().Groups
	done := make(chan int, company)
	for i := range company {
		if n := s.Stats(); n.Groups != before || n.PendingOperations != i {
			t.Fatalf("after %d batches: %d groups, %d operations wait", i, n.Groups-before, n.PendingOperations)
		}
		s.AppendSparing(newDelivery(uint64(i)).put(), func() { done <- i })
	}
	for want := range company {
		if got := <-done; got != want {
			t.Errorf("done function %d, want %d", got, want)
		}
	}
	if n := s.Stats().Groups; n != before+1 {
		t.Errorf("%d groups", n-before)
	}
	// The next ones start from nothing.
	s.answered.Store(-int64(time.Hour))
	s.AppendSparing(newDelivery(100).put(), func() { done <- 100 })
	if n := s.Stats(); n.Groups != before+1 || n.PendingOperations != 1 {
		t.Errorf("%d groups, %d operations wait", n.Groups-before, n.PendingOperations)
	}
	s.Append(putRetained("r"), nil) // takes it along
	if got := <-done; got != 100 {
		t.Errorf("done function %d", got)
	}
}

// One that is alone is committed when its time has come, and not before.
func TestSparingEnds(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, putRetained("r"))
	s.answered.Store(-int64(time.Hour))
	start := time.Now()
	done := make(chan struct{})
	s.AppendSparing(newDelivery(1).put(), func() { close(done) })
	await(t, done, "commit of the sparing batch")
	if passed := time.Since(start); passed < defaultSparing {
		t.Errorf("committed after %v", passed)
	}
}

// Who sends one message after the other is not held up: what comes right behind an
// answer is committed at once.
func TestSparingIsNotForARow(t *testing.T) {
	s := open(t, t.TempDir(), Options{Sparing: time.Hour})
	before := time.Since(s.opened)
	commit(t, s, putRetained("r"))
	if answered := time.Duration(s.answered.Load()); answered < before {
		t.Errorf("answered after %v, asked after %v", answered, before)
	}
	s.answered.Store(int64(time.Since(s.opened) + time.Hour)) // however slow this test is
	done := make(chan struct{})
	s.AppendSparing(newDelivery(1).put(), func() { close(done) })
	await(t, done, "commit of the sparing batch")
}

// A sparing batch promises what a lazy one before it holds, be it empty itself.
func TestSparingPromisesWhatCameBefore(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, putRetained("r"))
	s.answered.Store(-int64(time.Hour))
	s.AppendLazy(putRetained("before"))
	done := make(chan []string, 1)
	s.AppendSparing(new(Batch), func() { done <- keys(t, s) })
	if got := <-done; len(got) != 2 {
		t.Errorf("in the store when it was done: %q", got)
	}
}
