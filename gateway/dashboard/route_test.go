package dashboard

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/access"
	"lintel/persist"
)

const adminPassword = "three words suffice"

// gate is a house with a real store, a server on loopback, and somebody of each level.
type gate struct {
	t   *testing.T
	url string
	o   Options

	homeassistant string            // its password
	secrets       map[string]string // of API tokens, by their level
	reloads       int
	reloadError   error
}

// newGate returns a house that somebody has claimed.
func newGate(t *testing.T, more ...func(*Options)) *gate {
	g := newBox(t, more...)
	password, err := g.o.Claim.Do(t.Context(), access.Owner{Password: adminPassword, BoxName: "Cellar"})
	if err != nil {
		t.Fatal(err)
	}
	g.homeassistant = password
	for name, level := range map[string]access.Level{"vera": access.Viewer, "olga": access.Operator} {
		if err := g.o.Users.Create(t.Context(), access.User{Name: name, Page: level}, nil); err != nil {
			t.Fatal(err)
		}
	}
	g.secrets = make(map[string]string)
	for _, level := range ranks[1:] {
		if g.secrets[string(level)], err = g.o.Tokens.Create(t.Context(), "the "+string(level), level, "admin"); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// passwords gives everybody a password, which takes a while.
func (g *gate) passwords() {
	g.t.Helper()
	for _, name := range []string{"vera", "olga"} {
		if err := g.o.Users.SetPassword(g.t.Context(), name, []byte("password of "+name)); err != nil {
			g.t.Fatal(err)
		}
	}
}

// newBox returns a house that nobody has claimed.
func newBox(t *testing.T, more ...func(*Options)) *gate {
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	g := &gate{t: t, o: house()}
	g.o.MQTT = runBroker(t, store)
	log := slog.New(slog.DiscardHandler)
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	g.o.Users, err = access.NewUsers(store, log)
	check(err)
	g.o.Sessions, err = access.NewSessions(store, g.o.Users)
	check(err)
	g.o.Tokens, err = access.NewAPITokens(store)
	check(err)
	g.o.Claim, err = access.NewClaim(store, g.o.Users, g.o.Sessions, g.o.Tokens)
	check(err)
	g.o.Audit, err = access.NewAudit(store, log)
	check(err)
	g.o.Lockout = access.NewLockout()
	g.o.Control, err = access.NewControl(t.Context(), access.ControlOptions{Store: store, Users: g.o.Users, Lockout: g.o.Lockout,
		Audit: g.o.Audit, Prefix: "homeassistant", Claimed: g.o.Claim.Claimed, ClockKnown: func() bool { return true }, Logger: log})
	check(err)
	g.o.Denials = new(access.Denials)
	g.o.Observed, err = access.NewObservations(access.ObservationsOptions{Store: store})
	check(err)
	g.o.Control, err = access.NewControl(t.Context(), access.ControlOptions{Store: store, Users: g.o.Users, Lockout: g.o.Lockout, Audit: g.o.Audit,
		RoleFile: filepath.Join(t.TempDir(), "roles.toml"), Optional: true})
	check(err)
	policy := g.o.Control.Policy
	g.o.Roles = func() []string { return policy().Roles() }
	g.o.Effects = func(then *access.Policy) (effects []access.Effect, more int) {
		for _, u := range g.o.Users.All() { // as if each had published to this
			e := access.Effect{User: u.Name, Action: "publish", Topic: "garden/valve"}
			id := g.o.Control.Identify(u, &access.Login{})
			if e.Before, e.After = policy().Over(id, access.Publish, e.Topic), then.Over(id, access.Publish, e.Topic); e.Before != e.After {
				effects = append(effects, e)
			}
		}
		return effects, 0
	}
	g.o.ZigbeeNetwork = newZigbeeNetwork(t, store)
	g.o.DeviceBook = &book{devices: g.o.Devices, names: make(map[string]string)}
	g.o.Simulations = new(plays)
	g.o.HomeAssistant, g.o.Bridge = newHome(), newBridge()
	g.o.Updater, g.o.Settings, g.o.Support, g.o.Log = newUpdater(), newNotebook(), new(pocket), NewLog(slog.LevelInfo)
	g.o.Network, g.o.Time = newPlace(), timeStatus
	g.o.Hosts = func() []string { return []string{"lintel.local", "lintel"} }
	g.o.Explain = func(user, clientID string, a access.Action, topic string) (access.Verdict, error) {
		u, ok := g.o.Users.Get(user)
		if !ok {
			return access.Verdict{}, access.ErrNoUser
		}
		id := g.o.Control.Identify(u, &access.Login{ClientID: clientID})
		v := policy().Explain(id, a, topic, nil)
		v.Way = policy().Way(id, a, topic)
		return v, nil
	}
	g.o.Reload = func(context.Context) error { g.reloads++; return g.reloadError }
	g.o.Root = func() ([]byte, string) { return []byte("-----BEGIN CERTIFICATE-----\n"), "AB:CD" }
	authority, err := access.NewAuthority(t.TempDir(), access.AuthorityOptions{
		Names: func() access.Names { return access.Names{} }, ClockKnown: func() bool { return true }})
	check(err)
	g.o.Certificates, g.o.Issue, g.o.Revoke = authority.Issued, authority.IssueClient, authority.Revoke
	for _, change := range more {
		change(&g.o)
	}
	g.url = listen(t, g.o)
	return g
}

// browse is a request, most of which has a default.
type browse struct {
	method, path string
	host         string
	as           string // a user who has just logged in, or "token LEVEL"
	cookie       string // the token of a session
	header       http.Header
	form         url.Values
	json         string
	body         string // with its Content-Type in header
}

// answered is an answer that has been read.
type answered struct {
	*http.Response
	body string
}

func (a answered) location() string { return a.Header.Get("Location") }

// session logs a user in without a password.
func (g *gate) session(user string) string {
	g.t.Helper()
	token, err := g.o.Sessions.Create(g.t.Context(), user, netip.MustParseAddr("127.0.0.1"), "test")
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

func (g *gate) do(b browse) answered {
	g.t.Helper()
	res := g.open(b)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answered{res, string(text)}
}

// open makes a request and returns the answer, whose body may go on.
func (g *gate) open(b browse) *http.Response {
	g.t.Helper()
	body := b.body
	contentType := ""
	switch {
	case b.form != nil:
		body, contentType = b.form.Encode(), formType
	case b.json != "":
		body, contentType = b.json, jsonType
	}
	if b.method == "" {
		b.method = "GET"
		if body != "" {
			b.method = "POST"
		}
	}
	r, err := http.NewRequestWithContext(g.t.Context(), b.method, g.url+b.path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.Host = b.host
	if level, ok := strings.CutPrefix(b.as, "token "); ok {
		r.Header.Set("Authorization", "Bearer "+g.secrets[level])
	} else if b.as != "" {
		b.cookie = g.session(b.as)
	}
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: plainCookie, Value: b.cookie})
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	return res
}

// want checks the status of an answer, and that errors of the API are JSON that says something.
func (g *gate) want(code int, b browse) answered {
	g.t.Helper()
	a := g.do(b)
	if a.StatusCode != code {
		g.t.Errorf("%s %s as %q: %d, want %d: %s", a.Request.Method, b.path, b.as, a.StatusCode, code, a.body)
	}
	if a.StatusCode >= 400 && strings.HasPrefix(b.path, "/api/") {
		checkProblem(g.t, a)
	}
	return a
}

// cookieOf returns the session that an answer gives; empty: it takes it away, or there is none.
func cookieOf(a answered) string {
	for _, c := range a.Cookies() {
		if c.MaxAge > 0 {
			return c.Value
		}
	}
	return ""
}

// routeTable is what each route takes, said a second time: a new route has to be put
// here too. done is the status of a request without a body by somebody who may make it,
// unclaimed that of one before the box has an owner.
var routeTable = map[string]struct {
	level           access.Level
	done, unclaimed int
}{
	"GET /static/{version}/{name}": {"", 404, 404},
	"POST /language":               {"", 400, 400},
	"GET /api":                     {"", 200, 200},
	"GET /api/openapi.json":        {"", 200, 200},
	"GET /icon.svg":                {"", 200, 200},
	"GET /healthz":                 {"", 200, 200},
	"GET /readyz":                  {"", 200, 200},
	"GET /log":                     {"operator", 200, 303},
	"GET /log/lines.txt":           {"operator", 200, 303},
	"GET /api/log":                 {"operator", 200, 403},
	"GET /support":                 {"admin", 200, 303},
	"GET /api/support":             {"admin", 200, 403},
	"GET /reset":                   {"admin", 200, 303},
	"POST /reset":                  {"admin", 400, 303},
	"POST /api/reset":              {"admin", 400, 403},
	"GET /grafana.json":            {"viewer", 200, 303},
	"GET /settings":                {"admin", 200, 303},
	"GET /settings/{section}":      {"admin", 404, 303},
	"POST /settings/{section}":     {"admin", 404, 303},
	"POST /settings/save":          {"admin", 409, 303},
	"POST /settings/undo":          {"admin", 404, 303},
	"POST /settings/restart":       {"admin", 303, 303},
	"GET /api/settings":            {"admin", 200, 403},
	"PATCH /api/settings":          {"admin", 400, 403},
	"GET /api/settings/versions":   {"admin", 200, 403},
	"POST /api/settings/undo":      {"admin", 400, 403},
	"POST /api/settings/restart":   {"admin", 202, 403},

	"GET /metrics":   {"viewer", 200, 303},
	"GET /ca.pem":    {"", 200, 200},
	"GET /claim":     {"", 303, 200},
	"POST /claim":    {"", 409, 400},
	"GET /api/claim": {"", 200, 200},

	"POST /api/claim":  {"", 400, 400},
	"GET /login":       {"", 200, 303},
	"POST /login":      {"", 400, 303},
	"POST /logout":     {"", 303, 303},
	"POST /api/login":  {"", 400, 403},
	"POST /api/logout": {"", 204, 403},

	"GET /broker":                     {"viewer", 200, 303},
	"GET /clients":                    {"viewer", 200, 303},
	"GET /clients/{id...}":            {"viewer", 404, 303},
	"POST /clients/{id}/disconnect":   {"operator", 404, 303},
	"POST /clients/{id}/end":          {"admin", 404, 303},
	"GET /api/broker":                 {"viewer", 200, 403},
	"GET /api/clients":                {"viewer", 200, 403},
	"GET /api/clients/{id...}":        {"viewer", 404, 403},
	"DELETE /api/clients/{id...}":     {"operator", 404, 403},
	"GET /topics":                     {"viewer", 200, 303},
	"GET /topics/retained":            {"viewer", 404, 303},
	"POST /topics/delete":             {"operator", 400, 303},
	"GET /api/topics":                 {"viewer", 200, 403},
	"GET /api/retained/{topic...}":    {"viewer", 404, 403},
	"DELETE /api/retained/{topic...}": {"operator", 404, 403},
	"GET /publish":                    {"operator", 200, 303},
	"POST /publish":                   {"operator", 400, 303},
	"GET /mqtt":                       {"operator", 426, 303},
	"POST /api/publish":               {"operator", 400, 403},

	"GET /network":              {"admin", 200, 303},
	"POST /network":             {"admin", 400, 303},
	"POST /network/confirm":     {"admin", 409, 303},
	"POST /network/revert":      {"admin", 409, 303},
	"GET /api/network":          {"admin", 200, 403},
	"POST /api/network":         {"admin", 400, 403},
	"POST /api/network/confirm": {"admin", 409, 403},
	"POST /api/network/revert":  {"admin", 409, 403},

	"GET /{$}":        {"viewer", 200, 303},
	"GET /api/status": {"viewer", 200, 403},

	"GET /api/capture": {"operator", 404, 403},
	"GET /access":      {"operator", 200, 303},
	"GET /api/denials": {"operator", 200, 403},
	"GET /api/explain": {"operator", 400, 403},

	"GET /users":               {"admin", 200, 303},
	"POST /users/add":          {"admin", 400, 303},
	"POST /users/change":       {"admin", 404, 303},
	"POST /users/password":     {"admin", 404, 303},
	"POST /users/delete":       {"admin", 404, 303},
	"GET /api/users":           {"admin", 200, 403},
	"POST /api/users":          {"admin", 400, 403},
	"POST /api/users/import":   {"admin", 201, 403},
	"GET /api/users/{name}":    {"admin", 404, 403},
	"PATCH /api/users/{name}":  {"admin", 404, 403},
	"DELETE /api/users/{name}": {"admin", 404, 403},

	"POST /tokens/certificates/issue":   {"admin", 400, 303},
	"POST /tokens/certificates/revoke":  {"admin", 400, 303},
	"GET /api/certificates":             {"admin", 200, 403},
	"POST /api/certificates":            {"admin", 400, 403},
	"DELETE /api/certificates/{serial}": {"admin", 400, 403},

	"GET /zigbee-devices":           {"viewer", 200, 303},
	"GET /devices":                  {"viewer", 200, 303},
	"GET /simulate":                 {"admin", 200, 303},
	"POST /simulate/start":          {"admin", 409, 303},
	"POST /simulate/stop":           {"admin", 409, 303},
	"GET /api/simulate":             {"admin", 200, 403},
	"POST /api/simulate":            {"admin", 400, 403},
	"DELETE /api/simulate/{kind}":   {"admin", 409, 403},
	"GET /devices/sticks/{id}":      {"viewer", 404, 303},
	"GET /devices/{id}":             {"viewer", 404, 303},
	"POST /devices/{id}/set":        {"operator", 404, 303},
	"POST /devices/{id}/change":     {"admin", 404, 303},
	"POST /devices/{id}/remove":     {"admin", 404, 303},
	"GET /api/devices":              {"viewer", 200, 403},
	"GET /api/devices/{id}":         {"viewer", 404, 403},
	"GET /api/devices/{id}/history": {"viewer", 404, 403},
	"POST /api/devices/{id}/set":    {"operator", 400, 403},
	"PATCH /api/devices/{id}":       {"admin", 404, 403},
	"DELETE /api/devices/{id}":      {"admin", 404, 403},

	"GET /zigbee-devices/{ieee}":  {"viewer", 404, 303},
	"POST /zigbee-devices/{ieee}": {"admin", 404, 303},
	"GET /api/zigbee/devices":     {"viewer", 200, 403},
	"POST /api/zigbee/permit":     {"admin", 400, 403},

	"GET /api/zigbee/learn/{ieee}":                 {"viewer", 404, 403},
	"POST /api/zigbee/learn/{ieee}":                {"admin", 404, 403},
	"GET /api/zigbee/learn/{ieee}/definition.toml": {"viewer", 404, 403},

	"GET /homeassistant/lintel.zip": {"", 200, 200},
	"POST /homeassistant/pair":      {"admin", 303, 303},
	"GET /api/pair":                 {"", 200, 200},
	"POST /api/pair":                {"", 400, 400},
	"POST /api/pair/code":           {"admin", 201, 403},

	"GET /homeassistant":                {"viewer", 200, 303},
	"POST /homeassistant/connect":       {"admin", 200, 303},
	"GET /homeassistant/callback":       {"admin", 303, 303},
	"POST /api/homeassistant/connect":   {"admin", 200, 403},
	"POST /api/homeassistant/callback":  {"admin", 400, 403},
	"POST /homeassistant/login":         {"admin", 200, 303},
	"POST /homeassistant/bridge":        {"admin", 400, 303},
	"POST /homeassistant/bridge/remove": {"admin", 303, 303},
	"GET /api/homeassistant/bridge":     {"viewer", 200, 403},
	"POST /api/homeassistant/bridge":    {"admin", 400, 403},
	"DELETE /api/homeassistant/bridge":  {"admin", 204, 403},
	"GET /api/homeassistant":            {"viewer", 200, 403},
	"POST /api/homeassistant/login":     {"admin", 201, 403},

	"GET /update":               {"admin", 200, 303},
	"POST /update/check":        {"admin", 303, 303},
	"POST /update/install":      {"admin", 303, 303},
	"POST /update/upload":       {"admin", 400, 303},
	"POST /update/cancel":       {"admin", 303, 303},
	"POST /update/restart":      {"admin", 303, 303},
	"GET /api/update":           {"admin", 200, 403},
	"POST /api/update/check":    {"admin", 200, 403},
	"POST /api/update/install":  {"admin", 202, 403},
	"POST /api/update/upload":   {"admin", 202, 403},
	"POST /api/update/cancel":   {"admin", 202, 403},
	"POST /api/update/restart":  {"admin", 202, 403},
	"GET /trace":                {"operator", 200, 303},
	"POST /trace":               {"operator", 400, 303},
	"GET /trace/{id}":           {"operator", 404, 303},
	"POST /trace/{id}/stop":     {"operator", 404, 303},
	"GET /trace/{id}/{file}":    {"operator", 404, 303},
	"GET /api/trace":            {"operator", 400, 403},
	"GET /api/audit":            {"admin", 200, 403},
	"GET /audit":                {"admin", 200, 303},
	"GET /tokens":               {"admin", 200, 303},
	"GET /users/{name}":         {"admin", 404, 303},
	"POST /users/propose":       {"admin", 404, 303},
	"POST /access/allow":        {"admin", 400, 303},
	"GET /roles":                {"admin", 200, 303},
	"POST /roles":               {"admin", 303, 303},
	"POST /roles/new":           {"admin", 400, 303},
	"POST /roles/restore":       {"admin", 404, 303},
	"GET /roles/{name}":         {"admin", 200, 303},
	"POST /roles/{name}/rules":  {"admin", 200, 303},
	"POST /roles/{name}/delete": {"admin", 404, 303},
	"GET /api/roles":            {"admin", 200, 403},
	"PUT /api/roles":            {"admin", 200, 403},
	"POST /api/roles/preview":   {"admin", 400, 403},
	"POST /api/roles/restore":   {"admin", 400, 403},
	"GET /api/roles/{name}":     {"admin", 404, 403},
	"PUT /api/roles/{name}":     {"admin", 400, 403},
	"DELETE /api/roles/{name}":  {"admin", 404, 403},
	"GET /api/access/observed":  {"admin", 200, 403},
	"POST /api/access/propose":  {"admin", 400, 403},
	"POST /access/reload":       {"admin", 303, 303},
	"POST /api/access/reload":   {"admin", 204, 403},
	"POST /tokens/sessions/end": {"admin", 404, 303},
	"GET /api/sessions":         {"admin", 200, 403},
	"DELETE /api/sessions/{id}": {"admin", 404, 403},
	"POST /tokens/add":          {"admin", 400, 303},
	"POST /tokens/revoke":       {"admin", 404, 303},
	"GET /api/tokens":           {"admin", 200, 403},
	"POST /api/tokens":          {"admin", 400, 403},
	"DELETE /api/tokens/{name}": {"admin", 404, 403},
}

// empty returns a request for a route with nothing in it.
func (rt route) empty() browse {
	method, path, _ := strings.Cut(rt.pattern, " ")
	b := browse{method: method, path: strings.NewReplacer("{$}", "", "{name}", "x", "{id}", "x", "{serial}", "x", "{ieee}", "x", "{section}", "x").Replace(path)}
	switch {
	case method == "GET" || method == "DELETE":
	case rt.kind != "":
		b.header = http.Header{"Content-Type": {rt.kind}}
	case strings.HasPrefix(path, "/api/"):
		b.json = "{}"
	default:
		b.form = url.Values{"a": {""}}
	}
	return b
}

func TestRoutesTakeTheirLevel(t *testing.T) {
	g, box := newGate(t), newBox(t)
	routes := New(g.o).routes()
	if len(routes) != len(routeTable) {
		t.Errorf("%d routes, and %d in the table", len(routes), len(routeTable))
	}
	who := map[string]access.Level{"": "", "vera": "viewer", "olga": "operator", "admin": "admin",
		"token viewer": "viewer", "token operator": "operator", "token admin": "admin", "token wrong": ""}
	for _, rt := range routes {
		row, ok := routeTable[rt.pattern]
		if !ok {
			t.Errorf("%s is not in the table", rt.pattern)
			continue
		}
		b := rt.empty()
		box.want(row.unclaimed, b)
		for as, level := range who {
			b.as = as
			want := row.done
			switch {
			case slices.Index(ranks, level) >= slices.Index(ranks, row.level):
				if rt.pattern == "GET /login" && level != "" && !strings.HasPrefix(as, "token") {
					want = 303 // they are there already
				}
			case level != "":
				want = 403
			case strings.HasPrefix(b.path, "/api/") || b.path == "/metrics":
				want = 401
			default:
				want = 303
			}
			a := g.want(want, b)
			if level == "" && row.level != "" && want == 303 && !strings.HasPrefix(a.location(), "/login") {
				t.Errorf("%s leads to %s", rt.pattern, a.location())
			}
			if want == 403 && !strings.Contains(a.body, string(row.level)) {
				t.Errorf("%s does not say which level it takes: %s", rt.pattern, a.body)
			}
			if row.level != "" && a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be kept by the browser", rt.pattern)
			}
		}
	}
}

func TestUnclaimedBoxLeadsToTheClaim(t *testing.T) {
	g := newBox(t)
	for _, path := range []string{"/", "/users", "/access", "/login"} {
		if a := g.want(303, browse{path: path}); a.location() != "/claim" {
			t.Errorf("%s leads to %q", path, a.location())
		}
	}
	if a := g.want(403, browse{path: "/api/status"}); !strings.Contains(a.body, "/claim") {
		t.Error(a.body)
	}
}

// changes are the routes that a browser must not be led to by others.
func (g *gate) changes() (list []browse) {
	for _, rt := range New(g.o).routes() {
		if b := rt.empty(); b.method != "GET" {
			list = append(list, b)
		}
	}
	return list
}

func TestOtherSitesChangeNothing(t *testing.T) {
	for name, g := range map[string]*gate{"claimed": newGate(t), "unclaimed": newBox(t)} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			for _, origin := range []http.Header{
				{"Origin": {"http://evil.example"}},
				{"Origin": {"null"}}, // a sandboxed frame, or a page that sends no referrer
				{"Origin": {g.url + "0"}},
				{"Origin": {"http://127.0.0.1.evil.example"}},
				{"Sec-Fetch-Site": {"cross-site"}},
				{"Sec-Fetch-Site": {"same-site"}}, // another port or name of this host
				{"Sec-Fetch-Site": {"cross-site"}, "Origin": {g.url}},
			} {
				for _, b := range g.changes() {
					if name == "claimed" {
						b.as = "admin"
					}
					h := origin.Clone()
					for k, v := range b.header {
						h[k] = v
					}
					b.header = h
					g.want(403, b)
				}
			}
			if name == "unclaimed" && g.o.Claim.Claimed() {
				t.Error("claimed by another site")
			}
		})
	}
}

