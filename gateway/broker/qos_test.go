package broker_test

import (
	"context"
	"fmt"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

func pub(topic, payload string, qos mqtt.QoS, id uint16) *mqtt.Publish {
	return &mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, PacketID: id}
}

// missing is the code of PUBREL and PUBCOMP for an id that is not known.
func missing(v mqtt.Version) mqtt.ReasonCode {
	if v == mqtt.V50 {
		return mqtt.PacketIdentifierNotFound
	}
	return mqtt.Success
}

// Delivery is at the lower of both levels [v3 MQTT-3.8.4-6, v5 MQTT-3.8.4-8].
func TestQoSLevels(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		from := connect(t, s, clean(v, "from"))
		for granted := range mqtt.QoS(3) {
			for published := range mqtt.QoS(3) {
				to := connect(t, s, clean(v, "to"))
				to.subscribe(filter("t", mqtt.SubscriptionOptions(granted)))
				from.publish("t", "x", published, false)
				m := to.wantMessage("t", "x", min(granted, published))
				if m.Dup || m.Retain {
					t.Errorf("DUP %t, RETAIN %t", m.Dup, m.Retain)
				}
				switch m.QoS {
				case 1:
					to.ack(mqtt.PUBACK, m.PacketID)
				case 2:
					to.ack(mqtt.PUBREC, m.PacketID)
					to.wantAck(mqtt.PUBREL, m.PacketID, mqtt.Success)
					to.ack(mqtt.PUBCOMP, m.PacketID)
				}
				to.barrier()
				to.bye()
			}
		}
	}, versions...)
}

// A QoS 2 message that comes again is acknowledged again, any number of times,
// with DUP or without, also on another connection, and delivered once
// [v3 MQTT-4.3.3-2, v5 MQTT-4.3.3-10].
func TestRepeatedQoS2(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		to := connect(t, s, clean(v, "to"))
		to.subscribe(filter("t", 0))
		from := connect(t, s, durable(v, "from"))
		for range 3 {
			from.send(pub("t", "once", 2, 7))
			from.wantAck(mqtt.PUBREC, 7, mqtt.Success)
		}
		again := pub("t", "once", 2, 7)
		again.Dup = true
		from.send(again)
		from.wantAck(mqtt.PUBREC, 7, mqtt.Success)
		from.drop()
		from = connect(t, s, durable(v, "from"))
		from.send(again)
		from.wantAck(mqtt.PUBREC, 7, mqtt.Success)
		from.ack(mqtt.PUBREL, 7)
		from.wantAck(mqtt.PUBCOMP, 7, mqtt.Success)
		from.ack(mqtt.PUBREL, 7)
		from.wantAck(mqtt.PUBCOMP, 7, missing(v))
		to.wantMessage("t", "once", 0)
		to.barrier()
		// After PUBCOMP the id is free: the next message is new, even with DUP.
		again.Payload = []byte("twice")
		from.exchange(again)
		to.wantMessage("t", "twice", 0)
		// So it is for QoS 1 after each PUBACK.
		for _, payload := range []string{"a", "a"} {
			from.publish("t", payload, 1, false)
			to.wantMessage("t", payload, 0)
		}
		to.barrier()
	}, versions...)
}

// The packet ids of both directions are independent (5.0 §2.2.1).
func TestPacketIDsOfBothSides(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		c.subscribe(filter("mine", 2))
		other := connect(t, s, clean(v, "other"))
		other.publish("mine", "to c", 2, false)
		id := c.wantMessage("mine", "to c", 2).PacketID
		// The same id, while the other is open, through all steps.
		c.send(pub("else", "from c", 2, id))
		c.wantAck(mqtt.PUBREC, id, mqtt.Success)
		c.ack(mqtt.PUBREC, id)
		c.wantAck(mqtt.PUBREL, id, mqtt.Success)
		c.ack(mqtt.PUBREL, id)
		c.wantAck(mqtt.PUBCOMP, id, mqtt.Success)
		c.ack(mqtt.PUBCOMP, id)
		c.barrier()
	}, versions...)
}

