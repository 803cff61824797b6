package dashboard

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"lintel/gateway/uplink"
)

// bridge is bridge mode without a broker.
type bridge struct {
	kept    *Bridge
	secret  string
	err     error
	cleared bool
}

func newBridge() *bridge {
	return &bridge{kept: &Bridge{
		Settings: BridgeSettings{Host: "192.168.1.2", Port: 1883, User: hostile},
		Status: uplink.Status{Name: "homeassistant", URL: "mqtt://192.168.1.2:1883", Connected: true, Version: 5,
			Since: time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC), Out: 1234, Problem: "A message under " + hostile + " was left out."}}}
}

func (b *bridge) Bridge() *Bridge { return b.kept }

func (b *bridge) SetBridge(_ context.Context, s BridgeSettings) error {
	if b.err != nil {
		return b.err
	}
	b.secret, s.Password = s.Password, ""
	b.kept = &Bridge{Settings: s}
	return nil
}

func (b *bridge) RemoveBridge(_ context.Context, clear bool) error {
	if b.err == nil {
		b.kept, b.cleared = nil, clear
	}
	return b.err
}

func TestBridge(t *testing.T) {
	g := newGate(t)
	b := g.o.Bridge.(*bridge)
	const secret = "the password of the broker"
	// What cannot be is not tried.
	for _, bad := range []string{`{}`, `{"host":"a b"}`, `{"host":"x:1883"}`, `{"host":"x","port":70000}`, `{"host":"x","password":"y"}`,
		`{"host":"x","fingerprint":"00"}`, `{"host":"x","tls":true,"fingerprint":"00"}`, `{"host":"x","more":1}`} {
		g.want(400, browse{path: "/api/homeassistant/bridge", as: "token admin", json: bad})
	}
	b.err = &uplink.Unfit{Text: "The broker says <no>."}
	g.want(502, browse{path: "/api/homeassistant/bridge", as: "token admin", json: `{"host":"x"}`})
	form := url.Values{"host": {"broker.example"}, "port": {"8883"}, "tls": {"yes"}, "user": {"box"}, "password": {secret}}
	a := g.want(502, browse{path: "/homeassistant/bridge", as: "admin", form: form})
	if !strings.Contains(a.body, `role="alert">The broker says &lt;no&gt;.`) || !strings.Contains(a.body, `value="broker.example"`) || strings.Contains(a.body, secret) {
		t.Errorf("the page after an error:\n%s", a.body)
	}
	g.want(502, browse{path: "/homeassistant/bridge/remove", as: "admin", form: url.Values{"a": {""}}})
	b.err = nil
	g.want(303, browse{path: "/homeassistant/bridge", as: "admin", form: form})
	if want := (BridgeSettings{Host: "broker.example", Port: 8883, TLS: true, User: "box"}); b.kept.Settings != want || b.secret != secret {
		t.Errorf("kept %+v", b.kept.Settings)
	}
	a = g.want(200, browse{path: "/api/homeassistant/bridge", as: "vera"})
	var got Bridge
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Settings.Host != "broker.example" {
		t.Errorf("%v %s", err, a.body)
	}
	g.want(204, browse{method: "DELETE", path: "/api/homeassistant/bridge?clear=true", as: "token admin"})
	if b.kept != nil || !b.cleared {
		t.Error("bridge mode was not ended with everything")
	}
	for _, event := range []string{"bridge mode set", "bridge mode ended"} {
		if log := g.kinds(); !strings.Contains(log, event) {
			t.Errorf("the audit log does not tell %q: %s", event, log)
		}
	}
	if log := g.want(200, browse{path: "/api/audit", as: "admin"}).body; strings.Contains(log, secret) {
		t.Error("the password is in the audit log")
	}
}
