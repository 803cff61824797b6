package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// quiz is a method that asks n questions, of which the answer is the question with
// "!" behind it. The client says hello first.
func quiz(n int) broker.Method {
	return func(ctx context.Context, r *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		if string(r.AuthenticationData) != "hello" {
			return nil, &broker.Refusal{Code: mqtt.NotAuthorized, Reason: "rude"}
		}
		for i := range n {
			question := fmt.Appendf(nil, "question %d", i)
			response, err := exchange(question)
			if err != nil {
				return nil, err
			}
			if string(response) != string(question)+"!" {
				return nil, &broker.Refusal{Code: mqtt.NotAuthorized, Reason: "wrong"}
			}
		}
		return []byte("welcome"), nil
	}
}

// naming gives a CONNECT of 5.0 a method and data.
func naming(packet mqtt.Connect, method, data string) mqtt.Connect {
	packet.Properties.SetText(mqtt.AuthenticationMethod, method)
	packet.Properties.SetText(mqtt.AuthenticationData, data)
	return packet
}

// auth is an AUTH.
func auth(code mqtt.ReasonCode, method, data string) *mqtt.Disconnect {
	a := &mqtt.Disconnect{Type: mqtt.AUTH, Code: code}
	a.Properties.SetText(mqtt.AuthenticationMethod, method)
	a.Properties.SetText(mqtt.AuthenticationData, data)
	return a
}

// wantAuth reads an AUTH and compares it byte by byte: there is no Reason String and no
// User Property [v5 MQTT-3.15.2-2, MQTT-3.15.2-3].
func (c *rawClient) wantAuth(code mqtt.ReasonCode, method, data string) {
	c.t.Helper()
	p := c.expect(mqtt.AUTH)
	if want := auth(code, method, data).Append(nil, mqtt.V50); !bytes.Equal(p.Body, want[2:]) || p.Flags != 0 {
		c.t.Fatalf("AUTH % x, want % x", p.Body, want[2:])
	}
}

// answerQuiz answers n questions.
func (c *rawClient) answerQuiz(n int) {
	c.t.Helper()
	for i := range n {
		question := fmt.Sprint("question ", i)
		c.wantAuth(mqtt.ContinueAuthentication, "quiz", question)
		c.send(auth(mqtt.ContinueAuthentication, "quiz", question+"!"))
	}
}

// connectQuiz connects with the method quiz and n questions.
func connectQuiz(t *testing.T, s *server, packet mqtt.Connect, n int) *rawClient {
	t.Helper()
	c := openRaw(t, s, mqtt.V50)
	packet = naming(packet, "quiz", "hello")
	c.raw(packet.Append(nil))
	c.answerQuiz(n)
	c.decode(c.expect(mqtt.CONNACK), func(p mqtt.Packet) error { return c.connack.Decode(p, c.version) })
	if c.connack.Code != mqtt.Success {
		t.Fatalf("CONNACK with %v", c.connack.Code)
	}
	return c
}

// neverAsked is an Authenticate for tests in which nobody is to ask it.
func neverAsked(context.Context, *broker.ConnectRequest) error {
	return errors.New("Authenticate was asked")
}

// A client that names a method is let in by it, after any number of steps
// [v5 MQTT-4.12.0-2], and every AUTH and the CONNACK name the method
// [v5 MQTT-4.12.0-5]. Authenticate is not asked.
func TestEnhancedAuthentication(t *testing.T) {
	for _, n := range []int{0, 1, 2, 32} {
		s := startServer(t, t.TempDir(), broker.Options{Authenticate: neverAsked, Methods: map[string]broker.Method{"quiz": quiz(n)}})
		c := connectQuiz(t, s, clean(mqtt.V50, ""), n)
		if p := c.connack.Properties; p.Text(mqtt.AuthenticationMethod) != "quiz" || p.Text(mqtt.AuthenticationData) != "welcome" || !p.Has(mqtt.AssignedClientIdentifier) {
			t.Errorf("CONNACK %+v", p)
		}
		c.barrier()
		other := clean(mqtt.V50, "other")
		if body := refused(t, s, other.Append(nil)); string(body) != "\x00\x88\x00" {
			t.Errorf("without a method: CONNACK % x", body)
		}
		c.barrier() // no AUTH
	}
}

