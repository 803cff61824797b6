package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A cable is the simulated end of a serial line: the master of a pty, with a
// link to its slave.
type cable struct {
	master *os.File
	link   string
}

// plug opens a pty and makes link point at it. A link that was left there by
// one that was killed is replaced.
func plug(link string) (*cable, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("simulator: open a pty: %w", err)
	}
	// The slave is not kept open: then the master knows whether anybody has
	// it, and nothing is stored for a reader that comes later.
	defer slave.Close()
	c := &cable{master: master, link: link}
	if err := errors.Join(makeRaw(slave), control(master, func(fd int) error { return unix.SetNonblock(fd, true) })); err != nil {
		master.Close()
		return nil, fmt.Errorf("simulator: set up the pty: %w", err)
	}
	if err := replaceLink(slave.Name(), link); err != nil {
		master.Close()
		return nil, fmt.Errorf("simulator: %w", err)
	}
	return c, nil
}

// unplug hangs up on whoever reads, and removes the link.
func (c *cable) unplug() error {
	return errors.Join(os.Remove(c.link), c.master.Close())
}

// write sends data if somebody has the port open, and returns how many bytes of
// it there was room for. It never blocks.
func (c *cable) write(data []byte) (n int, open bool, err error) {
	err = control(c.master, func(fd int) error {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if _, err := unix.Poll(poll, 0); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("simulator: poll the pty: %w", err)
		}
		if poll[0].Revents&unix.POLLHUP != 0 {
			return nil
		}
		open = true
		for n < len(data) {
			m, err := unix.Write(fd, data[n:])
			switch {
			case errors.Is(err, unix.EINTR):
			case errors.Is(err, unix.EAGAIN):
				return nil
			case err != nil:
				return fmt.Errorf("simulator: write to the pty: %w", err)
			default:
				n += m
			}
		}
		return nil
	})
	return n, open, err
}

// read returns some of what was sent to the stick, if anything was.
func (c *cable) read() []byte {
	var data []byte
	var buf [512]byte
	_ = control(c.master, func(fd int) error { // it fails while nobody has the port open
		for range 16 {
			n, err := unix.Read(fd, buf[:])
			if n <= 0 || err != nil {
				return err
			}
			data = append(data, buf[:n]...)
		}
		return nil
	})
	return data
}

// control calls f with the descriptor of file, without making it blocking.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = f(int(fd)) }); err != nil {
		return err
	}
	return result
}

// makeRaw turns off echo and every translation, as cfmakeraw(3) does. It
// belongs to the pty, not to the descriptor, and stays when slave is closed.
func makeRaw(slave *os.File) error {
	return control(slave, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		t.Cflag &^= unix.CSIZE | unix.PARENB
		t.Cflag |= unix.CS8
		t.Cc[unix.VMIN] = 1
		t.Cc[unix.VTIME] = 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, t)
	})
}

// replaceLink makes link point at target in one step. It replaces links only.
func replaceLink(target, link string) error {
	switch info, err := os.Lstat(link); {
	case err == nil && info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("link to the simulated stick: %s exists and is not a link; remove it or choose another path", link)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("link to the simulated stick: %w", err)
	}
	temporary := link + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link to the simulated stick: %w", err)
	}
	if err := os.Symlink(target, temporary); err != nil {
		return fmt.Errorf("link to the simulated stick: %w", err)
	}
	if err := os.Rename(temporary, link); err != nil {
		return fmt.Errorf("link to the simulated stick: %w", err)
	}
	return nil
}

// Serve plugs a stick in at link that a program of its own plays: serve reads what the stick
// is told and writes what it says, until ctx ends. It is for sticks that are more than frames.
func Serve(ctx context.Context, link string, serve func(context.Context, io.ReadWriter) error) error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("simulator: open a pty: %w", err)
	}
	// The slave is kept open: a reader that comes and goes is no end of the stick.
	defer slave.Close()
	defer master.Close()
	defer context.AfterFunc(ctx, func() { master.Close() })()
	if err := errors.Join(makeRaw(slave), control(master, func(fd int) error { return unix.SetNonblock(fd, true) })); err != nil {
		return fmt.Errorf("simulator: set up the pty: %w", err)
	}
	if err := replaceLink(slave.Name(), link); err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	defer os.Remove(link)
	if err := serve(ctx, master); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
