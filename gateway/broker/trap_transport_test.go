package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

// The opcodes of WebSocket frames (RFC 6455 §5.2).
const (
	frameContinuation = 0
	frameText         = 1
	frameBinary       = 2
	frameClose        = 8
	framePing         = 9
	framePong         = 10
)

// webSocket is a WebSocket whose frames the test makes itself.
type webSocket struct {
	t        *testing.T
	net      net.Conn
	r        *bufio.Reader
	received []byte // of MQTT
	pongs    []string
	closed   int // the code of the close frame
}

// upgrade asks for a WebSocket. It returns nil and the answer if that is refused.
func upgrade(t *testing.T, s *server, headers ...string) (*webSocket, *http.Response) {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, "GET /any/path HTTP/1.1\r\nHost: lintel\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+strings.Join(append(headers, "\r\n"), "\r\n"))
	r := bufio.NewReader(nc)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, response
	}
	return &webSocket{t: t, net: nc, r: r}, response
}

// frame sends a masked frame. first holds FIN, the reserved bits and the opcode.
func (w *webSocket) frame(first byte, payload string) {
	w.t.Helper()
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	w.net.Write(b) // fails if the broker has closed
}

// read reads one frame, or reports that the connection is closed.
func (w *webSocket) read() bool {
	w.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		if net, ok := err.(net.Error); ok && net.Timeout() {
			w.t.Fatal("the connection is still open")
		}
		return false
	}
	if head[1]&0x80 != 0 {
		w.t.Error("the server masks its frames")
	}
	n := uint64(head[1] & 0x7F)
	switch n {
	case 126:
		var length [2]byte
		io.ReadFull(w.r, length[:])
		n = uint64(binary.BigEndian.Uint16(length[:]))
	case 127:
		var length [8]byte
		io.ReadFull(w.r, length[:])
		n = binary.BigEndian.Uint64(length[:])
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(w.r, payload); err != nil {
		return false
	}
	switch opcode := head[0] & 15; opcode {
	case frameBinary, frameContinuation:
		w.received = append(w.received, payload...)
	case framePong:
		w.pongs = append(w.pongs, string(payload))
	case frameClose:
		if n >= 2 {
			w.closed = int(binary.BigEndian.Uint16(payload))
		}
		w.frame(0x80|frameClose, string(payload))
	default:
		w.t.Errorf("received a frame of type %d", opcode)
	}
	return true
}

