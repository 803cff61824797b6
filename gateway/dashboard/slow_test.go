package dashboard

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes are a listener whose connections are in memory, for the time of synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	p.once = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once(); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// Who sends a byte a second, or takes none, does not hold a connection: there are few.
func TestSlowClientsAreCutOff(t *testing.T) {
	for name, tt := range map[string]struct {
		begin, more string
		within      time.Duration
	}{
		"headers": {"GET / HTTP/1.1\r\nHost: localhost\r\n", "X: y\r\n", 5 * time.Second},
		"nothing": {"", "", 5 * time.Second},
		"body":    {"POST /language HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + formType + "\r\nContent-Length: 4000\r\n\r\n", "x", 10 * time.Second},
		"idle":    {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "", 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, listener := house(), newPipes()
				o.Listeners = []Listener{{Listener: listener}}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- New(o).Run(ctx) }()
				ours, theirs := net.Pipe()
				listener.conns <- theirs
				began := time.Now()
				var writing sync.WaitGroup
				writing.Go(func() {
					_, err := io.WriteString(ours, tt.begin)
					for err == nil && tt.more != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(ours, tt.more)
					}
				})
				io.Copy(io.Discard, ours)
				if took := time.Since(began); took > tt.within+time.Second {
					t.Errorf("cut off after %v", took)
				}
				ours.Close()
				writing.Wait()
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
