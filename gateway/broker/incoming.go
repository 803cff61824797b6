package broker

import (
	"fmt"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// publishReceived handles a PUBLISH of the client.
func (c *connection) publishReceived(packet mqtt.Packet) error {
	var p mqtt.Publish
	if err := p.Decode(packet, c.version); err != nil {
		return err
	}
	c.received.publishes++
	c.received.payload += uint64(len(p.Payload))
	if len(p.Identifiers) > 0 { // [v5 MQTT-3.3.4-6]
		return &mqtt.Error{Code: mqtt.ProtocolError, Detail: "subscription identifier from a client"}
	}
	if err := c.resolveAlias(&p); err != nil {
		return err
	}
	if p.QoS > 0 && c.version == mqtt.V50 && c.exceeded(&p) {
		return &mqtt.Error{Code: mqtt.ReceiveMaximumExceeded} // [v5 MQTT-3.3.4-7]
	}
	if p.Topic[0] == '$' { // the server's own (5.0 §4.7.2)
		return c.refusePublish(&p, mqtt.NotAuthorized)
	}
	r := c.router.route(p.Topic)
	if r == nil {
		c.broker.exceeded(LimitTopicLevels)
		return &mqtt.Error{Code: mqtt.TopicNameInvalid, Detail: "topic name of too many levels"}
	}
	if r.publish.denied() && !c.repeats(&p) {
		return c.refusePublish(&p, mqtt.NotAuthorized)
	}
	var m *message
	if p.QoS > 0 {
		kept := new(struct {
			message
			entry
		})
		m, kept.own = &kept.message, &kept.entry
		own := append(append(make([]byte, 0, len(p.Payload)+len(p.Properties)), p.Payload...), p.Properties...)
		p.Payload, p.Properties = own[:len(p.Payload):len(p.Payload)], own[len(p.Payload):]
	} else {
		m = c.borrow()
	}
	m.from, m.refusable = c.clientID, p.QoS > 0 && c.version == mqtt.V50
	m.Message = mqtt.Message{Topic: r.topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties}
	if c.traced != nil {
		m.Trace = c.traced.number
	}
	if p.HasExpiry {
		m.Expires = time.Now().Add(time.Duration(p.Expiry) * time.Second)
	}
	if !r.publish.allowed && !r.publish.allows(&m.Message) && !c.repeats(&p) {
		return c.refusePublish(&p, mqtt.NotAuthorized)
	}
	c.work += len(r.receivers) + len(r.shares)
	if p.QoS == 0 {
		c.broker.publish(m, r, nil, &c.flushing)
		return nil
	}
	answer := mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID}
	if c.keeping == nil {
		c.keeping = new(keeping)
	}
	k := c.keeping
	if p.QoS == 2 {
		answer.Type = mqtt.PUBREC
		if !c.session.addIncoming(p.PacketID, &k.batch) {
			// A repeat: PUBREC again, when what the first one brought is
			// safe, and nothing else [v5 MQTT-4.3.3-10].
			c.answerWhenKept(answer)
			return nil
		}
	}
	var wait bool
	var err error
	if c.diskIsLow() && c.broker.diskFull(m, r, k) {
		err = errDiskFull
	} else {
		wait, err = c.broker.publish(m, r, k, &c.flushing)
	}
	switch {
	case err != nil:
		c.keeping = nil // with the packet id of what was refused
		if p.QoS == 2 {
			c.session.removeIncoming(p.PacketID, new(persist.Batch))
		}
		if c.version != mqtt.V50 {
			// An acknowledgement would say that the message is safe.
			return err
		}
		return c.refusePublish(&p, mqtt.QuotaExceeded)
	case wait:
		c.answerWhenKept(answer)
	default:
		c.answer(answer)
	}
	return nil
}

