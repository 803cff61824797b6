package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
)

// message is an application message inside the broker. Deliveries, queues and
// the retained store share it. Only a borrowed one, whose bytes lie in the
// read buffer of a connection, has to be cloned before it is kept.
type message struct {
	mqtt.Message
	id        uint64 // by which several entries in the store share it; 0: at most one has it
	from      string // client id of the publisher, for No Local
	borrowed  bool
	refusable bool   // if it cannot be retained: its publisher can be told
	receiver  bool   // it goes to a single receiver: encoding it once is no gain
	own       *entry // room for the entry of that receiver; nil: none was made

	off *atomic.Int64 // Broker.off, if Expires leaves that out; else nil

	retained atomic.Bool // it is the retained message of its topic

	mu      sync.Mutex
	encoded *[12][]byte // by layout; only for messages that look alike to all
}

// clone returns a message that may be kept.
func (m *message) clone() *message {
	if !m.borrowed {
		return m
	}
	c := &message{Message: m.Message, from: m.from}
	c.Payload = append([]byte(nil), m.Payload...)
	if m.Properties != nil {
		c.Properties = append([]byte(nil), m.Properties...)
	}
	return c
}

// size is what the message takes where it waits for a client, about.
func (m *message) size() int {
	return len(m.Topic) + len(m.Payload) + len(m.Properties) + messageOverhead
}

const messageOverhead = 64

// expires returns when the message expires, if it does.
func (m *message) expires() time.Time {
	if m.off == nil {
		return m.Expires
	}
	return m.Expires.Add(-time.Duration(m.off.Load()))
}

func (m *message) expired(now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.expires())
}

// delivery is how a message goes to one receiver.
type delivery struct {
	qos         mqtt.QoS
	retain      bool
	dup         bool
	packetID    uint16
	identifiers []uint32
	alias       uint16 // topic alias; 0: none
	aliased     bool   // the receiver knows the alias: the topic is left out
}

// append appends the PUBLISH packet for one delivery. A message for several
// receivers is encoded once for each protocol version, QoS and RETAIN flag;
// one that is different for each receiver, because it counts down its expiry or
// carries identifiers or an alias, is encoded anew.
func (m *message) append(dst []byte, v mqtt.Version, d delivery, now time.Time) []byte {
	p := mqtt.Publish{QoS: d.qos, Retain: d.retain, Dup: d.dup, PacketID: d.packetID, Payload: m.Payload}
	if v == mqtt.V50 {
		p.Properties, p.Identifiers, p.TopicAlias = m.Properties, d.identifiers, d.alias
		if !m.Expires.IsZero() {
			// Seconds left, rounded up; a resend is never sent with 0
			// [v5 MQTT-3.3.2-6].
			p.HasExpiry, p.Expiry = true, uint32(max(1, (m.expires().Sub(now)+time.Second-1)/time.Second))
		}
	}
	if d.aliased {
		return p.AppendTopic(dst, v, "")
	}
	if m.receiver || p.HasExpiry || len(p.Identifiers) > 0 || d.alias != 0 {
		return p.AppendTopic(dst, v, m.Topic)
	}
	layout := int(d.qos) << 1
	if d.retain {
		layout++
	}
	if v == mqtt.V50 {
		layout += 6
	}
	m.mu.Lock()
	if m.encoded == nil {
		m.encoded = new([12][]byte)
	}
	if len(m.encoded[layout]) == 0 {
		p.Dup = false
		m.encoded[layout] = p.AppendTopic(m.encoded[layout], v, m.Topic)
	}
	packet := m.encoded[layout]
	m.mu.Unlock()
	start := len(dst)
	dst = append(dst, packet...)
	if d.qos > 0 {
		mqtt.SetPacketID(dst[start:], d.packetID)
	}
	if d.dup {
		dst[start] |= 0x08
	}
	return dst
}
