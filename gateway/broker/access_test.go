package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// answer is what Authenticate says in a test; it may change.
type answer struct{ atomic.Pointer[error] }

func (a *answer) set(err error) { a.Store(&err) }

func (a *answer) authenticate(context.Context, *broker.ConnectRequest) error {
	if err := a.Load(); err != nil {
		return *err
	}
	return nil
}

// rights is what Authorize says in a test: no to topics and filters in the list, and
// to all below them.
type rights struct {
	mu      sync.Mutex
	denied  []string
	granted broker.Action // whatever is denied; 0: none
	asked   int
}

func (r *rights) deny(topics ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.denied = topics
}

func (r *rights) authorize(_ *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	for _, d := range r.denied {
		if action != r.granted && (topic == d || strings.HasPrefix(topic, d+"/")) {
			return broker.Deny
		}
	}
	return broker.Allow
}

func (r *rights) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// connackBytes is the body of a CONNACK of 5.0 that refuses.
func connackBytes(code mqtt.ReasonCode, reference, reason string) string {
	a := mqtt.Connack{Code: code}
	if reference != "" {
		a.Properties.SetText(mqtt.ServerReference, reference)
	}
	if reason != "" {
		a.Properties.SetText(mqtt.ReasonString, reason)
	}
	return string(a.Append(nil, mqtt.V50)[2:])
}

// What Authenticate says is what the client hears. Only what is meant as a refusal
// is one for good: in doubt it is "server unavailable".
func TestAuthenticate(t *testing.T) {
	var says answer
	s := startServer(t, t.TempDir(), broker.Options{Authenticate: says.authenticate})
	moved := &broker.Refusal{Code: mqtt.ServerMoved, Reason: "moved house", ServerReference: "b.local:1883 c.local"}
	for _, x := range []struct {
		err error
		old string // empty: no CONNACK
		v5  string
	}{
		{&broker.Refusal{Code: mqtt.NotAuthorized}, "\x00\x05", "\x00\x87\x00"},
		{&mqtt.Error{Code: mqtt.BadUserNameOrPassword, Detail: "for the log"}, "\x00\x04", "\x00\x86\x00"},
		{fmt.Errorf("lock-out: %w", &broker.Refusal{Code: mqtt.Banned, Reason: "for an hour"}), "\x00\x05", connackBytes(mqtt.Banned, "", "for an hour")},
		{&broker.Refusal{Code: mqtt.UseAnotherServer, ServerReference: "b.local"}, "\x00\x03", connackBytes(mqtt.UseAnotherServer, "b.local", "")},
		{moved, "\x00\x03", connackBytes(moved.Code, moved.ServerReference, moved.Reason)},
		{&broker.Refusal{Code: mqtt.NotAuthorized, ServerReference: "not for this code"}, "\x00\x05", "\x00\x87\x00"},
		{&broker.Refusal{Code: mqtt.NotAuthorized, Reason: "\xFF"}, "\x00\x05", "\x00\x87\x00"},
		{&broker.Refusal{Code: mqtt.NotAuthorized, Reason: "\x00"}, "\x00\x05", "\x00\x87\x00"},
		{&broker.Refusal{Code: mqtt.NotAuthorized, Reason: strings.Repeat("long", 16384)}, "\x00\x05", "\x00\x87\x00"},
		{&broker.Refusal{Code: mqtt.UnspecifiedError}, "", "\x00\x80\x00"},
		{errors.New("the users cannot be read"), "\x00\x03", "\x00\x88\x00"},
		{context.DeadlineExceeded, "\x00\x03", "\x00\x88\x00"},
		{&broker.Refusal{}, "\x00\x03", "\x00\x88\x00"},
		{&mqtt.Error{Code: mqtt.KeepAliveTimeout}, "\x00\x03", "\x00\x88\x00"}, // not of CONNACK
	} {
		says.set(x.err)
		for _, v := range versions {
			want := x.old
			if v == mqtt.V50 {
				want = x.v5
			}
			packet := clean(v, "c")
			if body := refused(t, s, packet.Append(nil)); string(body) != want {
				t.Errorf("%s, %v: CONNACK % x, want % x", versionName(v), x.err, body, want)
			}
		}
	}
	says.set(nil)
	forVersions(t, func(t *testing.T, v mqtt.Version) { connect(t, s, clean(v, "c")).barrier() }, versions...)
}

