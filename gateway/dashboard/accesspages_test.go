package dashboard

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/access"
)

// TestAllowWhatWasRefused goes the way from a refusal to the rule that allows it: shown, with
// what it would change, and saved by a click.
func TestAllowWhatWasRefused(t *testing.T) {
	g := newGate(t)
	if err := g.o.Users.Create(t.Context(), access.User{Name: "garden", Roles: []string{"device"}}, nil); err != nil {
		t.Fatal(err)
	}
	u, _ := g.o.Users.Get("garden")
	g.o.Denials.Add(g.o.Control.Policy(), g.o.Control.Identify(u, &access.Login{ClientID: "pump"}), netip.Addr{}, access.Publish, "garden/valve")
	a := g.want(200, browse{path: "/access", as: "admin"})
	const asked = "/access?action=publish&amp;client=pump&amp;topic=garden%2Fvalve&amp;user=garden"
	if !strings.Contains(a.body, `href="`+asked+`"`) {
		t.Fatalf("no way from the refusal to why: %s", a.body)
	}
	a = g.want(200, browse{path: strings.ReplaceAll(asked, "&amp;", "&"), as: "admin"})
	for _, want := range []string{"allow publish %u/valve", "no: about another topic", "<strong>garden</strong>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if _, ok := g.o.Control.Policy().Role("garden"); ok {
		t.Fatal("saved without a click")
	}
	form := url.Values{"user": {"garden"}, "client": {"pump"}, "action": {"publish"}, "topic": {"garden/valve"}, "role": {"garden"}}
	g.want(403, browse{path: "/access/allow", as: "olga", form: form})
	g.want(303, browse{path: "/access/allow", as: "admin", form: form})
	u, _ = g.o.Users.Get("garden")
	if id := g.o.Control.Identify(u, &access.Login{ClientID: "pump"}); !slices.Equal(u.Roles, []string{"garden", "device"}) ||
		!g.o.Control.Policy().Permit(id, access.Publish, "garden/valve").Allowed() || g.o.Control.Policy().Permit(id, access.Publish, "garden/x").Allowed() {
		t.Errorf("%+v may do something else", u)
	}
	if kinds := g.kinds(); !strings.Contains(kinds, "rules changed") || !strings.Contains(kinds, "user changed garden") {
		t.Error(kinds)
	}
}

// TestRolePages writes a role by the form, and finds out before whom it would take what.
func TestRolePages(t *testing.T) {
	g := newGate(t)
	if a := g.want(303, browse{path: "/roles/new", as: "admin", form: url.Values{"name": {"sensors"}}}); a.location() != "/roles/sensors" {
		t.Error(a.location())
	}
	for _, bad := range []string{"", "admin", "a b", "ä"} {
		g.want(400, browse{path: "/roles/new", as: "admin", form: url.Values{"name": {bad}}})
	}
	g.want(200, browse{path: "/roles/sensors", as: "admin"})
	rules := url.Values{"effect-1": {"allow"}, "action-1": {"publish", "subscribe", "receive"}, "topics-1": {"garden/#"},
		"effect-2": {"deny"}, "action-2": {"publish"}, "topics-2": {"garden/config\r\n garden/secret\r\n"}, "place-2": {"1"}, "qos-2": {"1", "2"}, "retain-2": {"true"}}
	save := func(do string, code int) answered {
		t.Helper()
		rules.Set("do", do)
		return g.want(code, browse{path: "/roles/sensors/rules", as: "admin", form: rules})
	}
	if a := save("add", 200); !strings.Contains(a.body, `name="topics-3"`) {
		t.Error("no more rules")
	}
	save("save", 303)
	role, _ := g.o.Control.Policy().Role("sensors")
	var said []string
	for i := range role.Rules {
		said = append(said, role.Rules[i].String())
	}
	want := []string{"deny publish to garden/config, garden/secret, if QoS is 1 or 2 and it is retained", "allow everything on garden/#"}
	if !slices.Equal(said, want) {
		t.Errorf("saved %q, want %q", said, want)
	}

	if err := g.o.Users.Create(t.Context(), access.User{Name: "pump", Roles: []string{"sensors"}}, nil); err != nil {
		t.Fatal(err)
	}
	rules = url.Values{"effect-1": {"allow"}, "action-1": {"publish"}, "topics-1": {"attic/#"}}
	if a := save("preview", 200); !strings.Contains(a.body, "One thing that is used now would be denied") || !strings.Contains(a.body, "pump") {
		t.Errorf("who loses something is not told: %s", a.body)
	}
	if now, _ := g.o.Control.Policy().Role("sensors"); len(now.Rules) != 2 {
		t.Error("a preview saved something")
	}
	rules = url.Values{"effect-1": {"allow"}, "action-1": {"publish"}, "topics-1": {"a"}, "effect-2": {"allow"}, "action-2": {"publish"}, "topics-2": {"a#"}}
	if a := save("save", 422); !strings.Contains(a.body, "role sensors:") || strings.Count(a.body, "must be a whole level") != 2 {
		t.Errorf("the mistake is not shown above and at its rule: %s", a.body)
	}
	rules = url.Values{"text": {"[[role]]\r\nname = \"sensors\"\r\n# a remark\r\n[[role.rule]]\r\nallow = \"all\"\r\ntopic = \"x\"\r\n"}, "version": {"old"}}
	if a := save("text-save", 409); !strings.Contains(a.body, "meanwhile") {
		t.Error("somebody else's change is written over")
	}
	rules.Del("version")
	save("text-save", 303)
	if a := g.want(200, browse{path: "/roles/sensors", as: "admin"}); !strings.Contains(a.body, "# a remark") {
		t.Error("the comment is lost")
	}
	g.want(409, browse{path: "/roles/sensors/delete", as: "admin", form: url.Values{"a": {""}}})
	g.want(303, browse{path: "/roles/restore", as: "admin", form: url.Values{"number": {"1"}}})
	if now, _ := g.o.Control.Policy().Role("sensors"); len(now.Rules) != 2 {
		t.Error("not undone")
	}
	text := "[[role]]\nname = \"other\"\n"
	g.want(200, browse{path: "/roles", as: "admin", form: url.Values{"text": {text}, "do": {"preview"}}})
	g.want(422, browse{path: "/roles", as: "admin", form: url.Values{"text": {text + "rule = 1\n"}, "do": {"save"}}})
	g.want(303, browse{path: "/roles", as: "admin", form: url.Values{"text": {text}, "do": {"save"}}})
	if a := g.want(200, browse{path: "/roles", as: "admin"}); !strings.Contains(a.body, `href="/roles/other"`) || strings.Contains(a.body, `href="/roles/sensors"`) {
		t.Error("the file is not what was typed")
	}
}

