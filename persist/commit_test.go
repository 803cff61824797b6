package persist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

var badgerKeysOnly = badger.IteratorOptions{}

func putRetained(topic string) *Batch {
	return batch(func(b *Batch) { b.PutRetained(message(topic, 1)) })
}

func TestDoneInOrderOfAppend(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var (
		order []int
		want  []int
		last  = make(chan struct{})
	)
	const n = 3000
	for i := range n {
		switch {
		case i == n-1:
			s.Append(new(Batch), func() { order = append(order, i); close(last) })
		case i%3 == 0:
			s.AppendLazy(putRetained("lazy"))
			continue
		case i%7 == 0:
			s.Append(new(Batch), func() { order = append(order, i) }) // nothing to write
		default:
			s.Append(putRetained("r"), func() { order = append(order, i) })
		}
		want = append(want, i)
	}
	await(t, last, "last done function")
	if !slices.Equal(order, want) {
		t.Errorf("done functions ran in another order than Append")
	}
}

func TestDoneComesAfterTheCommitAndBeforeGroupDone(t *testing.T) {
	var s *Store
	events := make(chan string, 10)
	s = open(t, t.TempDir(), Options{GroupDone: func() { t.Error("replaced GroupDone was called") }})
	s.SetGroupDone(func() { events <- "group done" })
	s.AppendLazy(putRetained("lazy")) // keeps its place: before the durable one
	s.Append(putRetained("r"), func() { events <- strings.Join(keys(t, s), ", ") })
	for _, want := range []string{`retained message "lazy", retained message "r"`, "group done"} {
		select {
		case got := <-events:
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("no %s", want)
		}
	}
}

func TestLazyBatchWaitsForItsTime(t *testing.T) {
	committed := make(chan struct{}, 1)
	s := open(t, t.TempDir(), Options{GroupDone: func() { committed <- struct{}{} }})
	commit(t, s, putRetained("r"))
	await(t, committed, "group")

	start := time.Now()
	s.AppendLazy(putRetained("lazy"))
	await(t, committed, "group of the lazy batch")
	if d := time.Since(start); d < lazyDelay {
		t.Errorf("committed after %v", d)
	}
	if n := len(keys(t, s)); n != 2 {
		t.Errorf("%d records", n)
	}
}

// A lazy batch that comes while a commit is under way does not get a commit of
// its own right after it.
func TestLazyBatchDoesNotFollowAtOnce(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer hold(t, s)() // the test takes in the place of the committer
	s.AppendLazy(putRetained("lazy"))
	if group, _, _ := s.take(); group != nil {
		t.Error("taken at once")
	}
	s.Append(putRetained("r"), nil)
	if group, _, _ := s.take(); len(group) != 2 {
		t.Errorf("%d batches ride together", len(group))
	}
}

func TestTooManyLazyBatchesDoNotWait(t *testing.T) {
	for name, c := range map[string]struct {
		o Options
		n int
	}{
		"bytes":      {Options{Budget: 1000}, 10},
		"operations": {Options{}, maxGroupOperations},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), c.o)
			defer hold(t, s)()
			for range c.n {
				s.AppendLazy(putRetained("lazy"))
				s.timer.Stop()
			}
			if group, _, _ := s.take(); group == nil {
				t.Error("not taken")
			}
		})
	}
}

