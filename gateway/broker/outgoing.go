package broker

import (
	"time"

	"lintel/gateway/mqtt"
)

// room implements peer.
func (c *connection) room() bool { return c.hasRoom() }

// publish implements peer.
func (c *connection) publish(m *message, d delivery, f *flushList) bool {
	now := time.Time{}
	if !m.Expires.IsZero() {
		now = time.Now()
	}
	c.mu.Lock()
	alias, known := c.alias(m.Topic)
	d.alias, d.aliased = alias, known
	fits := c.appendPublish(m, d, now)
	switch {
	case fits && alias != 0 && !known:
		// Only now: an alias holds once its first packet is in the stream.
		c.sentAliases[m.Topic] = alias
	case !fits && alias != 0: // with its three bytes
		d.alias, d.aliased = 0, false
		fits = c.appendPublish(m, d, now)
	}
	c.mu.Unlock()
	f.add(c.conn)
	return fits
}

// appendPublish appends a PUBLISH unless it is too large for the client. Called
// with conn.mu held.
func (c *connection) appendPublish(m *message, d delivery, now time.Time) (fits bool) {
	fits = true
	c.carries = m.Trace
	c.appendLocked(func(b []byte) []byte {
		n := len(b)
		b = m.append(b, c.version, d, now)
		if uint32(len(b)-n) > c.maxPacketSize {
			fits = false
			c.packets--
			b = b[:n]
		}
		return b
	})
	return fits
}

// alias returns the topic alias for a topic, and whether the client knows it. The
// first topics that are sent get one, as many as the client takes
// [v5 MQTT-3.1.2-26, MQTT-3.1.2-27]. Called with conn.mu held.
func (c *connection) alias(topic string) (alias uint16, known bool) {
	if c.aliasMaximum == 0 {
		return 0, false
	}
	if alias, known = c.sentAliases[topic]; known {
		return alias, true
	}
	if len(c.sentAliases) >= int(min(c.aliasMaximum, maxSentAliases)) {
		return 0, false
	}
	if c.sentAliases == nil {
		c.sentAliases = make(map[string]uint16)
	}
	return uint16(len(c.sentAliases) + 1), false
}

// maxSentAliases bounds what is remembered for a client that takes many aliases.
const maxSentAliases = 256

// pubrel implements peer.
func (c *connection) pubrel(packetID uint16, f *flushList) {
	c.sendAck(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: packetID}, f)
}