// A refusal is cut down to what the client accepts, the Reason String first
// [v5 MQTT-3.2.2-19, MQTT-3.14.2-3]. CONNACK and DISCONNECT may have one even if the
// client wants no problem information [v5 MQTT-3.1.2-29].
func TestRefusalFits(t *testing.T) {
	refusal := &broker.Refusal{Code: mqtt.UseAnotherServer, Reason: strings.Repeat("r", 40), ServerReference: strings.Repeat("s", 20)}
	var says answer
	s := startServer(t, t.TempDir(), broker.Options{Authenticate: says.authenticate})
	const bare, reference, reason = 5, 23, 43 // bytes of CONNACK; DISCONNECT has one less
	for _, x := range []struct {
		limit               uint32
		connack, disconnect int // 0: bare, 1: with the reference, 2: with both
	}{
		{0, 2, 2},
		{bare + reference + reason, 2, 2},
		{bare + reference + reason - 1, 1, 2},
		{bare + reference + reason - 2, 1, 1},
		{bare + reference, 1, 1},
		{bare + reference - 1, 0, 1},
		{bare + reference - 2, 0, 0},
	} {
		packet := clean(mqtt.V50, "c")
		if x.limit > 0 {
			packet = limited(packet, mqtt.MaximumPacketSize, x.limit)
		}
		text := func(amount, from int, s string) string {
			if amount < from {
				return ""
			}
			return s
		}
		packet.Properties.SetUint(mqtt.RequestProblemInformation, 0)
		says.set(refusal)
		if body := refused(t, s, packet.Append(nil)); string(body) != connackBytes(refusal.Code, text(x.connack, 1, refusal.ServerReference), text(x.connack, 2, refusal.Reason)) {
			t.Errorf("limit %d: CONNACK % x", x.limit, body)
		}
		says.set(nil)
		c := connect(t, s, packet)
		if !s.Disconnect("c", refusal) {
			t.Fatal("no such client")
		}
		if d := c.disconnected(); d.Code != refusal.Code ||
			d.Properties.Text(mqtt.ServerReference) != text(x.disconnect, 1, refusal.ServerReference) ||
			d.Properties.Text(mqtt.ReasonString) != text(x.disconnect, 2, refusal.Reason) {
			t.Errorf("limit %d: DISCONNECT %+v", x.limit, d)
		}
	}
}

// disconnected reads the DISCONNECT with which the broker closes.
func (c *rawClient) disconnected() *mqtt.Disconnect {
	c.t.Helper()
	packets := c.end()
	if len(packets) != 1 || packets[0].Type != mqtt.DISCONNECT {
		c.t.Fatalf("received %v before the end, want DISCONNECT", packets)
	}
	var d mqtt.Disconnect
	c.decode(packets[0], func(p mqtt.Packet) error { return d.Decode(p, c.version) })
	if !d.ServerMaySend() {
		c.t.Fatalf("DISCONNECT with %v is not for servers", d.Code)
	}
	return &d
}

// Who is not let in disturbs nobody who is: the session and its holder are not
// touched [v5 MQTT-3.1.4-2, MQTT-3.1.4-3].
func TestAuthenticationComesFirst(t *testing.T) {
	var says answer
	s := startServer(t, t.TempDir(), broker.Options{Authenticate: says.authenticate})
	c := connect(t, s, willing(durable(mqtt.V50, "c"), 0))
	c.subscribe(filter("t", 1))
	says.set(&mqtt.Error{Code: mqtt.BadUserNameOrPassword})
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		packet := clean(v, "c")
		if body := refused(t, s, packet.Append(nil)); body == nil || body[1] == 0 {
			t.Errorf("CONNACK % x", body)
		}
	}, versions...)
	c.send(pub("t", "still here", 0, 0))
	c.wantMessage("t", "still here", 0)
	c.barrier()
	if n := s.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// All that Authenticate is told of a client, on each kind of connection.
