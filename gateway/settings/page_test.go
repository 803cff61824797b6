package settings

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/dashboard"
)

// newPage returns the settings of a house that was started with a file.
func newPage(t *testing.T, text string) *Page {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lintel.toml")
	if text != "" {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return NewPage(PageOptions{File: file, Running: c})
}

func (s *Page) fileText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.o.File)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func (s *Page) setting(t *testing.T, key string) dashboard.Setting {
	t.Helper()
	for _, section := range s.Current().Sections {
		for _, one := range section.Settings {
			if one.Key == key {
				return one
			}
		}
	}
	t.Fatalf("there is no setting %s", key)
	return dashboard.Setting{}
}

const secretConfig = `# mine
[log]
level = "warn" # quiet

[[uplink]]
name = "cloud"
url = "mqtt://broker.example"
user = "u"
password = "planted-uplink"
# password = "planted-old"
[[uplink.maps]]
direction = "out"
filter = "#"
retain = false

[serial.dsmr.keys]
12345678 = "00112233445566778899aabbccddeeff"

[zigbee]
network_key = "ffeeddccbbaa99887766554433221100"
token = "planted\u002dtoken"
`

// planted are the secrets of secretConfig.
var planted = []string{"planted-uplink", "planted-old", "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100", "planted-token", `planted\u002dtoken`}

func noSecrets(t *testing.T, what string, v any) {
	t.Helper()
	text := strings.ToLower(reflectText(v))
	for _, secret := range planted {
		if strings.Contains(text, secret) {
			t.Errorf("%s tells %s", what, secret)
		}
	}
}

func reflectText(v any) string {
	var b strings.Builder
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			b.WriteString(v.String() + "\n")
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				walk(k)
				walk(v.MapIndex(k))
			}
		}
	}
	walk(reflect.ValueOf(v))
	return b.String()
}

// Each key is there, with what the README says of it, and its own default is taken for it.
func TestSettingsAreAllKeys(t *testing.T) {
	t.Parallel()
	s := newPage(t, "")
	state := s.Current()
	if state.Problem != "" || len(state.Waiting) != 0 {
		t.Fatalf("%+v", state)
	}
	n := 0
	for _, section := range state.Sections {
		for _, one := range section.Settings {
			n++
			if one.About == "" && !strings.HasPrefix(one.Key, "network.wifi.addresses.") {
				t.Errorf("%s: the README does not explain it", one.Key)
			}
			if one.Changed {
				t.Errorf("%s is changed, it says", one.Key)
			}
			value := one.Value
			if one.Kind == dashboard.TOMLSetting {
				value = one.Text
			}
			if value == nil {
				continue
			}
			r, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{one.Key: value}, Try: true})
			if err != nil || len(r.Diff) != 0 {
				t.Errorf("%s = %v: %v, %q", one.Key, value, err, r.Diff)
			}
		}
	}
	if n != len(settingFields) || n < 90 {
		t.Errorf("%d settings", n)
	}
}

// What is called like a secret is one, or is known not to be.
func TestSettingsKnowTheirSecrets(t *testing.T) {
	t.Parallel()
	harmless := []string{"mqtt.key", "update.keys", "uplink.key", "access.jwt.secret_file", "access.jwt.key_files", "mqtt.keep_alive_factor", "uplink.keep_alive", "mqtt.max_keep_alive", "http.metrics"}
	for _, key := range knownKeys(reflect.TypeFor[Config](), "") {
		name := lastName(key)
		for _, word := range []string{"password", "secret", "token", "key", "pin", "code", "passphrase"} {
			if strings.Contains(name, word) && !isSecret(key) && !slices.Contains(harmless, key) && !strings.Contains(key, ".modbus.") && !strings.Contains(key, ".textlines.") {
				t.Errorf("%s may be a secret", key)
			}
		}
	}
	for _, key := range secretKeys {
		if !slices.Contains(knownKeys(reflect.TypeFor[Config](), ""), key) {
			t.Errorf("there is no %s", key)
		}
	}
}

