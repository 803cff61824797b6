package broker

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// shortly gives what must not happen a chance to happen.
func shortly(happened func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 50 {
		if happened() {
			return true
		}
		<-tick.C
	}
	return false
}

// A session is there until its will is on its way: else a client that comes back
// at once could say that it is there before its will says that it is gone.
func TestWillBeforeEndOfSession(t *testing.T) {
	b, _ := newBroker(t, Options{})
	s, _, err := b.claim("c", true, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	s.will = &will{message: mqtt.Message{Topic: "status", Payload: []byte("offline"), Retain: true}, from: "c"}
	b.index.mu.Lock() // holds up whoever publishes
	done := make(chan struct{})
	go func() { b.detach(s, true); close(done) }()
	early := shortly(func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.sessions["c"] == nil
	})
	b.index.mu.Unlock()
	<-done
	if early {
		t.Error("the session was gone before its will was published")
	}
	if b.retained.get("status") == nil {
		t.Error("the will was not published")
	}
}

// Run does not return while a delayed will is being published: it would be in
// nobody's hands when the store is closed.
func TestDelayedWillAtTheEndOfTheBroker(t *testing.T) {
	dir := t.TempDir()
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(store, Options{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := make(chan error, 1)
	go func() { run <- b.Run(ctx) }()
	s := persistentSession(t, b, ctx, "c", nil, 1)
	s.mu.Lock()
	s.will = &will{message: mqtt.Message{Topic: "status", Payload: []byte("offline"), QoS: 1, Retain: true}, from: "c"}
	s.mu.Unlock()
	b.mu.Lock()
	s.owner = nil
	b.mu.Unlock()
	b.index.mu.Lock() // holds up whoever publishes
	go s.due()
	for taken := false; !taken; {
		s.mu.Lock()
		taken = s.will == nil
		s.mu.Unlock()
	}
	cancel()
	early := shortly(func() bool { return len(run) > 0 })
	if early {
		<-run
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		b.index.mu.Unlock()
		t.Fatal("the broker ended before the will was published")
	}
	b.index.mu.Unlock()
	if err := <-run; err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	store, err = persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if state := load(t, store); len(state.Retained) != 1 {
		t.Errorf("%d messages are retained", len(state.Retained))
	}
}

// Sessions without an end have none, however long ago their client was there.
func TestSessionWithoutEnd(t *testing.T) {
	b, _ := newBroker(t, Options{})
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V50} {
		s, _, err := b.claim("c", false, nobody{})
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.version, s.expiry, s.persistent = v, persist.NeverExpires, true
		s.mu.Unlock()
		b.detach(s, false)
		s.mu.Lock()
		s.since = time.Now().Add(-100 * 365 * 24 * time.Hour)
		if s.timer != nil {
			t.Error("a timer runs")
		}
		s.mu.Unlock()
		again, present, err := b.claim("c", false, nobody{})
		if err != nil || !present || again != s {
			t.Fatalf("session present %t, %v", present, err)
		}
		b.mu.Lock()
		s.owner = nil
		b.mu.Unlock()
	}
}

// Who comes while the broker is closing is told that it is unavailable, or
// nothing, and not that he is not wanted.
func TestConnectWhileClosing(t *testing.T) {
	b, ctx := newBroker(t, Options{})
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	for v, want := range map[mqtt.Version]string{mqtt.V31: "", mqtt.V311: "", mqtt.V50: "\x20\x03\x00\x88\x00"} {
		client, server := net.Pipe()
		go b.serveConn(ctx, server, "")
		packet := mqtt.Connect{Version: v, ClientID: "late", CleanStart: true}
		go client.Write(packet.Append(nil))
		if got, err := io.ReadAll(client); string(got) != want || err != nil {
			t.Errorf("version %d: received % x, %v", v, got, err)
		}
	}
}
