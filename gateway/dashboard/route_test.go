package dashboard

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/access"
)

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

// routesHead is the head of testdata/routes.txt.
const routesHead = `# All routes of a house that has everything: the level that each takes, the status of a request
# without a body by somebody who may make it, and of one before the box has an owner.
# go test -update writes this file: whoever changes a level sees it here.
`

func TestRoutesTakeTheirLevel(t *testing.T) {
	g, box := newGate(t), newBox(t)
	who := map[string]access.Level{"": "", "vera": "viewer", "olga": "operator", "admin": "admin",
		"token viewer": "viewer", "token operator": "operator", "token admin": "admin", "token wrong": ""}
	var table []string
	for _, rt := range New(g.o).routes() {
		b := rt.empty()
		unclaimed := box.do(b).StatusCode
		b.as = "token admin"
		done := g.do(b).StatusCode
		method, path, _ := strings.Cut(rt.pattern, " ")
		table = append(table, fmt.Sprintf("%-46s %-6s %-8s %d %d\n", path, method, cmp.Or(rt.level, "nobody"), done, unclaimed))
		for as, level := range who {
			b.as = as
			want := done
			switch {
			case slices.Index(ranks, level) >= slices.Index(ranks, rt.level):
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
			if level == "" && rt.level != "" && want == 303 && !strings.HasPrefix(a.location(), "/login") {
				t.Errorf("%s leads to %s", rt.pattern, a.location())
			}
			if want == 403 && !strings.Contains(a.body, string(rt.level)) {
				t.Errorf("%s does not say which level it takes: %s", rt.pattern, a.body)
			}
			if rt.level != "" && a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be kept by the browser", rt.pattern)
			}
		}
	}
	slices.Sort(table)
	golden(t, "routes.txt", routesHead+strings.Join(table, ""))
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
