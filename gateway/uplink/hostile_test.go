package uplink

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// scripted is a remote that does what a test says with each connection.
func scripted(t *testing.T, serve func(n int, nc net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for n := 0; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				serve(n, nc)
			})
		}
	})
	return "mqtt://" + l.Addr().String()
}

// script speaks MQTT on the remote's side.
type script struct {
	*conn
	connect mqtt.Connect
}

// answer reads the CONNECT and answers it.
func answer(nc net.Conn, answer mqtt.Connack) (*script, error) {
	s := &script{conn: newConn(nc, 0, 0)}
	p, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := s.connect.Decode(p); err != nil {
		return nil, err
	}
	s.version = s.connect.Version
	if answer.Code >= 0x80 && s.version != mqtt.V50 {
		code, _ := answer.Code.ConnectReturnCode()
		answer = mqtt.Connack{Code: mqtt.ReasonCode(code)}
	}
	_, err = nc.Write(answer.Append(nil, s.version))
	return s, err
}

// take returns the next PUBLISH, and answers everything else.
func (s *script) take() (m mqtt.Publish, err error) {
	for {
		p, err := s.read()
		if err != nil {
			return m, err
		}
		switch p.Type {
		case mqtt.PUBLISH:
			err = m.Decode(p, s.version)
			return m, err
		case mqtt.SUBSCRIBE:
			var sub mqtt.Subscribe
			if err := sub.Decode(p, s.version); err != nil {
				return m, err
			}
			s.net.Write((&mqtt.Suback{Type: mqtt.SUBACK, PacketID: sub.PacketID, Codes: make([]mqtt.ReasonCode, len(sub.Filters))}).Append(nil, s.version))
		case mqtt.DISCONNECT:
			return m, io.EOF
		}
	}
}

func (s *script) puback(id uint16, code mqtt.ReasonCode) {
	s.net.Write((&mqtt.Ack{Type: mqtt.PUBACK, PacketID: id, Code: code}).Append(nil, s.version))
}

var outAll = []Map{{Direction: Out, Filter: "#", QoS: 1}}

// TestFullBox has a box without room for a message of the remote: it is not acknowledged,
// and comes again until there is room.
func TestFullBox(t *testing.T) {
	b := newBox(t, broker.Options{MaxQueuedMessages: 1, QueueFull: broker.Refuse})
	h := &heard{t: t}
	away := func() paho.Client { // what it does not fetch waits for it
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + b.addr).SetClientID("away").SetCleanSession(false).
			SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { h.add(mqtt.Message{Topic: m.Topic(), Payload: m.Payload()}) }))
		wait(t, c.Connect())
		return c
	}
	c := away()
	wait(t, c.Subscribe("in", 1, nil))
	c.Disconnect(100)
	poll(t, "it to be away", func() bool { s, ok := b.Session("away"); return ok && !s.Connected })

	var mu sync.Mutex
	sent, acked := make(map[uint16]int), make(map[uint16]bool)
	told := func(f func() bool) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return f()
		}
	}
	url := scripted(t, func(_ int, nc net.Conn) {
		s, err := answer(nc, mqtt.Connack{})
		for err == nil {
			var p mqtt.Packet
			if p, err = s.read(); err != nil {
				return
			}
			mu.Lock()
			switch p.Type {
			case mqtt.SUBSCRIBE:
				nc.Write((&mqtt.Suback{Type: mqtt.SUBACK, PacketID: subscribeID, Codes: make([]mqtt.ReasonCode, 1)}).Append(nil, s.version))
				for id := uint16(1); id <= 2; id++ {
					if acked[id] {
						continue
					}
					m := mqtt.Publish{Topic: []byte("in"), Payload: fmt.Append(nil, id), QoS: 1, PacketID: id, Dup: sent[id] > 0}
					nc.Write(m.Append(nil, s.version))
					sent[id]++
				}
			case mqtt.PUBACK:
				var a mqtt.Ack
				if err = a.Decode(p, s.version); err == nil && a.Code < 0x80 {
					acked[a.PacketID] = true
				}
			}
			mu.Unlock()
		}
	})
	run(t, b, Options{URL: url, Maps: []Map{{Direction: In, Filter: "in", QoS: 1}}})
	poll(t, "the second message to come again", told(func() bool { return sent[2] > 2 }))
	mu.Lock()
	if !acked[1] || acked[2] {
		t.Errorf("acknowledged: %v", acked)
	}
	mu.Unlock()
	defer away().Disconnect(100)
	h.await("in", "2")
	poll(t, "its acknowledgement", told(func() bool { return acked[2] }))
}