// repeats reports whether p repeats a message of QoS 2 that was taken. It is
// acknowledged, whatever has changed since: a refusal would free a packet id that the
// session still holds.
func (c *connection) repeats(p *mqtt.Publish) bool {
	return p.QoS == 2 && c.session.knowsIncoming(p.PacketID)
}

// diskIsLow asks the store once for each batch of packets.
func (c *connection) diskIsLow() bool {
	if !c.diskAsked {
		c.diskAsked, c.diskLow = true, c.broker.store.DiskLow()
	}
	return c.diskLow
}

// borrow returns the message that all QoS 0 messages of the connection use in turn,
// with the memory of encoded forms that are not too large to keep.
func (c *connection) borrow() *message {
	m := c.scratch
	if m == nil {
		m = &message{borrowed: true}
		c.scratch = m
	}
	if m.encoded == nil {
		return m
	}
	for i, packet := range m.encoded {
		if m.encoded[i] = packet[:0]; cap(packet) > writeSize {
			m.encoded[i] = nil
		}
	}
	return m
}

// resolveAlias replaces a topic alias by the topic that it stands for, and
// defines aliases (5.0 §3.3.2.3.4).
func (c *connection) resolveAlias(p *mqtt.Publish) error {
	if p.TopicAlias == 0 {
		return nil
	}
	if p.TopicAlias > topicAliasMaximum { // [v5 MQTT-3.3.2-9]
		return &mqtt.Error{Code: mqtt.TopicAliasInvalid, Detail: fmt.Sprintf("topic alias %d, the maximum is %d", p.TopicAlias, topicAliasMaximum)}
	}
	if len(p.Topic) > 0 {
		if c.aliases == nil {
			c.aliases = make(map[uint16]string)
		}
		c.aliases[p.TopicAlias] = string(p.Topic)
		return nil
	}
	topic, ok := c.aliases[p.TopicAlias]
	if !ok {
		return &mqtt.Error{Code: mqtt.ProtocolError, Detail: fmt.Sprintf("unknown topic alias %d", p.TopicAlias)}
	}
	p.Topic = []byte(topic)
	return nil
}

// topicAliasMaximum is how many topic aliases a client may define.
const topicAliasMaximum = 64

// refusePublish answers a message that the client may not publish. MQTT before
// 5.0 has no word for it: the message is acknowledged and dropped
// [v3 MQTT-3.3.5-2].
func (c *connection) refusePublish(p *mqtt.Publish, code mqtt.ReasonCode) error {
	if code == mqtt.NotAuthorized {
		c.broker.stats.notAuthorized.Add(1)
	}
	if c.traced != nil {
		e := c.traceEvent(TraceRefused)
		e.Message, e.Topic, e.QoS, e.Code = c.traced.number, c.traced.topic, p.QoS, codeText(code)
		c.broker.traces.tell(e)
	}
	switch p.QoS {
	case 1:
		c.answer(mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID, Code: code})
	case 2:
		delete(c.open2, p.PacketID)
		if c.version != mqtt.V50 {
			var none persist.Batch
			c.session.addIncoming(p.PacketID, &none)
		}
		c.answer(mqtt.Ack{Type: mqtt.PUBREC, PacketID: p.PacketID, Code: code})
	}
	return nil
}

// answer acknowledges what cannot be lost, in its turn: after what waits for the
// store.
func (c *connection) answer(a mqtt.Ack) {
	c.mu.Lock()
	if len(c.acks) == 0 {
		c.appendLocked(func(b []byte) []byte { return a.Append(b, c.version) })
		c.traceAnswer(c.traced, a)
	} else {
		c.expect(a, true)
	}
	c.mu.Unlock()
	c.flushing.add(c.conn)
}

// answerWhenKept gives c.keeping to the store and acknowledges when it is
// committed.
func (c *connection) answerWhenKept(a mqtt.Ack) {
	c.stores = true
	c.mu.Lock()
	pending := c.expect(a, false)
	c.mu.Unlock()
	k := c.keeping
	c.keeping = nil
	c.broker.keep(k, func() { c.acknowledge(pending, &c.broker.committed) })
}

