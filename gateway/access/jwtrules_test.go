package access

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestJWTRules(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		acl  string
		want []Rule // nil: refused
	}{
		{`[]`, []Rule{}},
		{`[{"permission":"allow","action":"publish","topic":"t/${clientid}"},{"permission":"allow","action":"publish","topic":"%u/%i"}]`,
			[]Rule{{Actions: []Action{Publish}, Topics: []string{"t/%c"}, Place: "token:1"},
				{Actions: []Action{Publish}, Topics: []string{"%u/%i"}, Place: "token:2"}}},
		{`[{"permission":"deny","action":"publish","topic":"t/2","retain":true,"qos":[0,1]},{"permission":"deny","action":"all","topic":"#"}]`,
			[]Rule{{Deny: true, Actions: []Action{Publish}, Topics: []string{"t/2"}, QoS: []byte{0, 1}, Retain: &yes, Place: "token:1"},
				{Deny: true, Actions: []Action{Publish, Subscribe}, Topics: []string{"#"}, Place: "token:2"}}},
		{`{}`, []Rule{}},
		{`{"pub":["a","b/${username}"],"sub":"c/#","all":[]}`,
			[]Rule{{Actions: []Action{Publish}, Topics: []string{"a", "b/%u"}, Place: "token:pub"},
				{Actions: []Action{Subscribe}, Topics: []string{"c/#"}, Place: "token:sub"}}},
		{acl: `null`}, {acl: `"#"`}, {acl: `7`}, {acl: `[[]]`}, {acl: `[null]`}, {acl: `[{}]`},
		{acl: `[{"action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","topic":"t"}]`},
		{acl: `[{"permission":"allow","action":"publish"}]`},
		{acl: `[{"permission":"Allow","action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","Action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","action":"receive","topic":"t"}]`},
		{acl: `[{"permission":"deny","permission":"allow","action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":["t"]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":""}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"a/#/b"}]`},
		{acl: `[{"permission":"allow","action":"subscribe","topic":"$share/g/a"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"a\u0000"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"${cert_common_name}/#"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"${clientid"}]`},
		{acl: `[{"permission":"deny","action":"publish","topic":"a/%${username}"}]`},
		{acl: `[{"permission":"deny","action":"publish","topic":"a/50%"}]`},
		{acl: `[{"permission":"allow","action":"subscribe","topic":"eq t/#"}]`},
		{acl: `[{"permission":"allow","action":"subscribe","topic":"t","qos":[1]}]`},
		{acl: `[{"permission":"allow","action":"all","topic":"t","retain":false}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","retain":"false"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","retain":null}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":null}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[3]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[-1]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[1.5]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","ipaddr":"192.0.2.0/24"}]`},
		{acl: `{"pub":["a"],"PUB":["b"]}`}, {acl: `{"pub":["a"],"pub":["b"]}`}, {acl: `{"pub":[1]}`}, {acl: `{"pub":["a/#/b"]}`}, {acl: `{"sub":["$share/g/a"]}`},
		{acl: `[` + strings.Repeat(`{"permission":"allow","action":"publish","topic":"t"},`, maxTokenRules) + `{"permission":"allow","action":"publish","topic":"t"}]`},
		{acl: `{"pub":[` + strings.Repeat(`"t",`, maxTokenRules-1) + `"t"],"sub":["t"]}`},
	} {
		claims := `{"sub":"ann","exp":4000000000,"acl":` + tt.acl + `}`
		id, err := newJWT(t, JWTOptions{ACLClaim: "acl"}).Verify(t.Context(), hs256(t, claims), &Login{})
		switch {
		case tt.want == nil && !errors.Is(err, ErrBadLogin):
			t.Errorf("%.200s: got %+v, %v; want it refused", tt.acl, id, err)
		case tt.want != nil && (err != nil || len(id.Rules) != len(tt.want) || len(tt.want) > 0 && !reflect.DeepEqual(id.Rules, tt.want)):
			t.Errorf("%.200s: got %+v, %v; want %+v", tt.acl, id, err, tt.want)
		}
	}
}

// What the rules of a token come to, and that no name reaches further than its own topics.
func TestJWTRulesInForce(t *testing.T) {
	policy, err := newPolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	j := newJWT(t, JWTOptions{ACLClaim: "acl"})
	const acl = `[{"permission":"deny","action":"all","topic":"home/${username}/lock/#"},
		{"permission":"allow","action":"publish","topic":"home/${username}/#","retain":false},
		{"permission":"allow","action":"subscribe","topic":"home/${username}/#"},
		{"permission":"allow","action":"publish","topic":"clients/${clientid}"}]`
	for _, tt := range []struct {
		user, client string
		action       Action
		topic        string
		plain        bool // a message that is not retained, or a subscription
		retained     bool
	}{
		{"ann", "c", Publish, "home/ann/lamp", true, false},
		{"ann", "c", Publish, "home/ann/lock/door", false, false},
		{"ann", "c", Publish, "home/bob/lamp", false, false},
		{"ann", "c", Publish, "clients/c", true, true},
		{"ann", "c", Publish, "clients/d", false, false},
		{"ann", "c", Subscribe, "home/ann/#", true, true},
		{"ann", "c", Subscribe, "home/+/#", false, false},
		{"ann", "c", Subscribe, "home/#", false, false},
		{"ann", "c", Receive, "home/ann/lamp", true, true},
		{"ann", "c", Receive, "home/ann/lock/door", false, false},
		{"+", "c", Subscribe, "home/+/#", false, false},
		{"+", "c", Publish, "home/ann/lamp", false, false},
		{"#", "#", Subscribe, "home/#", false, false},
		{"ann/lamp", "c", Publish, "home/ann/lamp/x", false, false},
		{"%c", "ann", Publish, "home/ann/lamp", false, false},
		{"${clientid}", "ann", Publish, "home/ann/lamp", false, false},
		{"ann", "", Publish, "clients/", false, false},
	} {
		claims := fmt.Sprintf(`{"sub":%q,"exp":4000000000,"acl":%s}`, tt.user, acl)
		id, err := j.Verify(t.Context(), hs256(t, claims), &Login{ClientID: tt.client})
		if err != nil {
			t.Errorf("%s: %v", tt.user, err)
			continue
		}
		p := policy.Permit(id, tt.action, tt.topic)
		plain, retained := p.Allowed(), p.Allowed()
		if p.Depends() {
			plain, retained = p.Message(0, false, nil), p.Message(0, true, nil)
		}
		if plain != tt.plain || retained != tt.retained {
			t.Errorf("%s, %s: %s %s: got %v, retained %v", tt.user, tt.client, tt.action, tt.topic, plain, retained)
		}
	}
}
