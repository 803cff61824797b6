package dashboard

import (
	"bufio"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// logAttributes are those that most who look for something look for.
var logAttributes = []string{"client", "topic", "device", "port", "user", "component", "err"}

// logView is the page of the log. The newest line is the first.
type logView struct {
	Frame      frame
	Lines      []logRow
	Query      url.Values
	Levels     []string
	Attributes []string
	Numbers    []string
	Error      *problem
	Last       LogLine // the newest of all that were looked at
	Follow     string  // of the API, for the module
	Download   string
}

// logRow is a line of the log on the page.
type logRow struct {
	LogLine
	Name string // of the level, as in a class
}

func (s *Server) logPage(w http.ResponseWriter, r *request) {
	v := logView{Frame: s.frame(r, r.t("Log")), Query: r.URL.Query(), Levels: []string{"debug", "info", "warn", "error"},
		Attributes: logAttributes, Numbers: []string{"100", "300", "1000"}}
	code := http.StatusOK
	q, err := s.logQuery(r)
	if err != nil {
		v.Error = s.problemOf(r.Request, err).nowhere()
		code = v.Error.code
	} else {
		all, _, _ := s.o.Log.ring.after(0, q.level, maxLogLines)
		if len(all) > 0 {
			v.Last = all[len(all)-1]
		}
		for _, l := range slices.Backward(q.choose(all)) {
			v.Lines = append(v.Lines, logRow{l, levelName(l.Level)})
		}
	}
	asked := url.Values{}
	for _, field := range []string{"level", "q", "attribute", "value"} {
		if text := v.Query.Get(field); text != "" {
			asked.Set(field, text)
		}
	}
	v.Download = "/log/lines.txt?" + asked.Encode()
	asked.Set("follow", "true")
	asked.Set("lines", "1000") // the module leaves out those that are here
	v.Follow = "/api/log?" + asked.Encode()
	s.show(w, r, code, "log.html", v)
}

// levelName is one of four.
func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

// serveLogText hands the lines out as a file.
func (s *Server) serveLogText(w http.ResponseWriter, r *request) {
	q, err := s.logQuery(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	q.most = maxLogLines
	all, _, _ := s.o.Log.ring.after(0, q.level, maxLogLines)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="lintel-log.txt"`)
	b := bufio.NewWriter(w)
	for _, l := range q.choose(all) {
		b.WriteString(l.text())
	}
	b.Flush()
}

// text is a line as it stands in a file. What comes of others is quoted, so that it cannot do
// anything to a terminal.
func (l LogLine) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-5s %s", l.Time.Format(time.RFC3339Nano), l.Level, harmless(l.Message))
	for _, key := range slices.Sorted(maps.Keys(l.Values)) {
		fmt.Fprintf(&b, " %s=%s", harmless(key), strconv.Quote(l.Values[key]))
	}
	b.WriteByte('\n')
	return b.String()
}

func harmless(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, s)
}
