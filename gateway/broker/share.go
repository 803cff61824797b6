package broker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"lintel/gateway/mqtt"
)

// deliverShared hands a message to one member of a shared subscription. A member
// that ends meanwhile is replaced by another. A message that none of them may receive
// is dropped.
func (b *Broker) deliverShared(g *group, m *message, k *keeping, f *flushList) {
	for {
		if to := g.choose(m); to != nil {
			if to.session.deliver(m, to, k, f) {
				return
			}
			continue
		}
		// The route may be older than the members that there are, or their rights.
		now := b.group(g.share.members[0].filter, m.Topic)
		if now == nil || now.share == g.share && now.asked == g.asked {
			if g.barred(m) {
				b.stats.publishDropped.Add(1)
			}
			if m.Trace != 0 {
				b.traces.tell(traceMessage(TraceDropped, m, "no member of "+g.share.members[0].filter+" takes it"))
			}
			return
		}
		g = now
	}
}

// group returns the members of a shared subscription that may receive a topic, nil if
// it has none at all.
func (b *Broker) group(subscribed, topic string) *group {
	asked := b.index.generation.Load()
	s := b.index.share(subscribed)
	if s == nil {
		return nil
	}
	g := &group{share: s, members: s.members, asked: asked}
	if b.options.Authorize != nil {
		g.admit(topic)
	}
	return g
}

// barred reports whether some member may not receive m.
func (g *group) barred(m *message) bool {
	return len(g.members) < len(g.share.members) ||
		slices.ContainsFunc(g.judges, func(judge func(*mqtt.Message) bool) bool { return judge != nil && !judge(&m.Message) })
}

// choose picks the member of a shared subscription that gets m: the next in
// turn that is connected and drains, else one that is connected, else one whose
// session will keep the message. Those who may not receive it are passed over.
func (g *group) choose(m *message) *receiver {
	n := uint32(len(g.members))
	turn := g.next.Add(1)
	var best *subscription
	var ahead uint32
	rank := gone
	for i := range n {
		at := (turn + i) % n
		if g.judges != nil && g.judges[at] != nil && !g.judges[at](&m.Message) {
			continue
		}
		sub := g.members[at]
		if now := sub.session.readiness(min(m.QoS, sub.options.QoS()), g.asked); now > rank {
			best, rank, ahead = sub, now, i
			if rank == ready {
				break
			}
		}
	}
	if best == nil {
		return nil
	}
	if ahead > 0 {
		// Else the turns of those that were passed over would all be those of
		// the one behind them.
		g.next.Add(ahead)
	}
	to := &receiver{session: best.session, share: best.filter, asked: g.asked}
	to.merge(best)
	return to
}

// The readiness of a session to take one more message.
const (
	gone     = iota // or its rights have changed since they were asked for
	dropping        // would drop it: there is no connection or no room
	offline
	behind // connected, but its window is full or it does not drain
	ready
)

func (s *session) readiness(qos mqtt.QoS, asked uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked < s.reviewed {
		return gone
	}
	return s.rank(qos)
}

// rank is readiness with mu held.
func (s *session) rank(qos mqtt.QoS) int {
	switch {
	case s.ended, s.peer == nil && !s.persistent:
		return gone
	case qos == 0 && s.peer == nil:
		return dropping
	}
	if _, full := s.full(0); full && qos > 0 {
		return dropping
	}
	switch {
	case s.peer == nil:
		return offline
	case s.waiting() > 0 || !s.windowOpen():
		return behind
	}
	return ready
}

// removeShared takes the messages of shared subscriptions that were never sent
// out of the queue, for reassign. Called with mu held.
func (s *session) removeShared() []*entry {
	var removed []*entry
	s.queue = slices.DeleteFunc(s.queue, func(e *entry) bool {
		if e.share == "" {
			return false
		}
		e.done = true
		s.charge(-e.size())
		removed = append(removed, e)
		return true
	})
	return removed
}

