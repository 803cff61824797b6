package dashboard

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

func TestLogPage(t *testing.T) {
	g, log := loggingGate(t)
	log.Info("client connected", "client", "phone", "addr", "192.168.1.7")
	log.Warn("message dropped", "client", "Phone-2", "topic", "a/b")
	log.Error(hostile, "topic", hostile, "err", "the disk is full\nsecond line")
	for query, want := range map[string][]string{
		"":                                 {"client connected", "message dropped", "the disk is full"},
		"level=warn":                       {"message dropped", "the disk is full"},
		"q=DROPPED":                        {"message dropped"},
		"q=192.168":                        {"client connected"},
		"attribute=client&value=phone":     {"client connected", "message dropped"},
		"attribute=client":                 {"client connected", "message dropped"},
		"attribute=topic&value=a/":         {"message dropped"},
		"value=PHONE-2":                    {"message dropped"},
		"level=error&value=phone":          {},
		"attribute=nothing":                {},
		"level=info&lines=1&q=e&value=pho": {"message dropped"},
	} {
		page := g.want(200, browse{path: "/log?" + query, as: "olga"})
		file := g.want(200, browse{path: "/log/lines.txt?" + query, as: "olga"})
		if strings.Contains(page.body, "<script>alert") {
			t.Error(page.body)
		}
		for _, text := range []string{"client connected", "message dropped", "the disk is full"} {
			in := false
			for _, w := range want {
				in = in || w == text
			}
			if strings.Contains(page.body, text) != in {
				t.Errorf("%s: %q on the page: %t", query, text, !in)
			}
			if strings.Contains(file.body, text) != in && !strings.Contains(query, "lines=") {
				t.Errorf("%s: %q in the file: %t", query, text, !in)
			}
		}
	}
	if file := g.want(200, browse{path: "/log/lines.txt", as: "olga"}); strings.Count(file.body, "\n") != 3 || !strings.Contains(file.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the file: %s", file.body)
	}
	for _, query := range []string{"level=loud", "lines=x", "lines=1001", "q=" + url.QueryEscape(strings.Repeat("x", 201))} {
		g.want(400, browse{path: "/log?" + query, as: "olga"})
		g.want(400, browse{path: "/log/lines.txt?" + query, as: "olga"})
		g.want(400, browse{path: "/api/log?" + query, as: "olga"})
	}
}

func loggingGate(t *testing.T) (*gate, *slog.Logger) {
	g := newGate(t)
	g.o.Log = NewLog(slog.LevelDebug)
	g.url = listen(t, g.o)
	return g, slog.New(g.o.Log)
}
