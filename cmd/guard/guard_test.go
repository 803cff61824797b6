package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lintel/gateway/update"
	"lintel/gokrazy/supervisor"
)

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
		proc: "/proc", parent: os.Getpid(), init: supervisor.Init{Socket: s.socket}, pace: p, log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
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
