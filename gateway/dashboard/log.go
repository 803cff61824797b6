package dashboard

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

func (s *Server) logRoutes() []route {
	if s.o.Log == nil {
		return nil
	}
	return []route{
		{pattern: "GET /log", level: operator, serve: s.logPage},
		{pattern: "GET /log/lines.txt", level: operator, serve: s.serveLogText},
		{pattern: "GET /api/log", level: operator, serve: s.serveLog},
	}
}

const (
	maxLogLines     = 1000
	maxLogText      = 1 << 10 // bytes of a message, and of each value
	maxLogValues    = 16      // of a line
	maxLogFollowers = 4
)

// Log is a [slog.Handler] that keeps the last lines of the log for who asks for them. It
// takes a lock for as long as it puts a line in its place; who follows it reads from there,
// so that a slow one misses lines and holds nobody up.
type Log struct {
	level slog.Leveler
	ring  *logRing
	group string // in front of the names of attributes, with its dot
	with  []logValue
}

// NewLog returns a log that keeps lines of the level and above.
func NewLog(level slog.Leveler) *Log { return &Log{level: level, ring: new(logRing)} }

// LogLine is a line of the log.
type LogLine struct {
	Number  uint64            `json:"number"` // counts up from 1 since the start
	Time    time.Time         `json:"time"`
	Level   slog.Level        `json:"level"`
	Message string            `json:"message"`
	Values  map[string]string `json:"values,omitempty"`
}

type logValue struct{ key, text string }

// logRing is where the lines are. The line with number n is at n % maxLogLines.
type logRing struct {
	mu      sync.Mutex
	lines   [maxLogLines]LogLine
	last    uint64        // number of the newest line; 0: there is none
	changed chan struct{} // closed with the next line; nil: nobody waits
}

// Enabled implements [slog.Handler].
func (l *Log) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level.Level() }

// WithGroup implements [slog.Handler].
func (l *Log) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	c := *l
	c.group += name + "."
	return &c
}

// WithAttrs implements [slog.Handler].
func (l *Log) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	c.with = c.with[:len(c.with):len(c.with)]
	for _, a := range attrs {
		c.with = appendLogValue(c.with, c.group, a)
	}
	return &c
}

// Handle implements [slog.Handler].
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	values := l.with[:len(l.with):len(l.with)]
	r.Attrs(func(a slog.Attr) bool {
		values = appendLogValue(values, l.group, a)
		return len(values) < maxLogValues
	})
	line := LogLine{Time: r.Time, Level: r.Level, Message: cutLog(r.Message)}
	if len(values) > 0 {
		line.Values = make(map[string]string, len(values))
		for _, v := range values[:min(len(values), maxLogValues)] {
			line.Values[v.key] = v.text
		}
	}
	g := l.ring
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	line.Number = g.last
	g.lines[g.last%maxLogLines] = line
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
	return nil
}

// appendLogValue appends an attribute, or those of a group.
func appendLogValue(values []logValue, group string, a slog.Attr) []logValue {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			values = appendLogValue(values, group, inner)
		}
		return values
	}
	if a.Key == "" {
		return values
	}
	return append(values, logValue{cutLog(group + a.Key), cutLog(v.String())})
}

// cutLog bounds a text of the log. The copy lets go of what a long one was a part of.
func cutLog(s string) string {
	if len(s) <= maxLogText {
		return s
	}
	s = s[:maxLogText]
	for !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && len(s) > maxLogText-utf8.UTFMax {
		s = s[:len(s)-1]
	}
	return strings.Clone(s) + "…"
}

// after returns the lines of a level with numbers above n, of which it has at most the last
// most, the number of the newest line of any level, and what is closed with the next one.
func (g *logRing) after(n uint64, level slog.Level, most int) (lines []LogLine, last uint64, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	if g.last > maxLogLines {
		n = max(n, g.last-maxLogLines)
	}
	for ; n < g.last; n++ {
		if line := g.lines[(n+1)%maxLogLines]; line.Level >= level {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-most):], g.last, g.changed
}

// logQuery is which lines of the log somebody wants.
type logQuery struct {
	level            slog.Level
	text             string // that is in a line, in small letters
	attribute, value string // the attribute whose value has this in it; empty: any
	most             int
}

const maxLogQuery = 200 // bytes of each text

func (s *Server) logQuery(r *request) (logQuery, error) {
	q := logQuery{level: slog.LevelDebug, text: strings.ToLower(r.FormValue("q")), attribute: r.FormValue("attribute"), value: strings.ToLower(r.FormValue("value")), most: 100}
	if text := r.FormValue("level"); text != "" && q.level.UnmarshalText([]byte(text)) != nil {
		return q, wrong("level", "level is debug, info, warn or error.")
	}
	if text := r.FormValue("lines"); text != "" {
		var err error
		if q.most, err = strconv.Atoi(text); err != nil || q.most < 0 || q.most > maxLogLines {
			return q, wrong("lines", "lines is a number from 0 to %d.", maxLogLines)
		}
	}
	for field, text := range map[string]string{"q": q.text, "attribute": q.attribute, "value": q.value} {
		if len(text) > maxLogQuery {
			return q, wrong(field, "%s is longer than %d bytes.", field, maxLogQuery)
		}
	}
	return q, nil
}

// choose returns the lines that are wanted of some.
func (q logQuery) choose(lines []LogLine) []LogLine {
	chosen := []LogLine{}
	for _, l := range lines {
		if q.matches(l) {
			chosen = append(chosen, l)
		}
	}
	return chosen[max(0, len(chosen)-q.most):]
}

func (q logQuery) matches(l LogLine) bool {
	has := func(text, part string) bool { return strings.Contains(strings.ToLower(text), part) }
	if q.attribute != "" {
		if value, ok := l.Values[q.attribute]; !ok || !has(value, q.value) {
			return false
		}
	} else if q.value != "" && !anyValue(l, func(text string) bool { return has(text, q.value) }) {
		return false
	}
	return q.text == "" || has(l.Message, q.text) || anyValue(l, func(text string) bool { return has(text, q.text) })
}

func anyValue(l LogLine, ok func(string) bool) bool {
	for _, text := range l.Values {
		if ok(text) {
			return true
		}
	}
	return false
}

type lineList struct {
	Lines []LogLine `json:"lines"`
}

// serveLog answers with the last lines of the log, or as server-sent events with those that
// come too:
//
//	GET /api/log?level=warn&lines=100&q=refused&attribute=client&value=phone
//	GET /api/log?follow=true
func (s *Server) serveLog(w http.ResponseWriter, r *request) {
	q, err := s.logQuery(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	all, last, changed := s.o.Log.ring.after(0, q.level, maxLogLines)
	lines := q.choose(all)
	if r.FormValue("follow") != "true" {
		s.answer(w, http.StatusOK, lineList{lines})
		return
	}
	release, ok := s.followers.take()
	if !ok {
		s.fail(w, r, tooManyFollowers())
		return
	}
	defer release()
	events := s.newEvents(w, r, s.heartbeat)
	defer events.end()
	q.most = maxLogLines // of those that come
	for {
		for _, line := range lines {
			events.send(line)
		}
		if !events.wait(changed) {
			return
		}
		all, last, changed = s.o.Log.ring.after(last, q.level, maxLogLines)
		lines = q.choose(all)
	}
}

func tooManyFollowers() error {
	return problemf(http.StatusServiceUnavailable, "", "%d already follow the log or messages: end one of them first.", maxLogFollowers)
}
