package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/mqtt"
)

// A wrong filter is refused by itself, the others of the packet are granted.
func TestFilterSyntax(t *testing.T) {
	s := newServer(t)
	refused := map[mqtt.Version]mqtt.ReasonCode{mqtt.V31: mqtt.Success, mqtt.V311: mqtt.UnspecifiedError, mqtt.V50: mqtt.TopicFilterInvalid}
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		for _, f := range []string{"", "a#", "a/#/b", "#/", "a+", "+a", "a/b+/c", "##", "++", "$share/g", "$share/", "$share//t", "$share/g/",
			"$share/+/t", "$share/#/t", "$share/g/a#"} {
			c.send(&mqtt.Subscribe{PacketID: 5, Filters: []mqtt.FilterRequest{filter("good", 1), filter(f, 2), filter("good", 2)}})
			c.wantCodes(mqtt.SUBACK, 5, mqtt.GrantedQoS1, refused[v], mqtt.GrantedQoS2)
		}
		good := []string{"#", "+", "/", "+/+/#", "a//b", "$SYS/#", "$share/g//t", "$share/g/#", "$share/g name/+", "$queue/t", strings.Repeat("a/", 150) + "#", " "}
		for _, f := range good {
			c.subscribe(filter(f, 1))
		}
		c.send(&mqtt.Unsubscribe{PacketID: 6, Filters: append(good, "a+")})
		codes := append(make([]mqtt.ReasonCode, len(good)), mqtt.TopicFilterInvalid)
		if v != mqtt.V50 {
			codes = nil
		}
		c.wantCodes(mqtt.UNSUBACK, 6, codes...)
		c.publish("a", "x", 1, false)
		c.barrier()
	}, versions...)
}

// No wildcard in the first level matches a name that begins with $.
func TestDollar(t *testing.T) {
	s := newServer(t)
	inside, err := s.NewClient("inside")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	for i, x := range []struct {
		filter string
		want   bool
	}{{"#", false}, {"+/x", false}, {"$share/g/#", false}, {"$SYS/#", true}, {"$SYS/+", true}, {"$share/g/$SYS/x", true}, {"$SYS/x", true}} {
		c := connect(t, s, clean(mqtt.V311, "c"))
		c.subscribe(filter(x.filter, 0))
		if err := inside.Publish(t.Context(), mqtt.Message{Topic: "$SYS/x", Payload: []byte(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
		if x.want {
			c.wantMessage("$SYS/x", fmt.Sprint(i), 0)
		}
		c.barrier()
		c.bye()
	}
}

// Of overlapping subscriptions one copy comes: at the highest QoS, with all
// identifiers and no others (5.0 §3.3.4).
func TestOverlap(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	c := connect(t, s, durable(mqtt.V50, "c"))
	other := connect(t, s, clean(mqtt.V50, "other"))
	subscribe := func(c *rawClient, id uint32, f mqtt.FilterRequest) {
		t.Helper()
		m := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{f}}
		if id != 0 {
			m.Properties = identifier(id)
		}
		c.send(&m)
		c.wantCodes(mqtt.SUBACK, 1, mqtt.ReasonCode(f.Options.QoS()))
	}
	subscribe(c, 1, filter("o/#", 0))
	subscribe(c, 268_435_455, filter("o/+", 2))
	subscribe(c, 0, filter("o/x", 1))
	subscribe(c, 1, filter("+/x", 1|mqtt.RetainAsPublished))
	subscribe(other, 9, filter("o/x", 1))
	check := func(m *mqtt.Publish, qos mqtt.QoS, retain bool, identifiers ...uint32) {
		t.Helper()
		slices.Sort(m.Identifiers)
		if m.QoS != qos || m.Retain != retain || !slices.Equal(m.Identifiers, identifiers) {
			t.Fatalf("QoS %d, RETAIN %t, identifiers %v", m.QoS, m.Retain, m.Identifiers)
		}
	}
	from.publish("o/x", "x", 2, true)
	check(other.wantMessage("o/x", "x", 1), 1, false, 9)
	c.take(1, func(_ int, m *mqtt.Publish) { check(m, 2, true, 1, 1, 268_435_455) })
	c.barrier()
	c.drop()
	c = connect(t, s, durable(mqtt.V50, "c"))
	subscribe(c, 3, filter("o/+", 0)) // replaces QoS, options and identifier, and brings what is retained
	check(c.message(), 0, true, 3)
	from.publish("o/x", "x", 2, false)
	c.take(1, func(_ int, m *mqtt.Publish) { check(m, 1, false, 1, 1, 3) })
	c.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"o/+", "+/x"}})
	c.wantCodes(mqtt.UNSUBACK, 2, mqtt.Success, mqtt.Success)
	from.publish("o/x", "x", 2, false)
	c.take(1, func(_ int, m *mqtt.Publish) { check(m, 1, false, 1) })
	c.barrier()
}