func TestSettingsChoices(t *testing.T) {
	t.Parallel()
	s := newPage(t, "")
	for key, choices := range settingChoices {
		for _, choice := range choices {
			if key == "mqtt.client_certificates.name" && choice != "cn" {
				continue // needs a CA
			}
			if _, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{key: choice}, Try: true}); err != nil {
				t.Errorf("%s = %s: %v", key, choice, err)
			}
		}
		if _, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{key: "bogus"}, Try: true}); err == nil {
			t.Errorf("%s takes anything", key)
		}
	}
}

func TestSettingsChange(t *testing.T) {
	t.Parallel()
	s := newPage(t, secretConfig)
	state := s.Current()
	noSecrets(t, "the page", state)

	change := dashboard.SettingsChange{Base: state.Base, By: "admin", Try: true, Settings: map[string]any{
		"mqtt.max_inflight": 50.0, "serial.interval": 2.5, "mdns.host": "attic", "zigbee.token": dashboard.NotShown, "time.servers": []any{"192.168.1.1"}}}
	r, err := s.Change(change)
	if err != nil {
		t.Fatal(err)
	}
	noSecrets(t, "the preview", r)
	if got := s.fileText(t); got != secretConfig {
		t.Errorf("a try has written\n%s", got)
	}
	change.Try = false
	if r, err = s.Change(change); err != nil {
		t.Fatal(err)
	}
	noSecrets(t, "the result", r)
	diff := strings.Join(r.Diff, "\n")
	for _, line := range []string{"+ max_inflight = 50", `+ host = "attic"`, "+ interval = 2.5"} {
		if !strings.Contains(diff, line) {
			t.Errorf("the diff has no %q:\n%s", line, diff)
		}
	}
	slices.Sort(r.Waiting)
	if !slices.Equal(r.Waiting, []string{"mdns.host", "mqtt.max_inflight", "serial.interval", "time.servers"}) {
		t.Errorf("waiting for a restart: %q", r.Waiting)
	}
	text := s.fileText(t)
	if !strings.HasPrefix(text, "# mine\n[log]\nlevel = \"warn\" # quiet\n") || !strings.Contains(text, `# password = "planted-old"`) {
		t.Errorf("comments are gone:\n%s", text)
	}
	c, err := Parse("x", text)
	if err != nil || c.MQTT.MaxInflight != 50 || c.Zigbee.Token != "planted-token" || c.Uplinks[0].Password != "planted-uplink" || c.Serial.DSMR.Keys["12345678"] != planted[2] {
		t.Errorf("%+v, %v", c, err)
	}

	if _, err := s.Change(change); !errors.Is(err, dashboard.ErrSettingsChanged) {
		t.Errorf("a change of what was before: %v", err)
	}

	versions, err := s.Versions()
	if err != nil || len(versions) != 1 || versions[0].By != "admin" {
		t.Fatalf("%+v, %v", versions, err)
	}
	noSecrets(t, "the versions", versions)
	if _, err := s.Undo(versions[0].Number+1, "olga", false); !errors.Is(err, dashboard.ErrNoVersion) {
		t.Error(err)
	}
	if _, err := s.Undo(versions[0].Number, "olga", true); err != nil || s.fileText(t) != text {
		t.Errorf("trying to undo: %v\n%s", err, s.fileText(t))
	}
	if _, err := s.Undo(versions[0].Number, "olga", false); err != nil || s.fileText(t) != secretConfig {
		t.Errorf("undone: %v\n%s", err, s.fileText(t))
	}
	if versions, err = s.Versions(); err != nil || len(versions) != 2 || versions[0].By != "olga" {
		t.Errorf("%+v, %v", versions, err)
	}
}