// PUBREC as often as the client likes; an error ends the exchange
// [v5 MQTT-4.3.3-4, MQTT-4.4.0-2].
func TestPubrec(t *testing.T) {
	s := newServer(t)
	for _, session := range []func(mqtt.Version, string) mqtt.Connect{clean, durable} {
		c := connect(t, s, session(mqtt.V50, "c"))
		c.subscribe(filter("t", 2))
		from := connect(t, s, clean(mqtt.V50, "from"))
		from.publish("t", "x", 2, false)
		id := c.wantMessage("t", "x", 2).PacketID
		for range 3 {
			c.ack(mqtt.PUBREC, id)
			c.wantAck(mqtt.PUBREL, id, mqtt.Success)
		}
		c.ack(mqtt.PUBCOMP, id)
		c.ack(mqtt.PUBREC, id)
		c.wantAck(mqtt.PUBREL, id, mqtt.PacketIdentifierNotFound)

		from.publish("t", "y", 2, false)
		id = c.wantMessage("t", "y", 2).PacketID
		c.send(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: id, Code: mqtt.UnspecifiedError})
		c.barrier() // no PUBREL
		c.drop()
		c = connect(t, s, session(mqtt.V50, "c"))
		c.barrier() // and it is never sent again
		c.bye()
		from.bye()
	}
}

// Nothing is sent twice on one connection [v5 MQTT-4.4.0-1]. On the next one all
// that is open is: in the order of its first sending, PUBLISH with DUP, PUBREL as
// PUBREL, under the same ids; then what had to wait, without DUP.
func TestResend(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxInflight: 4})
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		id := "resend-" + versionName(v)
		topic := "resend/" + versionName(v)
		c := connect(t, s, durable(v, id))
		c.subscribe(filter(topic, 2))
		from := connect(t, s, clean(v, "from"))
		qos := []mqtt.QoS{1, 2, 1, 2, 1, 2, 1}
		for i, q := range qos {
			from.publish(topic, fmt.Sprint(i), q, false)
		}
		ids := make(map[string]uint16)
		order := readOpen(c, 4, ids)
		c.barrier()
		// One of the messages of QoS 2 gets to PUBREL.
		c.ack(mqtt.PUBREC, ids["1"])
		c.wantAck(mqtt.PUBREL, ids["1"], mqtt.Success)
		c.barrier()
		for range 2 {
			c.drop()
			c = connect(t, s, durable(v, id))
			if c.connack.SessionPresent != (v != mqtt.V31) {
				t.Fatal("session not present")
			}
			for _, payload := range order {
				if payload == "1" {
					c.wantAck(mqtt.PUBREL, ids["1"], mqtt.Success)
					continue
				}
				if m := c.message(); string(m.Payload) != payload || !m.Dup || m.PacketID != ids[payload] {
					t.Fatalf("received %s with id %d and DUP %t, want %s with id %d and DUP", m.Payload, m.PacketID, m.Dup, payload, ids[payload])
				}
			}
			c.barrier()
		}
		c.ack(mqtt.PUBCOMP, ids["1"])
		m := c.message()
		if string(m.Payload) != "4" || m.Dup || m.QoS != 1 {
			t.Fatalf("received %s with QoS %d and DUP %t", m.Payload, m.QoS, m.Dup)
		}
		for _, open := range ids {
			if m.PacketID == open && open != ids["1"] {
				t.Fatalf("id %d was given twice", m.PacketID)
			}
		}
	}, versions...)
}

// readOpen reads n messages and remembers their ids. QoS 1 may come before an
// earlier message of QoS 2, which has to wait for the store.
func readOpen(c *rawClient, n int, ids map[string]uint16) (order []string) {
	c.t.Helper()
	for range n {
		m := c.message()
		order = append(order, string(m.Payload))
		ids[string(m.Payload)] = m.PacketID
	}
	return order
}

// Three thousand queued messages come in their order, and new ones behind them
// [v5 MQTT-4.6.0-5, MQTT-4.6.0-6].
func TestOrder(t *testing.T) {
	s := newServer(t)
	const n = 3000
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		id := fmt.Sprint("order", qos)
		c := connect(t, s, durable(mqtt.V311, id))
		c.subscribe(filter(id, 2))
		c.bye()
		from := connect(t, s, clean(mqtt.V311, "from"))
		send := func(first, end int) {
			var b []byte
			for i := first; i < end; i++ {
				b = pub(id, fmt.Sprint(i), qos, uint16(i+1)).Append(b, mqtt.V311)
			}
			from.raw(b)
			for i := first; i < end; i++ { // in order, too
				if qos == 1 {
					from.wantAck(mqtt.PUBACK, uint16(i+1), mqtt.Success)
				} else {
					from.wantAck(mqtt.PUBREC, uint16(i+1), mqtt.Success)
				}
			}
		}
		send(0, n)
		c = connect(t, s, durable(mqtt.V311, id))
		send(n, n+500)
		c.take(n+500, func(i int, m *mqtt.Publish) {
			if string(m.Payload) != fmt.Sprint(i) || m.Dup || m.QoS != qos {
				t.Fatalf("received %s with QoS %d and DUP %t, want %d", m.Payload, m.QoS, m.Dup, i)
			}
		})
		from.bye()
	}
}

