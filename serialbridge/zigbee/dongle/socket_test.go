package dongle

import (
	"io"
	"strings"
	"sync"

	"lintel/hardware"
	"lintel/serialbridge"
)

// socket is a port in memory with a stick behind it, which hears what is sent at its own
// speed alone.
type socket struct {
	usb   hardware.SerialPort
	speed int // of the stick; 0: any
	// answer is what the stick says on what it hears; serve takes its place.
	answer func(heard []byte) []byte

	mu      sync.Mutex
	came    sync.Cond
	line    serialbridge.Line
	lines   []string
	toHost  []byte
	toStick []byte
	err     error // once closed
}

func newSocket(p hardware.SerialPort, speed int) *socket {
	s := &socket{usb: p, speed: speed}
	s.came.L = &s.mu
	return s
}

func (s *socket) USB() hardware.SerialPort { return s.usb }

func (s *socket) SetLine(l serialbridge.Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line, s.lines = l, append(s.lines, l.String())
	return nil
}

func (s *socket) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.toHost) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.came.Wait()
	}
	n := copy(b, s.toHost)
	s.toHost = s.toHost[n:]
	return n, nil
}

func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.speed != 0 && s.line.Baud != s.speed:
	case s.answer != nil:
		s.toHost = append(s.toHost, s.answer(b)...)
	default:
		s.toStick = append(s.toStick, b...)
	}
	s.came.Broadcast()
	return len(b), nil
}

func (s *socket) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.came.Broadcast()
}

func (s *socket) Close() error { s.end(io.ErrClosedPipe); return nil }

// tried returns the settings that the port has had.
func (s *socket) tried() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, ", ")
}

// inside is the stick's end of a socket.
type inside struct{ *socket }

func (s inside) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.toStick) == 0 {
		if s.err != nil {
			return 0, io.EOF
		}
		s.came.Wait()
	}
	n := copy(b, s.toStick)
	s.toStick = s.toStick[n:]
	return n, nil
}

func (s inside) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toHost = append(s.toHost, b...)
	s.came.Broadcast()
	return len(b), nil
}
