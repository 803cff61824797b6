package persist

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// delivery is an entry of session 1 with its put and its delete.
type delivery struct {
	id  uint64
	ref *Ref
}

func newDelivery(id uint64) delivery { return delivery{id, new(Ref)} }

func (d delivery) put() *Batch {
	return batch(func(b *Batch) {
		b.PutEntry(1, Entry{ID: d.id, QoS: 1, PacketID: 1, State: Sent, Message: message("t", 20)}, d.ref)
	})
}

func (d delivery) gone() *Batch {
	return batch(func(b *Batch) { b.DeleteEntry(1, d.id, d.ref) })
}

// stopTimer lets nothing become due by itself any more.
func stopTimer(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
	s.timerAt = 1 // as if it were set to an earlier time
}

// What is acknowledged within the patience is finished at once, without the timer
// and without a transaction, in the order of Append.
func TestPatientBatchIsElided(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, putRetained("r"))
	stopTimer(s)
	before, version := s.Stats(), s.db.MaxVersion()
	done := make(chan int, 10)
	var ds []delivery
	for i := range 3 {
		d := newDelivery(uint64(i))
		ds = append(ds, d)
		s.AppendPatient(d.put(), func() { done <- i })
	}
	s.AppendLazy(ds[2].gone())
	s.AppendLazy(ds[1].gone())
	s.AppendLazy(ds[0].gone())
	for want := range 3 {
		select {
		case got := <-done:
			if got != want {
				t.Fatalf("done function %d, want %d", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("no done function %d", want)
		}
	}
	// The deletes may be dropped in the next turn of the committer.
	for deadline := time.Now().Add(patience); s.Stats().PendingOperations > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("pending: %+v", s.Stats())
		}
		s.wakeUp()
	}
	after := s.Stats()
	if after.Groups != before.Groups || after.BytesWritten != before.BytesWritten || s.db.MaxVersion() != version {
		t.Errorf("written: %+v, before %+v", after, before)
	}
	if after.Operations-before.Operations != 6 || after.Elided-before.Elided != 6 || after.PendingBytes != 0 {
		t.Errorf("counted: %+v, before %+v", after, before)
	}
	if got := keys(t, s); len(got) != 1 {
		t.Errorf("in the store: %q", got)
	}
}

// A batch waits for all its entries, and for the batches before it.
func TestPatientBatchesKeepTheirOrder(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer hold(t, s)() // the test takes in the place of the committer
	stopTimer(s)
	taken := func(want int) {
		t.Helper()
		group, superfluous, _ := s.take()
		if len(group) != want || !superfluous {
			t.Fatalf("%d batches taken, superfluous %v, want %d", len(group), superfluous, want)
		}
	}
	a, b, c := newDelivery(1), newDelivery(2), newDelivery(3)
	both := a.put()
	both.PutEntry(2, Entry{ID: 1, QoS: 1, Message: message("t", 20)}, b.ref)
	s.AppendPatient(both, func() {})
	s.AppendPatient(c.put(), func() {})
	taken(0)
	s.AppendLazy(a.gone())
	taken(0) // b is still out
	s.AppendLazy(c.gone())
	taken(0) // a and b come first
	s.AppendLazy(batch(func(x *Batch) { x.DeleteEntry(2, 1, b.ref) }))
	taken(5)
	taken(0)
}

// A subscriber may be so fast that its acknowledgement comes before the message.
func TestPatientBatchComesLate(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	stopTimer(s)
	d := newDelivery(1)
	put := d.put()
	s.AppendLazy(d.gone())
	done := make(chan struct{})
	s.AppendPatient(put, func() { close(done) })
	await(t, done, "end of the patience")
	if got := keys(t, s); len(got) != 0 {
		t.Errorf("in the store: %q", got)
	}
}

