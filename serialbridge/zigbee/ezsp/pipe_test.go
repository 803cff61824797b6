package ezsp_test

import (
	"io"
	"os"
	"sync"

	"lintel/serialbridge"
)

// stream is one direction of a serial line: what is written waits until it is read.
type stream struct {
	mu     sync.Mutex
	filled sync.Cond
	data   []byte
	closed error
}

func newStream() *stream {
	s := &stream{}
	s.filled.L = &s.mu
	return s
}

func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 && s.closed == nil {
		s.filled.Wait()
	}
	if len(s.data) == 0 {
		return 0, s.closed
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	return n, nil
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return 0, s.closed
	}
	s.data = append(s.data, b...)
	s.filled.Broadcast()
	return len(b), nil
}

func (s *stream) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = err
		s.filled.Broadcast()
	}
}

// end is one end of a line: a serialbridge.Port for the host, a stream for a stick.
type end struct {
	in, out *stream
}

var _ serialbridge.Port = (*end)(nil)

func newLine() (host, stick *end) {
	up, down := newStream(), newStream()
	return &end{in: up, out: down}, &end{in: down, out: up}
}

func (e *end) Read(b []byte) (int, error)      { return e.in.Read(b) }
func (e *end) Write(b []byte) (int, error)     { return e.out.Write(b) }
func (e *end) SetLine(serialbridge.Line) error { return nil }

// Close is what the host does.
func (e *end) Close() error {
	e.in.close(os.ErrClosed)
	e.out.close(io.EOF)
	return nil
}

// unplug is what happens to the host when the stick is pulled out.
func (e *end) unplug() {
	e.in.close(io.EOF)
	e.out.close(serialbridge.ErrUnplugged)
}