// putBack puts what reassign has left back where it was. Called with mu held.
func (s *session) putBack(left []*entry) {
	if len(left) == 0 {
		return
	}
	for _, e := range left {
		e.done = false
		s.charge(e.size())
	}
	s.queue = append(s.queue, left...)
	slices.SortStableFunc(s.queue, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
}

// reassign gives entries that a session has lost to other members of the shared
// subscriptions that they came by, in their order, and returns those that nobody
// takes. ended tells that the session is no more: else only connected members
// take what it keeps otherwise.
//
// The caller has taken the entries out of the session: they are done. In the store
// they stay where they are until another session has them.
func (b *Broker) reassign(entries []*entry, ended bool) (left []*entry) {
	if len(entries) == 0 {
		return nil
	}
	b.mu.Lock()
	closing := b.closing
	b.mu.Unlock()
	if closing && !ended {
		return entries // nobody stays connected
	}
	type kind struct {
		share string
		qos   mqtt.QoS
	}
	refused := make(map[kind]bool)
	var f flushList
	for _, e := range entries {
		k := kind{e.share, e.message.QoS}
		switch {
		case refused[k], e.message.expired(time.Now()):
			left = append(left, e)
		case b.store.Wait(context.Background()) != nil, !b.handOver(e, ended, closing, &f):
			refused[k] = true
			left = append(left, e)
		default:
			b.flush(&f)
		}
	}
	return left
}

// The kinds of members that reassign tries, one after the other.
const (
	lasting  = iota // their sessions outlive a crash
	anybody         // with QoS 1 or 2
	careless        // with QoS 0
)

// handOver gives an entry to the next in turn among the members that suit it best.
// What is in the store goes to a session that is there too, offline if need be,
// before it goes to one that a crash would end.
func (b *Broker) handOver(e *entry, ended, closing bool, f *flushList) bool {
	g := b.index.share(e.share)
	if g == nil {
		return false
	}
	kind, last, lowest := anybody, anybody, behind
	if e.stored {
		kind = lasting
	}
	if ended {
		last, lowest = careless, offline
	}
	if closing { // the others are about to end
		kind, last = lasting, lasting
	}
	n := uint32(len(g.members))
	turn := g.next.Add(1)
	for ; kind <= last; kind++ {
		for rank := ready; rank >= lowest; rank-- {
			for i := range n {
				sub := g.members[(turn+i)%n]
				if sub.session.take(e, sub, kind, rank, ended, f) {
					g.next.Add(i)
					return true
				}
			}
		}
	}
	return false
}

// take makes an entry that another session has lost one of s, if s is of the kind
// and the readiness that are asked for. The store learns both in one batch.
func (s *session) take(e *entry, sub *subscription, kind, rank int, ended bool, f *flushList) bool {
	m := e.message
	qos := min(m.QoS, sub.options.QoS())
	s.mu.Lock()
	defer s.mu.Unlock()
	if (qos == 0) != (kind == careless) || kind == lasting && !s.persistent || s.rank(qos) != rank ||
		!s.permit(Receive, m.Topic).allows(&m.Message) {
		return false
	}
	to := receiver{session: s, share: sub.filter}
	to.merge(sub)
	k := new(keeping)
	switch {
	case qos == 0:
		if !s.peer.room() {
			return false
		}
		s.deliverNow(m, delivery{retain: m.Retain && to.asPublished, identifiers: to.identifiers}, f)
		e.delete(&k.batch)
	case s.persistent || ended || !e.stored:
		s.add(s.newEntry(m, &to, qos), k, f)
		e.delete(&k.batch) // after the put, see persist
	case qos == 2:
		// A crash would end s and with it a delivery that has begun: the
		// session that the message came from must not begin another
		// [v5 MQTT-4.8.2-5].
		return false
	default:
		// The store keeps the message for its old session until s, which is
		// not in the store, has acknowledged it.
		taken := s.newEntry(m, &to, qos)
		taken.id, taken.number, taken.ref, taken.body, taken.stored = e.id, e.number, e.ref, e.body, true
		e.lent = true
		s.add(taken, k, f)
	}
	if k.batch.Len() > 0 {
		s.broker.keep(k, func() {})
	}
	return true
}
