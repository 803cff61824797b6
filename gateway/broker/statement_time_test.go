package broker_test

import (
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// secondOver returns when a second has passed by the broker's clock.
func secondOver(t *testing.T, s *server, c *rawClient) {
	t.Helper()
	before := s.Stats().Retained
	m := pub("second", "x", 0, 0)
	m.Retain, m.HasExpiry, m.Expiry = true, c.version == mqtt.V50, 1
	c.exchange(m)
	eventually(t, "a second is over", func() bool { return s.Stats().Retained == before })
}

// When its expiry interval has passed since the end of the connection, a session is
// gone with all that is in it, also if the broker was started anew meanwhile
// [v5 MQTT-4.1.0-2, MQTT-3.2.2-3]. One that has longer, or no end, is not.
func TestSessionExpires(t *testing.T) {
	for _, restart := range []bool{false, true} {
		l := newLasting(t, broker.Options{})
		from := connect(t, l.server, clean(mqtt.V50, "from"))
		packets := []mqtt.Connect{expiring(mqtt.V50, "none", 0), expiring(mqtt.V50, "short", 1), expiring(mqtt.V50, "long", 60), durable(mqtt.V50, "ever"), durable(mqtt.V311, "old")}
		for _, packet := range packets {
			c := connect(t, l.server, packet)
			c.subscribe(filter("x", 2), filter("live/"+packet.ClientID, 2))
			c.send(pub("else", "", 2, 9))
			c.wantAck(mqtt.PUBREC, 9, mqtt.Success)
			c.drop()
		}
		from.publish("x", "queued", 1, false)
		secondOver(t, l.server, from)
		eventually(t, "the session is over", func() bool { return l.Stats().Sessions == 4 })
		if restart {
			from.drop()
			l.restart()
			from = connect(t, l.server, clean(mqtt.V50, "from"))
		}
		for i, packet := range packets {
			c := connect(t, l.server, packet)
			lives := i >= 2
			if c.connack.SessionPresent != lives {
				t.Errorf("%s: session present %t", packet.ClientID, !lives)
			}
			if lives {
				c.ack(mqtt.PUBACK, c.wantMessage("x", "queued", 1).PacketID)
			}
			from.publish("live/"+packet.ClientID, "live", 1, false)
			if lives {
				c.wantMessage("live/"+packet.ClientID, "live", 1)
			}
			c.barrier()
			known := mqtt.Success
			if !lives {
				known = missing(c.version)
			}
			c.ack(mqtt.PUBREL, 9)
			c.wantAck(mqtt.PUBCOMP, 9, known)
			c.drop()
		}
	}
}

// A DISCONNECT may change the interval, which counts from then on (5.0
// §3.14.2.2.2).
func TestSessionExpiryOfDisconnect(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	cases := []struct {
		id          string
		expiry      uint32
		has         bool
		once, later bool // session present at once, and after a second
	}{{"kept", 0, false, true, true}, {"ended", 0, true, false, false}, {"shortened", 1, true, true, false}, {"longer", 100, true, true, true}}
	check := func(id string, want bool) *rawClient {
		t.Helper()
		c := connect(t, s, expiring(mqtt.V50, id, 60))
		if c.connack.SessionPresent != want {
			t.Errorf("%s: session present %t", id, !want)
		}
		return c
	}
	for _, x := range cases {
		d := mqtt.Disconnect{Type: mqtt.DISCONNECT}
		if x.has {
			d.Properties.SetUint(mqtt.SessionExpiryInterval, x.expiry)
		}
		for _, present := range []bool{false, x.once} {
			c := check(x.id, present)
			c.send(&d)
			c.end()
		}
	}
	secondOver(t, s, from)
	eventually(t, "two sessions are over", func() bool { return s.Stats().Sessions == 3 })
	for _, x := range cases {
		check(x.id, x.later)
	}
}

// An exchange that was begun goes on to its end though the message has expired
// meanwhile, at the receiver too [v5 MQTT-4.3.3-13].
func TestExpiredWithinIncomingQoS2(t *testing.T) {
	s := newServer(t)
	to := connect(t, s, clean(mqtt.V50, "to"))
	to.subscribe(filter("expires", 2))
	from := connect(t, s, durable(mqtt.V50, "from"))
	m := pub("expires", "x", 2, 3)
	m.HasExpiry, m.Expiry = true, 1
	from.send(m)
	from.wantAck(mqtt.PUBREC, 3, mqtt.Success)
	to.take(1, func(int, *mqtt.Publish) {})
	secondOver(t, s, from)
	m.Dup = true
	from.send(m)
	from.wantAck(mqtt.PUBREC, 3, mqtt.Success)
	from.drop()
	from = connect(t, s, durable(mqtt.V50, "from"))
	from.ack(mqtt.PUBREL, 3)
	from.wantAck(mqtt.PUBCOMP, 3, mqtt.Success)
	to.barrier()
}