func TestConnectRequest(t *testing.T) {
	requests := make(chan broker.ConnectRequest, 1)
	s := startServer(t, t.TempDir(), broker.Options{Authenticate: func(_ context.Context, r *broker.ConnectRequest) error {
		requests <- *r
		return nil
	}})
	packet := clean(mqtt.V50, "c")
	packet.HasUserName, packet.UserName, packet.HasPassword, packet.Password = true, "u", true, []byte("p\x00\xFF")
	packet.Will = &mqtt.Message{Topic: "w"}
	c := connect(t, s, packet)
	r := <-requests
	if r.ClientID != "c" || r.Version != mqtt.V50 || !r.CleanStart || !r.HasUserName || r.UserName != "u" || !r.HasPassword || string(r.Password) != "p\x00\xFF" ||
		r.WillTopic != "w" || r.AuthenticationMethod != "" || r.AuthenticationData != nil || r.InProcess || r.TLS != nil ||
		r.RemoteAddr.String() != c.net.LocalAddr().String() || r.LocalAddr.String() != s.Addr || r.Listener != "tcp" || r.Address().String() != "127.0.0.1" {
		t.Errorf("over TCP: %+v", r)
	}
	connect(t, s, expiring(mqtt.V50, "", 5))
	if r := <-requests; r.ClientID != "" || r.CleanStart || r.HasUserName || r.HasPassword || r.WillTopic != "" {
		t.Errorf("with nothing: %+v", r)
	}

	web := httptest.NewTLSServer(s.WebSocket(t.Context(), "secure web"))
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	secure := &tls.Config{RootCAs: roots, ServerName: "example.com"}
	dialer := &http.Client{Transport: &http.Transport{TLSClientConfig: secure}}
	ws, _, err := websocket.Dial(t.Context(), web.URL, &websocket.DialOptions{Subprotocols: []string{"mqtt"}, HTTPClient: dialer})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	simple := clean(mqtt.V311, "web")
	if err := ws.Write(t.Context(), websocket.MessageBinary, simple.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if r := <-requests; r.ClientID != "web" || r.Version != mqtt.V311 || r.TLS == nil || r.TLS.ServerName != "example.com" ||
		r.RemoteAddr.Network() != "websocket" || r.Listener != "secure web" || r.Address().String() != "127.0.0.1" || r.LocalAddr.String() != web.Listener.Addr().String() {
		t.Errorf("over WebSocket: %+v", r)
	}

	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { s.Serve(ctx, l, "secure") })
	defer g.Wait()
	defer cancel()
	nc, err := tls.Dial("tcp", l.Addr().String(), secure)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(simple.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if r := <-requests; r.TLS == nil || r.TLS.ServerName != "example.com" || r.RemoteAddr.String() != nc.LocalAddr().String() || r.Listener != "secure" {
		t.Errorf("over TLS: %+v", r)
	}
}

// Authenticate has as much time as ConnectTimeout says, or until the broker ends.
// Whatever it says then is no refusal for good.
func TestAuthenticateEnds(t *testing.T) {
	for _, late := range []error{nil, &mqtt.Error{Code: mqtt.NotAuthorized}} {
		s := startServer(t, t.TempDir(), broker.Options{ConnectTimeout: 20 * time.Millisecond, Authenticate: func(ctx context.Context, _ *broker.ConnectRequest) error {
			<-ctx.Done()
			return late
		}})
		packet := clean(mqtt.V50, "c")
		if body := refused(t, s, packet.Append(nil)); string(body) != "\x00\x88\x00" {
			t.Errorf("%v too late: CONNACK % x", late, body)
		}
		if n := s.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions", n)
		}
	}
	entered := make(chan bool)
	s := startServer(t, t.TempDir(), broker.Options{Authenticate: func(ctx context.Context, r *broker.ConnectRequest) error {
		if r.ClientID == "other" {
			return nil
		}
		entered <- true
		<-ctx.Done()
		return ctx.Err()
	}})
	c := openRaw(t, s, mqtt.V311)
	packet := clean(mqtt.V311, "c")
	c.raw(packet.Append(nil))
	<-entered
	connect(t, s, clean(mqtt.V50, "other")).barrier() // who waits for nobody
	s.stop()
	if packets := c.end(); len(packets) != 1 || string(packets[0].Body) != "\x00\x03" {
		t.Errorf("received %v", packets)
	}
}

