package serialbridge

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"

	"lintel/hardware"
)

// ErrUnplugged means that the stick behind a port is gone. The port is of no
// more use; when the stick comes back it is opened anew.
var ErrUnplugged = errors.New("the stick was unplugged")

const (
	// readTimeout is the shortest that termios can do (VTIME 1). Never
	// without: a Read that waits for ever makes tarm's Close wait for ever.
	readTimeout = 100 * time.Millisecond

	// closeTimeout is what Close waits for a Read to come back before it
	// hangs up the line.
	closeTimeout = time.Second

	defaultWriteTimeout = 5 * time.Second
)

// PortOptions of OpenPort.
type PortOptions struct {
	writeTimeout time.Duration       // for one Write; zero is 5 s
	USB          hardware.SerialPort // what is told by TTY.USB

	// Observe is told what was read and written, and each setting of the line;
	// data is good only until it returns. It must not block. nil: nobody is.
	Observe func(kind ChunkKind, data []byte)
}

func (o *PortOptions) observe(kind ChunkKind, data []byte) {
	if o.Observe != nil {
		o.Observe(kind, data)
	}
}

// TTY is a serial port of this machine, or a pty: a Port over tarm/serial. One
// goroutine may read while another one writes; all else may be called at any
// time.
//
// A second descriptor on the same node, side, does what tarm/serial cannot.
// termios belongs to the line and not to the descriptor, so what is set there
// holds for both. Writing goes through it as well, and waiting for something to
// read: it is non-blocking, so that a device that takes no data costs a time-out,
// where a Write of tarm/serial could not be ended at all.
type TTY struct {
	path   string
	tty    *serial.Port
	side   *os.File
	o      PortOptions
	closed chan struct{}

	mu       sync.Mutex // guards line, deadline, and side's write deadline against Close
	line     Line
	deadline time.Time

	closeOnce sync.Once
	closeErr  error
}

var _ Port = (*TTY)(nil)

// OpenPort opens a serial port and throws away what it has received so far.
func OpenPort(path string, l Line, o PortOptions) (*TTY, error) {
	if o.writeTimeout <= 0 {
		o.writeTimeout = defaultWriteTimeout
	}
	// Both descriptors must be of the same node, also when path is a link
	// that is just being changed.
	node, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("open the port: %w", err)
	}
	p := &TTY{path: path, o: o, closed: make(chan struct{})}
	if err := p.open(node, l); err != nil {
		if p.tty != nil {
			p.tty.Close()
		}
		if p.side != nil {
			p.side.Close()
		}
		return nil, fmt.Errorf("open the port: %w", err)
	}
	return p, nil
}

func (p *TTY) open(node string, l Line) (err error) {
	p.side, err = os.OpenFile(node, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (add the user to the group that owns it, usually dialout)", err)
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s: %w", p.path, ErrUnplugged)
	case err != nil:
		return err
	}
	// The lock comes before anything is set: the port may be in the middle of
	// another program's work. TIOCEXCL would not keep root out.
	err = p.control(func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is in use by another process (stop that one, or take the port out of its settings)", p.path)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", p.path, err)
	}
	err = p.alive()
	if errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%s is not a serial port", p.path)
	}
	if err != nil {
		return err
	}
	if err := p.side.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	// tarm/serial knows a few baud rates only; SetLine sets the real one.
	p.tty, err = serial.OpenPort(&serial.Config{Name: node, Baud: 9600, ReadTimeout: readTimeout})
	if err != nil {
		return err
	}
	if err := p.SetLine(l); err != nil {
		return err
	}
	// What came before is from another time or at another speed.
	return p.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH) })
}

// control calls f with the side descriptor.
func (p *TTY) control(f func(fd int) error) error {
	conn, err := p.side.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := conn.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

// alive asks the line for its settings: it answers EIO when it is hung up.
func (p *TTY) alive() error {
	return p.failure("ask", p.control(func(fd int) error {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	}))
}

// failure gives an error of the system the meaning that it has here.
func (p *TTY) failure(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case p.isClosed():
		return fmt.Errorf("%s %s: %w", doing, p.path, os.ErrClosed)
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s %s: %w", doing, p.path, ErrUnplugged)
	}
	return fmt.Errorf("%s %s: %w", doing, p.path, err)
}

func (p *TTY) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// SetLine changes the setting of the line.
func (p *TTY) SetLine(l Line) error {
	t, err := l.termios()
	if err != nil {
		return fmt.Errorf("set %s: %w", p.path, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.control(func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS2, &t) }); err != nil {
		return p.failure("set", err)
	}
	p.line = l
	p.o.observe(LineSet, []byte(l.String()))
	return nil
}

