package broker

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Serve accepts MQTT connections on l until ctx ends, and closes l. Clients that
// are connected then are not its business: see Run. name tells Authenticate by which
// listener a client came; it may be empty.
func (b *Broker) Serve(ctx context.Context, l net.Listener, name string) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	delay := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("broker: accept on %v: %w", l.Addr(), err)
		case err != nil:
			// Out of descriptors, most likely: it may pass.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			b.log.Warn("accept failed", "addr", l.Addr().String(), "err", err)
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
			continue
		}
		delay = 0
		if !b.begin() {
			nc.Close()
			return nil
		}
		go func() {
			defer b.running.Done()
			b.serveConn(ctx, nc, name)
		}()
	}
}

// begin counts a connection as running, unless the broker is closing.
func (b *Broker) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.running.Add(1)
	return true
}

// The names of MQTT as a WebSocket subprotocol; the second is that of old clients.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// WebSocket returns a handler for MQTT over WebSocket (5.0 §6), on any path.
// Clients are served until ctx ends. name is as for Serve.
func (b *Broker) WebSocket(ctx context.Context, name string) http.Handler {
	return b.webSocket(ctx, name, nil)
}

// WebSocketOf is WebSocket for requests of which the caller knows whose they are: vouched,
// which is not nil, is what ConnectRequest.Vouched will be. A client that is connected when
// ctx ends is disconnected, with the [Refusal] that is the cause of that.
func (b *Broker) WebSocketOf(ctx context.Context, name string, vouched any) http.Handler {
	return b.webSocket(ctx, name, vouched)
}

func (b *Broker) webSocket(ctx context.Context, name string, vouched any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offered := strings.FieldsFunc(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), func(c rune) bool { return c == ',' || c == ' ' })
		if !slices.ContainsFunc(offered, func(name string) bool { return slices.Contains(subprotocols, name) }) {
			http.Error(w, "MQTT over WebSocket: offer the subprotocol mqtt", http.StatusBadRequest)
			return
		}
		if !b.begin() {
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return
		}
		defer b.running.Done()
		h := &hijacked{ResponseWriter: w}
		ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{Subprotocols: subprotocols, CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			b.log.Debug("websocket refused", "addr", r.RemoteAddr, "err", err)
			return
		}
		ws.SetReadLimit(-1) // packets are limited, frames need not be
		b.serveWebSocket(ctx, ws, h.net, r, name, vouched)
	})
}

// hijacked keeps the network connection that the library takes.
type hijacked struct {
	http.ResponseWriter
	net net.Conn
}

func (h *hijacked) Hijack() (nc net.Conn, rw *bufio.ReadWriter, err error) {
	nc, rw, err = http.NewResponseController(h.ResponseWriter).Hijack()
	h.net = nc
	return nc, rw, err
}

// serveWebSocket serves a client through a pipe: a deadline on it ends a read,
// whereas one on the library's connection ends the connection, and then the
// client would not hear why. A text frame is refused by the library
// [v5 MQTT-6.0.0-1].
func (b *Broker) serveWebSocket(ctx context.Context, ws *websocket.Conn, nc net.Conn, r *http.Request, name string, vouched any) {
	frames := websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary)
	near, far := net.Pipe()
	var copying sync.WaitGroup
	copying.Go(func() {
		io.Copy(far, frames)
		far.Close()
	})
	copying.Go(func() {
		io.Copy(frames, far)
		// Not frames.Close: it may end the connection before it has said so.
		ws.Close(websocket.StatusNormalClosure, "")
	})
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	b.serveConn(ctx, &webSocketConn{near, addr(r.RemoteAddr), local, r.TLS, vouched}, name)
	// What is still on its way and the closing handshake have as much time as
	// other last words have: the client may not read any more.
	nc.SetDeadline(time.Now().Add(lingerTime))
	copying.Wait()
}

// webSocketConn tells what a pipe does not know: the addresses and TLS.
type webSocketConn struct {
	net.Conn
	remote addr
	local  net.Addr             // nil if the HTTP server does not tell
	tls    *tls.ConnectionState // nil: without

	vouched any // see WebSocketOf; nil: nobody vouches for the client
}

func (c *webSocketConn) RemoteAddr() net.Addr { return c.remote }
func (c *webSocketConn) LocalAddr() net.Addr  { return c.local }

type addr string

func (addr) Network() string  { return "websocket" }
func (a addr) String() string { return string(a) }