// A message that may not be published goes nowhere. 5.0 is told; before, it is
// acknowledged and dropped [v3 MQTT-3.3.5-2].
func TestPublishNotAuthorized(t *testing.T) {
	var may rights
	may.deny("no")
	s := startServer(t, t.TempDir(), broker.Options{Authorize: may.authorize})
	watch := connect(t, s, clean(mqtt.V50, "watch"))
	watch.subscribe(filter("#", 2))
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		before := s.Stats().NotAuthorized
		c := connect(t, s, durable(v, "c"))
		code := mqtt.Success
		if v == mqtt.V50 {
			code = mqtt.NotAuthorized
		}
		for range 2 { // the second time out of the router's memory
			m := pub("no/1", "x", 0, 0)
			m.Retain = true
			c.send(m, pub("no/1", "x", 1, 1))
			c.wantAck(mqtt.PUBACK, 1, code)
			c.send(pub("no/1", "x", 2, 2))
			c.wantAck(mqtt.PUBREC, 2, code)
			if v != mqtt.V50 {
				c.ack(mqtt.PUBREL, 2)
				c.wantAck(mqtt.PUBCOMP, 2, mqtt.Success)
			}
			c.send(pub("yes", "x", 0, 0))
			watch.wantMessage("yes", "x", 0)
		}
		c.barrier()
		if n := s.Stats(); n.NotAuthorized != before+6 || n.Retained != 0 {
			t.Errorf("%d refused, %d retained", n.NotAuthorized-before, n.Retained)
		}
		c.bye()
	}, versions...)
	watch.barrier()
}

// A topic alias is defined even if the message is refused (5.0 §3.3.2.3.4), and
// Receive Maximum gets its slots back.
func TestRefusedPublishCounts(t *testing.T) {
	var may rights
	may.deny("no")
	s := startServer(t, t.TempDir(), broker.Options{Authorize: may.authorize, ReceiveMaximum: 2})
	c := connect(t, s, clean(mqtt.V50, "c"))
	c.subscribe(filter("#", 0))
	for id := range uint16(5) {
		m := pub("no", "x", 2, id+1)
		m.TopicAlias = 7
		c.send(m)
		c.wantAck(mqtt.PUBREC, id+1, mqtt.NotAuthorized)
	}
	may.deny()
	s.AccessChanged()
	c.send(&mqtt.Publish{TopicAlias: 7, Payload: []byte("by alias")})
	c.wantMessage("no", "by alias", 0)
}

