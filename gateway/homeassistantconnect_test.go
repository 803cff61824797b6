package gateway

import (
	"bytes"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/homeassistant"
	"lintel/gateway/homeassistant/fakehome"
)

// connectHouse is a running house with its owner at the page, and a Home Assistant beside
// it that has no broker yet.
type connectHouse struct {
	*owner
	e    Endpoints
	home *fakehome.Home
	site *fakehome.Site
	url  string // of Home Assistant
}

func newConnectHouse(t *testing.T) *connectHouse {
	t.Helper()
	c := closedConfig()
	c.MQTT.WebSocket = nil
	e, stop := startWith(t, c, t.TempDir(), false)
	h := &connectHouse{e: e, home: fakehome.New(fakehome.Options{Timing: fakehome.Measured().Faster(20)})}
	h.site = fakehome.NewSite(h.home, fakehome.Behaviour{Supervised: true})
	server := httptest.NewServer(h.site)
	h.url = server.URL
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.home.Run(ctx) }()
	t.Cleanup(func() {
		server.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stop()
	})
	h.owner = claim(t, e)
	return h
}

// page is a page that a browser shows.
type page struct {
	status int
	url    string
	header http.Header
	text   string
}

func (h *connectHouse) open(request *http.Request) page {
	h.t.Helper()
	answer, err := h.http.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(answer.Body); err != nil {
		h.t.Fatal(err)
	}
	return page{answer.StatusCode, answer.Request.URL.String(), answer.Header, b.String()}
}