func TestGroupIsOneTransaction(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	release := hold(t, s)
	before, version := s.Stats(), s.db.MaxVersion()
	done := make(chan struct{})
	for i := range 500 {
		s.Append(putRetained("r/"+string(rune('a'+i%26))+strings.Repeat("b", i)), nil)
	}
	s.Append(new(Batch), func() { close(done) })
	release()
	await(t, done, "group")
	after := s.Stats()
	if n := s.db.MaxVersion() - version; n != 1 || after.Groups-before.Groups != 1 {
		t.Errorf("%d transactions, %d groups", n, after.Groups-before.Groups)
	}
	if n := after.Operations - before.Operations; n != 500 {
		t.Errorf("%d operations", n)
	}
	if after.PendingOperations != 0 || after.PendingBytes != 0 {
		t.Errorf("pending: %+v", after)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	release := hold(t, s)
	before := s.Stats().Groups
	for range maxGroupOperations + 1 {
		s.Append(putRetained("r"), nil)
	}
	for range 5 { // 10 % of 4 MiB hold two of these
		s.Append(batch(func(b *Batch) { b.PutRetained(message("large", 200_000)) }), nil)
	}
	done := make(chan struct{})
	s.Append(new(Batch), func() { close(done) })
	release()
	await(t, done, "groups")
	if n := s.Stats().Groups - before; n != 1+3 {
		t.Errorf("%d groups", n)
	}
}

func TestLargeBatchIsSplit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{MemTableSize: minMemTableSize})
	var b Batch
	b.PutSession(Session{ID: 1, ClientID: "c"})
	refs := make([]Ref, 5000)
	m := message("t", 300)
	for i := range refs {
		b.PutEntry(1, Entry{ID: uint64(i), QoS: 2, Message: m}, &refs[i])
	}
	b.PutRetained(message("r", 3<<20))
	commit(t, s, &b)
	if st := s.Stats(); st.Groups < 5 || st.Operations != 5002 || st.PendingBytes != 0 {
		t.Errorf("%+v", st)
	}
	closeStore(t, s)

	s = open(t, dir, Options{MemTableSize: minMemTableSize})
	state := whole(t, s)
	if len(state.Sessions) != 1 || len(state.Sessions[0].Inflight) != 5000 || len(state.Retained) != 1 {
		t.Fatal(describe(state))
	}
	var clean Batch
	clean.DeleteSession(1, "c")
	for _, e := range state.Sessions[0].Inflight {
		clean.DeleteEntry(1, e.ID, e.Ref)
	}
	commit(t, s, &clean)
	if left := keys(t, s); len(left) != 1 {
		t.Errorf("%d keys left, first %q", len(left), left[0])
	}
}

// What was acknowledged by its subscriber before its group closed never gets to
// the card.
func TestElision(t *testing.T) {
	for _, size := range []int{10, 1000} {
		s := open(t, t.TempDir(), Options{})
		release := hold(t, s)
		before, version := s.Stats(), s.db.MaxVersion()
		m := message("t", size)
		var a, b Ref
		done := make(chan struct{})
		s.Append(batch(
			func(x *Batch) { x.PutEntry(1, Entry{ID: 1, QoS: 1, Message: m, Body: 1}, &a) },
			func(x *Batch) { x.PutEntry(2, Entry{ID: 1, QoS: 2, Message: m, Body: 1}, &b) },
		), nil)
		s.Append(batch(func(x *Batch) {
			x.PutEntry(1, Entry{ID: 1, QoS: 1, Message: m, PacketID: 1, State: Sent, Body: 1}, &a)
		}), nil)
		s.AppendLazy(batch(func(x *Batch) { x.DeleteEntry(1, 1, &a) }))
		s.AppendLazy(batch(func(x *Batch) { x.DeleteEntry(2, 1, &b) }))
		s.Append(new(Batch), func() { close(done) })
		release()
		await(t, done, "group")
		after := s.Stats()
		if after.Elided-before.Elided != 5 || after.Operations-before.Operations != 5 {
			t.Errorf("%d of %d operations elided", after.Elided-before.Elided, after.Operations-before.Operations)
		}
		if after.Groups != before.Groups || after.BytesWritten != before.BytesWritten || s.db.MaxVersion() != version {
			t.Errorf("written: %+v, before %+v", after, before)
		}
		if n := keys(t, s); len(n) != 0 {
			t.Errorf("in the store: %q", n)
		}
	}
}

