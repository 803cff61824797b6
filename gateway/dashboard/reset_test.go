package dashboard

import (
	"net/url"
	"testing"
)

func TestReset(t *testing.T) {
	g := newGate(t)
	cookie := g.session("admin")
	g.want(200, browse{path: "/reset", cookie: cookie})
	for _, name := range []string{"", "cellar", "Lintel"} {
		g.want(400, browse{path: "/reset", cookie: cookie, form: url.Values{"confirm": {name}}})
		g.want(400, browse{path: "/api/reset", as: "token admin", json: `{"confirm":"` + name + `"}`})
	}
	if !g.o.Claim.Claimed() {
		t.Fatal("reset without its name")
	}
	if a := g.want(303, browse{path: "/reset", cookie: cookie, form: url.Values{"confirm": {"Cellar"}}}); a.location() != "/claim" {
		t.Errorf("led to %s", a.location())
	}
	if g.o.Claim.Claimed() {
		t.Error("the box has its owner")
	}
	g.want(403, browse{path: "/api/users", as: "token admin"}) // claim it first
	if e := g.o.Audit.All(); len(e) == 0 || e[0].Kind != "reset" {
		t.Errorf("the audit log says %+v", e)
	}
}
