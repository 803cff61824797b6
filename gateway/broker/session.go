package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// session is the state that the standard calls Session State (5.0 §4.1). It
// lives on while its connection does not.
type session struct {
	broker *Broker
	id     string
	number uint32 // in the keys of the store

	// owner is the connection, or the in-process client, that holds the
	// session, from CONNECT until it has let go. Guarded by Broker.mu.
	owner holder

	// request is the client as it connected last; nil if nobody will ask.
	request atomic.Pointer[ConnectRequest]

	// user is whom the session belongs to; nil or empty: nobody. Only its holder
	// changes it.
	user atomic.Pointer[string]

	mu            sync.Mutex
	peer          peer // nil while offline
	version       mqtt.Version
	persistent    bool   // outlives its connection
	stored        bool   // is in the store
	replaces      bool   // ended one of the same client that was in the store
	expiry        uint32 // seconds; persist.NeverExpires: no end
	subscriptions map[string]*subscription
	incoming      map[uint16]struct{} // ids of incoming QoS 2 messages that wait for PUBREL
	inflight      inflight
	active        int      // entries in flight on the present connection: Receive Maximum counts these
	resend        []*entry // in flight from an earlier connection, not sent again yet
	order         []*entry // the in-flight entries as they were sent, and some finished ones
	queue         []*entry // QoS 1 and 2, wait for room in the window: the head of them
	swap          swap     // the others
	backlog       []owed   // retained messages of new subscriptions; drained before queue
	pumping       bool     // keepPumping is at work
	queuedBytes   int
	window        int    // how many may be in flight
	lastID        uint16 // packet id given last
	unnamed       int    // entries that are
	will          *will
	timer         *time.Timer // runs the will or the end of an offline session
	since         time.Time   // when it connected or disconnected
	provisional   bool        // since leaves Broker.off out
	dropped       Drops
	sent          uint64    // messages, on this run of the broker
	sentBytes     uint64    // their payloads
	swept         time.Time // when the queue was last searched for expired messages
	remoteAddr    string
	keepAlive     time.Duration
	received      atomic.Uint64 // messages
	receivedBytes atomic.Uint64 // their payloads
	reviewed      uint64        // the generation when the rights were last looked at: older routes may be wrong
	ended         bool          // taken out of the broker: nothing may be added any more
}

// peer is who a session delivers to: a connection or an in-process client. Its
// methods are called with session.mu held and never block.
type peer interface {
	// room reports whether the peer drains what it gets. If not, messages
	// of QoS 1 and 2 wait in the session and those of QoS 0 are dropped.
	room() bool
	// publish sends a message. It reports false if the peer can never take
	// it: the packet is larger than it said it accepts.
	publish(m *message, d delivery, f *flushList) bool
	// pubrel sends a PUBREL.
	pubrel(packetID uint16, f *flushList)
}

// owed is a retained message that a new subscription brings. It becomes an entry
// when its turn comes.
type owed struct {
	message     *message
	qos         mqtt.QoS
	identifiers []uint32
	filter      string // of the subscription
}

// entry is one message of QoS 1 or 2 on its way to one session.
type entry struct {
	message     *message
	id          uint64 // message id in the store: the order of the queue
	qos         mqtt.QoS
	retain      bool
	number      uint32 // of the session that the store holds it for
	identifiers []uint32
	packetID    uint16       // in flight if not 0
	active      bool         // in flight on the present connection
	sent        bool         // handed to a peer under packetID: it goes out with DUP next time
	held        bool         // QoS 2: its next step waits for the store
	uncommitted bool         // in the tail of a queue: the store does not have it yet
	released    bool         // QoS 2: PUBREC came
	done        bool         // acknowledged
	stored      bool         // the store was told about it
	unnamed     bool         // QoS 1, in flight: the store has no packet id of it
	lent        bool         // another session has it, and the store keeps it for this one
	ref         *persist.Ref // nil: the session is not persistent
	body        uint64       // see persist.Entry
	owner       *session
	share       string // filter of the shared subscription that it came by; empty: none
}

func (e *entry) record() persist.Entry {
	r := persist.Entry{ID: e.id, Body: e.body, PacketID: e.packetID, QoS: e.qos, Retain: e.retain,
		Identifiers: e.identifiers, Share: e.share, Message: &e.message.Message}
	switch {
	case e.unnamed:
		r.PacketID = 0
	case e.released:
		r.State = persist.Released
	case e.packetID != 0:
		r.State = persist.Sent
	}
	return r
}

