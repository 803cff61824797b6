package dashboard

import (
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"lintel/gateway/clock"
	"lintel/gateway/network"
)

// place is a place in a network that there is not.
type place struct {
	status network.Status
	err    error
}

func newPlace() *place {
	return &place{status: network.Status{Settings: network.Default().Ethernet, Addresses: []string{"10.0.0.5/24"}}}
}

func (p *place) Status() network.Status { return p.status }

func (p *place) Try(a network.Addresses) error {
	if a.IPv4 == "broken" || a.IPv4 == "" || a.IPv6 == "" {
		return &network.InvalidError{Key: "ipv4", Reason: `"broken" is no IPv4 address ` + hostile}
	}
	if p.err == nil {
		p.status.Trial, p.status.Seconds = &a, 170
	}
	return p.err
}

func (p *place) Confirm() error {
	switch {
	case p.err != nil:
		return p.err
	case p.status.Trial == nil:
		return network.ErrNoTrial
	case !p.status.InForce:
		return network.ErrNotInForce
	}
	p.status.Settings, p.status.Trial, p.status.InForce = *p.status.Trial, nil, false
	return nil
}

func (p *place) Revert() error {
	if p.status.Trial == nil {
		return network.ErrNoTrial
	}
	p.status.Trial = nil
	return nil
}

func timeStatus() clock.Status {
	return clock.Status{Synchronised: true, Set: time.Now(), Problem: "the servers do not agree",
		Servers: []clock.ServerStatus{{Name: "ntp.example", Address: netip.MustParseAddr("192.0.2.1")}, {Name: hostile, Problem: "it does not answer"}}}
}

func TestNetworkPage(t *testing.T) {
	g := newGate(t)
	p := g.o.Network.(*place)
	a := g.want(200, browse{path: "/network", host: "10.0.0.5:8080", as: "admin"})
	for _, text := range []string{"10.0.0.5/24", "ntp.example", "the servers do not agree", "cannot join a wireless network"} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	if hasScript(a.body) || strings.Contains(a.body, `http-equiv="refresh"`) {
		t.Error("hostile texts are not escaped, or it asks without a trial")
	}

	form := url.Values{"how": {"manual"}, "ipv4": {"broken"}, "ipv6": {"auto"}, "dns": {"192.168.7.1, 1.1.1.1"}}
	a = g.want(400, browse{path: "/network", as: "admin", form: form})
	if !strings.Contains(a.body, `id="error-ipv4" role="alert">&#34;broken&#34; is no`) || !strings.Contains(a.body, `value="broken"`) || hasScript(a.body) {
		t.Errorf("the page after a mistake:\n%s", a.body)
	}
	form.Set("ipv4", " 192.168.7.2/24")
	form.Set("gateway", "192.168.7.1")
	g.want(303, browse{path: "/network", as: "admin", form: form})
	if want := "192.168.7.2/24 192.168.7.1 [192.168.7.1 1.1.1.1] auto"; p.status.Trial == nil ||
		strings.Join([]string{p.status.Trial.IPv4, p.status.Trial.Gateway, "[" + strings.Join(p.status.Trial.DNS, " ") + "]", p.status.Trial.IPv6}, " ") != want {
		t.Errorf("tried %+v", p.status.Trial)
	}
	a = g.want(200, browse{path: "/network", host: "10.0.0.5:8080", as: "admin"})
	if !strings.Contains(a.body, `href="http://192.168.7.2:8080/network"`) || !strings.Contains(a.body, `http-equiv="refresh"`) || strings.Contains(a.body, "/network/confirm") {
		t.Errorf("before the settings are in force:\n%s", a.body)
	}
	g.want(409, browse{path: "/network/confirm", as: "admin", form: url.Values{"a": {""}}})
	p.status.InForce = true
	a = g.want(200, browse{path: "/network", host: "192.168.7.2:8080", as: "admin"})
	if !strings.Contains(a.body, `action="/network/confirm"`) {
		t.Errorf("nobody is asked:\n%s", a.body)
	}
	g.want(303, browse{path: "/network/confirm", as: "admin", form: url.Values{"a": {""}}})
	if p.status.Settings.IPv4 != "192.168.7.2/24" {
		t.Errorf("kept %+v", p.status.Settings)
	}
	for _, event := range []string{"network settings tried", "network settings kept"} {
		if log := g.kinds(); !strings.Contains(log, event) {
			t.Errorf("the audit log does not tell %q: %s", event, log)
		}
	}
}

func TestNetworkAPI(t *testing.T) {
	g := newGate(t)
	p := g.o.Network.(*place)
	g.want(400, browse{path: "/api/network", as: "token admin", json: `{"ipv4":"broken"}`})
	g.want(400, browse{path: "/api/network", as: "token admin", json: `{"ipv5":"x"}`})
	g.want(403, browse{path: "/api/network", as: "token operator"})
	g.want(409, browse{path: "/api/network/confirm", as: "token admin", json: `{}`})
	g.want(200, browse{path: "/api/network", as: "token admin", json: `{"ipv4":"dhcp","ipv6":"off"}`})
	if a := p.status.Trial; a == nil || a.IPv4 != network.DHCP || a.IPv6 != network.Off {
		t.Errorf("tried %+v", a)
	}
	g.want(200, browse{path: "/api/network/revert", as: "token admin", json: `{}`})
	g.want(409, browse{path: "/api/network/revert", as: "token admin", json: `{}`})
	a := g.want(200, browse{path: "/api/network", as: "token admin"})
	var got struct {
		Settings network.Addresses
		Clock    clock.Status
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Settings.IPv4 != network.DHCP || !got.Clock.Synchronised {
		t.Errorf("%v %s", err, a.body)
	}
	p.err = errors.New("lintel.toml is written in a way that only a person can change: change it there")
	if a := g.want(500, browse{path: "/api/network", as: "token admin", json: `{"ipv4":"dhcp","ipv6":"auto"}`}); !strings.Contains(a.body, "only a person can change") {
		t.Errorf("%s", a.body)
	}
}
