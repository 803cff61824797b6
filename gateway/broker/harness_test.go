package broker_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/persist"
)

// server is a broker that listens on the loopback, over a real store.
type server struct {
	*broker.Broker
	Addr string // of the TCP listener
	URL  string // of the WebSocket listener, ws://…
	dir  string
	stop func()

	store *persist.Store
}

// plain makes all tests use connections that no poller serves.
var plain = os.Getenv("LINTEL_TEST_PLAIN") != ""

// swapping makes all tests keep no more than one message of a queue in memory.
var swapping = os.Getenv("LINTEL_TEST_SWAP") != ""

// startServer starts a broker on a store in dir.
func startServer(t testing.TB, dir string, o broker.Options) *server {
	t.Helper()
	return startServerWith(t, dir, o, persist.Options{})
}

// startServerWith is startServer with options for the store.
func startServerWith(t testing.TB, dir string, o broker.Options, so persist.Options) *server {
	t.Helper()
	if o.SysInterval == 0 {
		o.SysInterval = -1 // they would come between
	}
	if o.QueueMemory == 0 && swapping {
		o.QueueMemory = 1
	}
	store, err := persist.Open(dir, so)
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(store, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if plain {
		l = plainListener{l}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return b.Run(ctx) })
	g.Go(func() error { return b.Serve(ctx, l, "tcp") })
	web := httptest.NewServer(http.Handler(b.WebSocket(ctx, "web")))
	s := &server{Broker: b, Addr: l.Addr().String(), URL: "ws" + strings.TrimPrefix(web.URL, "http"), dir: dir, store: store}
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("broker: %v", err)
		}
		web.Close()
		if err := store.Close(); err != nil {
			t.Errorf("store: %v", err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// newServer starts a broker with default options on an empty store.
func newServer(t testing.TB) *server {
	return startServer(t, t.TempDir(), broker.Options{})
}
