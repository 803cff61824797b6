package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// house is a guard at work.
type house struct {
	*supervised
	g       *guard
	mu      sync.Mutex
	reboots int
	page    string
}

// fast is the pace of tests: what is to be waited for is short, what is to hold is long.
var fast = pace{
	tick: 20 * time.Millisecond, probe: 50 * time.Millisecond, answer: time.Second,
	start: 10 * time.Second, starting: time.Hour, silence: time.Second, failures: 2,
	end: 300 * time.Millisecond, absence: time.Second, steady: time.Hour,
	loop: 4, loopWithin: time.Minute, rescue: time.Hour, settled: time.Hour, reboots: 2, late: time.Millisecond,
}

// guardHouse starts a guard over lintel. m is what it runs on.
func guardHouse(t *testing.T, s *supervised, p pace, m *update.Machine, release update.Release) *house {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	h := &house{supervised: s, page: "http://" + l.Addr().String()}
	h.g = &guard{release: release, machine: m, root: s.data, data: s.data, program: s.program, listen: l.Addr().String(),
		proc: "/proc", parent: os.Getpid(), init: s.socket, pace: p, log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	h.g.reboot = func(context.Context) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.reboots++
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.g.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return h
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (h *house) rebooted() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reboots
}

// until waits for something.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func answers(s *supervised) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return update.Probe(ctx, s.data) == nil
}

