package broker_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// When a new connection is accepted the one that it takes over from does nothing
// any more, whatever was on its way [v5 MQTT-3.1.4-3].
func TestNothingFromWhoWasTakenOver(t *testing.T) {
	s := newServer(t)
	watch := connect(t, s, clean(mqtt.V50, "watch"))
	watch.subscribe(filter("t", 1))
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		watch.t = t
		for round := range 20 {
			watch.net.SetDeadline(time.Now().Add(patience))
			mark := fmt.Sprint("mark ", round)
			busy := connect(t, s, clean(v, "c"))
			var b []byte
			for range 100 {
				b = pub("t", "busy", 0, 0).Append(b, v)
			}
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					if _, err := busy.net.Write(b); err != nil {
						return
					}
				}
			}()
			watch.wantMessage("t", "busy", 0)
			next := connect(t, s, clean(v, "c"))
			// With QoS 0 the mark could be among what watch is too slow for.
			next.send(pub("t", mark, 1, 1))
			m := watch.message()
			for string(m.Payload) != mark {
				m = watch.message()
			}
			watch.ack(mqtt.PUBACK, m.PacketID)
			watch.barrier()
			busy.net.Close()
			<-stopped
		}
	}, versions...)
}

// It makes no difference whether the broker sees the end of the old connection
// before the CONNECT of the new one, after it, or at the same time: the session
// that ends with its connection is not inherited [v5 MQTT-3.1.2-23, MQTT-3.2.2-3,
// v3 MQTT-3.1.2-6], and there is one will or none.
func TestEndsInAnyOrder(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	five := mqtt.V50
	for i, x := range []struct {
		name          string
		first, second func(id string) mqtt.Connect
		present, will bool
	}{
		{"3.1.1 both kept", old(durable), old(durable), true, true},
		{"3.1.1 clean then kept", old(clean), old(durable), false, true},
		{"5.0 no expiry", with(five, 0, false, 0), with(five, 60, false, 0), false, true},
		{"5.0 no expiry, delay", with(five, 0, false, 30), with(five, 60, false, 0), false, true},
		{"5.0 lives on", with(five, 60, false, 0), with(five, 60, false, 0), true, true},
		{"5.0 lives on, delay", with(five, 60, false, 30), with(five, 60, false, 0), true, false},
		{"5.0 clean start, delay", with(five, 60, false, 30), with(five, 60, true, 0), false, true},
	} {
		for end, name := range []string{"after", "before", "meanwhile"} {
			t.Run(x.name+" "+name, func(t *testing.T) {
				watch.t = t
				for round := range 10 {
					id := fmt.Sprintf("order-%d-%d-%d", i, end, round)
					packet := x.first(id)
					a := connect(t, s, willing(packet, packet.WillDelay))
					a.subscribe(filter("order", 1))
					switch name {
					case "before":
						a.drop()
					case "meanwhile":
						a.net.Close()
					}
					b := connect(t, s, x.second(id))
					if b.connack.SessionPresent != x.present {
						t.Errorf("session present %t", b.connack.SessionPresent)
					}
					if x.will {
						watch.wantWill(id)
					}
					b.send(pub("order", "x", 0, 0))
					if x.present {
						b.wantMessage("order", "x", 0)
					}
					b.barrier()
					b.bye()
				}
				watch.barrier()
			})
		}
	}
}

// Only DISCONNECT with 0x00 takes the will away. Every other code that a client
// may send has it published, after its delay [v5 MQTT-3.14.4-3, MQTT-3.1.2-10].
func TestWillByCodeOfDisconnect(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	for _, code := range []mqtt.ReasonCode{0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99} {
		for _, delay := range []uint32{0, 1000} {
			id := fmt.Sprintf("%02x-%d", byte(code), delay)
			c := connect(t, s, willing(expiring(mqtt.V50, id, 1000), delay))
			c.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT, Code: code})
			c.end()
			if code != 0 && delay == 0 {
				watch.wantWill(id)
			}
			watch.barrier()
			connect(t, s, clean(mqtt.V50, id)).bye() // the session ends: what was delayed comes
			if code != 0 && delay > 0 {
				watch.wantWill(id)
			}
			watch.barrier()
		}
	}
}

// A will into the topics that are closed to clients goes nowhere.
func TestWillIntoDollar(t *testing.T) {
	s := newServer(t)
	watch := connect(t, s, clean(mqtt.V50, "watch"))
	watch.subscribe(filter("$SYS/#", 0), filter("$x", 0))
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		for _, topic := range []string{"$SYS/broker/version", "$x", "$share/g/t"} {
			packet := clean(v, "c")
			packet.Will = &mqtt.Message{Topic: topic, Payload: []byte("mine"), Retain: true}
			connect(t, s, packet).drop()
		}
		watch.t = t
		watch.barrier()
		if n := s.Stats().Retained; n != 0 {
			t.Errorf("%d messages are retained", n)
		}
	}, versions...)
}

