package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// What was published after a SUBACK had come matches, though the publisher
// remembers its topics [v5 MQTT-3.8.4-1, MQTT-4.5.0-1].
func TestSubackMeansSubscribed(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		from, c := connect(t, s, clean(v, "from")), connect(t, s, clean(v, "c"))
		for i := range 200 {
			topic := fmt.Sprint("a/", i%3)
			from.send(pub(topic, "before", 0, 0))
			from.barrier()
			f := []string{topic, "a/+", "#", "$share/g/a/#"}[i%4]
			c.subscribe(filter(f, 0))
			from.send(pub(topic, "after", 0, 0))
			c.wantMessage(topic, "after", 0)
			c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{f}})
			c.expect(mqtt.UNSUBACK)
		}
		from.bye()
		c.bye()
	}, versions...)
}

// No Local is for what comes live. What is retained has no publisher any more: it
// is sent to whoever subscribes.
func TestNoLocalAndRetained(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, clean(mqtt.V50, "c"))
	c.publish("l", "own", 1, true)
	c.subscribe(filter("l", 1|mqtt.NoLocal))
	if m := c.wantMessage("l", "own", 1); !m.Retain {
		t.Error("RETAIN 0")
	}
	c.ack(mqtt.PUBACK, 1)
	c.publish("l", "live", 1, true)
	c.barrier()
}

// An expiry of 0 is over at once: nothing waits and nothing is retained, though it
// takes the place of what was. Nothing is ever sent with 0. Publishers before 5.0
// have no expiry, and none is made up for them.
func TestExpiryOfZero(t *testing.T) {
	s := newServer(t)
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("z/#", 2))
	away.bye()
	here := connect(t, s, clean(mqtt.V50, "here"))
	here.subscribe(filter("z/#", 0))
	from := connect(t, s, clean(mqtt.V50, "from"))
	from.publish("z/kept", "old", 0, true)
	here.wantMessage("z/kept", "old", 0)
	from.publish("z/cleared", "old", 0, true)
	here.wantMessage("z/cleared", "old", 0)
	for qos := range mqtt.QoS(3) {
		for _, m := range []*mqtt.Publish{pub("z/plain", "x", qos, 1), pub("z/kept", "x", qos, 1), pub("z/cleared", "", qos, 1)} {
			m.Retain, m.HasExpiry = string(m.Topic) != "z/plain", true
			from.exchange(m)
			if got := here.wantMessage(string(m.Topic), string(m.Payload), 0); !got.HasExpiry || got.Expiry == 0 {
				t.Errorf("%s came with expiry %d", m.Topic, got.Expiry)
			}
		}
	}
	eventually(t, "nothing is retained", func() bool { return s.Stats().Retained == 0 })
	from3 := connect(t, s, clean(mqtt.V311, "from3"))
	from3.publish("z/plain", "old client", 1, false)
	if m := here.wantMessage("z/plain", "old client", 0); m.HasExpiry || len(m.Properties) > 0 {
		t.Errorf("expiry %d, properties % x", m.Expiry, m.Properties)
	}
	away = connect(t, s, durable(mqtt.V50, "away"))
	away.take(1, func(_ int, m *mqtt.Publish) {
		if string(m.Payload) != "old client" || m.HasExpiry {
			t.Errorf("received %s %q with expiry %d", m.Topic, m.Payload, m.Expiry)
		}
	})
	away.barrier()
}

// Acknowledgements leave in the order of what they answer, though some wait for
// the store and others do not.
func TestOrderOfAcknowledgements(t *testing.T) {
	s := newServer(t)
	away := connect(t, s, durable(mqtt.V311, "away"))
	away.subscribe(filter("kept", 2))
	away.bye()
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, durable(v, "c"))
		const n = 300
		var b []byte
		for i := range n {
			topic := []string{"kept", "nobody", "$closed"}[i%3]
			b = pub(topic, "x", mqtt.QoS(1+i/3%2), uint16(i+1)).Append(b, v)
		}
		c.raw(b)
		for i := range n {
			code := mqtt.Success
			if i%3 == 2 && v == mqtt.V50 {
				code = mqtt.NotAuthorized
			}
			c.wantAck(mqtt.PUBACK+mqtt.PacketType(i/3%2), uint16(i+1), code)
		}
		c.barrier()
		c.drop()
		connect(t, s, clean(v, "c")).bye()
	}, versions...)
}

