package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// guarded is a broker whose users may do everything below their own name and below
// public, but what was taken from them. wide may subscribe to everything, admin may
// do everything.
//
//	public/small   takes messages of 5 bytes, or limit, at most, with QoS 0 or 1, not retained
//	public/red     is received by its readers if the payload is "red"
type guarded struct {
	*lasting
	mu    sync.Mutex
	taken map[string]string // by user: what the topic begins with
	limit atomic.Int32
}

func newGuarded(t *testing.T, o broker.Options) *guarded {
	g := &guarded{taken: make(map[string]string)}
	g.limit.Store(5)
	o.Authenticate, o.Authorize = g.authenticate, g.authorize
	o.Methods = map[string]broker.Method{"name": func(_ context.Context, r *broker.ConnectRequest, _ func([]byte) ([]byte, error)) ([]byte, error) {
		r.UserName = string(r.AuthenticationData)
		r.Identity = r.UserName
		return nil, nil
	}}
	g.lasting = newLasting(t, o)
	return g
}

// as gives a CONNECT a user with the right password.
func as(user string, packet mqtt.Connect) mqtt.Connect {
	packet.HasUserName, packet.UserName, packet.HasPassword, packet.Password = true, user, true, []byte("of "+user)
	return packet
}

func (g *guarded) authenticate(_ context.Context, r *broker.ConnectRequest) error {
	if r.HasUserName && string(r.Password) != "of "+r.UserName {
		return &mqtt.Error{Code: mqtt.BadUserNameOrPassword}
	}
	r.Identity = r.UserName
	return nil
}

func (g *guarded) authorize(r *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
	user := r.Identity.(string)
	g.mu.Lock()
	taken, ok := g.taken[user]
	g.mu.Unlock()
	switch {
	case ok && strings.HasPrefix(topic, taken):
		return broker.Deny
	case user == "admin", user == "wide" && action == broker.Subscribe:
		return broker.Allow
	case action == broker.Publish && topic == "public/small":
		return broker.If(func(m *mqtt.Message) bool {
			return m.Topic == topic && len(m.Payload) <= int(g.limit.Load()) && m.QoS < 2 && !m.Retain
		})
	case action == broker.Receive && topic == "public/red":
		return broker.If(func(m *mqtt.Message) bool { return string(m.Payload) == "red" })
	}
	return broker.Permitted(user != "" && strings.HasPrefix(topic, user+"/") || strings.HasPrefix(topic, "public/"))
}

// take takes rights from a user; an empty beginning is all, no user none.
func (g *guarded) take(user, beginning string) {
	g.mu.Lock()
	g.taken = make(map[string]string)
	if user != "" {
		g.taken[user] = beginning
	}
	g.mu.Unlock()
	g.AccessChanged()
}

func (g *guarded) client(user, id string) *rawClient {
	g.t.Helper()
	return connect(g.t, g.server, as(user, clean(mqtt.V50, id)))
}

func (g *guarded) durable(user, id string) *rawClient {
	g.t.Helper()
	return connect(g.t, g.server, as(user, durable(mqtt.V50, id)))
}

// refuses wants all filters to be refused.
func (c *rawClient) refuses(code mqtt.ReasonCode, filters ...string) {
	c.t.Helper()
	for _, f := range filters {
		c.send(&mqtt.Subscribe{PacketID: 7, Filters: []mqtt.FilterRequest{filter(f, 1)}})
		c.wantCodes(mqtt.SUBACK, 7, code)
	}
}

// forbidden publishes with each QoS and wants to be refused.
func (c *rawClient) forbidden(m mqtt.Publish) {
	c.t.Helper()
	for qos, typ := range map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		m.QoS, m.PacketID = qos, 9
		c.send(&m)
		c.wantAck(typ, 9, mqtt.NotAuthorized)
	}
	m.QoS, m.PacketID = 0, 0
	c.send(&m)
	c.barrier()
}