// TestProposalOnThePage saves the least rules for what a user was seen to do.
func TestProposalOnThePage(t *testing.T) {
	g := newGate(t)
	if err := g.o.Users.Create(t.Context(), access.User{Name: "shed & co", Topics: []string{"garden/#"}}, nil); err != nil {
		t.Fatal(err)
	}
	page := userPath("shed & co")
	g.o.Observed.Saw(&access.Identity{User: "shed & co", ClientID: "pump"}, access.Publish, "garden/pump")
	a := g.want(200, browse{path: page + "?propose=7", as: "admin"})
	for _, want := range []string{"garden/%c", "they deny nothing", "allow everything on garden/#", `value="shed---co"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %q: %s", want, a.body)
		}
	}
	form := url.Values{"name": {"shed & co"}, "role": {"shed---co"}, "text": {"[[role]]\r\nname = \"shed---co\"\r\n[[role.rule]]\r\nallow = \"publish\"\r\ntopic = \"garden/%x\"\r\n"}}
	if a := g.want(422, browse{path: "/users/propose", as: "admin", form: form}); !strings.Contains(a.body, "garden/%x") {
		t.Error("what was typed is lost")
	}
	form.Set("text", strings.ReplaceAll(form.Get("text"), "%x", "%c"))
	if a := g.want(303, browse{path: "/users/propose", as: "admin", form: form}); a.location() != page {
		t.Error(a.location())
	}
	if u, _ := g.o.Users.Get("shed & co"); !slices.Equal(u.Roles, []string{"shed---co"}) || len(u.Topics) > 0 {
		t.Errorf("%+v", u)
	}
}

// TestAuditIsFound: the audit log by what is looked for, by pages, and as files that are no
// danger to the program that opens them.
func TestAuditIsFound(t *testing.T) {
	g := newGate(t)
	for i := range 250 {
		g.o.Audit.Add(access.Event{Time: time.Unix(int64(2e9+i*4000), 0), Kind: access.UserChanged, User: "somebody", Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Detail: "by admin"})
	}
	g.o.Audit.Add(access.Event{Time: time.Unix(3e9, 0), Kind: access.LoginRefused, User: "=cmd|' /C calc'!A0", ClientID: "+x", Address: netip.MustParseAddr("198.51.100.7")})
	count := func(query string, want int) string {
		t.Helper()
		var list struct{ Events []access.Event }
		a := g.want(200, browse{path: "/api/audit?" + query, as: "token admin"})
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Events) != want {
			t.Errorf("%s: %d events, want %d", query, len(list.Events), want)
		}
		return g.want(200, browse{path: "/api/audit?format=csv&" + query, as: "token admin"}).body
	}
	count("", 251)
	count("kind=user+changed", 250)
	count("address=192.0.2.0/28", 16)
	count("address=192.0.2.9&user=somebody", 1)
	count("q=BY+admin&kind=login+refused", 0)
	if file := count("address=198.51.100.7", 1); !strings.Contains(file, "'=cmd|") || !strings.Contains(file, ",'+x,") || strings.Count(file, "\n") != 2 {
		t.Error(file)
	}
	if a := g.want(200, browse{path: "/api/audit?format=jsonl", as: "token admin"}); strings.Count(a.body, "\n") != 251 || !strings.Contains(a.Header.Get("Content-Disposition"), "lintel-audit.jsonl") {
		t.Error("the lines are not the events")
	}
	for _, bad := range []string{"kind=king", "address=a", "format=xml"} {
		g.want(400, browse{path: "/api/audit?" + bad, as: "token admin"})
	}
	a := g.want(200, browse{path: "/audit?kind=user+changed&page=3", as: "admin"})
	if n := strings.Count(a.body, `<th scope="row">`); n != 50 || !strings.Contains(a.body, "Page 3 of 3") || !strings.Contains(a.body, "kind=user&#43;changed&amp;page=2") {
		t.Errorf("%d events on the last page: %s", n, a.body[len(a.body)-1500:])
	}
	g.want(200, browse{path: "/audit?kind=king", as: "admin"})
}
