package access

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lintel/gateway/mqtt"
)

const houseRoles = `# who may do what in the house
[[role]]
name = "sensors"

[[role.rule]]
deny = "publish"
topic = "sensors/%u/config"
retain = true

[[role.rule]]
allow = ["publish", "subscribe"]
topic = [
  "sensors/%u/#", # its own
  "time",
]

[[role.rule]]
allow = "publish"
topic = "alarm"
qos = [1, 2]
[role.rule.payload]
max_size = 100
json = true
schema = "alarm.json"
where = '''
payload.level > 2'''

[[role]]
name = "guest"
rule = [
  {allow = "all", topic = "guest/#"},
  {deny = "receive", topic = "house/secret/#"},
  {allow = "subscribe", topic = "house/#"},
]

[[role]]
name = "nothing"
`

// roleFolder returns the path of a role file in a folder with files.
func roleFolder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "roles.toml")
}

// policyOf compiles a role file.
func policyOf(t testing.TB, text string) *Policy {
	t.Helper()
	roles, err := parseRoles("roles.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPolicy(roles)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func housePolicy(t testing.TB) *Policy {
	t.Helper()
	name := roleFolder(t, map[string]string{"alarm.json": `{"required": ["level"]}`})
	roles, err := parseRoles(name, []byte(houseRoles))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPolicy(append(roles, BuiltIn("homeassistant")...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseRoles(t *testing.T) {
	name := roleFolder(t, map[string]string{"alarm.json": "true"})
	roles, err := parseRoles(name, []byte(houseRoles))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range roles {
		got = append(got, r.Name)
		for _, rule := range r.Rules {
			got = append(got, fmt.Sprintf("%s %s", rule.Place, &rule))
		}
	}
	want := `sensors
roles.toml:5 deny publish to sensors/%u/config, if it is retained
roles.toml:10 allow publish and subscribe on sensors/%u/#, time
roles.toml:17 allow publish to alarm, if QoS is 1 or 2 and it has at most 100 bytes and it is JSON and it fits the schema alarm.json and payload.level > 2
guest
roles.toml:31 allow everything on guest/#
roles.toml:32 deny receive house/secret/#
roles.toml:33 allow subscribe to house/#
nothing`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got:\n%s\nwant:\n%s", s, want)
	}
	if roles, err := parseRoles(name, nil); err != nil || roles != nil {
		t.Errorf("an empty file: %v, %v", roles, err)
	}
}

// TestParseRolesMistakes: all mistakes at once, each with its line.
func TestParseRolesMistakes(t *testing.T) {
	name := roleFolder(t, map[string]string{"bad.json": `{"type": 5}`, "far.json": `{"$ref": "https://127.0.0.1/x"}`})
	for _, c := range []struct{ text, want string }{
		{"[[role]\nname = 1", "2: expected end of table"},
		{"roles = 1\n[[role]]\nname = \"a\"", `1: unknown key "roles"; right is role`},
		{"role = 5", "1: role: right is [[role]], once for each role"},
		{"[role]\nname = \"a\"", "1: role: right is [[role]], once for each role"},
		{"\n[[role]]\nrule = []\n", `2: the role has no name; right is name = "sensors"`},
		{"[[role]]\nname = 5", `2: the name is not a text; right is name = "sensors"`},
		{"[[role]]\nname = \"a b\"", `2: "a b" is no name for a role; right are up to 64 letters, digits, dots, - and _`},
		{"[[role]]\nname = \"admin\"", `2: the role "admin" is built in; choose another name`},
		{"[[role]]\nname = \"a\"\n[[role]]\nname = \"a\"", `4: there is a role "a" in line 2 already`},
		{"[[role]]\nname = \"a\"\nrule = 5", `3: rule: right is [[role.rule]], once for each rule`},
		{"[[role]]\nname = \"a\"\n[[role.rule]]\n", "3: the rule has neither allow nor deny; right is allow = \"publish\"\n" +
			"3: the rule has no topic; right is topic = \"sensors/#\""},
		{`[[role]]
name = "a"
[[role.rule]]
allow = "publish"
deny = "publish"
topic = "a/#/b"
[[role.rule]]
allow = ["publish", "write"]
topic = [
  "a",
  "$share/g/a",
  '''
x''', "b/%x",
]
qos = 1
retain = "yes"
payload = {max_size = 0, json = false, size = 1, schema = "bad.json",
  where = "payload >"}
[[role.rule]]
allow = "read"
topics = "a"
[[role.rule]]
deny = ["publish", "all", "publish"]
topic = []
qos = [3]
payload = {}
`, `5: a rule has allow or deny, not both
6: topic "a/#/b": a + or # must be a whole level, and # the last one
8: "write" is not what a rule is about; right is "publish", "subscribe", "receive", a list of them, or "all"
11: topic "$share/g/a": rules are about the filter behind $share/NAME/; leave that out
13: topic "b/%x": a % stands only in %u (user), %c (client id), %i (certificate) and %% (a percent sign)
15: qos: right is a list of 0, 1 and 2, such as qos = [0, 1]
16: retain: right is retain = true or false
17: unknown key "size"; right is max_size, json, schema or where
17: max_size: right is a number of bytes of 1 or more
17: json: right is json = true, or nothing
17: schema: this is no JSON schema: at '/type': got number, want array
18: where: unexpected token EOF at column 9
19: the rule has no topic; right is topic = "sensors/#"
20: "read" is not what a rule is about; right is "publish", "subscribe", "receive", a list of them, or "all"
21: unknown key "topics"; right is allow, deny, topic, qos, retain or payload
23: "all" is not what a rule is about; right is "publish", "subscribe", "receive", a list of them, or "all"
23: publish is there twice
24: the topic is not a text or a list of texts; right is topic = "sensors/#"
25: qos: right is a list of 0, 1 and 2, such as qos = [0, 1]
26: payload: right is a table, such as payload = {max_size = 1000, json = true}`},
		{"[[role]]\nname=\"a\"\n[[role.rule]]\nallow = \"subscribe\"\ntopic = \"a\"\nqos = [0]",
			"3: a subscription has no message: qos, retain and payload go with publish and receive"},
		{"[[role]]\nname=\"a\"\n[[role.rule]]\ndeny = \"publish\"\ntopic = \"a\"\npayload.max_size = 5",
			"3: max_size would deny what is small; allow with max_size, and deny after it"},
		{"[[role]]\nname=\"a\"\n[[role.rule]]\nallow = \"publish\"\ntopic = \"a\"\n[role.rule.payload]\nschema = \"../x\"\nwhere = \"\"\"\na\n  b\"\"\"",
			"7: schema: \"../x\" is not the name of a file in the folder of the role file\n8: where: unexpected token Identifier(\"b\") at column 3"},
		{"[[role]]\nname=\"a\"\n[[role.rule]]\nallow = \"publish\"\ntopic = \"a\"\npayload.schema = \"far.json\"\n",
			"6: schema: schemas are read from the folder of the role file alone, not from https://127.0.0.1/x"},
		{"[[role]]\nname=\"a\"\n[[role.rule]]\nallow = \"publish\"\ntopic = \"a\"\npayload.schema = \"gone.json\"\n",
			"6: schema: gone.json: no such file or directory"},
		{"[[role]]\nname=\"a\"\n" + strings.Repeat("[[role.rule]]\n", maxRules+1), "3: the rule has neither"},
		{strings.Repeat("[[role]]\n", maxRoles+1), fmt.Sprintf("%d: there are more than 100 roles", maxRoles+1)},
		{strings.Repeat("#", maxRoleFile+1), " larger than 64 KiB"},
	} {
		roles, err := parseRoles(name, []byte(c.text))
		if err == nil || roles != nil {
			t.Errorf("%.300s: %v, %v", c.text, roles, err)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), name+":", ""); !strings.HasPrefix(got, c.want) {
			t.Errorf("%.300s\ngot:\n%s\nwant:\n%s", c.text, got, c.want)
		}
	}
	_, err := parseRoles(name, []byte(strings.Repeat("[[role]]\n", 50)))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != maxMistakes+1 || !strings.HasSuffix(lines[maxMistakes], "and 30 more") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// FuzzRoles: no text hurts, and what is taken makes a policy, whose rules say that they are
// where they are.
func FuzzRoles(f *testing.F) {
	f.Add(houseRoles)
	f.Add("[[role]]\nname=\"a\"\nrule=[{allow=\"all\",topic=\"%u\"}]")
	name := roleFolder(f, map[string]string{"alarm.json": "true"})
	f.Fuzz(func(t *testing.T, text string) {
		roles, err := parseRoles(name, []byte(text))
		if err != nil {
			return
		}
		p, err := newPolicy(roles)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(text, "\n") + 1
		for _, r := range roles {
			for i := range r.Rules {
				var line int
				if _, err := fmt.Sscanf(r.Rules[i].Place, "roles.toml:%d", &line); err != nil || line < 1 || line > lines {
					t.Errorf("rule at %s of %d lines", r.Rules[i].Place, lines)
				}
			}
			id := &Identity{User: "u", ClientID: "c", Roles: []string{r.Name}}
			for _, topic := range []string{"a", "u/x", "#", "$SYS/#"} {
				for _, a := range everything {
					if v := p.Explain(id, a, topic, &mqtt.Message{Payload: []byte("{}")}); v.Allow != p.Permit(id, a, topic).Message(0, false, []byte("{}")) {
						t.Errorf("%s %s: explained as %+v", a, topic, v)
					}
				}
			}
		}
	})
}
