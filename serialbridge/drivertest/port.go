package drivertest

import (
	"bytes"
	"sync"

	"lintel/serialbridge"
)

// Port is a [serialbridge.Port] whose far end is a test.
type Port struct {
	// OnWrite is called with what is written, one call for each Write; nil:
	// nobody listens. It may call Say.
	OnWrite func(data []byte)

	mu      sync.Mutex
	changed sync.Cond // said or closed
	said    [][]byte  // not read yet
	closed  bool
	sent    []byte
	refusal error
	setting serialbridge.Line
}

var _ serialbridge.Port = (*Port)(nil)

// NewPort returns a port whose far end only keeps what it is sent.
func NewPort() *Port {
	p := &Port{}
	p.changed.L = &p.mu
	return p
}

// Say makes the far end send. Each call is read by itself. It does not wait for
// the reader, and does nothing after Close.
func (p *Port) Say(data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(data) > 0 && !p.closed {
		p.said = append(p.said, bytes.Clone(data))
		p.changed.Broadcast()
	}
}

// Sent returns what was written since the last call.
func (p *Port) Sent() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	data := p.sent
	p.sent = nil
	return data
}

// Refuse makes each Write fail from now on.
func (p *Port) Refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = err
}

// Setting returns what the line was set to last.
func (p *Port) Setting() serialbridge.Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.setting
}

// Read implements [serialbridge.Port].
func (p *Port) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.said) == 0 {
		if p.closed {
			return 0, serialbridge.ErrUnplugged
		}
		p.changed.Wait()
	}
	n := copy(b, p.said[0])
	if p.said[0] = p.said[0][n:]; len(p.said[0]) == 0 {
		p.said = p.said[1:]
	}
	return n, nil
}

// Write implements [serialbridge.Port].
func (p *Port) Write(data []byte) (int, error) {
	if err := p.keep(data); err != nil {
		return 0, err
	}
	if p.OnWrite != nil {
		p.OnWrite(bytes.Clone(data))
	}
	return len(data), nil
}

func (p *Port) keep(data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return serialbridge.ErrUnplugged
	}
	if p.refusal != nil {
		return p.refusal
	}
	p.sent = append(p.sent, data...)
	return nil
}

// Close unplugs the stick. What it has said before can still be read.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.changed.Broadcast()
	return nil
}

// SetLine implements [serialbridge.Port].
func (p *Port) SetLine(l serialbridge.Line) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setting = l
	return nil
}
