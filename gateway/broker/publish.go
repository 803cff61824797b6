package broker

import (
	"bytes"
	"slices"
	"sync/atomic"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// router remembers, for one publisher, who receives the messages of a topic. A
// route is good until a subscription somewhere changes, or the access.
type router struct {
	index     *index
	session   *session // of the publisher; nil: it may publish everything
	maxLevels int      // of a topic; 0: any
	routes    map[string]*route
	last      *route // most clients publish to one topic
}

// maxRoutes bounds what one publisher remembers.
const maxRoutes = 512

// route returns the route of a topic, or nil if the topic has more levels than
// the broker takes. It allocates nothing if it knows the route.
func (r *router) route(topic []byte) *route {
	generation := r.index.generation.Load()
	if r.last != nil && r.last.topic == string(topic) && r.last.generation == generation {
		return r.last
	}
	if known := r.routes[string(topic)]; known != nil && known.generation == generation {
		r.last = known
		return known
	}
	if r.maxLevels > 0 && bytes.Count(topic, []byte("/")) >= r.maxLevels {
		return nil
	}
	found := r.index.find(string(topic))
	if r.session != nil {
		// The generation is older than the answer: see AccessChanged.
		found.publish = r.session.permit(Publish, found.topic)
		r.session.broker.admit(found)
	}
	if r.routes == nil || len(r.routes) >= maxRoutes {
		r.routes = make(map[string]*route)
	}
	r.routes[found.topic] = found
	r.last = found
	return found
}

// keeping is what the store has to hold before the publisher of a message is
// told that it is safe, and the QoS 2 entries that may only be sent then.
type keeping struct {
	batch  persist.Batch
	held   []*entry
	sent   int  // operations of batch that put what a client was sent with QoS 1 just now
	after  bool // what the store was given before must be committed, too
	urgent bool // a connected client gets the message only when it is committed

	traced *tracedKeeping // nil: nobody follows the message
}

// publish hands a message to everybody on the route. It reports whether the
// message is to be kept for somebody: then the caller gives k, which may hold
// more of its own, such as the packet id of an incoming QoS 2 message, to keep.
// If not, the message can no longer be lost and k is as good as new. k is not
// used for QoS 0. An error is that of a message that may be refused, and was: it
// went to nobody.
func (b *Broker) publish(m *message, r *route, k *keeping, f *flushList) (wait bool, err error) {
	if m.Retain {
		m = m.clone()
	}
	if m.QoS > 0 && m.refusable && b.options.QueueFull == Refuse && b.refused(m, r) {
		return false, errQueueFull
	}
	// A retained message is shared from here on with who subscribes later.
	m.receiver = !m.Retain && len(r.receivers)+len(r.shares) == 1
	if m.QoS > 0 && len(r.receivers)+len(r.shares) > 1 {
		m.id = b.messageID.Add(1)
	}
	if m.Trace != 0 {
		b.traceWithheld(m, r)
		if m.QoS > 0 {
			k.traced = &tracedKeeping{message: m}
		}
	}
	if m.Retain {
		if limit, ok := b.retained.set(m, b.store); !ok {
			b.exceeded(limit)
			if m.refusable {
				return false, errRetained
			}
		} else if m.Trace != 0 {
			b.traceRetained(m)
		}
		// Who subscribed since the route was found has looked at the
		// retained messages before this one was among them.
		if r.generation != b.index.generation.Load() {
			r = b.find(m.Topic)
		}
		if m.QoS > 0 {
			k.after = true
		}
	}
	for i := range r.receivers {
		r.receivers[i].session.deliver(m, &r.receivers[i], k, f)
	}
	for i := range r.shares {
		b.deliverShared(&r.shares[i], m, k, f)
	}
	wait = m.QoS > 0 && (m.Retain || k.batch.Len() > 0)
	if m.Trace != 0 && m.QoS > 0 && !wait {
		k.traced = nil
		b.traces.tell(traceMessage(TraceUnwritten, m, "there is nobody to keep it for"))
	}
	return wait, nil
}

// refused reports whether the queue of a receiver is full, and counts it.
func (b *Broker) refused(m *message, r *route) bool {
	for _, to := range r.receivers {
		if to.qos == 0 || !to.takes(m) {
			continue
		}
		to.session.mu.Lock()
		limit, full := to.session.full(m.size())
		to.session.mu.Unlock()
		if full {
			b.exceeded(limit)
			return true
		}
	}
	return false
}

var errQueueFull = &mqtt.Error{Code: mqtt.QuotaExceeded, Detail: "the queue of a subscriber is full"}

var errRetained = &mqtt.Error{Code: mqtt.QuotaExceeded, Detail: "too many retained messages, or bytes of them"}

var errDiskFull = &mqtt.Error{Code: mqtt.QuotaExceeded, Detail: "the disk is nearly full"}

// diskFull reports whether a message of QoS 1 or 2 would have to be kept for
// somebody, now that the disk is low. k is what the store is to hold already. What
// empties a retained topic frees room.
func (b *Broker) diskFull(m *message, r *route, k *keeping) bool {
	full := k.batch.Len() > 0 || m.Retain && len(m.Payload) > 0 ||
		slices.ContainsFunc(r.receivers, func(to receiver) bool { return to.qos > 0 && to.takes(m) && to.session.keeps() }) ||
		slices.ContainsFunc(r.shares, func(g group) bool {
			return slices.ContainsFunc(g.members, func(member *subscription) bool {
				return member.options.QoS() > 0 && member.session.keeps()
			})
		})
	if full {
		b.exceeded(LimitDiskSpace)
	}
	return full
}

// keeps reports whether what waits for the session is in the store.
func (s *session) keeps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.persistent
}

// keep gives k to the store. done is called when it is committed, or when nothing of
// it has to be, on the store's goroutine; what it sends goes to b.committed.
func (b *Broker) keep(k *keeping, done func()) {
	do := b.store.AppendSparing
	switch {
	case k.urgent:
		do = b.store.Append
	case k.sent > 0 && k.sent == k.batch.Len() && !k.after:
		do = b.store.AppendPatient // all may be acknowledged before it is written
	}
	do(&k.batch, func() {
		if k.traced != nil {
			b.traceKept(k)
		}
		for _, e := range k.held {
			e.owner.release(e, &b.committed)
		}
		done()
	})
}

// counters count since the start.
type counters struct {
	publishReceived, publishSent, publishDropped atomic.Uint64
	publishBytesReceived, publishBytesSent       atomic.Uint64 // payloads
	packetsReceived, packetsSent                 atomic.Uint64 // of all types
	bytesReceived, bytesSent                     atomic.Uint64
	connects, expired                            atomic.Uint64 // CONNECT packets; sessions whose end came while offline
	malformed, accepted, notAuthorized           atomic.Uint64
	exceeded                                     [numLimits]atomic.Uint64
}
