package broker

import (
	"context"
	"slices"
	"strings"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// subscribe handles SUBSCRIBE.
func (c *connection) subscribe(ctx context.Context, p mqtt.Packet) error {
	var sub mqtt.Subscribe
	if err := sub.Decode(p, c.version); err != nil {
		return err
	}
	for i := range sub.Filters {
		f := &sub.Filters[i]
		if f.Options.NoLocal() && strings.HasPrefix(f.Filter, "$share/") { // [v5 MQTT-3.8.3-4]
			return &mqtt.Error{Code: mqtt.ProtocolError, Detail: "no local on a shared subscription"}
		}
		if c.bridge && c.version != mqtt.V50 {
			// The bridge bit of mosquitto asks for both: what a bridge
			// sent does not come back, and RETAIN stays.
			f.Options |= mqtt.RetainAsPublished
			if !strings.HasPrefix(f.Filter, "$share/") { // as for 5.0
				f.Options |= mqtt.NoLocal
			}
		}
	}
	answer := mqtt.Suback{Type: mqtt.SUBACK, PacketID: sub.PacketID}
	if err := c.checkSize(&answer, len(sub.Filters)); err != nil {
		return err
	}
	var batch persist.Batch
	var added []added
	answer.Codes, added = c.session.subscribe(sub.Filters, sub.Properties.Uint(mqtt.SubscriptionIdentifier, 0), &batch)
	if batch.Len() > 0 {
		c.broker.flush(&c.flushing)
		if err := c.broker.commit(ctx, &batch); err != nil {
			return err
		}
	}
	c.send(func(b []byte) []byte { return answer.Append(b, c.version) })
	c.session.sendRetained(added, &c.flushing)
	return nil
}

// checkSize refuses a request with so many filters that the answer would be larger
// than the client accepts [v5 MQTT-3.1.2-24]: no code of it can be left out.
func (c *connection) checkSize(answer *mqtt.Suback, codes int) error {
	a := mqtt.Suback{Type: answer.Type, PacketID: answer.PacketID, Codes: make([]mqtt.ReasonCode, codes)}
	if uint32(len(a.Append(nil, c.version))) > c.maxPacketSize {
		return &mqtt.Error{Code: mqtt.PacketTooLarge, Detail: a.Type.String() + " larger than the client accepts"}
	}
	return nil
}

// added is a subscription that was made, and whether it is new or took the place
// of another.
type added struct {
	*subscription
	fresh bool
}

// subscribe makes subscriptions. The codes are those of the SUBACK; there are
// none if the session has ended.
func (s *session) subscribe(filters []mqtt.FilterRequest, identifier uint32, batch *persist.Batch) ([]mqtt.ReasonCode, []added) {
	codes := make([]mqtt.ReasonCode, len(filters))
	var made []added
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, nil
	}
	for i, f := range filters {
		limits := &s.broker.options
		_, topics, ok := mqtt.SplitShared(f.Filter)
		if !ok {
			codes[i] = mqtt.TopicFilterInvalid
			continue
		}
		if levels(f.Filter) > limits.MaxTopicLevels {
			s.broker.exceeded(LimitTopicLevels)
			codes[i] = mqtt.TopicFilterInvalid
			continue
		}
		if s.permit(Subscribe, topics).denied() {
			s.broker.stats.notAuthorized.Add(1)
			codes[i] = mqtt.NotAuthorized
			continue
		}
		if s.subscriptions[f.Filter] == nil && len(s.subscriptions) >= limits.MaxSubscriptions {
			s.broker.exceeded(LimitSubscriptions)
			codes[i] = mqtt.QuotaExceeded
			continue
		}
		sub := &subscription{session: s, filter: f.Filter, options: f.Options, identifier: identifier}
		made = append(made, added{sub, s.subscriptions[f.Filter] == nil})
		s.subscriptions[f.Filter] = sub
		s.broker.index.add(sub)
		if s.stored {
			batch.PutSubscription(s.number, persist.Subscription{Filter: f.Filter, Options: byte(f.Options), Identifier: identifier})
		}
		codes[i] = mqtt.ReasonCode(f.Options.QoS())
	}
	return codes, made
}

