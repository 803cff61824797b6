package access

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lintel/gateway/mqtt"
)

func expression(t testing.TB, text string) *Expression {
	t.Helper()
	e, err := newExpression(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// schema makes a schema of its text.
func schema(t testing.TB, text string) (*Schema, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return readSchema(root, "s.json")
}

func mustSchema(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := schema(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConditions asks each condition in a rule that allows and in one that denies. What
// cannot be found out is no for both.
func TestConditions(t *testing.T) {
	kept, live := true, false
	object := `{"type": "object", "required": ["t"], "properties": {"t": {"type": "number", "maximum": 85, "multipleOf": 0.1}}}`
	temperature := mustSchema(t, object)
	where := func(text string) Rule { return Rule{Content: &Content{Where: expression(t, text)}} }
	big := `{"t": 1, "x": "` + strings.Repeat("x", maxContent) + `"}`
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	long := strings.Repeat("x", maxName+1)
	for _, c := range []struct {
		rule    Rule
		message mqtt.Message
		want    truth
	}{
		{Rule{QoS: []mqtt.QoS{0, 1}}, mqtt.Message{QoS: 1}, yes},
		{Rule{QoS: []mqtt.QoS{0, 1}}, mqtt.Message{QoS: 2}, no},
		{Rule{Retain: &kept}, mqtt.Message{Retain: true}, yes},
		{Rule{Retain: &kept}, mqtt.Message{}, no},
		{Rule{Retain: &live}, mqtt.Message{}, yes},
		{Rule{Content: &Content{JSON: true}}, mqtt.Message{Payload: []byte(`{"a": [1, null]}`)}, yes},
		{Rule{Content: &Content{JSON: true}}, mqtt.Message{Payload: []byte(big)}, yes},
		{Rule{Content: &Content{JSON: true}}, mqtt.Message{Payload: []byte(`{"a": 1} x`)}, no},
		{Rule{Content: &Content{JSON: true}}, mqtt.Message{Payload: nil}, no},
		{Rule{Content: &Content{JSON: true}}, mqtt.Message{Payload: []byte("\"\xff\"")}, no},
		{Rule{Content: &Content{JSON: true}}, mqtt.Message{Payload: []byte(strings.Repeat("[", 100_000))}, no},

		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": 21.3}`)}, yes},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": 86}`)}, no},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": "x"}`)}, no},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`ON`)}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: nil}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(big)}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(deep)}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": 1, "t": 100}`)}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": 1, "\u0074": 100}`)}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": 1e999999999}`)}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": 1} {"t": 2}`)}, unknown},
		{Rule{Content: &Content{Schema: temperature}}, mqtt.Message{Payload: []byte(`{"t": 1,}`)}, unknown},
		{Rule{Content: &Content{Schema: mustSchema(t, "true")}}, mqtt.Message{Payload: []byte(deep[1 : len(deep)-1])}, yes},

		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`{"t": 21}`)}, yes},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`{"t": 99}`)}, no},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`{"x": 99}`)}, unknown},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`{"t": "99"}`)}, unknown},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`99`)}, unknown},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`null`)}, unknown},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`hot`)}, unknown},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(big)}, unknown},
		{where(`payload.t < 85`), mqtt.Message{Payload: []byte(`{"t": 99, "t": 1}`)}, unknown},
		{where(`payload.on`), mqtt.Message{Payload: []byte(`{"on": true}`)}, yes},
		{where(`payload.on`), mqtt.Message{Payload: []byte(`{"on": 1}`)}, unknown},
		{where(`payload.on`), mqtt.Message{Payload: []byte(`{}`)}, unknown},
		{where(`payload.id == 5`), mqtt.Message{Payload: []byte(`{"id": 5}`)}, yes},
		{where(`(payload?.a?.b ?? 0) == 0`), mqtt.Message{Payload: []byte(`{}`)}, yes},
		{where(`payload == 5`), mqtt.Message{Payload: []byte(`5`)}, yes},
		{where(`text in ["ON", "OFF"]`), mqtt.Message{Payload: []byte(`ON`)}, yes},
		{where(`text in ["ON", "OFF"]`), mqtt.Message{Payload: []byte(`on`)}, no},
		{where(`text matches "^[0-9]+$"`), mqtt.Message{Payload: []byte(`12`)}, yes},
		{where(`text == ""`), mqtt.Message{}, yes},
		{where(`text != "x"`), mqtt.Message{Payload: []byte(big)}, unknown},
		{where(`user == "u" && client == "c" && topic startsWith "a/" && qos < 2 && !retain`), mqtt.Message{}, yes},
		{where(`payload.user == user`), mqtt.Message{Payload: []byte(`{"user": "u"}`)}, yes},
		{where(`all(payload.list, # < 5)`), mqtt.Message{Payload: []byte(`{"list": [1, 2]}`)}, yes},
		{where(`any(payload.list, .v == user)`), mqtt.Message{Payload: []byte(`{"list": [{"v": "u"}]}`)}, yes},
		{where(`count(payload.list, # > 1) == 1 && len(keys(payload)) == 1`), mqtt.Message{Payload: []byte(`{"list": [1, 2]}`)}, yes},
		{where(`all(payload.list, # < 5)`), mqtt.Message{Payload: []byte(`{"list": 3}`)}, unknown},
		{where(`payload[5] == 1`), mqtt.Message{Payload: []byte(`[1]`)}, unknown},
		{where(`1 % int(text) == 0`), mqtt.Message{Payload: []byte(`0`)}, unknown}, // division by zero
		{where(`topic == "x"`), mqtt.Message{Topic: long}, unknown},

		{Rule{QoS: []mqtt.QoS{0}, Content: &Content{JSON: true, Schema: temperature}}, mqtt.Message{QoS: 1, Payload: []byte("x")}, no},
	} {
		if c.message.Topic == "" {
			c.message.Topic = "a/b"
		}
		for _, deny := range []bool{false, true} {
			rule, m := c.rule, c.message
			rule.Deny, rule.Actions, rule.Topics = deny, []Action{Publish, Receive}, []string{"#"}
			rest := Rule{Deny: !deny, Actions: rule.Actions, Topics: rule.Topics}
			p, err := newPolicy([]Role{{"test", []Rule{rule, rest}}})
			if err != nil {
				t.Fatal(err)
			}
			id := &Identity{User: "u", ClientID: "c", Roles: []string{"test"}}
			permit := p.Permit(id, Receive, m.Topic)
			if !permit.Depends() || permit.Allowed() || permit.Denied() {
				t.Errorf("%v: does not depend on the message", &rule)
			}
			want := c.want == yes
			if deny {
				want = c.want == no
			}
			if got := permit.Message(m.QoS, m.Retain, m.Payload); got != want {
				t.Errorf("%v: %.100s: %v, want %v", &rule, m.Payload, got, want)
			}
			if v := p.Explain(id, Receive, m.Topic, &m); v.Allow != want || v.Depends {
				t.Errorf("%v: %.100s explained as %+v", &rule, m.Payload, v)
			}
			if v := p.Explain(id, Receive, m.Topic, nil); v.Allow || !v.Depends {
				t.Errorf("%v: explained without a message as %+v", &rule, v)
			}
		}
	}
}