// What nobody acknowledges is committed when its time has come, and not before.
func TestPatienceEnds(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := newDelivery(1)
	start := time.Now()
	done := make(chan struct{})
	s.AppendPatient(d.put(), func() { close(done) })
	await(t, done, "commit of the patient batch")
	if passed := time.Since(start); passed < defaultPatience {
		t.Errorf("committed after %v", passed)
	}
	if got := keys(t, s); !slices.Equal(got, []string{"entry 1 of session 1"}) {
		t.Errorf("in the store: %q", got)
	}
}

// The time of a batch counts from its own beginning, not from that of one before
// it that has gone.
func TestPatienceIsOfEachBatch(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer hold(t, s)()
	a, b := newDelivery(1), newDelivery(2)
	s.AppendPatient(a.put(), func() {})
	s.AppendPatient(b.put(), func() {})
	s.mu.Lock()
	s.queue[0].due = 1 // long ago
	s.queue[1].due = time.Since(s.opened) + time.Hour
	second := s.queue[1].due
	s.mu.Unlock()
	a.ref.dead.Store(true)
	if group, superfluous, _ := s.take(); len(group) != 1 || !superfluous {
		t.Fatalf("%d batches taken, superfluous %v", len(group), superfluous)
	}
	s.makeDue()
	s.mu.Lock()
	due, at := s.due, s.timerAt
	s.mu.Unlock()
	if due || at != second {
		t.Errorf("due %v, timer at %v; want at %v", due, at, second)
	}
	s.mu.Lock()
	s.queue[0].due = 1
	s.mu.Unlock()
	s.makeDue()
	if group, superfluous, _ := s.take(); len(group) != 1 || superfluous {
		t.Errorf("%d batches taken, superfluous %v", len(group), superfluous)
	}
}

// Nobody who must wait for the card waits for somebody else's patience, and too much
// patience ends itself.
func TestPatientBatchRides(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer hold(t, s)()
	stopTimer(s)
	s.AppendPatient(newDelivery(1).put(), func() {})
	s.Append(putRetained("r"), nil)
	if group, superfluous, _ := s.take(); len(group) != 2 || superfluous {
		t.Errorf("%d batches taken, superfluous %v", len(group), superfluous)
	}
	for i := range uint64(maxGroupOperations) {
		s.AppendPatient(newDelivery(i).put(), func() {})
	}
	if group, superfluous, _ := s.take(); len(group) == 0 || superfluous {
		t.Errorf("%d batches taken, superfluous %v", len(group), superfluous)
	}
}

// A delete that has to be written is in nobody's way.
func TestPatientBatchPassesWrittenDeletes(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	old := newDelivery(1)
	commit(t, s, old.put())
	release := hold(t, s)
	stopTimer(s)
	s.AppendLazy(old.gone())
	d := newDelivery(2)
	s.AppendPatient(d.put(), func() {})
	if group, _, _ := s.take(); len(group) != 0 {
		t.Errorf("%d batches taken", len(group))
	}
	s.AppendLazy(d.gone())
	if group, superfluous, _ := s.take(); len(group) != 2 || !superfluous {
		t.Errorf("%d batches taken, superfluous %v", len(group), superfluous)
	}
	release()
	before := s.Stats().Groups
	commit(t, s, new(Batch))
	if got := keys(t, s); len(got) != 0 || s.Stats().Groups != before+1 {
		t.Errorf("in the store after %d groups: %q", s.Stats().Groups-before, got)
	}
}

func TestCloseCommitsPatientBatches(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	stopTimer(s)
	done := false
	s.AppendPatient(newDelivery(1).put(), func() { done = true })
	closeStore(t, s)
	if !done {
		t.Error("not acknowledged")
	}
	if got := keys(t, open(t, dir, Options{})); !slices.Equal(got, []string{"entry 1 of session 1"}) {
		t.Errorf("in the store: %q", got)
	}
}

