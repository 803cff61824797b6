package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// A byte order mark is a character like others: it stays in topics, filters and
// properties, and a name without it is another one [v3 MQTT-1.5.3-3,
// v5 MQTT-1.5.4-3].
func TestByteOrderMark(t *testing.T) {
	s := newServer(t)
	const mark = "\xEF\xBB\xBF"
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		with, without := connect(t, s, clean(v, mark+"c")), connect(t, s, clean(v, "c"))
		with.subscribe(filter(mark+"t/"+mark, 0))
		without.subscribe(filter("t/", 0), filter("t/"+mark, 0), filter("t", 0))
		m := pub(mark+"t/"+mark, mark+"x", 0, 0)
		const property = "\x26\x00\x03" + mark + "\x00\x04v" + mark
		if v == mqtt.V50 {
			m.Properties = []byte(property)
		}
		without.send(m)
		if got := with.wantMessage(mark+"t/"+mark, mark+"x", 0); string(got.Properties) != string(m.Properties) {
			t.Errorf("properties % x", got.Properties)
		}
		without.barrier()
	}, versions...)
}

// Names are compared as they are: nothing is normalised, trimmed or replaced
// [v3 MQTT-4.7.3-4, v5 MQTT-4.7.3-4].
func TestNamesAsTheyAre(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		names := []string{"e\u0301", "\u00e9", "a", "A", "/a", "a/", "a//", "a ", " a", "\u00e4\u6f22\U0002000B"}
		for i, name := range names {
			c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter(name, 0)}})
			c.wantCodes(mqtt.SUBACK, 1, mqtt.Success)
			for j, topic := range names {
				c.send(pub(topic, "x", 0, 0))
				if i == j {
					c.wantMessage(topic, "x", 0)
				}
			}
			c.barrier()
			c.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{name}})
			c.expect(mqtt.UNSUBACK)
		}
	}, versions...)
}

// Topic names and filters of 65,535 bytes, which is as long as they get
// [v3 MQTT-4.7.3-3, v5 MQTT-4.7.3-3].
func TestLongestTopic(t *testing.T) {
	s := newServer(t)
	topic := strings.Repeat("long", 16383) + "/to"
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		c.subscribe(filter(topic, 1))
		c.send(pub(topic, "x", 1, 1))
		c.take(1, func(_ int, m *mqtt.Publish) {
			if string(m.Topic) != topic {
				t.Errorf("received a topic of %d bytes", len(m.Topic))
			}
			c.wantAck(mqtt.PUBACK, 1, mqtt.Success)
		})
		c.barrier()
	}, versions...)
}

// At QoS 0 there is no packet identifier in either direction: the payload begins
// where it would be [v3 MQTT-2.3.1-5, v5 MQTT-2.2.1-2]. The packets are compared
// byte by byte: an empty property length in 5.0 [v5 MQTT-2.2.2-1], no flag set
// [v3 MQTT-2.2.2-1, MQTT-4.3.1-1, v5 MQTT-2.1.3-1, MQTT-4.3.1-1].
func TestPacketsByteByByte(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		properties := ""
		if v == mqtt.V50 {
			properties = "\x00"
		}
		exchange := func(sent, want string) {
			t.Helper()
			c.raw(seal(sent))
			p, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(append([]byte{byte(p.Type)<<4 | p.Flags}, p.Body...)); got != want {
				t.Fatalf("% x is answered by % x, want % x", sent, got, want)
			}
		}
		suback, unsuback := "\x90\x00\xFF"+properties+"\x01", "\xB0\xFF\xFF"+properties+properties
		exchange("\x82\x00\xFF"+properties+"\x00\x01t\x01", suback) // [v3 MQTT-2.3.1-7, v5 MQTT-2.2.1-6]
		exchange("\x30\x00\x01t"+properties+"\x12\x34x", "\x30\x00\x01t"+properties+"\x12\x34x")
		c.raw(seal("\x32\x00\x01t\x00\x01" + properties + "\x12\x34x"))
		for range 2 { // the message and PUBACK
			p, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(append([]byte{byte(p.Type)<<4 | p.Flags}, p.Body...)); got != "\x32\x00\x01t\x00\x01"+properties+"\x12\x34x" && got != "\x40\x00\x01" {
				t.Fatalf("received % x", got)
			}
		}
		c.ack(mqtt.PUBACK, 1)
		exchange("\xC0", "\xD0")
		exchange("\xA2\xFF\xFF"+properties+"\x00\x01t", unsuback)
		for _, id := range []string{"\x00\x01", "\x00\xFF", "\x01\x00", "\xFF\xFF"} { // [v3 MQTT-2.3.1-6, v5 MQTT-2.2.1-5]
			exchange("\x32\x00\x01t"+id+properties, "\x40"+id)
			exchange("\x34\x00\x01t"+id+properties, "\x50"+id)
			exchange("\x62"+id, "\x70"+id)
		}
	}, versions...)
}

