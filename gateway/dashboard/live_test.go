package dashboard

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stream reads the server-sent events of a page.
type stream struct {
	t     *testing.T
	res   *http.Response
	lines *bufio.Scanner
}

// stream opens the live side of a page.
func (g *gate) stream(b browse) *stream {
	g.t.Helper()
	b.header = http.Header{"Accept": {"text/event-stream"}}
	res := g.open(b)
	g.t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return &stream{g.t, res, lines}
}

// next returns the next fragments that have changed; nil: the stream has ended.
func (s *stream) next() map[string]string {
	s.t.Helper()
	for s.lines.Scan() {
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok {
			continue
		}
		var changed map[string]string
		if err := json.Unmarshal([]byte(data), &changed); err != nil {
			s.t.Fatal(err)
		}
		return changed
	}
	return nil
}

func TestLivePage(t *testing.T) {
	g := newGate(t)
	s := New(g.o)
	s.views.interval, s.heartbeat = time.Millisecond, 10*time.Millisecond
	var value atomic.Int64
	var made atomic.Int64
	show := s.live(livePage{template: "message.html", fragments: []string{"chart"}, data: func(r *request) (any, error) {
		made.Add(1)
		return chartOf("Power", "W", []point{{time.Unix(0, 0), float64(value.Load())}}), nil
	}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { show(w, s.identify(r)) }))
	defer server.Close()
	g.url = server.URL
	vera := g.session("vera")
	first, second := g.stream(browse{path: "/x", cookie: vera}), g.stream(browse{path: "/x", cookie: vera})
	other := g.stream(browse{path: "/x", cookie: g.session("olga")})
	for _, l := range []*stream{first, second, other} {
		if got := l.next()["chart"]; !strings.Contains(got, "<strong>0</strong>") {
			t.Fatalf("at first: %s", got)
		}
	}
	s.views.mu.Lock()
	if len(s.views.open) != 2 || s.views.count != 3 {
		t.Errorf("%d views for %d who look", len(s.views.open), s.views.count)
	}
	s.views.mu.Unlock()
	value.Store(7)
	for _, l := range []*stream{first, second, other} {
		if got := l.next()["chart"]; !strings.Contains(got, "<strong>7</strong>") {
			t.Fatalf("after a change: %s", got)
		}
	}
	if err := g.o.Users.Delete(t.Context(), "vera"); err != nil {
		t.Fatal(err)
	}
	if first.next() != nil || second.next() != nil {
		t.Error("somebody who is no user any more goes on seeing the page")
	}
	other.res.Body.Close()
	for {
		s.views.mu.Lock()
		left := len(s.views.open)
		s.views.mu.Unlock()
		if left == 0 {
			break
		}
		runtime.Gosched() // the test fails by its deadline if it stays
	}
}

func TestLiveLimit(t *testing.T) {
	g := newGate(t)
	s := New(g.o)
	p := livePage{fragments: []string{"chart"}, data: func(*request) (any, error) { return nil, errors.New("nothing yet") }}
	r := s.identify(httptest.NewRequest("GET", "/x", nil))
	var leave []func()
	for range maxLive {
		v, l := s.look(r, p)
		if v == nil {
			t.Fatal("refused too soon")
		}
		leave = append(leave, l)
	}
	if v, _ := s.look(r, p); v != nil {
		t.Error("there is no limit")
	}
	for _, l := range leave {
		l()
	}
	if len(s.views.open) != 0 || s.views.count != 0 {
		t.Errorf("%d views, %d who look", len(s.views.open), s.views.count)
	}
}

func TestChart(t *testing.T) {
	at := func(s int64, v float64) point { return point{time.Unix(s, 0), v} }
	for _, tt := range []struct {
		points []point
		lines  string
	}{
		{nil, "[]"},
		{[]point{at(0, math.NaN())}, "[]"},
		{[]point{at(0, 5)}, "[300.0,30.0]"},
		{[]point{at(0, 5), at(10, 5)}, "[0.0,30.0 300.0,30.0]"},
		{[]point{at(0, 0), at(5, 10), at(10, 5)}, "[0.0,58.0 150.0,2.0 300.0,30.0]"},
		{[]point{at(0, 0), at(5, math.Inf(1)), at(10, 5)}, "[0.0,58.0 300.0,2.0]"},
	} {
		if got := fmt.Sprint(chartOf("x", "", tt.points).Lines); got != tt.lines {
			t.Errorf("%v: %s, want %s", tt.points, got, tt.lines)
		}
	}
}
