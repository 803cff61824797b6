package homeassistant

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/homeassistant/fakehome"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// connectHouse is a broker with one login, a Connector, and a Home Assistant that has no
// broker yet.
type connectHouse struct {
	*Connector
	t      *testing.T
	home   *fakehome.Home
	site   *fakehome.Site
	server *httptest.Server
	port   int
	hosts  []string
	logins int // that were made

	mu       sync.Mutex
	password string
	visit    Visit
	at       time.Time
}

func newConnectHouse(t *testing.T, b fakehome.Behaviour) *connectHouse {
	return newConnectHouseAt(t, b, "127.0.0.1", httptest.NewServer)
}

// newConnectHouseAt has its broker listen at an address of the loopback.
func newConnectHouseAt(t *testing.T, b fakehome.Behaviour, address string, serve func(http.Handler) *httptest.Server) *connectHouse {
	t.Helper()
	h := &connectHouse{t: t, home: fakehome.New(fakehome.Options{}), password: "secret"}
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broker, err := broker.New(store, broker.Options{Authenticate: h.authenticate})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	h.port = l.Addr().(*net.TCPAddr).Port
	ctx, stop := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return broker.Run(ctx) })
	running.Go(func() error { return broker.Serve(ctx, l, "") })
	h.site = fakehome.NewSite(h.home, b)
	h.server = serve(h.site)
	t.Cleanup(func() {
		h.server.Close()
		stop()
		if err := errors.Join(running.Wait(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	h.Connector = NewConnector(ConnectorOptions{
		Lookup: func(host string) []netip.Addr {
			if host == "ha.local" {
				return []netip.Addr{netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.1")} // nobody at the first
			}
			return nil
		},
		Hosts: func() []string { return h.hosts },
		Port:  func() int { return h.port },
		Login: func(context.Context, string) (user, password string, err error) {
			h.logins++
			return "homeassistant", "secret", nil
		},
		Visit: func(user string, since time.Time) Visit {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.at.Before(since) {
				return NoVisit
			}
			return h.visit
		},
	})
	return h
}

func (h *connectHouse) authenticate(_ context.Context, r *broker.ConnectRequest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, h.visit = time.Now(), LetIn
	if r.UserName != "homeassistant" || string(r.Password) != h.password {
		h.visit = Refused
		return &broker.Refusal{Code: mqtt.BadUserNameOrPassword}
	}
	return nil
}

const testPage = "http://lintel-a1b2c3.local"

func (h *connectHouse) begin(addresses ...string) (authorize string, err error) {
	return h.Begin(h.t.Context(), Begin{Addresses: addresses, Page: testPage, Owner: "admin", By: "by admin"})
}

// login is what a person and a browser do at Home Assistant: it returns the query with which
// the browser comes back.
func (h *connectHouse) login(authorize, button string) url.Values {
	h.t.Helper()
	client := h.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at, err := url.Parse(authorize)
	if err != nil {
		h.t.Fatal(err)
	}
	at.Host = strings.TrimPrefix(strings.TrimPrefix(h.server.URL, "https://"), "http://")
	form := at.Query()
	form.Set("do", button)
	at.RawQuery = ""
	answer, err := client.PostForm(at.String(), form)
	if err != nil {
		h.t.Fatal(err)
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil || back.Scheme+"://"+back.Host != testPage || back.Path != CallbackPath {
		h.t.Fatalf("Home Assistant sends the browser to %v, %v (%d)", back, err, answer.StatusCode)
	}
	return back.Query()
}

// connect does everything, at the best address.
func (h *connectHouse) connect() (Connection, error) {
	h.t.Helper()
	authorize, err := h.begin(h.server.URL)
	if err != nil {
		return Connection{}, err
	}
	q := h.login(authorize, "login")
	return h.Finish(h.t.Context(), Return{State: q.Get("state"), Code: q.Get("code"), Owner: "admin"})
}

// wantNothingLeft checks that nothing of Home Assistant's is kept, and nothing of ours left there.
func (h *connectHouse) wantNothingLeft() {
	h.t.Helper()
	if tokens, flows := h.site.Left(); tokens != 0 || flows != 0 {
		h.t.Errorf("%d tokens and %d flows are left: %v", tokens, flows, h.site)
	}
}

// wantSentence checks that an error is one that a person can do something with.
func wantSentence(t *testing.T, err error, reason Reason, part string) {
	t.Helper()
	e, ok := errors.AsType[*ConnectError](err)
	if !ok || e.Reason != reason || !strings.Contains(e.Text, part) {
		t.Errorf("%+v, want %q with %q", err, reason, part)
		return
	}
	if !unicode.IsUpper([]rune(e.Text)[0]) || !strings.HasSuffix(e.Text, ".") && !strings.HasSuffix(e.Text, "?") || strings.ContainsAny(e.Text, "<>\n\x00") || len(e.Text) > 600 {
		t.Errorf("no sentence: %s", e.Text)
	}
}

func TestConnect(t *testing.T) {
	for name, b := range map[string]fakehome.Behaviour{
		"container": {}, "Home Assistant OS": {Supervised: true},
		"later version": {Fields: []fakehome.Field{{Name: "advanced_options", Optional: true}, {Name: "protocol", Required: true, Default: "5"}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newConnectHouse(t, b)
			c, err := h.connect()
			if err != nil {
				t.Fatal(err)
			}
			if c.Name != "Home" || c.Version != "2026.2.0" || c.User != "homeassistant" || c.Broker != "127.0.0.1" || !c.ByAddress() || c.ID != h.server.URL ||
				c.Address != "127.0.0.1" || time.Since(c.Time) > time.Minute || len(c.Notes) != 0 {
				t.Errorf("connected: %+v", c)
			}
			if e, ok := h.home.Configured(); !ok || e != (fakehome.Entry{Broker: "127.0.0.1", Port: h.port, Username: "homeassistant", Password: "secret"}) {
				t.Errorf("Home Assistant has the broker %+v, %t", e, ok)
			}
			h.wantNothingLeft()

			_, err = h.connect()
			wantSentence(t, err, HasBroker, "bridge mode")
			h.wantNothingLeft()
			if h.logins != 1 {
				t.Errorf("%d logins were made", h.logins)
			}
		})
	}
}

// TestConnectAnotherAddress: what cannot be reached at one address is at the next, and each
// try takes a flow of its own.
func TestConnectAnotherAddress(t *testing.T) {
	h := newConnectHouseAt(t, fakehome.Behaviour{Supervised: true}, "127.0.0.2", httptest.NewServer)
	authorize, err := h.begin(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.hosts = []string{"127.0.0.4"}
	q := h.login(authorize, "login")
	c, err := h.Finish(t.Context(), Return{State: q.Get("state"), Code: q.Get("code"), Owner: "admin", Local: netip.MustParseAddr("127.0.0.2")})
	if err != nil || c.Broker != "127.0.0.2" {
		t.Errorf("%+v, %v", c, err)
	}
	h.wantNothingLeft()
	if n := len(slices.DeleteFunc(h.site.Calls(), func(call string) bool { return call != "POST "+flowPath })); n != 2 {
		t.Errorf("%d flows were begun: %v", n, h.site)
	}
}

func TestConnectHosts(t *testing.T) {
	for _, tt := range []struct{ remote, towards, local, hosts, want string }{
		{"192.168.1.5:8123", "192.168.1.9", "10.0.0.9", "lintel.local", "192.168.1.9 10.0.0.9 lintel.local"},
		{"192.168.1.5:8123", "192.168.1.9", "192.168.1.9", "lintel.local lintel.local", "192.168.1.9 lintel.local"},
		{"192.168.1.5:8123", "192.168.1.9", "127.0.0.1", "lintel.local", "192.168.1.9 lintel.local"}, // the browser is on the box
		{"127.0.0.1:8123", "127.0.0.1", "192.168.1.9", "lintel.local", "127.0.0.1 lintel.local"},
		{"[fd00::5]:8123", "fd00::9", "fe80::9%eth0", "", "fd00::9"},
		{"192.168.1.5:8123", "192.168.1.9", "", "1.2.3.4 0.0.0.0 224.0.0.1 a b c d", "192.168.1.9 1.2.3.4 a b"},
	} {
		c := NewConnector(ConnectorOptions{Hosts: func() []string { return strings.Fields(tt.hosts) }})
		local, _ := netip.ParseAddr(tt.local)
		got := c.hosts(&home{remote: netip.MustParseAddrPort(tt.remote), local: netip.MustParseAddr(tt.towards)}, local)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// TestConnectSecondURL: what was found is looked for where it says, and where it was heard.
func TestConnectSecondURL(t *testing.T) {
	h := newConnectHouse(t, fakehome.Behaviour{})
	port := h.server.URL[strings.LastIndexByte(h.server.URL, ':'):]
	authorize, err := h.begin("http://127.0.0.3"+port, "http://ha.local"+port)
	if err != nil || !strings.HasPrefix(authorize, "http://ha.local"+port+"/auth/authorize?") {
		t.Fatalf("%s, %v", authorize, err)
	}
	u, _ := url.Parse(authorize)
	if q := u.Query(); q.Get("client_id") != testPage+"/" || q.Get("redirect_uri") != testPage+CallbackPath || len(q.Get("state")) < 26 {
		t.Errorf("asked with %v", q)
	}
	q := h.login(authorize, "login")
	if c, err := h.Finish(t.Context(), Return{State: q.Get("state"), Code: q.Get("code"), Owner: "admin"}); err != nil || c.ID != "http://ha.local"+port {
		t.Errorf("%+v, %v", c, err)
	}
	// Of two that cannot be, the one that answers says more.
	_, err = h.begin("http://127.0.0.3"+port, "ftp://x")
	wantSentence(t, err, BadRequest, "neither http")
	_, err = h.begin()
	wantSentence(t, err, BadRequest, "Type the address")
	h.port = 0
	_, err = h.begin(h.server.URL)
	wantSentence(t, err, Unconnected, "[mqtt]")
}

// TestConnectState: what a browser brings back counts once, for ten minutes, and for who has
// begun it.
func TestConnectState(t *testing.T) {
	h := newConnectHouse(t, fakehome.Behaviour{})
	authorize, err := h.begin(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := h.login(authorize, "login")
	back := Return{State: q.Get("state"), Code: q.Get("code"), Owner: "admin"}
	before := len(h.site.Calls())
	for _, wrong := range []Return{
		{}, {Code: back.Code, Owner: "admin"}, {State: "x" + back.State, Code: back.Code, Owner: "admin"},
		{State: back.State, Code: back.Code, Owner: "session of another"}, {State: back.State, Code: back.Code},
	} {
		_, err := h.Finish(t.Context(), wrong)
		wantSentence(t, err, BadRequest, "belongs to nothing")
	}
	if now := len(h.site.Calls()); now != before || h.logins != 0 {
		t.Errorf("Home Assistant was asked %d things, and %d logins were made", now-before, h.logins)
	}
	if _, err := h.Finish(t.Context(), back); err != nil {
		t.Fatal(err) // who came with it wrongly has not used it up
	}
	_, err = h.Finish(t.Context(), back)
	wantSentence(t, err, BadRequest, "used already")

	authorize, err = h.begin(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	q = h.login(authorize, "login")
	h.Connector.tries[q.Get("state")].since = time.Now().Add(-tryTime - time.Second)
	_, err = h.Finish(t.Context(), Return{State: q.Get("state"), Code: q.Get("code"), Owner: "admin"})
	wantSentence(t, err, BadRequest, "ten minutes")
	for range 3 * maxTries {
		if authorize, err = h.begin(h.server.URL); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(h.Connector.tries); n != maxTries {
		t.Errorf("%d tries are remembered", n)
	}
	q = h.login(authorize, "login") // the newest is among them
	_, err = h.Finish(t.Context(), Return{State: q.Get("state"), Owner: "admin"})
	wantSentence(t, err, BadRequest, "without a code")
}

// TestConnectFailures: every answer that Home Assistant can give has a sentence, and after
// it nothing is left there.
func TestConnectFailures(t *testing.T) {
	cannotConnect := func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"type":"form","flow_id":"f1","step_id":"broker","data_schema":[],"errors":{"base":"cannot_connect"}}`))
	}
	for name, tt := range map[string]struct {
		b      fakehome.Behaviour
		change func(*connectHouse)
		reason Reason
		part   string
	}{
		"onboarding":            {b: fakehome.Behaviour{Onboarding: true}, reason: NotAllowed, part: "make its first user"},
		"banned":                {b: fakehome.Behaviour{Banned: true}, reason: NotAllowed, part: "ip_bans.yaml"},
		"inactive":              {b: fakehome.Behaviour{Inactive: true}, reason: NotAllowed, part: `"User is not active"`},
		"not an administrator":  {b: fakehome.Behaviour{NotAdmin: true}, reason: NotAllowed, part: "may not change its settings"},
		"token ends":            {b: fakehome.Behaviour{TokenLife: 1}, reason: NotAllowed, part: "logged the box out"},
		"other aborts":          {b: fakehome.Behaviour{Abort: "not_<b>supported\n"}, reason: NotUnderstood, part: `"not_?b?supported?"`},
		"already configured":    {b: fakehome.Behaviour{Abort: "already_configured"}, reason: HasBroker, part: "bridge mode"},
		"already in progress":   {b: fakehome.Behaviour{Abort: "already_in_progress"}, reason: NotAllowed, part: "right now"},
		"new required field":    {b: fakehome.Behaviour{Supervised: true, Fields: []fakehome.Field{{Name: "protocol", Required: true}}}, reason: NotUnderstood, part: `"protocol"`},
		"field is gone":         {b: fakehome.Behaviour{Lacks: "username"}, reason: NotUnderstood, part: "the username of a broker"},
		"errors in the form":    {b: fakehome.Behaviour{Errors: map[string]string{"broker": "bad_<i>", "base": "x"}}, reason: NotUnderstood, part: `"base": "x", "broker": "bad_?i?"`},
		"password refused":      {change: func(h *connectHouse) { h.password = "another" }, reason: Unconnected, part: "was refused"},
		"broker not reached":    {change: func(h *connectHouse) { h.port = 1; h.hosts = []string{"127.0.0.2"} }, reason: Unconnected, part: "127.0.0.1 or 127.0.0.2, port 1"},
		"let in and yet not":    {b: instead("POST "+flowPath+"/{id}", cannotConnect), change: func(h *connectHouse) { h.at, h.visit = time.Now().Add(time.Hour), LetIn }, reason: Unconnected, part: "was let in"},
		"locked out":            {b: instead("POST "+flowPath+"/{id}", cannotConnect), change: func(h *connectHouse) { h.at, h.visit = time.Now().Add(time.Hour), LockedOut }, reason: Unconnected, part: "has to wait"},
		"no login":              {change: func(h *connectHouse) { h.Connector.o.Login = noLogin }, reason: NoLogin, part: "too many"},
		"restarted on the way":  {b: instead("POST "+flowPath+"/{id}", notFound("Invalid flow specified")), reason: NotUnderstood, part: "restarted"},
		"no MQTT":               {b: instead("POST "+flowPath, notFound("Invalid handler specified")), reason: NotUnderstood, part: "no MQTT integration"},
		"other refusals":        {b: instead("POST "+flowPath, notFound("Some <new> message")), reason: NotUnderstood, part: `error 404: "Some ?new? message"`},
		"dependencies":          {b: instead("POST "+flowPath, plain(400, "Failed dependencies file_upload")), reason: NotUnderstood, part: "file_upload"},
		"menu without a broker": {b: instead("POST "+flowPath, plain(200, `{"type":"menu","flow_id":"a","menu_options":{"addon":"x"}}`)), reason: NotUnderstood, part: `("menu", "")`},
		"menus without end":     {b: loop("menu"), reason: NotUnderstood, part: `"menu"`},
		"another step":          {b: instead("POST "+flowPath, plain(200, `{"type":"form","flow_id":"a","step_id":"terms"}`)), reason: NotUnderstood, part: `"terms"`},
		"path in the flow":      {b: instead("POST "+flowPath, plain(200, `{"type":"form","flow_id":"../../x","step_id":"broker"}`)), reason: NotUnderstood, part: "does not know"},
		"schema refused":        {b: instead("POST "+flowPath+"/{id}", plain(400, `{"errors":{"base":["extra keys not allowed"]}}`)), reason: NotUnderstood, part: "extra keys not allowed"},
		"code refused":          {b: instead("POST /auth/token", plain(400, `{"error":"invalid_request","error_description":"Invalid code"}`)), reason: BadRequest, part: "does not know the code"},
		"client refused":        {b: instead("POST /auth/token", plain(400, `{"error":"invalid_request","error_description":"Invalid client id"}`)), reason: NotUnderstood, part: "Invalid client id"},
		"token for no header":   {b: instead("POST /auth/token", plain(200, `{"access_token":"a\nb","refresh_token":"c"}`)), reason: NotUnderstood, part: "does not answer as"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newConnectHouse(t, tt.b)
			if tt.change != nil {
				tt.change(h)
			}
			_, err := h.connect()
			wantSentence(t, err, tt.reason, tt.part)
			h.wantNothingLeft()
			if _, ok := h.home.Configured(); ok {
				t.Error("Home Assistant has a broker")
			}
		})
	}
}

func instead(pattern string, serve http.HandlerFunc) fakehome.Behaviour {
	return fakehome.Behaviour{Instead: map[string]http.HandlerFunc{pattern: serve}}
}

func plain(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(text))
	}
}

func notFound(message string) http.HandlerFunc {
	return plain(404, `{"message":"`+message+`"}`)
}

// loop answers each step with the same kind of step.
func loop(kind string) fakehome.Behaviour {
	again := plain(200, `{"type":"`+kind+`","flow_id":"a","menu_options":["broker"]}`)
	return fakehome.Behaviour{Instead: map[string]http.HandlerFunc{"POST " + flowPath: again, "POST " + flowPath + "/{id}": again}}
}

func noLogin(context.Context, string) (user, password string, err error) {
	return "", "", connectError(NoLogin, "There are too many.")
}

// TestConnectNotes: what went well but for something says so.
func TestConnectNotes(t *testing.T) {
	h := newConnectHouse(t, fakehome.Behaviour{State: "setup_retry", Instead: map[string]http.HandlerFunc{
		"POST /auth/revoke": plain(500, "no"), "GET /api/config": plain(200, "<html>")}})
	c, err := h.connect()
	if err != nil || len(c.Notes) != 2 || !strings.Contains(c.Notes[0], "setup_retry") || !strings.Contains(c.Notes[1], "Refresh tokens, "+testPage) {
		t.Errorf("%+v, %v", c, err)
	}
	if c.Name != strings.TrimPrefix(h.server.URL, "http://") {
		t.Errorf("who does not say its name is %q", c.Name)
	}
}

func TestConnectDenied(t *testing.T) {
	h := newConnectHouse(t, fakehome.Behaviour{})
	authorize, err := h.begin(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := h.login(authorize, "deny")
	_, err = h.Finish(t.Context(), Return{State: q.Get("state"), Code: q.Get("code"), Denied: q.Get("error"), Owner: "admin"})
	wantSentence(t, err, NotAllowed, `"access_denied"`)
}
