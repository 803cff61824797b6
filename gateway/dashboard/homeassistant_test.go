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
}

func newHome() *home {
	used := time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC)
	return &home{logins: []HomeAssistantLogin{
		{User: "homeassistant", Online: true, Address: "192.168.1.2:50123", Used: used},
		{User: "homeassistant-2", Used: used},
		{User: "homeassistant-3"},
	}}
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
	var got struct{ Logins []HomeAssistantLogin }
	if err := json.Unmarshal([]byte(g.want(200, browse{path: "/api/homeassistant", as: "vera"}).body), &got); err != nil || len(got.Logins) != 3 {
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
