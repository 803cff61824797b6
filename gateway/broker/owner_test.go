package broker_test

import (
	"context"
	"fmt"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// taken is the CONNACK for a client id that belongs to another user.
var taken = map[mqtt.Version]string{
	mqtt.V31: "\x00\x02", mqtt.V311: "\x00\x02",
	mqtt.V50: connackBytes(mqtt.ClientIdentifierNotValid, "", "the client id belongs to another user: choose another one"),
}

// Nobody gets at the session of another user by its client id, nor ends it, nor
// disconnects who holds it, online and offline and after a restart.
func TestSessionOfAnotherUser(t *testing.T) {
	g := newGuarded(t, broker.Options{})
	attack := func() {
		t.Helper()
		before := g.Stats()
		for v, want := range taken {
			for _, user := range []string{"eve", "admin", ""} {
				for _, packet := range []mqtt.Connect{clean(v, "c"), durable(v, "c")} {
					if user != "" {
						packet = as(user, packet)
					}
					wantRefusal(t, g.server, packet, want)
				}
			}
		}
		if n := g.Stats(); n.NotAuthorized != before.NotAuthorized+18 || n.Sessions != before.Sessions || n.Queued != before.Queued {
			t.Errorf("%d refused, %d sessions, %d wait", n.NotAuthorized-before.NotAuthorized, n.Sessions, n.Queued)
		}
	}
	bob := g.durable("bob", "c")
	bob.subscribe(filter("bob/#", 1))
	attack()
	bob.barrier()
	bob.drop()
	from := g.client("admin", "from")
	from.publish("bob/x", "for bob", 1, false)
	from.bye()
	attack()
	g.restart()
	attack()
	if user := g.Clients()[0].User; user != "bob" {
		t.Errorf("the session is said to be of %q", user)
	}
	bob = g.durable("bob", "c")
	if !bob.connack.SessionPresent {
		t.Error("the session is gone")
	}
	bob.wantMessage("bob/x", "for bob", 1)
	again := g.durable("bob", "c") // he himself takes it over as ever
	bob.wantEnd(mqtt.SessionTakenOver)
	again.take(1, func(_ int, m *mqtt.Publish) {})
	bob = g.client("bob", "c")
	again.wantEnd(mqtt.SessionTakenOver)
	if bob.connack.SessionPresent {
		t.Error("the session goes on")
	}
	bob.bye() // and with it the session: its id is free
	g.client("eve", "c").barrier()
}

// A client that comes back with fewer rights gets no more than these allow, though others
// remember who received their messages before.
func TestFewerRightsAtTheNextLogin(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{
		Authenticate: func(_ context.Context, r *broker.ConnectRequest) error {
			r.Identity = string(r.Password)
			return nil
		},
		Authorize: func(r *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
			return broker.Permitted(action != broker.Receive || topic != "secret" || r.Identity == "all")
		},
	})
	with := func(rights string) *rawClient {
		packet := as("bob", durable(mqtt.V50, "c"))
		packet.Password = []byte(rights)
		return connect(t, s, packet)
	}
	from := connect(t, s, clean(mqtt.V50, "from"))
	c := with("all")
	c.subscribe(filter("#", 1))
	from.publish("secret", "1", 0, false)
	c.wantMessage("secret", "1", 0)
	c.drop()
	from.publish("secret", "2", 1, false)
	from.publish("open", "3", 1, false)
	c = with("some")
	from.publish("secret", "4", 1, false)
	c.take(1, func(_ int, m *mqtt.Publish) {
		if string(m.Payload) != "3" {
			t.Errorf("received %s", m.Payload)
		}
	})
	c.barrier()
}

// The session of an anonymous client is protected by nothing: a client with a user goes
// on with it, as far as its rights go, and then it is its own. So are those that were
// stored before there were users.
func TestSessionOfNobody(t *testing.T) {
	g := newGuarded(t, broker.Options{})
	c := connect(t, g.server, window(durable(mqtt.V50, "c"), 3))
	c.subscribe(filter("public/#", 2))
	from := g.client("admin", "from")
	for i := range 10 {
		from.publish([]string{"public/a", "public/b"}[i%2], fmt.Sprint(i), mqtt.QoS(1+i/2%2), false)
	}
	var sent []*mqtt.Publish
	for range 3 {
		sent = append(sent, c.message())
	}
	c.drop()
	g.take("eve", "public/a")
	g.restart()
	c = g.durable("eve", "c")
	if !c.connack.SessionPresent {
		t.Error("the session is gone")
	}
	if m := c.message(); string(m.Payload) != "1" || m.PacketID != sent[1].PacketID { // nothing of what was on its way to somebody else
		t.Errorf("received %s", m.Payload)
	} else {
		c.ack(mqtt.PUBACK, m.PacketID)
	}
	c.take(4, func(_ int, m *mqtt.Publish) {
		if string(m.Topic) != "public/b" {
			t.Errorf("received %s %s", m.Topic, m.Payload)
		}
	})
	c.barrier()
	c.bye()
	if n := g.Stats().Queued; n != 0 {
		t.Errorf("%d wait", n)
	}
	wantRefusal(t, g.server, durable(mqtt.V50, "c"), taken[mqtt.V50])
}

// Without an Authenticate a user name is what anybody says: nothing is made to depend
// on it.
func TestUnprovenUser(t *testing.T) {
	s := newServer(t)
	connect(t, s, as("bob", durable(mqtt.V311, "c"))).bye()
	c := connect(t, s, as("eve", durable(mqtt.V311, "c")))
	if !c.connack.SessionPresent || s.Clients()[0].User != "" {
		t.Errorf("session present %t, user %q", c.connack.SessionPresent, s.Clients()[0].User)
	}
}

// EndSession ends a session with all that waits for it, whether its client is there or
// not, for good.
func TestEndSession(t *testing.T) {
	g := newGuarded(t, broker.Options{})
	why := &broker.Refusal{Code: mqtt.AdministrativeAction, Reason: "the user is gone"}
	for _, online := range []bool{true, false} {
		c := g.durable("bob", "c")
		if c.connack.SessionPresent {
			t.Error("the session goes on")
		}
		c.subscribe(filter("bob/#", 1))
		if !online {
			c.bye()
			g.client("admin", "from").publish("bob/x", "x", 1, false)
		}
		if !g.EndSession("c", why) {
			t.Error("no such session")
		}
		if online {
			if d := c.disconnected(); d.Code != why.Code || d.Properties.Text(mqtt.ReasonString) != why.Reason {
				t.Errorf("DISCONNECT %+v", d)
			}
		}
		if n := g.Stats(); n.Queued != 0 || n.Subscriptions != 0 {
			t.Errorf("%d wait, %d subscriptions", n.Queued, n.Subscriptions)
		}
	}
	if g.EndSession("c", why) {
		t.Error("it was ended twice")
	}
	g.restart()
	if c := g.durable("eve", "c"); c.connack.SessionPresent {
		t.Error("the session is back")
	}
	inside := newClient(t, g.server, "inside")
	if !g.EndSession("inside", why) {
		t.Error("no such session")
	}
	if err := inside.Publish(t.Context(), mqtt.Message{Topic: "t"}); err != broker.ErrClosed {
		t.Errorf("Publish: %v", err)
	}
}