// size is what the entry counts in the queue.
func (e *entry) size() int { return e.message.size() + len(e.share) }

// delete deletes the entry from the store, if it was told about it.
func (e *entry) delete(batch *persist.Batch) {
	if e.stored {
		batch.DeleteEntry(e.number, e.id, e.ref)
	}
}

// deliver takes a message for the session. What the store has to hold of it is
// added to k. It reports false if there is nobody any more to take it.
func (s *session) deliver(m *message, r *receiver, k *keeping, f *flushList) bool {
	if r.noLocal && m.from == s.id {
		if r = r.own; r == nil {
			return true
		}
	}
	if r.judge != nil && !r.judge(&m.Message) {
		if m.Trace != 0 {
			s.mu.Lock()
			s.trace(TraceWithheld, m, "it may not receive this message")
			s.mu.Unlock()
		}
		return true
	}
	qos := min(m.QoS, r.qos) // [v5 MQTT-3.8.4-8]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.peer == nil && !s.persistent {
		return false
	}
	if r.asked < s.reviewed && !s.permit(Receive, m.Topic).allows(&m.Message) {
		if m.Trace != 0 {
			s.trace(TraceWithheld, m, "it may not receive this message any more")
		}
		return r.share == "" // another member of a share may
	}
	if qos == 0 {
		s.deliverNow(m, delivery{retain: m.Retain && r.asPublished, identifiers: r.identifiers}, f)
		return true
	}
	for {
		limit, full := s.full(m.size())
		if !full {
			break
		}
		s.broker.exceeded(limit)
		if s.broker.options.QueueFull != DropOldest {
			s.drop(m, DropQueueFull)
			return true
		}
		if !s.dropFirst() {
			break // when it has been read
		}
	}
	e := s.newEntry(m, r, qos)
	e.body = m.id
	s.add(e, k, f)
	return true
}

// newEntry makes an entry of a message for a receiver. Called with mu held, so that
// ids are in the order of the queue.
func (s *session) newEntry(m *message, r *receiver, qos mqtt.QoS) *entry {
	e := m.own
	if !m.receiver || e == nil || e.message != nil {
		e = new(entry)
	}
	*e = entry{owner: s, number: s.number, message: m, id: s.broker.messageID.Add(1), qos: qos, share: r.share, identifiers: r.identifiers}
	e.retain = m.Retain && r.asPublished // [v3 MQTT-3.3.1-9, v5 MQTT-3.3.1-12, MQTT-3.3.1-13]
	if s.persistent {
		e.ref = new(persist.Ref)
	}
	return e
}

// add puts a new entry in flight, or into the queue if it has to wait. What the
// store has to hold of it is added to k.
func (s *session) add(e *entry, k *keeping, f *flushList) {
	s.charge(e.size())
	if s.peer != nil && s.waiting()+len(s.backlog)+len(s.resend) == 0 && s.windowOpen() {
		s.start(e)
		if e.qos == 2 && s.persistent {
			e.held = true
			k.held = append(k.held, e)
		} else if !s.send(e, f) {
			return
		} else if s.persistent {
			k.sent++
		}
	} else {
		if e.qos == 2 && s.persistent {
			// Its packet id must not get into the store before it.
			e.held = true
		}
		if s.enqueue(e); e.held || e.uncommitted {
			k.held = append(k.held, e)
		}
		if e.message.Trace != 0 {
			s.traceQueued(e)
		}
	}
	k.urgent = k.urgent || e.held && s.peer != nil
	if s.persistent {
		if k.traced != nil {
			k.traced.refs = append(k.traced.refs, e.ref)
		}
		e.stored = true
		k.batch.PutEntry(s.number, e.record(), e.ref)
	}
}

// deliverNow sends a message of QoS 0, or drops it.
func (s *session) deliverNow(m *message, d delivery, f *flushList) {
	switch {
	case s.peer == nil:
		if m.Trace != 0 {
			s.trace(TraceDropped, m, "the client is away, and nothing of QoS 0 is kept")
		}
	case !s.peer.room():
		s.drop(m, DropSlow)
	case !s.peer.publish(m, d, f):
		s.drop(m, DropTooLarge)
	default:
		s.countSent(m, f)
	}
}

// countSent counts a message that was handed to the peer.
func (s *session) countSent(m *message, f *flushList) {
	f.sent++
	f.sentBytes += uint64(len(m.Payload))
	s.sent++
	s.sentBytes += uint64(len(m.Payload))
}