// TestAttacks tries at the wire to get at what somebody may not see or change. eve has
// a login like others, and the secrets are in secret/# and bob/#.
func TestAttacks(t *testing.T) {
	for _, attack := range []struct {
		name string
		try  func(t *testing.T, g *guarded)
	}{
		{"wildcards climb over rules", wildcardsClimb},
		{"share names hide filters", shareNamesHide},
		{"messages of shares go to who may not have them", sharesLeak},
		{"topics of the broker", topicsOfTheBroker},
		{"topic aliases past the check", aliasesPastTheCheck},
		{"wills as side doors", willsAsSideDoors},
		{"wills after the rights are gone", willsAfterTheRights},
		{"retained messages as side doors", retainedAsSideDoors},
		{"response topics carry rights", responseTopics},
		{"overlapping subscriptions", overlappingFilters},
		{"messages queued before a denial", queuedBeforeDenial},
		{"content over the rules", contentOverTheRules},
		{"content for others", contentForOthers},
		{"authentication once more as another", anotherByAuthentication},
		{"UTF-8 tricks", utf8Tricks},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.try(t, newGuarded(t, broker.Options{})) })
	}
}

func wildcardsClimb(t *testing.T, g *guarded) {
	eve := g.client("eve", "eve")
	eve.refuses(mqtt.NotAuthorized, "#", "+/#", "+", "+/+", "/#", "/eve/#", "eve", "bob/#", "+/x", "ev/#", "public")
	eve.refuses(mqtt.TopicFilterInvalid, "eve+", "eve#", "eve/#/x", "public/x+")
	wide := g.client("wide", "wide")
	wide.subscribe(filter("#", 2), filter("+/+", 1), filter("secret/#", 1), filter("secret/+/deep", 0))
	admin := g.client("admin", "admin")
	for qos := range mqtt.QoS(3) {
		for _, topic := range []string{"secret/x", "secret/x/deep", "secret", "bob/x", "publi", "public", "/public/x", "wide", "public/x"} {
			admin.publish(topic, "x", qos, false)
		}
		wide.take(1, func(_ int, m *mqtt.Publish) {
			if string(m.Topic) != "public/x" || m.QoS != qos {
				t.Errorf("received %s", m.Topic)
			}
		})
		wide.barrier()
	}
	for _, topic := range []string{"bob/x", "secret/x", "eve", "/eve/x", "public", "eveb/x"} {
		eve.forbidden(mqtt.Publish{Topic: []byte(topic), Retain: true})
	}
	if n := g.Stats(); n.Retained != 0 || n.Subscriptions != 4 || n.PublishDropped != 0 {
		t.Errorf("%d retained, %d subscriptions, %d dropped", n.Retained, n.Subscriptions, n.PublishDropped)
	}
}

func shareNamesHide(t *testing.T, g *guarded) {
	eve := g.client("eve", "eve")
	eve.refuses(mqtt.NotAuthorized, "$share/g/secret/#", "$share/g/bob/x", "$share/g/+/x", "$share/g/#", "$share/eve/bob/#", "$share/public/secret/x",
		"$share/g/$share/eve/eve/x", "$share/g/$share/g/secret/#", "$share/g//eve/x", "$share/eve/+")
	eve.refuses(mqtt.TopicFilterInvalid, "$share/g", "$share//secret/#", "$share/+/secret/#", "$share/#", "$share/eve", "$share")
	eve.refuses(mqtt.NotAuthorized, "$SHARE/g/secret/#", "$queue/secret/#", "$exclusive/secret/x", "$delayed/1/secret/x")
	// One that is granted in a nested disguise brings nothing either.
	wide := g.client("wide", "wide")
	wide.subscribe(filter("$share/g/$share/h/secret/#", 1), filter("$share/g/#", 1))
	admin := g.client("admin", "admin")
	admin.publish("secret/x", "x", 1, false)
	wide.barrier()
}