func TestOwnSiteAndNoBrowser(t *testing.T) {
	g := newGate(t)
	for i, origin := range []http.Header{{"Origin": {g.url}}, {"Sec-Fetch-Site": {"same-origin"}}, {"Sec-Fetch-Site": {"none"}}, {}} {
		name := "device" + string(rune('a'+i))
		g.want(200, browse{path: "/users/add", as: "admin", header: origin, form: url.Values{"name": {name}}})
		if _, ok := g.o.Users.Get(name); !ok {
			t.Errorf("%v: not done", origin)
		}
	}
}

// A form of another site can send text, but it cannot send JSON.
func TestCallsNeedTheirType(t *testing.T) {
	g := newGate(t)
	for _, rt := range New(g.o).routes() {
		b := rt.empty()
		if b.method == "GET" || b.method == "DELETE" {
			continue
		}
		b.as = "admin"
		b.form, b.json = nil, ""
		for _, kind := range []string{"", "text/html", "multipart/form-data; boundary=x", "application/jsonp", ";"} {
			if strings.HasPrefix(kind, fileType) && rt.kind == fileType {
				continue // a browser has no other type for files, and says where it comes from
			}
			b.header = http.Header{"Content-Type": {kind}}
			if a := g.want(415, b); !strings.Contains(a.body, "Content-Type") {
				t.Error(a.body)
			}
		}
	}
	b := browse{path: "/api/tokens", as: "admin", body: `{"name":"x","level":"viewer"}`, header: http.Header{"Content-Type": {"text/plain"}}}
	g.want(415, b)
	b.header = http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	g.want(201, b)
}