// Without data there is no Authentication Data, which is not the same as empty data.
func TestAuthenticationWithoutData(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{Methods: map[string]broker.Method{
		"m": func(_ context.Context, r *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
			response, err := exchange(nil)
			if r.AuthenticationData != nil || response != nil {
				return nil, fmt.Errorf("data %q and %q", r.AuthenticationData, response)
			}
			if err == nil {
				response, err = exchange([]byte{})
			}
			if err == nil && (response == nil || len(response) > 0) {
				err = fmt.Errorf("data %q", response)
			}
			return nil, err
		}}})
	c := openRaw(t, s, mqtt.V50)
	packet := clean(mqtt.V50, "c")
	packet.Properties.SetText(mqtt.AuthenticationMethod, "m")
	c.raw(packet.Append(nil))
	without := auth(mqtt.ContinueAuthentication, "m", "")
	without.Properties = mqtt.Properties{}
	without.Properties.SetText(mqtt.AuthenticationMethod, "m")
	if p := c.expect(mqtt.AUTH); !bytes.Equal(p.Body, without.Append(nil, mqtt.V50)[2:]) {
		t.Errorf("AUTH % x", p.Body)
	}
	c.send(without)
	c.wantAuth(mqtt.ContinueAuthentication, "m", "")
	c.send(auth(mqtt.ContinueAuthentication, "m", ""))
	c.decode(c.expect(mqtt.CONNACK), func(p mqtt.Packet) error { return c.connack.Decode(p, c.version) })
	if c.connack.Code != mqtt.Success || c.connack.Properties.Has(mqtt.AuthenticationData) {
		t.Errorf("CONNACK %+v", c.connack)
	}
}

// A client may be refused at each step [v5 MQTT-4.12.0-4]. What it sent behind is
// thrown away, and the session of the client that it wanted to be is not touched
// [v5 MQTT-3.1.4-6].
func TestEnhancedAuthenticationRefuses(t *testing.T) {
	const questions = 3
	s := startServer(t, t.TempDir(), broker.Options{Methods: map[string]broker.Method{"quiz": quiz(questions)}})
	watch := watcher(t, s)
	holder := connectQuiz(t, s, willing(clean(mqtt.V50, "c"), 0), questions)
	for wrong := range questions + 1 {
		data, reason := "hello", "wrong"
		if wrong == 0 {
			data, reason = "hey", "rude"
		}
		c := openRaw(t, s, mqtt.V50)
		packet := naming(willing(clean(mqtt.V50, "c"), 0), "quiz", data)
		behind := pub("will/c", "behind", 0, 0)
		if wrong == 0 {
			c.raw(behind.Append(packet.Append(nil), mqtt.V50))
		} else {
			c.raw(packet.Append(nil))
			c.answerQuiz(wrong - 1)
			c.wantAuth(mqtt.ContinueAuthentication, "quiz", fmt.Sprint("question ", wrong-1))
			c.send(auth(mqtt.ContinueAuthentication, "quiz", "?"), behind)
		}
		if packets := c.end(); len(packets) != 1 || packets[0].Type != mqtt.CONNACK || string(packets[0].Body) != connackBytes(mqtt.NotAuthorized, "", reason) {
			t.Errorf("step %d: received %v", wrong, packets)
		}
	}
	watch.barrier()
	holder.barrier()
}

