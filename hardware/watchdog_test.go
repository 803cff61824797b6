package hardware

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestFeedWatchdog has a named pipe be the watchdog: what is fed to it comes out.
func TestFeedWatchdog(t *testing.T) {
	root := t.TempDir()
	if err := FeedWatchdog(t.Context(), root); err != nil {
		t.Errorf("without a watchdog: %v", err)
	}
	name := filepath.Join(root, "dev/watchdog")
	if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fed := make(chan error, 1)
	go func() { fed <- FeedWatchdog(ctx, root) }()
	w, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.SetReadDeadline(time.Now().Add(time.Minute))
	var got []byte
	for b := make([]byte, 16); len(got) < 3; {
		n, err := w.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if bytes.Contains(got, []byte("V")) {
		t.Errorf("%q was fed: V stops a watchdog", got)
	}
	cancel()
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	var last byte
	for b := make([]byte, 16); ; {
		n, err := w.Read(b)
		if n == 0 || err != nil {
			break
		}
		last = b[n-1]
	}
	if last != 'V' {
		t.Errorf("the last byte was %q, not the one that stops a watchdog", last)
	}
}