// someMachine is a disk with partitions in files; running and booted are its roots.
func someMachine(t *testing.T, folder string, running, booted int) *update.Machine {
	t.Helper()
	if _, err := exec.LookPath("mformat"); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal("mtools is missing")
		}
		t.Skip("mtools is missing")
	}
	root := filepath.Join(folder, "root")
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := fmt.Sprintf("console=tty1 root=PARTUUID=60c24cc1-f3f9-427a-8199-b372176d0001/PARTNROFF=%d init=/gokrazy/init%s", booted-1, strings.Repeat(" ", 64))
	put("proc/cmdline", line)
	put("proc/uptime", "5.00 9.00\n")
	put("cmdline.txt", line)
	for n := 1; n <= 3; n++ {
		put(fmt.Sprintf("sys/block/vda/vda%d/partition", n), fmt.Sprint(n))
		put(fmt.Sprintf("dev/vda%d", n), strings.Repeat("\xaa", 1<<20))
	}
	var s unix.Stat_t
	if err := unix.Stat(root, &s); err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Join(root, "sys/dev/block"), 0o700)
	if err := os.Symlink(fmt.Sprintf("../../block/vda/vda%d", running), filepath.Join(root, "sys/dev/block", fmt.Sprintf("%d:%d", unix.Major(s.Dev), unix.Minor(s.Dev)))); err != nil {
		t.Fatal(err)
	}
	fat := filepath.Join(root, "dev/vda1")
	os.Remove(fat)
	for _, args := range [][]string{
		{"mformat", "-C", "-i", fat, "-T", "20480", "-c", "4", "-d", "1", "-r", "256", "::"},
		{"mcopy", "-i", fat, filepath.Join(root, "cmdline.txt"), "::"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	m, err := update.OpenMachine(root, folder)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func cmdline(t *testing.T, s *supervised) string {
	t.Helper()
	out, err := exec.Command("mtype", "-i", filepath.Join(s.data, "root/dev/vda1"), "::cmdline.txt").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func get(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// TestHang: a broker that hangs is started anew, and nothing else happens.
func TestHang(t *testing.T) {
	s := newSupervised(t, "serve")
	h := guardHouse(t, s, fast, someMachine(t, s.data, 2, 2), update.Release{Version: "v1", Counter: 1})
	until(t, "the broker answers", func() bool { return answers(s) })
	<-time.After(5 * fast.probe) // guard has heard it
	_, before, _ := s.state()
	if err := syscall.Kill(before, syscall.SIGSTOP); err != nil { // takes no SIGTERM either
		t.Fatal(err)
	}
	until(t, "another lintel answers", func() bool {
		_, pid, _ := s.state()
		return pid != before && pid != 0 && answers(s)
	})
	if n := h.rebooted(); n != 0 {
		t.Errorf("%d restarts of the machine", n)
	}
}

// TestSilence: when a restart does not help, the machine is restarted, and not for ever.
func TestSilence(t *testing.T) {
	s := newSupervised(t, "silent")
	p := fast
	p.start, p.answer = 500*time.Millisecond, 100*time.Millisecond
	h := guardHouse(t, s, p, someMachine(t, s.data, 2, 2), update.Release{Version: "v1", Counter: 1})
	until(t, "the machine is restarted as often as may be", func() bool { return h.rebooted() >= p.reboots })
	until(t, "the page", func() bool { return strings.Contains(get(t, h.page), "Restarting the box did not help") })
	if n := h.rebooted(); n != p.reboots {
		t.Errorf("%d restarts, want %d", n, p.reboots)
	}
	if n := newLimit(s.data, 3).count(); n != p.reboots {
		t.Errorf("%d restarts are noted, want %d", n, p.reboots)
	}
	if _, pid, stopped := s.state(); !stopped || pid != 0 {
		t.Errorf("while the page is shown, lintel runs: %d, %t", pid, stopped)
	}
}

// TestStarting: a lintel that says that it is starting is let be.
func TestStarting(t *testing.T) {
	s := newSupervised(t, "starting")
	p := fast
	p.start = 300 * time.Millisecond
	h := guardHouse(t, s, p, someMachine(t, s.data, 2, 2), update.Release{Version: "v1", Counter: 1})
	until(t, "lintel says that it starts", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return errors.Is(update.Probe(ctx, s.data), update.ErrStarting)
	})
	<-time.After(5 * p.start)
	if starts, _, _ := s.state(); starts != 1 || h.rebooted() != 0 {
		t.Errorf("%d starts, %d restarts of the machine", starts, h.rebooted())
	}
}

// TestRescue: lintel crashes; the page says so, takes a signed bundle and no other, and
// starts lintel again.
func TestRescue(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	release := update.Release{Version: "v1", Counter: 1, Board: "lintel", Kernel: "6.12", Keys: update.Keys{public}}
	s := newSupervised(t, "crash")
	h := guardHouse(t, s, fast, someMachine(t, s.data, 2, 2), release)
	var page string
	until(t, "the page", func() bool { page = get(t, h.page); return page != "" })
	for _, want := range []string{"Lintel was started 4 times in a short time", "version v1", "&lt;b&gt;the end&lt;/b&gt;", `action="/update"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page:\n%s", want, page)
		}
	}
	if n := h.rebooted(); n != 0 {
		t.Errorf("%d restarts of the machine", n)
	}

	manifest := update.Manifest{Version: "v2", Counter: 2, Board: "lintel", Kernel: "6.12", Released: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	root := bytes.NewReader([]byte("hsqs" + strings.Repeat("root", 1<<16)))
	bundle := func(m update.Manifest, key ed25519.PrivateKey) []byte {
		var b bytes.Buffer
		if _, err := update.Write(&b, m, root, key); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	send := func(file []byte, header, value string) (int, string) {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, _ := form.CreateFormFile("bundle", "lintel.lintel")
		part.Write(file)
		form.Close()
		request, _ := http.NewRequest("POST", h.page+"/update", &body)
		request.Header.Set("Content-Type", form.FormDataContentType())
		if header != "" {
			request.Header.Set(header, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(text)
	}
	_, foreign, _ := ed25519.GenerateKey(nil)
	other := manifest
	other.Board = "lintel-vm-arm64"
	old := manifest
	old.Counter = 1
	good := bundle(manifest, private)
	spoiled := bytes.Clone(good)
	spoiled[len(spoiled)-1]++
	for name, test := range map[string]struct {
		file          []byte
		header, value string
		status        int
	}{
		"foreign key":  {bundle(manifest, foreign), "", "", 422},
		"other board":  {bundle(other, private), "", "", 422},
		"not newer":    {bundle(old, private), "", "", 422},
		"damaged":      {spoiled, "", "", 422},
		"cut":          {good[:len(good)-7], "", "", 422},
		"nothing":      {nil, "", "", 422},
		"foreign page": {good, "Sec-Fetch-Site", "cross-site", 403},
	} {
		if status, text := send(test.file, test.header, test.value); status != test.status {
			t.Errorf("%s: %d, %s", name, status, text)
		}
		if line := cmdline(t, s); strings.Contains(line, "try_boot") {
			t.Fatalf("%s: %q", name, line)
		}
	}
	response, err := http.Post(h.page+"/restart", "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	starts, _, _ := s.state()
	until(t, "lintel is started again", func() bool { n, _, _ := s.state(); return n > starts })
	// It crashes again.
	until(t, "the page again", func() bool { page = get(t, h.page); return page != "" })
	if status, text := send(good, "", ""); status != 200 {
		t.Fatalf("a good bundle: %d, %s", status, text)
	}
	until(t, "the machine is restarted", func() bool { return h.rebooted() == 1 })
	if line := cmdline(t, s); !strings.Contains(line, "gokrazy.try_boot_inactive=1   ") {
		t.Errorf("cmdline.txt: %q", line)
	}
}

// TestRecovery: lintel comes back by itself when the page was shown for a while.
func TestRecovery(t *testing.T) {
	s := newSupervised(t, "crash")
	p := fast
	p.rescue = 300 * time.Millisecond
	h := guardHouse(t, s, p, someMachine(t, s.data, 2, 2), update.Release{Version: "v1", Counter: 1})
	until(t, "lintel is stopped", func() bool { _, _, stopped := s.state(); return stopped })
	s.become("serve")
	until(t, "the broker answers", func() bool { return answers(s) })
	if text := get(t, h.page); text != "" {
		t.Errorf("the page is still there: %s", text)
	}
}

// record writes the record of a trial of version v2 on partition 3.
func record(t *testing.T, s *supervised, change func(*update.Record)) {
	t.Helper()
	r := &update.Record{State: update.StateArmed, From: 2, To: 3, Version: "v2", Counter: 2, Root: update.Blob{Size: 9}, Tries: 1, Patience: 600}
	if change != nil {
		change(r)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Join(s.data, "update"), 0o700)
	if err := os.WriteFile(filepath.Join(s.data, "update/record.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDeadline: a trial that nobody keeps ends, and the reason is noted. One that was
// kept, and an ordinary start, do not.
func TestDeadline(t *testing.T) {
	v2 := update.Release{Version: "v2", Counter: 2}
	for name, test := range map[string]struct {
		running int
		uptime  string
		release update.Release
		change  func(*update.Record)
		reboot  bool
		reason  string
	}{
		"late":           {3, "601 1", v2, nil, true, "Version v2 did not say in 10m0s that it is healthy."},
		"in time":        {3, "590 1", v2, nil, false, ""},
		"no trial":       {2, "9000 1", update.Release{Version: "v1", Counter: 1}, nil, false, ""},
		"lintel said it": {3, "601 1", v2, func(r *update.Record) { r.Reason = "A stick is gone." }, true, "A stick is gone."},
		"foreign":        {3, "130 1", update.Release{Version: "v3", Counter: 3}, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSupervised(t, "serve")
			m := someMachine(t, s.data, test.running, 2)
			record(t, s, test.change)
			if err := os.WriteFile(filepath.Join(s.data, "root/proc/uptime"), []byte(test.uptime), 0o600); err != nil {
				t.Fatal(err)
			}
			h := guardHouse(t, s, fast, m, test.release)
			if test.reboot {
				until(t, "the machine is restarted", func() bool { return h.rebooted() > 0 })
			} else {
				until(t, "the broker answers", func() bool { return answers(s) })
				<-time.After(10 * fast.tick)
				if n := h.rebooted(); n != 0 {
					t.Errorf("%d restarts", n)
				}
			}
			r, err := m.Record()
			if err != nil || r == nil || r.Reason != test.reason {
				t.Errorf("the record is %+v, %v; want reason %q", r, err, test.reason)
			}
			if n := newLimit(s.data, 3).count(); n != 0 {
				t.Errorf("%d restarts are noted", n)
			}
		})
	}
}

// TestTrialCrashes: a version on trial that ends again and again is left at once.
func TestTrialCrashes(t *testing.T) {
	s := newSupervised(t, "crash")
	m := someMachine(t, s.data, 3, 2)
	record(t, s, nil)
	h := guardHouse(t, s, fast, m, update.Release{Version: "v2", Counter: 2})
	until(t, "the machine is restarted", func() bool { return h.rebooted() > 0 })
	if r, err := m.Record(); err != nil || !strings.Contains(r.Reason, "again and again") {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLimit: what cannot be counted is not done.
func TestLimit(t *testing.T) {
	l := newLimit(t.TempDir(), 2)
	for i, want := range []bool{true, true, false, false} {
		if err := l.take(); (err == nil) != want {
			t.Errorf("restart %d: %v", i, err)
		}
	}
	l.forget()
	if err := l.take(); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "x", "-1", "99999999999999999999"} {
		if err := os.WriteFile(l.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.take(); err == nil {
			t.Errorf("%q: one more", text)
		}
	}
	blocked := filepath.Join(t.TempDir(), "file")
	os.WriteFile(blocked, nil, 0o600)
	if err := newLimit(blocked, 2).take(); err == nil {
		t.Error("not counted, and done")
	}
}

// TestPanic: a mistake of guard's own does not end it.
func TestPanic(t *testing.T) {
	g := &guard{log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	done := false
	g.safely("test", func() { done = true; panic("mistake") })
	if !done {
		t.Error("not done")
	}
}

// TestLog: init that says too much, nothing, or is not there.
func TestLog(t *testing.T) {
	dir, err := os.MkdirTemp("", "guard")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := supervisor{filepath.Join(dir, "s"), "/user/lintel"}
	if lines, err := s.log(t.Context()); err == nil {
		t.Errorf("nobody is there: %q", lines)
	}
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q, _ := url.ParseQuery(r.URL.RawQuery); q.Get("path") {
		case "/user/lintel":
			for {
				if _, err := fmt.Fprintf(w, "%s\xff\n", strings.Repeat("x", 3000)); err != nil {
					return
				}
			}
		}
	})}
	go server.Serve(l)
	defer server.Close()
	lines, err := s.log(t.Context())
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if err != nil || size < maxLog || size > maxLog+maxLogLine+10 {
		t.Errorf("%d bytes, %v", size, err)
	}
	if lines, err := (supervisor{s.socket, "/user/other"}).log(t.Context()); err != nil || len(lines) != 0 {
		t.Errorf("%q, %v", lines, err)
	}
}
