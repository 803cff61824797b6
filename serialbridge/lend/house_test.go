package lend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
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

func (s *stick) Read(p []byte) (int, error) { return s.toDriver.Read(p) }

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
