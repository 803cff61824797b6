package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"lintel/gateway/access"
)

func TestExplain(t *testing.T) {
	g := newGate(t)
	if err := g.o.Users.Create(t.Context(), access.User{Name: "garden", Topics: []string{"garden/#"}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		query string
		allow bool
	}{
		{"user=garden&action=publish&topic=garden/water", true},
		{"user=garden&client=x&action=subscribe&topic=garden/%23", true},
		{"user=garden&action=publish&topic=attic/light", false},
		{"user=garden&action=receive&topic=attic/light", false},
	} {
		var v Verdict
		a := g.want(200, browse{path: "/api/explain?" + tt.query, as: "olga"})
		if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.Allow != tt.allow || v.Why == "" {
			t.Errorf("%s: %v %+v", tt.query, err, v)
		}
		word := map[bool]string{true: ">allowed<", false: ">denied<"}[tt.allow]
		if a := g.want(200, browse{path: "/access?" + tt.query, as: "olga"}); !strings.Contains(a.body, word) {
			t.Errorf("%s: the page does not say %s", tt.query, word)
		}
	}
	for query, field := range map[string]string{
		"user=nobody&action=publish&topic=a": "user", "user=garden&action=king&topic=a": "action", "user=garden&action=publish&topic=": "topic",
	} {
		g.want(400, browse{path: "/api/explain?" + query, as: "olga"})
		if a := g.want(200, browse{path: "/access?" + query, as: "olga"}); !strings.Contains(a.body, `id="error-`+field+`"`) {
			t.Errorf("%s: no error at %s", query, field)
		}
	}
}

// What is for admins is not on the page of an operator.
func TestAccessPageByLevel(t *testing.T) {
	g := newGate(t)
	for as, there := range map[string]bool{"olga": false, "admin": true} {
		a := g.want(200, browse{path: "/access?user=vera&action=publish&topic=garden/valve", as: as})
		for _, part := range []string{`id="allow"`, `href="/users"`, `href="/roles"`, `href="/tokens"`, `href="/audit"`} {
			if strings.Contains(a.body, part) != there {
				t.Errorf("%s: %s", as, part)
			}
		}
	}
}

func TestSessionsOnThePage(t *testing.T) {
	g := newGate(t)
	vera, admin := g.session("vera"), g.session("admin")
	var list struct{ Sessions []Session }
	a := g.want(200, browse{path: "/api/sessions", cookie: admin})
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Sessions) != 2 {
		t.Fatalf("%v %s", err, a.body)
	}
	ids := make(map[string]string)
	for _, s := range list.Sessions {
		ids[s.User] = s.ID
		if s.Current != (s.User == "admin") {
			t.Errorf("%+v", s)
		}
	}
	if a := g.want(200, browse{path: "/tokens", cookie: admin}); !strings.Contains(a.body, ids["vera"]) {
		t.Error("the session is not on the page")
	}
	g.want(303, browse{path: "/tokens/sessions/end", cookie: admin, form: url.Values{"id": {ids["vera"]}}})
	g.want(401, browse{path: "/api/status", cookie: vera})
	g.want(204, browse{method: "DELETE", path: "/api/sessions/" + ids["admin"], as: "token admin"})
	g.want(401, browse{path: "/api/status", cookie: admin})
}

func TestTokensOnThePage(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/tokens/add", as: "admin", form: url.Values{"name": {"grafana"}, "level": {"viewer"}}})
	_, rest, _ := strings.Cut(a.body, "<code>lintel_")
	secret, _, _ := strings.Cut(rest, "<")
	secret = "lintel_" + secret
	bearer := http.Header{"Authorization": {"Bearer " + secret}}
	g.want(200, browse{path: "/api/status", header: bearer})
	g.want(403, browse{path: "/api/users", header: bearer})
	if a := g.want(200, browse{path: "/tokens", as: "admin"}); strings.Contains(a.body, secret) || !strings.Contains(a.body, "grafana") {
		t.Error("the token is shown again, or not listed")
	}
	for field, form := range map[string]url.Values{"name": {"name": {""}, "level": {"viewer"}}, "level": {"name": {"x"}, "level": {"king"}}} {
		if a := g.want(400, browse{path: "/tokens/add", as: "admin", form: form}); !strings.Contains(a.body, `id="error-`+field+`"`) {
			t.Errorf("no error at %s", field)
		}
	}
	g.want(409, browse{path: "/api/tokens", as: "admin", json: `{"name":"grafana","level":"viewer"}`})
	g.want(303, browse{path: "/tokens/revoke", as: "admin", form: url.Values{"name": {"grafana"}}})
	g.want(401, browse{path: "/api/status", header: bearer})

	a = g.want(201, browse{path: "/api/tokens", as: "token admin", json: `{"name":"two words","level":"operator"}`})
	var made struct{ Name, Token string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		t.Fatal(err)
	}
	bearer = http.Header{"Authorization": {"Bearer " + made.Token}}
	g.want(200, browse{path: "/access", header: bearer})
	g.want(204, browse{method: "DELETE", path: "/api/tokens/two%20words", as: "admin"})
	g.want(401, browse{path: "/api/status", header: bearer})
	if log := g.kinds(); !strings.Contains(log, "token added") || !strings.Contains(log, "token deleted") {
		t.Error(log)
	}
}

func TestReload(t *testing.T) {
	g := newGate(t)
	if a := g.want(303, browse{path: "/access/reload", as: "admin", form: url.Values{"a": {""}}}); a.location() != "/roles?reloaded" {
		t.Error(a.location())
	}
	g.want(204, browse{path: "/api/access/reload", as: "admin", json: "{}"})
	g.reloadError = errors.New("roles.toml:17: there is no action \"shout\"\nroles.toml:19: the role \"x\" is there twice")
	for _, b := range []browse{{path: "/access/reload", form: url.Values{"a": {""}}}, {path: "/api/access/reload", json: "{}"}} {
		b.as = "admin"
		a := g.do(b)
		if a.StatusCode != 422 || !strings.Contains(a.body, "roles.toml:17") || !strings.Contains(a.body, "roles.toml:19") {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if g.reloads != 4 {
		t.Errorf("read %d times", g.reloads)
	}
}

func TestAudit(t *testing.T) {
	g := newGate(t)
	g.want(401, browse{path: "/api/login", json: `{"user":"mallory","password":"guess"}`})
	var list struct{ Events []access.Event }
	a := g.want(200, browse{path: "/api/audit", as: "admin"})
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Events) != 1 || list.Events[0].User != "mallory" || list.Events[0].Address.String() != "127.0.0.1" {
		t.Errorf("%v %s", err, a.body)
	}
	if a := g.want(200, browse{path: "/audit", as: "admin"}); !strings.Contains(a.body, "mallory") {
		t.Error("not on the page")
	}
}