func TestHosts(t *testing.T) {
	g := newGate(t)
	for host, ok := range map[string]bool{
		"lintel.local": true, "LINTEL.local": true, "lintel.local.": true, "lintel.local:8080": true, "lintel": true,
		"localhost": true, "localhost:80": true, "127.0.0.1": true, "192.168.1.5:8080": true, "[::1]:80": true, "[fe80::1]": true, "[2001:db8::1]:8080": true,
		"evil.example": false, "evil.example:80": false, "lintel.local.evil.example": false, "evil-lintel.local": false,
		"192.168.1.5.evil.example": false, "localhost.evil.example": false, "1.2.3": false, "other.local": false,
	} {
		want := 200
		if !ok {
			want = 421
		}
		for _, path := range []string{"/", "/api/status"} {
			a := g.want(want, browse{path: path, host: host, as: "admin"})
			if !ok && (!strings.Contains(a.body, "lintel.local") || strings.Contains(a.body, "evil")) {
				t.Errorf("%s: %s", host, a.body)
			}
		}
		g.want(200, browse{path: "/healthz", host: host})
	}
	// A name of somebody else that leads here cannot claim the box either.
	box := newBox(t)
	box.want(421, browse{path: "/api/claim", host: "evil.example", header: http.Header{"Origin": {"http://evil.example"}}, json: `{"password":"` + adminPassword + `"}`})
	if box.o.Claim.Claimed() {
		t.Error("claimed")
	}
}