// A put that is elided leaves the body to the entries that need it.
func TestElisionOfOneSharer(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	release := hold(t, s)
	m := message("t", 1000)
	var a, b, c Ref
	s.Append(batch(
		func(x *Batch) { x.PutEntry(1, Entry{ID: 1, QoS: 1, Message: m, Body: 1}, &a) },
		func(x *Batch) { x.PutEntry(2, Entry{ID: 1, QoS: 1, Message: m, Body: 1}, &b) },
		func(x *Batch) { x.PutEntry(3, Entry{ID: 1, QoS: 1, Message: m, Body: 1}, &c) },
	), nil)
	s.AppendLazy(batch(func(x *Batch) { x.DeleteEntry(1, 1, &a) }))
	release()
	steps := []struct {
		change *Batch
		want   []string
	}{
		{new(Batch), []string{"body 1", "entry 1 of session 2", "entry 1 of session 3"}},
		{batch(func(x *Batch) { x.DeleteEntry(2, 1, &b) }), []string{"body 1", "entry 1 of session 3"}},
		{batch(func(x *Batch) { x.DeleteEntry(3, 1, &c) }), nil},
	}
	for _, step := range steps {
		commit(t, s, step.change)
		if got := keys(t, s); !slices.Equal(got, step.want) {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

// A shared subscription moves a message to another session: the publisher's
// acknowledgement follows the first put, so the message must be on the disk even
// if the move is already known and waits in a later group.
func TestMovedEntryIsNotElided(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	release := hold(t, s)
	before := s.Stats()
	m := message("t", 10)
	var a, b Ref
	s.Append(batch(func(x *Batch) { x.PutEntry(1, Entry{ID: 1, QoS: 1, Message: m}, &a) }), nil)
	var filler Batch
	for range maxGroupOperations - 1 {
		filler.PutIncoming(1, 1)
	}
	s.Append(&filler, nil)
	move := batch(
		func(x *Batch) { x.DeleteEntry(1, 1, &a) },
		func(x *Batch) { x.PutEntry(2, Entry{ID: 1, QoS: 1, Message: m}, &b) },
	)
	s.Append(move, nil)
	release()
	commit(t, s, new(Batch))
	after := s.Stats()
	if n := after.Elided - before.Elided; n != maxGroupOperations-2 { // of the filler
		t.Errorf("%d elided", n)
	}
	if got := keys(t, s); !slices.Contains(got, "entry 1 of session 2") || slices.Contains(got, "entry 1 of session 1") {
		t.Errorf("in the store: %q", got)
	}

	// Within one group nothing of the first place is written.
	release = hold(t, s)
	before = s.Stats()
	var c, d Ref
	s.Append(batch(func(x *Batch) { x.PutEntry(1, Entry{ID: 2, QoS: 1, Message: m}, &c) }), nil)
	s.Append(batch(
		func(x *Batch) { x.DeleteEntry(1, 2, &c) },
		func(x *Batch) { x.PutEntry(2, Entry{ID: 2, QoS: 1, Message: m}, &d) },
	), nil)
	release()
	commit(t, s, new(Batch))
	if n := s.Stats().Elided - before.Elided; n != 2 {
		t.Errorf("%d elided within one group", n)
	}
}

// A message that moves leaves the one session in the transaction in which it comes
// to the other, wherever a large batch is split.
func TestMoveIsNotSplit(t *testing.T) {
	for _, size := range []int{10, 300, 1 << 20} {
		s := open(t, t.TempDir(), Options{MemTableSize: minMemTableSize})
		n := 1500
		if size > 1000 {
			n = 3
		}
		m := message("t", size)
		from, to := make([]Ref, n), make([]Ref, n)
		var put, move Batch
		move.PutIncoming(2, 1) // pairs begin at odd places
		for i := range uint64(n) {
			e := Entry{ID: i, QoS: 2, Message: m}
			put.PutEntry(1, e, &from[i])
			move.PutEntry(2, e, &to[i])
			move.DeleteEntry(1, i, &from[i])
		}
		commit(t, s, &put)
		before := s.Stats().Groups
		commit(t, s, &move)
		if groups := s.Stats().Groups - before; groups < 3 {
			t.Fatalf("%d bytes: the batch was written in %d transactions", size, groups)
		}
		txn := s.db.NewTransaction(false)
		it := txn.NewIterator(badger.IteratorOptions{AllVersions: true, Prefix: []byte{prefixEntry}})
		versions := make(map[string]uint64)
		for it.Rewind(); it.Valid(); it.Next() {
			key := keyString(it.Item().Key())
			versions[key] = max(versions[key], it.Item().Version())
		}
		it.Close()
		txn.Discard()
		for i := range n {
			came, left := versions[fmt.Sprintf("entry %d of session 2", i)], versions[fmt.Sprintf("entry %d of session 1", i)]
			if came == 0 || came != left {
				t.Fatalf("%d bytes: message %d came in transaction %d and left in %d", size, i, came, left)
			}
		}
	}
}

func TestLastOperationOfAGroupWins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	release := hold(t, s)
	before := s.Stats()
	for i := range 9 {
		s.Append(batch(
			func(b *Batch) { b.PutRetained(message("kept", i)) },
			func(b *Batch) { b.PutIncoming(1, 1) },
			func(b *Batch) { b.PutRetained(message("cleared", i)) },
		), nil)
		s.Append(batch(
			func(b *Batch) { b.DeleteRetained("cleared") },
			func(b *Batch) { b.DeleteIncoming(1, 1) },
		), nil)
	}
	s.Append(batch(func(b *Batch) { b.PutSession(Session{ID: 1, ClientID: "c"}); b.PutIncoming(1, 1) }), nil)
	release()
	commit(t, s, new(Batch))
	after := s.Stats()
	// Left of 47: kept, cleared, the session, the packet id.
	if after.Operations-before.Operations != 47 || after.Elided-before.Elided != 43 {
		t.Errorf("%d of %d elided", after.Elided-before.Elided, after.Operations-before.Operations)
	}
	closeStore(t, s)
	state := load(t, open(t, dir, Options{}))
	if len(state.Retained) != 1 || state.Retained[0].Topic != "kept" || len(state.Retained[0].Payload) != 8 ||
		!slices.Equal(state.Sessions[0].Incoming, []uint16{1}) {
		t.Error(describe(state))
	}
}

func TestWait(t *testing.T) {
	s := open(t, t.TempDir(), Options{Budget: 1000})
	if err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := hold(t, s)
	s.Append(batch(func(b *Batch) { b.PutRetained(message("r", 2000)) }), nil)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := s.Wait(ctx); err != cause {
		t.Errorf("over the budget Wait returned %v", err)
	}
	passed := make(chan struct{}, 2)
	for range 2 {
		go func() {
			if err := s.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			passed <- struct{}{}
		}()
	}
	release()
	await(t, passed, "end of Wait")
	await(t, passed, "end of the second Wait")
	if n := s.Stats().PendingBytes; n > 1000 {
		t.Errorf("Wait ended with %d bytes pending", n)
	}
}

func testFailure(t *testing.T, breakIt func(*Store), failing *Batch) {
	s := open(t, t.TempDir(), Options{Budget: 100})
	commit(t, s, putRetained("r"))
	breakIt(s)
	done := func() { t.Error("a done function was called after the failure") }
	s.Append(failing, done)
	await(t, s.Failed(), "failure")
	s.Append(putRetained("r"), done)
	if s.Err() == nil || strings.Contains(s.Err().Error(), "\n") {
		t.Errorf("Err is %v", s.Err())
	}
	if err := s.Wait(t.Context()); err != s.Err() {
		t.Errorf("Wait returned %v", err)
	}
	if err := s.Close(); err != s.Err() {
		t.Errorf("Close returned %v", err)
	}
}

// Even what was committed before the failure is not acknowledged after it.
func TestNoDoneAfterAFailure(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	entered, free := make(chan struct{}), make(chan struct{})
	s.Append(new(Batch), func() { close(entered); <-free })
	await(t, entered, "done function")
	done := func() { t.Error("a done function was called after the failure") }
	s.Append(putRetained("r"), done)
	for deadline := time.Now().Add(patience); s.Stats().PendingOperations > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("no commit")
		}
	}
	s.db.Close()
	s.Append(putRetained("r"), done)
	await(t, s.Failed(), "failure")
	close(free)
	s.Close()
}