// Publishers and subscribers of all kinds at the same time: done functions keep their
// order, and at the end the store has what was not deleted.
func TestPatienceUnderLoad(t *testing.T) {
	s := open(t, t.TempDir(), Options{MemTableSize: minMemTableSize})
	const publishers, each = 8, 1500
	var all, acknowledged sync.WaitGroup
	var mu sync.Mutex
	var left []string
	var order, called []int // of Append, of the done functions
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for p := range publishers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(p)))
			window := make(chan struct{}, 20)
			for i := range each {
				window <- struct{}{}
				n := p*each + i
				d := newDelivery(uint64(n))
				acknowledged.Add(1)
				done := func() {
					called = append(called, n)
					<-window
					acknowledged.Done()
				}
				kind := random.IntN(20)
				mu.Lock()
				order = append(order, n)
				if kind == 0 {
					s.Append(d.put(), done)
				} else {
					s.AppendPatient(d.put(), done)
				}
				if kind == 1 {
					left = append(left, fmt.Sprintf("entry %d of session 1", n))
				}
				mu.Unlock()
				switch {
				case kind == 1:
				case kind < 5:
					time.AfterFunc(time.Duration(random.IntN(100))*time.Millisecond, func() { s.AppendLazy(d.gone()) })
				default:
					s.AppendLazy(d.gone())
				}
			}
		})
	}
	all.Wait()
	acknowledged.Wait()
	if !slices.Equal(called, order) {
		t.Error("done functions ran in another order than Append")
	}
	want := slices.Sorted(slices.Values(left))
	for deadline := time.Now().Add(patience); ; {
		commit(t, s, new(Batch))
		got := keys(t, s)
		slices.Sort(got)
		if slices.Equal(got, want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d entries in the store, want %d", len(got), len(want))
		}
	}
	st := s.Stats()
	if st.Entries != int64(len(want)) {
		t.Errorf("%d entries counted, want %d", st.Entries, len(want))
	}
	t.Logf("%d of %d operations elided, %d groups", st.Elided, st.Operations, st.Groups)
}

// The bytes that an entry saves are those that it costs elsewhere, to some bytes.
func TestBytesElidedAreThoseNotWritten(t *testing.T) {
	for _, size := range []int{10, 1000} {
		s := open(t, t.TempDir(), Options{})
		cost := func(change func(*Batch)) uint64 { // bytes written, but for the meta record
			before := s.Stats()
			commit(t, s, batch(change))
			after := s.Stats()
			return after.BytesWritten - before.BytesWritten
		}
		meta := cost(func(b *Batch) { b.PutIncoming(1, 1) })
		meta -= uint64(len(appendIncomingKey(nil, 1, 1)) + 5)
		e := Entry{ID: 1, QoS: 1, PacketID: 7, State: Sent, Identifiers: []uint32{1}, Message: message("some/topic", size)}
		var written, elided Ref
		wrote := cost(func(b *Batch) { b.PutEntry(1, e, &written) }) - meta
		wrote += cost(func(b *Batch) { b.DeleteEntry(1, 1, &written) }) - meta

		release := hold(t, s)
		before := s.Stats()
		s.AppendPatient(batch(func(b *Batch) { b.PutEntry(1, e, &elided) }), func() {})
		s.AppendLazy(batch(func(b *Batch) { b.DeleteEntry(1, 1, &elided) }))
		release()
		commit(t, s, new(Batch))
		after := s.Stats()
		saved := after.BytesElided - before.BytesElided
		if after.BytesWritten != before.BytesWritten || saved < wrote*3/4 || saved > wrote*5/4 {
			t.Errorf("%d bytes elided, %d written otherwise", saved, wrote)
		}
	}
}

func TestBytesCoalesced(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	release := hold(t, s)
	before := s.Stats()
	for range 3 {
		s.Append(batch(func(b *Batch) { b.PutRetained(message("topic", 100)) }), nil)
	}
	release()
	commit(t, s, new(Batch))
	after := s.Stats()
	one := uint64(len(appendRetainedKey(nil, "topic")) + 1 + len(appendMessage(nil, message("topic", 100), "", momentZero)) + 4)
	if n := after.BytesCoalesced - before.BytesCoalesced; n != 2*one {
		t.Errorf("%d bytes coalesced, want %d", n, 2*one)
	}
}