// seal puts the remaining length between the first byte and the rest.
func seal(packet string) []byte {
	return append([]byte{packet[0], byte(len(packet) - 1)}, packet[1:]...)
}

// DUP says something about this delivery only: that of a publisher does not reach
// the subscriber [v3 MQTT-3.3.1-3, v5 MQTT-3.3.1-3], and after the PUBACK the same
// identifier is a new message, DUP or not [v3 MQTT-4.3.2-2, v5 MQTT-4.3.2-5].
func TestDupOfPublisher(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		to := connect(t, s, durable(v, "to"))
		to.subscribe(filter("dup", 2))
		from := connect(t, s, clean(v, "from"))
		publish := func(qos mqtt.QoS) {
			m := pub("dup", "x", qos, 7)
			m.Dup = true
			from.exchange(m)
		}
		check := func(c *rawClient, n int) {
			t.Helper()
			c.take(n, func(_ int, m *mqtt.Publish) {
				if m.Dup {
					t.Errorf("QoS %d with DUP", m.QoS)
				}
			})
			c.barrier()
		}
		for _, qos := range []mqtt.QoS{1, 1, 2, 2} {
			publish(qos)
		}
		check(to, 4)
		to.drop()
		publish(1)
		publish(2)
		to = connect(t, s, durable(v, "to"))
		check(to, 2) // the first delivery of what waited
		to.bye()
	}, versions...)
}

// What is sent and not acknowledged has identifiers of its own, none of them 0,
// and is not sent again on this connection [v3 MQTT-2.3.1-4, MQTT-4.3.2-1,
// MQTT-4.3.3-1, v5 MQTT-2.2.1-4, MQTT-4.3.2-1, MQTT-4.3.2-2, MQTT-4.3.3-1,
// MQTT-4.3.3-2].
func TestSentPacketIDs(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		to := connect(t, s, clean(v, "to"))
		to.subscribe(filter("ids", 2))
		from := connect(t, s, clean(v, "from"))
		seen := make(map[uint16]bool)
		for i := range 60 {
			qos := mqtt.QoS(1 + i%2)
			from.publish("ids", "x", qos, false)
			m := to.wantMessage("ids", "x", qos)
			if m.PacketID == 0 || seen[m.PacketID] || m.Dup {
				t.Fatalf("packet id %d, DUP %t", m.PacketID, m.Dup)
			}
			seen[m.PacketID] = true
			if qos == 2 && i > 30 { // up to PUBREL the id stays in use
				to.ack(mqtt.PUBREC, m.PacketID)
				to.wantAck(mqtt.PUBREL, m.PacketID, mqtt.Success)
			}
		}
		to.barrier()
	}, versions...)
}

// The last retained message is kept at its QoS; a message without RETAIN neither
// takes its place nor removes it [v3 MQTT-3.3.1-5, MQTT-3.3.1-7, MQTT-3.3.1-12,
// v5 MQTT-3.3.1-5, MQTT-3.3.1-8].
func TestRetainedReplaced(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		from := connect(t, s, clean(v, "from"))
		for first := range mqtt.QoS(3) {
			for second := range mqtt.QoS(3) {
				from.publish("kept", "first", first, true)
				from.publish("kept", "second", second, true)
				from.publish("kept", "plain", first, false)
				from.publish("kept", "", 0, false)
				late := connect(t, s, clean(v, "late"))
				late.subscribe(filter("kept", 2))
				if m := late.wantMessage("kept", "second", second); !m.Retain {
					t.Error("RETAIN 0")
				}
				late.net.Close()
			}
		}
		from.publish("kept", "", 0, true)
	}, versions...)
}

