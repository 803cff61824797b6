package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second

// house is a running lintel serve.
type house struct {
	cmd    *exec.Cmd
	broker string // address
	page   string // URL
	log    string // file
}

func serveIn(t *testing.T, dir string) *house {
	t.Helper()
	return serveWith(t, dir, localConfig)
}

func serveWith(t *testing.T, dir, config string) *house {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "lintel.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &house{cmd: lintel("serve", "--data", dir), log: filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(h.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	h.cmd.Stderr = log
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(patience, func() { h.cmd.Process.Kill() })
	t.Cleanup(func() { stop.Stop(); h.cmd.Process.Kill(); h.cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		if _, address, ok := strings.Cut(lines.Text(), "mqtt://"); ok {
			h.broker = address
		}
		if _, address, ok := strings.Cut(lines.Text(), "http://"); ok {
			h.page = "http://" + address
		}
	}
	if lines.Text() != "ready" {
		t.Fatalf("not ready: %s", h.said(t))
	}
	return h
}

// said is what the house has logged.
func (h *house) said(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(h.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// end sends a signal and returns the exit status, -1 if the process was killed.
func (h *house) end(t *testing.T, signal os.Signal) int {
	t.Helper()
	if err := h.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	h.cmd.Wait()
	return h.cmd.ProcessState.ExitCode()
}

func (h *house) losses(t *testing.T) []string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Jar: jar}
	for path, in := range map[string]string{ // one of them works
		"/api/claim": `{"password": "lose nothing"}`,
		"/api/login": `{"user": "admin", "password": "lose nothing"}`,
	} {
		answer, err := client.Post(h.page+path, "application/json", strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	answer, err := client.Get(h.page + "/api/status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status: %s", answer.Status)
	}
	var status struct{ Losses []string }
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	return status.Losses
}

// A table that is cut short makes Badger panic where nobody can catch it. After a
// kill that happens to the process that checks the store, and the house starts.
func TestServeWithADamagedStore(t *testing.T) {
	dir := t.TempDir()
	if status := serveIn(t, dir).end(t, syscall.SIGTERM); status != 0 {
		t.Fatalf("ended with %d", status)
	}
	h := serveIn(t, dir)
	if lost := h.losses(t); len(lost) > 0 {
		t.Errorf("lost: %q", lost)
	}
	h.end(t, syscall.SIGKILL)
	h = serveIn(t, dir)
	if lost := h.losses(t); len(lost) > 0 {
		t.Errorf("lost after a kill: %q", lost)
	}
	h.end(t, syscall.SIGKILL)
	tables, err := filepath.Glob(filepath.Join(dir, "store", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal("no tables")
	}
	for _, table := range tables {
		if err := os.Truncate(table, 100); err != nil {
			t.Fatal(err)
		}
	}
	h = serveIn(t, dir)
	if lost := h.losses(t); len(lost) != 1 || !strings.Contains(lost[0], "panic: ") || !strings.Contains(h.said(t), "level=ERROR") {
		t.Errorf("told %q and logged %s", lost, h.said(t))
	}
	if status := h.end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("ended with %d", status)
	}
}

// When nothing can be written any more the process ends with status 1.
func TestServeOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatalf("a small disk cannot be mounted, for which root is needed: %v", err)
		}
		t.Skipf("a small disk cannot be mounted, for which root is needed: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	h := serveIn(t, dir)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, int64(st.Bavail)*int64(st.Bsize)-6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	// What the house itself keeps may have filled the disk by now, and ended it.
	if c, err := net.Dial("tcp", h.broker); err == nil {
		defer c.Close()
		// CONNECT of MQTT 3.1.1 with a session that has to be kept.
		c.Write([]byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 60, 0, 1, 'x'})
	}
	h.cmd.Wait()
	if status := h.cmd.ProcessState.ExitCode(); status != 1 {
		t.Errorf("ended with %d, want 1", status)
	}
	last := h.said(t)[strings.LastIndex(strings.TrimSpace(h.said(t)), "\n")+1:]
	if !strings.HasPrefix(last, "lintel: ") || !strings.Contains(last, "the disk is full") {
		t.Errorf("said last %q", last)
	}
	cmd := lintel("serve", "--data", dir)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "remove something") {
		t.Errorf("on a full disk: %v, %s", err, out)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if status := serveIn(t, dir).end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("with room again: %d", status)
	}
}
