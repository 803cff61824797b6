package broker

import (
	"context"
	"io"
	"math"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// newBroker is a broker whose connections the test makes itself.
func newBroker(t testing.TB, o Options) (*Broker, context.Context) {
	t.Helper()
	o.SysInterval = -1 // they would come between
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(store, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		g.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, ctx
}

// FuzzConnection lets a client send anything, with a session that is kept, in
// two connections: the broker must answer or close, must not panic, and must
// leave no goroutine behind.
func FuzzConnection(f *testing.F) {
	connect := func(v mqtt.Version) []byte {
		c := mqtt.Connect{Version: v, ClientID: "fuzz", Will: &mqtt.Message{Topic: "w", QoS: 1, Retain: true}}
		if v == mqtt.V50 {
			c.Properties.SetUint(mqtt.SessionExpiryInterval, math.MaxUint32)
			c.Properties.SetUint(mqtt.ReceiveMaximum, 2)
		}
		return c.Append(nil)
	}
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V50} {
		b := connect(v)
		b = (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{{Filter: "#", Options: 2}, {Filter: "$share/g/t/+", Options: 1}}}).Append(b, v)
		for qos := range mqtt.QoS(3) {
			b = (&mqtt.Publish{Topic: []byte("t/x"), QoS: qos, PacketID: 5, Retain: true, Payload: []byte("p")}).Append(b, v)
		}
		f.Add(b, false)
		for _, a := range []mqtt.PacketType{mqtt.PUBREL, mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP} {
			for id := range uint16(3) {
				b = (&mqtt.Ack{Type: a, PacketID: id + 1}).Append(b, v)
			}
		}
		b = (&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"#"}}).Append(b, v)
		b = append(b, 0xC0, 0, 0xE0, 0)
		f.Add(b, true)
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), false)
	f.Add(append(connect(mqtt.V50), "\x30\x08\x00\x00\x03\x23\x00\x01xx"...), true)

	enhanced := mqtt.Connect{Version: mqtt.V50, ClientID: "fuzz"}
	enhanced.Properties.SetText(mqtt.AuthenticationMethod, "echo")
	sent := enhanced.Append(nil)
	for _, code := range []mqtt.ReasonCode{mqtt.ContinueAuthentication, mqtt.ReAuthenticate, mqtt.ContinueAuthentication} {
		a := mqtt.Disconnect{Type: mqtt.AUTH, Code: code}
		a.Properties.SetText(mqtt.AuthenticationMethod, "echo")
		a.Properties.SetText(mqtt.AuthenticationData, "x")
		sent = a.Append(sent, mqtt.V50)
	}
	f.Add(sent, false)

	echo := func(_ context.Context, r *ConnectRequest, exchange func([]byte) ([]byte, error)) ([]byte, error) {
		return exchange(r.AuthenticationData)
	}
	b, ctx := newBroker(f, Options{ConnectTimeout: time.Minute, MaxPacketSize: 64 << 10, Methods: map[string]Method{"echo": echo},
		Authorize: func(_ *ConnectRequest, _ Action, topic string) Permit { return Permitted(topic != "no") }})
	f.Fuzz(func(t *testing.T, sent []byte, prefixed bool) {
		baseline := runtime.NumGoroutine()
		if prefixed && len(sent) > 0 { // most inputs should get past CONNECT
			sent = append(connect([]mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V50}[sent[0]%3]), sent[1:]...)
		}
		for range 2 {
			client, server := net.Pipe()
			var g sync.WaitGroup
			g.Go(func() { b.serveConn(ctx, server, "") })
			g.Go(func() {
				client.Write(sent) // fails if the broker closes first
				client.SetReadDeadline(time.Now().Add(time.Millisecond))
			})
			received, _ := io.ReadAll(client)
			client.Close()
			g.Wait()
			var c mqtt.Connect
			if p, n, err := mqtt.Parse(sent, 0, 0); n > 0 && err == nil && p.Type == mqtt.CONNECT {
				c.Decode(p)
			}
			answersAreSound(t, received, c.Version, c.Properties.Has(mqtt.AuthenticationMethod))
		}
		// The broker is shared: nothing may pile up in it.
		for _, filter := range []string{"#", "$SYS/#"} {
			for _, m := range b.retained.match(filter) {
				b.retained.expire(m, b.store)
			}
		}
		for _, c := range b.Clients() {
			if s, _, err := b.claim(c.ID, false, nobody{}); err == nil {
				b.endSession(s)
			}
		}
		for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > baseline; {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), baseline)
			}
			runtime.Gosched()
		}
	})
}

// answersAreSound checks that what a broker sent are packets of that version, with AUTH
// only for a client that named a method [v5 MQTT-4.12.0-6].
func answersAreSound(t *testing.T, b []byte, v mqtt.Version, method bool) {
	t.Helper()
	if v != mqtt.V31 && v != mqtt.V311 {
		v = mqtt.V50
	}
	connected := false
	for len(b) > 0 {
		p, n, err := mqtt.Parse(b, v, 0)
		if err != nil {
			t.Fatalf("% x: %v", b, err)
		}
		if n == 0 {
			return // cut off by the end
		}
		if auth := method && p.Type == mqtt.AUTH; !auth {
			if connected == (p.Type == mqtt.CONNACK) {
				t.Fatalf("%v, connected %t", p.Type, connected)
			}
			connected = true
		}
		switch p.Type {
		case mqtt.CONNACK:
			// An unsupported level is answered in its own form.
			var c mqtt.Connack
			if err := c.Decode(p, v); err != nil && len(p.Body) != 2 {
				t.Fatalf("CONNACK % x: %v", p.Body, err)
			}
		case mqtt.PUBLISH:
			var m mqtt.Publish
			err = m.Decode(p, v)
		case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
			var a mqtt.Ack
			err = a.Decode(p, v)
		case mqtt.SUBACK, mqtt.UNSUBACK:
			var a mqtt.Suback
			err = a.Decode(p, v)
		case mqtt.PINGRESP:
		case mqtt.DISCONNECT, mqtt.AUTH:
			var d mqtt.Disconnect
			if err = d.Decode(p, v); err == nil && (v != mqtt.V50 || !d.ServerMaySend()) {
				t.Fatalf("%v % x", p.Type, p.Body)
			}
		default:
			t.Fatalf("%v from a server", p.Type)
		}
		if err != nil {
			t.Fatalf("%v % x: %v", p.Type, p.Body, err)
		}
		b = b[n:]
	}
}
