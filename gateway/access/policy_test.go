package access

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"lintel/gateway/mqtt"
)

func TestRolesInOrder(t *testing.T) {
	p, err := newPolicy(append(BuiltIn("homeassistant"),
		Role{"guest", shortRules(t, "deny publish a/#; allow publish b")},
		Role{"owner", shortRules(t, "allow publish #")}))
	if err != nil {
		t.Fatal(err)
	}
	for roles, want := range map[string]string{
		"guest":         "b",
		"owner":         "a b c",
		"guest owner":   "b c",
		"owner guest":   "a b c",
		"":              "",
		"nobody":        "",
		"nobody owner":  "a b c",
		"guest guest":   "b",
		"viewer guest":  "b",
		"admin":         "a b c",
		"homeassistant": "a b c",
		"device":        "",
		"guest nobody ": "b",
	} {
		id := &Identity{User: "u", Roles: strings.Fields(roles)}
		var got []string
		for _, topic := range []string{"a", "b", "c", "$SYS/x"} {
			if p.Permit(id, Publish, topic).Allowed() {
				got = append(got, topic)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q may publish to %q, want %q", roles, s, want)
		}
	}
	if !p.Permit(&Identity{Internal: true}, Publish, "$SYS/x").Allowed() {
		t.Error("a part of the house may not publish to $SYS")
	}
	if !p.Permit(nil, Publish, "a").Denied() || !new(Policy).Permit(&Identity{Roles: []string{"admin"}}, Publish, "a").Denied() {
		t.Error("nobody, or a policy without roles, is not denied")
	}
	if !(Permit{}).Denied() || (Permit{}).Message(0, false, nil) {
		t.Error("the zero Permit does not deny")
	}
}

func TestBuiltIn(t *testing.T) {
	p, err := newPolicy(BuiltIn("home%assist"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Roles()); got != "[admin device homeassistant viewer]" {
		t.Error(got)
	}
	for _, c := range []struct {
		role   string
		action Action
		topic  string
		allow  bool
	}{
		{"admin", Subscribe, "$SYS/#", true},
		{"admin", Subscribe, "#", true},
		{"homeassistant", Subscribe, "homeassistant/+/+/config", true},
		{"homeassistant", Publish, "lamp/set", true},
		{"viewer", Subscribe, "#", true},
		{"viewer", Receive, "a", true},
		{"viewer", Publish, "a", false},
		{"device", Publish, "home%assist/device/lamp/config", true},
		{"device", Publish, "home%assist/sensor/lamp/power/config", true},
		{"device", Publish, "home%assist/sensor/power/lamp/config", false},
		{"device", Publish, "home%assist/device/other/config", false},
		{"device", Publish, "home%assist/status", false},
		{"device", Subscribe, "home%assist/status", true},
		{"device", Subscribe, "home%assist/device/lamp/config", false},
		{"device", Publish, "lamp/state", true},
		{"device", Publish, "lamps/state", false},
		{"device", Subscribe, "lamp/+/set", true},
		{"device", Subscribe, "+/set", false},
	} {
		id := &Identity{User: "lamp", Roles: []string{c.role}, Topics: []string{"lamp/#"}}
		if c.role != "device" {
			id.Topics = nil
		}
		if got := p.Permit(id, c.action, c.topic).Allowed(); got != c.allow {
			t.Errorf("%s: %s %s: %v", c.role, c.action, c.topic, got)
		}
	}
}

func TestNewPolicyMistakes(t *testing.T) {
	rule := shortRules(t, "allow publish a")
	for _, c := range []struct {
		roles []Role
		want  string
	}{
		{[]Role{{"", rule}}, "needs a name"},
		{[]Role{{"a", rule}, {"a", rule}}, "two roles"},
		{[]Role{{"a", []Rule{{Topics: []string{"a"}}}}}, "role a, rule 1: a rule needs an action"},
		{[]Role{{"a", []Rule{rule[0], {Actions: everything}}}}, "role a, rule 2: a rule needs a topic"},
		{[]Role{{"a", []Rule{{Actions: []Action{9}, Topics: []string{"a"}}}}}, "no action 9"},
		{[]Role{{"a", []Rule{{Actions: []Action{Publish}, Topics: []string{"a"}, QoS: []mqtt.QoS{3}}}}}, "no QoS 3"},
	} {
		if _, err := newPolicy(c.roles); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.roles, err, c.want)
		}
	}
}

