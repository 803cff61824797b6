package access

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func denyingPolicy(t *testing.T) *Policy {
	t.Helper()
	return policyOf(t, `[[role]]
name = "garden"
[[role.rule]]
deny = "publish"
topic = "garden/secret"
[[role.rule]]
allow = "all"
topic = "garden/#"
`)
}

// TestDenials: what was refused is told with the rule and the reason, repetitions as one.
func TestDenials(t *testing.T) {
	var l Denials
	p, from := denyingPolicy(t), netip.MustParseAddr("192.0.2.7")
	id := &Identity{User: "ann", ClientID: "shed", Roles: []string{"garden"}}
	for range 3 {
		l.Add(p, id, from, Publish, "garden/secret")
	}
	l.Add(p, id, from, Subscribe, "attic/#")
	l.Login("bob", "shed", from, "user name or password is wrong")
	all := l.Of("shed")
	if len(all) != 3 || len(l.All()) != 3 || len(l.Of("barn")) != 0 {
		t.Fatalf("%+v", all)
	}
	if d := all[0]; d.Action != "login" || d.User != "bob" || d.Why != "user name or password is wrong" || d.Address != from {
		t.Errorf("%+v", d)
	}
	if d := all[1]; d.Action != "subscribe" || d.Topic != "attic/#" || d.Rule != "" || d.Count != 1 {
		t.Errorf("%+v", d)
	}
	if d := all[2]; d.Count != 3 || !strings.Contains(d.Rule, "role garden, rule 1 (roles.toml:3)") || !strings.Contains(d.Why, "deny publish") {
		t.Errorf("%+v", d)
	}
}

// TestDenialsAreBounded: who knocks all day hides nobody else.
func TestDenialsAreBounded(t *testing.T) {
	var l Denials
	p := denyingPolicy(t)
	l.Add(p, &Identity{ClientID: "quiet"}, netip.Addr{}, Publish, "a")
	l.Login("carl", "carl", netip.MustParseAddr("192.0.2.1"), "no")
	for i := range 2000 {
		topic := fmt.Sprint("t/", i)
		l.Add(p, &Identity{ClientID: "loud"}, netip.Addr{}, Publish, topic)
		l.Add(p, &Identity{ClientID: "loud"}, netip.Addr{}, Receive, topic)
		l.Login(topic, topic, netip.MustParseAddr("192.0.2.2"), "no")
	}
	if n := len(l.Of("loud")); n != 2*maxClientDenials {
		t.Errorf("of the loud one: %d", n)
	}
	if len(l.Of("quiet")) != 1 || len(l.Of("carl")) != 1 {
		t.Error("the quiet ones are gone")
	}
	for i := range 5000 {
		l.Add(p, &Identity{ClientID: fmt.Sprint(i)}, netip.Addr{}, Publish, "a")
		l.Login("", fmt.Sprint(i), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), "no")
	}
	logins := 0
	all := l.All()
	for _, d := range all {
		if d.Action == "login" {
			logins++
		}
	}
	if len(all) != maxDenials || logins > maxLoginDenials {
		t.Errorf("%d, of which logins %d", len(all), logins)
	}
	l.Add(p, &Identity{ClientID: strings.Repeat("x", 10_000)}, netip.Addr{}, Publish, "a")
	l.Add(p, &Identity{ClientID: "x"}, netip.Addr{}, Publish, strings.Repeat("x", 10_000))
	if d := l.All()[0]; len(d.ClientID) > maxDenialName || len(d.Topic) > maxDenialTopic {
		t.Error("it keeps what is too long")
	}
}
