package broker

import (
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// holder is who holds a session: nobody else touches it meanwhile.
type holder interface {
	// kick tells the holder to let go, for a reason.
	kick(mqtt.ReasonCode)
	// released is closed when it has.
	released() <-chan struct{}
}

// claim makes h the holder of the session with this client id, made anew if
// there is none or fresh is set: then a session that is there ends first. An
// earlier holder is told to let go and waited for [v5 MQTT-3.1.4-3], but for an
// in-process client, whose id nobody takes from outside. Nor does anybody take, or end,
// the session of another user. present reports whether there was a session.
func (b *Broker) claim(id string, fresh bool, h holder) (s *session, present bool, err error) {
	c, outside := h.(*connection)
	replaces := false
	for {
		b.mu.Lock()
		if b.closing {
			b.mu.Unlock()
			return nil, false, &mqtt.Error{Code: mqtt.ServerShuttingDown}
		}
		s = b.sessions[id]
		if s == nil {
			s = b.newSession(id)
			s.owner, s.replaces = h, replaces
			if outside {
				s.setUser(c.user)
			}
			b.mu.Unlock()
			return s, false, nil
		}
		owner := s.userName()
		foreign := outside && owner != "" && owner != c.user && !c.inHouse()
		if other := s.owner; other != nil {
			b.mu.Unlock()
			if _, inside := other.(*Client); inside && outside {
				return nil, false, &mqtt.Error{Code: mqtt.ClientIdentifierNotValid, Detail: "the id of an in-process client"}
			}
			if foreign {
				return nil, false, b.refuseTakeover(id, owner)
			}
			other.kick(mqtt.SessionTakenOver)
			<-other.released()
			continue
		}
		s.owner = h
		b.mu.Unlock()
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		over := s.over() // though the timer was not so fast
		replaces = s.stored
		s.mu.Unlock()
		if foreign && !over {
			b.letGo(s)
			return nil, false, b.refuseTakeover(id, owner)
		}
		if !fresh && !over && !(outside && c.inHouse() && owner != c.user) {
			return s, true, nil
		}
		b.endSession(s)
	}
}

// refuseTakeover counts a client that came with the client id of another user, and says
// so. It may choose another id, which is what 0x85 and code 2 mean: it is not refused
// for good.
func (b *Broker) refuseTakeover(id, owner string) error {
	b.stats.notAuthorized.Add(1)
	b.log.Warn("client id belongs to another user", "client", id, "user", owner)
	return &Refusal{Code: mqtt.ClientIdentifierNotValid, Reason: "the client id belongs to another user: choose another one"}
}

// newSession makes a session and registers it. Called with mu held.
func (b *Broker) newSession(id string) *session {
	b.nextSession++
	s := &session{
		broker:        b,
		id:            id,
		number:        b.nextSession,
		subscriptions: make(map[string]*subscription),
		since:         time.Now(),
	}
	b.sessions[id] = s
	b.mostSessions = max(b.mostSessions, len(b.sessions))
	return s
}

// endSession removes a session that the caller holds: its subscriptions, what
// waits for it, and everything of it in the store. What it had of a shared
// subscription and may go to another member does so first. Its will is due at the
// latest now (5.0 §3.1.2.5).
func (b *Broker) endSession(s *session) {
	s.mu.Lock()
	s.ended = true
	s.peer = nil
	for s.swap.reader != nil {
		reader := s.swap.reader
		s.mu.Unlock()
		<-reader
		s.mu.Lock()
	}
	w := s.will
	s.will = nil
	var batch persist.Batch
	if s.stored {
		// First, in case the batch is too large for one transaction: what
		// is left without its session is deleted at the next start.
		batch.DeleteSession(s.number, s.id)
	}
	for filter, sub := range s.subscriptions {
		b.index.remove(s, filter)
		if s.stored {
			batch.DeleteSubscription(s.number, sub.filter)
		}
	}
	// end returns those that may go to another member.
	end := func(entries []*entry) (shared []*entry) {
		for _, e := range entries {
			switch {
			case e.done:
			case e.share != "" && (e.qos == 1 || !e.sent): // [v5 MQTT-4.8.2-5]
				shared = append(shared, e)
			default:
				e.delete(&batch)
			}
			e.done = true
		}
		return shared
	}
	shared, last := end(append(s.order, s.queue...)), end(s.swap.tail)
	if s.stored {
		for id := range s.incoming {
			batch.DeleteIncoming(s.number, id)
		}
	}
	s.subscriptions, s.order, s.queue, s.swap.tail, s.backlog = nil, nil, nil, nil, nil
	s.inflight = inflight{}
	b.swappedBytes.Add(-int64(s.swap.bytes))
	s.charge(-s.queuedBytes)
	s.mu.Unlock()
	for _, e := range b.reassign(shared, true) {
		e.delete(&batch)
	}
	s.endSwapped()
	for _, e := range b.reassign(last, true) {
		e.delete(&batch)
	}
	// Before a new session can be made: a client that comes back may publish
	// that it is there, and its old will must not come behind that.
	b.publishWill(w)
	if batch.Len() > 0 {
		b.store.Append(&batch, nil)
	}
	b.mu.Lock()
	delete(b.sessions, s.id)
	b.mu.Unlock()
}

// detach is called by the holder of a session when its connection has ended.
func (b *Broker) detach(s *session, publishWill bool) {
	s.mu.Lock()
	s.suspend()
	s.since, s.provisional = time.Now(), false
	if !publishWill {
		s.will = nil
	}
	if !s.persistent {
		s.mu.Unlock()
		b.endSession(s)
		return
	}
	if shared := s.removeShared(); len(shared) > 0 {
		s.mu.Unlock()
		shared = b.reassign(shared, false)
		s.mu.Lock()
		s.putBack(shared)
	}
	s.leaveShares()
	var due *will
	if s.will != nil && s.will.delay == 0 {
		due, s.will = s.will, nil
	}
	var batch persist.Batch
	batch.PutSession(s.record())
	s.mu.Unlock()
	b.publishWill(due)
	b.store.Append(&batch, nil)
	b.letGo(s)
}