func TestMaxSize(t *testing.T) {
	size := Rule{Actions: []Action{Publish}, Topics: []string{"#"}, Content: &Content{MaxSize: 3}}
	p, err := newPolicy([]Role{{"small", []Rule{size}}})
	if err != nil {
		t.Fatal(err)
	}
	permit := p.Permit(&Identity{Roles: []string{"small"}}, Publish, "a")
	if !permit.Message(0, false, []byte("abc")) || permit.Message(0, false, []byte("abcd")) || !permit.Message(0, false, nil) {
		t.Error("max_size = 3")
	}
}

// TestDepends: a rule that depends on the message does not make the answer depend on it
// if what follows says the same.
func TestDepends(t *testing.T) {
	small := &Content{MaxSize: 5}
	some := func(deny bool) Rule {
		r := Rule{Deny: deny, Actions: []Action{Publish}, Topics: []string{"a"}, QoS: []mqtt.QoS{0}}
		if !deny {
			r.Content = small
		}
		return r
	}
	always := func(deny bool) Rule { return Rule{Deny: deny, Actions: []Action{Publish}, Topics: []string{"a"}} }
	for _, c := range []struct {
		rules []Rule
		want  answer
	}{
		{[]Rule{some(false), always(false)}, allowed},
		{[]Rule{some(true), always(false)}, depends},
		{[]Rule{some(true)}, denied},
		{[]Rule{some(false)}, depends},
		{[]Rule{always(false), some(true)}, allowed},
		{[]Rule{always(true), some(false)}, denied},
		{[]Rule{some(true), some(false), always(false)}, depends},
		{[]Rule{some(false), some(true)}, depends},
	} {
		p, err := newPolicy([]Role{{"test", c.rules}})
		if err != nil {
			t.Fatal(err)
		}
		id := &Identity{Roles: []string{"test"}}
		if got := p.Permit(id, Publish, "a"); got.answer != c.want {
			t.Errorf("%v: %v, want %v", c.rules, got.answer, c.want)
		}
		if v := p.Explain(id, Publish, "a", nil); v.Allow != (c.want == allowed) || v.Depends != (c.want == depends) {
			t.Errorf("%v: explained as %+v", c.rules, v)
		}
	}
}

