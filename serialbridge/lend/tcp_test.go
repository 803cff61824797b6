package lend

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// lent is a driver that runs, at an address of this machine.
type lent struct {
	*stick
	address string
	sink    *ledger
	result  chan error
}

// freeAddress returns one that nobody uses now. It is none of 127.0.0.1, whose free ports
// other tests are given meanwhile.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.5:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().String()
}

// lend makes a driver and runs it until the test ends.
func lend(t *testing.T, o Options) *lent {
	t.Helper()
	o.Listen = freeAddress(t)
	return run(t, Driver(o), o.Listen)
}

// run runs a driver that lends at an address until the test ends.
func run(t *testing.T, d serialbridge.Driver, address string) *lent {
	t.Helper()
	l := &lent{stick: newStick(), address: address, sink: newLedger(), result: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { l.result <- d.Run(ctx, l.stick, l.sink, nil) }()
	t.Cleanup(func() {
		cancel()
		l.stick.Close()
		select {
		case <-l.result:
		case <-time.After(soon):
			t.Error("the driver does not end")
		}
		if r := l.sink.soFar(); r.Disorder != "" {
			t.Error(r.Disorder)
		}
	})
	l.sink.awaitClient(t, "") // it listens
	return l
}

func (l *lent) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(soon))
	return c.(*net.TCPConn)
}

// lease dials and waits until it is said who has the port.
func (l *lent) lease(t *testing.T) *net.TCPConn {
	t.Helper()
	c := l.dial(t)
	l.sink.awaitClient(t, c.LocalAddr().String())
	return c
}

func refused(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// noise is bytes that cannot be mistaken for others.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256([]byte{seed})).Read(b)
	return b
}

// Nothing is lost or mixed up, however the pieces fall.
func TestTransfer(t *testing.T) {
	for _, telnet := range []bool{false, true} {
		t.Run(fmt.Sprintf("telnet=%v", telnet), func(t *testing.T) {
			const size = 1 << 20
			l := lend(t, Options{RFC2217: telnet})
			c := l.lease(t)
			up, down := noise(1, size), noise(2, size)

			result := make(chan error, 4)
			check := func(what string, r io.Reader, want []byte) {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(r, got); err != nil {
					result <- fmt.Errorf("%s: %w", what, err)
					return
				}
				if !bytes.Equal(got, want) {
					result <- fmt.Errorf("%s: other bytes", what)
					return
				}
				result <- nil
			}
			fromStick, toStick := io.Reader(c), down
			if telnet {
				agreeOnBinary(t, c)
				fromStick = &telnetReader{from: c, p: parser{binary: true}}
				toStick = new(escaper).escape(nil, down, true)
			}
			go func() { _, err := l.far.Write(up); result <- err }()
			go func() { _, err := c.Write(toStick); result <- err }()
			go check("from the stick", fromStick, up)
			go check("to the stick", l.heard, down)
			for range 4 {
				if err := <-result; err != nil {
					t.Error(err)
				}
			}
			c.Close()
			l.sink.awaitClient(t, "")
			if last := l.sink.last(); last[keyReceived] != int64(size) || last[keySent] != int64(size) {
				t.Errorf("counted %v", last)
			}
		})
	}
}

// agreeOnBinary agrees to what a client is offered and asks for something, so that
// it is known when that has been heard.
func agreeOnBinary(t *testing.T, c net.Conn) {
	t.Helper()
	ask := append([]byte{iac, do, optionBinary, iac, will, optionBinary}, subnegotiation(optionComPort, comSetDataSize, 0)...)
	if _, err := c.Write(ask); err != nil {
		t.Fatal(err)
	}
	want := append(offers(), subnegotiation(optionComPort, fromServer+comSetDataSize, 8)...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got % X, want % X; %v", got, want, err)
	}
}

// telnetReader reads the data of a telnet connection.
type telnetReader struct {
	from io.Reader
	p    parser
	data []byte
}

