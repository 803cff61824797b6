package access

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/persist"
)

func newObservations(t *testing.T, o ObservationsOptions) *Observations {
	t.Helper()
	if o.Store == nil {
		store, err := persist.Open(t.TempDir(), persist.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		o.Store = store
	}
	l, err := NewObservations(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestObservationsLast: they outlive a restart, are forgotten after 30 days, and everybody is
// asked about again each day.
func TestObservationsLast(t *testing.T) {
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	day, known := 20000, true
	var l *Observations
	id := &Identity{User: "ann", ClientID: "c"}
	asked := 0
	o := ObservationsOptions{Store: store, ClockKnown: func() bool { return known },
		Now:      func() time.Time { return time.Unix(int64(day)*24*3600+60, 0) },
		AskAgain: func() { asked++; l.Saw(id, Publish, "a/daily") }}
	l = newObservations(t, o)
	l.Saw(id, Publish, "a/once")
	l.Saw(id, Publish, "a/daily")
	l.Saw(id, Subscribe, "b/#")
	l.Saw(&Identity{User: "bob"}, Publish, "a")
	l.Saw(&Identity{}, Publish, "nobody")
	l.Saw(&Identity{User: "house", Internal: true}, Publish, "a")

	again := func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
		l = newObservations(t, o)
	}
	again()
	if users := l.Users(); !slices.Equal(users, []string{"ann", "bob"}) {
		t.Fatal(users)
	}
	seen, ok := l.Of("ann", 0)
	if !ok || len(seen.Publish) != 2 || len(seen.Subscribe) != 1 || seen.Publish[0].First != day || len(seen.Clients) != 1 {
		t.Fatalf("%+v", seen)
	}
	for range observedDays + 1 {
		day++
		if !l.turn() {
			t.Fatal("the day is the same")
		}
		o.AskAgain()
	}
	seen, _ = l.Of("ann", 0)
	if got := seenTopics(seen.Publish); !slices.Equal(got, []string{"a/daily"}) || len(seen.Subscribe) != 0 || seen.Publish[0].Last != day {
		t.Errorf("after a month: %+v", seen)
	}
	again()
	if users := l.Users(); !slices.Equal(users, []string{"ann"}) {
		t.Errorf("after a month there are %q", users)
	}
	// A clock that nobody has set makes nothing old.
	known = false
	l.turn()
	l.Saw(id, Publish, "a/dark")
	day, known = day+1, true
	l.turn()
	if seen, ok := l.Of("ann", 7); !ok || !slices.Contains(seenTopics(seen.Publish), "a/dark") {
		t.Errorf("what was seen in the dark: %+v", seen)
	}
	l.Forget("ann")
	again()
	if len(l.Users()) != 0 {
		t.Error("who was deleted is remembered")
	}
	if asked != observedDays+1 {
		t.Errorf("asked %d times", asked)
	}
}

// unstored returns observations that are never written.
func unstored(o ObservationsOptions) *Observations {
	l := &Observations{o: o, seed: maphash.MakeSeed(), users: make(map[string]*Observed), changed: make(map[string]bool)}
	l.today = l.day()
	return l
}

// TestObservationsWriteRarely: a user who does what he always does is written once a day.
func TestObservationsWriteRarely(t *testing.T) {
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	synctest.Test(t, func(t *testing.T) {
		l := unstored(ObservationsOptions{Now: time.Now})
		writes := 0
		for range 48 {
			time.Sleep(time.Hour)
			l.turn()
			for i := range 100 {
				l.Saw(&Identity{User: "ann", ClientID: "c"}, Publish, fmt.Sprint("a/", i))
			}
			if len(l.changed) > 0 {
				writes++
			}
			clear(l.changed)
		}
		if writes > 3 {
			t.Errorf("%d writes in two days", writes)
		}
	})
}

func TestObservationsAreBounded(t *testing.T) {
	l := newObservations(t, ObservationsOptions{})
	for i := range 3 * maxObservedUsers {
		l.Saw(&Identity{User: fmt.Sprint("user ", i), ClientID: fmt.Sprint(i)}, Publish, "a")
	}
	for i := range 1000 {
		l.Saw(&Identity{User: "loud", ClientID: fmt.Sprint("client ", i)}, Action(1+i%3), fmt.Sprintf("%d/%s/%d", i%100, strings.Repeat("x", i%500), i*i%17))
	}
	if n := len(l.Users()); n > maxObservedUsers {
		t.Errorf("%d users", n)
	}
	seen, _ := l.Of("loud", 0)
	if len(seen.Publish) > 48 || len(seen.Subscribe) > 48 || len(seen.Receive) > 24 || len(seen.Clients) > maxObservedClients {
		t.Errorf("%d, %d, %d topics of %d clients", len(seen.Publish), len(seen.Subscribe), len(seen.Receive), len(seen.Clients))
	}
}

// TestSawAllocatesNothing: nearly all of what is seen was seen before.
func TestSawAllocatesNothing(t *testing.T) {
	l := newObservations(t, ObservationsOptions{})
	id := &Identity{User: "ann", ClientID: "c"}
	l.Saw(id, Publish, "a/b/c")
	if n := testing.AllocsPerRun(100, func() { l.Saw(id, Publish, "a/b/c") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSaw compares what is seen again with the question that is asked before it.
func BenchmarkSaw(b *testing.B) {
	p := policyOf(b, "[[role]]\nname = \"r\"\n[[role.rule]]\nallow = \"all\"\ntopic = [\"sensors/%u/#\", \"home/%c/state\"]\n")
	store, err := persist.Open(b.TempDir(), persist.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	l, err := NewObservations(ObservationsOptions{Store: store})
	if err != nil {
		b.Fatal(err)
	}
	id := &Identity{User: "ann", ClientID: "shelly", Roles: []string{"r"}}
	b.Run("permit", func(b *testing.B) {
		for b.Loop() {
			p.Permit(id, Publish, "home/shelly/state")
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			l.Saw(id, Publish, "home/shelly/state")
		}
	})
	b.Run("forgotten", func(b *testing.B) {
		for b.Loop() {
			l.note(id, Publish, "home/shelly/state")
		}
	})
}