func sharesLeak(t *testing.T, g *guarded) {
	admin := g.client("admin", "admin")
	wide, away := g.client("wide", "wide"), g.durable("wide", "away")
	for _, c := range []*rawClient{wide, away} {
		c.subscribe(filter("$share/g/#", 1))
	}
	away.drop()
	admin.publish("secret/0", "x", 1, false) // nobody may have it
	if n := g.Stats(); n.PublishDropped != 1 || n.Queued != 0 {
		t.Errorf("%d dropped, %d wait", n.PublishDropped, n.Queued)
	}
	other := g.client("admin", "other")
	other.subscribe(filter("$share/g/#", 1))
	for i := range 6 { // the one member that may gets all of them
		payload := fmt.Sprint(i)
		admin.publish("secret/1", payload, 1, false)
		other.ack(mqtt.PUBACK, other.wantMessage("secret/1", payload, 1).PacketID)
	}
	// What it has not acknowledged goes to nobody who may not have it.
	admin.publish("secret/2", "x", 1, false)
	other.wantMessage("secret/2", "x", 1)
	other.drop()
	wide.barrier()
	if n := g.Stats(); n.Queued != 0 {
		t.Errorf("%d wait", n.Queued)
	}
	for range 2 { // and what depends on the message passes over them as well
		admin.publish("public/red", "blue", 1, false)
		admin.publish("public/red", "red", 1, false)
	}
	wide.take(2, func(_ int, m *mqtt.Publish) {
		if string(m.Payload) != "red" {
			t.Errorf("received %s", m.Payload)
		}
	})
	wide.barrier()
	if n := g.Stats().PublishDropped; n != 3 { // secret/0 and blue
		t.Errorf("%d dropped", n)
	}
}

func topicsOfTheBroker(t *testing.T, g *guarded) {
	wide := g.client("wide", "wide")
	wide.subscribe(filter("#", 0), filter("$SYS/#", 0), filter("$share/g/$SYS/#", 0), filter("+/broker/#", 0))
	for _, user := range []string{"eve", "admin"} {
		c := g.client(user, user)
		for _, topic := range []string{"$SYS/broker/version", "$SYS", "$", "$share/g/eve/x", "$anything"} {
			c.forbidden(mqtt.Publish{Topic: []byte(topic), Payload: []byte("x"), Retain: true})
		}
	}
	eve := as("eve", clean(mqtt.V50, "will"))
	eve.Will = &mqtt.Message{Topic: "$SYS/broker/version", Retain: true}
	wantRefusal(t, g.server, eve, "\x00\x87\x00")
	wide.barrier()
	if n := g.Stats().Retained; n != 0 {
		t.Errorf("%d retained", n)
	}
	admin := as("admin", clean(mqtt.V50, "admin's will")) // may in the eyes of the rules
	admin.Will = &mqtt.Message{Topic: "$SYS/broker/version", Payload: []byte("x"), Retain: true}
	connect(t, g.server, admin).drop()
	wide.barrier()
	if n := g.Stats().Retained; n != 0 {
		t.Errorf("%d retained", n)
	}
	// What it says itself goes to those who may hear it.
	g = newGuarded(t, broker.Options{SysInterval: time.Millisecond})
	const said = "$SYS/broker/subscriptions/count"
	wide, listener := g.client("wide", "wide"), g.client("admin", "admin")
	wide.subscribe(filter(said, 0))
	listener.subscribe(filter(said, 0))
	for string(listener.message().Payload) != "2" {
	}
	wide.barrier()
}

