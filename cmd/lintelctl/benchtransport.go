//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A layer stands between MQTT and the socket. open appends what the bytes off
// the wire hold to dst, seal appends to dst what has to go onto the wire.
type layer interface {
	open(dst, wire []byte) ([]byte, error)
	seal(dst, data []byte) ([]byte, error)
}

// socket makes a blocking descriptor a net.Conn, for the time until the event
// loop has it.
type socket int

func (fd socket) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (fd socket) Write(b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		n, err := unix.Write(int(fd), b[sent:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return sent, os.NewSyscallError("write", err)
		}
		sent += n
	}
	return sent, nil
}

func (socket) Close() error                     { return nil }
func (socket) LocalAddr() net.Addr              { return nil }
func (socket) RemoteAddr() net.Addr             { return nil }
func (socket) SetDeadline(time.Time) error      { return nil }
func (socket) SetReadDeadline(time.Time) error  { return nil }
func (socket) SetWriteDeadline(time.Time) error { return nil }

// tlsLayer runs crypto/tls without blocking. Its connection is the socket for
// the handshake, then two buffers: a read of an empty one fails with an error
// that calls itself temporary, after which crypto/tls goes on where it was.
type tlsLayer struct {
	socket
	conn  *tls.Conn
	ready bool
	in    []byte
	out   []byte
}

// newTLS shakes hands on fd. The certificate is not verified: only loopback
// addresses get here, and nothing that is sent is a secret.
func newTLS(fd int) (*tlsLayer, error) {
	l := &tlsLayer{socket: socket(fd)}
	l.conn = tls.Client(l, &tls.Config{InsecureSkipVerify: true})
	if err := l.conn.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	l.ready = true
	return l, nil
}

type errNothingYet struct{}

func (errNothingYet) Error() string   { return "nothing to read yet" }
func (errNothingYet) Timeout() bool   { return true }
func (errNothingYet) Temporary() bool { return true }

func (l *tlsLayer) Read(b []byte) (int, error) {
	if !l.ready {
		return l.socket.Read(b)
	}
	if len(l.in) == 0 {
		return 0, errNothingYet{}
	}
	n := copy(b, l.in)
	l.in = l.in[n:]
	return n, nil
}

func (l *tlsLayer) Write(b []byte) (int, error) {
	if !l.ready {
		return l.socket.Write(b)
	}
	l.out = append(l.out, b...)
	return len(b), nil
}

func (l *tlsLayer) open(dst, wire []byte) ([]byte, error) {
	l.in = wire
	for {
		if cap(dst)-len(dst) < 16<<10 { // the longest record (RFC 8446 §5.1)
			dst = append(dst, make([]byte, 16<<10)...)[:len(dst)]
		}
		n, err := l.conn.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, errNothingYet{}) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

func (l *tlsLayer) seal(dst, data []byte) ([]byte, error) {
	l.out = dst
	_, err := l.conn.Write(data)
	dst, l.out = l.out, nil
	return dst, err
}

// webSocketLayer is MQTT in binary frames (RFC 6455, client side). All that is
// gathered goes in one frame.
type webSocketLayer struct {
	header [14]byte
	have   int    // bytes of the header of a frame
	left   uint64 // bytes of its payload that have not come
	opcode byte
	pong   []byte // answer to the last ping; goes out with what is sent next
}

// newWebSocket asks for the upgrade on fd.
func newWebSocket(fd int, host string) (*webSocketLayer, error) {
	s := socket(fd)
	_, err := fmt.Fprintf(s, "GET /mqtt HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGludGVsY3RsIGJlbmNoIQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", host)
	if err != nil {
		return nil, err
	}
	// One byte at a time: what follows the response belongs to the frames.
	var response []byte
	for !bytes.HasSuffix(response, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := s.Read(b[:]); err != nil {
			return nil, fmt.Errorf("WebSocket handshake: %w", err)
		}
		if response = append(response, b[0]); len(response) > 4096 {
			return nil, errors.New("WebSocket handshake: the response has no end")
		}
	}
	status, _, _ := bytes.Cut(response, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 101")) {
		return nil, fmt.Errorf("WebSocket handshake: the broker says %.60q", status)
	}
	return &webSocketLayer{}, nil
}

func (l *webSocketLayer) open(dst, wire []byte) ([]byte, error) {
	for {
		if l.left > 0 {
			n := int(min(l.left, uint64(len(wire))))
			if l.opcode < 8 {
				dst = append(dst, wire[:n]...)
			} else if l.opcode == 9 {
				l.pong = append(l.pong, wire[:n]...)
			}
			wire, l.left = wire[n:], l.left-uint64(n)
			if l.left > 0 {
				return dst, nil
			}
		}
		for l.have < 2 || l.have < l.headerSize() {
			if len(wire) == 0 {
				return dst, nil
			}
			l.header[l.have] = wire[0]
			l.have, wire = l.have+1, wire[1:]
		}
		if err := l.begin(); err != nil {
			return dst, err
		}
	}
}

func (l *webSocketLayer) headerSize() int {
	switch l.header[1] & 0x7f {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// begin starts the frame whose header is whole.
func (l *webSocketLayer) begin() error {
	l.opcode = l.header[0] & 15
	switch size := l.header[1] & 0x7f; size {
	case 126:
		l.left = uint64(binary.BigEndian.Uint16(l.header[2:]))
	case 127:
		l.left = binary.BigEndian.Uint64(l.header[2:])
	default:
		l.left = uint64(size)
	}
	l.have = 0
	switch {
	case l.header[1]&0x80 != 0:
		return errors.New("WebSocket: the broker masks its frames")
	case l.opcode == 8:
		return io.EOF
	case l.opcode > 8 && l.left > 125:
		return errors.New("WebSocket: long control frame")
	case l.opcode == 9:
		l.pong = append(l.pong[:0], 0x8a, 0x80|byte(l.left), 0, 0, 0, 0)
	}
	return nil
}

// seal masks with zeros, which leave the data as it is: the mask protects
// proxies on the way, and there are none on the loopback. The broker unmasks all
// the same.
func (l *webSocketLayer) seal(dst, data []byte) ([]byte, error) {
	if whole := l.opcode != 9 || l.left == 0; whole && len(l.pong) > 0 {
		dst, l.pong = append(dst, l.pong...), l.pong[:0]
	}
	if len(data) == 0 {
		return dst, nil
	}
	dst = append(dst, 0x82)
	switch n := len(data); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	return append(append(dst, 0, 0, 0, 0), data...), nil
}