func TestExpressionsRefused(t *testing.T) {
	for text, reason := range map[string]string{
		"":                                         "unexpected token",
		"payload.":                                 "unexpected end",
		"payload >":                                "unexpected token",
		"nobody == 1":                              "unknown name nobody",
		"topic > 5":                                "mismatched types",
		"qos":                                      "expected bool",
		"1..1000000000 == nil":                     "no operator ..",
		"any(payload, any(payload, true))":         "not payload",
		"any(payload, any(#, true))":               "no loop in a loop",
		"all(payload, # in payload.x)":             "not payload",
		"all(payload, text contains #)":            "not text",
		"repeat(text, 1000000) == text":            "no function repeat",
		"let a = text; a == text":                  "one condition",
		"text == text; true":                       "one condition",
		"text matches text":                        "written out",
		"text matches topic + topic":               "written out",
		`text matches "("`:                         "missing closing",
		`text matches "[a-z]{500}[a-z]{9}"`:        "too large",
		"2 ** 1000 > 1":                            "no operator **",
		"payload.f()":                              "no function",
		"now() > now()":                            "no function now",
		"fromJSON(text).a == 1":                    "no function fromJSON",
		"map(payload, [#, #]) == nil":              "no function map",
		"reduce(payload, # + 1) == 1":              "no function reduce",
		"sum(payload) == 1":                        "no function sum",
		"$env.payload == 1":                        "no $env",
		"{a: 1}.a == 1":                            "one condition",
		"sort(payload) == 1":                       "no function sort",
		"date(text) > date(text)":                  "no function date",
		strings.Repeat("(", 500):                   "at column",
		strings.Repeat("!", 999) + "retain":        "",
		strings.Repeat("x", 1001):                  "1000 bytes",
		"retain" + strings.Repeat("||retain", 110): "at most 200",
	} {
		e, err := newExpression(text)
		if err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %v, %v; want %q", text, e, err, reason)
		}
	}
}

func TestSchemasRefused(t *testing.T) {
	defs := make(map[string]any)
	for i := range 12 {
		ref := map[string]any{"$ref": "#/$defs/d" + string(rune('a'+i+1))}
		defs["d"+string(rune('a'+i))] = map[string]any{"allOf": []any{ref, ref}}
	}
	defs["dm"] = true
	doubling, err := json.Marshal(map[string]any{"$ref": "#/$defs/da", "$defs": defs})
	if err != nil {
		t.Fatal(err)
	}
	for text, reason := range map[string]string{
		`{`:                                               "no JSON",
		`{"type": "nothing"}`:                             "type",
		`{"$ref": "http://127.0.0.1/s.json"}`:             "folder of the role file",
		`{"$ref": "file:///etc/passwd"}`:                  "not a file in the folder",
		`{"$ref": "../s.json"}`:                           "circle", // there is nothing above the folder
		`{"$ref": "a/s.json"}`:                            "not a file in the folder",
		`{"$ref": "%2e%2e%2fpasswd"}`:                     "not a file in the folder",
		`{"$ref": "gone.json"}`:                           "gone.json",
		`{"$ref": "#"}`:                                   "circle",
		`{"$dynamicRef": "#a", "$dynamicAnchor": "a"}`:    "$dynamicRef",
		`{"pattern": "("}`:                                "(",
		`{"pattern": "x{300}"}`:                           "too large",
		string(doubling):                                  "more than 1000 times",
		`{"x": "` + strings.Repeat("x", maxSchema) + `"}`: "larger than 64 KiB",
	} {
		if _, err := schema(t, text); err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60s: %v, want %q", text, err, reason)
		}
	}
}

