package broker_test

import (
	"fmt"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// lasting is a broker that can be started again on the same store.
type lasting struct {
	*server
	t *testing.T
	o broker.Options
}

func newLasting(t *testing.T, o broker.Options) *lasting {
	return &lasting{startServer(t, t.TempDir(), o), t, o}
}

func (l *lasting) restart() {
	l.t.Helper()
	l.stop()
	l.server = startServer(l.t, l.dir, l.o)
}

// again breaks a client's connection, starts the broker anew and connects.
func (l *lasting) again(c *rawClient, packet mqtt.Connect) *rawClient {
	l.t.Helper()
	c.drop()
	l.restart()
	c = connect(l.t, l.server, packet)
	if c.connack.SessionPresent != (c.version != mqtt.V31) {
		l.t.Fatal("session not present after the restart")
	}
	return c
}

// From the publisher to the broker, with a restart between all steps.
func TestRestartWithinIncomingQoS2(t *testing.T) {
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		l := newLasting(t, broker.Options{})
		to := connect(t, l.server, durable(v, "to"))
		to.subscribe(filter("t", 2))
		to.bye()
		from := connect(t, l.server, durable(v, "from"))
		for _, payload := range []string{"first", "second"} { // under one id
			from.send(pub("t", payload, 2, 9))
			from.wantAck(mqtt.PUBREC, 9, mqtt.Success)
			from = l.again(from, durable(v, "from"))
			repeat := pub("t", payload, 2, 9)
			repeat.Dup = true
			from.send(repeat)
			from.wantAck(mqtt.PUBREC, 9, mqtt.Success)
			from.ack(mqtt.PUBREL, 9)
			from.wantAck(mqtt.PUBCOMP, 9, mqtt.Success)
			from = l.again(from, durable(v, "from"))
			from.ack(mqtt.PUBREL, 9) // as if PUBCOMP had been lost
			from.wantAck(mqtt.PUBCOMP, 9, missing(v))
		}
		to = connect(t, l.server, durable(v, "to"))
		to.wantMessage("t", "first", 2)
		to.wantMessage("t", "second", 2)
		to.barrier()
	}, versions...)
}

// From the broker to the subscriber, with a restart between all steps.
func TestRestartWithinOutgoingQoS2(t *testing.T) {
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		l := newLasting(t, broker.Options{})
		to := connect(t, l.server, durable(v, "to"))
		to.subscribe(filter("t", 2))
		from := connect(t, l.server, clean(v, "from"))
		from.publish("t", "x", 2, false)
		from.bye()
		id := to.wantMessage("t", "x", 2).PacketID
		for range 2 {
			to = l.again(to, durable(v, "to"))
			m := to.wantMessage("t", "x", 2)
			if !m.Dup || m.PacketID != id {
				t.Fatalf("id %d with DUP %t, want %d with DUP", m.PacketID, m.Dup, id)
			}
			to.barrier()
		}
		to.ack(mqtt.PUBREC, id)
		to.wantAck(mqtt.PUBREL, id, mqtt.Success)
		for range 2 {
			to = l.again(to, durable(v, "to"))
			to.wantAck(mqtt.PUBREL, id, mqtt.Success)
			to.barrier()
		}
		to.ack(mqtt.PUBCOMP, id)
		to.barrier()
		to = l.again(to, durable(v, "to"))
		to.barrier()
	}, versions...)
}

// What waits: order, ids that are open, properties, identifiers and retained
// messages after a restart, and new messages behind.
func TestRestartWithQueue(t *testing.T) {
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) { restartWithQueue(t, qos) })
	}
}

func restartWithQueue(t *testing.T, qos mqtt.QoS) {
	l := newLasting(t, broker.Options{MaxInflight: 2})
	to := connect(t, l.server, durable(mqtt.V50, "to"))
	to.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("q/#", 2)}, Properties: identifier(77)})
	to.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS2)
	from := connect(t, l.server, clean(mqtt.V50, "from"))
	const properties = "\x26\x00\x01b\x00\x012\x01\x01\x09\x00\x03\x00\x01\x02\x26\x00\x01b\x00\x011\x26\x00\x01a\x00\x00"
	payloads := []string{"0", "1", "2", "3", "4"}
	for i, payload := range payloads {
		m := pub("q/"+payload, payload, qos, 1)
		m.Properties, m.HasExpiry, m.Expiry = []byte(properties), i == 4, 1000
		m.Retain = i == 3
		from.exchange(m)
	}
	from.bye()
	ids := make(map[string]uint16)
	readOpen(to, 2, ids)
	to = l.again(to, durable(mqtt.V50, "to"))
	from = connect(t, l.server, clean(mqtt.V50, "from"))
	from.publish("q/5", "5", qos, false)
	payloads = append(payloads, "5")
	to.take(len(payloads), func(i int, m *mqtt.Publish) {
		payload := payloads[i]
		if string(m.Topic) != "q/"+payload || string(m.Payload) != payload || m.QoS != qos {
			t.Errorf("received %s %s with QoS %d, want %s", m.Topic, m.Payload, m.QoS, payload)
		}
		if len(m.Identifiers) != 1 || m.Identifiers[0] != 77 {
			t.Errorf("%s: identifiers %v", payload, m.Identifiers)
		}
		if i < 5 && string(m.Properties) != properties {
			t.Errorf("%s: properties % x", payload, m.Properties)
		}
		if m.HasExpiry != (i == 4) || m.HasExpiry && (m.Expiry > 1000 || m.Expiry < 990) {
			t.Errorf("%s: expiry %d %t", payload, m.Expiry, m.HasExpiry)
		}
		if i < 2 && (!m.Dup || m.PacketID != ids[payload]) || i >= 2 && m.Dup {
			t.Errorf("%s: id %d and DUP %t, first sent as %d", payload, m.PacketID, m.Dup, ids[payload])
		}
	})
	to.barrier()
	late := connect(t, l.server, clean(mqtt.V311, "late"))
	late.subscribe(filter("#", 1))
	if m := late.wantMessage("q/3", "3", 1); !m.Retain {
		t.Error("retained message without RETAIN")
	}
	late.barrier()
}