func aliasesPastTheCheck(t *testing.T, g *guarded) {
	watch := g.client("admin", "watch")
	watch.subscribe(filter("#", 0))
	eve := g.client("eve", "eve")
	named := func(topic, payload string) *mqtt.Publish {
		return &mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), TopicAlias: 1}
	}
	refused := func(m *mqtt.Publish) {
		t.Helper()
		m.QoS, m.PacketID = 1, 3
		eve.send(m)
		eve.wantAck(mqtt.PUBACK, 3, mqtt.NotAuthorized)
	}
	eve.send(named("eve/x", "1"), named("", "2"))
	watch.wantMessage("eve/x", "1", 0)
	watch.wantMessage("eve/x", "2", 0)
	refused(named("secret/x", "pointed elsewhere"))
	refused(named("", "and used"))
	refused(named("", "and once more"))
	eve.send(named("eve/x", "3"))
	watch.wantMessage("eve/x", "3", 0)
	refused(named("$SYS/x", "of the broker"))
	refused(named("", "and used"))
	eve.send(named("eve/x", "4"), named("", "5"))
	watch.wantMessage("eve/x", "4", 0)
	watch.wantMessage("eve/x", "5", 0)
	g.take("eve", "eve/")
	refused(named("", "after the rights are gone"))
	refused(named("eve/x", "by name too"))
	g.take("", "")
	eve.send(named("", "6")) // an alias is a name, and no right
	watch.wantMessage("eve/x", "6", 0)
	// Aliases are those of the connection.
	again := g.client("eve", "again")
	again.send(named("", "of another connection"))
	again.wantEnd(mqtt.ProtocolError)
	watch.barrier()
}

func willsAsSideDoors(t *testing.T, g *guarded) {
	watch := g.client("admin", "watch")
	watch.subscribe(filter("#", 0))
	wide := g.client("wide", "wide")
	wide.subscribe(filter("bob/#", 1))
	for _, will := range []mqtt.Message{
		{Topic: "secret/x"}, {Topic: "bob/x", Retain: true}, {Topic: "public"},
		{Topic: "public/small", Payload: []byte("too long")}, {Topic: "public/small", Retain: true}, {Topic: "public/small", QoS: 2},
	} {
		for v, want := range map[mqtt.Version]string{mqtt.V31: "\x00\x05", mqtt.V311: "\x00\x05", mqtt.V50: "\x00\x87\x00"} {
			packet := as("eve", clean(v, "eve"))
			packet.Will = &will
			wantRefusal(t, g.server, packet, want)
		}
	}
	packet := as("eve", clean(mqtt.V50, "eve"))
	packet.Will = &mqtt.Message{Topic: "public/small", Payload: []byte("small"), QoS: 1}
	connect(t, g.server, packet).drop()
	watch.wantMessage("public/small", "small", 0)
	// A will that is refused takes nobody's connection, and so nobody's will.
	bob := as("bob", clean(mqtt.V50, "bob"))
	bob.Will = &mqtt.Message{Topic: "bob/will", Payload: []byte("gone")}
	c := connect(t, g.server, bob)
	bob.Will = &mqtt.Message{Topic: "secret/x"}
	wantRefusal(t, g.server, bob, "\x00\x87\x00")
	wantRefusal(t, g.server, as("eve", clean(mqtt.V50, "bob")), taken[mqtt.V50]) // eve does not set it off either
	c.barrier()
	watch.barrier()
	c.drop()
	watch.wantMessage("bob/will", "gone", 0)
	wide.barrier()
}

func willsAfterTheRights(t *testing.T, g *guarded) {
	watch := g.client("admin", "watch")
	watch.subscribe(filter("#", 0))
	willing := func(id string, delay uint32, payload string) *rawClient {
		packet := as("eve", durable(mqtt.V50, id))
		packet.Will = &mqtt.Message{Topic: "eve/" + id, Payload: []byte(payload), Retain: true}
		packet.WillDelay = delay
		return connect(t, g.server, packet)
	}
	online := willing("online", 0, "x")
	delayed := willing("delayed", 3600, "x")
	delayed.drop()
	g.take("eve", "eve/")
	g.take("", "") // it is gone for good
	online.drop()
	watch.barrier()
	connect(t, g.server, as("eve", clean(mqtt.V50, "delayed"))).bye() // ends the session, at which its will would be due
	watch.barrier()
	small := as("eve", durable(mqtt.V50, "small"))
	small.Will = &mqtt.Message{Topic: "public/small", Payload: []byte("small")}
	c := connect(t, g.server, small)
	g.limit.Store(4)
	g.AccessChanged()
	c.drop()
	watch.barrier()
	willing("delayed", 3600, "taken over")
	connect(t, g.server, as("eve", clean(mqtt.V50, "delayed"))) // by herself: that is her will
	watch.wantMessage("eve/delayed", "taken over", 0)
	watch.barrier()
}

