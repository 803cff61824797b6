package drivertest

import (
	"bytes"
	"sync"

	"lintel/serialbridge"
)

// Device is a [serialbridge.Port] with a device at its far end, for tests in
// a synctest bubble.
type Device struct {
	// Asked is called with what is written, one call for each Write; nil:
	// the device is deaf. It may call Say.
	Asked func(request []byte)

	said    chan []byte
	current []byte // of said, not read yet
	closed  chan struct{}
	once    sync.Once
}

var _ serialbridge.Port = (*Device)(nil)

// NewDevice returns a device that does with each request what asked does.
func NewDevice(asked func(request []byte)) *Device {
	return &Device{Asked: asked, said: make(chan []byte, 1024), closed: make(chan struct{})}
}

// Say makes the device send.
func (d *Device) Say(answer []byte) {
	if len(answer) > 0 {
		d.said <- bytes.Clone(answer)
	}
}

// Read implements [serialbridge.Port].
func (d *Device) Read(p []byte) (int, error) {
	if len(d.current) == 0 {
		select {
		case d.current = <-d.said:
		case <-d.closed:
			return 0, serialbridge.ErrUnplugged
		}
	}
	n := copy(p, d.current)
	d.current = d.current[n:]
	return n, nil
}

// Write implements [serialbridge.Port].
func (d *Device) Write(p []byte) (int, error) {
	select {
	case <-d.closed:
		return 0, serialbridge.ErrUnplugged
	default:
	}
	if d.Asked != nil {
		d.Asked(bytes.Clone(p))
	}
	return len(p), nil
}

// Close unplugs the device.
func (d *Device) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// SetLine implements [serialbridge.Port].
func (d *Device) SetLine(serialbridge.Line) error { return nil }
