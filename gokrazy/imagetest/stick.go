package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

// stick is the socket, in the directory of a machine, that is the other end of a
// serial line. The machine has that FTDI stick while somebody is connected.
func stick(i int) string { return fmt.Sprintf("stick%d.sock", i) }

// plugIn plugs meter i into the machine, which sends telegram once a second, as
// meters do, until the returned function is called. The meter stays in the machine
// while that reboots.
func (m *machine) plugIn(ctx context.Context, i int, telegram []byte) (unplug func(), err error) {
	line, err := m.dial(i)
	if err != nil {
		return nil, fmt.Errorf("plug in the meter: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			if line == nil {
				line, _ = m.dial(i) // nil while QEMU is not there
			}
			if line != nil {
				// A machine that does not read must not hold up the
				// end of the test.
				line.SetWriteDeadline(time.Now().Add(5 * time.Second))
				_, err := line.Write(telegram)
				if timeout, ok := err.(net.Error); err != nil && !(ok && timeout.Timeout()) {
					line.Close()
					line = nil
				}
			}
			select {
			case <-ctx.Done():
				if line != nil {
					line.Close()
				}
				return
			case <-second.C:
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

// dial takes the other end of the line of stick i.
func (m *machine) dial(i int) (net.Conn, error) {
	line, err := net.Dial("unix", filepath.Join(m.dir, stick(i)))
	if err != nil {
		return nil, err
	}
	// Until a program has set the line to raw Linux echoes what it hears.
	// While nobody reads that, QEMU stops the whole machine.
	go io.Copy(io.Discard, line)
	return line, nil
}
