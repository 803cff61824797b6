package broker_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// say connects over a connection and returns the CONNACK.
func say(t *testing.T, nc net.Conn, c mqtt.Connect) mqtt.Connack {
	t.Helper()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(c.Append(nil)); err != nil {
		t.Fatal(err)
	}
	var buf []byte
	for {
		p, n, err := mqtt.Parse(buf, c.Version, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			var a mqtt.Connack
			if err := a.Decode(p, c.Version); err != nil {
				t.Fatal(err)
			}
			return a
		}
		more := make([]byte, 1000)
		if n, err = nc.Read(more); err != nil {
			t.Fatal(err)
		}
		buf = append(buf, more[:n]...)
	}
}

// TestDial has a part of the house keep a session that nobody from outside gets at.
func TestDial(t *testing.T) {
	o := broker.Options{
		Authenticate: func(_ context.Context, r *broker.ConnectRequest) error { return nil },
		Authorize: func(r *broker.ConnectRequest, _ broker.Action, _ string) broker.Permit {
			if r.InProcess {
				return broker.Allow
			}
			return broker.Deny
		},
	}
	s := startServer(t, t.TempDir(), o)
	connect := mqtt.Connect{Version: mqtt.V50, ClientID: "house"}
	connect.Properties.SetUint(mqtt.SessionExpiryInterval, 0xffffffff)
	outside := func() mqtt.Connack {
		nc, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := connect
		c.HasUserName, c.UserName = true, "somebody"
		return say(t, nc, c)
	}
	inside := func() (net.Conn, mqtt.Connack) {
		nc, err := s.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return nc, say(t, nc, connect)
	}
	// Somebody was there before the house: their session ends.
	if a := outside(); a.Code != mqtt.Success {
		t.Fatalf("outside: %v", a.Code)
	}
	nc, a := inside()
	if a.Code != mqtt.Success || a.SessionPresent {
		t.Errorf("the house was given the session of somebody: %+v", a)
	}
	subscribe := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{{Filter: "a/#", Options: 1}}}
	if _, err := nc.Write(subscribe.Append(nil, mqtt.V50)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if got := s.SessionFilters("house"); !slices.Equal(got, []string{"a/#"}) {
		t.Errorf("filters %v", got)
	}
	nc.Close()
	if a := outside(); a.Code != mqtt.ClientIdentifierNotValid {
		t.Errorf("somebody took the session of the house: %v", a.Code)
	}
	dir := s.dir
	s.stop()
	s = startServer(t, dir, o)
	if a := outside(); a.Code != mqtt.ClientIdentifierNotValid {
		t.Errorf("after a restart somebody took the session of the house: %v", a.Code)
	}
	if got := s.HouseSessions(); !slices.Equal(got, []string{"house"}) {
		t.Errorf("sessions of the house: %v", got)
	}
	nc, a = inside()
	defer nc.Close()
	if !a.SessionPresent {
		t.Error("the session was lost over a restart")
	}
	if info, ok := s.Session("house"); !ok || !info.Connected || info.User != "" {
		t.Errorf("info %+v", info)
	}
}

func TestRetainedForTheHouse(t *testing.T) {
	s := newServer(t)
	c, err := s.NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, topic := range []string{"a/b", "a", "c"} {
		if err := c.Publish(context.Background(), mqtt.Message{Topic: topic, Payload: []byte(topic), Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	got := s.RetainedTopics("a/#")
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "a/b"}) {
		t.Errorf("topics %v", got)
	}
	if m, ok := s.Retained("a/b"); !ok || string(m.Payload) != "a/b" {
		t.Errorf("%v %v", m, ok)
	}
	if _, ok := s.Retained("nothing"); ok {
		t.Error("there is nothing")
	}
	if s.Takes("$x") || !s.Takes("x") {
		t.Error("topics that a client may publish to")
	}
}