// Authorize is asked once for a topic, and again after AccessChanged.
func TestAuthorizeIsRemembered(t *testing.T) {
	var may rights
	s := startServer(t, t.TempDir(), broker.Options{Authorize: may.authorize})
	c := connect(t, s, clean(mqtt.V50, "c"))
	for range 3 {
		c.publish("t", "x", 0, false)
		c.publish("t", "x", 1, false)
	}
	if n := may.questions(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	may.deny("t")
	s.AccessChanged()
	for range 3 {
		c.send(pub("t", "x", 1, 1))
		c.wantAck(mqtt.PUBACK, 1, mqtt.NotAuthorized)
	}
	if n := may.questions(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// What Authorize is asked with is the client that was let in, named as Authenticate
// left it, without its password.
func TestAuthorizeRequest(t *testing.T) {
	type question struct {
		r      broker.ConnectRequest
		action broker.Action
		topic  string
	}
	asked := make(chan question, 10)
	s := startServer(t, t.TempDir(), broker.Options{
		Authenticate: func(_ context.Context, r *broker.ConnectRequest) error { r.UserName = "found out"; return nil },
		Authorize: func(r *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
			asked <- question{*r, action, topic}
			return broker.Allow
		},
	})
	packet := clean(mqtt.V50, "")
	packet.HasPassword, packet.Password = true, []byte("secret")
	packet.Will = &mqtt.Message{Topic: "w"}
	c := connect(t, s, packet)
	c.subscribe(filter("f/#", 1), filter("$share/g/f/+", 1))
	c.publish("t", "x", 1, false)
	id := c.connack.Properties.Text(mqtt.AssignedClientIdentifier)
	for _, want := range []question{{action: broker.Publish, topic: "w"}, {action: broker.Subscribe, topic: "f/#"}, {action: broker.Subscribe, topic: "f/+"}, {action: broker.Publish, topic: "t"}} {
		if q := <-asked; q.action != want.action || q.topic != want.topic || q.r.ClientID != id || q.r.UserName != "found out" || q.r.Password != nil {
			t.Errorf("asked about %v %s by %+v", q.action, q.topic, q.r)
		}
	}
}

// SUBACK says what may not be subscribed to [v3 MQTT-3.9.3-2, v5 MQTT-3.9.3-2]; MQTT 3.1
// has no word for it. Retained messages do not come either.
func TestSubscribeNotAuthorized(t *testing.T) {
	var may rights
	may.deny("no", "#")
	s := startServer(t, t.TempDir(), broker.Options{Authorize: may.authorize})
	inside := newClient(t, s, "inside")
	may.deny()
	s.AccessChanged()
	if err := inside.Publish(t.Context(), mqtt.Message{Topic: "no/1", Payload: []byte("x"), Retain: true}); err != nil {
		t.Fatal(err)
	}
	may.deny("no", "#")
	s.AccessChanged()
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		denied := map[mqtt.Version]mqtt.ReasonCode{mqtt.V31: mqtt.Success, mqtt.V311: mqtt.UnspecifiedError, mqtt.V50: mqtt.NotAuthorized}[v]
		c := connect(t, s, clean(v, "c"))
		before := s.Stats()
		c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("no/+", 2), filter("yes", 2), filter("#", 1), filter("$share/g/no/1", 1), filter("$share/no/yes", 1)}})
		c.wantCodes(mqtt.SUBACK, 1, denied, mqtt.GrantedQoS2, denied, denied, mqtt.GrantedQoS1)
		if n := s.Stats(); n.Subscriptions != before.Subscriptions+2 || n.NotAuthorized != before.NotAuthorized+3 {
			t.Errorf("%d subscriptions, %d refused", n.Subscriptions-before.Subscriptions, n.NotAuthorized-before.NotAuthorized)
		}
		c.barrier()
		c.bye()
	}, versions...)
}