// expect reads an MQTT packet.
func (w *webSocket) expect(want mqtt.PacketType) {
	w.t.Helper()
	for {
		p, n, err := mqtt.Parse(w.received, mqtt.V311, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		if n > 0 {
			w.received = w.received[n:]
			if p.Type != want {
				w.t.Fatalf("received %v, want %v", p.Type, want)
			}
			return
		}
		if !w.read() {
			w.t.Fatalf("the connection is closed, waiting for %v", want)
		}
	}
}

const offer = "Sec-WebSocket-Protocol: mqtt"

// The frames of a WebSocket say nothing about packets: one packet in fragments
// with pings between them, which are answered; empty ones; a frame with many
// packets [v3 MQTT-6.0.0-2, v5 MQTT-6.0.0-2]. No extension is agreed on.
func TestWebSocketFragments(t *testing.T) {
	s := newServer(t)
	w, response := upgrade(t, s, offer, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Origin: http://lintel")
	if w == nil {
		t.Fatal(response.Status)
	}
	if got := response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("extensions %q", got)
	}
	packet := clean(mqtt.V311, "web")
	b := string(packet.Append(nil))
	w.frame(frameBinary, b[:1])
	w.frame(0x80|framePing, "first")
	w.frame(frameContinuation, b[1:5])
	w.frame(frameContinuation, "")
	w.frame(0x80|framePing, strings.Repeat("p", 125))
	w.frame(0x80|frameContinuation, b[5:])
	w.expect(mqtt.CONNACK)
	if len(w.pongs) != 2 || w.pongs[0] != "first" || w.pongs[1] != strings.Repeat("p", 125) {
		t.Errorf("pongs %q", w.pongs)
	}
	large := pub("t", strings.Repeat("x", 60_000), 1, 1).Append(nil, mqtt.V311)
	w.frame(0x80|frameBinary, "\xC0\x00\xC0\x00"+string(large)+"\xC0") // and half a packet
	w.frame(0x80|frameBinary, "")
	w.frame(0x80|frameBinary, "\x00")
	for _, want := range []mqtt.PacketType{mqtt.PINGRESP, mqtt.PINGRESP, mqtt.PUBACK, mqtt.PINGRESP} {
		w.expect(want)
	}
	w.frame(0x80|frameBinary, "\xE0\x00")
	for w.read() {
	}
	if w.closed == 0 {
		t.Error("closed without a close frame")
	}
}

// What is against RFC 6455 ends the connection, and that is a network failure:
// the will is published. A frame that says it is huge costs nothing.
func TestWebSocketViolations(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	for name, violate := range map[string]func(w *webSocket){
		"text frame":               func(w *webSocket) { w.frame(0x80|frameText, "\xC0\x00") },
		"frame that is not masked": func(w *webSocket) { w.net.Write([]byte{0x80 | frameBinary, 2, 0xC0, 0}) },
		"reserved bit":             func(w *webSocket) { w.frame(0x80|0x40|frameBinary, "\xC0\x00") },
		"unknown opcode":           func(w *webSocket) { w.frame(0x80|3, "") },
		"ping of 126 bytes":        func(w *webSocket) { w.frame(0x80|framePing, strings.Repeat("p", 126)) },
		"ping in fragments":        func(w *webSocket) { w.frame(framePing, "p") },
		"continuation of nothing":  func(w *webSocket) { w.frame(0x80|frameContinuation, "\xC0\x00") },
		"frame within a message":   func(w *webSocket) { w.frame(frameBinary, "\xC0"); w.frame(0x80|frameBinary, "\x00") },
		"64 bits of length": func(w *webSocket) {
			w.net.Write([]byte{0x80 | frameBinary, 0x80 | 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4})
		},
		"huge frame, then the end": func(w *webSocket) {
			w.net.Write([]byte{0x80 | frameBinary, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 'x'})
			w.net.(*net.TCPConn).CloseWrite()
		},
		"close frame": func(w *webSocket) { w.frame(0x80|frameClose, "\x03\xE8") },
		"end":         func(w *webSocket) { w.net.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			watch.t = t
			w, response := upgrade(t, s, offer)
			if w == nil {
				t.Fatal(response.Status)
			}
			packet := willing(clean(mqtt.V311, "web"), 0)
			w.frame(0x80|frameBinary, string(packet.Append(nil)))
			w.expect(mqtt.CONNACK)
			violate(w)
			for w.read() {
			}
			watch.wantWill("web")
		})
	}
	watch.t = t
	watch.barrier()
}

// A page of somebody else's may not speak to the broker through the browser of
// who looks at it.
func TestWebSocketOrigin(t *testing.T) {
	s := newServer(t)
	if w, response := upgrade(t, s, offer, "Origin: http://elsewhere.example"); w != nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("answered by %s", response.Status)
	}
}

// Each name on offer counts by itself, in one header or several.
func TestWebSocketOffers(t *testing.T) {
	s := newServer(t)
	for _, x := range []struct {
		headers []string
		want    string
	}{
		{[]string{"Sec-WebSocket-Protocol: chat,mqttv3.1"}, "mqttv3.1"},
		{[]string{"Sec-WebSocket-Protocol: mqttv3.1 , mqtt"}, "mqtt"},
		{[]string{"Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: mqtt"}, "mqtt"},
		{[]string{"Sec-WebSocket-Protocol: mqtt5, xmqtt, mqttv3.11"}, ""},
		{[]string{"Sec-WebSocket-Protocol: "}, ""},
	} {
		w, response := upgrade(t, s, x.headers...)
		got := response.Header.Get("Sec-WebSocket-Protocol")
		if (w != nil) != (x.want != "") || got != x.want || w == nil && response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s with %q, want %q", x.headers, response.Status, got, x.want)
		}
	}
}

