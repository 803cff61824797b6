package gateway

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel/gateway/mqtt"
)

// pageSocket opens MQTT as a page does; an answer other than 101 is a status.
func (o *owner) pageSocket(origin string) (*websocket.Conn, int) {
	o.t.Helper()
	u, err := url.Parse(o.url)
	if err != nil {
		o.t.Fatal(err)
	}
	var cookies []string
	for _, c := range o.http.Jar.Cookies(u) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	header := http.Header{"Cookie": {strings.Join(cookies, "; ")}}
	if origin != "" {
		header.Set("Origin", origin)
	}
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	ws, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(o.url, "http")+"/mqtt", &websocket.DialOptions{
		HTTPHeader: header, Subprotocols: []string{"mqtt"},
		HTTPClient: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
	if err != nil {
		if res == nil {
			o.t.Fatal(err)
		}
		return nil, res.StatusCode
	}
	o.t.Cleanup(func() { ws.CloseNow() })
	return ws, http.StatusSwitchingProtocols
}

// pagePacket sends a packet and reads the next one.
func pagePacket(t *testing.T, ws *websocket.Conn, packet []byte) mqtt.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if packet != nil {
		if err := ws.Write(ctx, websocket.MessageBinary, packet); err != nil {
			t.Fatal(err)
		}
	}
	_, b, err := ws.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := mqtt.Parse(b, mqtt.V50, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPageMQTT: a page is connected as the user who is logged in, with what they may do with
// MQTT, as long as they are; and nobody else's page is.
func TestPageMQTT(t *testing.T) {
	t.Parallel()
	e, stop := startWith(t, closedConfig(), t.TempDir(), false)
	defer stop()
	admin := claim(t, e)
	const password = "a password for nora"
	admin.call("POST", "/api/users", map[string]any{"name": "nora", "password": password, "page": "operator", "topics": []string{"garden/#"}}, nil)
	admin.call("POST", "/api/users", map[string]any{"name": "vera", "password": password, "page": "viewer", "topics": []string{"garden/#"}}, nil)
	login := func(name string) *owner {
		o := visit(t, e)
		o.call("POST", "/api/login", map[string]string{"user": name, "password": password}, nil)
		return o
	}
	nora, stranger := login("nora"), visit(t, e)
	for origin, want := range map[string]int{"": 403, "http://evil.example": 403, "null": 403, nora.url + "0": 403} {
		if _, got := nora.pageSocket(origin); got != want {
			t.Errorf("from %q: %d, want %d", origin, got, want)
		}
	}
	if _, got := stranger.pageSocket(stranger.url); got != 303 {
		t.Errorf("who is not logged in gets %d", got)
	}
	if _, got := login("vera").pageSocket(nora.url); got != 403 {
		t.Errorf("a viewer gets %d", got)
	}
	ws, code := nora.pageSocket(nora.url)
	if code != 101 {
		t.Fatalf("nora gets %d", code)
	}
	// What the CONNECT says of a user counts nothing.
	connect := mqtt.Connect{Version: mqtt.V50, ClientID: "page-1", CleanStart: true, HasUserName: true, UserName: "admin", HasPassword: true, Password: []byte("x")}
	if p := pagePacket(t, ws, connect.Append(nil)); p.Type != mqtt.CONNACK || p.Body[1] != 0 {
		t.Fatalf("%v % x", p.Type, p.Body)
	}
	var c struct {
		User, Listener string
		Connected      bool
	}
	admin.get("/api/clients/page-1", &c)
	if c.User != "nora" || c.Listener != "page" || !c.Connected {
		t.Errorf("%+v", c)
	}
	for topic, want := range map[string]mqtt.ReasonCode{"garden/pump": mqtt.NoMatchingSubscribers, "house/alarm": mqtt.NotAuthorized} {
		m := mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: 1}
		var ack mqtt.Ack
		if err := ack.Decode(pagePacket(t, ws, m.Append(nil, mqtt.V50)), mqtt.V50); err != nil || ack.Code != want && !(want < 0x80 && ack.Code < 0x80) {
			t.Errorf("publish to %s: %v %v, want %v", topic, ack.Code, err, want)
		}
	}
	// The end of the session is the end of the connection, and its cookie opens no other.
	page, _ := url.Parse(nora.url)
	cookies := nora.http.Jar.Cookies(page)
	nora.call("POST", "/api/logout", map[string]any{}, nil)
	if p := pagePacket(t, ws, nil); p.Type != mqtt.DISCONNECT || mqtt.ReasonCode(p.Body[0]) != mqtt.AdministrativeAction {
		t.Errorf("after the logout: %v % x", p.Type, p.Body)
	}
	nora.http.Jar.SetCookies(page, cookies)
	if _, got := nora.pageSocket(nora.url); len(cookies) == 0 || got != 303 {
		t.Error("the session that has ended opens a connection")
	}

	// So is losing the level.
	nora = login("nora")
	ws, _ = nora.pageSocket(nora.url)
	connect.ClientID = "page-2"
	pagePacket(t, ws, connect.Append(nil))
	admin.call("PATCH", "/api/users/nora", map[string]any{"page": "viewer"}, nil)
	if p := pagePacket(t, ws, nil); p.Type != mqtt.DISCONNECT {
		t.Errorf("after the level was taken: %v % x", p.Type, p.Body)
	}
}