// A will that may not be published is refused with its client.
func TestWillNotAuthorized(t *testing.T) {
	var may rights
	may.deny("will")
	s := startServer(t, t.TempDir(), broker.Options{Authorize: may.authorize})
	for v, want := range map[mqtt.Version]string{mqtt.V31: "\x00\x05", mqtt.V311: "\x00\x05", mqtt.V50: "\x00\x87\x00"} {
		packet := willing(clean(v, "c"), 0)
		if body := refused(t, s, packet.Append(nil)); string(body) != want {
			t.Errorf("%s: CONNACK % x, want % x", versionName(v), body, want)
		}
	}
	if n := s.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// AccessChanged takes subscriptions away, with what waits because of them, from
// clients that are there and from those that are not, for good.
func TestAccessChanged(t *testing.T) {
	for _, online := range []bool{true, false} {
		t.Run(fmt.Sprintf("online %t", online), func(t *testing.T) {
			may := rights{granted: broker.Receive} // that alone is another matter: see TestAttacks
			l := newLasting(t, broker.Options{Authorize: may.authorize, MaxInflight: 1})
			from := connect(t, l.server, clean(mqtt.V50, "from"))
			c := connect(t, l.server, durable(mqtt.V50, "c"))
			from.publish("no/retained", "x", 1, true)
			c.subscribe(filter("no/+", 2), filter("$share/g/no/+", 2), filter("yes/+", 2), filter("+/both", 1))
			inflight := c.wantMessage("no/retained", "x", 1)
			c.subscribe(filter("no/+", 2)) // the retained message once more, later
			for _, topic := range []string{"no/1", "yes/1", "no/both", "no/2", "yes/2"} {
				from.publish(topic, "x", 2, false)
			}
			if !online {
				c.drop()
			}
			may.deny("no")
			l.AccessChanged()
			if n := l.Stats(); n.Subscriptions != 2 {
				t.Errorf("%d subscriptions are left", n.Subscriptions)
			}
			may.deny() // the subscriptions do not come back with the rights
			if !online {
				c = connect(t, l.server, durable(mqtt.V50, "c"))
				if m := c.wantMessage("no/retained", "x", 1); m.PacketID != inflight.PacketID || !m.Dup {
					t.Errorf("sent again: %+v", m)
				}
			}
			from.publish("no/3", "x", 1, false)
			c.ack(mqtt.PUBACK, inflight.PacketID)
			want := []string{"yes/1", "no/both", "no/both", "yes/2"} // two deliveries: one of the share, whose messages cannot be told from others
			c.take(len(want), func(i int, m *mqtt.Publish) {
				if string(m.Topic) != want[i] {
					t.Errorf("received %s, want %s", m.Topic, want[i])
				}
			})
			c.barrier()
			c.drop()
			from.drop()
			l.restart()
			from = connect(t, l.server, clean(mqtt.V50, "from"))
			c = connect(t, l.server, durable(mqtt.V50, "c"))
			from.publish("no/4", "x", 1, false)
			from.publish("yes/4", "x", 0, false)
			c.wantMessage("yes/4", "x", 0)
			c.barrier()
		})
	}
}

// AccessChanged takes wills away too.
func TestWillRevoked(t *testing.T) {
	for _, x := range []struct {
		name            string
		online, restart bool
	}{{"online", true, false}, {"offline", false, false}, {"offline, restart", false, true}} {
		t.Run(x.name, func(t *testing.T) {
			var may rights
			l := newLasting(t, broker.Options{Authorize: may.authorize})
			c := connect(t, l.server, willing(durable(mqtt.V50, "c"), 1000))
			if !x.online {
				c.drop()
			}
			may.deny("will/c")
			l.AccessChanged()
			may.deny()
			if x.restart {
				l.restart()
			}
			watch := watcher(t, l.server)
			connect(t, l.server, clean(mqtt.V50, "c")).bye() // the end of the session, and of a will that waits
			watch.barrier()
		})
	}
}

// A client that comes back to its session is asked about anew: another user may
// stand behind the same id, or a restart lie between.
func TestResumeAsksAgain(t *testing.T) {
	for _, restart := range []bool{true, false} {
		l := newLasting(t, broker.Options{Authorize: func(r *broker.ConnectRequest, _ broker.Action, topic string) broker.Permit {
			return broker.Permitted(r.UserName != "bob" || !strings.HasPrefix(topic, "alice/"))
		}})
		as := func(user string) mqtt.Connect {
			packet := durable(mqtt.V311, "c")
			packet.HasUserName, packet.UserName = true, user
			return packet
		}
		c := connect(t, l.server, as("alice"))
		c.subscribe(filter("alice/#", 1), filter("all", 1))
		c.drop()
		from := connect(t, l.server, clean(mqtt.V311, "from"))
		from.publish("alice/1", "x", 1, false)
		from.publish("all", "x", 1, false)
		from.drop()
		if restart {
			l.restart()
			l.AccessChanged() // asks nobody about a client that it does not know yet
		}
		c = connect(t, l.server, as("bob"))
		if !c.connack.SessionPresent {
			t.Error("the session is gone")
		}
		c.ack(mqtt.PUBACK, c.wantMessage("all", "x", 1).PacketID)
		from = connect(t, l.server, clean(mqtt.V311, "from"))
		from.publish("alice/1", "x", 1, false)
		c.barrier()
		c.send(pub("alice/1", "x", 0, 0))
		c.barrier()
		if n := l.Stats(); n.Subscriptions != 1 || n.Queued != 0 || n.NotAuthorized != 1 {
			t.Errorf("%+v", n)
		}
	}
}

// A QoS 2 message that was taken is acknowledged again after its topic was
// forbidden: the session still holds its id [v5 MQTT-4.3.3-10].
func TestRepeatOfForbiddenQoS2(t *testing.T) {
	var may rights
	s := startServer(t, t.TempDir(), broker.Options{Authorize: may.authorize})
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		may.deny()
		s.AccessChanged()
		c := connect(t, s, durable(v, "c"))
		c.send(pub("t", "x", 2, 5))
		c.wantAck(mqtt.PUBREC, 5, mqtt.Success)
		may.deny("t")
		s.AccessChanged()
		c.send(pub("t", "x", 2, 5))
		c.wantAck(mqtt.PUBREC, 5, mqtt.Success)
		c.ack(mqtt.PUBREL, 5)
		c.wantAck(mqtt.PUBCOMP, 5, mqtt.Success)
		c.send(pub("t", "x", 2, 5))
		if v == mqtt.V50 {
			c.wantAck(mqtt.PUBREC, 5, mqtt.NotAuthorized)
		} else {
			c.wantAck(mqtt.PUBREC, 5, mqtt.Success)
		}
	}, versions...)
}