// The limit on topic levels holds for wills too.
func TestWillOfTooManyLevels(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxTopicLevels: 3})
	for v, want := range map[mqtt.Version]string{mqtt.V311: "", mqtt.V50: "\x00\x90\x00"} {
		packet := clean(v, "c")
		packet.Will = &mqtt.Message{Topic: "a/b/c"}
		connect(t, s, packet).bye()
		packet.Will = &mqtt.Message{Topic: "a/b/c/d"}
		if body := refused(t, s, packet.Append(nil)); string(body) != want {
			t.Errorf("%s: CONNACK % x, want % x", versionName(v), body, want)
		}
	}
	house := newClient(t, s, "house")
	if err := house.Publish(t.Context(), mqtt.Message{Topic: "a/b/c/d"}); err == nil {
		t.Error("the house may publish to any number of levels")
	}
	if n := s.Stats().Exceeded[broker.LimitTopicLevels]; n != 3 {
		t.Errorf("%d counted, want 3", n)
	}
}

// Wills of sessions that are kept survive the process being killed, those whose
// delay runs and those of clients that were connected.
func TestWillsOfKilledBroker(t *testing.T) {
	dir := t.TempDir()
	addr, kill := startVictim(t, dir)
	s := &server{Addr: addr}
	watch := connect(t, s, durable(mqtt.V50, "watch"))
	watch.subscribe(filter("will/#", 1))
	connect(t, s, willing(expiring(mqtt.V50, "connected", 1000), 1))
	connect(t, s, willing(durable(mqtt.V311, "old"), 0))
	connect(t, s, willing(expiring(mqtt.V50, "away", 1000), 1)).drop()
	connect(t, s, willing(expiring(mqtt.V50, "orderly", 1000), 0)).bye()
	watch.publish("barrier", "", 1, true) // behind what the end of the orderly one changed
	kill()
	addr, _ = startVictim(t, dir)
	watch = connect(t, &server{Addr: addr}, durable(mqtt.V50, "watch"))
	got := make(map[string]bool)
	for range 3 {
		m := watch.message()
		got[string(m.Topic)] = true
		watch.ack(mqtt.PUBACK, m.PacketID)
	}
	if !got["will/connected"] || !got["will/old"] || !got["will/away"] {
		t.Errorf("received %v", got)
	}
	watch.barrier()
}

// No Session Expiry Interval is an interval of 0, whatever Clean Start says; with
// one a session is kept, though Clean Start made it new [v5 MQTT-3.1.2-23].
func TestSessionExpiryAndCleanStart(t *testing.T) {
	s := newServer(t)
	for _, start := range []bool{false, true} {
		for name, x := range map[string]struct {
			expiry  uint32
			absent  bool
			present bool
		}{"absent": {absent: true}, "0": {}, "60": {expiry: 60, present: true}, "never": {expiry: persist.NeverExpires, present: true}} {
			packet := mqtt.Connect{Version: mqtt.V50, ClientID: fmt.Sprint(name, start), CleanStart: start}
			if !x.absent {
				packet.Properties.SetUint(mqtt.SessionExpiryInterval, x.expiry)
			}
			c := connect(t, s, packet)
			if c.connack.Properties.Has(mqtt.SessionExpiryInterval) {
				t.Errorf("%s: the server uses another interval", name)
			}
			c.subscribe(filter("x", 0))
			c.drop()
			c = connect(t, s, expiring(mqtt.V50, packet.ClientID, 0))
			if c.connack.SessionPresent != x.present {
				t.Errorf("interval %s, clean start %t: session present %t", name, start, !x.present)
			}
			c.bye()
		}
	}
}

