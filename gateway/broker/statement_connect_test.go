package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// refused sends bytes on a connection of their own and returns the body of the
// CONNACK that they bring, or nil if the connection is closed without one. More
// than that must not come.
func refused(t *testing.T, s *server, b []byte) []byte {
	t.Helper()
	c := openRaw(t, s, mqtt.V50)
	c.net.Write(b) // fails if the broker closes first
	packets := c.end()
	if len(packets) == 0 {
		return nil
	}
	if len(packets) > 1 || packets[0].Type != mqtt.CONNACK {
		t.Fatalf("received %v", packets)
	}
	return packets[0].Body
}

// Only CONNECT opens a connection: whatever else comes first has no answer
// [v3 MQTT-3.1.0-1, v5 MQTT-3.1.0-1], not even DISCONNECT [v5 MQTT-3.14.0-1].
func TestFirstPacket(t *testing.T) {
	s := newServer(t)
	for _, packet := range []string{
		"\x20\x02\x00\x00", "\x30\x03\x00\x01t", "\x30\x04\x00\x01t\x00", "\x32\x05\x00\x01t\x00\x01", "\x40\x02\x00\x01", "\x50\x02\x00\x01", "\x62\x02\x00\x01", "\x70\x02\x00\x01",
		"\x82\x06\x00\x01\x00\x01t\x00", "\x90\x03\x00\x01\x00", "\xA2\x05\x00\x01\x00\x01t", "\xB0\x02\x00\x01", "\xC0\x00", "\xD0\x00",
		"\xE0\x00", "\xE0\x01\x04", "\xF0\x00", "\xF0\x06\x18\x04\x15\x00\x01x", "\x00\x00",
	} {
		if body := refused(t, s, append([]byte(packet), connectBytes("MQTT", 4, 2, "c")...)); body != nil {
			t.Errorf("% x is answered by CONNACK % x", packet, body)
		}
	}
}

// Protocol names and levels that are none: a foreign name has no answer, a level
// has the one in its own form [v3 MQTT-3.1.2-1, MQTT-3.1.2-2,
// v5 MQTT-3.1.2-1, MQTT-3.1.2-2].
func TestProtocolNames(t *testing.T) {
	s := newServer(t)
	for _, name := range []string{"MQTS", "mqtt", "", "MQTT ", "\x00MQTT"} {
		for _, level := range []byte{3, 4, 5} {
			if body := refused(t, s, connectBytes(name, level, 2, "c")); body != nil {
				t.Errorf("name %q, level %d is answered by CONNACK % x", name, level, body)
			}
		}
	}
	long := append([]byte("\x10\x88\x80\x04\xFF\xFF"), strings.Repeat("M", 65535)...)
	if body := refused(t, s, append(long, "\x04\x02\x00\x00\x00\x01c"...)); body != nil {
		t.Errorf("a name of 65,535 bytes is answered by CONNACK % x", body)
	}
	for level, want := range map[byte]string{0: "\x00\x01", 1: "\x00\x01", 3: "\x00\x01", 6: "\x00\x84\x00", 127: "\x00\x84\x00"} {
		if body := refused(t, s, connectBytes("MQTT", level, 2, "c")); string(body) != want {
			t.Errorf("level %d is answered by CONNACK % x, want % x", level, body, want)
		}
	}
}