// A subscription that is made again takes the place of the old one without a gap,
// while messages come [v3 MQTT-3.8.4-3, v5 MQTT-3.8.4-3, MQTT-3.8.4-4].
func TestResubscribeLosesNothing(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		const n, rounds = 2000, 100
		c := connect(t, s, clean(v, "c"))
		c.subscribe(filter("steady", 1))
		from := connect(t, s, clean(v, "from"))
		done := make(chan error, 1)
		go func() {
			var b []byte
			for i := range n {
				b = pub("steady", fmt.Sprint(i), 1, uint16(i+1)).Append(b, v)
			}
			_, err := from.net.Write(b)
			done <- err
		}()
		var b []byte
		for i := range rounds {
			b = (&mqtt.Subscribe{PacketID: 5, Filters: []mqtt.FilterRequest{filter("steady", mqtt.SubscriptionOptions(1+i%2))}}).Append(b, v)
		}
		c.raw(b)
		seen, codes := make(map[string]int), 0
		for len(seen) < n || codes < rounds {
			p, err := c.next()
			if err != nil {
				t.Fatalf("after %d messages: %v", len(seen), err)
			}
			switch p.Type {
			case mqtt.SUBACK:
				codes++
			case mqtt.PUBLISH:
				var m mqtt.Publish
				c.decode(p, func(p mqtt.Packet) error { return m.Decode(p, v) })
				if m.QoS != 1 || m.Dup {
					t.Fatalf("QoS %d, DUP %t", m.QoS, m.Dup)
				}
				seen[string(m.Payload)]++
				c.ack(mqtt.PUBACK, m.PacketID)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for payload, times := range seen {
			if times != 1 {
				t.Errorf("%s came %d times", payload, times)
			}
		}
		c.barrier()
	}, versions...)
}

// UNSUBSCRIBE compares filters byte by byte and is answered once, whatever was
// removed; then nothing comes any more [v3 MQTT-3.10.4-1, MQTT-3.10.4-2,
// MQTT-3.10.4-4 to -6, v5 MQTT-3.10.4-1, MQTT-3.10.4-2, MQTT-3.10.4-4 to -6,
// MQTT-3.11.3-1, MQTT-3.11.3-2].
func TestUnsubscribe(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, durable(v, "c"))
		c.subscribe(filter("a/+", 1), filter("b", 1), filter("$share/g/c", 1))
		codes := func(five ...mqtt.ReasonCode) []mqtt.ReasonCode {
			if v != mqtt.V50 {
				return nil
			}
			return five
		}
		const none = mqtt.NoSubscriptionExisted
		c.send(&mqtt.Unsubscribe{PacketID: 3, Filters: []string{"a/b", "a/#", "A/+", "c", "b/", "$share/h/c"}})
		c.wantCodes(mqtt.UNSUBACK, 3, codes(none, none, none, none, none, none)...)
		from := connect(t, s, clean(v, "from"))
		topics := []string{"a/b", "b", "c"}
		for _, topic := range topics {
			from.publish(topic, "x", 1, false)
			c.ack(mqtt.PUBACK, c.wantMessage(topic, "x", 1).PacketID)
		}
		c.send(&mqtt.Unsubscribe{PacketID: 0xFFFF, Filters: []string{"never", "a/+", "b", "never", "$share/g/c", "b"}})
		c.wantCodes(mqtt.UNSUBACK, 0xFFFF, codes(none, mqtt.Success, mqtt.Success, none, mqtt.Success, none)...)
		for _, topic := range topics {
			from.publish(topic, "x", 1, false)
		}
		c.barrier()
		c.drop()
		for _, topic := range topics {
			from.publish(topic, "x", 1, false)
		}
		c = connect(t, s, durable(v, "c"))
		c.barrier()
		c.bye()
		from.bye()
	}, versions...)
}

