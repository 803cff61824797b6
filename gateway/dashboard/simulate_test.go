package dashboard

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// plays are sticks that are played by nobody.
type plays struct{ kinds []string }

func (p *plays) Kinds() []string { return []string{"dsmr", "sml"} }

func (p *plays) Playing() []Simulation {
	var list []Simulation
	for _, kind := range p.kinds {
		list = append(list, Simulation{Kind: kind, Stick: "stick_" + kind, Since: time.Now()})
	}
	return list
}

func (p *plays) Start(_ context.Context, kind string) error {
	if !slices.Contains(p.Kinds(), kind) {
		return &SimulationError{"there is no " + kind}
	}
	p.kinds = append(p.kinds, kind)
	return nil
}

func (p *plays) Stop(_ context.Context, kind string) error {
	if i := slices.Index(p.kinds, kind); i >= 0 {
		p.kinds = slices.Delete(p.kinds, i, i+1)
		return nil
	}
	return &SimulationError{"it is not playing"}
}

func TestSimulatePage(t *testing.T) {
	g := newGate(t)
	g.want(303, browse{path: "/simulate/start", as: "admin", form: url.Values{"kind": {"sml"}}})
	if a := g.want(200, browse{path: "/simulate", as: "admin"}); !strings.Contains(a.body, `<a href="/devices?stick=stick_sml">sml</a>`) {
		t.Errorf("the page: %s", a.body)
	}
	if a := g.want(409, browse{path: "/simulate/start", as: "admin", form: url.Values{"kind": {hostile}}}); hasScript(a.body) || !strings.Contains(a.body, "There is no") {
		t.Errorf("a kind that there is not: %s", a.body)
	}
	g.want(400, browse{path: "/api/simulate", as: "admin", json: `{"kinds": "x"}`})
	g.want(303, browse{path: "/simulate/stop", as: "admin", form: url.Values{"kind": {"sml"}}})
	if a := g.want(200, browse{path: "/api/simulate", as: "admin"}); !strings.Contains(a.body, `"playing": []`) {
		t.Errorf("what plays: %s", a.body)
	}
}