// queueFull reports whether a message of this size does not fit any more, and the
// limit that is in its way. When half of the total is taken a session may have its even
// share of the other half only: who takes little does not feel who takes much.
func (s *session) queueFull(size int) (limit Limit, full bool) {
	o := &s.broker.options
	half := o.MaxQueuedTotal / 2
	switch {
	case s.waiting() >= o.MaxQueuedMessages:
		return LimitQueuedMessages, true
	case s.queuedBytes >= o.MaxQueuedBytes:
		return LimitQueuedBytes, true
	case s.broker.queuedBytes.Load() >= int64(half) && s.queuedBytes+size > half/o.MaxConnections:
		return LimitQueuedTotal, true
	}
	return 0, false
}

// overfull reports whether a message was let in for one that is to be dropped, but
// had to be read first.
func (s *session) overfull() bool {
	o := &s.broker.options
	return o.QueueFull == DropOldest && (s.waiting() > o.MaxQueuedMessages || s.queuedBytes > o.MaxQueuedBytes)
}

// charge counts bytes that wait, or with n < 0 that wait no more.
func (s *session) charge(n int) {
	s.queuedBytes += n
	s.broker.queuedBytes.Add(int64(n))
}

// queuedMemory is how many bytes wait in memory.
func (b *Broker) queuedMemory() int64 { return b.queuedBytes.Load() - b.swappedBytes.Load() }

// full is queueFull when what has expired is out of the queue.
func (s *session) full(size int) (limit Limit, full bool) {
	if limit, full = s.queueFull(size); full {
		s.sweep()
		limit, full = s.queueFull(size)
	}
	return limit, full
}

// sweep takes out of the queue what has expired, if that was not done just now.
func (s *session) sweep() {
	now := time.Now()
	if now.Sub(s.swept) < time.Second {
		return
	}
	s.swept = now
	s.queue = slices.DeleteFunc(s.queue, func(e *entry) bool {
		if !e.message.expired(now) {
			return false
		}
		s.expire(e, nil)
		s.traceExpired(e)
		return true
	})
	if w := &s.swap; !w.expires.IsZero() && !now.Before(w.expires) {
		go s.sweepSwapped()
	}
}

// expire ends an entry that has expired in the queue [v5 MQTT-3.3.2-5].
func (s *session) expire(e *entry, f *flushList) {
	e.done = true
	s.charge(-e.size())
	s.forget(e, f)
}

// drop counts a message that the client does not get.
func (s *session) drop(m *message, why Drop) {
	s.dropped[why]++
	s.broker.stats.publishDropped.Add(1)
	if s.broker.traces.on() {
		s.trace(TraceDropped, m, dropTexts[why])
	}
}

// owedEntry makes an entry of a retained message. It gets its place in the order
// of the queue now.
func (s *session) owedEntry(o owed) *entry {
	e := &entry{owner: s, number: s.number, message: o.message, id: s.broker.messageID.Add(1), qos: o.qos, retain: true, identifiers: o.identifiers}
	if s.persistent {
		e.ref = new(persist.Ref)
	}
	s.charge(e.size())
	return e
}

// resume makes p the peer of the session. What was in flight is sent again, in
// the order in which it was sent, and then what waits [v5 MQTT-4.4.0-1,
// MQTT-4.6.0-1]. The window of the new connection holds for both.
func (s *session) resume(p peer, window int, f *flushList) {
	s.peer, s.window = p, window
	for _, e := range s.order {
		if !e.done {
			s.resend = append(s.resend, e)
		}
	}
	s.pump(f)
}

// suspend takes the peer away.
func (s *session) suspend() {
	s.peer, s.active, s.resend = nil, 0, nil
	for _, e := range s.order {
		e.active = false
	}
	s.keepBacklog()
}

// keepBacklog keeps the retained messages that a persistent session was to get
// when its connection ends: those that are in flight are stored, the rest of
// the backlog is queued.
func (s *session) keepBacklog() {
	backlog := s.backlog
	s.backlog = nil
	if !s.persistent {
		return
	}
	k := new(keeping)
	keep := func(e *entry) {
		e.stored = true
		k.batch.PutEntry(s.number, e.record(), e.ref)
	}
	for _, e := range s.order {
		if !e.done && !e.stored {
			keep(e)
		}
	}
	for _, o := range backlog {
		if o.qos > 0 && o.message.retained.Load() {
			e := s.owedEntry(o)
			if s.enqueue(e); e.uncommitted {
				k.held = append(k.held, e)
			}
			keep(e)
		}
	}
	if k.batch.Len() > 0 {
		s.broker.keep(k, func() {})
	}
}