// A message that nobody wants is acknowledged at once, and so is one into the
// server's own topics, which is dropped; 5.0 says so (§4.7.2).
func TestPublishIntoNothing(t *testing.T) {
	s := newServer(t)
	refused := map[mqtt.Version]mqtt.ReasonCode{mqtt.V50: mqtt.NotAuthorized}
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		c.subscribe(filter("$SYS/#", 2))
		c.publish("nobody", "", 1, false)
		c.publish("nobody", "", 2, false)
		for _, topic := range []string{"$SYS/broker/version", "$share/g/t", "$", "$x"} {
			c.send(pub(topic, "x", 0, 0), pub(topic, "x", 1, 3), pub(topic, "x", 2, 4))
			c.wantAck(mqtt.PUBACK, 3, refused[v])
			c.wantAck(mqtt.PUBREC, 4, refused[v])
			if v != mqtt.V50 {
				c.ack(mqtt.PUBREL, 4)
				c.wantAck(mqtt.PUBCOMP, 4, mqtt.Success)
			}
		}
		c.barrier()
	}, versions...)
}

// The allocator of packet ids skips what is open, leaves out 0, and wraps.
func TestPacketIDsWrap(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, clean(mqtt.V311, "c"))
	c.subscribe(filter("t", 1))
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.send(pub("t", "open", 1, 1))
	open := c.wantMessage("t", "open", 1).PacketID
	from.wantAck(mqtt.PUBACK, 1, mqtt.Success)
	const batch = 50
	last := open
	for sent := 0; sent < 66000; sent += batch {
		var b, acks []byte
		for range batch {
			b = pub("t", "", 1, 2).Append(b, mqtt.V311)
		}
		from.raw(b)
		for range batch {
			m := c.message()
			// One id may be skipped beside 0 and the open one: it has the
			// same place in the table of those in use.
			if step := m.PacketID - last; m.PacketID == 0 || m.PacketID == open || step == 0 || step > 3 {
				t.Fatalf("packet id %d after %d", m.PacketID, last)
			}
			last = m.PacketID
			acks = (&mqtt.Ack{Type: mqtt.PUBACK, PacketID: last}).Append(acks, mqtt.V311)
		}
		c.raw(acks)
		for range batch {
			from.wantAck(mqtt.PUBACK, 2, mqtt.Success)
		}
	}
}

// While a message of QoS 2 waits for the store, which is to know its packet id first, the
// next one waits behind it, though there is room in the window.
func TestNothingOvertakesWhatWaitsForTheStore(t *testing.T) {
	s := newServer(t)
	packet := durable(mqtt.V50, "to")
	packet.Properties.SetUint(mqtt.ReceiveMaximum, 1)
	to := connect(t, s, packet)
	to.subscribe(filter("t", 2))
	connect(t, s, clean(mqtt.V50, "first")).send(pub("t", "0", 1, 1))
	m := to.wantMessage("t", "0", 1)

	hold, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.store.Append(new(persist.Batch), func() { <-hold.Done() }) // nobody hears of a commit until then
	from := connect(t, s, clean(mqtt.V50, "from"))
	from.send(pub("t", "1", 2, 1))
	from.barrier()
	to.ack(mqtt.PUBACK, m.PacketID)
	to.barrier()
	from.send(pub("t", "2", 1, 2))
	from.barrier()
	to.barrier() // nothing has come
	cancel()
	m = to.wantMessage("t", "1", 2)
	to.ack(mqtt.PUBREC, m.PacketID)
	to.expect(mqtt.PUBREL)
	to.ack(mqtt.PUBCOMP, m.PacketID)
	to.wantMessage("t", "2", 1)
}
