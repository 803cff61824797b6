package dashboard

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"lintel/gateway/broker"
	"lintel/serialbridge"
)

const (
	maxConnections = 64
	maxHeader      = 16 << 10
	maxBody        = 4 << 10 // nothing here reads a body
	shutdownTime   = 2 * time.Second
)

//go:embed style.css icon.svg
var assets embed.FS

// Options are the options of [New]. All functions must be set; they may be
// called from several goroutines at the same time.
type Options struct {
	Listener net.Listener

	Name      string   // of the box
	Version   string   // of Lintel
	Addresses []string // where the broker is reached, such as mqtt://lintel.local:1883

	Broker    serialbridge.Broker // for the last values
	BaseTopic string              // as in [serialbridge.Options]; empty is "lintel"

	Sticks  func() []serialbridge.StickStatus
	Devices func() []serialbridge.Device
	Clients func() []broker.ClientInfo
	Stats   func() broker.Stats
	Healthy func() error    // nil: the house works
	Losses  func() []string // what is known to be lost of what was stored

	Logger *slog.Logger // nil: silent
}

// Server serves the page.
type Server struct {
	o      Options
	log    *slog.Logger
	values values
}

// New returns a server that answers nobody until Run.
func New(o Options) *Server {
	if o.BaseTopic == "" {
		o.BaseTopic = "lintel"
	}
	s := &Server{o: o, log: o.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.values.base = o.BaseTopic + "/"
	s.values.devices = make(map[string]deviceState)
	return s
}

// Run serves until ctx ends, then lets running requests finish for two seconds
// and returns nil. It closes the listener.
func (s *Server) Run(ctx context.Context) error {
	defer s.o.Listener.Close()
	for _, leaf := range []string{"availability", "state"} {
		filter := s.o.BaseTopic + "/+/" + leaf
		if err := s.o.Broker.Subscribe(ctx, filter, 0, s.values.handle); err != nil {
			return fmt.Errorf("subscribe to %s: %w", filter, err)
		}
	}
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(netutil.LimitListener(s.o.Listener, maxConnections)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", s.o.Listener.Addr(), err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.o.Listener.Addr(), err)
	}
	return nil
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux() // GET patterns take HEAD too and answer 405 to the rest
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /api/status", s.serveStatus)
	mux.HandleFunc("GET /healthz", s.serveHealth)
	files := http.FileServerFS(assets)
	mux.Handle("GET /style.css", files)
	mux.Handle("GET /icon.svg", files)
	return http.MaxBytesHandler(secure(mux), maxBody)
}

// secure tells browsers to trust nothing but our own files.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) servePage(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := page.Execute(&b, s.status()); err != nil {
		s.fail(w, "page", err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	b, err := json.MarshalIndent(s.status(), "", "  ")
	if err != nil {
		s.fail(w, "status", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(b, '\n'))
}

func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.o.Healthy(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) fail(w http.ResponseWriter, what string, err error) {
	s.log.Error("page not made", "page", what, "err", err)
	http.Error(w, "The "+what+" could not be made; the log says why.", http.StatusInternalServerError)
}
