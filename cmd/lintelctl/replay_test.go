//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lintel/serialbridge"
	"lintel/serialbridge/vedirect"
)

// What was captured of a stick comes out of the port again, and nothing is left behind.
func TestReplay(t *testing.T) {
	said := bytes.Repeat([]byte("\x00\x03\x11\x13\r\n\xff"), 3000) // what a terminal would act on
	text := []byte("# lintel capture 1\n# stick x\n# from 2026-01-02T03:04:05.000000Z\n")
	captured := write(t, "capture", captureOf(t, text, said))
	path := filepath.Join(t.TempDir(), "stick")
	ended := make(chan error, 1)
	r, w := io.Pipe()
	go func() { ended <- run([]string{"replay", "--speed", "0", captured, path}, nil, io.Discard, w) }()
	if _, err := r.Read(make([]byte, 100)); err != nil { // it is there
		t.Fatal(err)
	}
	// One that takes its time, and throws away what it has received until then.
	slow, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	poll := []unix.PollFd{{Fd: int32(slow), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 200); n != 0 || err != nil {
		t.Errorf("something was said before the port was ready: %d, %v", n, err)
	}
	port, err := serialbridge.OpenPort(path, vedirect.Driver().Lines[0], serialbridge.PortOptions{})
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(slow)
	port.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, len(said))
	if _, err := io.ReadFull(port, got); err != nil || !bytes.Equal(got, said) {
		t.Errorf("something else came: %v", err)
	}
	if err := port.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stick is still there: %v", err)
	}
	for _, args := range [][]string{{"replay"}, {"replay", captured}, {"replay", "--speed", "-1", captured, path}} {
		if err := run(args, nil, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run([]string{"replay", write(t, "none", []byte("x")), path}, nil, io.Discard, io.Discard); err == nil {
		t.Error("what is no capture is played")
	}
}

// A program that throws nothing away gets all as well.
func TestReplayToPlainReader(t *testing.T) {
	captured := write(t, "capture", captureOf(t, []byte("# lintel capture 1\n"), []byte("hello")))
	path := filepath.Join(t.TempDir(), "stick")
	ended := make(chan error, 1)
	r, w := io.Pipe()
	go func() { ended <- run([]string{"replay", captured, path}, nil, io.Discard, w) }()
	if _, err := r.Read(make([]byte, 100)); err != nil { // it is there
		t.Fatal(err)
	}
	port, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(port, got); err != nil || string(got) != "hello" {
		t.Errorf("%q came: %v", got, err)
	}
	port.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// captureOf returns a capture with bytes in pieces of a hundred, a millisecond apart.
func captureOf(t *testing.T, head, data []byte) []byte {
	t.Helper()
	b := append(bytes.Clone(head), "0.000000 = 115200 8N1\n0.000000 > 0102\n"...)
	for i := 0; i < len(data); i += 100 {
		b = fmt.Appendf(b, "%d.%06d < %x\n", i/100/1000, i/100%1000*1000, data[i:min(i+100, len(data))])
	}
	return append(b, "99.000000 ! unplugged\n"...)
}