func (h *connectHouse) visitPage(at string) page {
	h.t.Helper()
	request, err := http.NewRequest("GET", at, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.open(request)
}

func (h *connectHouse) post(at string, form url.Values) page {
	h.t.Helper()
	request, err := http.NewRequest("POST", at, strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.open(request)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// login presses Connect and logs in at Home Assistant, whose answer, the callback, it
// does not follow.
func (h *connectHouse) login() (callback string) {
	h.t.Helper()
	p := h.post(h.owner.url+"/homeassistant/connect", url.Values{"address": {h.url}})
	authorize, ok := strings.CutPrefix(p.header.Get("Refresh"), "0; url=")
	if !ok || !strings.HasPrefix(authorize, h.url+"/auth/authorize?") {
		h.t.Fatalf("not led to Home Assistant: %d %v %s", p.status, p.header, p.text)
	}
	form := url.Values{"do": {"login"}}
	for _, field := range hidden.FindAllStringSubmatch(h.visitPage(authorize).text, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	h.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { h.http.CheckRedirect = nil }()
	p = h.post(h.url+"/auth/authorize", form)
	if callback = p.header.Get("Location"); !strings.HasPrefix(callback, h.owner.url+homeassistant.CallbackPath+"?") {
		h.t.Fatalf("Home Assistant sends the browser to %q", callback)
	}
	return callback
}

// connectedLogin is a login as GET /api/homeassistant tells it.
type connectedLogin struct {
	User       string
	Online     bool
	Connection *homeassistant.Connection
}

func (h *connectHouse) logins() []connectedLogin {
	h.t.Helper()
	var got struct{ Logins []connectedLogin }
	h.get("/api/homeassistant", &got)
	return got.Logins
}

// online waits until a login is online, and returns it.
func (h *connectHouse) online(user string) connectedLogin {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); time.Now().Before(deadline); <-tick.C {
		for _, l := range h.logins() {
			if l.User == user && l.Online {
				return l
			}
		}
	}
	h.t.Fatalf("%s does not come online: %+v", user, h.logins())
	return connectedLogin{}
}

// TestConnect is the way of a Home Assistant to the broker, from the page of the box to
// that of Home Assistant and back, with real sockets and cookies.
func TestConnect(t *testing.T) {
	t.Parallel()
	h := newConnectHouse(t)
	p := h.visitPage(h.login())
	if p.status != 200 || p.url != h.owner.url+"/homeassistant" {
		t.Fatalf("the browser is at %s: %d %s", p.url, p.status, p.text)
	}
	entry, ok := h.home.Configured()
	if !ok || entry.Username != "homeassistant" || entry.Broker != "127.0.0.1" {
		t.Errorf("Home Assistant has the broker %+v, %t", entry, ok)
	}
	l := h.online("homeassistant")
	if c := l.Connection; c == nil || c.Name != "Home" || c.Version != "2026.2.0" || c.ID != h.url || c.Broker != "127.0.0.1" {
		t.Errorf("connected: %+v", c)
	}
	if p := h.visitPage(h.owner.url + "/homeassistant"); !strings.Contains(p.text, "online</span> Home ") {
		t.Errorf("the page does not say so: %s", p.text)
	}
	if tokens, flows := h.site.Left(); tokens+flows != 0 {
		t.Errorf("%d tokens and %d flows are left in Home Assistant", tokens, flows)
	}

	// Who presses again is told that there is nothing to do.
	if p := h.visitPage(h.login()); p.status != 409 || !strings.Contains(p.text, "connected to this box already") {
		t.Errorf("%d %s", p.status, p.text)
	}
	// Who deletes MQTT there gets it connected with another login, for the box cannot
	// know that nobody else uses the first one; from then on it is free.
	h.home.Unconfigure()
	if p := h.visitPage(h.login()); p.status != 200 {
		t.Fatalf("%d %s", p.status, p.text)
	}
	if l := h.online("homeassistant-2"); l.Connection == nil || h.logins()[0].Connection != nil {
		t.Errorf("connected again: %+v", h.logins())
	}
	var made struct{ User string }
	h.call("POST", "/api/homeassistant/login", struct{}{}, &made)
	if made.User != "homeassistant" {
		t.Errorf("the next login is %s", made.User)
	}
}

// TestConnectCallback: without a session, and with a state that is not of this session,
// nothing happens.
func TestConnectCallback(t *testing.T) {
	t.Parallel()
	h := newConnectHouse(t)
	callback := h.login()
	asked := len(h.site.Calls())
	stranger := visit(t, h.e)
	stranger.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := stranger.http.Get(callback)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 303 || !strings.HasPrefix(answer.Header.Get("Location"), "/login") {
		t.Errorf("without a session: %d, %s", answer.StatusCode, answer.Header.Get("Location"))
	}
	other := &connectHouse{owner: visit(t, h.e)}
	other.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	if p := other.visitPage(callback); p.status != 400 || !strings.Contains(p.text, "belongs to nothing") {
		t.Errorf("in another session: %d %s", p.status, p.text)
	}
	for _, wrong := range []string{callback + "x", strings.Replace(callback, "state=", "state=x", 1), h.owner.url + homeassistant.CallbackPath} {
		if strings.HasSuffix(wrong, "x") && !strings.Contains(wrong[strings.LastIndexByte(wrong, '&'):], "state") {
			continue // it is the code that is wrong, which Home Assistant would be asked about
		}
		if p := h.visitPage(wrong); p.status != 400 || !strings.Contains(p.text, "belongs to nothing") {
			t.Errorf("%s: %d %s", wrong, p.status, p.text)
		}
	}
	if now := h.site.Calls(); len(now) != asked {
		t.Errorf("Home Assistant was asked %v", now[asked:])
	}
	if _, ok := h.home.Configured(); ok {
		t.Fatal("Home Assistant has a broker")
	}
	// Browsers tell where they come from; for a GET of the whole page that is no reason.
	request, err := http.NewRequest("GET", callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	if p := h.open(request); p.status != 200 {
		t.Errorf("the browser that began: %d %s", p.status, p.text)
	}
}

// TestConnectToldApart: Home Assistant says "cannot connect" for everything, and the box
// knows better.
func TestConnectToldApart(t *testing.T) {
	t.Parallel()
	h := newConnectHouse(t)
	wrong := `{"type":"form","flow_id":"f","step_id":"broker","data_schema":[],"errors":{"base":"cannot_connect"}}`
	port := netip.MustParseAddrPort(h.e.Brokers[0].Addr.String()).Port()
	for _, tt := range []struct {
		name, password string // of the client that comes meanwhile; empty: none does
		want           string
	}{
		{"nobody comes", "", "cannot reach the broker of this box at 127.0.0.1, port "},
		{"with a wrong password", "wrong", "login homeassistant was refused"},
		{"nobody comes again", "", "cannot reach the broker"},
		{"with the right one", "right", "was let in"},
	} {
		h.site.Behave(func(b *fakehome.Behaviour) {
			b.Supervised = false
			b.Instead = map[string]http.HandlerFunc{"POST /api/config/config_entries/flow/{id}": func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				password := regexp.MustCompile(`"password":"([^"]*)"`).FindSubmatch(text)[1]
				if tt.password == "wrong" {
					password = []byte("wrong")
				}
				if tt.password != "" {
					h.home.Try(r.Context(), fakehome.Entry{Broker: "127.0.0.1", Port: int(port), Username: "homeassistant", Password: string(password)})
				}
				io.WriteString(w, wrong)
			}}
		})
		if p := h.visitPage(h.login()); p.status != 502 || !strings.Contains(p.text, tt.want) {
			t.Errorf("%s: %d %s", tt.name, p.status, p.text)
		}
		h.wantNothingLeft()
	}
}

func (h *connectHouse) wantNothingLeft() {
	h.t.Helper()
	if tokens, flows := h.site.Left(); tokens+flows != 0 {
		h.t.Errorf("%d tokens and %d flows are left in Home Assistant", tokens, flows)
	}
}

// TestConnectCalls: programs do the same with a token.
func TestConnectCalls(t *testing.T) {
	t.Parallel()
	h := newConnectHouse(t)
	var begun struct{ Authorize string }
	h.call("POST", "/api/homeassistant/connect", map[string]string{"address": strings.TrimPrefix(h.url, "http://")}, &begun)
	u, err := url.Parse(begun.Authorize)
	if err != nil || u.Query().Get("redirect_uri") != h.owner.url+homeassistant.CallbackPath {
		t.Fatalf("%s, %v", begun.Authorize, err)
	}
	h.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	form := u.Query()
	form.Set("do", "login")
	back, err := url.Parse(h.post(h.url+"/auth/authorize", form).header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Connection homeassistant.Connection }
	h.call("POST", "/api/homeassistant/callback", map[string]string{"state": back.Query().Get("state"), "code": back.Query().Get("code")}, &made)
	if made.Connection.Name != "Home" || made.Connection.User != access.HomeAssistantUser {
		t.Errorf("%+v", made)
	}
	if status, text := h.try("POST", "/api/homeassistant/connect", map[string]string{"address": h.owner.url}); status != 502 || !strings.Contains(string(text), `"reason": "not understood"`) {
		t.Errorf("the box itself: %d %s", status, text)
	}
}

// TestConnectInBrowser: a browser of today goes the whole way, over the answer to a form
// that leads to another site and back with its cookie.
func TestConnectInBrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	h := newConnectHouse(t)
	h.url = strings.Replace(h.url, "127.0.0.1", "localhost", 1) // another site, to which no cookies of the box go
	p.call("Page.navigate", map[string]string{"url": h.owner.url + "/login?next=/homeassistant"}, nil)
	p.arrives(`document.querySelector("#user")`)
	p.fill("#user", "admin")
	p.fill("#password", ownerPassword)
	p.press("main button", "Log in")
	p.arrives(`document.querySelector("#address")`)
	p.fill("#address", h.url)
	p.run(`document.querySelector("#address").form.requestSubmit()`)
	p.arrives(`document.querySelector("#login")`)
	p.press("button", "Log in")
	p.arrives(`location.href == "` + h.owner.url + `/homeassistant" && document.body.innerText.includes("Login homeassistant")`)
	if _, ok := h.home.Configured(); !ok {
		t.Error("Home Assistant has no broker")
	}
	p.well(nil)
}

// arrives waits until the tab is at a page where a condition holds, over pages that come and
// go meanwhile.
func (p *tab) arrives(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*patience)
	defer cancel()
	var r struct{ Result struct{ Value any } }
	late := time.Now().Add(patience)
	for tick := time.NewTicker(20 * time.Millisecond); time.Now().Before(late); <-tick.C {
		err := p.ask(ctx, "Runtime.evaluate", map[string]any{"expression": `document.readyState == "complete" && !!(` + condition + `)`, "returnByValue": true}, &r)
		if err == nil && r.Result.Value == true {
			return
		}
	}
	p.t.Fatalf("the tab does not arrive where %s; it is at %v", condition, p.run(`location.href + ":\n" + document.body.innerText.slice(0, 2000)`))
}