// In-process clients are asked about like others.
func TestInProcessNotAuthorized(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{
		Authenticate: func(context.Context, *broker.ConnectRequest) error { return errors.New("not for in-process clients") },
		Authorize: func(r *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
			return broker.Permitted(r.InProcess && r.ClientID == "inside" && r.RemoteAddr == nil && topic != "no "+action.String())
		},
	})
	c := newClient(t, s, "inside")
	messages := inbox(t, c, "+", 1)
	wantRefusal := func(err error) {
		t.Helper()
		var e *mqtt.Error
		if !errors.As(err, &e) || e.Code != mqtt.NotAuthorized {
			t.Errorf("%v", err)
		}
	}
	wantRefusal(c.Subscribe(t.Context(), "no subscribe", 0, func(mqtt.Message) {}))
	for qos := range mqtt.QoS(3) {
		wantRefusal(c.Publish(t.Context(), mqtt.Message{Topic: "no publish", QoS: qos, Retain: true}))
	}
	if err := c.Publish(t.Context(), mqtt.Message{Topic: "no subscribe"}); err != nil {
		t.Error(err)
	}
	if m := receive(t, messages); m.Topic != "no subscribe" {
		t.Errorf("received %s", m.Topic)
	}
	if n := s.Stats().NotAuthorized; n != 4 {
		t.Errorf("%d refused", n)
	}
}

// Nobody takes the id of an in-process client from outside.
func TestInProcessIDIsTaken(t *testing.T) {
	s := newServer(t)
	inside := newClient(t, s, "inside")
	messages := inbox(t, inside, "t", 1)
	for v, want := range map[mqtt.Version]string{mqtt.V31: "\x00\x02", mqtt.V311: "\x00\x02", mqtt.V50: "\x00\x85\x00"} {
		for _, packet := range []mqtt.Connect{clean(v, "inside"), durable(v, "inside")} {
			if body := refused(t, s, packet.Append(nil)); string(body) != want {
				t.Errorf("%s: CONNACK % x, want % x", versionName(v), body, want)
			}
		}
	}
	if err := inside.Publish(t.Context(), mqtt.Message{Topic: "t", QoS: 1}); err != nil {
		t.Error(err)
	}
	receive(t, messages)
	inside.Close()
	connect(t, s, clean(mqtt.V311, "inside")).barrier() // free again
}

