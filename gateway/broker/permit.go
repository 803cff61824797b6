package broker

import (
	"slices"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// Permit is what Authorize answers: yes, no, or that it depends on the message. The
// zero Permit is no.
type Permit struct {
	allowed bool
	judge   func(m *mqtt.Message) bool // asked about each message; nil: none need be
}

// The answers that need no look at the message.
var (
	Allow = Permit{allowed: true}
	Deny  = Permit{}
)

// If is a Permit that depends on the message: judge reports whether it may be
// published, or received. It gets the message as it was published, with its topic,
// payload, properties, QoS and RETAIN flag, must be quick, must not call the broker,
// keep m or change it, and is called for several messages at a time.
func If(judge func(m *mqtt.Message) bool) Permit { return Permit{judge: judge} }

// denied reports whether the answer is no for any message.
func (p Permit) denied() bool { return !p.allowed && p.judge == nil }

// allows reports whether the answer is yes for m.
func (p Permit) allows(m *mqtt.Message) bool {
	return p.allowed || p.judge != nil && p.judge(m)
}

// permit asks Authorize about the client of a session. One that was away at a restart
// is asked about when it comes back.
func (s *session) permit(action Action, topic string) Permit {
	authorize, r := s.broker.options.Authorize, s.request.Load()
	if authorize == nil || r == nil {
		return Allow
	}
	return authorize(r, action, topic)
}

// mayReceive returns what tells of messages whether the client of the session may
// receive them, as long as nothing changes. It asks about each topic once.
func (s *session) mayReceive() func(*message) bool {
	if s.broker.options.Authorize == nil {
		return func(*message) bool { return true }
	}
	asked := make(map[string]Permit)
	return func(m *message) bool {
		p, ok := asked[m.Topic]
		if !ok {
			p = s.permit(Receive, m.Topic)
			asked[m.Topic] = p
		}
		return p.allows(&m.Message)
	}
}

// find returns the route of a topic, with those on it who may receive it.
func (b *Broker) find(topic string) *route {
	r := b.index.find(topic)
	b.admit(r)
	return r
}

// admit leaves out of a route who may not receive its topic. The generation of the
// route is older than the answers: see AccessChanged.
func (b *Broker) admit(r *route) {
	if b.options.Authorize == nil {
		return
	}
	admitted := r.receivers[:0]
	for _, to := range r.receivers {
		p := to.session.permit(Receive, r.topic)
		if p.denied() {
			continue
		}
		to.asked, to.judge = r.generation, p.judge
		if to.own != nil {
			to.own.asked, to.own.judge = r.generation, p.judge
		}
		admitted = append(admitted, to)
	}
	clear(r.receivers[len(admitted):])
	r.receivers = admitted
	for i := range r.shares {
		r.shares[i].admit(r.topic)
	}
}

// admit leaves out of a group who may not receive the topic.
func (g *group) admit(topic string) {
	var members []*subscription
	var judges []func(*mqtt.Message) bool
	for _, sub := range g.members {
		p := sub.session.permit(Receive, topic)
		if p.denied() {
			continue
		}
		members, judges = append(members, sub), append(judges, p.judge)
	}
	g.members, g.judges = members, judges
}

// takes reports whether the receiver may have a message of its route.
func (r *receiver) takes(m *message) bool { return r.judge == nil || r.judge(&m.Message) }

// AccessChanged makes the broker ask Authorize again. Subscriptions that are no
// longer allowed are removed. What waits for a client because of them is dropped, and
// so is what it may no longer receive, in the store when it is read from there; what is
// on its way already is still delivered, as after UNSUBSCRIBE. Wills that are no longer allowed are removed. All this holds for the
// sessions of clients that are away too, after a restart only when they come back: a
// client that comes back to its session is always asked about anew. When AccessChanged
// returns, a message that a client has not sent yet is judged by the new rights, and
// none is delivered by the old ones. It calls Authorize itself: the caller must hold no
// lock that Authorize takes.
//
// Nobody is disconnected: see Disconnect.
func (b *Broker) AccessChanged() {
	b.index.generation.Add(1)
	b.eachSession((*session).review)
}

// review is revoke for a session that is at work. Called with mu held.
func (s *session) review() {
	if s.ended {
		return
	}
	var batch persist.Batch
	s.revoke(&batch)
	if batch.Len() > 0 {
		s.broker.store.Append(&batch, nil)
	}
}

// revoke takes from a session what Authorize does not allow. Called with mu held.
func (s *session) revoke(batch *persist.Batch) {
	if s.broker.options.Authorize == nil || s.request.Load() == nil {
		return // nobody to ask, or to ask about: a client that was away at a restart
	}
	// Who looked for a route before asks once more, see deliver.
	s.reviewed = s.broker.index.generation.Load()
	if s.will != nil && !s.permit(Publish, s.will.message.Topic).allows(&s.will.message) {
		s.will = nil
		if s.stored {
			batch.PutSession(s.record())
		}
	}
	revoked := false
	for name := range s.subscriptions {
		if _, filter, _ := mqtt.SplitShared(name); !s.permit(Subscribe, filter).denied() {
			continue
		}
		revoked = true
		delete(s.subscriptions, name)
		s.broker.index.remove(s, name)
		if s.stored {
			batch.DeleteSubscription(s.number, name)
		}
	}
	receive := s.mayReceive()
	s.backlog = slices.DeleteFunc(s.backlog, func(o owed) bool { return s.subscriptions[o.filter] == nil || !receive(o.message) })
	var left *index
	if revoked {
		left = s.ownIndex()
		s.swap.revoked = s.broker.messageID.Load() + 1
	}
	refuse := func(e *entry) bool {
		if (!revoked || left.receives(e.message.Topic)) && receive(e.message) {
			return false
		}
		s.expire(e, nil)
		s.drop(e.message, DropNotAllowed)
		return true
	}
	s.queue = slices.DeleteFunc(s.queue, refuse)
	s.swap.tail = slices.DeleteFunc(s.swap.tail, refuse)
}

// revokeSent takes from a session that has got another user what is on its way to the
// client and may not be received: it was begun for somebody else. A PUBREL says nothing
// of the message. Called with mu held.
func (s *session) revokeSent() {
	receive := s.mayReceive()
	for _, e := range slices.Clone(s.order) {
		if !e.done && !e.released && !receive(e.message) {
			s.finish(e, nil)
			s.drop(e.message, DropNotAllowed)
		}
	}
}

// userName is whom the session belongs to; empty: nobody.
func (s *session) userName() string {
	if user := s.user.Load(); user != nil {
		return *user
	}
	return ""
}

// setUser is for the holder of the session.
func (s *session) setUser(name string) { s.user.Store(&name) }

// ownIndex has the subscriptions of this session alone.
func (s *session) ownIndex() *index {
	x := new(index)
	for _, sub := range s.subscriptions {
		x.add(sub)
	}
	return x
}

// receives reports whether anybody receives a topic.
func (x *index) receives(topic string) bool {
	r := x.find(topic)
	return len(r.receivers)+len(r.shares) > 0
}