func retainedAsSideDoors(t *testing.T, g *guarded) {
	admin := g.client("admin", "admin")
	for _, topic := range []string{"secret/x", "bob/x", "public/x", "public/red"} {
		admin.publish(topic, "blue", 1, true)
	}
	eve := g.client("eve", "eve")
	for _, payload := range []string{"forged", ""} { // nor does she remove one
		eve.forbidden(mqtt.Publish{Topic: []byte("secret/x"), Payload: []byte(payload), Retain: true})
	}
	wide := g.client("wide", "wide")
	wide.subscribe(filter("#", 1))
	wide.wantMessage("public/x", "blue", 1)
	wide.subscribe(filter("secret/x", 1), filter("+/x", 1))
	wide.wantMessage("public/x", "blue", 1)
	wide.barrier()
	// Who may read later reads what was said before, and nothing by itself.
	g.take("admin", "public/x")
	late := g.client("admin", "late")
	late.subscribe(filter("public/+", 0))
	late.wantMessage("public/red", "blue", 0)
	g.take("", "")
	late.barrier()
	late.subscribe(filter("public/x", 0))
	late.wantMessage("public/x", "blue", 0)
	// What waits to be sent when the rights go is not sent.
	slow := connect(t, g.server, window(as("eve", clean(mqtt.V50, "slow")), 1))
	admin.publish("public/y", "open", 1, true)
	admin.publish("eve/1", "first", 1, true)
	slow.subscribe(filter("eve/1", 1), filter("public/+", 1))
	first := slow.wantMessage("eve/1", "first", 1)
	g.take("eve", "public/x")
	slow.ack(mqtt.PUBACK, first.PacketID)
	slow.ack(mqtt.PUBACK, slow.wantMessage("public/y", "open", 1).PacketID)
	slow.barrier()
	if n := g.Stats().Retained; n != 6 {
		t.Errorf("%d retained", n)
	}
}

func responseTopics(t *testing.T, g *guarded) {
	service := g.client("public", "service") // may not publish below bob/
	service.subscribe(filter("public/service", 1))
	bob := g.client("bob", "bob")
	bob.subscribe(filter("bob/answers", 1))
	eve := g.client("eve", "eve")
	request := pub("public/service", "x", 1, 1)
	var properties mqtt.Properties
	properties.SetText(mqtt.ResponseTopic, "bob/answers")
	properties.SetText(mqtt.CorrelationData, "bob's")
	request.Properties = properties.Encode(nil)
	eve.exchange(request)
	m := service.wantMessage("public/service", "x", 1)
	asked, err := mqtt.DecodeProperties(m.Properties)
	if err != nil || asked.Text(mqtt.ResponseTopic) != "bob/answers" {
		t.Fatalf("%v, %v", asked, err)
	}
	service.forbidden(mqtt.Publish{Topic: []byte("bob/answers"), Payload: []byte("forged"), Properties: m.Properties})
	eve.refuses(mqtt.NotAuthorized, "bob/answers") // and to ask gives no right to hear the answer
	bob.barrier()
}

func overlappingFilters(t *testing.T, g *guarded) {
	wide := g.client("wide", "wide")
	for i, f := range []string{"#", "public/#", "+/x", "secret/#"} {
		request := &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter(f, 1)}}
		request.Properties.SetUint(mqtt.SubscriptionIdentifier, uint32(i+1))
		wide.send(request)
		wide.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS1)
	}
	admin := g.client("admin", "admin")
	admin.publish("secret/x", "x", 1, false)
	admin.publish("public/x", "x", 1, false)
	m := wide.wantMessage("public/x", "x", 1)
	if slices.Sort(m.Identifiers); !slices.Equal(m.Identifiers, []uint32{1, 2, 3}) {
		t.Errorf("identifiers %v", m.Identifiers)
	}
	g.take("wide", "public/x")
	admin.publish("public/x", "x", 1, false)
	wide.barrier()
	own := g.client("wide", "own") // what it may publish and not hear does not come back
	own.subscribe(filter("#", 1), mqtt.FilterRequest{Filter: "+/y", Options: 1 | mqtt.NoLocal})
	own.send(pub("public/y", "x", 0, 0))
	own.wantMessage("public/y", "x", 0)
	own.send(pub("secret/y", "x", 0, 0), pub("wide/y", "x", 0, 0))
	own.wantMessage("wide/y", "x", 0)
	own.barrier()
}

