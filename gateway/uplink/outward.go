package uplink

import (
	"lintel/gateway/mqtt"
)

// outward sends a message of the box to the remote. One that does not go there is
// acknowledged at once.
func (r *relay) outward(m *mqtt.Publish) {
	u := r.u
	by, topic := u.outward(string(m.Topic))
	marked, ok := u.pass(m.Properties)
	if by == nil || !ok {
		r.settleOut(m)
		return
	}
	local := string(m.Topic)
	qos := m.QoS
	m.Topic, m.Properties = []byte(topic), marked
	m.QoS, m.Retain = min(qos, by.QoS, r.remote.maxQoS), m.Retain && !by.Plain && r.remote.retains
	m.Identifiers, m.TopicAlias, m.Dup = nil, 0, m.Dup && m.QoS > 0
	packet := m.Append(nil, r.remote.version)
	switch {
	case len(packet) > r.remote.maxPacket:
		u.dropped("A message of %d bytes under %s was left out: the broker takes %d at most.", len(packet), local, r.remote.maxPacket)
		m.QoS = qos
		r.settleOut(m)
		return
	case qos > 0 && u.suspect.times >= suspicion && u.suspect.id == m.PacketID:
		u.dropped("A message of %d bytes under %s was left out: the broker has closed the connection each time that it got it.", len(packet), local)
		u.suspect.id, u.suspect.times = 0, 0
		m.QoS = qos
		r.settleOut(m)
		return
	}
	if qos > 0 && m.QoS > 0 {
		p := passage{stage: handed, topic: local}
		if m.QoS < qos {
			p.stage = lowered
		}
		r.mu.Lock()
		for !r.closed && (r.out[m.PacketID].stage == own || r.out[m.PacketID].stage == 0 && len(r.out) >= r.remote.receiveMaximum) {
			r.changed.Wait()
		}
		r.out[m.PacketID] = p
		r.mu.Unlock()
	}
	if m.Retain {
		u.remembered.note(topic, len(m.Payload) > 0)
	}
	r.remote.send(func(b []byte) []byte { return append(b, packet...) })
	u.count(func(s *Status) { s.Out++ })
	if qos > 0 && m.QoS == 0 {
		m.QoS = qos
		r.settleOut(m)
	}
}

// settleOut acknowledges a message of the box that the remote has nothing to say about.
func (r *relay) settleOut(m *mqtt.Publish) {
	switch m.QoS {
	case 1:
		r.local.ack(mqtt.PUBACK, m.PacketID, mqtt.Success)
		r.mu.Lock()
		r.passed++
		r.mu.Unlock()
	case 2:
		r.mu.Lock()
		r.out[m.PacketID] = passage{stage: settled}
		r.mu.Unlock()
		r.local.ack(mqtt.PUBREC, m.PacketID, mqtt.Success)
	}
}

// done takes a message off the list of those that go out.
func (r *relay) done(id uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.out, id)
	r.passed++
	r.changed.Broadcast()
}

// progress reports whether any message of the box was done with.
func (r *relay) progress() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed > 0
}

// alone returns the packet id of the message of the box that is on its way, if it is the
// only one.
func (r *relay) alone() (id uint16, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.out {
		if p.stage == handed || p.stage == lowered {
			if ok {
				return 0, false
			}
			id, ok = i, true
		}
	}
	return id, ok
}
