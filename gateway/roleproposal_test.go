package gateway

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// TestLeastRulesByObservation is the way to least privilege: a client works with rights that are
// too wide, rules are proposed of what it did, somebody saves them and gives them to its user.
// It goes on as before, and what it never did is denied, told and explained.
func TestLeastRulesByObservation(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	e, stop := startWith(t, closedConfig(), data, false)
	o := claim(t, e)
	const password = "the shed has a password"
	o.call("POST", "/api/users", map[string]any{"name": "shed", "password": password, "roles": []string{"homeassistant"}, "topics": []string{"garden/#"}}, nil)
	shed := connect(t, e, "pump-1", "shed", password)
	done := func(token paho.Token) {
		t.Helper()
		if !token.WaitTimeout(20*time.Second) || token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	heard := make(chan paho.Message, 100)
	hear := func(_ paho.Client, m paho.Message) { heard <- m }
	work := func() {
		t.Helper()
		done(shed.Subscribe("garden/pump-1/set", 1, hear))
		done(shed.Publish("garden/pump-1/set", 1, false, "on")) // it hears itself
		for _, valve := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
			done(shed.Publish("garden/valves/"+valve, 1, false, "x"))
		}
		done(shed.Publish("homeassistant/switch/pump-1_relay/config", 1, true, "{}"))
		await(t, heard, "what it is told", func(m paho.Message) bool { return m.Topic() == "garden/pump-1/set" })
	}
	work()

	var proposal struct {
		Role, Text string
		Rules      []map[string]any
		Denied     []any
		Beyond     []struct{ Rule, Says string }
	}
	o.call("POST", "/api/access/propose", map[string]any{"user": "shed"}, &proposal)
	for _, want := range []string{`allow = ["publish", "subscribe"]`, `"garden/%c/set"`, `"garden/valves/+"`, `"homeassistant/switch/%c_relay/config"`} {
		if !strings.Contains(proposal.Text, want) {
			t.Errorf("the proposal lacks %s:\n%s", want, proposal.Text)
		}
	}
	if len(proposal.Denied) > 0 || len(proposal.Beyond) != 2 || len(proposal.Rules) != 2 {
		t.Errorf("%+v", proposal)
	}

	o.call("PUT", "/api/roles/shed", map[string]any{"rules": proposal.Rules}, nil)
	o.call("PATCH", "/api/users/shed", map[string]any{"roles": []string{"shed"}, "topics": []string{}}, nil)
	work()
	select {
	case err := <-shed.lost:
		t.Errorf("thrown out: %v", err)
	default:
	}

	done(shed.Publish("garden/secret", 1, false, "x")) // MQTT 3.1.1 has no word for a refusal
	var told struct {
		Denials []struct{ Action, Topic, Client string }
	}
	o.get("/api/denials?user=shed", &told)
	if len(told.Denials) != 1 || told.Denials[0].Topic != "garden/secret" || told.Denials[0].Client != "pump-1" {
		t.Errorf("refused: %+v", told)
	}
	var verdict struct {
		Allow bool
		Why   string
		Way   []struct{ Rule, Match string }
	}
	o.get("/api/explain?user=shed&client=pump-1&action=publish&topic=garden/secret", &verdict)
	if verdict.Allow || verdict.Why != "no rule matches" || len(verdict.Way) != 2 || verdict.Way[1].Match != "other topic" {
		t.Errorf("explained: %+v", verdict)
	}

	// Who would be affected is told before it is saved.
	var preview struct {
		Effects []struct{ User, Client, Action, Topic, Before, After string }
	}
	o.call("POST", "/api/roles/preview", map[string]any{"name": "shed", "rules": []any{
		map[string]any{"allow": []string{"publish"}, "topic": []string{"garden/valves/+", "garden/secret"}}}}, &preview)
	effects := make(map[string]string)
	for _, f := range preview.Effects {
		effects[f.Client+" "+f.Action+" "+f.Topic] = f.Before + " → " + f.After
	}
	for what, change := range map[string]string{
		"pump-1 subscribe garden/pump-1/set": "allowed → denied", "pump-1 publish garden/%c/set": "allowed → denied", "pump-1 publish garden/secret": "denied → allowed",
	} {
		if effects[what] != change {
			t.Errorf("%s: %q, want %s; all: %q", what, effects[what], change, effects)
		}
	}
	if len(effects) != 4 { // and the discovery document
		t.Errorf("effects: %q", effects)
	}

	// What is wrong is told with its line, and changes nothing.
	status, text := o.try("PUT", "/api/roles/shed", map[string]any{"text": "[[role]]\nname = \"shed\"\n[[role.rule]]\nallow = \"all\"\ntopic = \"a#\"\n"})
	if status != 422 || !strings.Contains(string(text), "role shed:5: ") {
		t.Errorf("%d %s", status, text)
	}
	if status, text := o.try("DELETE", "/api/roles/shed", nil); status != 409 {
		t.Errorf("deleted from under shed: %d %s", status, text)
	}

	// Roles are in a file and outlive a restart; an earlier file comes back by one call.
	o.call("PUT", "/api/roles/shed", map[string]any{"rules": []any{map[string]any{"allow": []string{"publish"}, "topic": []string{"other"}}}}, nil)
	if err := os.Remove(filepath.Join(data, "roles.toml.new")); err == nil {
		t.Error("a file was left")
	}
	stop()
	e, stop = startWith(t, closedConfig(), data, false)
	defer stop()
	again := visit(t, e)
	again.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	var seen struct {
		Topics  []struct{ Action, Topic string }
		Clients []struct{ ID string }
	}
	again.get("/api/access/observed?user=shed", &seen)
	if len(seen.Topics) < 4 || len(seen.Clients) != 1 {
		t.Errorf("what was observed before the restart: %+v", seen)
	}
	var file struct {
		Roles []struct {
			Name  string
			Rules []any
		}
	}
	again.call("POST", "/api/roles/restore", map[string]any{"number": 1}, &file)
	if !slices.ContainsFunc(file.Roles, func(r struct {
		Name  string
		Rules []any
	}) bool {
		return r.Name == "shed" && len(r.Rules) == 2
	}) {
		t.Errorf("%+v", file)
	}
	var audit struct {
		Events []struct{ Kind, Detail string }
	}
	again.get("/api/audit", &audit)
	for _, want := range []string{"by admin: role shed", "by admin: back to an earlier role file"} {
		if !slices.ContainsFunc(audit.Events, func(e struct{ Kind, Detail string }) bool { return e.Kind == "rules changed" && e.Detail == want }) {
			t.Errorf("the audit log lacks %q: %+v", want, audit)
		}
	}
}
