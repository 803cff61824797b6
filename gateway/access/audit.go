package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"lintel/persist"
)

// What the audit log holds at most. Texts are cut, so that a page fits into a value of
// the store by far.
const (
	maxEvents      = 1000
	maxAuditBytes  = 256 << 10
	eventsPerPage  = 20
	maxEventText   = 64 // bytes of user, client and detail
	maxEventDetail = 160
)

const (
	countInto    = time.Hour   // repetitions within it are one event
	strangeTime  = time.Minute // in which strangers cause
	maxDifferent = 20          // different events of a kind, or a user those in countInto; more are counted into one

	writeAfter = 5 * time.Second  // a new event is written,
	writeAgain = time.Minute      // but no sooner after the write before,
	writeCount = 15 * time.Minute // and a new count much later: it is worth little
	tellAgain  = time.Minute      // of an event that repeats
)

// Audit is the log of what happens at the door. It is bounded, forgets the oldest, and
// survives a restart but for what came last before a crash. A flood of failures costs
// no more than a small write in a minute, and cannot push everything else out.
type Audit struct {
	bucket *persist.Bucket[[]Event] // pages by number
	log    *slog.Logger
	wake   chan struct{}
	tell   func(Event)

	mu       sync.Mutex
	events   []*entry // oldest first
	size     int      // of the events, about, as JSON
	refusals uint64   // since the start

	written time.Time // last; step alone
	failed  bool      // the last write
}

// entry is an event of the log.
type entry struct {
	Event
	first  time.Time // of Count
	page   uint64
	fresh  bool      // not written at all
	unsaid bool      // Count is not the one that is written
	since  time.Time // of fresh or unsaid
	told   int       // of Count
	toldAt time.Time
}

// NewAudit reads the log. Nothing of what is added is written until Run.
func NewAudit(store *persist.Store, log *slog.Logger) (*Audit, error) {
	bucket, err := persist.NewBucket[[]Event](store, "access.audit")
	if err != nil {
		return nil, err
	}
	a := &Audit{bucket: bucket, log: log, wake: make(chan struct{}, 1)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	for key, events := range bucket.All() {
		page, err := strconv.ParseUint(key, 10, 63)
		if err != nil || pageKey(page) != key {
			continue
		}
		for _, e := range events[:min(len(events), eventsPerPage)] {
			e = e.bounded()
			a.events = append(a.events, &entry{Event: e, first: e.Time, page: page, told: e.Count})
			a.size += e.bytes()
		}
	}
	a.forget()
	return a, nil
}

// pageKey is the key of a page; keys sort as numbers do.
func pageKey(page uint64) string { return fmt.Sprintf("%020d", page) }

// forget removes the oldest events that are too many: the oldest login, tried or done,
// while half of the log is logins, so that who knocks does not wash out what they changed.
// Called with mu held.
func (a *Audit) forget() {
	for len(a.events) > maxEvents || a.size > maxAuditBytes {
		logins, oldest := 0, 0
		for i, n := range slices.Backward(a.events) {
			if n.Kind == LoggedIn || n.strange() {
				logins, oldest = logins+1, i
			}
		}
		if logins <= len(a.events)/2 {
			oldest = 0
		}
		gone := a.events[oldest]
		a.size -= gone.bytes()
		a.events = slices.Delete(a.events, oldest, oldest+1)
		for _, n := range a.events { // the page is written again without it
			if n.page == gone.page && !n.fresh && !n.unsaid {
				n.unsaid, n.since = true, time.Now()
			}
			if n.page >= gone.page {
				break
			}
		}
	}
}

// OnEvent makes Run call f with events: with a new one at once, with one that repeats
// every minute. It is called before Run.
func (a *Audit) OnEvent(f func(Event)) { a.tell = f }

// Add adds an event; its time is now, and its count 1, if they are zero. It never
// blocks. The same within an hour is counted.
func (a *Audit) Add(e Event) {
	now := time.Now()
	if !e.Time.IsZero() {
		now = e.Time
	}
	e.Time, e.Count = now, max(e.Count, 1)
	e = e.bounded()

	a.mu.Lock()
	defer a.mu.Unlock()
	if e.strange() {
		a.refusals += uint64(e.Count)
	}
	n := a.same(e, now)
	switch {
	case n != nil:
	case e.strange() && a.crowded(now, strangeTime, func(n *entry) bool { return n.Kind == e.Kind }):
		e = Event{Time: e.Time, Kind: e.Kind, Detail: "many others", Count: e.Count}
		n = a.same(e, now)
	case e.Kind == LoggedIn && a.crowded(now, countInto, func(n *entry) bool { return n.Kind == e.Kind && n.User == e.User }):
		e = Event{Time: e.Time, Kind: e.Kind, User: e.User, Detail: "as many other clients", Count: e.Count}
		n = a.same(e, now)
	}
	if n == nil {
		n = &entry{Event: e, first: now, page: a.nextPage(), fresh: true, since: now}
		a.events = append(a.events, n)
		a.size += e.bytes()
		a.forget()
	} else {
		n.Count = min(n.Count+e.Count, maxEventCount)
		n.Time = e.Time
		if !n.fresh && !n.unsaid {
			n.unsaid, n.since = true, now
		}
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// nextPage returns the page of the next event. Called with mu held.
func (a *Audit) nextPage() uint64 {
	if len(a.events) == 0 {
		return 1
	}
	last, count := a.events[len(a.events)-1].page, 0
	for _, n := range slices.Backward(a.events) {
		if n.page != last {
			break
		}
		count++
	}
	if count >= eventsPerPage {
		last++
	}
	return last
}

// same returns the event that e repeats, or nil. Called with mu held.
func (a *Audit) same(e Event, now time.Time) *entry {
	for _, n := range slices.Backward(a.events) {
		if n.Kind == e.Kind && n.User == e.User && n.ClientID == e.ClientID && n.Address == e.Address && n.Detail == e.Detail {
			if now.Sub(n.first).Abs() < countInto {
				return n
			}
			return nil
		}
	}
	return nil
}

// crowded reports whether there have been many different events like one lately. Called
// with mu held.
func (a *Audit) crowded(now time.Time, lately time.Duration, like func(*entry) bool) bool {
	count := 0
	for _, n := range a.events {
		if like(n) && now.Sub(n.first).Abs() < lately {
			count++
		}
	}
	return count >= maxDifferent
}

// All returns the events, the newest first.
func (a *Audit) All() []Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]Event, 0, len(a.events))
	for _, n := range slices.Backward(a.events) {
		all = append(all, n.Event)
	}
	slices.SortStableFunc(all, func(x, y Event) int { return y.Time.Compare(x.Time) })
	return all
}

