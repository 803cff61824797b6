package dashboard

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"lintel/gateway/homeassistant"
)

// home is a house with two Home Assistants, and room for a login.
type home struct {
	logins []HomeAssistantLogin
	made   int
	by     string
	err    error

	found     []homeassistant.Found
	begun     homeassistant.Begin
	back      homeassistant.Return
	finishErr error
}

func newHome() *home {
	used := time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC)
	return &home{logins: []HomeAssistantLogin{
		{User: "homeassistant", Online: true, Address: "192.168.1.2:50123", Used: used, Connection: &homeassistant.Connection{
			ID: "http://192.168.1.2:8123", Name: "House of " + hostile, Version: "2026.2.0", User: "homeassistant", Broker: "192.168.1.9", Time: used,
			Notes: []string{"Something is left in " + hostile}}},
		{User: "homeassistant-2", Used: used},
		{User: "homeassistant-3"},
	}, found: []homeassistant.Found{
		{ID: "1234", Name: "House", Version: "2026.2.0", URLs: []string{"http://homeassistant.local:8123", "http://192.168.1.2:8123"}},
		{ID: hostile, Name: hostile, Version: hostile, URLs: []string{"https://192.168.1.3:8123"}},
	}}
}

func (h *home) Found() []homeassistant.Found { return h.found }

func (h *home) Begin(_ context.Context, b homeassistant.Begin) (string, error) {
	h.begun = b
	return b.Addresses[0] + "/auth/authorize?client_id=x&state=y", h.err
}

func (h *home) Finish(_ context.Context, r homeassistant.Return) (homeassistant.Connection, error) {
	h.back = r
	return homeassistant.Connection{Name: "House"}, h.finishErr
}

func (h *home) Logins() []HomeAssistantLogin { return h.logins }

func (h *home) NewLogin(_ context.Context, by string) (user, password string, err error) {
	if h.err != nil {
		return "", "", h.err
	}
	h.made++
	h.by = by
	return "homeassistant-3", "password made", nil
}

func (g *gate) home() *home { return g.o.HomeAssistant.(*home) }

func TestHomeAssistantPage(t *testing.T) {
	g := newGate(t)
	page := g.want(200, browse{path: "/homeassistant", host: "lintel.local", as: "admin"})
	golden(t, "homeassistant.html", page.body)
	if a := g.want(200, browse{path: "/homeassistant", as: "vera"}); strings.Contains(a.body, `action="/homeassistant`) {
		t.Error("a viewer is offered what it may not do")
	}
	if a := g.want(200, browse{path: "/", as: "vera"}); !strings.Contains(a.body, `href="/homeassistant"`) {
		t.Error("the first page does not lead there")
	}
	if hasScript(page.body) {
		t.Error("hostile texts are not escaped")
	}
	var got struct {
		Logins []HomeAssistantLogin
		Found  []homeassistant.Found
	}
	if err := json.Unmarshal([]byte(g.want(200, browse{path: "/api/homeassistant", as: "vera"}).body), &got); err != nil || len(got.Logins) != 3 || len(got.Found) != 2 {
		t.Errorf("%v, %+v", err, got)
	}
	g.o.HomeAssistant = nil
	for _, rt := range New(g.o).routes() {
		if strings.Contains(rt.pattern, "homeassistant") {
			t.Errorf("without Home Assistant there is %s", rt.pattern)
		}
	}
}

func TestHomeAssistantLogin(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/homeassistant/login", as: "admin", form: url.Values{"new": {"login"}}})
	for _, want := range []string{"homeassistant-3", "password made", "shown this once", "<code>lintel.local</code>", "<code>1883</code>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page does not say %q: %s", want, a.body)
		}
	}
	a = g.want(201, browse{path: "/api/homeassistant/login", as: "token admin", json: `{}`})
	var made struct {
		User, Password, Port string
		Hosts                []string
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Password != "password made" || made.Port != "1883" || made.Hosts[0] != "lintel.local" {
		t.Errorf("%v, %s", err, a.body)
	}
	if h := g.home(); h.made != 2 || h.by != "by token the admin" {
		t.Errorf("%d logins made, the last %q", h.made, h.by)
	}
	g.home().err = &homeassistant.ConnectError{Reason: homeassistant.NoLogin, Text: "There are <9> logins."}
	if a := g.want(409, browse{path: "/homeassistant/login", as: "admin", form: url.Values{"new": {"login"}}}); !strings.Contains(a.body, `role="alert">There are &lt;9&gt; logins.`) {
		t.Error(a.body)
	}
	g.want(409, browse{path: "/api/homeassistant/login", as: "admin", json: `{}`})
	g.want(400, browse{path: "/api/homeassistant/login", as: "admin", json: `{"name":"x"}`})
}

