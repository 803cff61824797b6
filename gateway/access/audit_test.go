package access

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"lintel/persist"
)

var someone = netip.MustParseAddr("192.0.2.7")

// kept is what a new start finds.
func kept(t *testing.T, dir string) []Event {
	t.Helper()
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	a, err := NewAudit(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.All()
}

func TestAuditCountsRepetitions(t *testing.T) {
	store := openUserStore(t, t.TempDir())
	a := newAudit(t, store)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	login := func(after time.Duration, client string) {
		a.Add(Event{Time: start.Add(after), Kind: LoggedIn, User: "u", ClientID: client, Address: someone})
	}
	login(0, "one")
	login(time.Minute, "two")
	login(59*time.Minute, "one")
	login(61*time.Minute, "one")
	want := []Event{
		{Time: start.Add(61 * time.Minute), Kind: LoggedIn, User: "u", ClientID: "one", Address: someone, Count: 1},
		{Time: start.Add(59 * time.Minute), Kind: LoggedIn, User: "u", ClientID: "one", Address: someone, Count: 2},
		{Time: start.Add(time.Minute), Kind: LoggedIn, User: "u", ClientID: "two", Address: someone, Count: 1},
	}
	if got := a.All(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if n := a.Refusals(); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

func TestAuditSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	store := openUserStore(t, dir)
	a := newAudit(t, store)
	for i := range 3 * eventsPerPage / 2 {
		a.Add(Event{Kind: UserAdded, User: fmt.Sprint("u", i), Detail: "by admin", Address: someone})
	}
	a.Add(Event{Kind: BoxClaimed})
	want := a.All()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil { // the end of the house
		t.Fatal(err)
	}
	store.Close()
	if got := kept(t, dir); len(got) != len(want) || !sameEvents(got, want) {
		t.Errorf("after the restart\n%+v\nbefore\n%+v", got, want)
	}
}

// sameEvents compares without the order of events of one second.
func sameEvents(a, b []Event) bool {
	count := make(map[Event]int)
	for _, e := range a {
		count[e]++
	}
	for _, e := range b {
		count[e]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// TestAuditFlood: whoever knocks in vain a million times with a million names fills
// neither the log nor the card.
func TestAuditFlood(t *testing.T) {
	for _, kind := range []string{LoginRefused, CertificateRefused} {
		t.Run(kind, func(t *testing.T) { testAuditFlood(t, kind) })
	}
}

func testAuditFlood(t *testing.T, kind string) {
	dir := t.TempDir()
	store := openUserStore(t, dir)
	a := newAudit(t, store)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a.Add(Event{Time: start, Kind: BoxClaimed, Detail: "long ago"})
	const seconds, each = 600, 50
	writes := 0
	for s := range seconds {
		now := start.Add(time.Duration(s) * time.Second)
		for i := range each {
			a.Add(Event{Time: now, Kind: kind, User: fmt.Sprint(s, " ", i), Address: someone})
		}
		before := store.Stats().BytesWritten
		a.step(t.Context(), now)
		if store.Stats().BytesWritten > before {
			writes++
		}
	}
	if most := seconds/60 + 1; writes > most {
		t.Errorf("%d writes in %d seconds, more than %d", writes, seconds, most)
	}
	all := a.All()
	if most := maxDifferent*seconds/60 + 10; len(all) > most {
		t.Errorf("%d events, more than %d", len(all), most)
	}
	if all[len(all)-1].Kind != BoxClaimed {
		t.Error("the flood has pushed the claim out")
	}
	total := 0
	for _, e := range all[:len(all)-1] {
		total += e.Count
	}
	if total != seconds*each || a.Refusals() != seconds*each {
		t.Errorf("%d and %d refusals are counted, not %d", total, a.Refusals(), seconds*each)
	}
}

// TestAuditRemembersChanges: a slow flood for weeks, of new names and of clients with new
// names, leaves what was changed.
func TestAuditRemembersChanges(t *testing.T) {
	store := openUserStore(t, t.TempDir())
	a := newAudit(t, store)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a.Add(Event{Time: now, Kind: BoxClaimed})
	a.Add(Event{Time: now, Kind: UserAdded, User: "ann"})
	for i := range 5 * maxEvents {
		now = now.Add(5 * time.Minute)
		a.Add(Event{Time: now, Kind: LoginRefused, User: fmt.Sprint("guess ", i), Address: someone})
		a.Add(Event{Time: now, Kind: LoggedIn, User: "ann", ClientID: fmt.Sprint("script ", i), Address: someone})
	}
	a.write(t.Context(), func(*entry) bool { return true })
	for _, events := range [][]Event{a.All(), newAudit(t, store).All()} {
		n := len(events)
		if n > maxEvents || events[n-1].Kind != BoxClaimed && events[n-2].Kind != BoxClaimed {
			t.Errorf("of %d events the oldest is %+v", n, events[n-1])
		}
	}
	for clients := range 100 {
		a.Add(Event{Time: now, Kind: LoggedIn, User: "bob", ClientID: fmt.Sprint(clients), Address: someone})
	}
	different := 0
	for _, e := range a.All() {
		if e.User == "bob" {
			different++
		}
	}
	if different != maxDifferent+1 {
		t.Errorf("100 clients of a user are %d events", different)
	}
}

// TestAuditBounded: whatever is added, what is kept has its bounds, and the oldest goes.
func TestAuditBounded(t *testing.T) {
	dir := t.TempDir()
	store := openUserStore(t, dir)
	a := newAudit(t, store)
	long := strings.Repeat("\"\x00é\x1b[31m", 1000)
	for i := range 3 * maxEvents {
		a.Add(Event{Kind: UserChanged, User: fmt.Sprint(i, long), ClientID: long, Detail: long, Address: netip.MustParseAddr("fe80::1%" + strings.Repeat("z", 500))})
	}
	a.write(t.Context(), func(*entry) bool { return true })
	all := a.All()
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > maxEvents || len(text) > maxAuditBytes || len(all) < maxEvents/2 {
		t.Errorf("%d events of %d bytes", len(all), len(text))
	}
	if !strings.HasPrefix(all[0].User, fmt.Sprint(3*maxEvents-1)) {
		t.Errorf("the newest is %q", all[0].User)
	}
	if strings.ContainsAny(string(text), "\x00\x1b") || strings.Contains(string(text), `\u00`) {
		t.Error("control characters are kept")
	}
	store.Close()
	if got := kept(t, dir); len(got) != len(all) {
		t.Errorf("%d events are kept, not %d", len(got), len(all))
	}
}

// TestAuditTells: an event is told at once, its repetitions once a minute.
func TestAuditTells(t *testing.T) {
	a := newAudit(t, openUserStore(t, t.TempDir()))
	var told []int
	a.OnEvent(func(e Event) { told = append(told, e.Count) })
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 130 {
		a.Add(Event{Time: now, Kind: LoginRefused, User: "u", Address: someone})
		a.step(t.Context(), now)
		now = now.Add(time.Second)
	}
	if want := []int{1, 61, 121}; !reflect.DeepEqual(told, want) {
		t.Errorf("told of the counts %d, want %d", told, want)
	}
	if next := a.step(t.Context(), now); next.IsZero() || next.After(now.Add(time.Minute)) {
		t.Errorf("the rest is told at %v", next)
	}
}

func newAudit(t *testing.T, store *persist.Store) *Audit {
	t.Helper()
	a, err := NewAudit(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
