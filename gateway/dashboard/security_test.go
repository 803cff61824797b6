package dashboard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee/z2m"
)

// whole adds what other tests leave out, so that each route is there.
func whole(o *Options) {
	// The Zigbee front end is another project's page.
	o.Zigbee = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "front end") })
	o.Backups = noBackups{}
	sticks := o.Sticks()
	for i := range sticks {
		sticks[i].Device = fmt.Sprintf("stick_%d", i)
	}
	o.Sticks = func() []serialbridge.StickStatus { return sticks }
	o.Capture = func(ctx context.Context, _ string, _ io.Writer, _ func() error) error {
		<-ctx.Done()
		return nil
	}
}

// noBackups are backups of a box that never had one.
type noBackups struct{}

func (noBackups) Last() time.Time                                      { return time.Time{} }
func (noBackups) Write(context.Context, io.Writer, string, bool) error { return errors.ErrUnsupported }
func (noBackups) Restore(context.Context, io.Reader, string) (string, error) {
	return "", ErrBackupRefused
}

// policyOf returns the directives of a Content-Security-Policy (CSP3 §2.2.1: the first of a
// name counts).
func policyOf(h http.Header) map[string][]string {
	policy := make(map[string][]string)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Content-Security-Policy"), ";"), ";") {
		words := strings.Fields(directive)
		if len(words) > 0 && policy[words[0]] == nil {
			policy[words[0]] = words[1:]
		}
	}
	return policy
}

// checkHeaders checks what every answer tells a browser, whatever it is about.
func checkHeaders(t *testing.T, what string, a answered) {
	t.Helper()
	policy := policyOf(a.Header)
	foreign := strings.HasPrefix(a.Request.URL.Path, "/zigbee/") && a.StatusCode == http.StatusOK
	for directive, want := range map[string]string{"default-src": "'self'", "base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'"} {
		if got := strings.Join(policy[directive], " "); got != want {
			t.Errorf("%s: %s is %q, want %q", what, directive, got, want)
		}
	}
	for directive, sources := range policy {
		for _, source := range sources {
			switch {
			case source == "'self'" || source == "'none'":
			case foreign && slices.Contains([]string{"style-src", "img-src", "font-src", "worker-src"}, directive):
			default:
				t.Errorf("%s: the policy lets %s from %s", what, directive, source)
			}
		}
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"} {
		if got := a.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %s lets other sites read it", what, name)
		}
	}
	if a.body != "" && a.Header.Get("Content-Type") == "" {
		t.Errorf("%s: no Content-Type", what)
	}
}

// unseen are the pages that no link leads to in the house of the test, by the reason.
var unseen = map[string]string{
	"GET /static/{version}/{name}": "a link element leads there",
	"GET /icon.svg":                "the same",
	"GET /mqtt":                    "a module connects there",
	"GET /homeassistant/callback":  "Home Assistant leads there",
	"GET /login":                   "who asks is logged in",
	"GET /claim":                   "the box is claimed",
}