// USB tells which stick it is; it is empty if USB does not know.
func (p *TTY) USB() hardware.SerialPort { return p.o.USB }

// SetReadDeadline makes Read fail with os.ErrDeadlineExceeded from t on. The zero
// time means never. A Read that is waiting follows.
func (p *TTY) SetReadDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.side.SetReadDeadline(t)
}

func (p *TTY) expired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.deadline.IsZero() && !time.Now().Before(p.deadline)
}

// Read waits for at least one byte. It fails with ErrUnplugged when the stick is
// gone and with os.ErrClosed after Close.
func (p *TTY) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if p.isClosed() {
			return 0, fmt.Errorf("read %s: %w", p.path, os.ErrClosed)
		}
		if p.expired() {
			return 0, fmt.Errorf("read %s: %w", p.path, os.ErrDeadlineExceeded)
		}
		switch err := p.ready(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue // p is closed, or the deadline has passed or was changed
		case err != nil:
			return 0, p.failure("read", err)
		}
		start := time.Now()
		n, err := p.tty.Read(b)
		if n > 0 {
			p.o.observe(Received, b[:n])
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, p.failure("read", err)
		}
		// io.EOF is the time-out, or a line that is hung up: that one says so
		// at once and for ever.
		if err := p.alive(); err != nil {
			return 0, err
		}
		if time.Since(start) < readTimeout/2 {
			// Alive and yet no wait: another program (stty) has
			// changed the time-out of the line.
			if err := p.restore(); err != nil {
				return 0, err
			}
		}
	}
}

// ready waits in Go's poller until there is something to read, or the line is hung up.
// A Read of tarm/serial that waits ten times a second holds a thread and keeps the
// scheduler awake: sixteen idle sticks took 4000 context switches a second so.
func (p *TTY) ready() error {
	conn, err := p.side.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// restore sets the line as it should be, and waits a moment lest a quarrel over
// the settings takes all the processor.
func (p *TTY) restore() error {
	p.mu.Lock()
	l := p.line
	p.mu.Unlock()
	if err := p.SetLine(l); err != nil {
		return err
	}
	select {
	case <-p.closed:
	case <-time.After(readTimeout):
	}
	return nil
}

// Write returns when the kernel has taken all of b. When the device takes no
// data for longer than the write timeout it fails with os.ErrDeadlineExceeded
// and drops what the device has not taken.
func (p *TTY) Write(b []byte) (int, error) {
	p.mu.Lock()
	if p.isClosed() {
		p.mu.Unlock()
		return 0, fmt.Errorf("write %s: %w", p.path, os.ErrClosed)
	}
	p.side.SetWriteDeadline(time.Now().Add(p.o.writeTimeout))
	p.mu.Unlock()
	n, err := p.side.Write(b)
	if n > 0 {
		p.o.observe(Sent, b[:n])
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !p.isClosed() {
		p.dropOutput()
		return n, fmt.Errorf("write %s: the device took no data for %v: %w", p.path, p.o.writeTimeout, os.ErrDeadlineExceeded)
	}
	return n, p.failure("write", err)
}

// dropOutput throws away what the device has not taken. It can only fail on a
// line that is gone.
func (p *TTY) dropOutput() {
	_ = p.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH) })
}

// Close ends Read and Write and drops output that was not taken yet: the kernel
// would wait up to 30 s for it. It returns within about two seconds whatever
// the line does.
func (p *TTY) Close() error {
	p.closeOnce.Do(func() { p.closeErr = p.close() })
	return p.closeErr
}

func (p *TTY) close() error {
	p.mu.Lock()
	close(p.closed)
	p.side.SetDeadline(time.Unix(1, 0))
	p.mu.Unlock()
	p.dropOutput()

	// tarm's Close waits for the Read that is under way: 100 ms, unless
	// another program took away the time-out. Then only hanging up helps,
	// which needs CAP_SYS_ADMIN.
	done := make(chan error, 1)
	go func() { done <- p.tty.Close() }()
	err := errors.New("a read does not end")
	select {
	case err = <-done:
	case <-time.After(closeTimeout):
		_ = p.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCVHANGUP, 0) })
		select {
		case err = <-done:
		case <-time.After(closeTimeout):
		}
	}
	// The side descriptor must go too: while it is open the kernel keeps the
	// port's name, and the same stick comes back under another one.
	if serr := p.side.Close(); err == nil {
		err = serr
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", p.path, err)
	}
	return nil
}
