package persist

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// never is for what a test does not want to happen by itself.
const never = time.Hour

// filesOf sums up the space that files with a suffix really take.
func filesOf(t testing.TB, dir, suffix string) (files int, bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, suffix) {
			return err
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			return nil // just removed
		}
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, bytes
}

func until(t testing.TB, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !reached(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// fillQueue puts n messages into the queue of session 1 and waits until they are written.
func fillQueue(t testing.TB, s *Store, n, size int) []*Ref {
	t.Helper()
	refs := make([]*Ref, n)
	var setUp Batch
	setUp.PutSession(Session{ID: 1, ClientID: "c", Version: 5, ExpiryInterval: NeverExpires})
	s.Append(&setUp, nil)
	m := message("home/room/sensor/state", size)
	inBatches(t, s, n, func(b *Batch, i int) {
		refs[i] = new(Ref)
		b.PutEntry(1, Entry{ID: uint64(i), QoS: 1, Message: m}, refs[i])
	})
	return refs
}

// drain deletes them again.
func drain(t testing.TB, s *Store, refs []*Ref) {
	t.Helper()
	inBatches(t, s, len(refs), func(b *Batch, i int) { b.DeleteEntry(1, uint64(i), refs[i]) })
}

// inBatches commits n changes, a hundred in each batch.
func inBatches(t testing.TB, s *Store, n int, add func(b *Batch, i int)) {
	t.Helper()
	for i := 0; i < n; {
		var b Batch
		for ; i < n && b.Len() < 100; i++ {
			add(&b, i)
		}
		if err := s.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Append(&b, nil)
	}
	commit(t, s, new(Batch))
}

// A queue that was drained gives its space back when there is little to do.
func TestDrainedQueueGivesItsSpaceBack(t *testing.T) {
	dir := t.TempDir()
	rules := garbageRules{interval: 10 * time.Millisecond, calm: 200 * time.Millisecond, tombstones: 50_000, valueLog: never}
	// What the memtable holds is not merged: with a small one little is left.
	s := open(t, dir, Options{MemTableSize: minMemTableSize, garbage: rules})
	const n = 100_000
	refs := fillQueue(t, s, n, 100)
	_, before := filesOf(t, dir, ".sst")
	drain(t, s, refs)
	if st := s.Stats(); st.Entries != 0 || st.Tombstones+int64(st.Flattened)*n < n {
		t.Errorf("%d entries, %d tombstones", st.Entries, st.Tombstones)
	}
	_, drained := filesOf(t, dir, ".sst")
	until(t, "the tables are flattened", func() bool { return s.Stats().Flattened > 0 })
	_, after := filesOf(t, dir, ".sst")
	t.Logf("%d bytes of tables before, %d when the queue was empty, %d after", before, drained, after)
	if before < n*100 || after > before/4 {
		t.Errorf("%d bytes of tables before, %d after", before, after)
	}
	if st := s.Stats(); st.Tombstones >= n/2 {
		t.Errorf("%d tombstones after", st.Tombstones)
	}
	commit(t, s, putRetained("r"))
	closeStore(t, s)
	if state := whole(t, open(t, dir, Options{})); len(state.Sessions) != 1 || len(state.Retained) != 1 || len(state.Sessions[0].Inflight) != 0 {
		t.Error(describe(state))
	}
}

// What a run has left behind is known to the next one.
func TestGarbageOfAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{garbage: garbageRules{interval: never}})
	const n = 2000
	refs := fillQueue(t, s, n, 100)
	drain(t, s, refs[:n-10])
	closeStore(t, s) // now all is in one table, which there is nothing to merge with
	s = open(t, dir, Options{garbage: garbageRules{interval: never}})
	load(t, s)
	if st := s.Stats(); st.Entries != 10 || st.Tombstones < n-10 || st.Tombstones > n*11/10 {
		t.Errorf("%d entries, %d tombstones", st.Entries, st.Tombstones)
	}
}

// There is a time for it: when there is little to do, unless it has become much, and
// when there is more of it than of what would be written anew.
func TestGarbageIsLeftUntilItPays(t *testing.T) {
	r := garbageRules{}.withDefaults()
	for name, c := range map[string]struct {
		entries, tombstones int64
		calm                time.Duration
		rate                float64
		want                bool
	}{
		"calm":         {0, 100_001, 30 * time.Second, 1, true},
		"little of it": {0, 100_000, time.Hour, 0, false},
		"many entries": {60_000, 110_000, time.Hour, 0, false},
		"not so many":  {50_000, 110_000, time.Hour, 0, true},
		"not calm":     {0, 110_000, 29 * time.Second, 1, false},
		"much of it":   {10_000_000, 1_000_001, 0, 900, true},
		"busy":         {0, 2_000_000, 0, 1000, false},
	} {
		if got := r.worthIt(Stats{Entries: c.entries, Tombstones: c.tombstones}, c.calm, c.rate); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The value log loses the files of messages that are gone, and keeps what is not.
func TestValueLogShrinks(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{garbage: garbageRules{interval: 5 * time.Millisecond, valueLog: never, rotate: 8 << 20}})
	refs := fillQueue(t, s, 400, 200<<10)
	// A tenth stays, in all the files.
	for i, r := range refs {
		if i%10 > 0 {
			s.AppendLazy(batch(func(b *Batch) { b.DeleteEntry(1, uint64(i), r) }))
		}
	}
	// A topic whose picture changes does the rest.
	until(t, "many memtables are tables", func() bool {
		commit(t, s, batch(func(b *Batch) { b.PutRetained(message("camera", 200<<10)) }))
		return s.Stats().Rotations >= 8
	})
	files, before := filesOf(t, dir, ".vlog")
	closeStore(t, s)
	// Nothing is committed meanwhile: the race detector would find that Badger reads
	// its newest version unlocked.
	s = open(t, dir, Options{garbage: garbageRules{
		interval: 10 * time.Millisecond, calm: 50 * time.Millisecond, tombstones: 50, valueLog: 100 * time.Millisecond}})
	load(t, s)
	until(t, "files of the value log are removed", func() bool { return s.Stats().ValueLogsRemoved >= uint64(files-2) })
	closeStore(t, s)
	left, after := filesOf(t, dir, ".vlog")
	t.Logf("%d files with %d bytes before, %d with %d after", files, before, left, after)
	if files < 5 || after > before/2 {
		t.Errorf("%d files with %d bytes before, %d with %d after", files, before, left, after)
	}
	state := whole(t, open(t, dir, Options{}))
	if len(state.Damaged) > 0 || len(state.Sessions) != 1 || len(state.Sessions[0].Inflight) != 40 {
		t.Fatal(describe(state))
	}
	for _, e := range state.Sessions[0].Inflight {
		if e.ID%10 != 0 || len(e.Message.Payload) != 200<<10 {
			t.Errorf("message %d has %d bytes", e.ID, len(e.Message.Payload))
		}
	}
}
