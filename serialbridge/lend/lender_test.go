package lend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

// stick is a port whose far end is a test.
type stick struct {
	toDriver *io.PipeReader
	far      *io.PipeWriter // what the stick says
	heard    *io.PipeReader // what is said to it
	fromUs   *io.PipeWriter

	mu    sync.Mutex
	lines []serialbridge.Line // as they were set
}

func newStick() *stick {
	s := &stick{}
	s.toDriver, s.far = io.Pipe()
	s.heard, s.fromUs = io.Pipe()
	return s
}

func (s *stick) Read(p []byte) (int, error)  { return s.toDriver.Read(p) }
func (s *stick) Write(p []byte) (int, error) { return s.fromUs.Write(p) }

func (s *stick) SetLine(l serialbridge.Line) error {
	if _, err := serialbridge.ParseLine(l.String()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, l)
	return nil
}

func (s *stick) line() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		return ""
	}
	return s.lines[len(s.lines)-1].String()
}

func (s *stick) Close() error {
	s.heard.CloseWithError(serialbridge.ErrUnplugged)
	return s.far.CloseWithError(serialbridge.ErrUnplugged)
}

// door is a listener of connections within the test.
type door struct {
	arriving chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newDoor() *door { return &door{arriving: make(chan net.Conn), closed: make(chan struct{})} }

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.arriving:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

func (d *door) Addr() net.Addr { return &net.TCPAddr{} }

// visitor is a connection that says where it comes from.
type visitor struct {
	net.Conn
	from string
}

func (v visitor) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", v.from)
	if err != nil {
		panic(err)
	}
	return a
}

// client is the far end of a visitor. It reads all that it is sent.
type client struct {
	net.Conn
	mu   sync.Mutex
	got  bytes.Buffer
	gone bool
}

// come connects from an address and returns a client that reads.
func (d *door) come(from string) *client {
	c := d.comeSilently(from)
	go func() {
		buf := make([]byte, 512)
		for {
			n, err := c.Read(buf)
			c.mu.Lock()
			c.got.Write(buf[:n])
			c.gone = err != nil
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	synctest.Wait()
	return c
}

// comeSilently returns a client that takes nothing.
func (d *door) comeSilently(from string) *client {
	near, far := net.Pipe()
	d.arriving <- visitor{near, from}
	synctest.Wait()
	return &client{Conn: far}
}

// hangUp ends the connection and waits until the lease has ended.
func (c *client) hangUp() {
	c.Close()
	<-time.After(defaultTiming().linger)
	synctest.Wait()
}

// received returns what came since the last call, and whether that was all.
func (c *client) received() (string, bool) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.got.Reset()
	return c.got.String(), c.gone
}

// house is a lender within a synctest bubble.
type house struct {
	*stick
	*door
	sink   *ledger
	end    context.CancelFunc
	result chan error
}

func lendIn(t *testing.T, l *lender) *house {
	t.Helper()
	h := &house{stick: newStick(), door: newDoor(), sink: newLedger(), result: make(chan error, 1)}
	l.port, l.sink, l.line, l.t, l.counted = h.stick, h.sink, line9600, defaultTiming(), &counters{}
	l.allowed, _ = networks(nil)
	var ctx context.Context
	ctx, h.end = context.WithCancel(t.Context())
	go func() { h.result <- l.serve(ctx, h.door) }()
	synctest.Wait()
	return h
}

// leave ends the lender and checks that it ends well.
func (h *house) leave(t *testing.T) {
	t.Helper()
	h.end()
	h.stick.Close()
	if err := <-h.result; !errors.Is(err, context.Canceled) && !errors.Is(err, serialbridge.ErrUnplugged) {
		t.Error(err)
	}
	select {
	case <-h.door.closed:
	default:
		t.Error("still listens")
	}
	if last := h.last(); last[keyClient] != "" || h.sink.soFar().Disorder != "" {
		t.Errorf("at the end: %v %s", last, h.sink.soFar().Disorder)
	}
}

// last returns what was published last.
func (h *house) last() map[string]any {
	synctest.Wait()
	return h.sink.last()
}

// say is what the stick says, once it has been read.
func (h *house) say(s string) {
	io.WriteString(h.far, s)
	synctest.Wait()
}

// hear returns what was said to the stick.
func (h *house) hear(t *testing.T, n int) string {
	t.Helper()
	buf := make([]byte, n)
	if _, err := io.ReadFull(h.heard, buf); err != nil {
		t.Fatal(err)
	}
	return string(buf)
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		if d, ok := h.sink.soFar().Devices["lend"]; !ok || len(d.Properties) != 3 || h.last()[keyClient] != "" {
			t.Fatalf("devices %+v, %v", h.sink.soFar().Devices, h.last())
		}
		h.say("nobody hears this")
		a := h.come("192.168.1.5:1000")
		if h.last()[keyClient] != "192.168.1.5:1000" {
			t.Errorf("lease %v", h.last())
		}
		h.say("one\xff\r\x00")
		if got, _ := a.received(); got != "one\xff\r\x00" {
			t.Errorf("client got %q", got)
		}
		io.WriteString(a, "\xff\xfbtwo\r\x00")
		if got := h.hear(t, 7); got != "\xff\xfbtwo\r\x00" {
			t.Errorf("stick got %q", got)
		}
		a.hangUp()
		if last := h.last(); last[keyClient] != "" || last[keyReceived] != int64(6) || last[keySent] != int64(7) {
			t.Errorf("after the lease: %v", last)
		}
		h.say("nor this")
		b := h.come("[fe80::1%eth0]:2000")
		if h.last()[keyClient] != "[fe80::1]:2000" {
			t.Errorf("lease %v", h.last())
		}
		h.say("three")
		if got, gone := b.received(); got != "three" || gone {
			t.Errorf("next client got %q", got)
		}
		h.leave(t)
		if _, gone := b.received(); !gone {
			t.Error("the client is still connected")
		}
		if len(h.sink.soFar().Damage)+len(h.sink.soFar().Overheard) != 0 {
			t.Errorf("damaged %q, ignored %q", h.sink.soFar().Damage, h.sink.soFar().Overheard)
		}
	})
}

func TestOneClientAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		defer h.leave(t)
		first := h.come("10.0.0.1:1000")
		second := h.come("10.0.0.2:1000")
		third := h.come("10.0.0.3:1000")
		if _, gone := third.received(); !gone {
			t.Error("the third client waits")
		}
		<-time.After(defaultTiming().handOver)
		if _, gone := second.received(); !gone {
			t.Error("the second client waits")
		}
		stranger := h.come("203.0.113.9:1000")
		if _, gone := stranger.received(); !gone {
			t.Error("a stranger waits")
		}
		want := []string{
			"a second client was refused: 10.0.0.1 has the port",
			"a second client was refused: 10.0.0.1 has the port",
			"a client was refused: 203.0.113.9 is not in an allowed network",
		}
		if !slices.Equal(h.sink.soFar().Overheard, want) {
			t.Errorf("ignored %q", h.sink.soFar().Overheard)
		}
		h.say("for the first")
		if got, gone := first.received(); got != "for the first" || gone {
			t.Errorf("the first client got %q", got)
		}

		// One who comes while the one before is leaving gets the port,
		// whether that one is heard before or after him.
		for range 2 {
			next := h.come("10.0.0.1:1001")
			first.Close()
			synctest.Wait()
			h.say("for the next")
			if got, gone := next.received(); got != "for the next" || gone || len(h.sink.soFar().Overheard) != 3 {
				t.Errorf("the next client got %q; ignored %q", got, h.sink.soFar().Overheard)
			}
			next.Close()
			synctest.Wait()
			first = h.come("10.0.0.1:1002")
			h.say("for the first")
			if got, gone := first.received(); got != "for the first" || gone || len(h.sink.soFar().Overheard) != 3 {
				t.Errorf("the first client got %q; ignored %q", got, h.sink.soFar().Overheard)
			}
			<-time.After(time.Minute)
			if _, gone := first.received(); gone {
				t.Error("the first client is gone")
			}
		}
	})
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{idle: time.Minute})
		defer h.leave(t)
		<-time.After(time.Hour)
		c := h.come("127.0.0.1:1000")
		for range 3 {
			<-time.After(time.Minute - 1)
			h.say("x")
			<-time.After(time.Minute - 1)
			io.WriteString(c, "y")
			h.hear(t, 1)
			synctest.Wait()
		}
		if _, gone := c.received(); gone {
			t.Fatal("an active client is gone")
		}
		<-time.After(time.Minute)
		if _, gone := c.received(); !gone || h.last()[keyClient] != "" {
			t.Error("an idle client is not gone")
		}
		c = h.come("127.0.0.1:1001")
		<-time.After(time.Minute - 1)
		if _, gone := c.received(); gone {
			t.Error("the next client is gone")
		}
	})
}