func isHTML(a answered) bool { return strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") }

// Each page is fetched as it is when nothing is there, and as the links of others lead to it.
func TestPagesHoldNothingThatRuns(t *testing.T) {
	g := newGate(t, whole)
	routes := New(g.o).routes()
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.Handle(rt.pattern, http.NotFoundHandler())
	}
	look := func(what string, b browse) []string {
		a := g.do(b)
		checkHeaders(t, what, a)
		if !isHTML(a) {
			return nil
		}
		return checkMarkup(t, what, a.body)
	}
	session := g.session("admin")
	client, err := g.o.MQTT.NewClient("test")
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(t.Context(), mqtt.Message{Topic: "kept/" + hostile, Payload: []byte(hostile), Retain: true}); err != nil {
		t.Fatal(err)
	}
	g.want(200, browse{path: "/api/zigbee/group/add", as: "admin", json: `{"friendly_name":"upstairs","id":7}`})
	g.want(303, browse{path: "/trace", as: "admin", form: url.Values{"topic": {"garden/#"}}})
	var next []string
	for _, rt := range routes {
		if b := rt.empty(); b.method == "GET" {
			look(rt.pattern+" of nobody", b)
			b.cookie = session
			next = append(next, look(rt.pattern, b)...)
		}
	}
	seen, visits := make(map[string]bool), make(map[string]int)
	for len(next) > 0 {
		path, _, _ := strings.Cut(next[0], "#")
		next = next[1:]
		r := httptest.NewRequest("GET", path, nil)
		_, pattern := mux.Handler(r)
		if seen[path] || visits[pattern] == 5 || strings.HasPrefix(path, "/api/") {
			continue
		}
		if pattern == "" {
			t.Errorf("a link leads to %s, and there is nothing", path)
			continue
		}
		seen[path] = true
		visits[pattern]++
		next = append(next, look("GET "+path, browse{path: path, cookie: session})...)
	}
	for _, rt := range routes {
		if why := unseen[rt.pattern]; strings.HasPrefix(rt.pattern, "GET /") && !strings.HasPrefix(rt.pattern, "GET /api/") && visits[rt.pattern] == 0 && why == "" {
			t.Errorf("no link leads to %s: it was not looked at", rt.pattern)
		}
	}
	// What acts comes last: it changes what the pages show.
	for _, rt := range routes {
		if b := rt.empty(); b.method != "GET" {
			look(rt.pattern+" of nobody", b)
			b.as = "admin"
			look(rt.pattern, b)
		}
	}
	box := newBox(t)
	checkMarkup(t, "GET /claim", box.want(200, browse{path: "/claim"}).body)
	for _, b := range []browse{{path: "/nowhere"}, {path: "/", method: "PROPFIND"}, {path: "/", host: "evil.example"},
		{path: "/logout", form: url.Values{"": nil}, header: http.Header{"Origin": {"http://evil.example"}}}} {
		look(b.method+b.path+b.host, b)
	}
}

// state is what requests can change in the house of a test, as text that can be compared.
func (g *gate) state() string {
	var all []any
	for _, u := range g.o.Users.All() {
		all = append(all, u.Name, u.Hash, u.Page, u.Roles, u.Topics, u.Disabled)
	}
	for _, token := range g.o.Tokens.All() {
		all = append(all, token.Name, token.Level)
	}
	for _, session := range g.o.Sessions.All() {
		all = append(all, session.ID)
	}
	all = append(all, g.o.Claim.Claimed(), g.o.Claim.BoxName(), g.reloads, g.o.Audit.All(), g.o.Roles(), g.o.Devices())
	all = append(all, g.o.Updater, g.o.HomeAssistant, g.o.Bridge, g.o.Settings, g.o.Network, g.o.DeviceBook, g.o.Simulations)
	return fmt.Sprintf("%+v", all)
}

// A page of somebody else whose name leads here (DNS rebinding) is of the same origin as
// what it asks, and its browser may even have a cookie for it.
func TestForeignRequestsChangeNothing(t *testing.T) {
	for name, g := range map[string]*gate{"claimed": newGate(t, whole), "unclaimed": newBox(t, whole)} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			cookie := ""
			if name == "claimed" {
				cookie = g.session("admin")
			}
			before := g.state()
			for _, rt := range New(g.o).routes() {
				b := rt.empty()
				b.cookie = cookie
				typed := b.header
				b.header = http.Header{"Origin": {"http://evil.example"}, "Sec-Fetch-Site": {"same-origin"}}
				maps.Copy(b.header, typed)
				b.host = "evil.example"
				if slices.Contains(anyHost, b.path) || strings.HasPrefix(b.path, "/static/") {
					if a := g.do(b); a.StatusCode == http.StatusMisdirectedRequest {
						t.Errorf("%s is for any name, and refused", rt.pattern)
					}
				} else {
					g.want(http.StatusMisdirectedRequest, b)
				}
				if b.host = ""; b.method != "GET" {
					b.header.Set("Sec-Fetch-Site", "cross-site")
					g.want(http.StatusForbidden, b)
				}
			}
			if after := g.state(); after != before {
				t.Errorf("changed from\n%s\nto\n%s", before, after)
			}
			if name == "claimed" { // and what is compared does tell
				g.want(303, browse{path: "/logout", method: "POST", cookie: cookie, form: url.Values{"": nil}})
				if g.state() == before {
					t.Error("the same after a logout")
				}
			}
		})
	}
}