// Tables in lists are changed as text, and what is not shown of them stays.
func TestSettingsTables(t *testing.T) {
	t.Parallel()
	s := newPage(t, secretConfig)
	uplink := s.setting(t, "uplink")
	if !strings.Contains(uplink.Text, `password = "`+dashboard.NotShown+`"`) || !strings.Contains(uplink.Text, "retain = false") || strings.Contains(uplink.Text, "clean") {
		t.Errorf("shown as\n%s", uplink.Text)
	}
	text := strings.Replace(uplink.Text, "broker.example", "other.example", 1)
	if _, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{"uplink": text}}); err != nil {
		t.Fatal(err)
	}
	c, err := Parse("x", s.fileText(t))
	if err != nil || len(c.Uplinks) != 1 || c.Uplinks[0].URL != "mqtt://other.example" || c.Uplinks[0].Password != "planted-uplink" || *c.Uplinks[0].Maps[0].Retain {
		t.Fatalf("%+v, %v", c.Uplinks, err)
	}
	// The same as JSON, with another name: then the password has to be said.
	renamed := []any{map[string]any{"name": "sky", "url": "mqtt://x", "user": "u", "password": dashboard.NotShown, "maps": []any{map[string]any{"direction": "out", "filter": "#", "qos": 1.0}}}}
	if _, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{"uplink": renamed}}); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("a password from nowhere: %v", err)
	}
	renamed[0].(map[string]any)["password"] = "new"
	if _, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{"uplink": renamed}}); err != nil {
		t.Error(err)
	}
	keys := s.setting(t, "serial.dsmr.keys").Text
	if _, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{"serial.dsmr.keys": keys + "\n87654321 = \"" + planted[3] + "\"\n"}}); err != nil {
		t.Fatal(err)
	}
	if c, err = Parse("x", s.fileText(t)); err != nil || c.Serial.DSMR.Keys["12345678"] != planted[2] || c.Serial.DSMR.Keys["87654321"] != planted[3] {
		t.Errorf("%v, %v", c.Serial.DSMR.Keys, err)
	}
	if _, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{"uplink": nil, "serial.dsmr.keys": ""}}); err != nil {
		t.Fatal(err)
	}
	if c, err = Parse("x", s.fileText(t)); err != nil || len(c.Uplinks) != 0 || len(c.Serial.DSMR.Keys) != 0 {
		t.Errorf("%v, %v, %v", c.Uplinks, c.Serial.DSMR.Keys, err)
	}
}

func TestSettingsWrong(t *testing.T) {
	t.Parallel()
	s := newPage(t, secretConfig)
	for _, test := range []struct {
		key   string
		value any
		want  string // in the error, behind the key
	}{
		{"mqtt.max_inflight", 0.0, "out of range"},
		{"mqtt.max_inflight", 1.5, "whole number"},
		{"mqtt.max_inflight", "many", "whole number"},
		{"mqtt.listen", []any{"1883"}, "not an address"},
		{"mqtt.listen", ":1883", "list"},
		{"mqtt.lisen", "x", `did you mean "mqtt.listen"`},
		{"mqtt", map[string]any{}, "unknown key"},
		{"", 1.0, "unknown key"},
		{"update.hours", "25", ""},
		{"uplink", "[[uplink]]\nname = x\n", "line 2"},
		{"uplink", "[mqtt]\n", "something else"},
		{"uplink", "[[uplink]]\nname=\"x\"\n[mqtt]\n", "something else"},
		{"uplink", []any{map[string]any{"name": "x", "colour": "red"}}, "unknown key"},
		{"uplink", []any{1.0, "x"}, ""},
		{"serial.ports", "serial = 1", ""},
		{"serial.dsmr.keys", "1 = \"x\"", ""},
		{"zigbee.network_key", "x", ""},
		{"http.listen", ":99999", "port"},
		{"http.listen", "203.0.113.9:8099", "cannot listen"},
		{"access.jwt.key_files", []any{"/nonexistent"}, ""},
	} {
		_, err := s.Change(dashboard.SettingsChange{Settings: map[string]any{test.key: test.value}})
		wrong, ok := errors.AsType[*dashboard.SettingsError](err)
		if !ok {
			t.Errorf("%s = %v: %v", test.key, test.value, err)
			continue
		}
		top := topOf(indices.ReplaceAllString(test.key, ""))
		if p := wrong.Problems[0]; !strings.Contains(p.Text, test.want) || !strings.HasPrefix(p.Key, top) {
			t.Errorf("%s = %v: %q: %q", test.key, test.value, p.Key, p.Text)
		}
		noSecrets(t, test.key, err.Error())
	}
	if s.fileText(t) != secretConfig {
		t.Error("the file was changed")
	}
	none := NewPage(PageOptions{Running: Default()})
	if state := none.Current(); state.Problem == "" || len(state.Sections) == 0 {
		t.Errorf("without a file: %+v", state)
	}
	if _, err := none.Change(dashboard.SettingsChange{Settings: map[string]any{"mdns.host": "x"}}); !errors.Is(err, dashboard.ErrNoSettingsFile) {
		t.Error(err)
	}
}

