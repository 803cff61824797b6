package access

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lintel/persist"
)

// What Observations keep at most: about 5 MB if 200 users fill all of it, a few hundred
// bytes of each user as a rule.
const (
	maxObservedUsers   = 200
	maxObservedClients = 20 // of a user
	maxObservedTopic   = 200
	observedDays       = 30 // after which what was not seen again is forgotten
	recentlySeen       = 1 << 13
)

// maxObserved are how many topics of an action are kept of a user.
var maxObserved = map[Action]int{Publish: 48, Subscribe: 48, Receive: 24}

// ObservedTopic is what a user did. Topic is one of a [Rule], in which what changes often is
// a + and the names of user, client and certificate are %u, %c and %i.
type ObservedTopic struct {
	Topic string `json:"topic"`
	First int    `json:"first,omitzero"` // day since 1970; 0: the time was not known
	Last  int    `json:"last,omitzero"`
}

// ObservedClient is a client of a user.
type ObservedClient struct {
	ID   string `json:"id"`
	Last int    `json:"last,omitzero"`
}

// Observed is what a user was seen to do and was let do.
type Observed struct {
	Publish   []ObservedTopic  `json:"publish,omitempty"`
	Subscribe []ObservedTopic  `json:"subscribe,omitempty"`
	Receive   []ObservedTopic  `json:"receive,omitempty"`
	Clients   []ObservedClient `json:"clients,omitempty"` // the latest last
}

func (o *Observed) of(a Action) *[]ObservedTopic {
	switch a {
	case Publish:
		return &o.Publish
	case Subscribe:
		return &o.Subscribe
	}
	return &o.Receive
}

// clone returns a copy with nothing in common.
func (o *Observed) clone() Observed {
	return Observed{slices.Clone(o.Publish), slices.Clone(o.Subscribe), slices.Clone(o.Receive), slices.Clone(o.Clients)}
}

// ObservationsOptions are the options of [NewObservations].
type ObservationsOptions struct {
	Store      *persist.Store
	ClockKnown func() bool      // whether the wall clock is known to be right; nil: it is
	Now        func() time.Time // nil: time.Now
	AskAgain   func()           // has everybody asked about again, see [Observations.Run]; may be nil
	Logger     *slog.Logger     // nil: silent
}

// Observations remember which topics each user publishes to, subscribes to and receives, by the day,
// for 30 days. They are fed where rights are asked for, which is when a route is found and
// not for each message; what was seen lately costs a hash and no lock. Of many topics that
// differ in one level a + is kept, see [ObservedTopic], so that all that was seen is
// covered by few. Topics of the broker but those below $SYS/ are left out.
//
// What has changed is written once an hour, which is once a day for a user who does what
// he always does. The methods may be called from any goroutine.
type Observations struct {
	o      ObservationsOptions
	bucket *persist.Bucket[Observed] // by user
	seed   maphash.Seed
	recent [recentlySeen]atomic.Uint64

	mu      sync.Mutex
	users   map[string]*Observed
	changed map[string]bool
	today   int
}

// NewObservations reads what was observed.
func NewObservations(o ObservationsOptions) (*Observations, error) {
	bucket, err := persist.NewBucket[Observed](o.Store, "access.observed")
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Observations{o: o, bucket: bucket, seed: maphash.MakeSeed(), users: make(map[string]*Observed), changed: make(map[string]bool)}
	for user, seen := range bucket.All() {
		l.users[user] = &seen
	}
	l.today = l.day()
	return l, nil
}

// day is the number of the day; 0: nobody knows.
func (l *Observations) day() int {
	if l.o.ClockKnown != nil && !l.o.ClockKnown() {
		return 0
	}
	return max(int(l.o.Now().Unix()/(24*3600)), 0)
}

// Saw notes that somebody was let do something. Nobody in particular is not noted.
func (l *Observations) Saw(id *Identity, a Action, topic string) {
	if id.User == "" || id.Internal || len(id.User) > maxUserName {
		return
	}
	h := maphash.String(l.seed, topic)*3 + maphash.String(l.seed, id.User)*5 + maphash.String(l.seed, id.ClientID)*7
	h = h<<2 | uint64(a) // which is not 0, as an empty slot is
	slot := &l.recent[h>>2%recentlySeen]
	if slot.Load() == h {
		return
	}
	slot.Store(h)
	l.note(id, a, topic)
}

func (l *Observations) note(id *Identity, a Action, topic string) {
	general, ok := generalize(id, topic)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.users[id.User]
	if seen == nil {
		if len(l.users) >= maxObservedUsers {
			l.forgetOldest()
		}
		seen = new(Observed)
		l.users[id.User] = seen
	}
	list := seen.of(a)
	changed := learn(list, general, l.today, maxObserved[a])
	if seen.met(id.ClientID, l.today) || changed {
		l.changed[id.User] = true
	}
}