// Flags of CONNECT and the fields that they announce have to agree.
func TestConnectFlagsAndFields(t *testing.T) {
	s := newServer(t)
	for _, x := range []struct {
		name   string
		flags  byte
		fields []string
	}{
		{"will flag without its fields [v3 MQTT-3.1.2-9, v5 MQTT-3.1.2-9]", 0x06, []string{"c"}},
		{"will flag without payload", 0x06, []string{"c", "w"}},
		{"will fields without their flag [v3 MQTT-3.1.2-11]", 0x02, []string{"c", "w", "m"}},
		{"will QoS 1 without will [v3 MQTT-3.1.2-13, v5 MQTT-3.1.2-11]", 0x0A, []string{"c"}},
		{"will QoS 2 without will", 0x12, []string{"c"}},
		{"will retain without will [v3 MQTT-3.1.2-15, v5 MQTT-3.1.2-13]", 0x22, []string{"c"}},
		{"will QoS 3 [v3 MQTT-3.1.2-14, v5 MQTT-3.1.2-12]", 0x1E, []string{"c", "w", "m"}},
		{"user name without its flag [v3 MQTT-3.1.2-18, v5 MQTT-3.1.2-16]", 0x02, []string{"c", "u"}},
		{"user name flag without user name [v3 MQTT-3.1.2-19, v5 MQTT-3.1.2-17]", 0x82, []string{"c"}},
		{"password without its flag [v3 MQTT-3.1.2-20, v5 MQTT-3.1.2-18]", 0x82, []string{"c", "u", "p"}},
		{"password flag without password [v3 MQTT-3.1.2-21, v5 MQTT-3.1.2-19]", 0xC2, []string{"c", "u"}},
		{"no client identifier [v3 MQTT-3.1.3-3, v5 MQTT-3.1.3-3]", 0x02, nil},
		{"client identifier that is not UTF-8 [v3 MQTT-3.1.3-4, v5 MQTT-3.1.3-4]", 0x02, []string{"\xFF"}},
		{"client identifier with U+0000", 0x02, []string{"a\x00"}},
		{"user name that is not UTF-8 [v3 MQTT-3.1.3-11, v5 MQTT-3.1.3-12]", 0x82, []string{"c", "\xC0\x80"}},
		{"user name with U+0000", 0x82, []string{"c", "a\x00"}},
		{"will topic that is not UTF-8 [v3 MQTT-3.1.3-10, v5 MQTT-3.1.3-11]", 0x06, []string{"c", "\xED\xA0\x80", "m"}},
		{"will topic with U+0000", 0x06, []string{"c", "a\x00", "m"}},
		{"reserved flag [v3 MQTT-3.1.2-3, v5 MQTT-3.1.2-3]", 0x03, []string{"c"}},
	} {
		if body := refused(t, s, connectBytes("MQTT", 4, x.flags, x.fields...)); body != nil {
			t.Errorf("3.1.1, %s: CONNACK % x", x.name, body)
		}
		fields := x.fields
		if x.flags&4 != 0 && len(fields) > 1 {
			// An empty property length stands between: the length of the will
			// topic is of two bytes, so the topic is shifted by one.
			b := connectBytes("MQTT", 5, x.flags, fields...)
			at := 2 + 11 + 2 + len(fields[0])
			b = append(b[:at], append([]byte{0}, b[at:]...)...)
			b[1]++
			if body := refused(t, s, b); string(body) != "\x00\x81\x00" {
				t.Errorf("5.0, %s: CONNACK % x", x.name, body)
			}
			continue
		}
		if body := refused(t, s, connectBytes("MQTT", 5, x.flags, fields...)); string(body) != "\x00\x81\x00" {
			t.Errorf("5.0, %s: CONNACK % x", x.name, body)
		}
	}
}

// Identifiers of 1 to 23 letters and digits have to be allowed, others may be and
// are; each is a session of its own, compared byte by byte [v3 MQTT-3.1.3-2,
// MQTT-3.1.3-5, v5 MQTT-3.1.3-2, MQTT-3.1.3-5].
func TestClientIdentifiers(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		open := make(map[string]*rawClient)
		for _, id := range []string{"0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ", "x", "X", "x ", " x", "x/", "\ufeffx", "e\u0301", "\u00e9",
			strings.Repeat("long", 100)} {
			c := connect(t, s, clean(v, id))
			c.subscribe(filter("ids/"+fmt.Sprint(len(open)), 0))
			open[id] = c
		}
		from := connect(t, s, clean(v, "from"))
		for i := range len(open) {
			from.publish("ids/"+fmt.Sprint(i), "x", 0, false)
		}
		for id, c := range open {
			if c.message(); t.Failed() {
				t.Fatalf("the client %q", id)
			}
			c.barrier() // one message each, and nobody was thrown off
			c.bye()
		}
	}, versions...)
}

// Clients without an identifier get one each and do not disturb each other
// [v3 MQTT-3.1.3-6, v5 MQTT-3.1.3-6].
func TestEmptyClientIdentifiers(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		var all []*rawClient
		for i := range 20 {
			c := connect(t, s, clean(v, ""))
			c.subscribe(filter(fmt.Sprint("empty/", i), 0))
			all = append(all, c)
		}
		for i, c := range all {
			all[0].send(pub(fmt.Sprint("empty/", i), "x", 0, 0))
			c.wantMessage(fmt.Sprint("empty/", i), "x", 0)
		}
		for _, c := range all {
			c.barrier()
			c.bye()
		}
	}, mqtt.V311, mqtt.V50)
}

