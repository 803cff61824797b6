package dongle

import (
	"os"
	"sync"

	"lintel/serialbridge"
)

// splitter reads a port for one view after the other, so that an attempt that has
// failed leaves no reader behind that would eat the answers to the next one.
type splitter struct {
	port serialbridge.Port

	mu   sync.Mutex
	view *view
	err  error // why reading has ended
}

func newSplitter(port serialbridge.Port) *splitter {
	s := &splitter{port: port}
	go s.read()
	return s
}

// read ends when the port does.
func (s *splitter) read() {
	for {
		data := make([]byte, 1024)
		n, err := s.port.Read(data)
		s.mu.Lock()
		v := s.view
		if err != nil {
			s.err = err
		}
		s.mu.Unlock()
		if v != nil && n > 0 {
			select {
			case v.chunks <- data[:n]:
			case <-v.closed:
			}
		}
		if err != nil {
			if v != nil {
				v.end(err)
			}
			return
		}
	}
}

// open returns the port anew; what came before is dropped, and the view before it is of
// no more use.
func (s *splitter) open() *view {
	v := &view{Port: s.port, chunks: make(chan []byte, 64), closed: make(chan struct{}), err: os.ErrClosed}
	s.mu.Lock()
	before := s.view
	s.view = v
	err := s.err
	s.mu.Unlock()
	if before != nil {
		before.end(os.ErrClosed)
	}
	if err != nil {
		v.end(err)
	}
	return v
}

// view is a port for one attempt. Close does not close the port.
type view struct {
	serialbridge.Port
	chunks chan []byte
	rest   []byte // of the last chunk; Read's alone

	once   sync.Once
	closed chan struct{}
	err    error // set before closed is closed
}

func (v *view) end(err error) {
	v.once.Do(func() {
		v.err = err
		close(v.closed)
	})
}

func (v *view) Read(b []byte) (int, error) {
	if len(v.rest) == 0 {
		select {
		case v.rest = <-v.chunks:
		default:
			select {
			case v.rest = <-v.chunks:
			case <-v.closed:
				return 0, v.err
			}
		}
	}
	n := copy(b, v.rest)
	v.rest = v.rest[n:]
	return n, nil
}

func (v *view) Close() error {
	v.end(os.ErrClosed)
	return nil
}