type pendingAck struct {
	ack    mqtt.Ack
	ready  bool
	traced *traced // the message that is answered; nil: nobody follows it
}

// expect takes the place of an acknowledgement in the order. Called with conn.mu
// held.
func (c *connection) expect(a mqtt.Ack, ready bool) *pendingAck {
	pending := &pendingAck{a, ready, c.traced}
	c.acks = append(c.acks, pending)
	if a.Type == mqtt.PUBACK {
		c.pubacks++
	}
	return pending
}

// acknowledge is called by the store when what a answers is committed.
func (c *connection) acknowledge(a *pendingAck, f *flushList) {
	c.mu.Lock()
	a.ready = true
	if c.acks[0] != a || c.over {
		c.mu.Unlock()
		return
	}
	n := 0
	for n < len(c.acks) && c.acks[n].ready {
		n++
	}
	ready := c.acks[:n]
	c.acks = c.acks[n:]
	if len(c.acks) == 0 {
		c.acks = nil
	}
	c.packets += uint64(n - 1)
	c.appendLocked(func(b []byte) []byte {
		for _, a := range ready {
			if a.ack.Type == mqtt.PUBACK {
				c.pubacks--
			}
			b = a.ack.Append(b, c.version)
		}
		return b
	})
	for _, a := range ready {
		c.traceAnswer(a.traced, a.ack)
	}
	c.mu.Unlock()
	f.add(c.conn)
}

// exceeded reports whether a message is one too many for the Receive Maximum
// that the client was given. It counts from the beginning of the connection: what
// is open from an earlier one counts when it is sent again (5.0 §4.9).
func (c *connection) exceeded(p *mqtt.Publish) bool {
	if _, repeat := c.open2[p.PacketID]; repeat && p.QoS == 2 {
		return false
	}
	c.mu.Lock()
	pubacks := c.pubacks
	c.mu.Unlock()
	if pubacks+len(c.open2) >= c.broker.options.ReceiveMaximum {
		return true
	}
	if p.QoS == 2 {
		if c.open2 == nil {
			c.open2 = make(map[uint16]struct{})
		}
		c.open2[p.PacketID] = struct{}{}
	}
	return false
}

// pubrelReceived handles the release of an incoming QoS 2 message.
func (c *connection) pubrelReceived(p mqtt.Packet) error {
	var rel mqtt.Ack
	if err := rel.Decode(p, c.version); err != nil {
		return err
	}
	delete(c.open2, rel.PacketID)
	answer := mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: rel.PacketID}
	if c.keeping == nil {
		c.keeping = new(keeping)
	}
	if !c.session.removeIncoming(rel.PacketID, &c.keeping.batch) {
		answer.Code = mqtt.PacketIdentifierNotFound
	}
	if c.session.persistent {
		// PUBCOMP lets the client use the id again: not before the store has
		// forgotten it, or the next message would be taken for a repeat.
		c.answerWhenKept(answer)
	} else {
		c.answer(answer)
	}
	return nil
}

// addIncoming notes the id of an incoming QoS 2 message. It reports false if
// the id is known: the message is a repeat.
func (s *session) addIncoming(id uint16, batch *persist.Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.incoming[id]; known {
		return false
	}
	if s.incoming == nil {
		s.incoming = make(map[uint16]struct{})
	}
	s.incoming[id] = struct{}{}
	if s.persistent {
		batch.PutIncoming(s.number, id)
	}
	return true
}

// knowsIncoming reports whether the id is that of an incoming QoS 2 message.
func (s *session) knowsIncoming(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.incoming[id]
	return known
}

// removeIncoming reports whether the id was known.
func (s *session) removeIncoming(id uint16, batch *persist.Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.incoming[id]
	delete(s.incoming, id)
	if s.persistent {
		batch.DeleteIncoming(s.number, id)
	}
	return known
}
