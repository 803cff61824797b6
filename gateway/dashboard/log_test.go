package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// withLog serves a log beside what a box has.
func withLog(t *testing.T) (*gate, *slog.Logger) {
	g := newGate(t)
	g.o.Log = NewLog(slog.LevelInfo)
	g.url = listen(t, g.o)
	return g, slog.New(g.o.Log)
}

func (g *gate) logLines(query string) []LogLine {
	g.t.Helper()
	a := g.do(browse{path: "/api/log" + query, as: "token operator"})
	var said struct{ Lines []LogLine }
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || a.StatusCode != 200 {
		g.t.Fatalf("%s: %d %s: %v", query, a.StatusCode, a.body, err)
	}
	return said.Lines
}

func TestLog(t *testing.T) {
	g, log := withLog(t)
	if got := g.logLines(""); got == nil || len(got) != 0 {
		t.Errorf("an empty log: %v", got)
	}
	log.Debug("frames")
	log.With("client", "a").WithGroup("stick").With("port", 1).Warn("degraded", "err", io.EOF, slog.Group("more", "x", true))
	log.Info("changed")
	got := g.logLines("")
	if len(got) != 2 || got[0].Number != 1 || got[0].Level != slog.LevelWarn || got[0].Message != "degraded" || got[1].Message != "changed" || got[1].Values != nil {
		t.Fatalf("%+v", got)
	}
	if want := "map[client:a stick.err:EOF stick.more.x:true stick.port:1]"; fmt.Sprint(got[0].Values) != want {
		t.Errorf("%v, want %s", got[0].Values, want)
	}
	if got := g.logLines("?level=warn"); len(got) != 1 || got[0].Message != "degraded" {
		t.Errorf("%+v", got)
	}
	if got := g.logLines("?lines=1"); len(got) != 1 || got[0].Message != "changed" {
		t.Errorf("%+v", got)
	}
	for _, query := range []string{"?level=loud", "?lines=x", "?lines=-1", "?lines=1001"} {
		if a := g.do(browse{path: "/api/log" + query, as: "token operator"}); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	for level, want := range map[string]int{"viewer": 403, "admin": 200} {
		if a := g.do(browse{path: "/api/log", as: "token " + level}); a.StatusCode != want {
			t.Errorf("%s: %d", level, a.StatusCode)
		}
	}
}

// The log is bounded in lines, values and bytes, whatever is said.
func TestLogIsBounded(t *testing.T) {
	g, log := withLog(t)
	long := strings.Repeat("é", maxLogText)
	var many []any
	for i := range 100 {
		many = append(many, fmt.Sprint("key", i), i)
	}
	for i := range maxLogLines + 10 {
		log.Info("line", "i", i)
	}
	log.Info(long, "long", long)
	log.Info("many", many...)
	got := g.logLines("?lines=1000")
	if len(got) != maxLogLines || got[0].Values["i"] != "12" || got[maxLogLines-1].Message != "many" {
		t.Fatalf("%d lines, the first %+v", len(got), got[0])
	}
	if n := len(got[maxLogLines-1].Values); n != maxLogValues {
		t.Errorf("%d values", n)
	}
	if l := got[maxLogLines-2]; l.Message != strings.Repeat("é", maxLogText/2)+"…" || l.Values["long"] != l.Message {
		t.Errorf("%d bytes: %.20s", len(l.Message), l.Message)
	}
}

// Who follows the log hears what is said from then on.
func TestFollowTheLog(t *testing.T) {
	g, log := withLog(t)
	log.Info("before")
	a := g.open(browse{path: "/api/log?follow=true&level=info&lines=1", as: "token operator"})
	defer a.Body.Close()
	if a.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(a.Header)
	}
	r := bufio.NewScanner(a.Body)
	next := func() (l LogLine) {
		t.Helper()
		for r.Scan() {
			if data, ok := strings.CutPrefix(r.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &l); err != nil {
					t.Fatal(err)
				}
				return l
			}
		}
		t.Fatal("it has ended: ", r.Err())
		return l
	}
	if l := next(); l.Message != "before" {
		t.Errorf("%+v", l)
	}
	for i := range 50 {
		log.Info("then\nmore", "i", i)
		if l := next(); l.Message != "then\nmore" || l.Values["i"] != fmt.Sprint(i) {
			t.Fatalf("%+v", l)
		}
	}
	for range maxLogFollowers - 1 {
		another := g.open(browse{path: "/api/log?follow=true", as: "token operator"})
		defer another.Body.Close()
	}
	if a := g.do(browse{path: "/api/log?follow=true", as: "token operator"}); a.StatusCode != 503 {
		t.Errorf("one more: %d %s", a.StatusCode, a.body)
	}
}

func BenchmarkLog(b *testing.B) {
	log := slog.New(NewLog(slog.LevelInfo))
	b.ReportAllocs()
	for b.Loop() {
		log.Info("client connected", "client", "a", "address", "192.0.2.1:1")
	}
}