// No Local looks at each subscription by itself, and at client ids: it holds
// for what waits and for wills.
func TestNoLocal(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, willing(durable(mqtt.V50, "c"), 0))
	c.subscribe(filter("l/#", 2|mqtt.NoLocal), filter("will/#", mqtt.NoLocal))
	c.publish("l/x", "own", 1, true)
	c.barrier()
	c.subscribe(filter("l/x", 0))
	c.wantMessage("l/x", "own", 0) // the retained one is nobody's any more
	c.send(pub("l/x", "second", 1, 1))
	c.either(mqtt.PUBLISH, mqtt.PUBACK)
	connect(t, s, clean(mqtt.V50, "other")).publish("l/y", "theirs", 1, false)
	c.wantMessage("l/y", "theirs", 1)
	c.drop()
	c = connect(t, s, durable(mqtt.V50, "c"))
	if m := c.message(); string(m.Topic) != "l/y" || !m.Dup {
		t.Fatalf("received %s", m.Topic)
	}
	c.barrier()
	// The bridge bit asks for the same on all subscriptions, and for RETAIN.
	packet := clean(mqtt.V311, "bridge")
	packet.Bridge = true
	bridge := connect(t, s, packet)
	bridge.subscribe(filter("b/#", 0))
	bridge.publish("b/x", "own", 1, true)
	bridge.barrier()
	c.publish("b/x", "theirs", 1, true)
	if m := bridge.wantMessage("b/x", "theirs", 0); !m.Retain {
		t.Error("RETAIN was taken from a bridge")
	}
	// But not on a share: that is as little to mean as in 5.0 [v5 MQTT-3.8.3-4].
	bridge.subscribe(filter("$share/g/shared", 1))
	bridge.send(pub("shared", "own", 1, 1))
	bridge.either(mqtt.PUBLISH, mqtt.PUBACK)
}

// What was begun goes on to its end after UNSUBSCRIBE [v5 MQTT-3.10.4-3].
func TestUnsubscribeInFlight(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, durable(v, "c"))
		c.subscribe(filter("u", 2))
		from := connect(t, s, clean(v, "from"))
		from.publish("u", "x", 2, false)
		id := c.wantMessage("u", "x", 2).PacketID
		c.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"u"}})
		if p := c.expect(mqtt.UNSUBACK); v != mqtt.V50 && len(p.Body) != 2 {
			t.Fatalf("UNSUBACK % x", p.Body)
		}
		from.publish("u", "y", 2, false)
		c.barrier()
		c.drop()
		c = connect(t, s, durable(v, "c"))
		c.wantMessage("u", "x", 2)
		c.ack(mqtt.PUBREC, id)
		c.wantAck(mqtt.PUBREL, id, mqtt.Success)
		c.ack(mqtt.PUBCOMP, id)
		c.barrier()
	}, versions...)
}

// Shared subscriptions (5.0 §4.8.2), which older clients may have too.
func TestShare(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		from.t = t
		topic := "s/" + versionName(v)
		from.publish(topic, "retained", 1, true)
		a, b := connect(t, s, clean(v, "a")), connect(t, s, clean(v, "b"))
		for _, c := range []*rawClient{a, b} {
			c.subscribe(filter("$share/g/"+topic, 1))
			c.barrier() // retained messages are not for shares
		}
		b.subscribe(filter("$share/g/"+topic, 0)) // changes the options, does not join twice
		b.subscribe(filter("$share/other/"+topic, 0), filter("$share/g/s/+", 0), filter(topic, 0))
		b.wantMessage(topic, "retained", 0)
		const n = 40
		for range n {
			from.publish(topic, "x", 1, false)
		}
		count := func(c *rawClient) (n int) {
			c.raw([]byte{0xC0, 0})
			for {
				p, err := c.next()
				if err != nil {
					t.Fatal(err)
				}
				if p.Type == mqtt.PINGRESP {
					return n
				}
				var m mqtt.Publish
				if err := m.Decode(p, v); err != nil {
					t.Fatal(err)
				}
				if want := mqtt.QoS(1); c == a && m.QoS != want || c == b && m.QoS != 0 {
					t.Fatalf("QoS %d is not the one of the member", m.QoS)
				}
				n++
			}
		}
		if got := count(a); got != n/2 {
			t.Errorf("one of two members received %d of %d", got, n)
		}
		if got := count(b); got != n/2+3*n { // two more shares and a plain subscription
			t.Errorf("the other member received %d, want %d", got, n/2+3*n)
		}
		b.send(&mqtt.Unsubscribe{PacketID: 9, Filters: []string{"$share/g/" + topic, "$share/other/" + topic, "$share/g/s/+", topic}})
		b.expect(mqtt.UNSUBACK)
		for range 10 {
			from.publish(topic, "x", 1, false)
		}
		if got := count(a); got != 10 {
			t.Errorf("the last member received %d of 10", got)
		}
		b.barrier()
		a.bye()
		b.bye()
	}, versions...)
}

// Members that are connected come before those that are not; one that is away
// keeps messages only if nobody is there. A refusal is not passed on to others
// [v5 MQTT-4.8.2-6].
func TestShareAndAbsence(t *testing.T) {
	s := newServer(t)
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("$share/g/t", 2))
	away.drop()
	here := connect(t, s, clean(mqtt.V50, "here"))
	here.subscribe(filter("$share/g/t", 2))
	from := connect(t, s, clean(mqtt.V50, "from"))
	for range 4 {
		from.publish("t", "here", 1, false)
		m := here.wantMessage("t", "here", 1)
		here.send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID, Code: mqtt.UnspecifiedError})
	}
	here.bye()
	from.publish("t", "kept", 1, false)
	away = connect(t, s, durable(mqtt.V50, "away"))
	if m := away.wantMessage("t", "kept", 1); m.Dup {
		t.Error("DUP on the first delivery")
	}
	away.barrier()
}