// Until CONNACK there is nothing from the client but AUTH with the method of CONNECT
// and "continue", and DISCONNECT [v5 MQTT-3.1.2-30, MQTT-4.12.0-3, MQTT-4.12.0-5,
// MQTT-3.15.1-1, MQTT-3.15.2-1]. The answer is never DISCONNECT [v5 MQTT-3.14.0-1].
func TestAuthenticationViolations(t *testing.T) {
	carefree := func(_ context.Context, _ *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		exchange(nil)
		exchange(nil)
		return nil, nil // whatever came
	}
	s := startServer(t, t.TempDir(), broker.Options{Methods: map[string]broker.Method{"quiz": quiz(2), "carefree": carefree}})
	watch := connect(t, s, clean(mqtt.V50, "watch"))
	watch.subscribe(filter("#", 0))
	for _, method := range []string{"quiz", "carefree"} {
		named := fmt.Sprintf("%c\x15\x00%c%s", 3+len(method), len(method), method)
		for _, x := range []struct {
			name, packet string
			code         byte // 0: closed without CONNACK
		}{
			{"PUBLISH", "\x30\x00\x01t\x00x", 0x82},
			{"SUBSCRIBE", "\x82\x00\x01\x00\x00\x01t\x00", 0x82},
			{"PINGREQ", "\xC0", 0x82},
			{"CONNECT", "\x10\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", 0x82},
			{"CONNACK", "\x20\x00\x00\x00", 0x82},
			{"another method", "\xF0\x18\x04\x15\x00\x01x", 0x82},
			{"no method", "\xF0\x18\x00", 0x82},
			{"an empty AUTH", "\xF0", 0x82},
			{"AUTH with success", "\xF0\x00" + named, 0x82},
			{"AUTH that begins anew", "\xF0\x19" + named, 0x82},
			{"AUTH with a code of DISCONNECT", "\xF0\x04" + named, 0x81},
			{"AUTH with flags", "\xF1", 0x81},
			{"AUTH with a property of CONNECT", "\xF0\x18\x03\x21\x00\x01", 0x81},
			{"DISCONNECT", "\xE0", 0},
			{"DISCONNECT that is wrong", "\xE0\x01", 0},
		} {
			c := openRaw(t, s, mqtt.V50)
			packet := naming(clean(mqtt.V50, "c"), method, "hello")
			c.raw(packet.Append(nil))
			c.expect(mqtt.AUTH)
			c.raw(seal(x.packet))
			packets := c.end()
			if x.code == 0 && len(packets) == 0 {
				continue
			}
			if len(packets) != 1 || packets[0].Type != mqtt.CONNACK || string(packets[0].Body) != string([]byte{0, x.code, 0}) {
				t.Errorf("%s, %s: received %v", method, x.name, packets)
			}
		}
		for _, half := range []string{"", "\xF0", "\xF0\x05\x18"} {
			c := openRaw(t, s, mqtt.V50)
			packet := naming(clean(mqtt.V50, "c"), method, "hello")
			c.raw(packet.Append(nil))
			c.expect(mqtt.AUTH)
			c.raw([]byte(half))
			c.drop()
		}
	}
	watch.barrier()
	if n := s.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// Steps, sizes and time of an authentication are bounded.
func TestAuthenticationLimits(t *testing.T) {
	ended := make(chan error, 1)
	endless := func(_ context.Context, r *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		for {
			if _, err := exchange(r.AuthenticationData); err != nil {
				ended <- err
				return nil, err
			}
		}
	}
	large := func(_ context.Context, _ *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		return exchange(make([]byte, 65536))
	}
	final := func(context.Context, *broker.ConnectRequest, func([]byte) ([]byte, error)) ([]byte, error) {
		return make([]byte, 65536), nil
	}
	s := startServer(t, t.TempDir(), broker.Options{ConnectTimeout: time.Second, Methods: map[string]broker.Method{"endless": endless, "large": large, "final": final}})
	refusedWith := func(packet mqtt.Connect, code mqtt.ReasonCode) {
		t.Helper()
		if body := refused(t, s, packet.Append(nil)); string(body) != connackBytes(code, "", "") {
			t.Errorf("CONNACK % x, want %v", body, code)
		}
	}
	refusedWith(naming(clean(mqtt.V50, "c"), "large", ""), mqtt.ImplementationSpecificError)
	refusedWith(naming(clean(mqtt.V50, "c"), "final", ""), mqtt.ServerUnavailable)

	c := openRaw(t, s, mqtt.V50)
	packet := naming(clean(mqtt.V50, "c"), "endless", "x")
	c.raw(packet.Append(nil))
	for range 32 {
		c.wantAuth(mqtt.ContinueAuthentication, "endless", "x")
		c.send(auth(mqtt.ContinueAuthentication, "endless", ""))
	}
	if packets := c.end(); len(packets) != 1 || string(packets[0].Body) != connackBytes(mqtt.QuotaExceeded, "", "") {
		t.Errorf("received %v", packets)
	}
	<-ended

	// AUTH has 2 bytes of header, a code, a length, the method of 3 + 7 and the data
	// of 3 + 100 [v5 MQTT-3.1.2-24].
	fits := naming(clean(mqtt.V50, "c"), "endless", string(make([]byte, 100)))
	refusedWith(limited(fits, mqtt.MaximumPacketSize, 116), mqtt.PacketTooLarge)
	<-ended
	c = openRaw(t, s, mqtt.V50)
	packet = limited(naming(clean(mqtt.V50, "c"), "endless", string(make([]byte, 100))), mqtt.MaximumPacketSize, 117)
	c.raw(packet.Append(nil))
	c.wantAuth(mqtt.ContinueAuthentication, "endless", string(make([]byte, 100)))
	// Who says nothing more is told nothing, as one that never says CONNECT.
	if packets := c.end(); len(packets) > 0 {
		t.Errorf("received %v", packets)
	}
	<-ended
}

// A client authenticates again while its other packets are handled, as often as it
// likes, with new rights when it has succeeded (5.0 §4.12.1).
func TestReauthentication(t *testing.T) {
	const questions = 2
	method := func(ctx context.Context, r *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		final, err := quiz(questions)(ctx, r, exchange)
		r.UserName = "guest"
		return final, err
	}
	var user atomic.Value
	s := startServer(t, t.TempDir(), broker.Options{
		Methods: map[string]broker.Method{"quiz": method},
		Authorize: func(r *broker.ConnectRequest, _ broker.Action, _ string) broker.Permit {
			user.Store(r.UserName)
			if r.Password != nil || r.AuthenticationData != nil {
				t.Error("the secrets are still there")
			}
			return broker.Allow
		},
	})
	packet := clean(mqtt.V50, "c")
	packet.HasPassword, packet.Password = true, []byte("p")
	c := connectQuiz(t, s, packet, questions)
	for range 3 {
		c.send(auth(mqtt.ReAuthenticate, "quiz", "hello"))
		for i := range questions {
			c.wantAuth(mqtt.ContinueAuthentication, "quiz", fmt.Sprint("question ", i))
			c.subscribe(filter("t", 1))
			c.send(pub("t", "x", 0, 0))
			c.wantMessage("t", "x", 0)
			c.barrier()
			c.send(auth(mqtt.ContinueAuthentication, "quiz", fmt.Sprintf("question %d!", i)))
		}
		c.wantAuth(mqtt.Success, "quiz", "welcome")
	}
	c.send(pub("t", "x", 0, 0))
	c.wantMessage("t", "x", 0)
	if u := user.Load(); u != "guest" {
		t.Errorf("Authorize is asked about %q", u)
	}
}

// New rights take away what the old ones gave.
func TestReauthenticationRevokes(t *testing.T) {
	method := func(_ context.Context, r *broker.ConnectRequest, _ func([]byte) ([]byte, error)) ([]byte, error) {
		r.UserName = string(r.AuthenticationData)
		return nil, nil
	}
	s := startServer(t, t.TempDir(), broker.Options{
		Methods: map[string]broker.Method{"m": method},
		Authorize: func(r *broker.ConnectRequest, _ broker.Action, topic string) broker.Permit {
			return broker.Permitted(topic == r.UserName)
		},
	})
	c := connect(t, s, naming(clean(mqtt.V50, "c"), "m", "a"))
	c.subscribe(filter("a", 0))
	from := connect(t, s, naming(clean(mqtt.V50, "from"), "m", "a"))
	from.publish("a", "x", 0, false)
	c.wantMessage("a", "x", 0)
	c.send(auth(mqtt.ReAuthenticate, "m", "b"))
	c.wantSuccess()
	from.publish("a", "x", 0, false)
	c.send(pub("a", "x", 1, 1))
	c.wantAck(mqtt.PUBACK, 1, mqtt.NotAuthorized)
	c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("a", 0), filter("b", 0)}})
	c.wantCodes(mqtt.SUBACK, 1, mqtt.NotAuthorized, mqtt.Success)
	c.send(pub("b", "x", 0, 0))
	c.wantMessage("b", "x", 0)
	// Also where nothing is taken away but a remembered answer.
	from.publish("a", "x", 1, false)
	from.send(auth(mqtt.ReAuthenticate, "m", "b"))
	from.wantSuccess()
	from.send(pub("a", "x", 1, 1))
	from.wantAck(mqtt.PUBACK, 1, mqtt.NotAuthorized)
}

