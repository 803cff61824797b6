//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCPKT, 1) // see waitFlush
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

// openFor is what a program that opens a port may take until it throws away what
// was received so far. Lintel does that ([serialbridge.OpenPort]); one that does
// not gets what is played after this time.
const openFor = 2 * time.Second

// waitFlush waits until the other end threw away what it had received, so that it
// does not do so with the first pieces. What it writes is read and dropped from
// then on, until it closes.
func waitFlush(ctx context.Context, master *os.File) error {
	flushed := make(chan struct{}, 1)
	go func() {
		// In packet mode a Read begins with a byte of what the other end did
		// (ioctl_tty(2), TIOCPKT).
		for b := make([]byte, 4096); ; {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			if n > 0 && b[0]&unix.TIOCPKT_FLUSHREAD != 0 {
				select {
				case flushed <- struct{}{}:
				default:
				}
			}
		}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-flushed:
	case <-time.After(openFor):
	}
	return nil
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
	if err := waitFlush(ctx, master); err != nil {
		return err
	}
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