// What waits is asked about again: in memory, in the store, and of a client that was
// away at a restart.
func queuedBeforeDenial(t *testing.T, _ *guarded) {
	for _, x := range []struct {
		name    string
		o       broker.Options
		restart bool
	}{
		{"in memory", broker.Options{}, false},
		{"in the store", broker.Options{QueueMemory: 1}, false},
		{"over a restart", broker.Options{}, true},
		{"in the store, over a restart", broker.Options{QueueMemory: 1}, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			g := newGuarded(t, x.o)
			c := g.durable("wide", "c")
			c.subscribe(filter("#", 2))
			c.bye()
			from := g.client("admin", "from")
			const n = 20
			for i := range n {
				for _, topic := range []string{"public/a", "secret/x", "public/b"} {
					from.publish(topic, fmt.Sprint(i), mqtt.QoS(1+i%2), false)
				}
			}
			if q := g.Stats().Queued; q != 2*n {
				t.Errorf("%d wait, want those of public alone", q)
			}
			from.bye()
			g.take("wide", "public/a") // the subscription to # stays
			if x.restart {
				g.restart()
			}
			c = g.durable("wide", "c")
			seen := make(map[string]bool)
			c.take(n, func(_ int, m *mqtt.Publish) {
				if seen[string(m.Payload)] = true; string(m.Topic) != "public/b" {
					t.Fatalf("received %s %s", m.Topic, m.Payload)
				}
			})
			if len(seen) != n {
				t.Errorf("%d different messages", len(seen))
			}
			c.barrier()
			if q := g.Stats().Queued; q != 0 {
				t.Errorf("%d wait", q)
			}
		})
	}
}

func contentOverTheRules(t *testing.T, g *guarded) {
	watch := g.client("admin", "watch")
	watch.subscribe(filter("public/small", 2))
	small := func(payload string, qos mqtt.QoS, retain bool) *mqtt.Publish {
		m := pub("public/small", payload, qos, uint16(qos))
		m.Retain = retain
		return m
	}
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		code := mqtt.Success
		if v == mqtt.V50 {
			code = mqtt.NotAuthorized
		}
		before := g.Stats().NotAuthorized
		c := connect(t, g.server, as("eve", clean(v, "c")))
		c.send(small("large message", 0, false), small("x", 0, true), small("large message", 1, false))
		c.wantAck(mqtt.PUBACK, 1, code)
		c.send(small("x", 1, true))
		c.wantAck(mqtt.PUBACK, 1, code)
		for range 2 { // the second is no repeat
			c.send(small("x", 2, false))
			c.wantAck(mqtt.PUBREC, 2, code)
			if v != mqtt.V50 {
				c.ack(mqtt.PUBREL, 2)
				c.wantAck(mqtt.PUBCOMP, 2, mqtt.Success)
			}
		}
		c.publish("public/small", "small", 0, false)
		watch.wantMessage("public/small", "small", 0)
		c.publish("public/small", "small", 1, false)
		watch.ack(mqtt.PUBACK, watch.wantMessage("public/small", "small", 1).PacketID)
		if n := g.Stats(); n.NotAuthorized != before+6 || n.Retained != 0 {
			t.Errorf("%d refused, %d retained", n.NotAuthorized-before, n.Retained)
		}
		c.bye()
	}, versions...)
	watch.barrier()
}