// TestTooLargeAndRefused has a remote with a small limit that refuses a topic.
func TestTooLargeAndRefused(t *testing.T) {
	b := newBox(t, broker.Options{})
	var mu sync.Mutex
	var got []string
	url := scripted(t, func(_ int, nc net.Conn) {
		var hello mqtt.Connack
		hello.Properties.SetUint(mqtt.MaximumPacketSize, 200)
		hello.Properties.SetUint(mqtt.ReceiveMaximum, 1)
		s, err := answer(nc, hello)
		for err == nil {
			var m mqtt.Publish
			if m, err = s.take(); err == nil {
				code := mqtt.Success
				if string(m.Topic) == "secret" {
					code = mqtt.NotAuthorized
				}
				mu.Lock()
				got = append(got, string(m.Topic))
				mu.Unlock()
				s.puback(m.PacketID, code)
			}
		}
	})
	u := run(t, b, Options{URL: url, Maps: outAll})
	u.connected(t)
	for _, m := range []mqtt.Message{
		{Topic: "one", QoS: 1}, {Topic: "large", QoS: 1, Payload: make([]byte, 300)}, {Topic: "secret", QoS: 1}, {Topic: "two", QoS: 1},
	} {
		b.publish(m)
	}
	poll(t, "the last message", func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(got, "two") })
	poll(t, "an empty session", func() bool { return u.Status().Waiting == 0 })
	if want := []string{"one", "secret", "two"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := u.Status(); s.Dropped != 2 || !strings.Contains(s.Problem, "secret: not authorized") {
		t.Errorf("status %+v", s)
	}
}

// TestPoison has a remote that hangs up whenever it sees a message.
func TestPoison(t *testing.T) {
	b := newBox(t, broker.Options{})
	var mu sync.Mutex
	var got []string
	hangs := 0
	url := scripted(t, func(_ int, nc net.Conn) {
		s, err := answer(nc, mqtt.Connack{})
		for err == nil {
			var m mqtt.Publish
			if m, err = s.take(); err != nil {
				return
			}
			mu.Lock()
			if string(m.Topic) == "poison" {
				hangs++
				mu.Unlock()
				return
			}
			got = append(got, string(m.Topic))
			mu.Unlock()
			s.puback(m.PacketID, mqtt.Success)
		}
	})
	o := Options{URL: url, Maps: outAll, Version: mqtt.V50}
	run(t, b, o).connected(t)
	for _, topic := range []string{"one", "poison", "two", "three"} {
		b.publish(mqtt.Message{Topic: topic, QoS: 1})
	}
	poll(t, "the last message", func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(got, "three") })
	mu.Lock()
	defer mu.Unlock()
	if hangs < suspicion || !slices.Contains(got, "two") {
		t.Errorf("the remote hung up %d times and got %v", hangs, got)
	}
}

// TestNotAuthorized has a remote that lets nobody in, and then does.
func TestNotAuthorized(t *testing.T) {
	b := newBox(t, broker.Options{})
	var open sync.Map
	url := scripted(t, func(_ int, nc net.Conn) {
		code := mqtt.BadUserNameOrPassword
		if _, ok := open.Load("open"); ok {
			code = mqtt.Success
		}
		s, err := answer(nc, mqtt.Connack{Code: code})
		for err == nil {
			_, err = s.take()
		}
	})
	u := run(t, b, Options{URL: url, Maps: outAll, User: "x", Password: "y"})
	poll(t, "a sentence", func() bool { return strings.Contains(u.Status().Error, "does not know this user with this password") })
	open.Store("open", true)
	u.connected(t)
}

