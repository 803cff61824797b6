package journey

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	maxWatches  = 8
	maxJourneys = 50 // of each watch
	maxStages   = 64 // of each journey
	maxEarly    = 64 // stages of journeys that the broker has not told of yet
)

// ErrMany is the answer to one watch too many.
var ErrMany = errors.New("journey: 8 are watched already: close one of their pages first")

// Book has what is told of messages, as long as somebody watches. A nil *Book is one that
// nobody watches.
type Book struct {
	watches atomic.Pointer[[]*Watch] // nil: nobody watches; what it points at is never changed
	number  atomic.Uint64            // given last

	mu sync.Mutex
}

// Watch keeps the last journeys that are about some devices, or that it was told of.
type Watch struct {
	book    *Book
	devices map[string]bool

	// Guarded by the book.
	journeys []*Journey // the oldest first
	known    map[uint64]*Journey
	early    []early       // the oldest first
	changed  chan struct{} // closed with the next stage; nil: nobody waits
}

// early is a stage of a message that the broker has numbered and not told of yet: what it
// tells goes another way.
type early struct {
	number uint64
	stage  Stage
}

// Watch begins to keep what is about devices with these IDs, and what Tell is told of.
func (b *Book) Watch(devices ...string) (*Watch, error) {
	w := &Watch{book: b, devices: make(map[string]bool), known: make(map[uint64]*Journey)}
	for _, id := range devices {
		w.devices[id] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*Watch
	if now := b.watches.Load(); now != nil {
		all = *now
	}
	if len(all) >= maxWatches {
		return nil, ErrMany
	}
	all = append(slices.Clip(all), w)
	b.watches.Store(&all)
	return w, nil
}

// Close ends a watch. It may be called more than once.
func (w *Watch) Close() {
	b := w.book
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.watches.Load()
	if now == nil {
		return
	}
	left := slices.DeleteFunc(slices.Clone(*now), func(other *Watch) bool { return other == w })
	if len(left) == 0 {
		b.watches.Store(nil)
		return
	}
	b.watches.Store(&left)
}

// On reports whether anybody watches anything.
func (b *Book) On() bool { return b != nil && b.watches.Load() != nil }

func (b *Book) all() []*Watch {
	if b == nil {
		return nil
	}
	if all := b.watches.Load(); all != nil {
		return *all
	}
	return nil
}

// Begin begins a journey at a device. It returns its number, 0 if nobody watches the device.
func (b *Book) Begin(device string, first Stage) (number uint64) {
	for _, w := range b.all() {
		if !w.devices[device] {
			continue
		}
		if number == 0 {
			number = 2 * b.number.Add(1) // odd ones are the broker's own
		}
		w.tell(number, first, device)
	}
	return number
}

// Tell adds a stage to the journey with a number, as far as somebody keeps it. 0 is none.
func (b *Book) Tell(number uint64, s Stage) {
	if number == 0 {
		return
	}
	for _, w := range b.all() {
		switch {
		case w.knows(number):
			w.Tell(number, s)
		case number%2 == 1:
			w.keep(early{number, s.bounded()})
		}
	}
}

// keep keeps a stage until its journey begins.
func (w *Watch) keep(e early) {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	if w.known[e.number] != nil { // meanwhile
		w.known[e.number].add(e.stage)
		return
	}
	if len(w.early) >= maxEarly {
		w.early = slices.Delete(w.early, 0, 1)
	}
	w.early = append(w.early, e)
}

func (w *Watch) knows(number uint64) bool {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	return w.known[number] != nil
}

// Tell adds a stage to a journey of this watch, which begins with it if it is new.
func (w *Watch) Tell(number uint64, s Stage) { w.tell(number, s, "") }

// Goes adds a stage to a journey of this watch if there is one.
func (w *Watch) Goes(number uint64, s Stage) {
	if w.knows(number) {
		w.tell(number, s, "")
	}
}

func (w *Watch) tell(number uint64, s Stage, device string) {
	s = s.bounded()
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	j := w.known[number]
	if j == nil {
		if len(w.journeys) >= maxJourneys {
			delete(w.known, w.journeys[0].Number)
			w.journeys[0] = nil
			w.journeys = w.journeys[1:]
		}
		j = &Journey{Number: number, Began: s.Time, Device: device}
		w.journeys = append(w.journeys, j)
		w.known[number] = j
		defer func() {
			w.early = slices.DeleteFunc(w.early, func(e early) bool {
				if e.number == number {
					j.add(e.stage)
				}
				return e.number == number
			})
		}()
	}
	j.add(s)
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

func (j *Journey) add(s Stage) {
	if j.Topic == "" {
		j.Topic = s.Topic
	}
	if len(j.Stages) >= maxStages {
		j.More++
		return
	}
	j.Stages = append(j.Stages, s)
}

// Journeys returns the last ones, the newest first, and what is closed with the next stage.
func (w *Watch) Journeys() ([]Journey, <-chan struct{}) {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	list := make([]Journey, 0, len(w.journeys))
	for _, j := range slices.Backward(w.journeys) {
		list = append(list, j.ordered())
	}
	return list, w.changed
}

// ordered returns a copy with the stages in the order of their times: those of the broker are told a little later.
func (j *Journey) ordered() Journey {
	c := *j
	c.Stages = slices.Clone(j.Stages)
	slices.SortStableFunc(c.Stages, func(a, b Stage) int { return cmp.Compare(a.Time.Sub(j.Began), b.Time.Sub(j.Began)) })
	c.Began = c.Stages[0].Time
	for i := range c.Stages {
		c.Stages[i].After = c.Stages[i].Time.Sub(c.Began).Microseconds()
	}
	return c
}

type numberKey struct{}

// With has what is done with a context belong to the journey with a number; 0 is none.
func With(ctx context.Context, number uint64) context.Context {
	if number == 0 {
		return ctx
	}
	return context.WithValue(ctx, numberKey{}, number)
}

// Of returns the number that With has put into a context; 0: none.
func Of(ctx context.Context) uint64 {
	number, _ := ctx.Value(numberKey{}).(uint64)
	return number
}
