package broker

import (
	"errors"
	"maps"
	"slices"
	"time"

	"lintel/persist"
)

// A queue may be longer than memory. Its head is session.queue. What does not fit
// there is swapped out: it is in the store only, and read back when its turn
// comes. What came last is in the tail until the store has committed it.
//
// Only persistent sessions swap. Ids tell the parts from each other: those of the
// head are lower, those of the tail higher than all that is swapped out.
type swap struct {
	count   int
	bytes   int       // their size, see entry.size
	shared  bool      // some of them may have come by a shared subscription
	from    uint64    // the lowest id that may be among them
	expires time.Time // when the first of them does; zero: none will
	revoked uint64    // those with a lower id came before the client lost a subscription
	leave   uint64    // of what has a lower id other members of a share get theirs, once it is committed; 0: nothing
	tail    []*entry
	lent    map[uint64]bool // ids of what a member of a share has that is not in the store: it stays there in this queue
	reader  chan struct{}   // not nil: somebody reads them and nobody else does, until it is closed
	waits   bool            // reassignSwapped does for that
}

const (
	maxHeld      = 256     // messages that the head of a queue may have
	maxHeldAway  = 16      // while the client is away
	maxHeldBytes = 1 << 20 // and their bytes
)

// waiting is how many messages of QoS 1 and 2 wait for room in the window.
func (s *session) waiting() int { return len(s.queue) + s.swap.count + len(s.swap.tail) }

// enqueue puts an entry at the end of the queue. If that makes it uncommitted, the
// caller has it released when it is committed.
func (s *session) enqueue(e *entry) {
	if !s.swaps() {
		s.queue = append(s.queue, e)
		return
	}
	e.uncommitted = s.persistent
	s.swap.tail = append(s.swap.tail, e)
}

// swaps reports whether the next entry has no place in the head.
func (s *session) swaps() bool {
	switch {
	case s.swap.count > 0 || len(s.swap.tail) > 0:
		return true
	case !s.persistent || len(s.queue) == 0:
		return false
	case s.peer == nil && len(s.queue) >= maxHeldAway:
		return true
	}
	return len(s.queue) >= maxHeld || s.queuedBytes >= maxHeldBytes ||
		s.broker.queuedMemory() >= int64(s.broker.options.QueueMemory)
}

// swapOut lets go of what is committed at the front of the tail.
func (s *session) swapOut() {
	w := &s.swap
	for len(w.tail) > 0 && s.inStore(w.tail[0]) && !w.tail[0].uncommitted {
		e := w.tail[0]
		w.tail[0] = nil
		w.tail = w.tail[1:]
		if w.count == 0 {
			w.from, w.expires, w.shared, w.lent = e.id, time.Time{}, false, nil
		}
		w.count++
		w.bytes += e.size()
		w.shared = w.shared || e.share != ""
		w.expires = earlier(w.expires, e.message.expires())
		s.broker.swappedBytes.Add(int64(e.size()))
	}
	if len(w.tail) == 0 {
		w.tail = nil
	}
	if w.leave > 0 && (len(w.tail) == 0 || w.tail[0].id > w.leave) {
		w.leave = 0
		go s.reassignSwapped()
	}
}

// inStore reports whether the store holds an entry for this session.
func (s *session) inStore(e *entry) bool { return e.stored && e.number == s.number }

// earlier is the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// readOn has the next of what is swapped out read if the head has room. Without
// any, the tail becomes the head.
func (s *session) readOn() {
	w := &s.swap
	switch {
	case s.peer == nil:
	case w.count == 0:
		if len(s.queue) == 0 && len(w.tail) > 0 {
			s.queue, w.tail = w.tail, nil
		}
	case len(s.queue) < maxHeld/2:
		s.startReading()
	}
}

func (s *session) startReading() {
	if s.swap.reader == nil {
		s.swap.reader = make(chan struct{})
		go s.read()
	}
}

func (s *session) stopReading() {
	w := &s.swap
	close(w.reader)
	w.reader = nil
	if w.waits {
		w.waits = false
		go s.reassignSwapped()
	}
}

