package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// limited is a clean CONNECT of 5.0 with one number among its properties.
func limited(packet mqtt.Connect, id mqtt.PropertyID, n uint32) mqtt.Connect {
	packet.Properties.SetUint(id, n)
	return packet
}

// The client's Receive Maximum (5.0 §4.9): the quota comes back with PUBACK,
// PUBCOMP and a PUBREC that is an error, not with other PUBRECs; what else there
// is goes on meanwhile, and what waits is sent at once.
func TestReceiveMaximum(t *testing.T) {
	s := newServer(t)
	for _, session := range []func(mqtt.Version, string) mqtt.Connect{clean, durable} {
		c := connect(t, s, limited(session(mqtt.V50, "c"), mqtt.ReceiveMaximum, 2))
		c.subscribe(filter("r", 2), filter("zero", 0))
		from := connect(t, s, clean(mqtt.V50, "from"))
		for i := range 6 {
			from.publish("r", fmt.Sprint(i), 2, false)
		}
		a, b := c.wantMessage("r", "0", 2).PacketID, c.wantMessage("r", "1", 2).PacketID
		c.barrier()
		from.publish("zero", "x", 0, false)
		c.wantMessage("zero", "x", 0)
		c.ack(mqtt.PUBREC, a)
		c.wantAck(mqtt.PUBREL, a, mqtt.Success)
		c.barrier()
		c.ack(mqtt.PUBCOMP, a)
		a = c.wantMessage("r", "2", 2).PacketID
		c.barrier()
		c.send(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: b, Code: mqtt.QuotaExceeded})
		b = c.wantMessage("r", "3", 2).PacketID
		c.barrier()
		c.ack(mqtt.PUBACK, 999) // gives nothing back
		c.barrier()
		// On a new connection the quota is new, and smaller.
		c.drop()
		c = connect(t, s, limited(session(mqtt.V50, "c"), mqtt.ReceiveMaximum, 1))
		if !c.connack.SessionPresent {
			c.bye()
			continue
		}
		for i, id := range []uint16{a, b} {
			m := c.wantMessage("r", fmt.Sprint(2+i), 2)
			if m.PacketID != id || !m.Dup {
				t.Fatalf("id %d and DUP %t, want %d", m.PacketID, m.Dup, id)
			}
			c.barrier()
			c.ack(mqtt.PUBREC, id)
			c.wantAck(mqtt.PUBREL, id, mqtt.Success)
			c.ack(mqtt.PUBCOMP, id)
		}
		c.take(2, func(i int, m *mqtt.Publish) {
			if string(m.Payload) != fmt.Sprint(4+i) {
				t.Errorf("received %s", m.Payload)
			}
		})
		c.barrier()
		c.bye()
	}
}

// The broker's own Receive Maximum [v5 MQTT-3.3.4-7]. It counts what is open on
// this connection, a repeat not twice.
func TestServerReceiveMaximum(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{ReceiveMaximum: 2})
	c := connect(t, s, durable(mqtt.V50, "c"))
	c.send(pub("t", "", 2, 1), pub("t", "", 2, 2), pub("t", "", 2, 2))
	for _, id := range []uint16{1, 2, 2} {
		c.wantAck(mqtt.PUBREC, id, mqtt.Success)
	}
	c.send(pub("t", "", 0, 0))
	c.ack(mqtt.PUBREL, 1)
	c.wantAck(mqtt.PUBCOMP, 1, mqtt.Success)
	c.publish("t", "", 1, false)
	c.drop()
	// Its quota is new with each connection (§4.9), though one id is still open.
	c = connect(t, s, durable(mqtt.V50, "c"))
	c.send(pub("t", "", 2, 3), pub("t", "", 2, 4))
	c.wantAck(mqtt.PUBREC, 3, mqtt.Success)
	c.wantAck(mqtt.PUBREC, 4, mqtt.Success)
	c.ack(mqtt.PUBREL, 2)
	c.wantAck(mqtt.PUBCOMP, 2, mqtt.Success)
	c.send(pub("t", "", 2, 5))
	c.wantEnd(mqtt.ReceiveMaximumExceeded)
	// Older versions have no such limit.
	old := connect(t, s, clean(mqtt.V311, "old"))
	for id := range uint16(5) {
		old.send(pub("t", "", 2, id+1))
		old.wantAck(mqtt.PUBREC, id+1, mqtt.Success)
	}
}

