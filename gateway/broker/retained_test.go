package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// RETAIN is 1 on what a SUBSCRIBE brings and 0 on what comes live, unless the
// subscription asks for it as published [v3 MQTT-3.3.1-8, MQTT-3.3.1-9,
// v5 MQTT-3.3.1-12, MQTT-3.3.1-13]. An empty message is delivered like any other,
// deletes, and is not kept [v5 MQTT-3.3.1-6, MQTT-3.3.1-7].
func TestRetainFlag(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		for qos := range mqtt.QoS(2) {
			topic, options := fmt.Sprintf("flag/%s/%d", versionName(v), qos), mqtt.SubscriptionOptions(qos)
			from := connect(t, s, clean(v, "from"))
			want := func(c *rawClient, payload string, retain bool) {
				t.Helper()
				m := c.wantMessage(topic, payload, qos)
				if m.Retain != retain {
					t.Fatalf("%q with RETAIN %t", payload, m.Retain)
				}
				if qos > 0 {
					c.ack(mqtt.PUBACK, m.PacketID)
				}
			}
			from.publish(topic, "first", qos, true)
			plain := connect(t, s, clean(v, "plain"))
			plain.subscribe(filter(topic, options))
			want(plain, "first", true)
			published := connect(t, s, clean(mqtt.V50, "published"))
			published.subscribe(filter(topic, options|mqtt.RetainAsPublished))
			want(published, "first", true)
			for _, m := range []struct {
				payload string
				retain  bool
			}{{"second", true}, {"third", false}, {"", true}} {
				from.publish(topic, m.payload, qos, m.retain)
				want(plain, m.payload, false)
				want(published, m.payload, m.retain)
			}
			late := connect(t, s, clean(v, "late"))
			late.subscribe(filter(topic, options))
			late.barrier()
			for _, c := range []*rawClient{from, plain, published, late} {
				c.bye()
			}
		}
	}, versions...)
}

// Whether a SUBSCRIBE brings retained messages: before 5.0 each time, in 5.0 by
// Retain Handling. A resumed session brings none by itself.
func TestRetainHandling(t *testing.T) {
	s := newServer(t)
	connect(t, s, clean(mqtt.V311, "from")).publish("h", "x", 1, true)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, durable(v, "c"))
		subscribe := func(handling byte, comes bool) {
			t.Helper()
			c.subscribe(filter("h", mqtt.SubscriptionOptions(handling<<4)))
			if comes {
				c.wantMessage("h", "x", 0)
			}
			c.barrier()
		}
		subscribe(0, true)
		subscribe(0, true)
		c.drop()
		c = connect(t, s, durable(v, "c"))
		c.barrier()
		subscribe(0, true)
		if v != mqtt.V50 {
			return
		}
		subscribe(1, false)
		subscribe(2, false)
		c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"h"}})
		c.wantCodes(mqtt.UNSUBACK, 1, mqtt.Success)
		subscribe(2, false)
		c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"h"}})
		c.wantCodes(mqtt.UNSUBACK, 1, mqtt.Success)
		subscribe(1, true)
		c.drop()
		c = connect(t, s, durable(v, "c"))
		subscribe(1, false) // the resumed session has the subscription
	}, versions...)
}

// A filter twice in one SUBSCRIBE counts as two SUBSCRIBEs.
func TestDuplicateFilter(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.publish("d", "kept", 1, true)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		c.subscribe(filter("d", 0), filter("d", 1))
		c.wantMessage("d", "kept", 0)
		c.ack(mqtt.PUBACK, c.wantMessage("d", "kept", 1).PacketID)
		from.publish("d", "live", 1, false)
		c.wantMessage("d", "live", 1)
		c.barrier()
	}, versions...)
}

// Wildcards find retained messages where they find live ones, the parent level
// of '#' among them; never a name with $ by a wildcard in the first level.
func TestRetainedMatch(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V311, "from"))
	topics := []string{"foo", "foo/bar", "foo/bar/baz", "/", "/foo", "foo/", "a//b"}
	for _, topic := range topics {
		from.publish(topic, topic, 0, true)
	}
	filters := []string{"#", "+", "+/+", "+/#", "foo/#", "foo/+/#", "foo/+", "foo/bar/#", "foo/bar/baz/#", "/+", "/#", "a//#", "a/+/b", "+/+/+"}
	for _, f := range filters {
		want := make(map[string]bool)
		for _, topic := range topics {
			if mqtt.Match(f, topic) {
				want[topic] = true
			}
		}
		c := connect(t, s, clean(mqtt.V311, "c"))
		c.subscribe(filter(f, 0))
		for range len(want) {
			if m := c.message(); !want[string(m.Topic)] {
				t.Errorf("%s brought %s", f, m.Topic)
			} else {
				delete(want, string(m.Topic))
			}
		}
		c.barrier()
		// The same live.
		for _, topic := range topics {
			from.publish(topic, "live", 0, false)
			if mqtt.Match(f, topic) {
				c.wantMessage(topic, "live", 0)
			}
		}
		c.barrier()
		c.bye()
	}
}