// A CONNACK that refuses says that no session is present, though there is one,
// and nothing that came behind the CONNECT is done [v3 MQTT-3.2.2-4, MQTT-3.1.4-5,
// v5 MQTT-3.2.2-6, MQTT-3.1.4-6, MQTT-3.1.2-30].
func TestRefusalOfKnownClient(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxConnections: 1})
	connect(t, s, durable(mqtt.V50, "known")).bye()
	watch := connect(t, s, clean(mqtt.V50, "watch"))
	watch.subscribe(filter("behind", 0))
	method := durable(mqtt.V50, "known")
	method.Properties.SetText(mqtt.AuthenticationMethod, "SCRAM-SHA-1")
	old, five := durable(mqtt.V311, "known"), durable(mqtt.V50, "known")
	for _, x := range []struct {
		packet mqtt.Connect
		want   string
	}{{old, "\x00\x03"}, {five, "\x00\x89\x00"}, {method, "\x00\x8C\x00"}} {
		b := x.packet.Append(nil)
		b = pub("behind", "x", 0, 0).Append(b, x.packet.Version)
		b = (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("behind", 0)}}).Append(b, x.packet.Version)
		if body := refused(t, s, b); string(body) != x.want {
			t.Errorf("CONNACK % x, want % x", body, x.want)
		}
	}
	watch.barrier()
	watch.bye()
	c := connect(t, s, durable(mqtt.V50, "known"))
	if !c.connack.SessionPresent {
		t.Error("the session is gone")
	}
	c.send(pub("behind", "x", 0, 0)) // not subscribed by what was refused
	c.barrier()
}

// Clean Start takes all away that was kept and, before 5.0, leaves nothing behind
// [v3 MQTT-3.1.2-6, v5 MQTT-3.1.2-4].
func TestCleanStartForgets(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V311, "from"))
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, durable(v, "c"))
		c.subscribe(filter("f", 2))
		from.publish("f", "in flight", 1, false)
		c.wantMessage("f", "in flight", 1)
		c.send(pub("else", "", 2, 9))
		c.wantAck(mqtt.PUBREC, 9, mqtt.Success)
		c.drop()
		from.publish("f", "queued", 2, false)
		c = connect(t, s, clean(v, "c"))
		from.publish("f", "live", 1, false)
		c.barrier()
		c.ack(mqtt.PUBREL, 9)
		c.wantAck(mqtt.PUBCOMP, 9, missing(v))
		c.subscribe(filter("f", 1))
		c.bye()
		from.publish("f", "away", 1, false)
		c = connect(t, s, durable(v, "c"))
		if c.connack.SessionPresent {
			t.Error("session present")
		}
		from.publish("f", "live", 1, false)
		c.barrier()
		c.bye()
		connect(t, s, clean(v, "c")).bye()
	}, versions...)
}

// A session does not end before its connection, however short its expiry
// [v3 MQTT-4.1.0-1, MQTT-4.1.0-2, v5 MQTT-4.1.0-1].
func TestSessionLastsWithConnection(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	var all []*rawClient
	for _, packet := range []mqtt.Connect{expiring(mqtt.V50, "1", 1), clean(mqtt.V50, "2"), clean(mqtt.V311, "3"), durable(mqtt.V311, "4")} {
		c := connect(t, s, packet)
		c.subscribe(filter("lasts", 2))
		c.send(pub("else", "", 2, 9))
		c.wantAck(mqtt.PUBREC, 9, mqtt.Success)
		all = append(all, c)
	}
	m := pub("marker", "x", 0, 0)
	m.HasExpiry, m.Expiry, m.Retain = true, 2, true
	from.exchange(m)
	eventually(t, "two seconds are over", func() bool { return s.Stats().Retained == 0 })
	from.publish("lasts", "still", 2, false)
	for _, c := range all {
		id := c.wantMessage("lasts", "still", 2).PacketID
		c.ack(mqtt.PUBREC, id)
		c.wantAck(mqtt.PUBREL, id, mqtt.Success)
		c.ack(mqtt.PUBCOMP, id)
		c.ack(mqtt.PUBREL, 9)
		c.wantAck(mqtt.PUBCOMP, 9, mqtt.Success)
		c.barrier()
	}
}

