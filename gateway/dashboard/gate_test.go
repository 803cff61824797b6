package dashboard

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
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

	describing sync.Once
	described  *description // of its API
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
	a := answered{res, string(text)}
	if strings.HasPrefix(b.path, "/api/") && res.StatusCode < 300 {
		g.isDescribed(a)
	}
	return a
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
