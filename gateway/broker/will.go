package broker

import (
	"strings"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// will is the message that a client left for the case that it does not say
// goodbye. It is session state: a delayed one survives a restart.
type will struct {
	message mqtt.Message
	delay   uint32 // seconds
	expiry  uint32 // message expiry interval in seconds, if expires; counts from publication
	expires bool
	from    string
}

// publishWill publishes a will; nil is none. That it is owed no more is given to the
// store after it: else a crash could lose it.
func (b *Broker) publishWill(w *will) {
	if w == nil || w.message.Topic[0] == '$' {
		return
	}
	m := &message{Message: w.message, from: w.from}
	if w.expires {
		m.Expires = time.Now().Add(time.Duration(w.expiry) * time.Second)
	}
	if b.traces.on() {
		m.Trace = b.traces.next()
		e := traceMessage(TraceWill, m, "")
		e.Client = w.from
		b.traces.tell(e)
	}
	var f flushList
	k := new(keeping)
	if wait, _ := b.publish(m, b.find(m.Topic), k, &f); wait {
		b.keep(k, func() {})
	}
	b.flush(&f)
}

// schedule sets the timer of an offline session to what comes first: its will
// or its end. Called with mu held.
func (s *session) schedule() {
	left := seconds(s.expiry)
	if s.will != nil {
		left = min(left, seconds(s.will.delay))
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.expiry == persist.NeverExpires && s.will == nil {
		return
	}
	s.timer = time.AfterFunc(max(0, left-time.Since(s.since)), s.due)
}

// due is called by the timer of an offline session. It holds the session while
// it works, so that a client that comes back meanwhile waits.
func (s *session) due() {
	b := s.broker
	h := make(momentary)
	b.mu.Lock()
	if b.closing || b.sessions[s.id] != s || s.owner != nil {
		b.mu.Unlock()
		return
	}
	s.owner = h
	b.running.Add(1) // what it publishes has to be in the store before that is closed
	b.mu.Unlock()
	defer b.running.Done()
	defer close(h)

	s.mu.Lock()
	away := time.Since(s.since)
	if s.over() {
		s.mu.Unlock()
		b.log.Info("session expired", "client", s.id)
		b.stats.expired.Add(1)
		b.endSession(s)
		return
	}
	var w *will
	var batch persist.Batch
	if s.will != nil && away >= seconds(s.will.delay) {
		w, s.will = s.will, nil
		batch.PutSession(s.record())
	}
	s.mu.Unlock()
	b.publishWill(w)
	if w != nil {
		b.store.Append(&batch, nil)
	}
	b.letGo(s)
}

// letGo ends the hold of a session that stays, and then sets its timer: earlier it
// might find the session held and do nothing.
func (b *Broker) letGo(s *session) {
	b.mu.Lock()
	s.owner = nil
	b.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer == nil && !s.ended { // nobody was faster
		s.schedule()
	}
}

// over reports whether the end of an offline session has come. Called with mu
// held.
func (s *session) over() bool {
	return s.expiry != persist.NeverExpires && time.Since(s.since) >= seconds(s.expiry)
}

// momentary is a holder that lets go soon by itself.
type momentary chan struct{}

func (momentary) kick(mqtt.ReasonCode)        {}
func (h momentary) released() <-chan struct{} { return h }

// record is the session as the store keeps it. Called with mu held.
func (s *session) record() persist.Session {
	r := persist.Session{ID: s.number, ClientID: s.id, User: s.userName(), Version: byte(s.version), ExpiryInterval: s.expiry}
	if s.peer == nil {
		r.Disconnected, r.Provisional = s.since, s.provisional
	}
	if w := s.will; w != nil {
		m := w.message
		r.Will, r.WillDelay, r.WillExpiry, r.WillExpires = &m, w.delay, w.expiry, w.expires
	}
	return r
}

// restore takes over what the store held when the process ended.
func (b *Broker) restore(state *persist.State) {
	b.messageID.Store(state.NextID)
	b.nextSession = state.NextSessionID
	for _, m := range state.Retained {
		b.retained.load(b.restored(m), b.store)
	}
	for i := range state.Sessions {
		b.restoreSession(&state.Sessions[i])
	}
	b.eachSession((*session).schedule) // not before: wills that are due go to all of them
	for _, key := range state.Damaged {
		b.log.Error("stored record is damaged and was left out", "key", key)
	}
}

// restored is a message out of the store.
func (b *Broker) restored(m *mqtt.Message) *message {
	r := &message{Message: *m}
	if m.Provisional {
		r.off = &b.off
	}
	return r
}

func (b *Broker) restoreSession(stored *persist.SessionState) {
	s := b.newSession(stored.ClientID)
	s.number = stored.ID
	s.version = mqtt.Version(stored.Version)
	s.persistent, s.stored = true, true
	s.setUser(stored.User)
	s.expiry = stored.ExpiryInterval
	if stored.Will != nil {
		s.will = &will{message: *stored.Will, delay: stored.WillDelay, expiry: stored.WillExpiry, expires: stored.WillExpires, from: s.id}
	}
	for _, sub := range stored.Subscriptions {
		added := &subscription{session: s, filter: sub.Filter, options: mqtt.SubscriptionOptions(sub.Options), identifier: sub.Identifier}
		s.subscriptions[sub.Filter] = added
		b.index.add(added)
		s.swap.shared = s.swap.shared || strings.HasPrefix(sub.Filter, "$share/")
	}
	for _, id := range stored.Incoming {
		if s.incoming == nil {
			s.incoming = make(map[uint16]struct{})
		}
		s.incoming[id] = struct{}{}
	}
	q := &stored.Queued
	s.swap.count, s.swap.bytes, s.swap.expires = q.Count, int(q.Bytes)+q.Count*messageOverhead, q.Expires
	s.queuedBytes = s.swap.bytes
	b.queuedBytes.Add(int64(s.swap.bytes))
	b.swappedBytes.Add(int64(s.swap.bytes))
	for _, loaded := range stored.Inflight {
		e := s.loadedEntry(loaded)
		s.charge(e.size())
		// It may have been sent: that it goes out with DUP is right, its id
		// was in the store before (5.0 §3.3.1.1).
		e.sent = true
		e.released = loaded.State == persist.Released
		if older := s.inflight.get(e.packetID); older != nil {
			// An id is only given again after the acknowledgement, whose
			// delete was still on its way to the card.
			s.finish(older, nil)
		}
		s.inflight.put(e)
		s.order = append(s.order, e)
		s.lastID = e.packetID
	}
	if !stored.Disconnected.IsZero() {
		s.since, s.provisional = stored.Disconnected, stored.Provisional
	} // else its connection ended with the process, nobody knows when: it counts from now
}

// clockInterval is the time between looks at the wall clock.
const clockInterval = 10 * time.Second

// lookAtClock ends what has ended while the machine was off, when that gets known.
func (b *Broker) lookAtClock() {
	off := b.store.LookAtClock()
	if off <= 0 {
		return
	}
	b.off.Store(int64(off))
	b.retained.retime()
	b.eachSession(func(s *session) {
		if s.provisional {
			s.since, s.provisional = s.since.Add(-off), false
			s.schedule()
		}
		if w := &s.swap; !w.expires.IsZero() {
			w.expires = w.expires.Add(-off) // or later: who looks finds out
		}
		s.swept = time.Time{}
		s.sweep()
	})
}
