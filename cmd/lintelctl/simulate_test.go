//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/vedirect"
)

// A simulated stick speaks as the real one does until it is interrupted, and leaves
// nothing behind.
func TestSimulate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stick")
	ended := make(chan error, 1)
	r, w := io.Pipe()
	go func() { ended <- run([]string{"simulate", "--noise", "0.1", "vedirect", path}, nil, nil, w) }()
	if _, err := r.Read(make([]byte, 100)); err != nil { // it says that it begins
		t.Fatal(err)
	}
	go io.Copy(io.Discard, r)
	var port *serialbridge.TTY
	var err error
	for wait := time.Tick(10 * time.Millisecond); port == nil; <-wait {
		if port, err = serialbridge.OpenPort(path, vedirect.Driver().Lines[0], serialbridge.PortOptions{}); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	defer port.Close()
	said := new(drivertest.Recorder)
	decoder := vedirect.Driver().NewDecoder(said)
	buf := make([]byte, 4096)
	port.SetReadDeadline(time.Now().Add(30 * time.Second))
	for len(said.Readings) == 0 {
		n, err := port.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		decoder.Decode(buf[:n], time.Now())
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stick is still there: %v", err)
	}
}

func TestSimulateIsToldWhatIsWrong(t *testing.T) {
	for _, args := range [][]string{{}, {"dsmr"}, {"zwave", "x"}, {"--noise", "much", "dsmr", "x"}, {"dsmr", "x", "y"}} {
		if err := run(append([]string{"simulate"}, args...), nil, nil, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
