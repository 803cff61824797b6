package serialbridge

import (
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openPTY returns the device's side of a pty and the path of the port's side.
func openPTY(t *testing.T) (device *os.File, path string) {
	t.Helper()
	device, port, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	path = port.Name()
	port.Close()
	return device, path
}

func openPort(t *testing.T, path string, o PortOptions) *TTY {
	t.Helper()
	p, err := OpenPort(path, line8N1, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// result of a call that runs beside the test.
type result struct {
	n   int
	err error
}

func beside(f func() (int, error)) <-chan result {
	c := make(chan result, 1)
	go func() {
		n, err := f()
		c <- result{n, err}
	}()
	return c
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(soon):
		buf := make([]byte, 1<<16)
		t.Fatalf("waited in vain for %s\n%s", what, buf[:runtime.Stack(buf, true)])
		panic("unreachable")
	}
}

// cpu is the processor time that this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// keepGarbage stops the collector, which would close forgotten files.
func keepGarbage(t *testing.T) {
	before := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// noLeak waits until there are no more open files and goroutines than there
// were: the last ones may be just about to end.
func noLeak(t *testing.T, files, goroutines int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(soon)
	for {
		f, g := openFiles(t), runtime.NumGoroutine()
		if f <= files && g <= goroutines {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("%d files are open, were %d; %d goroutines, were %d", f, files, g, goroutines)
			return
		}
	}
}

func termiosOf(t *testing.T, path string) *unix.Termios {
	t.Helper()
	f, err := os.OpenFile(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tio, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS2)
	if err != nil {
		t.Fatal(err)
	}
	return tio
}

// meddle changes the time-out of the line as another program might.
func meddle(t *testing.T, path string, vmin, vtime uint8) {
	t.Helper()
	tio := termiosOf(t, path)
	tio.Cc[unix.VMIN], tio.Cc[unix.VTIME] = vmin, vtime
	f, err := os.OpenFile(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS2, tio); err != nil {
		t.Fatal(err)
	}
}

func slicesOf(b []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			k := min(n, len(b))
			if !yield(b[:k]) {
				return
			}
			b = b[k:]
		}
	}
}

func second(_ int, err error) error { return err }