// wantSuccess reads an AUTH that says so.
func (c *rawClient) wantSuccess() {
	c.t.Helper()
	var a mqtt.Disconnect
	c.decode(c.expect(mqtt.AUTH), func(p mqtt.Packet) error { return a.Decode(p, c.version) })
	if a.Code != mqtt.Success {
		c.t.Fatalf("AUTH with %v", a.Code)
	}
}

// Failing again ends the connection, with a reason and the will, and without a second
// CONNACK [v5 MQTT-4.12.1-2, MQTT-3.2.0-2].
func TestReauthenticationFails(t *testing.T) {
	fail := map[string]error{
		"refused":     &broker.Refusal{Code: mqtt.NotAuthorized, Reason: "no more"},
		"password":    &mqtt.Error{Code: mqtt.BadUserNameOrPassword},
		"unavailable": errors.New("the users cannot be read"),
		"moved":       &broker.Refusal{Code: mqtt.UseAnotherServer, ServerReference: "b.local"},
	}
	method := func(ctx context.Context, r *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		switch string(r.AuthenticationData) {
		case "hello":
			return nil, nil
		case "large":
			return make([]byte, 1000), nil
		case "too large":
			return make([]byte, 65536), nil
		case "endless":
			for {
				if _, err := exchange(nil); err != nil {
					return nil, nil // though it failed
				}
			}
		}
		return nil, fail[string(r.AuthenticationData)]
	}
	s := startServer(t, t.TempDir(), broker.Options{ConnectTimeout: 200 * time.Millisecond, Methods: map[string]broker.Method{"quiz": method}})
	watch := watcher(t, s)
	for _, x := range []struct {
		data      string
		code      mqtt.ReasonCode
		reason    string
		reference string
	}{
		{"refused", mqtt.NotAuthorized, "no more", ""},
		{"password", mqtt.NotAuthorized, "", ""}, // 0x86 is not for DISCONNECT
		{"unavailable", mqtt.ServerBusy, "", ""},
		{"moved", mqtt.UseAnotherServer, "", "b.local"},
		{"large", mqtt.PacketTooLarge, "", ""},
		{"too large", mqtt.ServerBusy, "", ""},
		{"endless", mqtt.QuotaExceeded, "", ""},
		{"endless", mqtt.ServerBusy, "", ""}, // without answers
	} {
		c := connectQuiz(t, s, limited(willing(clean(mqtt.V50, "c"), 0), mqtt.MaximumPacketSize, 500), 0)
		c.send(auth(mqtt.ReAuthenticate, "quiz", x.data))
		if x.code == mqtt.QuotaExceeded {
			for range 32 {
				c.expect(mqtt.AUTH)
				c.send(auth(mqtt.ContinueAuthentication, "quiz", ""))
			}
		} else if x.data == "endless" {
			c.expect(mqtt.AUTH)
		}
		if d := c.disconnected(); d.Code != x.code || d.Properties.Text(mqtt.ReasonString) != x.reason || d.Properties.Text(mqtt.ServerReference) != x.reference {
			t.Errorf("%s: DISCONNECT %+v, want %v", x.data, d, x.code)
		}
		watch.wantWill("c")
	}
}