// TestFallBack has a remote that knows 3.1.1 alone, and another that hangs up at any other.
func TestFallBack(t *testing.T) {
	for name, polite := range map[string]bool{"said": true, "hung up": false} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, broker.Options{})
			url := scripted(t, func(_ int, nc net.Conn) {
				s := newConn(nc, 0, 0)
				p, err := s.read()
				var c mqtt.Connect
				if err != nil || c.Decode(p) != nil {
					return
				}
				if c.Version != mqtt.V311 || c.Bridge {
					if polite {
						nc.Write([]byte{0x20, 2, 0, 1})
					}
					return
				}
				nc.Write([]byte{0x20, 2, 0, 0})
				io.Copy(io.Discard, nc)
			})
			u := run(t, b, Options{URL: url, Maps: outAll})
			u.connected(t)
			if v := u.Status().Version; v != 4 {
				t.Errorf("version %d", v)
			}
		})
	}
}

// TestTooLargeIn has a remote of 3.1.1 send what is larger than the box takes.
func TestTooLargeIn(t *testing.T) {
	b := newBox(t, broker.Options{MaxPacketSize: 2000})
	acked := make(chan uint16, 10)
	url := scripted(t, func(_ int, nc net.Conn) {
		s, err := answer(nc, mqtt.Connack{})
		if err != nil {
			return
		}
		for i, size := range []int{10, 100_000, 20} {
			m := mqtt.Publish{Topic: []byte("in"), Payload: make([]byte, size), QoS: 1, PacketID: uint16(i + 1)}
			nc.Write(m.Append(nil, s.version))
		}
		for {
			p, err := s.read()
			if err != nil {
				return
			}
			var a mqtt.Ack
			if p.Type == mqtt.PUBACK && a.Decode(p, s.version) == nil {
				acked <- a.PacketID
			}
		}
	})
	here := b.listen("in")
	u := run(t, b, Options{URL: url, Version: mqtt.V311, Maps: []Map{{Direction: In, Filter: "in", QoS: 1}}})
	seen := make(map[uint16]bool)
	for len(seen) < 3 {
		select {
		case id := <-acked:
			seen[id] = true
		case <-time.After(patience):
			t.Fatalf("acknowledged: %v", seen)
		}
	}
	poll(t, "both that fit", func() bool { return len(here.all()) == 2 })
	if s := u.Status(); s.Dropped != 1 || !strings.Contains(s.Problem, "100010 bytes") {
		t.Errorf("status %+v", s)
	}
}

// TestWills looks at what the remote publishes when the box is gone.
func TestWills(t *testing.T) {
	everywhere(t, func(t *testing.T, r remote, v mqtt.Version) {
		b := newBox(t, broker.Options{})
		there := r.listen("w/+")
		o := Options{URL: r.url(), Version: v, Maps: outAll, Wills: []mqtt.Message{
			{Topic: "w/a", Payload: []byte("gone"), QoS: 1, Retain: true}, {Topic: "w/b", Payload: []byte("gone"), QoS: 1, Retain: true}}}
		u := run(t, b, o)
		b.publish(mqtt.Message{Topic: "w/a", Payload: []byte("here"), QoS: 1, Retain: true})
		there.await("w/a", "here")
		u.stop()
		there.await("w/a", "gone")
		there.await("w/b", "gone")
		run(t, b, o)
		poll(t, "here again", func() bool { all := there.payloads("w/a"); return all[len(all)-1] == "here" })
	})
}