func TestVersionsAreBounded(t *testing.T) {
	t.Parallel()
	s := newPage(t, "")
	for i := range maxVersions + 5 {
		if _, err := s.Change(dashboard.SettingsChange{By: "x", Settings: map[string]any{"mqtt.max_inflight": float64(i + 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := s.Versions()
	if err != nil || len(versions) != maxVersions || versions[0].Number != maxVersions+5 {
		t.Errorf("%d versions, %v", len(versions), err)
	}
	// A file of nobody's is left alone, one that was cut is told of.
	if err := os.WriteFile(filepath.Join(versionsFolder(s.o.File), "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(versionFile(s.o.File, maxVersions+5), []byte("[mqtt\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if versions, err = s.Versions(); err != nil || len(versions) != maxVersions || versions[0].Error == "" {
		t.Errorf("%+v, %v", versions[0], err)
	}
	if _, err := s.Undo(maxVersions+5, "x", false); err == nil {
		t.Error("a version that is cut was taken")
	}
}

func TestDiffLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ before, after, want string }{
		{"", "", ""}, {"a\n", "a\n", ""}, {"", "a\n", "+ a"}, {"a\n", "", "- a"},
		{"a\nb\nc\n", "a\nx\nc\n", "  a|- b|+ x|  c"},
		{"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "x\n2\n3\n4\n5\n6\n7\n8\ny\n", "- 1|+ x|  2|  3|  …|  7|  8|- 9|+ y"},
		{"1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\n6\n", "  4|  5|+ 6"},
	} {
		if got := strings.Join(diffLines(test.before, test.after), "|"); got != test.want {
			t.Errorf("%q → %q: %q, want %q", test.before, test.after, got, test.want)
		}
	}
}

// FuzzWithoutSecrets: however a file is written, its secrets are not in what is shown of it.
func FuzzWithoutSecrets(f *testing.F) {
	f.Add(secretConfig)
	f.Add("zigbee = {token = '''plan\nted'''}\n")
	f.Add("[zigbee]\n\"token\" = \"\"\"\\\n  secret-\\u0041\"\"\"\n# it is secret-A\n")
	f.Add("serial.wmbus.keys.a = \"password = 'x'\"\n")
	f.Add("[[uplink]]\npassword = \"\\\"]\\n[x]\"\n[[uplink]]\npassword='token'\nname='token'")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("x", text)
		if err != nil || len(text) > 1<<12 {
			return
		}
		shown := withoutSecrets(text)
		secrets := []string{c.Zigbee.Token, c.Zigbee.NetworkKey, c.Network.WiFi.Password}
		for _, u := range c.Uplinks {
			secrets = append(secrets, u.Password)
		}
		for _, s := range secrets {
			if len(s) > 12 && strings.Contains(shown, s) {
				t.Errorf("%q shows %q: %q", text, s, shown)
			}
		}
	})
}