func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		<-time.After(7 * time.Second)
		c := h.come("127.0.0.1:1000")
		start, before := time.Now(), len(h.sink.soFar().Readings)
		for range 600 {
			h.say("x")
			<-time.After(100 * time.Millisecond)
		}
		synctest.Wait()
		readings := h.sink.soFar().Readings[before:]
		if len(readings) != 6 {
			t.Errorf("%d readings in a minute", len(readings))
		}
		for i, r := range readings {
			if at := r.Time.Sub(start); at != time.Duration(i+1)*10*time.Second {
				t.Errorf("reading after %v", at)
			}
		}
		if last := h.last()[keyReceived]; last.(int64) < 599 {
			t.Errorf("received %v", last)
		}
		// Nothing new is nothing to tell.
		<-time.After(time.Hour)
		if n := len(h.sink.soFar().Readings) - before; n > 7 {
			t.Errorf("%d readings of nothing", n-7)
		}
		c.hangUp()
		if last := h.last(); last[keyReceived] != int64(600) || last[keyClient] != "" {
			t.Errorf("at the end %v", last)
		}
		h.leave(t)
	})
}

// The last words of a stick reach the client, and then the connection ends.
func TestUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		c := h.come("127.0.0.1:1000")
		go func() {
			io.WriteString(h.far, strings.Repeat("x", 5000))
			h.stick.Close()
		}()
		if err := <-h.result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if got, gone := c.received(); len(got) != 5000 || !gone {
			t.Errorf("the client got %d bytes, gone %v", len(got), gone)
		}
		if last := h.last(); last[keyClient] != "" || last[keyReceived] != int64(5000) {
			t.Errorf("at the end %v", last)
		}

		// One who takes nothing does not hold up the end.
		h = lendIn(t, &lender{})
		h.comeSilently("127.0.0.1:1000")
		h.say("some")
		h.say("thing")
		start := time.Now()
		h.stick.Close()
		if err := <-h.result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if d := time.Since(start); d > defaultTiming().stall {
			t.Errorf("ended after %v", d)
		}

		// Nor one who is being written for when the house ends.
		h = lendIn(t, &lender{})
		c = h.come("127.0.0.1:1000")
		io.WriteString(c, "nobody takes this")
		h.leave(t)
		if _, gone := c.received(); !gone {
			t.Error("the client is still connected")
		}
	})
}

func TestStalledClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		defer h.leave(t)
		h.comeSilently("127.0.0.1:1000")
		go func() {
			for range 100 {
				h.far.Write(make([]byte, 1024))
			}
		}()
		<-time.After(defaultTiming().stall - 1)
		if h.last()[keyClient] == "" {
			t.Fatal("gone too early")
		}
		// What waits is little.
		if n := h.last()[keyReceived].(int64); n > 4<<10 {
			t.Errorf("holds %d bytes", n)
		}
		<-time.After(1)
		if h.last()[keyClient] != "" || !slices.Equal(h.sink.soFar().Overheard, []string{"a client was disconnected: 127.0.0.1 took no data for 30s"}) {
			t.Errorf("%v, ignored %q", h.last(), h.sink.soFar().Overheard)
		}
		c := h.come("127.0.0.1:1001")
		h.say("and on")
		if got, _ := c.received(); !strings.HasSuffix(got, "and on") {
			t.Errorf("the next client got %q", got)
		}
	})
}