// What comes behind a DISCONNECT is not looked at [v3 MQTT-3.14.4-2,
// v5 MQTT-3.14.4-1].
func TestNothingAfterDisconnect(t *testing.T) {
	s := newServer(t)
	watch := connect(t, s, clean(mqtt.V311, "watch"))
	watch.subscribe(filter("#", 0))
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, willing(clean(v, "c"), 0))
		c.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT}, pub("behind", "x", 0, 0), pub("behind", "x", 1, 1))
		if packets := c.end(); len(packets) > 0 {
			t.Errorf("received %v", packets)
		}
		watch.t = t
		watch.barrier()
	}, versions...)
}

// An error ends a message for good: the other side hears of it and it is not sent
// again, and its identifier is free [v5 MQTT-4.4.0-2, MQTT-4.3.3-9].
func TestRefusedMessages(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{ReceiveMaximum: 1}) // a refusal gives it back
	to := connect(t, s, durable(mqtt.V50, "to"))
	to.subscribe(filter("refused", 2))
	from := connect(t, s, clean(mqtt.V50, "from"))
	for qos, typ := range map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		from.publish("refused", "x", qos, false)
		to.send(&mqtt.Ack{Type: typ, PacketID: to.wantMessage("refused", "x", qos).PacketID, Code: mqtt.NotAuthorized})
	}
	to.barrier()
	to.drop()
	to = connect(t, s, durable(mqtt.V50, "to"))
	to.barrier()
	for range 2 { // the server's own topics are closed to clients
		from.send(pub("$SYS/x", "refused", 2, 5))
		from.wantAck(mqtt.PUBREC, 5, mqtt.NotAuthorized)
		from.publish("else", "", 2, false)
		m := pub("refused", "new", 2, 5)
		m.Dup = true
		from.exchange(m)
		to.take(1, func(_ int, m *mqtt.Publish) {
			if string(m.Payload) != "new" {
				t.Errorf("received %s", m.Payload)
			}
		})
	}
	from.ack(mqtt.PUBREL, 5)
	from.wantAck(mqtt.PUBCOMP, 5, mqtt.PacketIdentifierNotFound)
}

// Answers that are errors have no Reason String and no User Property that make
// them larger than the client accepts, or that it does not want
// [v5 MQTT-3.1.2-29, MQTT-3.2.2-19, MQTT-3.2.2-20, MQTT-3.4.2-2 and so on].
func TestBareAnswers(t *testing.T) {
	s := newServer(t)
	small := limited(clean(mqtt.V50, "small"), mqtt.MaximumPacketSize, 16)
	quiet := limited(clean(mqtt.V50, "quiet"), mqtt.RequestProblemInformation, 0)
	for _, packet := range []mqtt.Connect{small, quiet} {
		c := connect(t, s, packet)
		m := pub("$SYS/x", "", 1, 1)
		m.Properties = []byte("\x26\x00\x01k\x00\x01v") // does not come back
		c.send(m)
		want := func(typ mqtt.PacketType, body string) {
			t.Helper()
			if p := c.expect(typ); string(p.Body) != body {
				t.Errorf("%v % x, want % x", typ, p.Body, body)
			}
		}
		want(mqtt.PUBACK, "\x00\x01\x87")
		m.QoS = 2
		c.send(m)
		want(mqtt.PUBREC, "\x00\x01\x87")
		c.ack(mqtt.PUBREC, 9)
		want(mqtt.PUBREL, "\x00\x09\x92")
		c.ack(mqtt.PUBREL, 9)
		want(mqtt.PUBCOMP, "\x00\x09\x92")
		c.send(&mqtt.Subscribe{PacketID: 2, Filters: []mqtt.FilterRequest{filter("a#", 0)}})
		want(mqtt.SUBACK, "\x00\x02\x00\x8F")
		c.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"a#", "b"}})
		want(mqtt.UNSUBACK, "\x00\x02\x00\x8F\x11")
		c.raw([]byte{0xC1, 0})
		if packets := c.end(); len(packets) != 1 || string(packets[0].Body) != "\x81" {
			t.Errorf("received %v, want DISCONNECT with 0x81 alone", packets)
		}
		packet.Properties.SetText(mqtt.AuthenticationMethod, "x")
		if body := refused(t, s, packet.Append(nil)); string(body) != "\x00\x8C\x00" {
			t.Errorf("CONNACK % x", body)
		}
	}
}