func TestFailedCommitEndsTheStore(t *testing.T) {
	testFailure(t, func(s *Store) { s.db.Close() }, putRetained("r"))
}

func TestUnsyncedValueLogEndsTheStore(t *testing.T) {
	testFailure(t, func(s *Store) { s.badger.Errorf("Error while curlf sync: %v\n", os.ErrInvalid) }, putRetained("r"))
}

func TestTooLargeMessageEndsTheStore(t *testing.T) {
	testFailure(t, func(*Store) {}, batch(func(b *Batch) { b.PutRetained(message("r", valueLogFileSize)) }))
}

func TestLargestMessage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for range 9 { // more than one value log file
		commit(t, s, batch(func(b *Batch) { b.PutRetained(message("r", MaxMessageSize)) }))
	}
	closeStore(t, s)
	if got := load(t, open(t, dir, Options{})).Retained; len(got) != 1 || len(got[0].Payload) != MaxMessageSize {
		t.Errorf("%d retained messages", len(got))
	}
}

// Badger only logs that it could not sync its value log; badgerLog finds that by
// its words, which an upgrade may change.
func TestBadgerStillLogsTheSyncError(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dgraph-io/badger/v4").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "value.go"))
	if err != nil {
		t.Skip(err)
	}
	if !strings.Contains(string(source), `opt.Errorf("Error while curlf sync`) {
		t.Error("value.go of Badger no longer logs a failed sync in the words that badgerLog looks for")
	}
}