// A stick that takes no more data has failed, whoever has it.
func TestWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		c := h.come("127.0.0.1:1000")
		deaf := errors.New("the device took no data")
		h.heard.CloseWithError(deaf)
		io.WriteString(c, "x")
		if err := <-h.result; !errors.Is(err, deaf) {
			t.Error(err)
		}
		if _, gone := c.received(); !gone {
			t.Error("the client is still connected")
		}
		h.stick.Close()
	})
}

func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		h.door.Close()
		if err := <-h.result; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		h.stick.Close()
	})
}

func TestTelnetLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{telnet: true})
		c := h.come("127.0.0.1:1000")
		// expect compares all that came since the last time.
		expect := func(what, want string) {
			t.Helper()
			if got, _ := c.received(); got != want {
				t.Errorf("%s: got % X, want % X", what, got, want)
			}
		}
		expect("offers", "\xff\xfb\x00\xff\xfd\x00\xff\xfb\x03\xff\xfd\x03\xff\xfd\x2c")
		// Until both have agreed it is not eight bits wide.
		h.say("a\rb\xff")
		expect("not binary", "a\r\x00b\xff\xff")
		io.WriteString(c, "\r\x00\xff\xfd\x00\xff\xfb\x00\r\x00")
		if got := h.hear(t, 3); got != "\r\r\x00" {
			t.Errorf("stick got %q", got)
		}
		h.say("a\rb\xff")
		expect("binary", "a\rb\xff\xff")

		io.WriteString(c, "A\xff\xfa\x2c\x01\x00\x00\x25\x81\xff\xf0B\xff\xff")
		if got := h.hear(t, 3); got != "AB\xff" {
			t.Errorf("stick got %q", got)
		}
		expect("baud rate", "\xff\xfa\x2c\x65\x00\x00\x25\x81\xff\xf0")
		if got := h.line(); got != "9601 8N1" {
			t.Errorf("line %q", got)
		}

		// A client that wants to wait loses nothing.
		io.WriteString(c, "\xff\xfa\x2c\x08\xff\xf0")
		synctest.Wait()
		h.say("later")
		expect("suspended", "")
		io.WriteString(c, "\xff\xfa\x2c\x00\xff\xf0") // is answered nevertheless
		expect("signature", "\xff\xfa\x2c\x64Lintel\xff\xf0")
		io.WriteString(c, "\xff\xfa\x2c\x09\xff\xf0")
		expect("resumed", "later")

		// What is purged does not come behind the answer.
		io.WriteString(c, "\xff\xfa\x2c\x08\xff\xf0")
		synctest.Wait()
		h.say("stale ")
		go io.WriteString(h.far, "and more")
		synctest.Wait()
		io.WriteString(c, "\xff\xfa\x2c\x0c\x03\xff\xf0\xff\xfa\x2c\x09\xff\xf0")
		expect("purged", "\xff\xfa\x2c\x70\x03\xff\xf0")
		h.say("fresh")
		expect("after", "fresh")

		io.WriteString(c, "\xffA\xff\xfa"+strings.Repeat("x", 1000)+"\xff\xf0")
		synctest.Wait()
		if !slices.Equal(h.sink.soFar().Damage, []string{"telnet syntax", "telnet too long"}) {
			t.Errorf("damaged %q", h.sink.soFar().Damage)
		}

		// The next one finds the line as it is configured.
		c.hangUp()
		if got := h.line(); got != "9600 8N1" {
			t.Errorf("line %q", got)
		}
		if last := h.last(); last[keySent] != int64(6) || last[keyReceived] != int64(4+4+5+14+5) {
			t.Errorf("counted %v", last)
		}
		c = h.come("127.0.0.1:1001")
		expect("offers", "\xff\xfb\x00\xff\xfd\x00\xff\xfb\x03\xff\xfd\x03\xff\xfd\x2c")
		h.leave(t)
	})
}

// A client that only asks and never listens is held up, not served for ever.
func TestTelnetFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{telnet: true})
		defer h.leave(t)
		c := h.comeSilently("127.0.0.1:1000")
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write(bytes.Repeat([]byte("\xff\xfd\x01"), 1<<20))
			wrote <- err
		}()
		<-time.After(defaultTiming().stall)
		if err := <-wrote; err == nil || h.last()[keyClient] != "" {
			t.Errorf("%v; %v", err, h.last())
		}
	})
}