// TestPolicyParallel is for the race detector.
func TestPolicyParallel(t *testing.T) {
	p := housePolicy(t)
	id := &Identity{User: "lamp", Roles: []string{"sensors"}}
	permit := p.Permit(id, Publish, "alarm")
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for i := range 50 {
				level := i % 5
				if got := permit.Message(1, false, fmt.Appendf(nil, `{"level": %d}`, level)); got != (level > 2) {
					t.Errorf("level %d: %v", level, got)
				}
				if !p.Permit(id, Publish, "sensors/lamp/t").Allowed() {
					t.Error("its own topic is denied")
				}
				p.Explain(id, Subscribe, "#", nil)
			}
		})
	}
	g.Wait()
}

func BenchmarkPermit(b *testing.B) {
	var rules []Rule
	for i := range 20 {
		rules = append(rules, shortRules(b, fmt.Sprintf("deny publish house/room%d/secret/#", i))...)
	}
	rules = append(rules, shortRules(b, "allow all own/%u/#; allow all house/#")...)
	small := Rule{Actions: []Action{Publish}, Topics: []string{"small"}, QoS: []mqtt.QoS{0, 1}, Retain: new(bool), Content: &Content{MaxSize: 100}}
	object := Rule{Actions: []Action{Publish}, Topics: []string{"object"}, Content: &Content{Where: expression(b, "payload.t < 85")}}
	p, err := newPolicy([]Role{{"test", append(rules, small, object)}})
	if err != nil {
		b.Fatal(err)
	}
	id := &Identity{User: "lamp", ClientID: "c", Roles: []string{"test"}}
	for name, topic := range map[string]string{"plain": "house/garden/lamp/state", "pattern": "own/lamp/state", "denied": "other/x"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Permit(id, Publish, topic)
			}
		})
	}
	payload := []byte(`{"t": 21.5, "h": 60}`)
	for _, topic := range []string{"small", "object"} {
		permit := p.Permit(id, Publish, topic)
		b.Run("message/"+topic, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !permit.Message(0, false, payload) {
					b.Fatal("denied")
				}
			}
		})
	}
}

// TestPermitAllocates: nothing, unless it depends on the message, and then not for what
// a message says without its payload.
func TestPermitAllocates(t *testing.T) {
	p := housePolicy(t)
	small, err := newPolicy([]Role{{"a", []Rule{{
		Actions: []Action{Publish}, Topics: []string{"#"}, QoS: []mqtt.QoS{0}, Retain: new(bool), Content: &Content{MaxSize: 3, JSON: true}}}}})
	if err != nil {
		t.Fatal(err)
	}
	permit := small.Permit(&Identity{Roles: []string{"a"}}, Publish, "a")
	id := &Identity{User: "lamp", Roles: []string{"gone", "sensors", "guest"}, Topics: []string{"lamp/#"}, Rules: shortRules(t, "deny all x/%u")}
	payload := []byte("123")
	for what, f := range map[string]func() bool{
		"a plain rule":   func() bool { return p.Permit(id, Subscribe, "house/#").Allowed() },
		"a pattern":      func() bool { return p.Permit(id, Publish, "sensors/lamp/t").Allowed() },
		"its own topic":  func() bool { return p.Permit(id, Publish, "lamp/t").Allowed() },
		"no rule":        func() bool { return p.Permit(id, Publish, "nothing/of/this").Denied() },
		"a message":      func() bool { return permit.Message(0, false, payload) },
		"a message more": func() bool { return !permit.Message(1, false, payload) },
	} {
		if !f() {
			t.Errorf("%s: wrong answer", what)
		}
		if n := testing.AllocsPerRun(100, func() { f() }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