// met notes a client, and reports whether that changes anything.
func (o *Observed) met(id string, day int) bool {
	if id == "" || len(id) > maxDenialName {
		return false
	}
	i := slices.IndexFunc(o.Clients, func(c ObservedClient) bool { return c.ID == id })
	switch {
	case i >= 0 && o.Clients[i].Last == day:
		return false
	case i >= 0:
		o.Clients = slices.Delete(o.Clients, i, i+1)
	case len(o.Clients) >= maxObservedClients:
		o.Clients = slices.Delete(o.Clients, 0, 1)
	}
	o.Clients = append(o.Clients, ObservedClient{id, day})
	return true
}

// last is the day when anything was seen last.
func (o *Observed) last() int {
	last := 0
	for _, list := range [][]ObservedTopic{o.Publish, o.Subscribe, o.Receive} {
		for _, t := range list {
			last = max(last, t.Last)
		}
	}
	return last
}

// forgetOldest forgets who was not seen for the longest time. Called with mu held.
func (l *Observations) forgetOldest() {
	users := slices.Sorted(maps.Keys(l.users))
	oldest := slices.MinFunc(users, func(a, b string) int { return cmp.Compare(l.users[a].last(), l.users[b].last()) })
	delete(l.users, oldest)
	l.changed[oldest] = true
}

// Forget forgets a user.
func (l *Observations) Forget(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users[user] != nil {
		delete(l.users, user)
		l.changed[user] = true
		l.forgetRecent()
	}
}

// forgetRecent makes Saw look at everything again.
func (l *Observations) forgetRecent() {
	for i := range l.recent {
		l.recent[i].Store(0)
	}
}

// Of returns what a user was seen to do in the last days; 0: all that is known. ok is false
// when nothing is.
func (l *Observations) Of(user string, days int) (seen Observed, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.users[user]
	if known == nil {
		return Observed{}, false
	}
	seen = known.clone()
	if days > 0 && l.today > 0 {
		seen.forget(l.today - days + 1)
	}
	return seen, len(seen.Publish)+len(seen.Subscribe)+len(seen.Receive) > 0
}

// Users returns the names of those of whom anything is known, sorted.
func (l *Observations) Users() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.users))
}

// forget leaves out what was not seen since a day.
func (o *Observed) forget(since int) (any bool) {
	before := len(o.Publish) + len(o.Subscribe) + len(o.Receive) + len(o.Clients)
	old := func(t ObservedTopic) bool { return t.Last != 0 && t.Last < since }
	o.Publish, o.Subscribe, o.Receive = slices.DeleteFunc(o.Publish, old), slices.DeleteFunc(o.Subscribe, old), slices.DeleteFunc(o.Receive, old)
	o.Clients = slices.DeleteFunc(o.Clients, func(c ObservedClient) bool { return c.Last != 0 && c.Last < since })
	return len(o.Publish)+len(o.Subscribe)+len(o.Receive)+len(o.Clients) != before
}

// date gives those a day that were seen when nobody knew which it was, or while the clock was
// ahead.
func (o *Observed) date(today int) (any bool) {
	fix := func(day *int) {
		if *day == 0 || *day > today {
			*day, any = today, true
		}
	}
	for _, list := range []*[]ObservedTopic{&o.Publish, &o.Subscribe, &o.Receive} {
		for i := range *list {
			fix(&(*list)[i].First)
			fix(&(*list)[i].Last)
		}
	}
	for i := range o.Clients {
		fix(&o.Clients[i].Last)
	}
	return any
}

// writeObserved is how often what has changed is written.
const writeObserved = time.Hour

// Run writes what is observed until ctx ends, and once more then. Each day it has everybody
// asked about again: a route that is known is not asked about for weeks, and what goes
// over it would count as not used.
func (l *Observations) Run(ctx context.Context) error {
	ticker := time.NewTicker(writeObserved)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			l.write(ctx)
			return nil
		case <-ticker.C:
		}
		if l.turn() && l.o.AskAgain != nil {
			l.o.AskAgain()
		}
		l.write(ctx)
	}
}

// turn looks which day it is, and reports whether it is another one.
func (l *Observations) turn() bool {
	today := l.day()
	l.mu.Lock()
	defer l.mu.Unlock()
	if today == l.today {
		return false
	}
	l.today = today
	if today > 0 {
		for user, seen := range l.users {
			dated, forgot := seen.date(today), seen.forget(today-observedDays)
			if dated || forgot {
				l.changed[user] = true
			}
			if seen.last() == 0 {
				delete(l.users, user)
			}
		}
	}
	l.forgetRecent()
	return true
}

// write writes who has changed.
func (l *Observations) write(ctx context.Context) {
	l.mu.Lock()
	now := make(map[string]*Observed)
	for user := range l.changed {
		now[user] = nil
		if seen := l.users[user]; seen != nil {
			copied := seen.clone()
			now[user] = &copied
		}
	}
	clear(l.changed)
	l.mu.Unlock()
	var errs []error
	for user, seen := range now {
		var err error
		if seen == nil {
			err = l.bucket.Delete(ctx, user)
		} else {
			err = l.bucket.Put(ctx, user, *seen)
		}
		if err != nil {
			errs = append(errs, err)
			l.mu.Lock()
			l.changed[user] = true
			l.mu.Unlock()
		}
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		l.o.Logger.Error("observations not written", "err", err)
	}
}