// Refusals returns how many logins and certificates were refused, or had to wait, since
// the start.
func (a *Audit) Refusals() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusals
}

// Run writes events and tells of them until ctx ends; then it writes what is left and
// returns nil.
func (a *Audit) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			a.write(ctx, func(n *entry) bool { return true })
			return nil
		case <-a.wake:
		case <-timer.C:
		}
		if next := a.step(ctx, time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// step tells and writes what is due, and returns when there is more to do; zero is
// never. Run alone calls it.
func (a *Audit) step(ctx context.Context, now time.Time) (next time.Time) {
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	var tell []Event
	due := false
	a.mu.Lock()
	for _, n := range a.events {
		if n.told < n.Count && a.tell != nil {
			if at := n.toldAt.Add(tellAgain); n.toldAt.IsZero() || !now.Before(at) {
				n.told, n.toldAt = n.Count, now
				tell = append(tell, n.Event)
			} else {
				soonest(at)
			}
		}
		if at := n.writeAt(a.written); !at.IsZero() {
			if now.Before(at) {
				soonest(at)
			} else {
				due = true
			}
		}
	}
	a.mu.Unlock()
	for _, e := range tell {
		a.tell(e)
	}
	if due {
		// A page that is written anyway takes its new counts along; one that has
		// nothing else waits.
		a.write(ctx, func(n *entry) bool { return !now.Before(n.writeAt(a.written)) })
		a.written = now
		soonest(now.Add(writeAgain))
	}
	return next
}

// writeAt returns when an event is to be written; zero is never.
func (n *entry) writeAt(last time.Time) time.Time {
	var at time.Time
	switch {
	case n.fresh:
		at = n.since.Add(writeAfter)
	case n.unsaid:
		at = n.since.Add(writeCount)
	default:
		return time.Time{}
	}
	if again := last.Add(writeAgain); !last.IsZero() && at.Before(again) {
		return again
	}
	return at
}

// write writes the pages that have an event which is due, and deletes those of which
// everything is forgotten. Run alone calls it.
func (a *Audit) write(ctx context.Context, due func(*entry) bool) {
	pages := make(map[uint64][]Event)
	wanted := make(map[uint64]bool)
	a.mu.Lock()
	for _, n := range a.events {
		pages[n.page] = append(pages[n.page], n.Event)
		if (n.fresh || n.unsaid) && due(n) {
			wanted[n.page] = true
		}
	}
	var written []*entry
	for _, n := range a.events {
		if wanted[n.page] && (n.fresh || n.unsaid) {
			n.fresh, n.unsaid = false, false
			written = append(written, n)
		}
	}
	a.mu.Unlock()
	var errs []error
	for page := range wanted {
		errs = append(errs, a.bucket.Put(ctx, pageKey(page), pages[page]))
	}
	for key := range a.bucket.All() {
		if page, err := strconv.ParseUint(key, 10, 63); err != nil || pages[page] == nil {
			errs = append(errs, a.bucket.Delete(ctx, key))
		}
	}
	err := errors.Join(errs...)
	if err != nil {
		if !a.failed && ctx.Err() == nil {
			a.log.Error("audit log not written", "err", err)
		}
		a.mu.Lock()
		for _, n := range written {
			n.fresh = true
		}
		a.mu.Unlock()
	}
	a.failed = err != nil
}