// A link of another site takes the cookie along, which is SameSite=Lax: so GET must not act.
func TestLinksChangeNothing(t *testing.T) {
	g := newGate(t, whole)
	cookie := g.session("admin")
	before := g.state()
	for _, rt := range New(g.o).routes() {
		b := rt.empty()
		if b.method != "GET" || b.path == "/homeassistant/callback" { // see doc.go
			continue
		}
		b.cookie, b.header = cookie, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}
		g.do(b)
		if after := g.state(); after != before {
			t.Errorf("%s changes\n%s\nto\n%s", rt.pattern, before, after)
			before = after
		}
	}
}

// Browsers open WebSockets to other sites, with the cookie, and ask nobody. That of the Zigbee
// front end may do everything there: it is for our own page, for as long as its admin is one.
func TestZigbeeSocketIsOfTheSession(t *testing.T) {
	g := newGate(t, func(o *Options) { o.Zigbee = o.ZigbeeNetwork.Bridge().Frontend(z2m.FrontendOptions{}) })
	cookie := g.session("admin")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dial := func(origin string) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(ctx, "ws"+strings.TrimPrefix(g.url, "http")+"/zigbee/api", &websocket.DialOptions{
			HTTPHeader: http.Header{"Origin": {origin}, "Cookie": {plainCookie + "=" + cookie}}})
	}
	for _, origin := range []string{"http://evil.example", "null", g.url + "0"} {
		if ws, res, err := dial(origin); err == nil {
			ws.CloseNow()
			t.Errorf("a page of %s is let in", origin)
		} else if res == nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("a page of %s: %v", origin, err)
		}
	}
	ws, _, err := dial(g.url)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	if _, _, err := ws.Read(ctx); err != nil {
		t.Fatal(err)
	}
	g.want(303, browse{path: "/logout", method: "POST", cookie: cookie, form: url.Values{"": nil}})
	for err == nil {
		_, _, err = ws.Read(ctx)
	}
	if ctx.Err() != nil {
		t.Error("it goes on after the logout")
	}
}

// Who plants a cookie before a login does not know the session after it.
func TestPlantedSessions(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", overTLS), func(t *testing.T) {
			g := newGate(t)
			g.passwords()
			handler := New(g.o).Handler()
			do := func(path, cookie string, form url.Values) *http.Response {
				r := httptest.NewRequest("GET", "http://localhost"+path, nil)
				if form != nil {
					r = httptest.NewRequest("POST", "http://localhost"+path, strings.NewReader(form.Encode()))
					r.Header.Set("Content-Type", formType)
				}
				name := plainCookie
				if overTLS {
					r.TLS, name = &tls.ConnectionState{}, tlsCookie
				}
				if cookie != "" {
					r.Header.Set("Cookie", name+"="+cookie)
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				return w.Result()
			}
			vera := url.Values{"user": {"vera"}, "password": {"password of vera"}}
			given := make(map[string]bool)
			for _, planted := range []string{"planted", strings.Repeat("A", 43), g.session("olga")} {
				if res := do("/login", planted, url.Values{"user": {"vera"}, "password": {"wrong"}}); len(res.Cookies()) != 0 {
					t.Error("a cookie for a wrong password")
				}
				res := do("/login", planted, vera)
				c := res.Cookies()
				if res.StatusCode != 303 || len(c) != 1 {
					t.Fatalf("%s %v", res.Status, c)
				}
				token := c[0].Value
				if token == planted || given[token] || len(token) < 22 { // 128 bits in base64
					t.Errorf("the session after %q is %q", planted, token)
				}
				given[token] = true
				if !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode || c[0].Secure != overTLS || c[0].Domain != "" || c[0].Path != "/" || strings.HasPrefix(c[0].Name, "__Host-") != overTLS {
					t.Errorf("%+v", c[0])
				}
				if res := do("/", planted, nil); res.StatusCode != 303 {
					t.Errorf("%q is worth something after the login", planted)
				}
				if res := do("/", token, nil); res.StatusCode != 200 {
					t.Errorf("the session is worth nothing: %s", res.Status)
				}
				do("/logout", token, url.Values{})
				if res := do("/", token, nil); res.StatusCode != 303 {
					t.Error("the session goes on after the logout")
				}
			}
		})
	}
}