// Maximum Packet Size counts the whole packet, in both directions. What is too
// large for a client counts as delivered and holds up nothing
// [v5 MQTT-3.1.2-24, MQTT-3.1.2-25].
func TestMaximumPacketSize(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxPacketSize: 200})
	for _, session := range []func(mqtt.Version, string) mqtt.Connect{clean, durable} {
		for qos := range mqtt.QoS(3) {
			fits := (&mqtt.Publish{Topic: []byte("m"), QoS: qos, PacketID: 1}).Append(nil, mqtt.V50)
			size := len(fits) + 50
			packet := limited(session(mqtt.V50, "c"), mqtt.MaximumPacketSize, uint32(size))
			packet.Properties.SetUint(mqtt.ReceiveMaximum, 1)
			packet.Properties.SetUint(mqtt.TopicAliasMaximum, 5) // an alias must not make it too large
			c := connect(t, s, packet)
			c.subscribe(filter("m", mqtt.SubscriptionOptions(qos)))
			from := connect(t, s, clean(mqtt.V50, "from"))
			dropped := s.Stats().PublishDropped
			large, exact := strings.Repeat("x", 51), strings.Repeat("x", 50)
			for range 3 {
				for _, payload := range []string{large, exact, large} {
					from.send(pub("m", payload, 2, 1)) // all at once: some have to wait
					from.wantAck(mqtt.PUBREC, 1, mqtt.Success)
					from.ack(mqtt.PUBREL, 1)
					from.wantAck(mqtt.PUBCOMP, 1, mqtt.Success)
				}
			}
			c.take(3, func(_ int, m *mqtt.Publish) {
				if string(m.Payload) != exact || m.Dup {
					t.Errorf("received %d bytes, DUP %t", len(m.Payload), m.Dup)
				}
			})
			eventually(t, "the drops are counted", func() bool { return s.Stats().PublishDropped-dropped == 6 })
			c.barrier()
			from.bye()
			c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"m"}})
			c.wantCodes(mqtt.UNSUBACK, 1, mqtt.Success)
			c.bye()
		}
	}
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		m := pub("m", strings.Repeat("x", 300), 0, 0)
		m.Payload = m.Payload[:200-len((&mqtt.Publish{Topic: m.Topic, Payload: m.Payload}).Append(nil, v))+300]
		b := m.Append(nil, v)
		if len(b) != 200 {
			t.Fatalf("%d bytes", len(b))
		}
		c.raw(b)
		c.barrier()
		m.Payload = append(m.Payload, 'x')
		c.raw(m.Append(nil, v)[:3]) // its header tells
		c.wantEnd(mqtt.PacketTooLarge)
	}, versions...)
}

