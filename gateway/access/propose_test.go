package access

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

func TestPropose(t *testing.T) {
	p := policyOf(t, `[[role]]
name = "garden"
[[role.rule]]
deny = "publish"
topic = "garden/valve/secret"
[[role.rule]]
deny = "publish"
topic = "attic/#"
[[role.rule]]
allow = "all"
topic = "garden/#"
[[role.rule]]
allow = "subscribe"
topic = "weather/now"
`)
	id := &Identity{User: "ann", ClientID: "pump", Roles: []string{"garden"}, Topics: []string{"ann/#"}}
	l := newObservations(t, ObservationsOptions{})
	for i := range 10 {
		l.Saw(id, Publish, fmt.Sprintf("garden/valve/%d", i))
	}
	l.Saw(id, Publish, "ann/pump")
	l.Saw(id, Subscribe, "ann/pump")
	l.Saw(id, Subscribe, "weather/now")
	l.Saw(id, Receive, "weather/now")
	l.Saw(id, Receive, "odd/one")
	seen, _ := l.Of("ann", 7)
	got := p.Propose(id, "ann", &seen)
	var rules []string
	for _, r := range got.Role.Rules {
		rules = append(rules, r.String())
	}
	want := []string{"deny publish to garden/valve/secret", "allow publish and subscribe on %u/%c", "allow publish to garden/valve/+",
		"allow subscribe to weather/now", "allow receive odd/one"}
	if !slices.Equal(rules, want) {
		t.Errorf("%q\nwant %q", rules, want)
	}
	if len(got.Denied) > 0 {
		t.Errorf("denied: %+v", got.Denied)
	}
	if len(got.Beyond) != 2 || got.Beyond[0].Rule != "own topic" || !strings.Contains(got.Beyond[1].Rule, "rule 3") {
		t.Errorf("beyond: %+v", got.Beyond)
	}
}

func TestOver(t *testing.T) {
	p := policyOf(t, `[[role]]
name = "r"
[[role.rule]]
deny = "publish"
topic = "a/secret"
[[role.rule]]
deny = "receive"
topic = "a/kept"
[[role.rule]]
allow = "all"
topic = "a/#"
[[role.rule]]
allow = "publish"
topic = "small/#"
qos = [0]
[[role.rule]]
allow = "publish"
topic = "own/%c"
`)
	id := &Identity{User: "u", ClientID: "c", Roles: []string{"r"}}
	for _, tt := range []struct {
		action Action
		topic  string
		want   Answer
	}{
		{Publish, "a/b", Allowed}, {Publish, "a/+", Partly}, {Publish, "a/secret", Refusal}, {Publish, "#", Partly}, {Publish, "b", Refusal},
		{Subscribe, "a/b", Allowed}, {Subscribe, "a/#", Partly}, {Subscribe, "#", Refusal}, {Subscribe, "a/kept", Partly},
		{Receive, "a/b", Allowed}, {Receive, "a/kept", Refusal},
		{Publish, "small/x", Partly}, {Publish, "small/+", Partly},
		{Publish, "own/%c", Allowed}, {Publish, "own/c", Allowed}, {Publish, "own/%u", Refusal}, {Publish, "$SYS/x", Refusal},
	} {
		if got := p.Over(id, tt.action, tt.topic); got != tt.want {
			t.Errorf("%v %s: %s, want %s", tt.action, tt.topic, got, tt.want)
		}
	}
}

// FuzzPropose: whatever somebody was seen to do, the proposal allows it, and a role file can
// hold it.
func FuzzPropose(f *testing.F) {
	f.Add("ann", "shelly-1", "\x00a/b\x01a/#\x02a/c\x00x/shelly-1/y")
	f.Add("%u", "a%", "\x00%u/x%\x01+/%/#")
	f.Add("", "", "\x01$SYS/#\x01$share/a/b\x00/")
	f.Add("a", "aa", strings.Repeat("\x00a/b/c/aa", 20)+"\x00"+strings.Repeat("x/", 150))
	f.Fuzz(func(t *testing.T, user, client, acts string) {
		if len(acts) > 4000 {
			return
		}
		id := &Identity{User: user, ClientID: client, Roles: []string{"admin"}}
		everythingGoes, err := newPolicy(BuiltIn(""))
		if err != nil {
			t.Fatal(err)
		}
		l := unstored(ObservationsOptions{Now: time.Now})
		type act struct {
			a     Action
			topic string
		}
		var done []act
		for i := 0; i < len(acts); {
			a := Action(acts[i]%3 + 1)
			end := strings.IndexAny(acts[i+1:], "\x00\x01\x02")
			if end < 0 {
				end = len(acts) - i - 1
			}
			topic := acts[i+1 : i+1+end]
			i += 1 + end
			valid := mqtt.ValidTopicName(topic)
			if a == Subscribe {
				valid = mqtt.ValidFilter(topic)
			}
			if !valid || len(user) == 0 || len(user) > maxUserName || !everythingGoes.Permit(id, a, topic).Allowed() {
				continue
			}
			if _, ok := generalize(id, topic); !ok {
				if topic[0] != '$' && mqtt.ValidFilter(topic) && checkFilter(strings.ReplaceAll(topic, "%", "%%")) == nil {
					t.Fatalf("%q is left out", topic)
				}
				continue
			}
			l.Saw(id, a, topic)
			done = append(done, act{a, topic})
		}
		seen, ok := l.Of(user, 7)
		if !ok {
			return
		}
		proposal := everythingGoes.Propose(id, "proposed", &seen)
		if len(proposal.Denied) > 0 {
			t.Fatalf("denied %+v of %+v", proposal.Denied, seen)
		}
		p, err := newPolicy([]Role{proposal.Role})
		if err != nil {
			t.Fatal(err)
		}
		alone := &Identity{User: user, ClientID: client, Roles: []string{"proposed"}}
		for _, d := range done {
			if !p.Permit(alone, d.a, d.topic).Allowed() {
				t.Errorf("%v %q of %q, %q is not allowed by %+v", d.a, d.topic, user, client, proposal.Role.Rules)
			}
		}
	})
}