// TestExactlyOnce cuts the connection again and again while messages of QoS 2 go both ways:
// that to Lintel at any moment.
func TestExactlyOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, r remote, v mqtt.Version) {
		b := newBox(t, broker.Options{})
		there, here := r.listen("out"), b.listen("in")
		u, err := New(b.Broker, Options{Name: "x", ClientID: "x", URL: r.url(), Version: v, Maps: []Map{
			{Direction: Out, Filter: "out", QoS: 2}, {Direction: In, Filter: "in", QoS: 2}}})
		if err != nil {
			t.Fatal(err)
		}
		u.t = quick
		var mu sync.Mutex
		var last net.Conn
		u.dialer = func(ctx context.Context) (net.Conn, error) {
			nc, err := u.dial(ctx)
			mu.Lock()
			last = nc
			mu.Unlock()
			return nc, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- u.Run(ctx) }()
		defer func() { cancel(); <-done }()
		poll(t, "the subscription at the remote", func() bool {
			r.publish(mqtt.Message{Topic: "in", Payload: []byte("?")})
			return len(here.payloads("in")) > 0
		})
		out := b.client("publisher")
		defer out.Close()
		var want []string
		for i := range 200 {
			want = append(want, fmt.Sprint(i))
			m := mqtt.Message{Topic: "out", Payload: fmt.Append(nil, i), QoS: 2}
			if err := out.Publish(context.Background(), m); err != nil {
				t.Fatal(err)
			}
			if i%10 == 5 {
				m.Topic = "in"
				r.publish(m)
			}
			if i%20 == 7 {
				// After a connection that ends before its CONNACK mosquitto 2.0 sends a PUBLISH
				// again whose PUBREL it has sent, which it must not [v5 MQTT-4.3.3-6].
				if _, ok := r.(*mosquitto); ok && i > 20 {
					poll(t, "a message over the connection", func() bool { return slices.Contains(there.payloads("out"), fmt.Sprint(i-19)) })
				}
				mu.Lock()
				if last != nil {
					last.Close()
				}
				mu.Unlock()
			}
		}
		poll(t, "the last out", func() bool { return slices.Contains(there.payloads("out"), "199") })
		poll(t, "the last in", func() bool { return slices.Contains(here.payloads("in"), "195") })
		if got := there.payloads("out"); !slices.Equal(got, want) {
			t.Errorf("out: %v", got)
		}
		if got := slices.DeleteFunc(here.payloads("in"), func(s string) bool { return s == "?" }); len(got) != 20 {
			t.Errorf("in: %v", got)
		}
	})
}

// FuzzRemote gives what a remote says to the uplink. Whatever it is, the connection ends
// in time, and the box goes on.
func FuzzRemote(f *testing.F) {
	connack := []byte{0x20, 3, 0, 0, 0}
	f.Add(connack)
	f.Add(slices.Concat(connack, []byte{0x90, 4, 0xff, 0xff, 0, 0}))
	for _, p := range []mqtt.Publish{
		{Topic: []byte("a"), Payload: []byte("x"), QoS: 0, Retain: true},
		{Topic: []byte("a/b"), Payload: []byte("x"), QoS: 1, PacketID: 1},
		{Topic: []byte("a/b"), Payload: []byte("x"), QoS: 2, PacketID: 7, Properties: []byte{0x26, 0, 10, 'l', 'i', 'n', 't', 'e', 'l', '-', 'h', 'o', 'p', 0, 1, 'x'}},
		{Topic: []byte("$SYS/x"), QoS: 1, PacketID: 9},
	} {
		f.Add(slices.Concat(connack, p.Append(nil, mqtt.V50)))
	}
	for _, t := range []mqtt.PacketType{mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP} {
		f.Add(slices.Concat(connack, (&mqtt.Ack{Type: t, PacketID: 1}).Append(nil, mqtt.V50)))
	}
	f.Add([]byte{0x20, 2, 0, 5})
	f.Add([]byte{0x20, 2, 0, 0, 0x32, 0xff, 0xff, 0xff, 0x7f, 0, 1, 'a', 0, 1})
	b := newBoxAt(f, f.TempDir(), broker.Options{})
	b.publish(mqtt.Message{Topic: "kept", Payload: []byte("x"), QoS: 1, Retain: true})
	f.Fuzz(func(t *testing.T, said []byte) {
		u, err := New(b.Broker, Options{Name: "fuzz", ClientID: "fuzz", URL: "mqtt://x", Maps: []Map{{Direction: Both, Filter: "#", QoS: 2}}})
		if err != nil {
			t.Fatal(err)
		}
		u.t = quick
		u.dialer = func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				go io.Copy(io.Discard, far)
				far.SetDeadline(time.Now().Add(patience))
				far.Write(said)
			}()
			return near, nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := u.session(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("the connection did not end: %v", err)
		}
	})
}
