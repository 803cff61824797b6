package lend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/creack/pty"

	"lintel/serialbridge"
)

// The same over a port of the kernel.
func TestTTY(t *testing.T) {
	device, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	path := slave.Name()
	slave.Close()
	port, err := serialbridge.OpenPort(path, line9600, serialbridge.PortOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	o := Options{Listen: freeAddress(t), RFC2217: true}
	l := &lent{address: o.Listen, sink: newLedger(), result: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { l.result <- Driver(o).Run(ctx, port, l.sink, nil) }()
	l.sink.awaitClient(t, "")

	c := l.lease(t)
	agreeOnBinary(t, c)
	up, down := noise(4, 64<<10), noise(5, 64<<10)
	// A pty takes 4 KiB and then waits for who reads.
	go device.Write(up)
	go c.Write(new(escaper).escape(nil, down, true))
	heard := make(chan []byte, 1)
	go func() {
		got := make([]byte, len(down))
		io.ReadFull(device, got)
		heard <- got
	}()
	got := make([]byte, len(up))
	if _, err := io.ReadFull(&telnetReader{from: c, p: parser{binary: true}}, got); err != nil || !bytes.Equal(got, up) {
		t.Errorf("from the stick: %v, or other bytes", err)
	}
	select {
	case got := <-heard:
		if !bytes.Equal(got, down) {
			t.Error("to the stick: other bytes")
		}
	case <-time.After(soon):
		t.Fatal("the stick does not hear all")
	}

	device.Close()
	if err := <-l.result; !errors.Is(err, serialbridge.ErrUnplugged) {
		t.Error(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the client: %v", err)
	}
	if l.sink.last()[keyClient] != "" {
		t.Error("the lease goes on")
	}
}