// Disconnect tells a client of 5.0 why, and closes.
func TestDisconnect(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	moved := &broker.Refusal{Code: mqtt.ServerMoved, Reason: "moved house", ServerReference: "b.local"}
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, willing(durable(v, "c"), 0))
		c.subscribe(filter("t", 1))
		if !s.Disconnect("c", moved) {
			t.Error("no such client")
		}
		if v != mqtt.V50 {
			c.wantEnd(0)
		} else if d := c.disconnected(); d.Code != moved.Code || d.Properties.Text(mqtt.ReasonString) != moved.Reason || d.Properties.Text(mqtt.ServerReference) != moved.ServerReference {
			t.Errorf("DISCONNECT %+v", d)
		}
		watch.wantWill("c")
		if s.Disconnect("c", moved) {
			t.Error("the client is still there")
		}
		c = connect(t, s, durable(v, "c"))
		if c.connack.SessionPresent != (v != mqtt.V31) {
			t.Error("the session is gone")
		}
		c.bye()
	}, versions...)
	// What DISCONNECT cannot say becomes what it can.
	for code, want := range map[mqtt.ReasonCode]mqtt.ReasonCode{
		mqtt.AdministrativeAction: mqtt.AdministrativeAction, mqtt.NotAuthorized: mqtt.NotAuthorized, mqtt.UseAnotherServer: mqtt.UseAnotherServer,
		mqtt.Banned: mqtt.NotAuthorized, mqtt.ServerUnavailable: mqtt.ServerBusy, mqtt.Success: mqtt.AdministrativeAction,
		mqtt.DisconnectWithWill: mqtt.AdministrativeAction, mqtt.UnsupportedProtocolVersion: mqtt.AdministrativeAction,
	} {
		c := connect(t, s, clean(mqtt.V50, "c"))
		s.Disconnect("c", &broker.Refusal{Code: code})
		if d := c.disconnected(); d.Code != want {
			t.Errorf("%v: DISCONNECT with %v, want %v", code, d.Code, want)
		}
	}
	inside := newClient(t, s, "inside")
	if !s.Disconnect("inside", moved) {
		t.Error("no such client")
	}
	if err := inside.Publish(t.Context(), mqtt.Message{Topic: "t"}); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Publish after Disconnect: %v", err)
	}
	if s.Disconnect("nobody", moved) {
		t.Error("nobody was disconnected")
	}
}

// Rights change while everybody is busy: nobody waits for anybody for ever.
func TestAccessChangesUnderLoad(t *testing.T) {
	var may rights
	s := startServer(t, t.TempDir(), broker.Options{Authorize: may.authorize})
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	for i := range 3 {
		inside := newClient(t, s, fmt.Sprint("inside", i))
		g.Go(func() {
			for ctx.Err() == nil {
				inside.Publish(ctx, mqtt.Message{Topic: "t", QoS: mqtt.QoS(i)})
				inside.Publish(ctx, mqtt.Message{Topic: "no/1", QoS: mqtt.QoS(i)})
			}
		})
	}
	for i := range 2 {
		c := connect(t, s, clean(mqtt.V311, fmt.Sprint("c", i)))
		g.Go(func() {
			for ctx.Err() == nil {
				c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("no/+", 0)}}, pub("no/2", "x", 0, 0), pub("t", "x", 1, 2))
				for p := (mqtt.Packet{}); p.Type != mqtt.PUBACK; {
					var err error
					if p, err = c.next(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range 200 {
		if may.deny(); i%2 == 0 {
			may.deny("no")
		}
		s.AccessChanged()
	}
	may.deny("no")
	s.AccessChanged()
	cancel()
	g.Wait()
	if n := s.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}
