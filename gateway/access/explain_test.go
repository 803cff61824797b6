package access

import (
	"testing"

	"lintel/gateway/mqtt"
)

func TestExplain(t *testing.T) {
	p := housePolicy(t)
	lamp := Identity{User: "lamp", Roles: []string{"sensors", "guest"}, Topics: []string{"lamp/#"}}
	token := Identity{Rules: shortRules(t, "allow publish a"), Roles: []string{"gone"}}
	for _, c := range []struct {
		id     Identity
		action Action
		topic  string
		m      *mqtt.Message
		want   string // Why
		rule   string
	}{
		{lamp, Publish, "sensors/lamp/t", nil,
			"role sensors, rule 2 (roles.toml:10): allow publish and subscribe on sensors/%u/#, time", "role sensors, rule 2 (roles.toml:10)"},
		{lamp, Publish, "sensors/lamp/config", nil,
			"it depends on the message: role sensors, rule 1 (roles.toml:5): deny publish to sensors/%u/config, if it is retained; " +
				"else role sensors, rule 2 (roles.toml:10): allow publish and subscribe on sensors/%u/#, time", ""},
		{lamp, Publish, "sensors/lamp/config", &mqtt.Message{Retain: true},
			"role sensors, rule 1 (roles.toml:5): deny publish to sensors/%u/config, if it is retained", "role sensors, rule 1 (roles.toml:5)"},
		{lamp, Publish, "sensors/lamp/config", &mqtt.Message{},
			"role sensors, rule 2 (roles.toml:10): allow publish and subscribe on sensors/%u/#, time", "role sensors, rule 2 (roles.toml:10)"},
		{lamp, Publish, "sensors/other/t", nil, "no rule matches", ""},
		{lamp, Publish, "lamp/set", nil, "own topic: allow everything on lamp/#", "own topic"},
		{lamp, Publish, "a/+", nil, "that is no valid topic name", ""},
		{lamp, Publish, "$SYS/x", nil, "topics that begin with $ belong to the broker", ""},
		{lamp, Subscribe, "a#", nil, "that is no valid topic filter", ""},
		{lamp, Subscribe, "house/#", nil,
			"role guest, rule 3 (roles.toml:33): allow subscribe to house/#; not delivered is what is denied by " +
				"role guest, rule 2 (roles.toml:32): deny receive house/secret/#", "role guest, rule 3 (roles.toml:33)"},
		{lamp, Subscribe, "house/garden/#", nil, "role guest, rule 3 (roles.toml:33): allow subscribe to house/#", "role guest, rule 3 (roles.toml:33)"},
		{lamp, Subscribe, "house/secret/x", nil,
			"role guest, rule 3 (roles.toml:33): allow subscribe to house/#; not delivered is what is denied by " +
				"role guest, rule 2 (roles.toml:32): deny receive house/secret/#", "role guest, rule 3 (roles.toml:33)"},
		{lamp, Receive, "house/secret/x", nil, "role guest, rule 2 (roles.toml:32): deny receive house/secret/#", "role guest, rule 2 (roles.toml:32)"},
		{lamp, Subscribe, "sensors/#", nil,
			"no rule matches all of it; a part is in role sensors, rule 2 (roles.toml:10): allow publish and subscribe on sensors/%u/#, time", ""},
		{lamp, Publish, "alarm", &mqtt.Message{QoS: 1, Payload: []byte(`{"level": 1}`)}, "no rule matches", ""},
		{token, Publish, "a", nil, "rule 1 of the token: allow publish to a", "rule 1 of the token"},
		{token, Publish, "b", nil, `no rule matches; there is no role "gone"`, ""},
		{Identity{}, Publish, "b", nil, "no rule matches; there are no roles and no topics of its own", ""},
		{Identity{Internal: true}, Publish, "b", nil, "a part of the house may do everything: allowed", ""},
		{Identity{Rules: []Rule{{}}, Roles: []string{"admin"}}, Publish, "b", nil, "rule 1 of the token cannot be used (a rule needs an action)", ""},
		{Identity{Roles: []string{"admin"}}, Subscribe, "#", nil, "role admin, rule 1: allow everything on #, $SYS/#", "role admin, rule 1"},
	} {
		v := p.Explain(&c.id, c.action, c.topic, c.m)
		if v.Why != c.want || v.Rule != c.rule {
			t.Errorf("%s %q:\n%s (%s)\nwant:\n%s (%s)", c.action, c.topic, v.Why, v.Rule, c.want, c.rule)
		}
		permit := p.Permit(&c.id, c.action, c.topic)
		want := permit.Allowed()
		if c.m != nil {
			want = permit.Message(c.m.QoS, c.m.Retain, c.m.Payload)
		}
		if v.Allow != want || v.Depends != (permit.Depends() && c.m == nil) {
			t.Errorf("%s %q: %+v, and the Permit says %v", c.action, c.topic, v, permit.answer)
		}
	}
}

// TestExplainUnknown: what could not be found out is said.
func TestExplainUnknown(t *testing.T) {
	p, err := newPolicy([]Role{{"a", []Rule{{
		Deny: true, Actions: []Action{Publish}, Topics: []string{"#"}, Content: &Content{Where: expression(t, "payload.x")}}}}})
	if err != nil {
		t.Fatal(err)
	}
	v := p.Explain(&Identity{Roles: []string{"a"}}, Publish, "t", &mqtt.Message{Payload: []byte("?")})
	if want := "role a, rule 1: deny publish to #, if payload.x; whether that holds cannot be found out"; v.Why != want {
		t.Errorf("%q, want %q", v.Why, want)
	}
}