// A queue that is full loses what comes last, for its own client only, which is
// counted and shown. It does so for a client that is connected and one that is not.
func TestFullQueue(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxQueuedMessages: 3, MaxInflight: 1})
	here, away := connect(t, s, durable(mqtt.V50, "here")), connect(t, s, durable(mqtt.V311, "away"))
	for _, c := range []*rawClient{here, away} {
		c.subscribe(filter("q", 1))
	}
	away.drop()
	reader := connect(t, s, clean(mqtt.V50, "reader"))
	reader.subscribe(filter("q", 1))
	from := connect(t, s, clean(mqtt.V50, "from"))
	for i := range 10 {
		from.publish("q", fmt.Sprint(i), 1, false)
		reader.ack(mqtt.PUBACK, reader.wantMessage("q", fmt.Sprint(i), 1).PacketID)
	}
	reader.barrier()
	dropped := make(map[string]uint64)
	queued := make(map[string]int)
	for _, c := range s.Clients() {
		dropped[c.ID], queued[c.ID] = c.Dropped, c.Queued
	}
	if dropped["here"] != 6 || dropped["away"] != 7 || dropped["reader"] != 0 || s.Stats().PublishDropped != 13 {
		t.Errorf("dropped %v, %d in all", dropped, s.Stats().PublishDropped)
	}
	if queued["here"] != 4 || queued["away"] != 3 {
		t.Errorf("queued %v", queued)
	}
	here.take(4, func(i int, m *mqtt.Publish) {
		if string(m.Payload) != fmt.Sprint(i) {
			t.Errorf("received %s, want %d", m.Payload, i)
		}
	})
	here.barrier()
	connect(t, s, durable(mqtt.V311, "away")).take(3, func(i int, m *mqtt.Publish) {
		if string(m.Payload) != fmt.Sprint(i) {
			t.Errorf("received %s, want %d", m.Payload, i)
		}
	})
}

// A message that its user properties make too large for a client is left out
// whole: nothing is taken off it [v5 MQTT-3.3.2-17].
func TestTooLargeByUserProperties(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, limited(clean(mqtt.V50, "c"), mqtt.MaximumPacketSize, 60))
	c.subscribe(filter("t", 1))
	from := connect(t, s, clean(mqtt.V50, "from"))
	m := pub("t", "large", 1, 1)
	m.Properties = []byte("\x26\x00\x01k\x00\x40" + strings.Repeat("v", 64))
	from.exchange(m)
	m.Payload, m.Properties = []byte("small"), []byte("\x26\x00\x01k\x00\x01v")
	from.exchange(m)
	got := c.wantMessage("t", "small", 1)
	if string(got.Properties) != string(m.Properties) || got.Dup {
		t.Errorf("properties % x, DUP %t", got.Properties, got.Dup)
	}
	c.barrier()
}

// A payload format indicator is passed on and not acted on, be the payload UTF-8
// or not (5.0 §3.3.2.3.2: the receiver may look).
func TestPayloadFormat(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, clean(mqtt.V50, "c"))
	c.subscribe(filter("t", 1))
	from := connect(t, s, clean(mqtt.V50, "from"))
	for qos := range mqtt.QoS(2) {
		m := pub("t", "\xFF\xFE\x00", qos, 1)
		m.Properties = []byte{1, 1}
		from.exchange(m)
		if got := c.wantMessage("t", "\xFF\xFE\x00", qos); string(got.Properties) != "\x01\x01" {
			t.Errorf("properties % x", got.Properties)
		}
	}
}

