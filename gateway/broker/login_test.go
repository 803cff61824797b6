package broker_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// expiringLogins lets everybody in for as long as the user name says; none is for ever.
func expiringLogins(_ context.Context, r *broker.ConnectRequest) error {
	if d, err := time.ParseDuration(r.UserName); err == nil {
		r.Expires = time.Now().Add(d)
	}
	r.UserName = ""
	return nil
}

// A client is disconnected when its login ends, to the moment, with 0xA0 (5.0
// §3.14.2.1). Its will is published and its session stays.
func TestLoginExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleServer(t, t.TempDir(), broker.Options{Authenticate: expiringLogins})
		watch := pipe(t, s, clean(mqtt.V50, "watch"))
		watch.subscribe(filter("will/#", 0))
		for _, v := range versions {
			packet := willing(as("10m", durable(v, "c")), 0)
			c := pipe(t, s, packet)
			c.subscribe(filter("t", 1))
			start := time.Now()
			time.Sleep(10*time.Minute - time.Second)
			c.barrier()
			if v == mqtt.V50 {
				if d := c.disconnected(); d.Code != mqtt.MaximumConnectTime || d.Properties.Text(mqtt.ReasonString) == "" {
					t.Errorf("DISCONNECT %+v", d)
				}
			} else {
				c.wantEnd(0)
			}
			if d := time.Since(start); d < 10*time.Minute || d > 10*time.Minute+2*time.Second {
				t.Errorf("%s: disconnected after %v", versionName(v), d)
			}
			watch.wantMessage("will/c", "gone", 0)
			c = pipe(t, s, as("10m", durable(v, "c")))
			if c.connack.SessionPresent != (v != mqtt.V31) {
				t.Error("the session is gone")
			}
			time.Sleep(time.Minute)
			c.bye() // before its time: nothing is left that would end the next one
			c = pipe(t, s, durable(v, "c"))
			time.Sleep(20 * time.Minute)
			c.barrier()
			c.bye()
		}
		past := pipe(t, s, as("-1s", clean(mqtt.V50, "past")))
		past.wantEnd(mqtt.MaximumConnectTime)
		watch.barrier()
	})
}

// Who authenticates anew in time stays for as long as the new login lasts.
func TestLoginIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		method := func(ctx context.Context, r *broker.ConnectRequest, _ func([]byte) ([]byte, error)) ([]byte, error) {
			r.UserName, r.Expires = string(r.AuthenticationData), time.Time{}
			return nil, expiringLogins(ctx, r)
		}
		s := bubbleServer(t, t.TempDir(), broker.Options{Methods: map[string]broker.Method{"m": method}})
		c := pipe(t, s, naming(clean(mqtt.V50, "c"), "m", "10m"))
		for range 3 {
			time.Sleep(9 * time.Minute)
			c.send(auth(mqtt.ReAuthenticate, "m", "10m"))
			c.wantSuccess()
		}
		c.send(auth(mqtt.ReAuthenticate, "m", ""))
		c.wantSuccess()
		time.Sleep(20 * time.Minute)
		c.barrier()
		c.send(auth(mqtt.ReAuthenticate, "m", "1m"))
		c.wantSuccess()
		start := time.Now()
		c.wantEnd(mqtt.MaximumConnectTime)
		if d := time.Since(start); d < time.Minute || d > time.Minute+2*time.Second {
			t.Errorf("disconnected after %v", d)
		}
	})
}

// Two hundred clients from one address come back at once, as after a reboot behind a
// NAT. A flood from there is refused, and others still get in.
func TestAddressRate(t *testing.T) {
	s := newServer(t)
	for range 200 {
		connect(t, s, clean(mqtt.V50, ""))
	}
	if n := s.Stats().Exceeded[broker.LimitAddressRate]; n != 0 {
		t.Errorf("%d were refused", n)
	}
	flood := openFlood(t, s)
	if flood == 0 || flood > 500 {
		t.Errorf("%d CONNECTs more were taken", flood)
	}
	if n := s.Stats().Exceeded; n[broker.LimitAddressRate] == 0 || n[broker.LimitConnectRate] != 0 {
		t.Errorf("%d refused by address, %d by rate", n[broker.LimitAddressRate], n[broker.LimitConnectRate])
	}
	other := connectFrom(t, s, "127.0.0.2")
	if body := other.expect(mqtt.CONNACK).Body; body[1] != 0 {
		t.Errorf("another address: CONNACK % x", body)
	}
}

// openFlood connects until it is refused, and tells how often it was not.
func openFlood(t *testing.T, s *server) (taken int) {
	for ; taken < 10_000; taken++ {
		c := openRaw(t, s, mqtt.V50)
		packet := clean(mqtt.V50, "flood")
		c.raw(packet.Append(nil))
		body := c.expect(mqtt.CONNACK).Body
		c.net.Close()
		if body[1] != 0 {
			if string(body) != "\x00\x9F\x00" {
				t.Errorf("CONNACK % x", body)
			}
			break
		}
	}
	return taken
}

// connectFrom sends a CONNECT from another address of the loopback.
func connectFrom(t *testing.T, s *server, address string) *rawClient {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	nc, err := d.Dial("tcp", s.Addr)
	if err != nil {
		t.Skip("one loopback address only: ", err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	c := &rawClient{t: t, net: nc, version: mqtt.V50}
	packet := clean(mqtt.V50, "other")
	c.raw(packet.Append(nil))
	return c
}
