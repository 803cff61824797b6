package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// window is a CONNECT with a Receive Maximum.
func window(packet mqtt.Connect, n uint32) mqtt.Connect {
	return limited(packet, mqtt.ReceiveMaximum, n)
}

// publishShared publishes messages whose payloads end with their QoS.
func publishShared(from *rawClient, topic string, payloads ...string) {
	from.t.Helper()
	for _, p := range payloads {
		from.publish(topic, p, mqtt.QoS(p[len(p)-1]-'0'), false)
	}
}

// wantShared takes messages whose payloads end with their QoS, in order.
func wantShared(c *rawClient, topic string, payloads ...string) {
	c.t.Helper()
	c.take(len(payloads), func(i int, m *mqtt.Publish) {
		if p := payloads[i]; string(m.Topic) != topic || string(m.Payload) != p || m.QoS != mqtt.QoS(p[len(p)-1]-'0') || m.Dup {
			c.t.Fatalf("received %s %.40s with QoS %d and DUP %t, want %.40s", m.Topic, m.Payload, m.QoS, m.Dup, p)
		}
	})
	c.barrier()
}

// However the session of a member ends: what it has not acknowledged goes to
// another member in its order, QoS 2 only if its sending has not begun
// [v5 MQTT-4.8.2-5].
func TestShareMemberEnds(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	for _, x := range []struct {
		name   string
		packet mqtt.Connect
		end    func(t *testing.T, c *rawClient, join func())
	}{
		{"lost", clean(mqtt.V50, "m"), func(_ *testing.T, c *rawClient, join func()) { join(); c.drop() }},
		{"goodbye", clean(mqtt.V50, "m"), func(t *testing.T, c *rawClient, join func()) { join(); c.bye() }},
		{"violation", clean(mqtt.V50, "m"), func(t *testing.T, c *rawClient, join func()) {
			join()
			c.raw([]byte{0xF0, 0, 0})
			c.end()
		}},
		{"taken over", clean(mqtt.V50, "m"), func(t *testing.T, c *rawClient, join func()) {
			join()
			connect(t, s, clean(mqtt.V50, "m")).bye()
		}},
		{"expiry set to 0", durable(mqtt.V50, "m"), func(t *testing.T, c *rawClient, join func()) {
			join()
			d := mqtt.Disconnect{Type: mqtt.DISCONNECT}
			d.Properties.SetUint(mqtt.SessionExpiryInterval, 0)
			c.send(&d)
			c.end()
		}},
		{"clean start", durable(mqtt.V50, "m"), func(t *testing.T, c *rawClient, join func()) {
			c.drop()
			join()
			connect(t, s, clean(mqtt.V50, "m")).bye()
		}},
		{"expired", expiring(mqtt.V50, "m", 1), func(t *testing.T, c *rawClient, join func()) {
			c.drop()
			join()
		}},
	} {
		for _, packet := range []mqtt.Connect{clean(mqtt.V50, "o"), durable(mqtt.V50, "o")} {
			t.Run(fmt.Sprintf("%s, other clean %t", x.name, packet.CleanStart), func(t *testing.T) {
				before := s.Stats()
				c := connect(t, s, window(x.packet, 2))
				c.subscribe(filter("$share/g/t", 2))
				publishShared(from, "t", "a1", "b2", "c1", "d2", "e1", "f1", "g2")
				c.wantMessage("t", "a1", 1)
				c.wantMessage("t", "b2", 2)
				c.barrier()
				// One delivery at a time: that is how their order shows.
				other := connect(t, s, window(packet, 1))
				x.end(t, c, func() { other.subscribe(filter("$share/g/t", 2)) })
				wantShared(other, "t", "a1", "c1", "d2", "e1", "f1", "g2")
				other.bye()
				connect(t, s, clean(mqtt.V50, "o")).bye()
				eventually(t, "all is as before", func() bool {
					now := s.Stats()
					return now.Queued == 0 && now.QueuedBytes == 0 && now.Sessions == before.Sessions && now.PublishDropped == before.PublishDropped
				})
			})
		}
	}
}