// AUTH that is out of turn, or with another method than that of CONNECT
// [v5 MQTT-4.12.1-1], is a protocol error.
func TestReauthenticationViolations(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{Methods: map[string]broker.Method{"quiz": quiz(1), "other": quiz(1)}})
	again := auth(mqtt.ReAuthenticate, "quiz", "hello")
	for name, x := range map[string]struct {
		within bool // an authentication that is under way
		packet *mqtt.Disconnect
	}{
		"another method":                     {false, auth(mqtt.ReAuthenticate, "other", "hello")},
		"an answer without a question":       {false, auth(mqtt.ContinueAuthentication, "quiz", "question 0!")},
		"success":                            {false, auth(mqtt.Success, "quiz", "")},
		"nothing":                            {false, &mqtt.Disconnect{Type: mqtt.AUTH}},
		"another one at the same time":       {true, again},
		"another method at the same time":    {true, auth(mqtt.ContinueAuthentication, "other", "question 0!")},
		"success while it is asked":          {true, auth(mqtt.Success, "quiz", "")},
		"an empty AUTH while it is asked":    {true, &mqtt.Disconnect{Type: mqtt.AUTH}},
		"another method and anew, meanwhile": {true, auth(mqtt.ReAuthenticate, "other", "hello")},
	} {
		t.Run(name, func(t *testing.T) {
			c := connectQuiz(t, s, clean(mqtt.V50, "c"), 1)
			if x.within {
				c.send(again)
				c.wantAuth(mqtt.ContinueAuthentication, "quiz", "question 0")
			}
			c.send(x.packet)
			c.wantEnd(mqtt.ProtocolError)
		})
	}
}

