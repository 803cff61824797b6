package serialbridge

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var line8N1 = Line{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1}

// soon is how long a test waits for what must happen.
const soon = 10 * time.Second

func TestPortPieces(t *testing.T) {
	device, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	telegram := bytes.Repeat([]byte("\x00\x11\x13\x1b\xff1-0:1.8.1(000123.456*kWh)\r\n"), 40)
	got := make([]byte, len(telegram))
	read := beside(func() (int, error) { return io.ReadFull(p, got) })
	for piece := range slicesOf(telegram, 7) {
		if _, err := device.Write(piece); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	if r := receive(t, read, "the telegram"); r.err != nil {
		t.Fatal(r.err)
	}
	if !bytes.Equal(got, telegram) {
		t.Errorf("got %q, want %q", got, telegram)
	}

	if _, err := p.Write(telegram); err != nil {
		t.Fatal(err)
	}
	clear(got)
	if _, err := io.ReadFull(device, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, telegram) {
		t.Errorf("the device got %q, want %q", got, telegram)
	}
}

// A device that is silent for longer than the time-out of the line is neither
// the end of the file nor work for the processor.
func TestPortStall(t *testing.T) {
	device, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	buf := make([]byte, 10)
	before, start := cpu(t), time.Now()
	p.SetReadDeadline(start.Add(6 * readTimeout))
	if n, err := p.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Read of silence = %d, %v", n, err)
	}
	idle, used := time.Since(start), cpu(t)-before
	if idle < 6*readTimeout {
		t.Errorf("Read came back after %v", idle)
	}
	if used > idle/5 {
		t.Errorf("used %v of processor time in %v of silence", used, idle)
	}
	p.SetReadDeadline(time.Time{})
	device.Write([]byte("x"))
	if n, err := p.Read(buf); n != 1 || err != nil {
		t.Errorf("after the silence: %d, %v", n, err)
	}
}

