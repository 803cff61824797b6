package broker

import (
	"bytes"
	"sync/atomic"

	"lintel/persist"
)

// router remembers, for one publisher, who receives the messages of a topic. A
// route is good until a subscription somewhere changes.
type router struct {
	index     *index
	maxLevels int // of a topic; 0: any
	routes    map[string]*route
}

// maxRoutes bounds what one publisher remembers.
const maxRoutes = 512

// route returns the route of a topic, or nil if the topic has more levels than
// the broker takes. It allocates nothing if it knows the route.
func (r *router) route(topic []byte) *route {
	if known := r.routes[string(topic)]; known != nil && known.generation == r.index.generation.Load() {
		return known
	}
	if r.maxLevels > 0 && bytes.Count(topic, []byte("/")) >= r.maxLevels {
		return nil
	}
	found := r.index.find(string(topic))
	if r.routes == nil || len(r.routes) >= maxRoutes {
		r.routes = make(map[string]*route)
	}
	r.routes[found.topic] = found
	return found
}

// publish takes responsibility for a message and hands it to everybody on the
// route. committed is called when it can no longer be lost: before publish
// returns if there is nobody to keep it for, else after the commit; it is given
// the list that its flushes go to. batch and committed are nil for QoS 0.
//
// More than the message may have to be in the store before the publisher is
// told, such as the packet id of an incoming QoS 2 message: it is in batch.
func (b *Broker) publish(m *message, r *route, batch *persist.Batch, committed func(*flushList), f *flushList) {
	wait := m.QoS > 0 && (m.Retain || batch.Len() > 0)
	if m.Retain {
		m = m.clone()
	}
	if m.QoS > 0 {
		m.id = b.messageID.Add(1)
	}
	// A retained message is shared from here on with who subscribes later.
	m.receiver = !m.Retain && len(r.receivers)+len(r.shares) == 1
	if m.Retain {
		b.retained.set(m, b.store)
		// Who subscribed since the route was found has looked at the
		// retained messages before this one was among them.
		if r.generation != b.index.generation.Load() {
			r = b.index.find(m.Topic)
		}
	}
	if m.QoS == 0 {
		// Apart, because held below costs an allocation.
		b.deliver(m, r, nil, nil, f)
		return
	}
	var held []*entry
	b.deliver(m, r, batch, &held, f)
	if !wait && batch.Len() == 0 {
		committed(f)
		return
	}
	b.store.Append(batch, func() {
		for _, e := range held {
			e.owner.release(e, &b.committed)
		}
		committed(&b.committed)
	})
}

// deliver hands a message to everybody on the route.
func (b *Broker) deliver(m *message, r *route, batch *persist.Batch, held *[]*entry, f *flushList) {
	for i := range r.receivers {
		r.receivers[i].session.deliver(m, &r.receivers[i], batch, held, f)
	}
	for _, s := range r.shares {
		if to := s.choose(m); to != nil {
			to.session.deliver(m, to, batch, held, f)
		}
	}
}

// choose picks the member of a shared subscription that gets m: the next in
// turn that is connected and drains, else one that is connected, else one whose
// session will keep the message.
func (g *share) choose(m *message) *receiver {
	n := uint32(len(g.members))
	if n == 0 {
		return nil
	}
	turn := g.next.Add(1)
	var best *subscription
	rank := 0
	for i := range n {
		sub := g.members[(turn+i)%n]
		if now := sub.session.readiness(); now > rank {
			best, rank = sub, now
			if rank == ready {
				break
			}
		}
	}
	if best == nil {
		return nil
	}
	to := &receiver{session: best.session}
	to.merge(best)
	return to
}

// The readiness of a session to take one more message.
const (
	gone = iota
	offline
	behind // connected, but its window is full or it does not drain
	ready
)

func (s *session) readiness() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended, s.peer == nil && !s.persistent:
		return gone
	case s.peer == nil:
		return offline
	case len(s.queue) > 0 || !s.windowOpen():
		return behind
	}
	return ready
}

// counters count since the start.
type counters struct {
	publishReceived, publishSent, publishDropped atomic.Uint64
	publishBytesReceived, publishBytesSent       atomic.Uint64 // payloads
	packetsReceived, packetsSent                 atomic.Uint64 // of all types
	bytesReceived, bytesSent                     atomic.Uint64
	connects, expired                            atomic.Uint64 // CONNECT packets; sessions whose end came while offline
	malformed, accepted                          atomic.Uint64
}
