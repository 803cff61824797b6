package serialbridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// remotePrefix begins the path of a port that is behind a network: a stick in
// another room, ser2net, a coordinator with Ethernet.
const remotePrefix = "tcp://"

const dialTimeout = 5 * time.Second

func isRemote(path string) bool { return strings.HasPrefix(path, remotePrefix) }

// deadlinePort is a Port of which reading can be given up.
type deadlinePort interface {
	Port
	SetReadDeadline(time.Time)
}

// open opens the port at path, wherever it is.
func open(ctx context.Context, path string, l Line, o PortOptions) (deadlinePort, error) {
	if isRemote(path) {
		return dialPort(ctx, path, o)
	}
	return OpenPort(path, l, o)
}

// remotePort is a port behind a TCP connection that carries its bytes as they are. What
// the line is set to is the other side's business.
type remotePort struct {
	net.Conn
	o PortOptions
}

func dialPort(ctx context.Context, path string, o PortOptions) (*remotePort, error) {
	address := strings.TrimPrefix(path, remotePrefix)
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the port %s: %w (is the device on, and does nobody else use it?)", path, err)
	}
	if o.writeTimeout <= 0 {
		o.writeTimeout = defaultWriteTimeout
	}
	return &remotePort{conn, o}, nil
}

func (p *remotePort) SetLine(Line) error { return nil }

func (p *remotePort) SetReadDeadline(t time.Time) { p.Conn.SetReadDeadline(t) }

func (p *remotePort) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 {
		p.o.observe(Received, b[:n])
	}
	if errors.Is(err, io.EOF) {
		return n, fmt.Errorf("%s has closed the connection", p.RemoteAddr())
	}
	return n, err
}

func (p *remotePort) Write(b []byte) (int, error) {
	p.SetWriteDeadline(time.Now().Add(p.o.writeTimeout))
	n, err := p.Conn.Write(b)
	if n > 0 {
		p.o.observe(Sent, b[:n])
	}
	return n, err
}