// A message that went out under an alias is sent again with its whole name: the
// alias died with the connection. So is one that came in under an alias
// [v5 MQTT-3.3.2-7].
func TestAliasDoesNotOutliveConnection(t *testing.T) {
	l := newLasting(t, broker.Options{})
	packet := limited(durable(mqtt.V50, "c"), mqtt.TopicAliasMaximum, 5)
	c := connect(t, l.server, packet)
	c.subscribe(filter("t", 2))
	from := connect(t, l.server, clean(mqtt.V50, "from"))
	for i, qos := range []mqtt.QoS{1, 2, 1} {
		m := pub("t", fmt.Sprint(i), qos, 1)
		if m.TopicAlias = 9; i > 0 {
			m.Topic = nil
		}
		from.exchange(m)
	}
	for range 3 {
		c.message()
	}
	for _, packet := range []mqtt.Connect{packet, durable(mqtt.V50, "c")} {
		for _, restart := range []bool{false, true} {
			if restart {
				c = l.again(c, packet)
			} else {
				c.drop()
				c = connect(t, l.server, packet)
			}
			aliases := make(map[uint16]string)
			for range 3 {
				m := c.message()
				if m.TopicAlias != 0 && len(m.Topic) > 0 {
					aliases[m.TopicAlias] = string(m.Topic)
				}
				if len(m.Topic) == 0 {
					m.Topic = []byte(aliases[m.TopicAlias])
				}
				if string(m.Topic) != "t" || !m.Dup || m.TopicAlias != 0 && !packet.Properties.Has(mqtt.TopicAliasMaximum) {
					t.Errorf("received %q under alias %d, DUP %t", m.Topic, m.TopicAlias, m.Dup)
				}
			}
			c.barrier()
		}
	}
}

// The members of a share get their own identifiers and no others; what is too
// large for one disturbs nobody (5.0 §4.8.2).
func TestMembersOfShare(t *testing.T) {
	s := newServer(t)
	members := make([]*rawClient, 3)
	for i := range members {
		packet := clean(mqtt.V50, fmt.Sprint("member", i))
		if i == 2 {
			packet = limited(packet, mqtt.MaximumPacketSize, 30)
		}
		members[i] = connect(t, s, packet)
		members[i].send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("$share/g/t", 1)}, Properties: identifier(uint32(i + 1))})
		members[i].wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS1)
	}
	from := connect(t, s, clean(mqtt.V50, "from"))
	const n = 30
	for i := range n {
		payload := "small"
		if i%2 == 1 {
			payload = strings.Repeat("large", 10)
		}
		from.publish("t", payload, 1, false)
	}
	received := 0
	for i, c := range members {
		c.raw([]byte{0xC0, 0})
		for {
			p, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if p.Type == mqtt.PINGRESP {
				break
			}
			var m mqtt.Publish
			c.decode(p, func(p mqtt.Packet) error { return m.Decode(p, c.version) })
			if !slices.Equal(m.Identifiers, []uint32{uint32(i + 1)}) {
				t.Errorf("member %d received identifiers %v", i, m.Identifiers)
			}
			received++
		}
	}
	if dropped := int(s.Stats().PublishDropped); received+dropped != n || received < n/2 {
		t.Errorf("%d received and %d dropped of %d", received, dropped, n)
	}
}

// $SYS topics are there for who asks for them, and # does not; both together bring
// both. Their names are mosquitto's.
func TestSysTopics(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{SysInterval: 10 * time.Millisecond, Version: "test"})
	all := connect(t, s, clean(mqtt.V311, "all"))
	all.subscribe(filter("#", 0))
	connect(t, s, clean(mqtt.V311, "from")).publish("x", "live", 1, true)
	all.wantMessage("x", "live", 0)
	all.barrier()
	both := connect(t, s, clean(mqtt.V50, "both"))
	both.subscribe(filter("#", 0), filter("$SYS/#", 0))
	want := map[string]string{"x": "live", "$SYS/broker/version": "lintel test", "$SYS/broker/clients/connected": "3", "$SYS/broker/clients/total": "3",
		"$SYS/broker/subscriptions/count": "3", "$SYS/broker/retained messages/count": "", "$SYS/broker/uptime": "", "$SYS/broker/publish/messages/dropped": "0",
		"$SYS/broker/load/bytes/received/15min": "", "$SYS/broker/heap/current": ""}
	for len(want) > 0 {
		m := both.message()
		if value, there := want[string(m.Topic)]; there && (value == "" || value == string(m.Payload)) {
			delete(want, string(m.Topic))
		}
	}
	all.barrier() // through all that
}
