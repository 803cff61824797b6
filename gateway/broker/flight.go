package broker

import (
	"slices"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// What is here moves entries: into flight, to the peer, and out of flight when they
// are acknowledged.

func (s *session) windowOpen() bool { return s.active < s.window && s.peer.room() }

// start gives an entry a packet id and puts it in flight.
//
// The packet id of one of QoS 1 that the store has already is not written. Nor are
// those that follow while it is in flight: after a restart what has an id goes
// first, and this may not overtake [v5 MQTT-4.6.0-6].
func (s *session) start(e *entry) {
	if e.unnamed = e.qos == 1 && (e.stored || s.unnamed > 0); e.unnamed {
		s.unnamed++
	}
	s.lastID = s.inflight.next(s.lastID)
	e.packetID = s.lastID
	e.active = true
	s.active++
	s.inflight.put(e)
	s.order = append(s.order, e)
}

// send hands an entry that is in flight to the peer. It reports false if the
// entry is gone: the packet is too large for the client and counts as
// delivered [v5 MQTT-3.1.2-25].
func (s *session) send(e *entry, f *flushList) bool {
	if e.released {
		s.peer.pubrel(e.packetID, f)
		return true
	}
	d := delivery{qos: e.qos, retain: e.retain, dup: e.sent, packetID: e.packetID, identifiers: e.identifiers}
	if !s.peer.publish(e.message, d, f) {
		s.drop(e.message, DropTooLarge)
		s.finish(e, f)
		return false
	}
	e.sent = true
	s.countSent(e.message, f)
	return true
}

// release lets an entry go on that waited for the store. It runs after the commit.
func (s *session) release(e *entry, f *flushList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := e.held
	e.held, e.uncommitted = false, false
	s.swapOut()
	if e.done || s.peer == nil {
		return
	}
	if held && e.active {
		s.send(e, f)
	}
	s.pump(f) // e may wait there, or have been too large for the client
}

// finish takes an entry out of flight.
func (s *session) finish(e *entry, f *flushList) {
	e.done = true
	if e.active {
		e.active = false
		s.active--
	}
	if e.unnamed {
		e.unnamed = false
		s.unnamed--
	}
	s.inflight.remove(e)
	s.charge(-e.size())
	if len(s.order) > 2*s.inflight.count+16 {
		s.order = slices.DeleteFunc(s.order, func(e *entry) bool { return e.done })
	}
	s.forget(e, f)
}

// forget deletes an entry from the store, in the lazy lane, when f is flushed; nil
// is now. If the delete is lost the message is sent once more, under the same id
// (persist rules).
func (s *session) forget(e *entry, f *flushList) {
	if f != nil {
		e.delete(&f.gone)
	} else if e.stored {
		b := new(persist.Batch)
		e.delete(b)
		s.broker.store.AppendLazy(b)
	}
}

// pump moves what waits into the window. It is called with mu held whenever
// the window or the peer may have got room. If there is much to move, a goroutine
// goes on: who publishes to this session must not wait for that.
func (s *session) pump(f *flushList) {
	if s.move(f) && !s.pumping {
		s.pumping = true
		go s.keepPumping()
	}
}

func (s *session) keepPumping() {
	var f flushList
	for more := true; more; {
		s.mu.Lock()
		more = s.move(&f)
		s.pumping = more
		s.mu.Unlock()
		s.broker.flush(&f)
	}
}

// maxMoved is how many retained messages are sent before others may have the lock.
const maxMoved = 256

// move does the work of pump. It reports whether it stopped though there is room.
func (s *session) move(f *flushList) (more bool) {
	if s.peer == nil {
		return false
	}
	for len(s.resend) > 0 {
		e := s.resend[0]
		if !e.done && (e.held || !s.windowOpen()) {
			return false
		}
		s.resend = s.resend[1:]
		if !e.done {
			e.active = true
			s.active++
			s.send(e, f)
		}
	}
	if len(s.backlog)+s.waiting() == 0 {
		return false // most often: without a look at the clock
	}
	now := time.Now()
	for moved := 0; len(s.backlog) > 0; moved++ {
		o := s.backlog[0]
		if o.qos > 0 && !s.windowOpen() || !s.peer.room() {
			return false
		}
		if moved == maxMoved {
			return true
		}
		s.backlog[0] = owed{}
		s.backlog = s.backlog[1:]
		// What was retained in the meantime has come live: an older value
		// must not follow it.
		if !o.message.retained.Load() || o.message.expired(now) {
			continue
		}
		if o.qos == 0 {
			s.deliverNow(o.message, delivery{retain: true, identifiers: o.identifiers}, f)
			continue
		}
		s.promote(s.owedEntry(o), f)
	}
	s.readOn()
	for len(s.queue) > 0 && s.windowOpen() {
		e := s.queue[0]
		if e.held {
			return false
		}
		s.queue[0] = nil
		s.queue = s.queue[1:]
		if e.message.expired(now) {
			s.expire(e, f)
			s.traceExpired(e)
			continue
		}
		s.promote(e, f)
		s.readOn()
	}
	return false
}

// promote starts an entry that had to wait. A QoS 2 entry of a persistent
// session is sent only after its packet id is in the store: a crash between
// would send it again under another id, and the client would have it twice.
func (s *session) promote(e *entry, f *flushList) {
	s.start(e)
	if e.qos != 2 || !s.persistent {
		s.send(e, f)
		return
	}
	e.held, e.stored = true, true
	var b persist.Batch
	b.PutEntry(s.number, e.record(), e.ref)
	s.broker.store.Append(&b, func() { s.release(e, &s.broker.committed) })
}

// acknowledge handles PUBACK, PUBREC and PUBCOMP of the peer. The answer that
// is due at once, if any, is returned.
func (s *session) acknowledge(a *mqtt.Ack, f *flushList) (answer *mqtt.Ack, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.inflight.get(a.PacketID)
	if e != nil && !e.sent {
		return nil, &mqtt.Error{Code: mqtt.ProtocolError, Detail: a.Type.String() + " for a message that was not sent"}
	}
	if e != nil && (a.Type == mqtt.PUBACK) != (e.qos == 1) {
		return nil, &mqtt.Error{Code: mqtt.ProtocolError, Detail: a.Type.String() + " for a message of another QoS"}
	}
	switch a.Type {
	case mqtt.PUBACK:
		if e != nil {
			s.acknowledged(e, a)
			s.finish(e, f)
		}
	case mqtt.PUBREC:
		switch {
		case e == nil && a.Code < 0x80:
			return &mqtt.Ack{Type: mqtt.PUBREL, PacketID: a.PacketID, Code: mqtt.PacketIdentifierNotFound}, nil
		case e == nil:
		case a.Code >= 0x80: // the exchange is over [v5 MQTT-4.4.0-2]
			s.acknowledged(e, a)
			s.finish(e, f)
		case e.released && e.held: // the PUBREL is on its way
		case e.released || !s.persistent:
			e.released = true
			return &mqtt.Ack{Type: mqtt.PUBREL, PacketID: a.PacketID}, nil
		default:
			// PUBREL lets the client forget the id, so that it goes out
			// when the store knows: else a restart would send the
			// message anew.
			e.released, e.held, e.stored = true, true, true
			var b persist.Batch
			b.PutEntry(s.number, e.record(), e.ref)
			s.broker.store.Append(&b, func() { s.release(e, &s.broker.committed) })
			return nil, nil
		}
	case mqtt.PUBCOMP:
		if e != nil && !e.released {
			return nil, &mqtt.Error{Code: mqtt.ProtocolError, Detail: "PUBCOMP before PUBREC"}
		}
		if e != nil {
			s.acknowledged(e, a)
			s.finish(e, f)
		}
	}
	s.pump(f)
	return nil, nil
}
