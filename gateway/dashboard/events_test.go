package dashboard

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// Who may not look any more is told nothing more, whatever they follow.
func TestFollowersWhoMayNot(t *testing.T) {
	g := newBrokerGate(t)
	g.o.Log = NewLog(slog.LevelInfo)
	g.o.Journeys = func(string, string) (Journeys, error) { return Journeys{Changed: make(chan struct{})}, nil }
	s := New(g.o)
	s.heartbeat = 10 * time.Millisecond
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	g.url = server.URL
	for _, path := range []string{"/", "/api/log?follow=true", "/api/journey?topic=%23&follow=true", "/api/topics", "/api/trace?topic=%23", "/api/trace?topic=%23&format=text"} {
		olga := g.session("olga")
		a := g.open(browse{path: path, cookie: olga, header: http.Header{"Accept": {"text/event-stream"}}})
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, a.Status)
		}
		g.want(303, browse{path: "/logout", method: "POST", cookie: olga, form: url.Values{"": nil}})
		io.Copy(io.Discard, a.Body) // the test fails by its deadline if it goes on
		a.Body.Close()
	}
}
