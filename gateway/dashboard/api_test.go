package dashboard

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"lintel/gateway/dashboard/apicheck"
)

// newAPI returns a claimed house with all that the API knows.
func newAPI(t *testing.T) *gate {
	g := newGate(t)
	g.o.Log = NewLog(slog.LevelInfo)
	slog.New(g.o.Log).Info("it begins", "client", "a")
	g.o.Capture = func(_ context.Context, _ string, w io.Writer, _ func() error) error {
		_, err := w.Write([]byte("captured"))
		return err
	}
	g.url = listen(t, g.o)
	return g
}

// description is what a house tells of its API, and which of its calls a request is for.
type description struct {
	*apicheck.Description
	mux *http.ServeMux
}

// isDescribed holds that an answer is as it is described, whatever test has asked for it.
func (g *gate) isDescribed(a answered) {
	g.t.Helper()
	g.describing.Do(func() {
		s := New(g.o)
		text, err := json.Marshal(s.openAPI())
		if err != nil {
			g.t.Fatal(err)
		}
		g.described = &description{apicheck.NewDescription(g.t, text), http.NewServeMux()}
		for _, rt := range s.calls() {
			g.described.mux.Handle(rt.pattern, http.NotFoundHandler())
		}
	})
	if _, pattern := g.described.mux.Handler(a.Request); pattern != "" {
		g.described.Check(g.t, pattern, a.Response, []byte(a.body))
	}
}
