package broker

import (
	"context"
	"slices"
	"time"

	"lintel/persist"
)

// visit reads all that is swapped out, page by page, while the client is away.
// visitor gets entries, without a lock, and returns those that are to stay; it has
// done with the others what is to be done. If somebody reads already nothing happens; with waits
// reassignSwapped is called after that.
func (s *session) visit(waits bool, visitor func([]*entry) (left []*entry)) {
	s.mu.Lock()
	w := &s.swap
	if w.reader != nil || w.count == 0 || s.peer != nil || s.ended {
		w.waits = w.waits || w.reader != nil && waits
		s.mu.Unlock()
		return
	}
	w.reader = make(chan struct{})
	before := w.expires
	w.expires = time.Time{} // is found out anew, here and by swapOut
	from := w.from
	s.mu.Unlock()
	for more := true; more; {
		p, _, _, err := s.page(from, maxHeld)
		entries := s.loadedEntries(p)
		size, n := sizes(entries), len(entries)
		read := slices.Clone(entries)
		entries = visitor(entries)
		gone := size - sizes(entries)
		from = p.Next

		s.mu.Lock()
		s.keepLent(read)
		if !s.ended {
			w.count -= n - len(entries)
			w.bytes -= gone
			s.queuedBytes -= gone
			s.broker.queuedBytes.Add(-int64(gone))
			s.broker.swappedBytes.Add(-int64(gone))
		}
		for _, e := range entries {
			w.expires = earlier(w.expires, e.message.expires())
		}
		more = err == nil && from != 0 && s.peer == nil && !s.ended
		if !more && (err != nil || from != 0) { // it has not seen all
			w.expires = earlier(w.expires, before)
		}
		s.mu.Unlock()
	}
	// What was taken out must not be read again.
	s.broker.commit(context.Background(), new(persist.Batch))
	var f flushList
	s.mu.Lock()
	s.stopReading()
	if s.peer != nil {
		s.pump(&f)
	}
	s.mu.Unlock()
	s.broker.flush(&f)
}

// keepLent remembers which of the entries are lent. Called with mu held.
func (s *session) keepLent(entries []*entry) {
	for _, e := range entries {
		if !e.lent {
			continue
		}
		if s.swap.lent == nil {
			s.swap.lent = make(map[uint64]bool)
		}
		s.swap.lent[e.id] = true
	}
}

func (s *session) loadedEntries(p persist.Page) []*entry {
	entries := make([]*entry, len(p.Entries))
	for i, loaded := range p.Entries {
		entries[i] = s.loadedEntry(loaded)
	}
	return entries
}

func sizes(entries []*entry) (n int) {
	for _, e := range entries {
		n += e.size()
	}
	return n
}

// sweepSwapped takes out what has expired.
func (s *session) sweepSwapped() {
	s.visit(false, func(entries []*entry) []*entry {
		now := time.Now()
		var b persist.Batch
		entries = slices.DeleteFunc(entries, func(e *entry) bool {
			if !e.message.expired(now) {
				return false
			}
			e.delete(&b)
			return true
		})
		if b.Len() > 0 {
			s.broker.store.AppendLazy(&b)
		}
		return entries
	})
}

// leaveShares has what is not in memory and came by shared subscriptions go to other
// members: the client is away.
func (s *session) leaveShares() {
	w := &s.swap
	switch last := len(w.tail) - 1; {
	case last >= 0:
		w.leave = w.tail[last].id // when it is committed
	case w.shared:
		go s.reassignSwapped()
	}
}

// reassignSwapped gives what came by shared subscriptions to other members, while
// the session is offline.
func (s *session) reassignSwapped() {
	s.visit(true, func(entries []*entry) []*entry { return s.broker.reassignSome(entries, false) })
}

// reassignSome is reassign for those of the entries that came by a share. It
// returns what is left of all.
func (b *Broker) reassignSome(entries []*entry, ended bool) []*entry {
	var shared []*entry
	for _, e := range entries {
		if e.share != "" {
			e.done = true
			shared = append(shared, e)
		}
	}
	for _, e := range b.reassign(shared, ended) {
		e.done = false
	}
	return slices.DeleteFunc(entries, func(e *entry) bool { return e.done })
}

// endSwapped ends what is swapped out of a session that has ended: other members of
// shared subscriptions get what came by them, and the rest is deleted, by a goroutine if
// there is no share. What a crash leaves is deleted at the next start.
func (s *session) endSwapped() {
	switch w := &s.swap; {
	case w.count == 0:
	case w.shared:
		s.deleteSwapped(w.from)
	default:
		go s.deleteSwapped(w.from)
	}
}

// deleteSwapped reads each entry once: reading it again while its delete is on its way
// would delete it, and with it what others need of its body, twice.
func (s *session) deleteSwapped(from uint64) {
	for more := true; more; {
		p, _, _, err := s.page(from, maxHeld)
		var b persist.Batch
		for _, e := range s.broker.reassignSome(s.loadedEntries(p), true) {
			e.delete(&b)
		}
		if b.Len() > 0 {
			s.broker.store.AppendLazy(&b)
		}
		from = p.Next
		more = err == nil && from != 0 && s.broker.store.Wait(context.Background()) == nil
	}
}

// dropFirst drops the first message of the queue, if it is in memory or on its way
// there. It reports whether it did.
func (s *session) dropFirst() bool {
	var e *entry
	switch w := &s.swap; {
	case len(s.queue) > 0:
		e, s.queue = s.queue[0], s.queue[1:]
	case w.count > 0:
		s.startReading()
		return false
	case len(w.tail) > 0:
		e, w.tail = w.tail[0], w.tail[1:]
	default:
		return false
	}
	s.expire(e, nil)
	s.drop(e.message, DropQueueFull)
	return true
}