func contentForOthers(t *testing.T, g *guarded) {
	eve, admin := g.client("eve", "eve"), g.client("admin", "admin")
	admin.publish("public/red", "blue", 1, true)
	eve.subscribe(filter("public/red", 1), filter("public/+", 1))
	away := g.durable("eve", "away")
	away.subscribe(filter("public/#", 1))
	away.bye()
	for qos := range mqtt.QoS(3) {
		admin.publish("public/red", "blue", qos, false)
		admin.publish("public/red", "red", qos, false)
		if m := eve.wantMessage("public/red", "red", min(qos, 1)); m.QoS > 0 {
			eve.ack(mqtt.PUBACK, m.PacketID)
		}
	}
	eve.barrier()
	if n := g.Stats().Queued; n != 2 {
		t.Errorf("%d wait", n)
	}
	g.durable("eve", "away").take(2, func(_ int, m *mqtt.Publish) {
		if string(m.Payload) != "red" {
			t.Errorf("received %s", m.Payload)
		}
	})
}

func anotherByAuthentication(t *testing.T, g *guarded) {
	c := connect(t, g.server, naming(durable(mqtt.V50, "c"), "name", "wide"))
	c.subscribe(filter("#", 1))
	admin := g.client("admin", "admin")
	admin.publish("public/x", "1", 0, false)
	c.wantMessage("public/x", "1", 0)
	admin.publish("eve/x", "2", 0, false)
	c.send(auth(mqtt.ReAuthenticate, "name", "eve"))
	c.wantSuccess()
	admin.publish("public/x", "3", 0, false) // # is not eve's
	c.subscribe(filter("eve/#", 1))
	admin.publish("eve/x", "4", 0, false)
	c.wantMessage("eve/x", "4", 0)
	c.drop()
	// The session is eve's now.
	wantRefusal(t, g.server, as("wide", durable(mqtt.V50, "c")), taken[mqtt.V50])
	g.restart()
	wantRefusal(t, g.server, as("wide", durable(mqtt.V50, "c")), taken[mqtt.V50])
	if c := g.durable("eve", "c"); !c.connack.SessionPresent {
		t.Error("the session is gone")
	}
}

// What is no UTF-8, or a NUL, reaches no rule [v5 MQTT-1.5.4-1, MQTT-1.5.4-2].
func utf8Tricks(t *testing.T, g *guarded) {
	watch := g.client("admin", "watch")
	watch.subscribe(filter("#", 0))
	for _, trick := range []string{"\x00", "\xC0\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xFF", "\xC3"} {
		topic := "public" + trick + "/x"
		forVersions(t, func(t *testing.T, v mqtt.Version) {
			c := connect(t, g.server, as("eve", clean(v, "c")))
			c.send(pub(topic, "x", 0, 0))
			c.wantEnd(mqtt.MalformedPacket)
			for _, f := range []string{topic, "$share/g/" + topic, "$share/" + trick + "/public/x"} {
				c = connect(t, g.server, as("eve", clean(v, "c")))
				c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter(f, 0)}})
				c.wantEnd(mqtt.MalformedPacket)
			}
			willing := as("eve", clean(v, "c"))
			willing.Will = &mqtt.Message{Topic: topic}
			for _, packet := range []mqtt.Connect{willing, as("eve"+trick, clean(v, "c")), as("eve", clean(v, "c"+trick))} {
				if body := refused(t, g.server, packet.Append(nil)); v != mqtt.V50 && body != nil || v == mqtt.V50 && string(body) != "\x00\x81\x00" {
					t.Errorf("%q: CONNACK % x", trick, body)
				}
			}
		}, versions...)
	}
	// Characters that only look alike are others.
	eve := g.client("eve", "eve")
	for _, topic := range []string{"pub\u200Blic/x", "\u0440ublic/x", "PUBLIC/x", "\uFEFFpublic/x", "public\u2215x", "eve\u0301/x"} {
		eve.forbidden(mqtt.Publish{Topic: []byte(topic)})
		eve.refuses(mqtt.NotAuthorized, topic)
	}
	watch.barrier()
}