func TestPortUnplugged(t *testing.T) {
	device, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	read := beside(func() (int, error) { return p.Read(make([]byte, 10)) })
	start := time.Now()
	device.Close()
	if r := receive(t, read, "Read to fail"); !errors.Is(r.err, ErrUnplugged) {
		t.Errorf("Read = %v, want ErrUnplugged", r.err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("noticed after %v", d)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, ErrUnplugged) {
		t.Errorf("Write = %v, want ErrUnplugged", err)
	}
	if err := p.SetLine(line8N1); !errors.Is(err, ErrUnplugged) {
		t.Errorf("SetLine = %v, want ErrUnplugged", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenPort(path, line8N1, PortOptions{}); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrUnplugged) {
		t.Errorf("OpenPort = %v", err)
	}
}

func TestPortCloseEndsRead(t *testing.T) {
	_, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	read := beside(func() (int, error) { return p.Read(make([]byte, 10)) })
	closed := beside(func() (int, error) { return 0, p.Close() })
	if r := receive(t, closed, "Close"); r.err != nil {
		t.Error(r.err)
	}
	if r := receive(t, read, "Read to end"); !errors.Is(r.err, os.ErrClosed) {
		t.Errorf("Read = %v, want os.ErrClosed", r.err)
	}
	for name, err := range map[string]error{
		"Read":    second(p.Read(make([]byte, 1))),
		"Write":   second(p.Write([]byte("x"))),
		"SetLine": p.SetLine(line8N1),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close = %v, want os.ErrClosed", name, err)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// Nobody reads at the device's end: the kernel's buffers fill up.
func TestPortWriteTimeout(t *testing.T) {
	device, path := openPTY(t)
	p := openPort(t, path, PortOptions{writeTimeout: 200 * time.Millisecond})
	flood := make([]byte, 1<<20)
	start := time.Now()
	n, err := p.Write(flood)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n >= len(flood) {
		t.Fatalf("Write = %d, %v", n, err)
	}
	if d := time.Since(start); d < 200*time.Millisecond || d > 5*time.Second {
		t.Errorf("Write took %v", d)
	}
	// The port is still good for a device that has come to its senses.
	got := make(chan struct{})
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := device.Read(buf)
			if err != nil {
				return
			}
			if bytes.ContainsRune(buf[:n], '!') {
				close(got)
				return
			}
		}
	}()
	if _, err := p.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	receive(t, got, "the device to get the next write")
}

func TestPortCloseEndsWrite(t *testing.T) {
	_, path := openPTY(t)
	p := openPort(t, path, PortOptions{writeTimeout: time.Hour})
	write := beside(func() (int, error) { return p.Write(make([]byte, 1<<20)) })
	closed := beside(func() (int, error) { return 0, p.Close() })
	if r := receive(t, closed, "Close"); r.err != nil {
		t.Error(r.err)
	}
	if r := receive(t, write, "Write to end"); !errors.Is(r.err, os.ErrClosed) {
		t.Errorf("Write = %v, want os.ErrClosed", r.err)
	}
}

func TestPortUnplugEndsWrite(t *testing.T) {
	device, path := openPTY(t)
	p := openPort(t, path, PortOptions{writeTimeout: time.Hour})
	write := beside(func() (int, error) { return p.Write(make([]byte, 1<<20)) })
	device.Close()
	if r := receive(t, write, "Write to end"); !errors.Is(r.err, ErrUnplugged) {
		t.Errorf("Write = %v, want ErrUnplugged", r.err)
	}
}

func TestPortIsExclusive(t *testing.T) {
	_, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	before := termiosOf(t, path)
	if _, err := OpenPort(path, Line{Baud: 9600, DataBits: 7, Parity: 'E', StopBits: 1}, PortOptions{}); err == nil ||
		!strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second OpenPort: %v", err)
	}
	if after := termiosOf(t, path); *after != *before {
		t.Errorf("the refused open changed the line from %+v to %+v", before, after)
	}
	p.Close()
	openPort(t, path, PortOptions{})
}

func TestPortLine(t *testing.T) {
	_, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	const mask = unix.CSIZE | unix.PARENB | unix.PARODD | unix.CSTOPB | unix.CRTSCTS
	for _, test := range []struct {
		line  Line
		cflag uint32
	}{
		{Line{115200, 8, 'N', 1, Hardware}, unix.CS8 | unix.CRTSCTS},
		{Line{1200, 7, 'E', 1, Hardware}, unix.CS7 | unix.PARENB | unix.CRTSCTS},
		{Line{250000, 8, 'O', 2, Hardware}, unix.CS8 | unix.PARENB | unix.PARODD | unix.CSTOPB | unix.CRTSCTS},
		{Line{31250, 8, 'N', 2, Hardware}, unix.CS8 | unix.CSTOPB | unix.CRTSCTS},
	} {
		if err := p.SetLine(test.line); err != nil {
			t.Errorf("%v: %v", test.line, err)
			continue
		}
		got := termiosOf(t, path)
		// A pty forces eight bits without parity; all else is kept as on a real port.
		want := test.cflag | unix.CRTSCTS
		ptyMask := uint32(mask &^ (unix.CSIZE | unix.PARENB))
		if got.Cflag&ptyMask != want&ptyMask || got.Ospeed != uint32(test.line.Baud) {
			t.Errorf("%v: cflag %#o, want %#o; speed %d", test.line, got.Cflag&mask, want, got.Ospeed)
		}
		tio, err := test.line.termios()
		if err != nil || tio.Cflag&mask != test.cflag {
			t.Errorf("%v: termios cflag %#o, want %#o (%v)", test.line, tio.Cflag&mask, test.cflag, err)
		}
		if got.Lflag != 0 || got.Oflag != 0 || got.Cc[unix.VMIN] != 0 || got.Cc[unix.VTIME] != 1 {
			t.Errorf("%v: not raw: %+v", test.line, got)
		}
	}
	for _, bad := range []Line{{}, {0, 8, 'N', 1, NoFlow}, {9600, 9, 'N', 1, NoFlow}, {9600, 8, 'M', 1, NoFlow}, {9600, 8, 'N', 3, NoFlow}, {-1, 8, 'N', 1, NoFlow}} {
		if err := p.SetLine(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestPortDropsStaleInput(t *testing.T) {
	device, path := openPTY(t)
	hold, err := os.OpenFile(path, unix.O_RDWR|unix.O_NOCTTY, 0) // keeps the input
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	device.Write([]byte("old\n"))
	var pending int
	for start := time.Now(); pending == 0 && time.Since(start) < soon; {
		pending, _ = unix.IoctlGetInt(int(hold.Fd()), unix.TIOCINQ)
	}
	if pending == 0 {
		t.Fatal("the old input did not arrive")
	}
	p := openPort(t, path, PortOptions{})
	device.Write([]byte("new"))
	buf := make([]byte, 10)
	if n, err := p.Read(buf); err != nil || !bytes.HasPrefix([]byte("new"), buf[:n]) {
		t.Errorf("Read = %q, %v", buf[:n], err)
	}
}

// Another program sets a line to return at once: that must neither be taken for
// an unplug nor spin.
func TestPortBesideAnotherProgram(t *testing.T) {
	device, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	meddle(t, path, 0, 0)
	before, start := cpu(t), time.Now()
	p.SetReadDeadline(start.Add(5 * readTimeout))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v", err)
	}
	if used, idle := cpu(t)-before, time.Since(start); used > idle/5 {
		t.Errorf("used %v of processor time in %v", used, idle)
	}
	p.SetReadDeadline(time.Time{})
	device.Write([]byte("x"))
	if n, err := p.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("Read = %d, %v", n, err)
	}
}

// With the time-out taken away a Read that finds nothing, because another program was
// faster, waits for ever, and tarm's Close for it.
func TestPortCloseHangsUp(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatal("hanging up needs root")
		}
		t.Skip("hanging up needs root")
	}
	_, path := openPTY(t)
	p := openPort(t, path, PortOptions{})
	meddle(t, path, 1, 0)
	read := beside(func() (int, error) { return p.tty.Read(make([]byte, 1)) })
	select {
	case r := <-read:
		t.Fatalf("Read is not stuck: %v", r.err)
	case <-time.After(5 * readTimeout):
	}
	closed := beside(func() (int, error) { return 0, p.Close() })
	if r := receive(t, closed, "Close"); r.err != nil {
		t.Error(r.err)
	}
	receive(t, read, "Read to end")
	openPort(t, path, PortOptions{})
}

func TestPortReopens(t *testing.T) {
	keepGarbage(t)
	device, path := openPTY(t)
	openPort(t, path, PortOptions{}).Close() // the first one starts Go's poller
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 10 {
		p := openPort(t, path, PortOptions{})
		device.Write([]byte("x"))
		if n, err := p.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	noLeak(t, files, goroutines)
}

func TestPortOfSomethingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	files := openFiles(t)
	for path, want := range map[string]string{
		"/dev/null":          "is not a serial port",
		file:                 "is not a serial port",
		"/dev/ttyNotThere17": "no such file",
	} {
		if _, err := OpenPort(path, line8N1, PortOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	_, path := openPTY(t)
	if _, err := OpenPort(path, Line{Baud: 1}, PortOptions{}); err == nil {
		t.Error("a bad line was taken")
	}
	if n := openFiles(t); n != files+1 { // the device's end of the pty
		t.Errorf("%d files are open, were %d", n, files)
	}
}