// serveTLS adds a TLS listener to a server. It returns how to reach it.
func serveTLS(t *testing.T, s *server) (addr string, client *tls.Config) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(web.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, "") }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com"}
}

// A TLS connection that ends without close_notify, or that only one side of is
// closed, is a network failure: the will is published [v3 MQTT-3.1.2-8,
// v5 MQTT-3.1.2-8]. Packets may lie in records as they like.
func TestEndOfTLS(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	addr, config := serveTLS(t, s)
	for name, end := range map[string]func(*tls.Conn){
		"no close_notify":        func(c *tls.Conn) { c.NetConn().Close() },
		"half closed":            func(c *tls.Conn) { c.NetConn().(*net.TCPConn).CloseWrite() },
		"close_notify":           func(c *tls.Conn) { c.CloseWrite() },
		"close_notify in packet": func(c *tls.Conn) { c.Write([]byte{0x30, 100}); c.CloseWrite() },
		"reset":                  func(c *tls.Conn) { c.NetConn().(*net.TCPConn).SetLinger(0); c.NetConn().Close() },
		"garbage":                func(c *tls.Conn) { c.NetConn().Write([]byte("\x17\x03\x03\x00\x05abcde")) },
	} {
		t.Run(name, func(t *testing.T) {
			watch.t = t
			nc, err := tls.Dial("tcp", addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			packet := willing(clean(mqtt.V311, "secure"), 0)
			for _, b := range packet.Append(nil) {
				if _, err := nc.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			c := &rawClient{t: t, net: nc, version: mqtt.V311}
			c.expect(mqtt.CONNACK)
			c.subscribe(filter("large", 0))
			c.send(pub("large", strings.Repeat("x", 100_000), 0, 0))
			if m := c.message(); !bytes.Equal(m.Payload, bytes.Repeat([]byte("x"), 100_000)) {
				t.Errorf("received %d bytes", len(m.Payload))
			}
			end(nc)
			watch.wantWill("secure")
		})
	}
	watch.t = t
	watch.barrier()
}

// A WebSocket whose client does not read holds up nobody, and when its time is
// over it is closed and forgotten, though the client takes no closing handshake.
func TestSlowWebSocket(t *testing.T) {
	s := newServer(t)
	from, fast := connect(t, s, clean(mqtt.V311, "from")), connect(t, s, clean(mqtt.V311, "fast"))
	fast.subscribe(filter("load", 0))
	from.barrier()
	goroutines := runtime.NumGoroutine()
	w, response := upgrade(t, s, offer)
	if w == nil {
		t.Fatal(response.Status)
	}
	packet := clean(mqtt.V311, "slow")
	packet.KeepAlive = 1
	w.frame(0x80|frameBinary, string(packet.Append(nil)))
	w.expect(mqtt.CONNACK)
	w.frame(0x80|frameBinary, string((&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("load", 0)}}).Append(nil, mqtt.V311)))
	w.expect(mqtt.SUBACK)
	payload := strings.Repeat("x", 100_000)
	for s.Stats().PublishDropped < 100 { // the first may be dropped though the socket is not full
		from.send(pub("load", payload, 0, 0))
		fast.wantMessage("load", payload, 0)
		w.frame(0x80|frameBinary, string([]byte{byte(mqtt.PINGREQ) << 4, 0})) // its time begins when the socket is full
	}
	eventually(t, "the client is forgotten", func() bool { return s.Stats().Sessions == 2 })
	eventually(t, "its goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
}