// Who has a smaller QoS gets the messages with it, and a member without
// acknowledgements only if there is no other one.
func TestShareMemberEndsAmongMixedQoS(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	for _, packet := range []mqtt.Connect{clean(mqtt.V50, "m"), durable(mqtt.V50, "m")} {
		for _, better := range []mqtt.QoS{0, 1} {
			c := connect(t, s, window(packet, 1))
			c.subscribe(filter("$share/g/t", 2))
			publishShared(from, "t", "a1", "b2", "c1")
			c.wantMessage("t", "a1", 1)
			if !packet.CleanStart {
				c.drop()
			}
			careless, other := connect(t, s, clean(mqtt.V50, "careless")), connect(t, s, clean(mqtt.V50, "other"))
			careless.subscribe(filter("$share/g/t", 0))
			receiver := careless
			if better > 0 {
				other.subscribe(filter("$share/g/t", mqtt.SubscriptionOptions(better)))
				receiver = other
			}
			if packet.CleanStart {
				c.drop()
			} else {
				connect(t, s, clean(mqtt.V50, "m")).bye()
			}
			receiver.take(3, func(i int, m *mqtt.Publish) {
				if want := []string{"a1", "b2", "c1"}[i]; string(m.Payload) != want || m.QoS != better || m.Dup {
					t.Errorf("received %s with QoS %d and DUP %t, want %s with QoS %d", m.Payload, m.QoS, m.Dup, want, better)
				}
			})
			careless.barrier()
			other.barrier()
			careless.bye()
			other.bye()
		}
	}
}

// A member of a share with several others: each message goes to one of them, each
// of them gets its part in order, with its own subscription identifier.
func TestShareMemberEndsAmongMany(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	c := connect(t, s, window(clean(mqtt.V50, "m"), 10))
	c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("$share/g/t", 1)}, Properties: identifier(99)})
	c.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS1)
	const n = 90
	for i := range n {
		m := pub("t", fmt.Sprint(i), 1, 1)
		m.Retain = i == 50
		from.exchange(m)
	}
	var others []*rawClient
	for i := range 3 {
		packet := clean(mqtt.V50, fmt.Sprint("other", i))
		if i == 1 {
			packet = durable(mqtt.V50, "durable")
		}
		o := connect(t, s, packet)
		o.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("$share/g/t", 1|mqtt.RetainAsPublished), filter("$share/h/t", 1)}, Properties: identifier(uint32(i + 1))})
		o.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS1, mqtt.GrantedQoS1)
		others = append(others, o)
	}
	c.drop()
	seen := make(map[string]bool)
	for i, o := range others {
		last := -1
		o.take(n/3, func(_ int, m *mqtt.Publish) {
			var number int
			fmt.Sscan(string(m.Payload), &number)
			if number <= last || seen[string(m.Payload)] || !slices.Equal(m.Identifiers, []uint32{uint32(i + 1)}) || m.Retain != (number == 50) {
				t.Fatalf("received %d with identifiers %v and RETAIN %t after %d", number, m.Identifiers, m.Retain, last)
			}
			last, seen[string(m.Payload)] = number, true
		})
		o.barrier()
	}
}

// A member that goes offline and keeps its session: what it was not sent yet goes to
// who is connected, what is in flight waits for it [v5 MQTT-4.8.2-4], and so does
// what came by other subscriptions.
func TestShareMemberGoesOffline(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	for _, packet := range []mqtt.Connect{durable(mqtt.V50, "o"), clean(mqtt.V50, "o")} {
		c := connect(t, s, window(durable(mqtt.V50, "m"), 2))
		c.subscribe(filter("$share/g/t", 2), filter("mine", 2))
		publishShared(from, "t", "a2", "b1")
		publishShared(from, "mine", "c1")
		publishShared(from, "t", "d1", "e1")
		publishShared(from, "mine", "f2")
		publishShared(from, "t", "g2", "h1")
		c.wantMessage("t", "a2", 2)
		c.wantMessage("t", "b1", 1)
		c.barrier()
		other := connect(t, s, window(packet, 1))
		other.subscribe(filter("$share/g/t", 2))
		before := s.Stats()
		c.drop()
		if now := s.Stats(); now.Queued != before.Queued || now.QueuedBytes != before.QueuedBytes {
			t.Errorf("%d messages with %d bytes are queued, %d with %d were", now.Queued, now.QueuedBytes, before.Queued, before.QueuedBytes)
		}
		moved := []string{"d1", "e1", "g2", "h1"}
		left := []string{"c1", "f2"}
		if packet.CleanStart {
			// A crash would end a delivery of QoS 2 that begins here.
			moved, left = []string{"d1", "e1", "h1"}, []string{"c1", "f2", "g2"}
		}
		wantShared(other, "t", moved...)
		other.bye()
		publishShared(from, "t", "i1") // nobody else is there
		left = append(left, "i1")
		c = connect(t, s, window(durable(mqtt.V50, "m"), 1))
		back := append([]string{"a2", "b1"}, left...)
		c.take(len(back), func(i int, m *mqtt.Publish) {
			if string(m.Payload) != back[i] || m.Dup != (i < 2) {
				t.Errorf("received %s with DUP %t, want %s", m.Payload, m.Dup, back[i])
			}
		})
		c.barrier()
		c.bye()
		connect(t, s, clean(mqtt.V50, "m")).bye()
		connect(t, s, clean(mqtt.V50, "o")).bye()
	}
}

