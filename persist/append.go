package persist

import (
	"cmp"
	"context"
	"slices"
	"time"
)

const (
	// lazyDelay is how long a lazy batch waits for a durable one to ride with.
	lazyDelay = time.Second

	// defaultPatience: a client on a sound Wi-Fi acknowledges within some tens of
	// milliseconds, and a commit takes 5 to 20 on a card. A client that acknowledges
	// nothing makes publishers wait this long only until its window is full: what
	// comes then is queued, and such batches are not patient.
	defaultPatience = 50 * time.Millisecond

	// defaultSparing: a house says some eight things a second, and each commit costs a
	// card a page and its journal. What comes in a fifth of a second shares one.
	defaultSparing = 200 * time.Millisecond
	// With so many sparing batches waiting there is enough to share.
	company = 8
	// A sparing batch that comes so soon after done functions were called comes from
	// somebody who sends one message after the other: it does not wait, or such a
	// client would send five a second.
	inARow = 5 * time.Millisecond
)

// item is a batch that waits, with its done function.
type item struct {
	batch *Batch
	done  func()
	due   time.Duration // when it waits no longer, after Store.opened; 0: at once

	spares bool // of AppendSparing
}

// Append gives a batch to the committer and never blocks. done, which may be
// nil, is called after the commit that holds the batch; done functions are
// called one at a time in the order of Append. If the store fails or is closed
// before, done is never called.
func (s *Store) Append(b *Batch, done func()) {
	s.append(item{batch: b, done: done}, 0)
}

// AppendPatient is Append for a batch that nothing but entries are put with, each
// of which a connected client has been sent and is about to acknowledge. If all
// are deleted before a group takes the batch, nothing of it is written and done is
// called at once, in its turn. The batch does not close a group by itself before
// Options.Patience is over.
func (s *Store) AppendPatient(b *Batch, done func()) {
	s.append(item{batch: b, done: done}, s.patient)
}

// AppendSparing is Append for a batch that is to reach the card but may wait for
// others to share a commit with: until eight such batches wait, any batch makes a group
// due, or Options.Sparing is over. Like that of Append its done function promises all
// that was given before it, and it is not done early if nothing of it is to be written. Who appends one after the other, each when the one
// before it is done, does not wait.
func (s *Store) AppendSparing(b *Batch, done func()) {
	wait := s.sparing
	if time.Since(s.opened)-time.Duration(s.answered.Load()) < inARow {
		wait = 0
	}
	s.append(item{batch: b, done: done, spares: wait > 0}, wait)
}

// AppendLazy gives a batch to the committer that nobody waits for: it keeps its
// place in the order, but rides with the next group, at the latest after a second.
func (s *Store) AppendLazy(b *Batch) {
	s.append(item{batch: b}, lazyDelay)
}

// append takes an item that may wait for so long before it makes a group due.
func (s *Store) append(it item, patience time.Duration) {
	// A batch that also puts entries may move a message from one session to
	// another: until both are in one group the old entry must not be elided.
	if it.batch.deletes && !it.batch.puts {
		it.batch.markDead()
	}
	if patience > 0 {
		it.due = time.Since(s.opened) + patience
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.err != nil {
		return
	}
	s.queue = append(s.queue, it)
	s.stats.PendingOperations += it.batch.Len()
	s.stats.PendingBytes += it.batch.bytes
	if it.spares {
		s.spared++
	}
	switch {
	case patience == 0, s.spared >= company, s.stats.PendingOperations >= s.limits.operations, s.stats.PendingBytes > s.budget:
		s.due = true
		s.wakeUp()
		return
	case s.timerAt == 0 || it.due < s.timerAt:
		s.timerAt = it.due
		s.timer.Reset(patience)
	}
	if !s.due && s.awaitedIsDead() {
		s.wakeUp()
	}
}

// awaitedIsDead reports whether the first batch that somebody waits for has become
// superfluous. Called with mu held.
func (s *Store) awaitedIsDead() bool {
	for s.passed < len(s.queue) && s.queue[s.passed].done == nil {
		s.passed++
	}
	return s.passed < len(s.queue) && s.queue[s.passed].batch.isDead()
}

// makeDue ends the patience with the batches whose time has come.
func (s *Store) makeDue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timerAt = 0
	if len(s.queue) == 0 {
		return
	}
	first := slices.MinFunc(s.queue, func(a, b item) int { return cmp.Compare(a.due, b.due) }).due
	if left := first - time.Since(s.opened); left > 0 {
		s.timerAt = first
		s.timer.Reset(left)
		return
	}
	s.due = true
	s.wakeUp()
}

func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Wait blocks while more than Options.Budget bytes wait to be written. Who reads
// from sockets calls it before taking more in. It returns the cause of ctx's end
// or the error of the store.
func (s *Store) Wait(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.err != nil || s.stats.PendingBytes <= s.budget {
			err := s.err
			s.mu.Unlock() // not deferred: in a loop that would allocate
			return err
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-s.failed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Full reports whether Wait would block.
func (s *Store) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && s.stats.PendingBytes > s.budget
}
