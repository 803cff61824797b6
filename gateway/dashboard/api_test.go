package dashboard

import (
	"context"
	"io"
	"log/slog"
	"testing"
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
