package broker_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel/gateway/mqtt"
)

// dialWebSocket offers the subprotocols in one connection.
func dialWebSocket(t *testing.T, s *server, subprotocols ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ws, response, err := websocket.Dial(ctx, s.URL+"/any/path", &websocket.DialOptions{Subprotocols: subprotocols})
	if err == nil {
		t.Cleanup(func() { ws.CloseNow() })
	}
	return ws, response, err
}

func TestWebSocketSubprotocol(t *testing.T) {
	s := newServer(t)
	for _, c := range []struct {
		offered []string
		chosen  string // empty: refused
	}{
		{[]string{"mqtt"}, "mqtt"},
		{[]string{"mqttv3.1"}, "mqttv3.1"},
		{[]string{"mqttv3.1", "mqtt"}, "mqtt"},
		{[]string{"chat", "mqtt"}, "mqtt"},
		{nil, ""},
		{[]string{"chat"}, ""},
		{[]string{"mqtt-but-not-quite"}, ""},
	} {
		ws, response, err := dialWebSocket(t, s, c.offered...)
		switch {
		case c.chosen == "" && err == nil:
			t.Errorf("offered %q: not refused", c.offered)
		case c.chosen == "" && response.StatusCode != http.StatusBadRequest:
			t.Errorf("offered %q: status %d", c.offered, response.StatusCode)
		case c.chosen != "" && (err != nil || ws.Subprotocol() != c.chosen):
			t.Errorf("offered %q: %v, %v; want %s", c.offered, ws, err, c.chosen)
		}
	}
}

// A packet may lie in many frames and a frame may hold many packets
// [v5 MQTT-6.0.0-2]. Why a connection ends is told before it does.
func TestWebSocketFrames(t *testing.T) {
	s := newServer(t)
	ws, _, err := dialWebSocket(t, s, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	connect := mqtt.Connect{Version: mqtt.V50, CleanStart: true, ClientID: "web", KeepAlive: 1}
	sent := connect.Append(nil)
	ping := []byte{byte(mqtt.PINGREQ) << 4, 0}
	for _, b := range sent {
		write(t, ws, websocket.MessageBinary, []byte{b})
	}
	write(t, ws, websocket.MessageBinary, append(ping, ping...))
	received := newWebReader(t, ws)
	received.expect(mqtt.CONNACK)
	received.expect(mqtt.PINGRESP)
	received.expect(mqtt.PINGRESP)
	// The keep alive runs out.
	last := received.expect(mqtt.DISCONNECT)
	if !bytes.Equal(last.Body, []byte{byte(mqtt.KeepAliveTimeout)}) {
		t.Errorf("DISCONNECT %x, want reason code 0x8D", last.Body)
	}
}

// A text frame ends the connection.
func TestWebSocketTextFrame(t *testing.T) {
	s := newServer(t)
	ws, _, err := dialWebSocket(t, s, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	connect := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: "web"}
	write(t, ws, websocket.MessageBinary, connect.Append(nil))
	newWebReader(t, ws).expect(mqtt.CONNACK)
	write(t, ws, websocket.MessageText, []byte{byte(mqtt.PINGREQ) << 4, 0})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Errorf("after a text frame: %v, want status %d", err, websocket.StatusUnsupportedData)
	}
}

func write(t *testing.T, ws *websocket.Conn, typ websocket.MessageType, data []byte) {
	t.Helper()
	if err := ws.Write(t.Context(), typ, data); err != nil {
		t.Fatal(err)
	}
}

// webReader takes packets off a WebSocket.
type webReader struct {
	t   *testing.T
	ws  *websocket.Conn
	buf []byte
}

func newWebReader(t *testing.T, ws *websocket.Conn) *webReader { return &webReader{t: t, ws: ws} }

func (r *webReader) expect(want mqtt.PacketType) mqtt.Packet {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	for {
		p, n, err := mqtt.Parse(r.buf, mqtt.V50, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		if n > 0 {
			r.buf = r.buf[n:]
			if p.Type != want {
				r.t.Fatalf("received %v, want %v", p.Type, want)
			}
			return p
		}
		typ, data, err := r.ws.Read(ctx)
		if err != nil || typ != websocket.MessageBinary {
			r.t.Fatalf("read: %v frame, %v; waiting for %v", typ, err, want)
		}
		r.buf = append(r.buf, data...)
	}
}
