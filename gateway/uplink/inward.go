package uplink

import (
	"time"

	"lintel/gateway/mqtt"
)

// leftIn takes a message off the list of those that come in.
func (r *relay) leftIn(id uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.in, id)
	r.changed.Broadcast()
}

// inward gives a message of the remote to the box.
func (r *relay) inward(m *mqtt.Publish) error {
	u := r.u
	if len(m.Topic) == 0 || m.TopicAlias != 0 {
		return &mqtt.Error{Code: mqtt.TopicAliasInvalid, Detail: "topic alias from a server that was not asked for any"}
	}
	by, topic := u.inward(string(m.Topic))
	if r.remote.size > 0 {
		u.dropped("A message of %d bytes under %.200s was left out: the box takes %d at most.", r.remote.size, m.Topic, r.remote.maxRead)
		r.settleIn(m)
		return nil
	}
	marked, ok := u.pass(m.Properties)
	if m.Retain {
		r.mu.Lock()
		r.heard = time.Now()
		r.mu.Unlock()
	}
	if by == nil || !ok {
		r.settleIn(m)
		return nil
	}
	if !u.broker.Takes(topic) {
		u.dropped("A message from the broker was left out: the box does not take the topic %.200s.", topic)
		r.settleIn(m)
		return nil
	}
	m.Topic, m.Properties, m.Identifiers = []byte(topic), marked, nil
	m.QoS = min(m.QoS, 2)
	packet := *m
	packet.Retain = m.Retain && !by.Plain
	if m.Retain && by.Direction == Both {
		r.mu.Lock()
		if len(r.replayed) < maxRemembered {
			r.replayed[topic] = struct{}{}
		}
		r.mu.Unlock()
	}
	encoded := packet.Append(nil, mqtt.V50)
	if len(encoded) > r.local.maxPacket {
		u.dropped("A message of %d bytes under %.200s was left out: the box takes %d at most.", len(encoded), topic, r.local.maxPacket)
		r.settleIn(m)
		return nil
	}
	if m.QoS > 0 {
		p := passage{stage: handed, topic: topic, quoting: packet.Retain}
		r.mu.Lock()
		before := r.in[m.PacketID]
		for !r.closed && before.stage == 0 && len(r.in) >= r.inLimit {
			r.changed.Wait()
		}
		// The box may know the id of a message that the remote has forgotten with
		// its session: then this is another.
		release := m.QoS == 2 && !m.Dup && before.stage == 0
		p.forget = before.forget || release
		r.in[m.PacketID] = p
		r.mu.Unlock()
		if release {
			r.local.ack(mqtt.PUBREL, m.PacketID, mqtt.Success)
		}
	}
	r.local.send(func(b []byte) []byte { return append(b, encoded...) })
	u.count(func(s *Status) { s.In++ })
	return nil
}

// settleIn acknowledges a message of the remote that does not go to the box.
func (r *relay) settleIn(m *mqtt.Publish) {
	switch m.QoS {
	case 1:
		r.remote.ack(mqtt.PUBACK, m.PacketID, mqtt.Success)
	case 2:
		r.mu.Lock()
		r.in[m.PacketID] = passage{stage: settled}
		r.mu.Unlock()
		r.remote.ack(mqtt.PUBREC, m.PacketID, mqtt.Success)
	}
}