// All retained messages arrive, however many: they wait for the window and the
// socket, not in a queue with a limit.
func TestManyRetained(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxQueuedMessages: 50})
	const n = 5000
	payload := strings.Repeat("x", 500) // more than fits into what may wait for a socket
	from := connect(t, s, clean(mqtt.V311, "from"))
	var b []byte
	for i := range n {
		m := pub(fmt.Sprint("many/", i), payload, mqtt.QoS(i%2), 1)
		m.Retain = true
		b = m.Append(b, mqtt.V311)
	}
	from.raw(b)
	for range n / 2 {
		from.wantAck(mqtt.PUBACK, 1, mqtt.Success)
	}
	from.barrier()
	for qos := range mqtt.QoS(3) {
		forVersions(t, func(t *testing.T, v mqtt.Version) {
			c := connect(t, s, clean(v, "c"))
			c.subscribe(filter("many/#", mqtt.SubscriptionOptions(qos)))
			seen := make(map[string]bool)
			c.take(n, func(_ int, m *mqtt.Publish) {
				if !m.Retain || len(m.Payload) != len(payload) {
					t.Fatalf("%s with RETAIN %t and %d bytes", m.Topic, m.Retain, len(m.Payload))
				}
				seen[string(m.Topic)] = true
			})
			if len(seen) != n {
				t.Fatalf("%d of %d topics", len(seen), n)
			}
			c.barrier()
			c.bye()
		}, mqtt.V311, mqtt.V50)
	}
	// Those that the client has not had yet when its connection breaks come on
	// the next one, if the session goes on.
	c := connect(t, s, durable(mqtt.V50, "kept"))
	c.subscribe(filter("many/#", 1))
	seen := make(map[string]bool)
	m := c.message()
	for m.QoS == 0 {
		m = c.message()
	}
	seen[string(m.Topic)] = true
	c.ack(mqtt.PUBACK, m.PacketID)
	c.drop()
	c = connect(t, s, durable(mqtt.V50, "kept"))
	c.take(n/2-1, func(_ int, m *mqtt.Publish) { seen[string(m.Topic)] = true })
	if len(seen) != n/2 {
		t.Fatalf("%d of %d topics", len(seen), n/2)
	}
	c.barrier()
}

// A subscriber that comes while a retained message is being published ends up
// with the newest one, whatever comes first.
func TestSubscribeWhilePublishing(t *testing.T) {
	s := newServer(t)
	const rounds, topics = 40, 20
	var g sync.WaitGroup
	defer g.Wait()
	from := connect(t, s, clean(mqtt.V50, "from"))
	for round := range rounds {
		topic := func(i int) string { return fmt.Sprintf("race/%d/%d", round, i) }
		for i := range topics {
			from.publish(topic(i), "old", 0, true)
		}
		g.Go(func() {
			var b []byte
			for i := range topics {
				m := pub(topic(i), "new", 0, 0)
				m.Retain = true
				b = m.Append(b, mqtt.V50)
			}
			from.raw(append(b, 0xC0, 0))
		})
		c := connect(t, s, clean(mqtt.V50, "c"))
		c.subscribe(filter(fmt.Sprintf("race/%d/+", round), 0))
		g.Wait()
		from.expect(mqtt.PINGRESP)
		c.raw([]byte{0xC0, 0})
		last := make(map[string]string)
		for {
			p, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if p.Type == mqtt.PINGRESP {
				break
			}
			var m mqtt.Publish
			if err := m.Decode(p, c.version); err != nil {
				t.Fatal(err)
			}
			last[string(m.Topic)] = string(m.Payload)
		}
		for i := range topics {
			if last[topic(i)] != "new" {
				t.Fatalf("the last message on %s is %q", topic(i), last[topic(i)])
			}
		}
		c.bye()
	}
}