// A window that is full holds up messages of QoS 1 and 2 and nothing else
// [v5 MQTT-3.3.4-10, MQTT-4.9.0-3, v3 MQTT-3.12.4-1].
func TestFullWindow(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxInflight: 1})
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "c"))
		c.subscribe(filter("full", 2))
		from := connect(t, s, clean(v, "from"))
		for range 3 {
			from.publish("full", "x", 2, false)
		}
		id := c.wantMessage("full", "x", 2).PacketID
		c.ack(mqtt.PUBREC, id)
		c.wantAck(mqtt.PUBREL, id, mqtt.Success)
		c.barrier()
		c.subscribe(filter("other", 0))
		for qos := range mqtt.QoS(3) {
			c.publish("nobody", "", qos, false)
		}
		c.send(pub("other", "x", 1, 1))
		c.either(mqtt.PUBLISH, mqtt.PUBACK)
		c.send(&mqtt.Unsubscribe{PacketID: 4, Filters: []string{"other"}})
		c.expect(mqtt.UNSUBACK)
		c.barrier()
		c.ack(mqtt.PUBCOMP, id)
		c.wantMessage("full", "x", 2)
		c.barrier()
	}, versions...)
}

// A plain and a shared subscription of one client are two copies, each with the
// identifier of its own [v5 MQTT-3.3.4-5].
func TestCopiesHaveTheirOwnIdentifier(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, clean(mqtt.V50, "c"))
	for id, f := range map[uint32]string{5: "t", 6: "+", 7: "$share/g/t"} {
		c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter(f, 1)}, Properties: identifier(id)})
		c.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS1)
	}
	connect(t, s, clean(mqtt.V50, "from")).publish("t", "x", 1, false)
	plain, shared := 0, 0
	c.take(2, func(_ int, m *mqtt.Publish) {
		switch {
		case len(m.Identifiers) == 2 && m.Identifiers[0]+m.Identifiers[1] == 11:
			plain++
		case len(m.Identifiers) == 1 && m.Identifiers[0] == 7:
			shared++
		}
	})
	if plain != 1 || shared != 1 {
		t.Errorf("%d copies for the plain subscriptions, %d for the shared one", plain, shared)
	}
	c.barrier()
}

// A message of QoS 2 that a member of a share was sent stays with it: it goes on
// there after a break, and if its session ends, or if it refuses, nobody else gets
// it [v5 MQTT-4.8.2-4, MQTT-4.8.2-5, MQTT-4.8.2-6].
func TestShareBreaks(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	other := connect(t, s, clean(mqtt.V50, "other"))
	for _, x := range []struct {
		name     string
		received bool // PUBREC before the break
		end      bool // of the session instead of its return
	}{{"before PUBREC", false, false}, {"after PUBREC", true, false}, {"before PUBREC, end", false, true}, {"after PUBREC, end", true, true}} {
		t.Run(x.name, func(t *testing.T) {
			member := connect(t, s, durable(mqtt.V50, "member"))
			member.subscribe(filter("$share/g/t", 2))
			from.publish("t", "x", 2, false)
			id := member.wantMessage("t", "x", 2).PacketID
			other.subscribe(filter("$share/g/t", 2))
			if x.received {
				member.ack(mqtt.PUBREC, id)
				member.wantAck(mqtt.PUBREL, id, mqtt.Success)
			}
			member.drop()
			other.barrier()
			if x.end {
				connect(t, s, clean(mqtt.V50, "member")).bye()
				other.barrier()
			} else {
				member = connect(t, s, durable(mqtt.V50, "member"))
				if !x.received {
					if m := member.wantMessage("t", "x", 2); m.PacketID != id || !m.Dup {
						t.Errorf("id %d, DUP %t", m.PacketID, m.Dup)
					}
					member.ack(mqtt.PUBREC, id)
				}
				member.wantAck(mqtt.PUBREL, id, mqtt.Success)
				member.ack(mqtt.PUBCOMP, id)
				member.barrier()
				member.bye()
				connect(t, s, clean(mqtt.V50, "member")).bye()
			}
			other.send(&mqtt.Unsubscribe{PacketID: 1, Filters: []string{"$share/g/t"}})
			other.wantCodes(mqtt.UNSUBACK, 1, mqtt.Success)
		})
	}
	member := connect(t, s, clean(mqtt.V50, "member"))
	for _, c := range []*rawClient{member, other} {
		c.subscribe(filter("$share/g/t", 2))
	}
	for qos, typ := range map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		for range 2 { // one for each
			from.publish("t", "x", qos, false)
		}
		for _, c := range []*rawClient{member, other} {
			c.send(&mqtt.Ack{Type: typ, PacketID: c.wantMessage("t", "x", qos).PacketID, Code: mqtt.UnspecifiedError})
		}
		for _, c := range []*rawClient{member, other} {
			c.barrier()
		}
	}
}