// TestOlderEntryNeverReplacesNewer appends two states of one entry the wrong way
// round, as two goroutines may that made them under the session's lock.
func TestOlderEntryNeverReplacesNewer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	ref := new(Ref)
	m := message("a", 2)
	var older, newer Batch
	older.PutSession(Session{ID: 1, ClientID: "c", ExpiryInterval: NeverExpires})
	older.PutEntry(1, Entry{ID: 7, QoS: 2, Message: m}, ref)
	newer.PutEntry(1, Entry{ID: 7, QoS: 2, PacketID: 5, State: Sent, Message: m}, ref)
	s.Append(&newer, nil)
	s.Append(&older, nil)
	closeStore(t, s)
	s = open(t, dir, Options{})
	state := whole(t, s)
	if len(state.Sessions) != 1 || len(state.Sessions[0].Inflight) != 1 {
		t.Fatalf("loaded %+v", state)
	}
	if e := state.Sessions[0].Inflight[0]; e.PacketID != 5 || e.State != Sent {
		t.Errorf("loaded packet id %d, state %d; want 5, Sent", e.PacketID, e.State)
	}
}

// A put that was appended after the delete of its entry does not bring it back,
// even if the delete was in a batch that had to be split.
func TestLatePutDoesNotBringAnEntryBack(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var ref, other Ref
	var put Batch
	put.PutEntry(1, Entry{ID: 1, QoS: 1, Message: message("t", 1)}, &ref)
	var large Batch
	large.DeleteEntry(1, 1, &ref)
	large.PutEntry(2, Entry{ID: 1, QoS: 1, Message: message("t", 1)}, &other)
	for range maxGroupOperations {
		large.PutIncoming(2, 1)
	}
	commit(t, s, &large)
	commit(t, s, &put)
	if got := keys(t, s); slices.Contains(got, "entry 1 of session 1") {
		t.Errorf("in the store: %q", got)
	}
}

// However large a message is, its packet id and all that it is queued for are one
// transaction: of a QoS 2 message that a crash parts, the repeat would be ignored.
func TestLargeMessageIsNotSplit(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	m := message("t", 3<<20)
	before := s.Stats().Groups
	commit(t, s, batch(func(b *Batch) {
		b.PutIncoming(1, 1)
		for session := range uint32(100) {
			b.PutEntry(session+1, Entry{ID: uint64(session) + 2, Body: 1, QoS: 2, Message: m}, new(Ref))
		}
	}))
	if n := s.Stats().Groups - before; n != 1 {
		t.Errorf("written in %d transactions", n)
	}
}
