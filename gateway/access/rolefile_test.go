package access

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lintel/persist"
)

const roleFileText = `# Who may do what at home.

# Sensors tell what they measure.
[[role]]
name = "sensors"

[[role.rule]]
# not the settings
deny = "publish"
topic = "sensors/%u/config"

[[role.rule]]
allow = "publish"
topic = ["sensors/%u/#", "odd \"name\"/\u0041"]
qos = [0, 1]
retain = false
payload = { max_size = 1000, json = true, where = '''payload.t in
[[1]][0]''' }

# Lamps.
[["role"]]
name = 'lamps'
[[role.rule]]
allow = "all"
topic = "lamps/#"
`

func TestEditRoles(t *testing.T) {
	const lamps = "[[role]]\nname = \"lamps\"\n\n[[role.rule]]\nallow = \"publish\"\ntopic = \"lamps/%u\"\n"
	for _, tt := range []struct {
		name, role string
		want       func(string) string
	}{
		{"lamps", lamps, func(s string) string { return s[:strings.Index(s, `[["role"]]`)] + lamps }},
		{"lamps", "", func(s string) string { return strings.TrimRight(s[:strings.Index(s, "# Lamps.")], "\n") + "\n" }},
		{"sensors", "", func(s string) string { return s[:strings.Index(s, "# Sensors")] + s[strings.Index(s, "# Lamps."):] }},
		{"new", strings.ReplaceAll(lamps, "lamps", "new"), func(s string) string { return s + "\n" + strings.ReplaceAll(lamps, "lamps", "new") }},
	} {
		got, err := editRoles(roleFileText, tt.name, tt.role)
		if err != nil || got != tt.want(roleFileText) {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, got, tt.want(roleFileText))
		}
	}
	if got, err := editRoles("", "lamps", lamps); err != nil || got != lamps {
		t.Errorf("of nothing: %v\n%s", err, got)
	}
	if _, err := editRoles(roleFileText, "nobody", ""); !errors.Is(err, ErrNoRole) {
		t.Errorf("a role that is not there: %v", err)
	}
	if text, ok := RoleText(roleFileText, "lamps"); !ok || !strings.HasPrefix(text, "# Lamps.\n") {
		t.Errorf("%q", text)
	}
}

// TestWriteRole: what is written is read as the same.
func TestWriteRole(t *testing.T) {
	roles, err := parseRoles("roles.toml", []byte(roleFileText))
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		text := WriteRole(role.Name, role.Specs())
		again, err := parseRoles("roles.toml", []byte(text))
		if err != nil || len(again) != 1 || WriteRole(again[0].Name, again[0].Specs()) != text {
			t.Errorf("%v\n%s", err, text)
		}
		if len(again) == 1 && len(again[0].Rules) != len(role.Rules) {
			t.Errorf("%d rules of %d", len(again[0].Rules), len(role.Rules))
		}
	}
	hostile := []RuleSpec{{Allow: []string{"publish\"\n[[role]]"}, Topic: []string{"a\x7f\x00\u2028\"\\"}}}
	if _, err := parseRoles("roles.toml", []byte(WriteRole("x", hostile))); err == nil || strings.Contains(err.Error(), "escape") {
		t.Errorf("%v", err)
	}
}

// FuzzEditRoles: a role that is written anew or taken out leaves the others as they are, or the
// file alone.
func FuzzEditRoles(f *testing.F) {
	f.Add(roleFileText, "lamps")
	f.Add("role = [{name = \"a\"}, {name = \"b\"}]", "a")
	f.Add("[[role]]\nname = \"a\"\n[[role]]\nname = \"b\" # [[role]]\n", "b")
	f.Add("x = '''\n[[role]]\nname = \"a\"\n'''", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		before, err := parseRoles("roles.toml", []byte(text))
		if err != nil || len(text) > 5000 || checkRoleName(name) != nil {
			return
		}
		c := &Control{o: ControlOptions{RoleFile: "roles.toml"}}
		for _, role := range []string{"", WriteRole(name, []RuleSpec{{Allow: []string{"all"}, Topic: []string{"new/#"}}})} {
			edited, err := c.EditRole(RoleFile{Path: "roles.toml", Text: text}, name, role)
			if err != nil {
				continue
			}
			after, err := parseRoles("roles.toml", []byte(edited))
			if err != nil {
				continue // told to who wants to write it
			}
			if others(before, name) != others(after, name) {
				t.Errorf("%q: %q becomes %q", name, text, edited)
			}
			if is := slices.ContainsFunc(after, func(r Role) bool { return r.Name == name }); is != (role != "") {
				t.Errorf("%q: %q becomes %q", name, text, edited)
			}
		}
	})
}