// More packets that end a connection: wrong strings and lengths where the other
// violations have none.
func TestStringViolations(t *testing.T) {
	s := newServer(t)
	property := func(p string) string { return "\x30\x00\x01t" + string(rune(len(p))) + p }
	for _, x := range []struct {
		versions int
		packet   string
		code     mqtt.ReasonCode
	}{
		{only3, "\x82\x00\x01\x00\x02\xC0\x80\x00", mqtt.MalformedPacket}, // [v3 MQTT-3.8.3-1]
		{only3, "\x82\x00\x01\x00\x01\x00\x00", mqtt.MalformedPacket},     // [v3 MQTT-4.7.3-2]
		{only5, "\x82\x00\x01\x00\x00\x01\xFF\x00", mqtt.MalformedPacket}, // [v5 MQTT-3.8.3-1]
		{only3, "\xA2\x00\x01\x00\x01\xFF", mqtt.MalformedPacket},         // [v3 MQTT-3.10.3-1]
		{only3, "\xA2\x00\x01\x00\x01\x00", mqtt.MalformedPacket},
		{only5, "\xA2\x00\x01\x00\x00\x01\xFF", mqtt.MalformedPacket}, // [v5 MQTT-3.10.3-1]
		{only5, "\xA2\x00\x01\x00\x00\x01\x00", mqtt.MalformedPacket},
		{only3, "\x82\x00\x01\x00\x01t\x80", mqtt.MalformedPacket},           // [v3 MQTT-3.8.3-4]
		{only5, "\x82\x00\x01\x00\x00\x01t\x80", mqtt.MalformedPacket},       // [v5 MQTT-3.8.3-5]
		{only5, "\x30\x00\x03a\x00b\x00", mqtt.MalformedPacket},              // [v5 MQTT-1.5.4-2]
		{only5, property("\x08\x00\x01\xFF"), mqtt.MalformedPacket},          // [v5 MQTT-3.3.2-13]
		{only5, property("\x08\x00\x01\x00"), mqtt.MalformedPacket},          //
		{only5, property("\x03\x00\x01\xFF"), mqtt.MalformedPacket},          // [v5 MQTT-3.3.2-19]
		{only5, property("\x08\x00\x03a/#"), mqtt.ProtocolError},             // [v5 MQTT-3.3.2-14]
		{only5, property("\x26\x00\x01\xFF\x00\x01v"), mqtt.MalformedPacket}, // [v5 MQTT-1.5.7-1]
		{only5, property("\x26\x00\x01k\x00\x01\x00"), mqtt.MalformedPacket},
		{only5, "\x30\x00\x01t\x80\x00", mqtt.MalformedPacket},                     // [v5 MQTT-1.5.5-1]
		{only5, "\x82\x00\x01\x03\x0B\x81\x00\x00\x01t\x00", mqtt.MalformedPacket}, // and in a property
		{only5, "\x82\x00\x01", mqtt.MalformedPacket},                              // no property length [v5 MQTT-2.2.2-1]
		{only5, "\xF1", mqtt.MalformedPacket},                                      // [v5 MQTT-3.15.1-1]
		{only5, "\xF0\x01\x04\x15\x00\x01x", mqtt.ProtocolError},                   // a code that AUTH has not
		{only5, "\xF0\x18\x04\x15\x00\x01x", mqtt.ProtocolError},                   // [v5 MQTT-4.12.0-7]
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V50} {
			if x.versions&(1<<v) == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s % x", versionName(v), x.packet), func(t *testing.T) {
				c := connect(t, s, clean(v, "violator"))
				c.raw(seal(x.packet))
				c.wantEnd(x.code)
			})
		}
	}
}
