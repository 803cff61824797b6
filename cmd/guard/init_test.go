package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/update"
	"lintel/persist"
)

// TestMain is lintel as well: the tests start it as init would, under its name.
func TestMain(m *testing.M) {
	if what := os.Getenv("GUARD_TEST_LINTEL"); what != "" {
		lintel(what, os.Getenv("GUARD_TEST_DATA"))
	}
	os.Exit(m.Run())
}

// lintel is a program that has a broker, or has none.
func lintel(what, data string) {
	fmt.Println("lintel says", what)
	if what == "crash" {
		fmt.Fprintln(os.Stderr, "panic: <b>the end</b>")
		os.Exit(2)
	}
	os.Remove(filepath.Join(data, update.ProbeSocket))
	l, err := net.Listen("unix", filepath.Join(data, update.ProbeSocket))
	if err != nil {
		panic(err)
	}
	switch what {
	case "serve":
		store, err := persist.Open(filepath.Join(data, "store"), persist.Options{})
		if err != nil {
			panic(err)
		}
		b, err := broker.New(store, broker.Options{})
		if err != nil {
			panic(err)
		}
		go b.Run(context.Background())
		panic(b.Serve(context.Background(), l, "probe"))
	case "starting":
		update.AnswerStarting(l)
	}
	select {} // silent
}

// supervised is init: it keeps lintel running and answers at its socket as gokrazy's does.
type supervised struct {
	t       *testing.T
	program string
	socket  string
	data    string

	mu      sync.Mutex
	what    string // the next lintel is
	stopped bool
	cmd     *exec.Cmd
	starts  int
	log     []string
	ended   sync.WaitGroup
	closed  bool
}

func newSupervised(t *testing.T, what string) *supervised {
	dir, err := os.MkdirTemp("", "guard") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &supervised{t: t, program: filepath.Join(dir, "lintel"), socket: filepath.Join(dir, "init.sock"), data: dir, what: what}
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.handler()}
	s.ended.Go(func() { server.Serve(l) })
	s.ended.Go(s.supervise)
	t.Cleanup(func() {
		s.mu.Lock()
		s.closed = true
		if s.cmd != nil {
			s.cmd.Process.Kill()
		}
		s.mu.Unlock()
		server.Close()
		s.ended.Wait()
	})
	return s
}

func (s *supervised) supervise() {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		var cmd *exec.Cmd
		var out bytes.Buffer
		if !s.stopped {
			cmd = &exec.Cmd{Path: "/proc/self/exe", Args: []string{s.program, "serve"}, Stdout: &out, Stderr: &out,
				Env: append(os.Environ(), "GUARD_TEST_LINTEL="+s.what, "GUARD_TEST_DATA="+s.data)}
			if err := cmd.Start(); err != nil {
				s.t.Error(err)
			}
			s.cmd = cmd
			s.starts++
		}
		s.mu.Unlock()
		if cmd != nil {
			cmd.Wait()
			s.mu.Lock()
			s.cmd = nil
			s.log = append(s.log, strings.Split(strings.TrimSpace(out.String()), "\n")...)
			s.mu.Unlock()
		}
		<-time.After(100 * time.Millisecond) // a second with gokrazy
	}
}

func (s *supervised) handler() http.Handler {
	mux := http.NewServeMux()
	change := func(stopped bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			cookie, err := r.Cookie("gokrazy_xsrf")
			if err != nil || cookie.Value != r.PostFormValue("xsrftoken") {
				http.Error(w, "XSRF", http.StatusForbidden)
				return
			}
			if r.PostFormValue("path") != s.program {
				http.Error(w, "no such service", http.StatusNotFound)
				return
			}
			s.mu.Lock()
			s.stopped = stopped
			if s.cmd != nil {
				s.cmd.Process.Signal(syscall.SIGTERM)
			}
			s.mu.Unlock()
			http.Redirect(w, r, "/status", http.StatusSeeOther)
		}
	}
	mux.HandleFunc("POST /stop", change(true))
	mux.HandleFunc("POST /restart", change(false))
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("path") != s.program || r.FormValue("stream") != "both" {
			http.Error(w, "service not found", http.StatusNotFound)
			return
		}
		s.mu.Lock()
		for _, line := range s.log {
			fmt.Fprintln(w, line)
		}
		s.mu.Unlock()
		w.(http.Flusher).Flush()
		<-r.Context().Done() // there may come more
	})
	return mux
}

func (s *supervised) become(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.what = what
}

func (s *supervised) state() (starts, pid int, stopped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil && s.cmd.Process != nil {
		pid = s.cmd.Process.Pid
	}
	return s.starts, pid, s.stopped
}