// Without another member that can take them, messages stay with an offline session
// in their order, until somebody takes over from it.
func TestShareWithoutOthers(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxQueuedMessages: 3})
	from := connect(t, s, clean(mqtt.V50, "from"))
	c := connect(t, s, window(durable(mqtt.V50, "m"), 1))
	c.subscribe(filter("$share/g/t", 2), filter("mine", 1))
	other := connect(t, s, durable(mqtt.V50, "o"))
	other.subscribe(filter("$share/other/t", 0), filter("$share/g/else", 1)) // other groups
	other.drop()
	publishShared(from, "t", "a1", "b1")
	publishShared(from, "mine", "c1")
	publishShared(from, "t", "d2")
	c.wantMessage("t", "a1", 1)
	c.drop()
	if n := s.Stats().Queued; n != 4 {
		t.Errorf("%d messages are queued", n)
	}
	// A member whose queue has no room takes what fits.
	stalled := connect(t, s, window(clean(mqtt.V50, "stalled"), 1))
	stalled.subscribe(filter("$share/g/t", 1), filter("stalled", 1))
	publishShared(from, "stalled", "w1", "x1", "y1", "z1")
	stalled.wantMessage("stalled", "w1", 1)
	stalled.barrier()
	c = connect(t, s, window(durable(mqtt.V50, "m"), 1))
	if m := c.wantMessage("t", "a1", 1); !m.Dup {
		t.Error("without DUP")
	}
	c.drop()
	c = connect(t, s, window(durable(mqtt.V50, "m"), 1))
	c.ack(mqtt.PUBACK, c.wantMessage("t", "a1", 1).PacketID)
	for _, x := range []struct{ topic, payload string }{{"t", "b1"}, {"mine", "c1"}} {
		c.ack(mqtt.PUBACK, c.wantMessage(x.topic, x.payload, 1).PacketID)
	}
	c.wantMessage("t", "d2", 2)
	c.barrier()
	stalled.ack(mqtt.PUBACK, 1)
	stalled.wantMessage("stalled", "x1", 1)
	stalled.barrier()
	// It ends: what nobody takes ends with it.
	publishShared(from, "mine", "e1")
	dropped := s.Stats().PublishDropped
	connect(t, s, clean(mqtt.V50, "m")).bye()
	stalled.ack(mqtt.PUBACK, 2)
	stalled.wantMessage("stalled", "y1", 1)
	stalled.barrier()
	if now := s.Stats(); now.PublishDropped != dropped || now.Queued != 2 {
		t.Errorf("%d dropped, %d queued", now.PublishDropped-dropped, now.Queued)
	}
}

// A member that unsubscribes keeps what is on its way to it.
func TestShareMemberUnsubscribes(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	c := connect(t, s, window(durable(mqtt.V50, "m"), 1))
	c.subscribe(filter("$share/g/t", 2))
	publishShared(from, "t", "a1", "b2", "c1")
	first := c.wantMessage("t", "a1", 1)
	other := connect(t, s, clean(mqtt.V50, "o"))
	other.subscribe(filter("$share/g/t", 2))
	c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"$share/g/t"}})
	c.wantCodes(mqtt.UNSUBACK, 1, mqtt.Success)
	other.barrier()
	c.ack(mqtt.PUBACK, first.PacketID)
	wantShared(c, "t", "b2", "c1")
	other.barrier()
}

// What a member has refused does not go to another one when its session ends
// [v5 MQTT-4.8.2-6].
func TestShareRefusedAndEnded(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	for _, packet := range []mqtt.Connect{clean(mqtt.V50, "m"), durable(mqtt.V50, "m")} {
		c := connect(t, s, packet)
		c.subscribe(filter("$share/g/t", 2))
		publishShared(from, "t", "a1", "b2")
		for range 2 {
			m := c.message()
			typ := map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC}[m.QoS]
			c.send(&mqtt.Ack{Type: typ, PacketID: m.PacketID, Code: mqtt.QuotaExceeded})
		}
		other := connect(t, s, clean(mqtt.V50, "o"))
		other.subscribe(filter("$share/g/t", 2))
		c.drop()
		connect(t, s, clean(mqtt.V50, "m")).bye()
		other.barrier()
		other.bye()
	}
}