// TestSchemaTime: a schema that looks at a value twice for each level above it takes
// what is flat, and finds out nothing about what is deep.
func TestSchemaTime(t *testing.T) {
	s := mustSchema(t, `{"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}`)
	nested := func(n int) []byte {
		return []byte(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n))
	}
	if got := s.holds(&examined{payload: nested(3)}); got != yes {
		t.Errorf("3 levels: %v", got)
	}
	for _, n := range []int{12, 20, maxDepth} {
		if got := s.holds(&examined{payload: nested(n)}); got != unknown {
			t.Errorf("%d levels: %v", n, got)
		}
	}
	list := mustSchema(t, `{"items": {"type": "integer"}, "uniqueItems": true}`)
	if got := list.holds(&examined{payload: []byte("[0" + strings.Repeat(",0", 5000) + "]")}); got != no {
		t.Errorf("a list: %v", got)
	}
	if s.visits[0] != 1 || s.visits[1] != 5 || list.visits[1] != 1 {
		t.Errorf("visits %v and %v", s.visits, list.visits)
	}
}

func TestSchemaOfFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.json":   `{"properties": {"v": {"$ref": "b c.json#/$defs/v"}}}`,
		"b c.json": `{"$defs": {"v": {"type": "number"}}}`,
		"id.json":  `{"$id": "https://example.com/id.json", "$ref": "b%20c.json"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "outside.json"), []byte("true"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../outside.json", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := readSchema(root, "a.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.holds(&examined{payload: []byte(`{"v": 1}`)}) != yes || s.holds(&examined{payload: []byte(`{"v": "1"}`)}) != no {
		t.Error("the schema of the other file does not count")
	}
	for _, name := range []string{"id.json", "link.json", "../outside.json", "", ".", "..", "a.json/x", dir + "/a.json"} {
		if _, err := readSchema(root, name); err == nil {
			t.Errorf("%q: read", name)
		}
	}
}

// FuzzContent holds decode against encoding/json, and that no payload hurts.
func FuzzContent(f *testing.F) {
	for _, s := range []string{`{"a": [1, {"b": null}], "c": "x"}`, `{"a":1,"a":2}`, `[`, `1 2`, `{"t": 1e400}`, "\"\xff\"", `{"list": [1]}`} {
		f.Add([]byte(s))
	}
	e := []*Expression{
		expression(f, `all(payload.list, # < 5) || payload.t < 85`),
		expression(f, `len(payload) + payload[0] / 2 > 1 || text matches "^a+$"`),
		expression(f, `(payload.a.b ?? payload.c) in ["x"] and lower(payload.d) contains upper(text) or max(payload) > 2`),
	}
	s := mustSchema(f, `{"properties": {"a": {"$ref": "#"}}, "items": {"multipleOf": 0.1}, "uniqueItems": true, "maxLength": 5}`)
	f.Fuzz(func(t *testing.T, payload []byte) {
		var c content
		var want any
		if c.decode(payload) == nil {
			if err := json.Unmarshal(payload, &want); err != nil || !reflect.DeepEqual(c.value, want) {
				t.Errorf("%v, want %v, %v", c.value, want, err)
			}
		}
		m := examined{id: new(Identity), topic: "a", payload: payload}
		s.holds(&m)
		for _, e := range e {
			e.holds(&m)
		}
	})
}