func TestBearer(t *testing.T) {
	g := newGate(t)
	good := g.secrets["admin"]
	for header, want := range map[string]int{
		"Bearer " + good: 200, "bearer " + good: 200, "Bearer  " + good: 200,
		good: 401, "Basic " + good: 401, "Bearer": 401, "Bearer ": 401, "Bearer x": 401, "Bearer " + good + "x": 401,
	} {
		g.want(want, browse{path: "/api/users", header: http.Header{"Authorization": {header}}})
	}
	g.want(401, browse{path: "/api/users", header: http.Header{"Authorization": {"Bearer " + good, "Bearer " + good}}})
	// What is shown wrongly is not made good by a session.
	g.want(401, browse{path: "/api/users", as: "admin", header: http.Header{"Authorization": {"Bearer x"}}})
	if a := g.want(401, browse{path: "/api/users"}); a.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Error(a.Header)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct {
		path string
		size int
		want int
	}{
		{"/api/tokens", maxBody, 413}, {"/api/users", 64 << 10, 413}, {"/api/login", maxBody, 413}, {"/api/claim", maxBody, 413},
		{"/api/users", maxBody, 400},
	} {
		g.want(tt.want, browse{path: tt.path, as: "admin", json: `{"name":"` + strings.Repeat("x", tt.size) + `"}`})
	}
	for _, path := range []string{"/login", "/users/add", "/tokens/add"} {
		g.want(413, browse{path: path, as: "admin", form: url.Values{"name": {strings.Repeat("x", maxBody)}}})
	}
	text := http.Header{"Content-Type": {"text/plain"}}
	g.want(413, browse{path: "/api/users/import", as: "admin", header: text, body: strings.Repeat("#", maxImport+1)})
	g.want(201, browse{path: "/api/users/import", as: "admin", header: text, body: strings.Repeat("#\n", maxImport/2)})
}