// A client that comes back with another version of the protocol goes on with its
// session: identifiers stay, properties are left out where there are none.
func TestVersionChanges(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxInflight: 2})
	c := connect(t, s, durable(mqtt.V50, "c"))
	c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("v", 2)}, Properties: identifier(7)})
	c.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS2)
	from := connect(t, s, clean(mqtt.V50, "from"))
	const user = "\x26\x00\x01k\x00\x01v"
	publish := func(payload string, qos mqtt.QoS) {
		m := pub("v", payload, qos, 1)
		m.Properties, m.HasExpiry, m.Expiry = []byte(user), true, 1000
		from.exchange(m)
	}
	for i, qos := range []mqtt.QoS{1, 2, 1, 2} {
		publish(fmt.Sprint(i), qos)
	}
	ids := make(map[string]uint16)
	readOpen(c, 2, ids)
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V31, mqtt.V50, mqtt.V31} {
		c.drop()
		c = connect(t, s, durable(v, "c"))
		if c.connack.SessionPresent != (v != mqtt.V31) {
			t.Fatalf("%s: session present %t", versionName(v), c.connack.SessionPresent)
		}
		for i := range 2 {
			m := c.message()
			if string(m.Payload) != fmt.Sprint(i) || !m.Dup || m.PacketID != ids[fmt.Sprint(i)] {
				t.Errorf("%s: %s with id %d and DUP %t", versionName(v), m.Payload, m.PacketID, m.Dup)
			}
			if five := v == mqtt.V50; (string(m.Properties) == user) != five || m.HasExpiry != five || (len(m.Identifiers) == 1) != five {
				t.Errorf("%s: properties % x, expiry %t, identifiers %v", versionName(v), m.Properties, m.HasExpiry, m.Identifiers)
			}
		}
		c.barrier()
	}
	// The old client takes all; the subscription keeps what 5.0 said about it.
	c.ack(mqtt.PUBACK, ids["0"])
	c.ack(mqtt.PUBREC, ids["1"])
	var got []string
	c.wantMessage("v", "2", 1)
	c.wantAck(mqtt.PUBREL, ids["1"], mqtt.Success)
	c.drop()
	c = connect(t, s, durable(mqtt.V50, "c"))
	c.take(2, func(_ int, m *mqtt.Publish) {
		got = append(got, string(m.Payload))
		if !slices.Equal(m.Identifiers, []uint32{7}) || string(m.Properties) != user {
			t.Errorf("%s: identifiers %v, properties % x", m.Payload, m.Identifiers, m.Properties)
		}
	})
	if !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("received %v", got)
	}
	c.barrier()
}

// The bridge bit may stand on each level that there is.
func TestBridgeBit(t *testing.T) {
	s := newServer(t)
	other := connect(t, s, clean(mqtt.V50, "other"))
	for _, x := range []struct {
		name  string
		level byte
		v     mqtt.Version
	}{{"MQIsdp", 0x83, mqtt.V31}, {"MQTT", 0x84, mqtt.V311}, {"MQTT", 0x85, mqtt.V50}} {
		b := connectBytes(x.name, x.level, 2, "bridge")
		if x.v == mqtt.V50 {
			packet := clean(mqtt.V50, "bridge")
			packet.Bridge = true
			b = packet.Append(nil)
		}
		c := openRaw(t, s, x.v)
		c.raw(b)
		c.expect(mqtt.CONNACK)
		c.subscribe(filter("b/#", 0))
		other.publish("b/x", "theirs", 0, true)
		if m := c.wantMessage("b/x", "theirs", 0); m.Retain != (x.v != mqtt.V50) {
			t.Errorf("level %#x: RETAIN %t", x.level, m.Retain)
		}
		c.send(pub("b/y", "own", 0, 0))
		if x.v == mqtt.V50 { // it has options of its own
			c.wantMessage("b/y", "own", 0)
		}
		c.barrier()
		c.bye()
		other.publish("b/x", "", 0, true)
	}
}

// The identifier of an exchange that is open is no reason to refuse a SUBSCRIBE
// with it, which is a mistake of the client: one that has lost its own state
// could never subscribe again. The exchange goes on (5.0 §2.2.1).
func TestSubscribeWithOpenPacketID(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, durable(v, "c"))
		c.send(pub("else", "x", 2, 5))
		c.wantAck(mqtt.PUBREC, 5, mqtt.Success)
		c.send(&mqtt.Subscribe{PacketID: 5, Filters: []mqtt.FilterRequest{filter("t", 1)}})
		c.wantCodes(mqtt.SUBACK, 5, mqtt.GrantedQoS1)
		c.send(&mqtt.Unsubscribe{PacketID: 5, Filters: []string{"t"}})
		c.expect(mqtt.UNSUBACK)
		c.ack(mqtt.PUBREL, 5)
		c.wantAck(mqtt.PUBCOMP, 5, mqtt.Success)
		c.bye()
	}, versions...)
}

// What the store acknowledges for a connection that is gone does not come on the
// next one: there it might be taken for the answer to something else
// [v5 MQTT-4.4.0-1].
func TestAcknowledgementsEndWithConnection(t *testing.T) {
	s := newServer(t)
	away := connect(t, s, durable(mqtt.V311, "away"))
	away.subscribe(filter("kept", 2))
	away.bye()
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		for range 20 {
			c := connect(t, s, durable(v, "c"))
			c.send(pub("kept", "x", 1, 1), pub("kept", "x", 1, 2), pub("kept", "x", 1, 3))
			c.net.Close()
			c = connect(t, s, durable(v, "c"))
			c.send(pub("kept", "y", 2, 1))
			c.wantAck(mqtt.PUBREC, 1, mqtt.Success)
			c.ack(mqtt.PUBREL, 1)
			c.wantAck(mqtt.PUBCOMP, 1, mqtt.Success)
			c.barrier()
			c.bye()
		}
	}, versions...)
}