// Message expiry (5.0 §3.3.2.3.3): what waits counts down, what is over is not
// delivered, nothing is added that the publisher did not send.
func TestMessageExpiry(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, broker.Options{})
	away5, away3 := connect(t, s, durable(mqtt.V50, "away5")), connect(t, s, durable(mqtt.V311, "away3"))
	for _, c := range []*rawClient{away5, away3} {
		c.subscribe(filter("e/#", 1))
		c.bye()
	}
	from := connect(t, s, clean(mqtt.V50, "from"))
	live := connect(t, s, clean(mqtt.V50, "live"))
	live.subscribe(filter("e/#", 1))
	start := time.Now()
	for _, x := range []struct {
		name   string
		expiry uint32
	}{{"long", 100}, {"never", 0}, {"largest", 0xFFFFFFFF}, {"over", 1}} {
		for _, retain := range []bool{false, true} {
			m := pub("e/"+x.name, fmt.Sprint(retain), 1, 1)
			m.Retain, m.HasExpiry, m.Expiry = retain, x.expiry > 0, x.expiry
			from.exchange(m)
			got := live.wantMessage("e/"+x.name, fmt.Sprint(retain), 1)
			live.ack(mqtt.PUBACK, got.PacketID)
			if got.HasExpiry != m.HasExpiry || got.Expiry > m.Expiry || m.Expiry-got.Expiry > 1 {
				t.Errorf("%s: expiry %d arrives as %d", x.name, m.Expiry, got.Expiry)
			}
		}
	}
	// A retained message that expires at once is not kept, but takes the place
	// of the one before.
	from.publish("e/replaced", "old", 0, true)
	from.exchange(&mqtt.Publish{Topic: []byte("e/replaced"), Payload: []byte("new"), Retain: true, HasExpiry: true})
	eventually(t, "expired retained messages are gone", func() bool { return s.Stats().Retained == 3 })
	if d := time.Since(start); d < 900*time.Millisecond {
		t.Fatalf("gone after %v", d)
	}
	waited := uint32(1)
	check := func(c *rawClient, payloads ...string) {
		t.Helper()
		left := make(map[string]bool)
		for _, name := range []string{"long", "never", "largest"} {
			for _, payload := range payloads {
				left["e/"+name+payload] = true
			}
		}
		c.take(len(left), func(_ int, m *mqtt.Publish) {
			name := string(m.Topic) + string(m.Payload)
			if !left[name] {
				t.Errorf("received %s", name)
			}
			delete(left, name)
			want := map[string]uint32{"e/long": 100, "e/largest": 0xFFFFFFFF}[string(m.Topic)]
			if c.version == mqtt.V50 && (m.HasExpiry != (want > 0) || want > 0 && (m.Expiry > want-waited || m.Expiry < want-waited-10)) {
				t.Errorf("%s: expiry %d", name, m.Expiry)
			}
		})
		c.barrier()
	}
	late := connect(t, s, clean(mqtt.V50, "late"))
	late.subscribe(filter("e/#", 1))
	check(late, "true")
	check(connect(t, s, durable(mqtt.V50, "away5")), "false", "true")
	s.stop()
	s = startServer(t, dir, broker.Options{})
	check(connect(t, s, durable(mqtt.V311, "away3")), "false", "true")
	late = connect(t, s, clean(mqtt.V50, "late"))
	late.subscribe(filter("e/#", 1))
	check(late, "true")
}

// A message that was sent is brought to its end even if it expires
// [v5 MQTT-4.3.3-7, MQTT-4.3.3-13].
func TestExpiryInFlight(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, durable(mqtt.V50, "c"))
	c.subscribe(filter("f", 2))
	from := connect(t, s, clean(mqtt.V50, "from"))
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		m := pub("f", "x", qos, 1)
		m.HasExpiry, m.Expiry = true, 1
		from.exchange(m)
		c.wantMessage("f", "x", qos)
	}
	m := pub("f", "marker", 0, 0)
	m.HasExpiry, m.Expiry, m.Retain = true, 1, true
	from.exchange(m)
	c.wantMessage("f", "marker", 0)
	eventually(t, "the marker is gone", func() bool { return s.Stats().Retained == 0 })
	c.drop()
	c = connect(t, s, durable(mqtt.V50, "c"))
	c.take(2, func(_ int, m *mqtt.Publish) {
		if !m.Dup || m.Expiry != 1 {
			t.Errorf("DUP %t, expiry %d", m.Dup, m.Expiry)
		}
	})
}