func (r *telnetReader) Read(b []byte) (int, error) {
	for len(r.data) == 0 {
		buf := make([]byte, 4096)
		n, err := r.from.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			var data []byte
			data, _, rest = r.p.step(rest)
			r.data = append(r.data, data...)
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(b, r.data)
	r.data = r.data[n:]
	return n, nil
}

// All that a client says before it hangs up reaches the stick.
func TestHangUp(t *testing.T) {
	l := lend(t, Options{})
	c := l.lease(t)
	want := noise(3, 32<<10)
	if _, err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	c.Close()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(l.heard, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, or other bytes", err)
	}
	l.sink.awaitClient(t, "")
}

// One who says that he has said all gets the answer to it.
func TestLastAnswer(t *testing.T) {
	l := lend(t, Options{})
	c := l.lease(t)
	io.WriteString(c, "well?")
	c.CloseWrite()
	got := make([]byte, 5)
	if _, err := io.ReadFull(l.heard, got); err != nil || string(got) != "well?" {
		t.Errorf("stick got %q, %v", got, err)
	}
	io.WriteString(l.far, "answer")
	if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	l.sink.awaitClient(t, "")
}

// What went through a port does not fall when its stick comes back.
func TestCounters(t *testing.T) {
	o := Options{Listen: freeAddress(t)}
	d := Driver(o)
	l := run(t, d, o.Listen)
	c := l.lease(t)
	io.WriteString(c, "12345")
	if _, err := io.ReadFull(l.heard, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.sink.awaitClient(t, "")
	l.far.CloseWithError(serialbridge.ErrUnplugged)
	err := <-l.result
	l.result <- err
	l = run(t, d, o.Listen)
	if last := l.sink.last(); last[keySent] != int64(5) || last[keyReceived] != int64(0) {
		t.Errorf("after a replug: %v", last)
	}
}

func TestSecondClient(t *testing.T) {
	l := lend(t, Options{})
	first := l.lease(t)
	refused(t, l.dial(t))
	if r := l.sink.soFar(); len(r.Overheard) != 1 || r.Overheard[0] != "a second client was refused: 127.0.0.1 has the port" {
		t.Errorf("ignored %q", r.Overheard)
	}
	io.WriteString(first, "still here")
	got := make([]byte, 10)
	if _, err := io.ReadFull(l.heard, got); err != nil || string(got) != "still here" {
		t.Errorf("stick got %q, %v", got, err)
	}
	// Coming back at once is no second client.
	for range 20 {
		first.Close()
		first = l.lease(t)
	}
	if r := l.sink.soFar(); len(r.Overheard) != 1 {
		t.Errorf("ignored %q", r.Overheard)
	}
}

func TestNotAllowed(t *testing.T) {
	l := lend(t, Options{Allow: []string{"192.0.2.0/24"}})
	refused(t, l.dial(t))
	l.sink.await(t, "a refusal", func(r drivertest.Recorder) bool {
		return len(r.Overheard) == 1 && r.Overheard[0] == "a client was refused: 127.0.0.1 is not in an allowed network"
	})
	if l.sink.last()[keyClient] != "" {
		t.Error("it has the port")
	}
}

func TestStickGone(t *testing.T) {
	l := lend(t, Options{})
	c := l.lease(t)
	go func() {
		io.WriteString(l.far, "last words")
		l.far.CloseWithError(serialbridge.ErrUnplugged)
	}()
	if got, err := io.ReadAll(c); string(got) != "last words" || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	err := <-l.result
	l.result <- err
	if !errors.Is(err, serialbridge.ErrUnplugged) {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", l.address); err == nil {
		c.Close()
		t.Error("still listens")
	}
}

func TestAddressInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = Driver(Options{Listen: other.Addr().String()}).Run(t.Context(), newStick(), newLedger(), nil)
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "choose an address") {
		t.Error(err)
	}
}

// What frees the port of a client whose machine is gone cannot be seen without
// pulling its cable; that the kernel is told can.
func TestDeadClient(t *testing.T) {
	listener, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	raw, err := accepted.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for _, option := range []struct {
			name        string
			level, what int
			want        int
		}{
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
			{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
			{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30000},
		} {
			if got, err := unix.GetsockoptInt(int(fd), option.level, option.what); got != option.want || err != nil {
				t.Errorf("%s is %d, want %d; %v", option.name, got, option.want, err)
			}
		}
	})
}

func TestCheck(t *testing.T) {
	for _, o := range []Options{
		{Listen: ":4001"},
		{Listen: "127.0.0.1:4001", RFC2217: true, Line: "9600 7E1", Idle: time.Minute, Allow: []string{"192.168.1.0/24", "10.0.0.1", "fd00::/8", "::1"}},
		{Listen: "[::1]:65535"},
	} {
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, test := range []struct {
		o    Options
		says string
	}{
		{Options{}, "listen"},
		{Options{Listen: "4001"}, "listen"},
		{Options{Listen: "127.0.0.1"}, "listen"},
		{Options{Listen: ":0"}, "port"},
		{Options{Listen: ":65536"}, "port"},
		{Options{Listen: ":http"}, "port"},
		{Options{Listen: ":1", Idle: 60}, "unit"},
		{Options{Listen: ":1", Idle: -time.Minute}, "idle"},
		{Options{Listen: ":1", Line: "9600"}, "line"},
		{Options{Listen: ":1", Allow: []string{"everybody"}}, "allow"},
		{Options{Listen: ":1", Allow: []string{"10.0.0.0/33"}}, "allow"},
		{Options{Listen: ":1", Allow: []string{"::ffff:10.0.0.1"}}, "allow"},
		{Options{Listen: ":1", Allow: []string{"fe80::1%eth0"}}, "allow"},
	} {
		if err := test.o.Check(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test.o, err)
		}
		if err := Driver(test.o).Run(t.Context(), nil, nil, nil); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: run: %v", test.o, err)
		}
	}
}
