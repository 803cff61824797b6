package persist

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// put writes a record past the committer.
func put(t *testing.T, s *Store, key, value []byte) {
	t.Helper()
	if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) }); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *Store, key []byte) []byte {
	t.Helper()
	var value []byte
	err := s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", keyString(key), err)
	}
	return value
}

// seal makes a value of fields.
func seal(key, fields []byte) []byte {
	return appendSum(append([]byte{codecVersion}, fields...), 0, key)
}

// Each bit of each kind of value is turned: never is it used, always is it named.
func TestDamagedValue(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	m, own := message("t", 200), message("t", 201)
	var refs [3]Ref
	commit(t, s, batch(
		func(b *Batch) { b.PutSession(Session{ID: 1, ClientID: "c"}) },
		func(b *Batch) { b.PutSubscription(1, Subscription{Filter: "f"}) },
		func(b *Batch) { b.PutEntry(1, Entry{ID: 1, QoS: 1, Message: m, Body: 1}, &refs[0]) },
		func(b *Batch) { b.PutEntry(1, Entry{ID: 2, QoS: 2, Message: own}, &refs[1]) },
		func(b *Batch) { b.PutEntry(1, Entry{ID: 3, QoS: 1, Message: own}, &refs[2]) },
		func(b *Batch) { b.PutIncoming(1, 1) },
		func(b *Batch) { b.PutRetained(m) },
	))
	const all = "1 sessions 1 subscriptions 3 entries 1 incoming 1 retained 0 damaged"
	count := func() (string, *State) {
		state := whole(t, s)
		var subs, entries, incoming int
		for _, x := range state.Sessions {
			subs += len(x.Subscriptions)
			entries += len(x.Inflight)
			incoming += len(x.Incoming)
		}
		return fmt.Sprintf("%d sessions %d subscriptions %d entries %d incoming %d retained %d damaged",
			len(state.Sessions), subs, entries, incoming, len(state.Retained), len(state.Damaged)), state
	}
	if got, _ := count(); got != all {
		t.Fatal(got)
	}
	for _, c := range []struct {
		key  []byte
		name string
		want string
	}{
		{appendSessionKey(nil, "c"), `session "c"`, "0 sessions 0 subscriptions 0 entries 0 incoming 1 retained 1 damaged"},
		{appendSubscriptionKey(nil, 1, "f"), `subscription "f" of session 1`, "1 sessions 0 subscriptions 3 entries 1 incoming 1 retained 1 damaged"},
		{appendBodyKey(nil, 1), `body 1`, "1 sessions 1 subscriptions 2 entries 1 incoming 1 retained 2 damaged"},
		{appendOwnBodyKey(nil, 2, 1), `body of entry 2 of session 1`, "1 sessions 1 subscriptions 2 entries 1 incoming 1 retained 2 damaged"},
		{appendEntryKey(nil, 1, 3), `entry 3 of session 1`, "1 sessions 1 subscriptions 2 entries 1 incoming 1 retained 1 damaged"},
		{appendIncomingKey(nil, 1, 1), `incoming packet id 1 of session 1`, "1 sessions 1 subscriptions 3 entries 0 incoming 1 retained 1 damaged"},
		{appendRetainedKey(nil, "t"), `retained message "t"`, "1 sessions 1 subscriptions 3 entries 1 incoming 0 retained 1 damaged"},
	} {
		value := get(t, s, c.key)
		for i := range value {
			if i > 12 && i < len(value)-8 {
				continue // the bytes of a payload are all alike
			}
			bad := slices.Clone(value)
			bad[i] ^= 1 << (i % 8)
			put(t, s, c.key, bad)
			got, state := count()
			if got != c.want || !strings.HasPrefix(state.Damaged[0], c.name+": ") {
				t.Fatalf("byte %d of %s: %s %q", i, c.name, got, state.Damaged)
			}
			if state.NextID != 4 || state.NextSessionID != 2 && c.key[0] != prefixSession {
				t.Errorf("byte %d of %s: next ids %d %d", i, c.name, state.NextID, state.NextSessionID)
			}
		}
		for _, n := range []int{0, 1, 4, len(value) - 1} {
			put(t, s, c.key, value[:n])
			if got, state := count(); got != c.want {
				t.Fatalf("%s of %d bytes: %s %q", c.name, n, got, state.Damaged)
			}
		}
		put(t, s, c.key, value)
	}
	if got, _ := count(); got != all {
		t.Errorf("after all is sound again: %s", got)
	}

	for name, record := range map[string][2][]byte{
		"a value under a wrong key": {appendRetainedKey(nil, "u"), get(t, s, appendRetainedKey(nil, "t"))},
		"a reserved key":            {{6, 0, 0, 0, 1}, seal([]byte{6, 0, 0, 0, 1}, nil)},
		"a key that is too short":   {{prefixEntry, 1}, seal([]byte{prefixEntry, 1}, nil)},
		"a session id twice": {appendSessionKey(nil, "d"),
			seal(appendSessionKey(nil, "d"), appendSession(nil, &Session{ID: 1, ClientID: "d"}, momentZero))},
		"a codec of tomorrow": {appendRetainedKey(nil, "v"), appendSum([]byte{codecVersion + 1, 0, 0, 0, 0}, 0, appendRetainedKey(nil, "v"))},
		"a name that is not the key's": {appendRetainedKey(nil, "w"),
			seal(appendRetainedKey(nil, "w"), appendMessage(nil, message("x", 1), "x", momentZero))},
	} {
		put(t, s, record[0], record[1])
		got, state := count()
		if want := strings.Replace(all, "0 damaged", "1 damaged", 1); got != want {
			t.Errorf("%s: %s %q", name, got, state.Damaged)
		}
		if err := s.db.Update(func(txn *badger.Txn) error { return txn.Delete(record[0]) }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedMeta(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	commit(t, s, putRetained("r"))
	key := []byte{prefixMeta}
	value := get(t, s, key)
	value[2] ^= 1
	put(t, s, key, value)
	closeStore(t, s)

	s = open(t, dir, Options{})
	if state := load(t, s); len(state.Damaged) != 1 || !strings.HasPrefix(state.Damaged[0], "meta: ") || len(state.Retained) != 1 {
		t.Errorf("%q, %d retained", state.Damaged, len(state.Retained))
	}
	closeStore(t, s)
	if state := load(t, open(t, dir, Options{})); len(state.Damaged) != 0 {
		t.Errorf("the second time: %q", state.Damaged)
	}
}

// What a crash leaves of a split batch is cleared away, unless its owner may be
// among the damaged.
func TestOrphans(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	m := message("t", 200)
	var refs [4]Ref
	commit(t, s, batch(
		func(b *Batch) { b.PutSession(Session{ID: 1, ClientID: "c"}) },
		func(b *Batch) { b.PutSession(Session{ID: 5, ClientID: "gone"}) },
		func(b *Batch) { b.PutEntry(1, Entry{ID: 1, QoS: 1, Message: m, Body: 1}, &refs[0]) },
		func(b *Batch) { b.PutEntry(5, Entry{ID: 1, QoS: 1, Message: m, Body: 1}, &refs[1]) },
		func(b *Batch) { b.PutEntry(5, Entry{ID: 2, QoS: 2, Message: m}, &refs[2]) },
		func(b *Batch) { b.PutEntry(5, Entry{ID: 3, QoS: 1, Message: m, Body: 3}, &refs[3]) },
		func(b *Batch) { b.PutIncoming(5, 1) },
		func(b *Batch) { b.PutSubscription(5, Subscription{Filter: "f"}) },
		func(b *Batch) { b.PutRetained(m) },
	))
	commit(t, s, batch(func(b *Batch) { b.DeleteSession(5, "gone") }))
	before := keys(t, s)

	bad := appendSessionKey(nil, "bad")
	put(t, s, bad, []byte("not a session"))
	if state := load(t, s); len(state.Damaged) != 1 {
		t.Errorf("damaged: %q", state.Damaged)
	}
	if got := keys(t, s); len(got) != len(before)+1 {
		t.Errorf("with a damaged session Load deleted records: %q", got)
	}
	commit(t, s, batch(func(b *Batch) { b.DeleteSession(0, "bad") }))

	if state := load(t, s); state.NextSessionID != 6 || state.NextID != 4 {
		t.Errorf("next ids %d %d: those of the orphans are given again", state.NextSessionID, state.NextID)
	}
	want := []string{`session "c"`, "body 1", "entry 1 of session 1", `retained message "t"`}
	if got := keys(t, s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