// sendRetained sends the retained messages of new subscriptions, as far as there
// is room now; the rest follows as there is more.
func (s *session) sendRetained(made []added, f *flushList) {
	// What the same filters brought before and was not sent yet comes once only:
	// else a client that subscribes and does not read could make this list as
	// long as it likes.
	s.mu.Lock()
	s.backlog = slices.DeleteFunc(s.backlog, func(o owed) bool {
		return slices.ContainsFunc(made, func(sub added) bool { return sub.filter == o.filter })
	})
	s.mu.Unlock()
	for _, sub := range made {
		handling := sub.options.RetainHandling()
		if handling == 2 || handling == 1 && !sub.fresh { // [v5 MQTT-3.3.1-10, MQTT-3.3.1-11]
			continue
		}
		share, filter, _ := mqtt.SplitShared(sub.filter)
		if share != "" { // 5.0 §4.8.2: none on a shared subscription
			continue
		}
		w := s.broker.retained.walk(filter)
		for {
			found, more := w.next()
			if !s.owe(sub.subscription, found, f) || !more {
				break
			}
			s.broker.flush(f)
		}
	}
}

// owe takes retained messages that a subscription brings, and sends what there is
// room for. It reports false if the subscription is no more.
func (s *session) owe(sub *subscription, found []*message, f *flushList) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.subscriptions[sub.filter] == nil {
		return false
	}
	var identifiers []uint32
	if sub.identifier != 0 && len(found) > 0 {
		identifiers = []uint32{sub.identifier}
	}
	for _, m := range found {
		if !s.permit(Receive, m.Topic).allows(&m.Message) {
			continue
		}
		s.backlog = append(s.backlog, owed{m, min(m.QoS, sub.options.QoS()), identifiers, sub.filter})
	}
	if s.peer == nil {
		s.keepBacklog()
	}
	s.pump(f)
	return true
}

// unsubscribe handles UNSUBSCRIBE.
func (c *connection) unsubscribe(ctx context.Context, p mqtt.Packet) error {
	var unsub mqtt.Unsubscribe
	if err := unsub.Decode(p, c.version); err != nil {
		return err
	}
	answer := mqtt.Suback{Type: mqtt.UNSUBACK, PacketID: unsub.PacketID}
	if err := c.checkSize(&answer, len(unsub.Filters)); err != nil {
		return err
	}
	var batch persist.Batch
	answer.Codes = c.session.unsubscribe(unsub.Filters, &batch)
	if batch.Len() > 0 {
		c.broker.flush(&c.flushing)
		if err := c.broker.commit(ctx, &batch); err != nil {
			return err
		}
	}
	c.send(func(b []byte) []byte { return answer.Append(b, c.version) })
	return nil
}

// unsubscribe removes subscriptions. What is on its way already still arrives
// [v5 MQTT-3.10.4-3].
func (s *session) unsubscribe(filters []string, batch *persist.Batch) []mqtt.ReasonCode {
	codes := make([]mqtt.ReasonCode, len(filters))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, filter := range filters {
		if s.subscriptions[filter] == nil {
			codes[i] = mqtt.NoSubscriptionExisted
			if _, _, ok := mqtt.SplitShared(filter); !ok {
				codes[i] = mqtt.TopicFilterInvalid
			}
			continue
		}
		delete(s.subscriptions, filter)
		s.broker.index.remove(s, filter)
		if s.stored {
			batch.DeleteSubscription(s.number, filter)
		}
	}
	return codes
}

func levels(topic string) int { return strings.Count(topic, "/") + 1 }

// setExpiry changes the Session Expiry Interval (5.0 §3.14.2.2.2).
func (s *session) setExpiry(seconds uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiry, s.persistent = seconds, seconds > 0
}
