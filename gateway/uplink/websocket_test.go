package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// served serves HTTP and counts the connections that are open.
type served struct {
	*httptest.Server
	opened, open atomic.Int64
}

func serveHTTP(t *testing.T, h http.Handler) *served {
	t.Helper()
	s := &served{Server: httptest.NewUnstartedServer(h)}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.opened.Add(1)
			s.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *served) url() string { return "ws://" + s.Listener.Addr().String() + "/mqtt" }

// TestWebSocket has messages of all sizes go both ways, over WebSocket with and without TLS.
func TestWebSocket(t *testing.T) {
	root := authority(t, nil, "root")
	there := newBox(t, broker.Options{})
	urls := secure(t, there, &tls.Config{Certificates: []tls.Certificate{issue(t, root, localhost()).tls()}})
	for scheme, url := range map[string]string{"ws": serveHTTP(t, there.WebSocket(t.Context(), "ws")).url(), "wss": urls["wss"]} {
		t.Run(scheme, func(t *testing.T) {
			b := newBox(t, broker.Options{})
			r := run(t, b, Options{URL: url, TLS: secured{ca: root.certPEM}.config(t), ClientID: "box-" + scheme})
			r.connected(t)
			for i, size := range []int{1, 125, 126, 65535, 65536, 900_000} {
				carries(t, b, there, fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))
			}
			r.stop()
			poll(t, "the remote to see the end", func() bool { info, _ := there.Session("box-" + scheme); return !info.Connected })
		})
	}
}

// reframed is a server of WebSocket before a broker that cuts what the broker says without a
// regard to packets: into frames, and these into fragments (MQTT-6.0.0-2, -4).
func reframed(t *testing.T, addr string, message, fragment int) *served {
	return serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer nc.Close()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			defer cancel()
			io.Copy(nc, websocket.NetConn(ctx, ws, websocket.MessageBinary))
		}()
		go func() {
			<-ctx.Done()
			nc.Close()
		}()
		buf := make([]byte, message)
		for {
			n, err := nc.Read(buf)
			if err != nil {
				return
			}
			frames, err := ws.Writer(ctx, websocket.MessageBinary)
			if err != nil {
				return
			}
			for b := buf[:n]; len(b) > 0; b = b[min(fragment, len(b)):] {
				if _, err := frames.Write(b[:min(fragment, len(b))]); err != nil {
					return
				}
			}
			if frames.Close() != nil {
				return
			}
		}
	}))
}

// TestFrames: a packet may end in the middle of a frame, and a frame in the middle of a packet.
func TestFrames(t *testing.T) {
	for _, cut := range []struct{ message, fragment int }{{1, 1}, {7, 3}, {1000, 1000}, {60_000, 999}} {
		t.Run(fmt.Sprintf("%d in %d", cut.message, cut.fragment), func(t *testing.T) {
			there, b := newBox(t, broker.Options{}), newBox(t, broker.Options{})
			r := run(t, b, Options{URL: reframed(t, there.addr, cut.message, cut.fragment).url()})
			r.connected(t)
			carries(t, b, there, strings.Repeat("large", min(60*cut.message, 100_000)))
			carries(t, b, there, "small")
		})
	}
}

// TestWebSocketIsWithheld has the server answer with something else.
func TestWebSocketIsWithheld(t *testing.T) {
	there := newBox(t, broker.Options{})
	mqttHere := serveHTTP(t, there.WebSocket(t.Context(), "ws"))
	accept := func(w http.ResponseWriter, r *http.Request, protocols ...string) *websocket.Conn {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: protocols})
		if err != nil {
			t.Error(err)
		}
		return ws
	}
	for _, c := range []struct {
		name   string
		server http.HandlerFunc
		words  []string
	}{
		{"no such path", http.NotFound, []string{"answers with 404 Not Found", "Look at the path"}},
		{"a page", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat("<p>hello</p>", 100_000)) }, []string{"answers with 200 OK", "Look at the path"}},
		{"a password of HTTP", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, []string{"answers with 401 Unauthorized"}},
		{"somewhere else", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(mqttHere.url(), "ws:", "http:", 1), http.StatusFound)
		}, []string{"answers with 302 Found"}},
		{"no subprotocol", func(w http.ResponseWriter, r *http.Request) {
			accept(w, r).Read(r.Context())
		}, []string{"does not speak MQTT over WebSocket", "Look at the port"}},
		{"text", func(w http.ResponseWriter, r *http.Request) {
			ws := accept(w, r, "mqtt")
			ws.Write(r.Context(), websocket.MessageText, []byte("hello"))
			ws.Read(r.Context())
		}, []string{"without an answer. Look whether this is the port of MQTT"}},
		{"another protocol", func(w http.ResponseWriter, r *http.Request) {
			ws := accept(w, r, "mqtt")
			ws.Write(r.Context(), websocket.MessageBinary, bytes.Repeat([]byte("hello"), 1000))
			ws.Read(r.Context())
		}, []string{"does not speak MQTT as it should"}},
		{"no word", func(w http.ResponseWriter, r *http.Request) {
			accept(w, r, "mqtt").Close(websocket.StatusPolicyViolation, "go away")
		}, []string{"has closed the connection without an answer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serveHTTP(t, c.server)
			r := run(t, newBox(t, broker.Options{}), Options{URL: s.url()})
			r.says(t, c.words...)
			poll(t, "more tries", func() bool { return s.opened.Load() > 1 })
			r.stop()
			poll(t, "all connections to be closed", func() bool { return s.open.Load() == 0 })
		})
	}
	if _, ok := there.Session("box-test"); ok || mqttHere.opened.Load() > 0 {
		t.Error("it has gone where it was sent")
	}
}

// TestWebSocketIsCut cuts a WebSocket, and has the rest come over the next.
func TestWebSocketIsCut(t *testing.T) {
	there, b := newBox(t, broker.Options{}), newBox(t, broker.Options{})
	var live atomic.Pointer[net.Conn]
	s := httptest.NewUnstartedServer(there.WebSocket(t.Context(), "ws"))
	s.Config.ConnState = func(nc net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			live.Store(&nc)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	heard := there.listen("#")
	r := run(t, b, Options{URL: "ws" + strings.TrimPrefix(s.URL, "http")})
	r.connected(t)
	const n = 300
	for i := range n {
		b.publish(mqtt.Message{Topic: "count", Payload: fmt.Append(nil, i), QoS: 2})
		if i%100 == 50 {
			(*live.Load()).Close()
		}
	}
	heard.await("count", fmt.Sprint(n-1))
	for i, got := range heard.payloads("count") {
		if got != fmt.Sprint(i) {
			t.Fatalf("%s in place of %d", got, i)
		}
	}
}