// page reads a piece of what is swapped out; expected is how many there were when
// it began. The caller is the reader.
func (s *session) page(from uint64, limit int) (p persist.Page, before uint64, expected int, err error) {
	s.mu.Lock()
	expected = s.swap.count
	// What comes from now on is not for this page.
	before = s.broker.messageID.Load() + 1
	for _, e := range s.swap.tail {
		if s.inStore(e) {
			before = e.id
			break
		}
	}
	s.mu.Unlock()
	p, err = s.broker.store.ReadQueue(s.number, from, before, limit)
	for _, damage := range p.Damaged {
		s.broker.log.Error("stored message is damaged and was left out", "client", s.id, "key", damage)
	}
	s.mu.Lock()
	if lent := s.swap.lent; len(lent) > 0 {
		p.Entries = slices.DeleteFunc(p.Entries, func(e persist.LoadedEntry) bool { return lent[e.ID] })
	}
	s.mu.Unlock()
	return p, before, expected, err
}

// read moves a page of what is swapped out to the head. If the client has gone meanwhile
// the page stays where it is: other members of a share may have to get it.
func (s *session) read() {
	s.mu.Lock()
	from := s.swap.from
	s.mu.Unlock()
	p, before, expected, err := s.page(from, maxHeld)
	var f flushList
	s.mu.Lock()
	w := &s.swap
	s.stopReading()
	switch {
	case errors.Is(err, persist.ErrClosed):
	case err != nil:
		s.broker.log.Error("queue cannot be read", "client", s.id, "err", err)
	case s.ended, s.peer == nil && !s.overfull():
	default:
		allowed := s.stillAllowed()
		for _, loaded := range p.Entries {
			e := s.loadedEntry(loaded)
			s.swapIn(e)
			if !allowed(e) {
				s.expire(e, &f)
				s.drop(e.message, DropNotAllowed)
				continue
			}
			s.queue = append(s.queue, e)
		}
		w.from = p.Next
		if p.Next == 0 {
			w.from = before
			s.missing(expected - len(p.Entries))
		}
		maps.DeleteFunc(w.lent, func(id uint64, _ bool) bool { return id < w.from })
		if w.count == 0 {
			w.revoked = 0
		}
		for over := s.overfull(); over && s.dropFirst(); over = s.overfull() {
		}
		if s.peer != nil {
			s.pump(&f)
		}
	}
	s.mu.Unlock()
	s.broker.flush(&f)
}

// swapIn counts an entry that is in memory again.
func (s *session) swapIn(e *entry) {
	s.swap.count--
	s.swap.bytes -= e.size()
	s.broker.swappedBytes.Add(-int64(e.size()))
}

// missing corrects the count when the store had fewer entries than it should: the
// others are damaged.
func (s *session) missing(n int) {
	w := &s.swap
	w.count -= n
	if n > 0 {
		s.dropped[DropDamaged] += uint64(n)
		s.broker.stats.publishDropped.Add(uint64(n))
	}
	if w.count == 0 {
		s.queuedBytes -= w.bytes
		s.broker.queuedBytes.Add(-int64(w.bytes))
		s.broker.swappedBytes.Add(-int64(w.bytes))
		w.bytes = 0
	}
}

// loadedEntry makes an entry of one that was read.
func (s *session) loadedEntry(l persist.LoadedEntry) *entry {
	both := new(struct {
		message message
		entry   entry
	})
	m, e := &both.message, &both.entry
	m.Message, m.receiver = *l.Message, true
	if m.Provisional {
		m.off = &s.broker.off
	}
	*e = entry{owner: s, number: s.number, share: l.Share, message: m, id: l.ID, body: l.Body, qos: l.QoS, retain: l.Retain,
		identifiers: l.Identifiers, packetID: l.PacketID, stored: true, ref: l.Ref}
	return e
}

// stillAllowed tells of an entry that was swapped out whether revoke would have
// left it in the queue.
func (s *session) stillAllowed() func(*entry) bool {
	receive := s.mayReceive()
	if s.swap.revoked == 0 {
		return func(e *entry) bool { return receive(e.message) }
	}
	left := s.ownIndex()
	return func(e *entry) bool {
		return (e.id >= s.swap.revoked || left.receives(e.message.Topic)) && receive(e.message)
	}
}