// An authentication that is under way ends with its connection, however that ends,
// and changes nothing any more.
func TestReauthenticationEndsWithConnection(t *testing.T) {
	ended := make(chan error, 1)
	method := func(ctx context.Context, r *broker.ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		if string(r.AuthenticationData) == "hello" {
			return nil, nil
		}
		r.UserName = "changed"
		_, err := exchange(nil)
		ended <- err
		return nil, nil // though it failed
	}
	s := startServer(t, t.TempDir(), broker.Options{ConnectTimeout: time.Hour, Methods: map[string]broker.Method{"quiz": method},
		Authorize: func(r *broker.ConnectRequest, _ broker.Action, _ string) broker.Permit {
			return broker.Permitted(r.UserName == "")
		}})
	for name, end := range map[string]func(c *rawClient){
		"closed":     (*rawClient).drop,
		"DISCONNECT": (*rawClient).bye,
		"taken over": func(c *rawClient) {
			other := connect(t, s, clean(mqtt.V50, "c"))
			c.wantEnd(mqtt.SessionTakenOver)
			other.publish("t", "x", 1, false)
			other.bye()
		},
		"dismissed": func(c *rawClient) {
			s.Disconnect("c", &broker.Refusal{Code: mqtt.AdministrativeAction})
			c.wantEnd(mqtt.AdministrativeAction)
		},
		"violated": func(c *rawClient) {
			c.raw([]byte("\x00\x00"))
			c.wantEnd(mqtt.MalformedPacket)
		},
	} {
		c := connectQuiz(t, s, clean(mqtt.V50, "c"), 0)
		c.send(auth(mqtt.ReAuthenticate, "quiz", ""))
		c.expect(mqtt.AUTH)
		end(c)
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: the exchange went on", name)
			}
		case <-time.After(patience):
			t.Fatalf("%s: the method did not end", name)
		}
	}
	c := connectQuiz(t, s, clean(mqtt.V50, "c"), 0)
	c.send(auth(mqtt.ReAuthenticate, "quiz", ""))
	c.expect(mqtt.AUTH)
	s.stop() // waits for it
	<-ended
}
