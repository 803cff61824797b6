//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"lintel/serialbridge"
)

func replayCommand() command {
	return command{
		name:  "replay",
		args:  "CAPTURE PATH",
		short: "plug in a stick that says what a captured one said, at its times",
		long: `It begins when somebody opens PATH, which a [[serial.ports]] of a box on this machine may name, and ends when that
one has closed it after the last word. Only what came of the stick is said: what it is asked is not answered.

	lintelctl capture --box http://lintel.local > capture.txt
	lintelctl replay --speed 10 capture.txt /tmp/meter`,
		define: replay,
	}
}

// replay plays a capture onto a pty.
func replay(flags *flag.FlagSet) action {
	speed := flags.Float64("speed", 1, "`times` as fast as it was; 0: as fast as it is read")
	return func(c *call, args []string) error {
		switch {
		case len(args) != 2:
			return fmt.Errorf("replay takes a capture and a path: %w", errUsage)
		case *speed < 0:
			return fmt.Errorf("--speed is not negative: %w", errUsage)
		}
		var chunks []serialbridge.Chunk
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		err = serialbridge.ReadCapture(f, func(k serialbridge.Chunk) error {
			if k.Kind == serialbridge.Received {
				k.Data = append([]byte(nil), k.Data...)
				chunks = append(chunks, k)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		master, err := plugPTY(args[1])
		if err != nil {
			return err
		}
		defer func() { os.Remove(args[1]); master.Close() }()
		ctx, stop := interruptible()
		defer stop()
		fmt.Fprintf(c.diagnostics, "%d pieces wait at %s\n", len(chunks), args[1])
		err = play(ctx, master, chunks, *speed)
		if ctx.Err() != nil {
			return nil // whoever interrupts it has enough
		}
		return err
	}
}

// plugPTY opens a pty whose other end is at path.
func plugPTY(path string) (*os.File, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer slave.Close() // so that it shows whether somebody else has it
	settings, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		settings.Iflag, settings.Oflag, settings.Lflag = 0, 0, 0 // as bytes come
		settings.Cflag = settings.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CREAD
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, settings)
	}
	if err == nil {
		err = os.Symlink(slave.Name(), path)
	}
	if err != nil {
		master.Close()
		return nil, err
	}
	return master, nil
}

// waitPTY waits until somebody has the other end, or nobody has.
func waitPTY(ctx context.Context, master *os.File, somebody bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		poll := []unix.PollFd{{Fd: int32(master.Fd())}}
		if _, err := unix.Poll(poll, 0); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if open := poll[0].Revents&unix.POLLHUP == 0; open == somebody {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// play writes pieces at their times.
func play(ctx context.Context, master *os.File, chunks []serialbridge.Chunk, speed float64) error {
	if err := waitPTY(ctx, master, true); err != nil {
		return err
	}
	go io.Copy(io.Discard, master) // what the stick is asked
	begun := time.Now()
	for _, k := range chunks {
		if speed > 0 {
			at := begun.Add(time.Duration(float64(k.Time.Sub(chunks[0].Time)) / speed))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(at)):
			}
		}
		if _, err := master.Write(k.Data); err != nil {
			return err
		}
	}
	return waitPTY(ctx, master, false)
}