func identifier(id uint32) (p mqtt.Properties) {
	p.SetUint(mqtt.SubscriptionIdentifier, id)
	return p
}

// Retained messages: an older one of QoS 1 must not come back after one of QoS 0
// took its place, nor after it was cleared.
func TestRestartWithRetained(t *testing.T) {
	l := newLasting(t, broker.Options{})
	c := connect(t, l.server, clean(mqtt.V311, "c"))
	c.publish("r/replaced", "old", 1, true)
	c.publish("r/replaced", "new", 0, true)
	c.publish("r/cleared", "x", 1, true)
	c.publish("r/cleared", "", 0, true)
	c.publish("r/kept", "two", 2, true)
	c.bye()
	for range 2 {
		l.restart()
		c = connect(t, l.server, clean(mqtt.V311, "c"))
		c.subscribe(filter("r/replaced", 2), filter("r/cleared", 2), filter("r/kept", 2))
		for range 2 {
			switch m := c.message(); string(m.Topic) + " " + string(m.Payload) {
			case "r/replaced new", "r/kept two":
				if !m.Retain {
					t.Errorf("%s without RETAIN", m.Topic)
				}
			default:
				t.Errorf("received %s %s", m.Topic, m.Payload)
			}
		}
		c.barrier()
		c.drop()
	}
}

// Subscriptions with all their options, changed and removed ones too.
func TestRestartWithSubscriptions(t *testing.T) {
	l := newLasting(t, broker.Options{})
	c := connect(t, l.server, durable(mqtt.V50, "c"))
	c.subscribe(filter("removed", 1), filter("changed", 0), filter("local/#", 1|mqtt.NoLocal), filter("$share/g/shared", 1),
		filter("published", 1|mqtt.RetainAsPublished))
	c.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"removed", "never"}})
	c.wantCodes(mqtt.UNSUBACK, 2, mqtt.Success, mqtt.NoSubscriptionExisted)
	c.subscribe(filter("changed", 1))
	c = l.again(c, durable(mqtt.V50, "c"))
	from := connect(t, l.server, clean(mqtt.V50, "from"))
	for _, topic := range []string{"removed", "changed", "local/x", "shared", "published"} {
		from.publish(topic, "x", 1, topic == "published")
	}
	c.wantMessage("changed", "x", 1)
	c.wantMessage("local/x", "x", 1)
	c.wantMessage("shared", "x", 1)
	if m := c.wantMessage("published", "x", 1); !m.Retain {
		t.Error("Retain As Published was lost")
	}
	c.barrier()
	c.send(pub("local/x", "own", 1, 1))
	c.wantAck(mqtt.PUBACK, 1, mqtt.Success)
	c.barrier()
}

// A volatile message is retained as long as the program runs, also in place of one that
// was stored, and then there is none.
func TestRestartWithVolatile(t *testing.T) {
	l := newLasting(t, broker.Options{})
	own, err := l.server.NewClient("own")
	if err != nil {
		t.Fatal(err)
	}
	publish := func(topic, payload string, qos mqtt.QoS, volatile bool) {
		t.Helper()
		m := mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: true, Volatile: volatile}
		if err := own.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	publish("r/new", "x", 1, true)
	publish("r/stored", "x", 1, false)
	publish("r/stored", "y", 0, true)
	publish("r/kept", "x", 0, true)
	publish("r/kept", "y", 1, false)
	c := connect(t, l.server, clean(mqtt.V311, "c"))
	c.subscribe(filter("r/#", 2))
	found := make(map[string]string)
	for range 3 {
		m := c.message()
		found[string(m.Topic)] = string(m.Payload)
	}
	if found["r/new"] != "x" || found["r/stored"] != "y" || found["r/kept"] != "y" {
		t.Errorf("retained: %v", found)
	}
	c.bye()
	own.Close()
	l.restart()
	c = connect(t, l.server, clean(mqtt.V311, "c"))
	c.subscribe(filter("r/#", 2))
	c.wantMessage("r/kept", "y", 1)
	c.barrier()
}