// Topic aliases of a client (5.0 §3.3.2.3.4): they change, belong to the
// connection, and are defined by a message that is refused or repeated too. What
// is stored has the whole name.
func TestTopicAlias(t *testing.T) {
	s := newServer(t)
	to := connect(t, s, clean(mqtt.V50, "to"))
	to.subscribe(filter("#", 0))
	c := connect(t, s, durable(mqtt.V50, "c"))
	alias := func(topic string, alias uint16, qos mqtt.QoS, id uint16) *mqtt.Publish {
		m := pub(topic, "x", qos, id)
		m.TopicAlias = alias
		return m
	}
	c.send(alias("a", 1, 0, 0), alias("", 1, 0, 0), alias("b", 64, 1, 1), alias("", 64, 0, 0), alias("c", 1, 0, 0), alias("", 1, 0, 0))
	c.wantAck(mqtt.PUBACK, 1, mqtt.Success)
	for _, topic := range []string{"a", "a", "b", "b", "c", "c"} {
		if m := to.wantMessage(topic, "x", 0); m.TopicAlias != 0 {
			t.Error("the publisher's alias reached the subscriber")
		}
	}
	c.send(alias("d", 2, 2, 2), alias("e", 3, 2, 2), alias("", 3, 0, 0))
	c.wantAck(mqtt.PUBREC, 2, mqtt.Success)
	c.wantAck(mqtt.PUBREC, 2, mqtt.Success)
	to.wantMessage("d", "x", 0)
	to.wantMessage("e", "x", 0) // by the alias that came with a repeat
	c.send(alias("$SYS/x", 4, 0, 0), alias("", 4, 1, 5))
	c.wantAck(mqtt.PUBACK, 5, mqtt.NotAuthorized)
	c.drop()
	c = connect(t, s, durable(mqtt.V50, "c"))
	c.send(alias("", 1, 0, 0))
	c.wantEnd(mqtt.ProtocolError)
	to.barrier()
}

// Properties of a message travel unchanged and in order; acknowledgements carry
// none of them [v5 MQTT-3.3.2-17, MQTT-3.3.2-18].
func TestProperties(t *testing.T) {
	s := newServer(t)
	to := connect(t, s, clean(mqtt.V50, "to"))
	old := connect(t, s, clean(mqtt.V311, "old"))
	for _, c := range []*rawClient{to, old} {
		c.subscribe(filter("p", 2))
	}
	from := connect(t, s, clean(mqtt.V50, "from"))
	const user = "\x26\x00\x01k\x00\x01v"
	all := user + "\x01\x00\x09\x00\x02\xFF\x00" + user + "\x08\x00\x03r/t\x03\x00\x00\x26\x00\x00\x00\x00" + user
	for qos := range mqtt.QoS(3) {
		m := pub("p", "\xFF\xFE", qos, 1)
		// A hop's own properties in the midst of it.
		b := m.Append(nil, mqtt.V50)
		cut := len(b) - len(m.Payload) - 1
		properties := all[:7] + "\x23\x00\x01" + all[7:9] + "\x02\x00\x00\x01\x00" + all[9:]
		packet := append(append(append([]byte(nil), b[:cut]...), byte(len(properties))), properties...)
		packet = append(packet, m.Payload...)
		packet[1] = byte(len(packet) - 2)
		from.raw(packet)
		switch qos {
		case 1:
			from.wantAck(mqtt.PUBACK, 1, mqtt.Success)
		case 2:
			if p := from.expect(mqtt.PUBREC); len(p.Body) != 2 {
				t.Errorf("PUBREC % x", p.Body)
			}
			from.ack(mqtt.PUBREL, 1)
			from.wantAck(mqtt.PUBCOMP, 1, mqtt.Success)
		}
		to.take(1, func(_ int, m *mqtt.Publish) {
			if string(m.Properties) != all || m.Expiry != 256 || string(m.Payload) != "\xFF\xFE" {
				t.Errorf("QoS %d: properties % x, expiry %d", qos, m.Properties, m.Expiry)
			}
		})
		old.take(1, func(_ int, m *mqtt.Publish) {
			if string(m.Payload) != "\xFF\xFE" {
				t.Errorf("QoS %d: % x", qos, m.Payload)
			}
		})
	}
}