// A restart between all steps: the share of a message is known afterwards, a
// message that has moved is not in its old session, and others that hold the same
// message keep it.
func TestRestartWithShare(t *testing.T) {
	for _, size := range []int{0, 1000} { // in the record of the entry, and in its own
		l := newLasting(t, broker.Options{})
		plain := connect(t, l.server, durable(mqtt.V50, "plain"))
		plain.subscribe(filter("t", 2))
		plain.drop()
		other := connect(t, l.server, durable(mqtt.V50, "o"))
		other.subscribe(filter("$share/g/t", 2))
		other.bye()
		c := connect(t, l.server, window(durable(mqtt.V50, "m"), 2))
		c.subscribe(filter("$share/g/t", 2))
		var all []string
		fill := strings.Repeat("x", size)
		for _, p := range []string{"a1", "b2", "c1", "d2", "e1"} {
			all = append(all, p[:1]+fill+p[1:])
		}
		from := connect(t, l.server, clean(mqtt.V50, "from"))
		publishShared(from, "t", all...)
		from.bye()
		c.wantMessage("t", all[0], 1)
		c.wantMessage("t", all[1], 2)
		c = l.again(c, window(durable(mqtt.V50, "m"), 2))
		c.wantMessage("t", all[0], 1)
		c.wantMessage("t", all[1], 2)
		c.drop()
		l.restart()
		connect(t, l.server, clean(mqtt.V50, "m")).bye()
		l.restart()
		m := connect(t, l.server, durable(mqtt.V50, "m"))
		m.barrier()
		other = connect(t, l.server, window(durable(mqtt.V50, "o"), 1))
		wantShared(other, "t", all[0], all[2], all[3], all[4])
		other = l.again(other, durable(mqtt.V50, "o"))
		other.barrier()
		plain = connect(t, l.server, window(durable(mqtt.V50, "plain"), 1))
		wantShared(plain, "t", all...)
	}
}

// When the broker ends, what a session that ends with it has of a share goes to one
// that lasts, and not to another that is about to end.
func TestRestartWithPassingMembers(t *testing.T) {
	l := newLasting(t, broker.Options{})
	lasting := connect(t, l.server, durable(mqtt.V50, "o"))
	lasting.subscribe(filter("$share/g/t", 1))
	lasting.drop()
	from := connect(t, l.server, clean(mqtt.V50, "from"))
	c := connect(t, l.server, window(clean(mqtt.V50, "m"), 1))
	c.subscribe(filter("$share/g/t", 1))
	publishShared(from, "t", "a1", "b1", "c1")
	c.wantMessage("t", "a1", 1)
	other := connect(t, l.server, clean(mqtt.V50, "other"))
	other.subscribe(filter("$share/g/t", 1))
	l.restart()
	lasting = connect(t, l.server, durable(mqtt.V50, "o"))
	wantShared(lasting, "t", "a1", "b1", "c1")
}

// One session may have several copies of a message, by a plain and by shared
// subscriptions. Each is kept, and acknowledged, by itself.
func TestRestartWithCopiesOfShares(t *testing.T) {
	for _, size := range []int{0, 1000} {
		for _, retain := range []bool{false, true} {
			l := newLasting(t, broker.Options{})
			c := connect(t, l.server, durable(mqtt.V50, "c"))
			c.subscribe(filter("t", 1), filter("$share/g/t", 1), filter("$share/h/t", 1), filter("$share/only/one", 1))
			from := connect(t, l.server, clean(mqtt.V50, "from"))
			payload := strings.Repeat("x", size)
			from.publish("t", payload, 1, retain)
			from.publish("one", payload, 1, retain)
			from.bye()
			for range 3 {
				c.wantMessage("t", payload, 1)
			}
			c.wantMessage("one", payload, 1)
			for left := 3; left > 0; left-- {
				c = l.again(c, durable(mqtt.V50, "c"))
				first := c.wantMessage("t", payload, 1)
				for range left - 1 {
					c.wantMessage("t", payload, 1)
				}
				c.wantMessage("one", payload, 1)
				c.ack(mqtt.PUBACK, first.PacketID)
				c.barrier()
			}
			c = l.again(c, durable(mqtt.V50, "c"))
			c.wantMessage("one", payload, 1)
			c.barrier()
		}
	}
}
