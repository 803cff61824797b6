package persist

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4/options"

	"lintel/gateway/mqtt"
)

// patience bounds every wait for an event.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv("LINTEL_PERSIST_WRITER"); dir != "" {
		largeEvery, _ := strconv.ParseUint(os.Getenv("LINTEL_PERSIST_LARGE"), 10, 64)
		writeUntilKilled(dir, largeEvery, os.Getenv("LINTEL_PERSIST_GARBAGE") != "")
	}
	if len(os.Args) > 1 {
		if program, ok := programs[os.Args[1]]; ok {
			if err := program(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "lintel:", err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	if dir := os.Getenv("LINTEL_PERSIST_RESTORE"); dir != "" {
		restoreUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func load(t testing.TB, s *Store) *State {
	t.Helper()
	state, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// whole is load with what waits in the queues put to what is in flight.
func whole(t testing.TB, s *Store) *State {
	t.Helper()
	state := load(t, s)
	for i := range state.Sessions {
		x := &state.Sessions[i]
		found := Queue{Expires: x.Queued.Expires}
		for from, more := uint64(0), true; more; {
			page, err := s.ReadQueue(x.ID, from, math.MaxUint64, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				found.Count++
				found.Bytes += messageSize(e.Message) + int64(len(e.Share))
			}
			x.Inflight = append(x.Inflight, page.Entries...)
			from, more = page.Next, page.Next != 0
		}
		if found != x.Queued {
			t.Errorf("counted %+v, found %+v", x.Queued, found)
		}
		x.Queued = Queue{}
		slices.SortFunc(x.Inflight, func(a, b LoadedEntry) int { return cmp.Compare(a.ID, b.ID) })
	}
	return state
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func await(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
	}
}

// commit appends a batch and waits until it is committed.
func commit(t testing.TB, s *Store, b *Batch) {
	t.Helper()
	done := make(chan struct{})
	s.Append(b, func() { close(done) })
	select {
	case <-done:
	case <-s.Failed():
		t.Fatal(s.Err())
	case <-time.After(patience):
		t.Fatalf("no commit within %v", patience)
	}
}

// batch collects changes in one expression.
func batch(changes ...func(*Batch)) *Batch {
	b := new(Batch)
	for _, c := range changes {
		c(b)
	}
	return b
}

// hold keeps the committer from taking anything more until release is called:
// one done function blocks, one group waits for it, and the committer waits to
// hand over a third.
func hold(t testing.TB, s *Store) (release func()) {
	t.Helper()
	entered, free := make(chan struct{}), make(chan struct{})
	s.Append(new(Batch), func() { close(entered); <-free })
	await(t, entered, "done function")
	for range 2 {
		s.Append(new(Batch), nil)
		for deadline := time.Now().Add(patience); ; runtime.Gosched() {
			s.mu.Lock()
			n := len(s.queue)
			s.mu.Unlock()
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the committer does not take what waits")
			}
		}
	}
	return func() { close(free) }
}

// keys lists all keys but meta.
func keys(t testing.TB, s *Store) []string {
	t.Helper()
	var all []string
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badgerKeysOnly)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if key := it.Item().Key(); key[0] != prefixMeta {
			all = append(all, keyString(key))
		}
	}
	return all
}

func message(topic string, size int) *mqtt.Message {
	return &mqtt.Message{Topic: topic, Payload: []byte(strings.Repeat("x", size)), QoS: 1}
}

// sample fills a store with one record of every kind and returns what Load must
// give back, with what waits among the entries and without Refs.
func sample(b *Batch) (*State, []*Ref) {
	long := strings.Repeat("n", maxNameInKey+1)
	longest := strings.Repeat("m", 65535)
	will := &mqtt.Message{Topic: "will", Payload: []byte("gone"), QoS: 2, Retain: true, Properties: []byte{1, 1}}
	disconnected := time.Now().Add(-time.Hour)
	sessions := []Session{
		{ID: 7, ClientID: "a", User: "somebody", Version: 5, ExpiryInterval: NeverExpires, Disconnected: disconnected, Will: will, WillDelay: 30, WillExpiry: 60, WillExpires: true},
		{ID: 9, ClientID: "b", User: longest, Version: 3},
		{ID: 8, ClientID: long, Version: 4, ExpiryInterval: 1},
	}
	subs := []Subscription{
		{Filter: "+/x", Options: 0x2D, Identifier: 268435455},
		{Filter: "a/#"},
		{Filter: longest, Options: 1},
	}
	large, small, alone := message("t/large", 5000), message("t/small", maxInline), message("t/alone", 5000)
	vlog := message("t/vlog", 2*valueThreshold)
	refs := make([]*Ref, 6)
	for i := range refs {
		refs[i] = new(Ref)
	}
	entries := []struct {
		session uint32
		e       Entry
	}{
		{7, Entry{ID: 1, Body: 4, QoS: 1, Message: large, Identifiers: []uint32{1, 268435455}}},
		{9, Entry{ID: 1, Body: 4, QoS: 2, Message: large, Retain: true, PacketID: 65535, State: Sent, Share: "$share/g/t/+"}},
		{7, Entry{ID: 2, QoS: 1, Message: small, Share: "$share/g/#", Identifiers: []uint32{5}}},
		{9, Entry{ID: 2, QoS: 2, Message: small, PacketID: 1, State: Released}},
		{7, Entry{ID: 3, QoS: 1, Message: vlog}},
		{7, Entry{ID: 1 << 40, QoS: 2, Message: alone, PacketID: 2, State: Released}},
	}
	retained := []*mqtt.Message{
		message("r", 1),
		{Topic: "r/empty", Retain: true, Properties: []byte{3, 0, 1, 'x'}},
		message(longest, 10),
	}

	for _, s := range sessions {
		b.PutSession(s)
	}
	for _, s := range subs {
		b.PutSubscription(7, s)
	}
	for i, e := range entries {
		e := e.e
		if len(e.Message.Payload) <= maxInline {
			e.Body = 5 // others may hold it, too small for a record of its own
		}
		b.PutEntry(entries[i].session, e, refs[i])
	}
	b.PutIncoming(7, 65535)
	b.PutIncoming(9, 1)
	for _, m := range retained {
		b.PutRetained(m)
	}

	want := &State{NextID: 1<<40 + 1, NextSessionID: 10}
	a := SessionState{Session: sessions[0], Subscriptions: subs, Incoming: []uint16{65535}}
	bb := SessionState{Session: sessions[1], Incoming: []uint16{1}}
	for _, e := range entries {
		if e.session == 7 {
			a.Inflight = append(a.Inflight, LoadedEntry{Entry: e.e})
		} else {
			bb.Inflight = append(bb.Inflight, LoadedEntry{Entry: e.e})
		}
	}
	// In the order of the keys: a hashed name begins with 0xFF.
	want.Sessions = []SessionState{a, bb, {Session: sessions[2]}}
	want.Retained = retained
	return want, refs
}

// same compares states after taking Refs out of got.
func same(t *testing.T, got, want *State) {
	t.Helper()
	plain := *got
	plain.Sessions = nil
	for i, s := range got.Sessions {
		// Milliseconds are stored.
		if i < len(want.Sessions) && about(s.Disconnected.Sub(want.Sessions[i].Disconnected), 0) {
			s.Disconnected = want.Sessions[i].Disconnected
		}
		var entries []LoadedEntry
		for _, e := range s.Inflight {
			if e.Ref == nil || !e.Ref.written {
				t.Errorf("entry %d of %q has no Ref of a written entry", e.ID, s.ClientID)
			}
			entries = append(entries, LoadedEntry{Entry: e.Entry})
		}
		s.Inflight = entries
		plain.Sessions = append(plain.Sessions, s)
	}
	if !reflect.DeepEqual(&plain, want) {
		t.Errorf("got  %s\nwant %s", describe(&plain), describe(want))
	}
}

func describe(s *State) string {
	var b strings.Builder
	short := func(text string) string {
		if len(text) > 40 {
			return fmt.Sprintf("%s…(%d)", text[:40], len(text))
		}
		return text
	}
	fmt.Fprintf(&b, "next %d %d damaged %q\n", s.NextID, s.NextSessionID, s.Damaged)
	for _, x := range s.Sessions {
		fmt.Fprintf(&b, "  %q %+v %+v", short(x.ClientID), x.Will, x.Incoming)
		for _, sub := range x.Subscriptions {
			fmt.Fprintf(&b, " %q:%d:%d", short(sub.Filter), sub.Options, sub.Identifier)
		}
		for _, e := range x.Inflight {
			fmt.Fprintf(&b, " [%d %d %d %d %t %v %d]", e.ID, e.PacketID, e.State, e.QoS, e.Retain, e.Identifiers, len(e.Message.Payload))
		}
		b.WriteByte('\n')
	}
	for _, m := range s.Retained {
		fmt.Fprintf(&b, "  %q %d\n", short(m.Topic), len(m.Payload))
	}
	return b.String()
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if empty := load(t, s); !reflect.DeepEqual(empty, &State{NextID: 1, NextSessionID: 1}) {
		t.Errorf("an empty store loads as %+v", empty)
	}
	var b Batch
	want, _ := sample(&b)
	if b.Len() != 17 {
		t.Errorf("Len is %d", b.Len())
	}
	commit(t, s, &b)
	closeStore(t, s)

	s = open(t, dir, Options{})
	state := whole(t, s)
	same(t, state, want)
	lsn, uuid := s.tx.meta.LSN, s.tx.meta.UUID

	// All goes by what Load returned, and the bodies go with their last entry.
	var clean Batch
	for _, x := range state.Sessions {
		clean.DeleteSession(x.ID, x.ClientID)
		for _, sub := range x.Subscriptions {
			clean.DeleteSubscription(x.ID, sub.Filter)
		}
		for _, e := range x.Inflight {
			clean.DeleteEntry(x.ID, e.ID, e.Ref)
		}
		for _, id := range x.Incoming {
			clean.DeleteIncoming(x.ID, id)
		}
	}
	for _, m := range state.Retained {
		clean.DeleteRetained(m.Topic)
	}
	commit(t, s, &clean)
	if left := keys(t, s); len(left) != 0 {
		t.Errorf("left in the store: %q", left)
	}
	closeStore(t, s)

	s = open(t, dir, Options{})
	same(t, load(t, s), &State{NextID: 1, NextSessionID: 1})
	if s.tx.meta.LSN <= lsn || s.tx.meta.UUID != uuid {
		t.Errorf("meta was %d %x, is %d %x", lsn, uuid, s.tx.meta.LSN, s.tx.meta.UUID)
	}
}

func TestUpdates(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	own, ref := message("t", 1000), new(Ref)
	e := Entry{ID: 5, QoS: 2, Message: own}
	commit(t, s, batch(
		func(b *Batch) { b.PutSession(Session{ID: 1, ClientID: "c", Version: 4}) },
		func(b *Batch) { b.PutSubscription(1, Subscription{Filter: "f"}) },
		func(b *Batch) { b.PutEntry(1, e, ref) },
		func(b *Batch) { b.PutRetained(message("r", 1)) },
	))
	before := s.Stats()
	e.PacketID, e.State = 12, Sent
	commit(t, s, batch(func(b *Batch) { b.PutEntry(1, e, ref) }))
	if n := s.Stats().BytesWritten - before.BytesWritten; n > 100 {
		t.Errorf("the update of an entry wrote %d bytes: its body again?", n)
	}
	e.State = Released
	commit(t, s, batch(
		func(b *Batch) { b.PutSession(Session{ID: 1, ClientID: "c", Version: 5}) },
		func(b *Batch) { b.PutSubscription(1, Subscription{Filter: "f", Options: 2}) },
		func(b *Batch) { b.PutEntry(1, e, ref) },
		func(b *Batch) { b.PutRetained(message("r", 2)) },
	))
	closeStore(t, s)

	s = open(t, dir, Options{})
	same(t, whole(t, s), &State{
		Sessions: []SessionState{{
			Session:       Session{ID: 1, ClientID: "c", Version: 5},
			Subscriptions: []Subscription{{Filter: "f", Options: 2}},
			Inflight:      []LoadedEntry{{Entry: e}},
		}},
		Retained: []*mqtt.Message{message("r", 2)},
		NextID:   6, NextSessionID: 2,
	})
}

func TestBodyIsWrittenOnce(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	m := message("t", 1000)
	for i, limit := range []uint64{1200, 100, 100} {
		before := s.Stats().BytesWritten
		commit(t, s, batch(func(b *Batch) {
			b.PutEntry(uint32(i+1), Entry{ID: 1, QoS: 1, Message: m, Body: 1}, new(Ref))
		}))
		if n := s.Stats().BytesWritten - before; n > limit {
			t.Errorf("entry %d wrote %d bytes", i+1, n)
		}
	}
}

func TestCloseCommitsLazyBatches(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	s.AppendLazy(batch(func(b *Batch) { b.PutRetained(message("r", 1)) }))
	closeStore(t, s)
	closeStore(t, s) // once more is fine
	if got := load(t, open(t, dir, Options{})).Retained; len(got) != 1 {
		t.Errorf("%d retained messages after Close of a lazy one", len(got))
	}
}

func TestMemTableSizeTooSmall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	if s, err := Open(dir, Options{MemTableSize: 1000}); err == nil {
		s.Close()
		t.Error("opened")
	}
}

// These two settings decide whether an acknowledgement means anything and
// whether damage is seen; only a power cut would show a mistake.
func TestBadgerSettings(t *testing.T) {
	o := open(t, t.TempDir(), Options{}).db.Opts()
	if !o.SyncWrites || o.ChecksumVerificationMode != options.NoVerification {
		t.Errorf("SyncWrites %t, ChecksumVerificationMode %d", o.SyncWrites, o.ChecksumVerificationMode)
	}
}