func TestBadJSON(t *testing.T) {
	g := newGate(t)
	for _, text := range []string{" ", "{", "[]", `"x"`, `{"nam":"x"}`, `{"name":1}`, `{"name":"x"} {}`, `{"name":"x"}x`, "\xff", strings.Repeat("[", 4000), "null x"} {
		g.want(400, browse{path: "/api/users", as: "admin", json: text})
	}
	if n := len(g.o.Users.All()); n != 4 {
		t.Errorf("%d users", n)
	}
}

func TestStatusWithoutUsersIsOpen(t *testing.T) {
	g := &gate{t: t, o: house()}
	g.url = listen(t, g.o)
	g.want(200, browse{path: "/"})
	g.want(200, browse{path: "/api/status"})
	for _, path := range []string{"/users", "/login", "/claim", "/access", "/ca.pem"} {
		g.want(404, browse{path: path})
	}
}

func TestHostileEverywhere(t *testing.T) {
	g := newGate(t)
	ctx := t.Context()
	evil := `"><script>alert(1)</script>`
	if err := errors.Join(
		g.o.Users.Create(ctx, access.User{Name: "x", Roles: []string{"r"}, Topics: []string{"<script>alert(1)"}}, nil),
		g.o.Users.Create(ctx, access.User{Name: `"><script>alert(1)<script>`}, nil),
	); err != nil {
		t.Fatal(err)
	}
	token, err := g.o.Sessions.Create(ctx, "admin", netip.Addr{}, evil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.o.Tokens.Create(ctx, evil, access.Viewer, evil); err != nil {
		t.Fatal(err)
	}
	g.o.Audit.Add(access.Event{Kind: access.LoginRefused, User: evil, ClientID: evil, Detail: evil})
	q := url.QueryEscape(evil)
	for _, b := range []browse{
		{path: "/users?q=" + q}, {path: "/users"}, {path: "/access?user=" + q + "&client=" + q + "&action=" + q + "&topic=" + q},
		{path: "/access?action=publish&user=" + q + "&topic=" + q},
		{path: "/login", form: url.Values{"user": {evil}, "next": {evil}}}, {path: "/users/add", form: url.Values{"name": {evil + "/"}}},
		{path: "/tokens/add", form: url.Values{"name": {evil}, "level": {evil}}},
		{path: "/", host: evil},
	} {
		b.cookie = token
		a := g.do(b)
		if hasScript(a.body) || strings.Contains(a.location(), "script") {
			t.Errorf("%s: %s", b.path, a.body)
		}
		if !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: no policy", b.path)
		}
	}
}

// Nobody is told by the pages what only the store knows.
func TestSecretsStayInside(t *testing.T) {
	g := newGate(t)
	admin, _ := g.o.Users.Get("admin")
	session := g.session("admin")
	for _, rt := range New(g.o).routes() {
		b := rt.empty()
		if b.method != "GET" {
			continue
		}
		b.cookie = session
		a := g.do(b)
		for _, secret := range []string{admin.Hash, session, g.secrets["admin"], g.homeassistant, adminPassword, "$argon2"} {
			if bytes.Contains([]byte(a.body), []byte(secret)) {
				t.Errorf("%s tells %q", rt.pattern, secret)
			}
		}
	}
}