// A subscriber that does not read loses messages of QoS 0, which is counted, and
// keeps those of QoS 1; nobody else notices.
func TestSlowReader(t *testing.T) {
	s := newServer(t)
	slow := connect(t, s, clean(mqtt.V50, "slow"))
	slow.subscribe(filter("load/#", 1))
	fast := connect(t, s, clean(mqtt.V311, "fast"))
	fast.subscribe(filter("load/#", 0), filter("tick", 0))
	from := connect(t, s, clean(mqtt.V311, "from"))
	const n, batch = 50_000, 500
	payload := strings.Repeat("x", 300)
	var b []byte
	for range batch {
		b = pub("load/zero", payload, 0, 0).Append(b, mqtt.V311)
	}
	b = pub("tick", "", 0, 0).Append(b, mqtt.V311)
	slowest := time.Duration(0)
	for range n / batch {
		start := time.Now()
		from.raw(b)
		for range batch {
			fast.expect(mqtt.PUBLISH)
		}
		fast.expect(mqtt.PUBLISH)
		slowest = max(slowest, time.Since(start))
	}
	if slowest > 2*time.Second {
		t.Errorf("a batch took %v", slowest)
	}
	from.publish("load/one", "still here", 1, false)
	fast.wantMessage("load/one", "still here", 0)
	var info broker.ClientInfo
	for _, c := range s.Clients() {
		if c.ID == "slow" {
			info = c
		}
	}
	if info.Dropped == 0 || info.Dropped != s.Stats().PublishDropped || info.Queued != 1 {
		t.Errorf("%d messages dropped, %d in all, %d queued", info.Dropped, s.Stats().PublishDropped, info.Queued)
	}
	received := 0
	for {
		m := slow.message()
		if m.QoS == 1 {
			break
		}
		received++
	}
	if received+int(info.Dropped) != n {
		t.Errorf("%d received and %d dropped of %d", received, info.Dropped, n)
	}
}

// A client whose connection is half open, or that neither reads nor says
// anything, can be taken over at once.
func TestTakeOverOfStalledClient(t *testing.T) {
	s := newServer(t)
	stalled := connect(t, s, durable(mqtt.V50, "c"))
	stalled.subscribe(filter("big", 1))
	from := connect(t, s, clean(mqtt.V311, "from"))
	payload := strings.Repeat("x", 1<<20)
	const n = 20
	for range n {
		from.publish("big", payload, 1, false)
	}
	start := time.Now()
	c := connect(t, s, durable(mqtt.V50, "c"))
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took over after %v", d)
	}
	c.take(n, func(_ int, m *mqtt.Publish) {
		if len(m.Payload) != len(payload) {
			t.Errorf("received %d bytes", len(m.Payload))
		}
	})
	c.barrier()
}

// A client before 5.0 that acknowledges nothing stalls itself only.
func TestOldClientWithoutAcks(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxInflight: 3})
	c := connect(t, s, clean(mqtt.V311, "c"))
	c.subscribe(filter("w", 1))
	from := connect(t, s, clean(mqtt.V311, "from"))
	for i := range 10 {
		from.publish("w", fmt.Sprint(i), 1, false)
	}
	var ids []uint16
	for i := range 3 {
		ids = append(ids, c.wantMessage("w", fmt.Sprint(i), 1).PacketID)
	}
	c.barrier()
	c.ack(mqtt.PUBACK, ids[1]) // in any order
	c.wantMessage("w", "3", 1)
	c.barrier()
}

// What has expired makes room in a queue that is full.
func TestFullQueueOfExpired(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxQueuedMessages: 3})
	c := connect(t, s, durable(mqtt.V50, "c"))
	c.subscribe(filter("q", 1))
	c.drop()
	from := connect(t, s, clean(mqtt.V50, "from"))
	for i := range 3 {
		m := pub("q", fmt.Sprint(i), 1, 1)
		m.HasExpiry, m.Expiry = i != 1, 1
		from.exchange(m)
	}
	from.publish("q", "dropped", 1, false)
	marker := pub("marker", "x", 0, 0)
	marker.HasExpiry, marker.Expiry, marker.Retain = true, 1, true
	from.exchange(marker)
	eventually(t, "a second is over", func() bool { return s.Stats().Retained == 0 })
	from.publish("q", "fits", 1, false)
	c = connect(t, s, durable(mqtt.V50, "c"))
	c.wantMessage("q", "1", 1)
	c.wantMessage("q", "fits", 1)
	c.barrier()
	if n := s.Stats().PublishDropped; n != 1 {
		t.Errorf("%d messages were dropped", n)
	}
}