// TestConnectForm: the browser goes on to Home Assistant without a redirect, which browsers
// would refuse, and what is begun belongs to its session.
func TestConnectForm(t *testing.T) {
	g := newGate(t)
	g.o.Hosts = nil
	cookie := g.session("admin")
	a := g.want(200, browse{path: "/homeassistant/connect", cookie: cookie, form: url.Values{"address": {"http://ha.local:8123"}}})
	const to = "http://ha.local:8123/auth/authorize?client_id=x&state=y"
	if a.Header.Get("Refresh") != "0; url="+to || !strings.Contains(a.body, `href="`+strings.ReplaceAll(to, "&", "&amp;")+`"`) {
		t.Errorf("%v %s", a.Header, a.body)
	}
	begun := g.home().begun
	if begun.Page != g.url || begun.Addresses[0] != "http://ha.local:8123" || !strings.HasPrefix(begun.Owner, "session ") || begun.By != "by admin" {
		t.Errorf("begun: %+v", begun)
	}
	g.want(200, browse{path: "/homeassistant/connect", cookie: cookie, form: url.Values{"found": {"1234"}, "fingerprint": {"AB:CD"}}})
	if b := g.home().begun; len(b.Addresses) != 2 || b.Fingerprint != "AB:CD" || b.Owner != begun.Owner {
		t.Errorf("begun with one that was found: %+v", b)
	}
	if a := g.want(404, browse{path: "/homeassistant/connect", cookie: cookie, form: url.Values{"found": {"5678"}}}); !strings.Contains(a.body, "not in the network any more") {
		t.Error(a.body)
	}

	a = g.want(303, browse{path: "/homeassistant/callback?state=y&code=z", cookie: cookie})
	if back := g.home().back; a.location() != "/homeassistant" || back.State != "y" || back.Code != "z" || back.Owner != begun.Owner || !back.Local.IsLoopback() {
		t.Errorf("led to %q with %+v", a.location(), back)
	}
	g.want(303, browse{path: "/homeassistant/callback?state=y&error=access_denied", as: "admin"})
	if back := g.home().back; back.Denied != "access_denied" || back.Owner == begun.Owner {
		t.Errorf("from another session: %+v", back)
	}
}

// TestConnectFailures: each reason has its code, and what helps is on the page.
func TestConnectFailures(t *testing.T) {
	g := newGate(t)
	for reason, want := range map[homeassistant.Reason]struct {
		code int
		text string
	}{
		homeassistant.BadRequest:    {400, "byhand"},
		homeassistant.NotReached:    {502, "byhand"},
		homeassistant.Certificate:   {409, `value="AB:CD"`},
		homeassistant.NotAllowed:    {403, "byhand"},
		homeassistant.HasBroker:     {409, `href="/homeassistant#bridge"`},
		homeassistant.Connected:     {409, "byhand"},
		homeassistant.NoLogin:       {409, "byhand"},
		homeassistant.Unconnected:   {502, "byhand"},
		homeassistant.NotUnderstood: {502, "byhand"},
	} {
		failure := &homeassistant.ConnectError{Reason: reason, Text: "What <b>happened</b>.", Fingerprint: ""}
		if reason == homeassistant.Certificate {
			failure.Fingerprint = "AB:CD"
		}
		g.home().err, g.home().finishErr = failure, failure
		for _, b := range []browse{
			{path: "/homeassistant/connect", form: url.Values{"address": {"http://typed:8123"}}},
			{path: "/homeassistant/callback?state=y&code=z"},
		} {
			b.as = "admin"
			a := g.want(want.code, b)
			if !strings.Contains(a.body, `role="alert">What &lt;b&gt;happened`) || !strings.Contains(a.body, want.text) {
				t.Errorf("%s: %s", reason, a.body)
			}
			if b.form != nil && !strings.Contains(a.body, `value="http://typed:8123"`) {
				t.Error("what was typed is gone")
			}
		}
		a := g.want(want.code, browse{path: "/api/homeassistant/connect", as: "token admin", json: `{"address":"x"}`})
		var said struct {
			Reason      homeassistant.Reason
			Fingerprint string
		}
		if err := json.Unmarshal([]byte(a.body), &said); err != nil || said.Reason != reason || said.Fingerprint != failure.Fingerprint {
			t.Errorf("%v: %s", err, a.body)
		}
		g.want(want.code, browse{path: "/api/homeassistant/callback", as: "admin", json: `{"state":"y","code":"z"}`})
	}
}

func TestConnectCalls(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/api/homeassistant/connect", as: "token admin", json: `{"found":"1234"}`})
	if g.home().begun.Owner != "token the admin" || !strings.Contains(a.body, `"authorize": "http://homeassistant.local:8123/auth/authorize?`) {
		t.Errorf("%+v: %s", g.home().begun, a.body)
	}
	a = g.want(201, browse{path: "/api/homeassistant/callback", as: "token admin", json: `{"state":"y","code":"z"}`})
	if b := g.home().back; b.Owner != "token the admin" || b.State != "y" || b.Code != "z" || !strings.Contains(a.body, `"name": "House"`) {
		t.Errorf("%+v: %s", b, a.body)
	}
}

func TestClaimLeadsToHomeAssistant(t *testing.T) {
	g := newBox(t)
	a := g.want(200, browse{path: "/claim", form: url.Values{"password": {adminPassword}, "again": {adminPassword}}})
	if !strings.Contains(a.body, `href="/homeassistant"`) || !strings.Contains(a.body, "shown this once") {
		t.Error(a.body)
	}
}