func TestWriteRoles(t *testing.T) {
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	users, err := NewUsers(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	audit, err := NewAudit(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "roles.toml")
	changes := 0
	o := ControlOptions{Store: store, Users: users, Lockout: NewLockout(), Audit: audit, RoleFile: path, Optional: true, Changed: func() { changes++ }}
	c, err := NewControl(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) error {
		t.Helper()
		file, err := c.RoleFile()
		if err != nil {
			t.Fatal(err)
		}
		return c.WriteRoles(t.Context(), file.Version, text)
	}
	role := func(name string) string {
		return WriteRole(name, []RuleSpec{{Allow: []string{"all"}, Topic: []string{name + "/#"}}})
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		if err := write(role(name)); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(c.Policy().Roles(), name) {
			t.Fatalf("%s is not in force", name)
		}
	}
	if err := write(role("l")); err != nil || changes != 13 { // the same, which is told too
		t.Errorf("%v, %d changes", err, changes)
	}
	bad, isBad := errors.AsType[*RoleFileError](write("[[role]]\nname = \"x\"\n[[role.rule]]\nallow = \"fly\"\ntopic = \"a\"\n"))
	if !isBad || len(bad.Mistakes) != 1 || bad.Mistakes[0].Line != 4 || !slices.Contains(c.Policy().Roles(), "l") {
		t.Errorf("%v", bad)
	}
	if err := c.WriteRoles(t.Context(), "other", ""); !errors.Is(err, ErrRoleFileOther) {
		t.Errorf("a file that somebody else has changed: %v", err)
	}
	versions := c.RoleVersions()
	if len(versions) != keptRoleFiles || !slices.Equal(versions[0].Roles, []string{"k"}) || !slices.Equal(versions[8].Roles, []string{"c"}) {
		t.Errorf("%+v", versions)
	}
	text, err := c.RoleVersion(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(text); err != nil || !slices.Contains(c.Policy().Roles(), "j") {
		t.Errorf("back: %v", err)
	}
	if text, _ := c.RoleVersion(1); text != role("l") {
		t.Errorf("what was undone is not kept: %s", text)
	}
	if _, err := c.RoleVersion(99); !errors.Is(err, ErrRoleVersion) {
		t.Error(err)
	}
	if c, err = NewControl(t.Context(), o); err != nil || !slices.Contains(c.Policy().Roles(), "j") {
		t.Errorf("after a restart: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	_, err = c.ParseRole("x", "# a comment\n[[role]]\nname = \"x\"\n[[role.rule]]\nallow = \"all\"\ntopic = \"a\"\n[[role.rule]]\nallow = \"all\"\ntopic = \"a/#/b\"\n")
	if bad, ok := errors.AsType[*RoleFileError](err); !ok || bad.Mistakes[0].Rule != 2 || bad.Mistakes[0].Line != 9 {
		t.Errorf("%+v", err)
	}
	if _, err = c.ParseRole("x", role("y")); err == nil {
		t.Error("a role got another name")
	}
}

// TestReload: a mistake in the role file changes nothing, and the error has its line.
func TestReload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "roles.toml")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	role := func(topic string) string {
		return "[[role]]\nname = \"r\"\n[[role.rule]]\nallow = \"publish\"\ntopic = \"" + topic + "\"\n"
	}
	write(role("a"))
	d := newDoorway(t, ControlOptions{RoleFile: name, Needed: []string{"r", "viewer"}})
	may := func(c *Control, topic string) bool {
		return c.Policy().Permit(&Identity{User: "u", Roles: []string{"r"}}, Publish, topic).Allowed()
	}
	if !may(d.Control, "a") || may(d.Control, "b") {
		t.Fatal("the role file is not in force")
	}
	write(role("b"))
	if err := d.Reload(t.Context()); err != nil || may(d.Control, "a") || !may(d.Control, "b") || d.changed.Load() != 1 {
		t.Errorf("a new file: %v, changed %d times", err, d.changed.Load())
	}
	for text, want := range map[string]string{
		role("c") + "x = 1\n": name + ":6: ",
		role("c/#/d"):         name + ":5: ",
		"[[role]":             name + ":1: ",
		"":                    `no role "r"`,
	} {
		write(text)
		err := d.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
		if d.Problem() == nil || !may(d.Control, "b") || may(d.Control, "c") || d.changed.Load() != 1 {
			t.Errorf("%q: problem %v, changed %d times", text, d.Problem(), d.changed.Load())
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(t.Context()); !errors.Is(err, os.ErrNotExist) || !may(d.Control, "b") {
		t.Errorf("without the file: %v", err)
	}

	// The mistake is still there at the next start, and the house comes up.
	write("[[role]")
	o := d.o
	again, err := NewControl(t.Context(), o)
	if err != nil || !may(again, "b") || again.Problem() == nil || !strings.Contains(again.Problem().Error(), name+":1: ") {
		t.Fatalf("a start with a mistake: %v", err)
	}
	write(role("c"))
	if err := again.Reload(t.Context()); err != nil || !may(again, "c") || again.Problem() != nil {
		t.Errorf("mended: %v, %v", err, again.Problem())
	}

	// Without a copy there is nothing to go on with.
	write("[[role]")
	o.Store = openUserStore(t, t.TempDir())
	if _, err := NewControl(t.Context(), o); err == nil || !strings.Contains(err.Error(), name+":1: ") {
		t.Errorf("the first start with a mistake: %v", err)
	}
	o.RoleFile, o.Needed = "", []string{"r"}
	if _, err := NewControl(t.Context(), o); err == nil || !strings.Contains(err.Error(), `no role "r"`) {
		t.Errorf("without a file: %v", err)
	}
}