// A will is published once: not again after it was, not after DISCONNECT, and not
// for a connection that had none [v3 MQTT-3.1.2-10, MQTT-3.1.2-12, v5 MQTT-3.1.2-10].
func TestWillOnce(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		watch.t = t
		connect(t, s, willing(durable(v, "c"), 0)).drop()
		watch.wantWill("c")
		connect(t, s, durable(v, "c")).drop() // without a will
		watch.barrier()
		connect(t, s, willing(durable(v, "c"), 0)).bye()
		connect(t, s, durable(v, "c")).drop()
		watch.barrier()
	}, versions...)
	watch.t = t
	connect(t, s, willing(expiring(mqtt.V50, "delayed", 60), 1)).drop()
	connect(t, s, expiring(mqtt.V50, "delayed", 60)).drop()
	connect(t, s, willing(expiring(mqtt.V50, "marker", 60), 1)).drop()
	watch.wantWill("marker") // after the time of the other
	watch.barrier()
}

// Will Retain decides whether a will is retained, Will QoS at which level it is
// published [v3 MQTT-3.1.2-16, MQTT-3.1.2-17, v5 MQTT-3.1.2-14, MQTT-3.1.2-15].
func TestWillFlags(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		watch.t = t
		for qos := range mqtt.QoS(3) {
			for _, retain := range []bool{false, true} {
				packet := clean(v, "c")
				topic := fmt.Sprintf("will/%s/%d/%t", versionName(v), qos, retain)
				packet.Will = &mqtt.Message{Topic: topic, Payload: []byte("gone"), QoS: qos, Retain: retain}
				connect(t, s, packet).drop()
				watch.take(1, func(_ int, m *mqtt.Publish) {
					if string(m.Topic) != topic || m.QoS != qos || m.Retain {
						t.Errorf("received %s with QoS %d and RETAIN %t", m.Topic, m.QoS, m.Retain)
					}
				})
				late := connect(t, s, clean(v, "late"))
				late.subscribe(filter(topic, 0))
				if retain {
					if m := late.wantMessage(topic, "gone", 0); !m.Retain {
						t.Error("retained will without RETAIN")
					}
				}
				late.barrier()
				late.bye()
			}
		}
	}, versions...)
}

// No packet is larger than the client accepts [v5 MQTT-3.1.2-24]: a CONNACK that
// is too large cannot be sent, so the client is refused.
func TestConnackFits(t *testing.T) {
	s := newServer(t)
	for _, x := range []struct {
		packet mqtt.Connect
		size   uint32
		want   string
	}{
		{clean(mqtt.V50, "c"), 15, "\x00\x95\x00"},
		{clean(mqtt.V50, "c"), 5, "\x00\x95\x00"},
		{clean(mqtt.V50, "c"), 4, ""},
		{clean(mqtt.V50, "c"), 1, ""},
		{clean(mqtt.V50, ""), 38, "\x00\x95\x00"},
	} {
		packet := limited(x.packet, mqtt.MaximumPacketSize, x.size)
		if body := refused(t, s, packet.Append(nil)); string(body) != x.want {
			t.Errorf("limit %d: CONNACK % x, want % x", x.size, body, x.want)
		}
	}
	connect(t, s, limited(clean(mqtt.V50, "c"), mqtt.MaximumPacketSize, 16)).barrier()
	connect(t, s, limited(clean(mqtt.V50, ""), mqtt.MaximumPacketSize, 39)).barrier()
	if n := len(s.Clients()); n != 2 {
		t.Errorf("%d clients", n)
	}
}

// Neither is a SUBACK or UNSUBACK that would be too large: it has one code for
// each filter, and none can be left out.
func TestSubackFits(t *testing.T) {
	s := newServer(t)
	var fits []mqtt.FilterRequest
	var names []string
	for i := range 15 {
		names = append(names, fmt.Sprint("f", i))
		fits = append(fits, filter(names[i], 0))
	}
	packet := limited(clean(mqtt.V50, "c"), mqtt.MaximumPacketSize, 20)
	c := connect(t, s, packet)
	c.subscribe(fits...)
	c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: names})
	c.wantCodes(mqtt.UNSUBACK, 1, make([]mqtt.ReasonCode, 15)...)
	c.send(&mqtt.Subscribe{PacketID: 1, Filters: append(fits, filter("f", 0))})
	c.wantEnd(mqtt.PacketTooLarge)
	c = connect(t, s, packet)
	c.send(&mqtt.Unsubscribe{PacketID: 1, Filters: append(names, "f")})
	c.wantEnd(mqtt.PacketTooLarge)
}
