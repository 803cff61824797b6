package dashboard

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// notebook is settings with a few keys of each kind, in memory.
type notebook struct {
	mu       sync.Mutex
	values   map[string]any
	by       []string
	restarts int
}

func newNotebook() *notebook {
	return &notebook{values: map[string]any{"a.text": "x", "a.number": int64(7), "a.on": true, "a.list": []any{"1", "2"}, "a.secret": "hidden-secret", "a.tables": "[[a.tables]]\n"}}
}

func (n *notebook) Current() SettingsState {
	n.mu.Lock()
	defer n.mu.Unlock()
	show := func(key string, kind SettingKind, text string) Setting {
		return Setting{Key: key, Kind: kind, About: "about " + hostile, Value: n.values[key], Text: text, Usual: "usual"}
	}
	secret := show("a.secret", SecretSetting, "")
	secret.Value = NotShown
	return SettingsState{File: "lintel.toml", Base: "base", Waiting: []string{"a.text"}, Sections: []SettingsSection{
		{Key: "a", About: "things", Settings: []Setting{show("a.text", TextSetting, n.values["a.text"].(string)), show("a.number", NumberSetting, "7"), show("a.on", SwitchSetting, "true"),
			show("a.list", ListSetting, "1\n2"), secret, show("a.tables", TOMLSetting, "[[a.tables]]\n")}},
		{Key: "network", Page: "/network", Settings: []Setting{}},
	}}
}

func (n *notebook) Change(c SettingsChange) (SettingsResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.Base != "" && c.Base != "base" {
		return SettingsResult{}, ErrSettingsChanged
	}
	r := SettingsResult{Waiting: []string{"a.text"}}
	for key, value := range c.Settings {
		if n.values[key] == nil {
			return r, &SettingsError{[]SettingsProblem{{key, "unknown key"}}}
		}
		if _, ok := value.(int64); key == "a.number" && !ok {
			return r, &SettingsError{[]SettingsProblem{{key, "is a text; right is a whole number"}}}
		}
		r.Diff = append(r.Diff, "+ "+key)
		if !c.Try {
			n.values[key] = value
		}
	}
	if !c.Try {
		n.by = append(n.by, c.By)
	}
	return r, nil
}

func (n *notebook) Versions() ([]SettingsVersion, error) {
	return []SettingsVersion{{Number: 3, Until: time.Now(), By: hostile, Diff: []string{"- " + hostile}}}, nil
}

func (n *notebook) Undo(number int, by string, try bool) (SettingsResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if number != 3 {
		return SettingsResult{}, ErrNoVersion
	}
	if !try {
		n.by = append(n.by, "undo by "+by)
	}
	return SettingsResult{Diff: []string{"- x"}}, nil
}

func (n *notebook) Restart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.restarts++
}

var draftField = regexp.MustCompile(`name="draft" value="([A-Z2-7]+)"`)

// formOf is the form of section a, as a browser sends it.
func formOf(change map[string]string) url.Values {
	form := url.Values{"base": {"base"}, "a.text": {"x"}, "a.number": {"7"}, "a.on": {"yes"}, "a.list": {"1\r\n2"}, "a.secret": {""}, "a.tables": {"[[a.tables]]\r\n"}}
	for k, v := range change {
		if v == "" {
			form.Del(k)
		} else {
			form.Set(k, v)
		}
	}
	return form
}

func TestSettingsPage(t *testing.T) {
	g := newGate(t)
	book := g.o.Settings.(*notebook)
	cookie := g.session("admin")
	for _, path := range []string{"/settings", "/settings/a"} {
		a := g.want(200, browse{path: path, cookie: cookie})
		if strings.Contains(a.body, "hidden-secret") || strings.Contains(a.body, "<script>alert") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	g.want(404, browse{path: "/settings/network", cookie: cookie}) // has a page of its own
	g.want(404, browse{path: "/settings/b", cookie: cookie})

	if a := g.want(200, browse{path: "/settings/a", cookie: cookie, form: formOf(nil)}); !strings.Contains(a.body, "Nothing is changed.") {
		t.Error(a.body)
	}
	a := g.want(400, browse{path: "/settings/a", cookie: cookie, form: formOf(map[string]string{"a.number": "many"})})
	if !strings.Contains(a.body, `id="error-a.number"`) || !strings.Contains(a.body, `value="many"`) {
		t.Errorf("the mistake is not beside its field: %s", a.body)
	}
	g.want(409, browse{path: "/settings/a", cookie: cookie, form: formOf(map[string]string{"a.text": "y", "base": "other"})})

	change := formOf(map[string]string{"a.text": "y", "a.on": "", "a.list": "3", "a.secret": "new-secret"})
	a = g.want(200, browse{path: "/settings/a", cookie: cookie, form: change})
	id := draftField.FindStringSubmatch(a.body)
	if id == nil || strings.Contains(a.body, "new-secret") || !strings.Contains(a.body, " a.list<") || strings.Contains(a.body, "a.tables") {
		t.Fatalf("the preview: %s", a.body)
	}
	if book.values["a.text"] != "x" {
		t.Error("a preview has changed something")
	}
	save := url.Values{"draft": {id[1]}, "restart": {"yes"}}
	g.want(409, browse{path: "/settings/save", as: "admin", form: save}) // another session
	a = g.want(303, browse{path: "/settings/save", cookie: cookie, form: save})
	if a.location() != "/settings?saved=1&restarts=1" || book.restarts != 1 {
		t.Errorf("led to %s, %d restarts", a.location(), book.restarts)
	}
	if book.values["a.text"] != "y" || book.values["a.on"] != false || book.values["a.secret"] != "new-secret" || len(book.by) != 1 || book.by[0] != "admin" {
		t.Errorf("%v, by %q", book.values, book.by)
	}
	g.want(409, browse{path: "/settings/save", cookie: cookie, form: save}) // once

	g.want(404, browse{path: "/settings/undo", cookie: cookie, form: url.Values{"number": {"4"}}})
	g.want(200, browse{path: "/settings/undo", cookie: cookie, form: url.Values{"number": {"3"}}})
	if len(book.by) != 1 {
		t.Error("undone without being sure")
	}
	g.want(303, browse{path: "/settings/undo", cookie: cookie, form: url.Values{"number": {"3"}, "sure": {"yes"}}})
	if len(book.by) != 2 {
		t.Error("not undone")
	}
}

func TestSettingsAPI(t *testing.T) {
	g := newGate(t)
	book := g.o.Settings.(*notebook)
	patch := func(code int, text string) answered {
		t.Helper()
		return g.want(code, browse{method: "PATCH", path: "/api/settings", as: "token admin", json: text})
	}
	if a := g.want(200, browse{path: "/api/settings", as: "token admin"}); !strings.Contains(a.body, `"a.text"`) || strings.Contains(a.body, "hidden-secret") {
		t.Error(a.body)
	}
	patch(400, `{}`)
	patch(400, `{"settings":{"a.none":1}}`)
	patch(400, `{"settings":{"a.text":"y"},"other":1}`)
	patch(409, `{"settings":{"a.text":"y"},"base":"old"}`)
	patch(200, `{"settings":{"a.text":"y"},"try":true}`)
	if book.values["a.text"] != "x" {
		t.Error("a try has changed something")
	}
	var result SettingsResult
	if err := json.Unmarshal([]byte(patch(200, `{"settings":{"a.text":"y"},"base":"base"}`).body), &result); err != nil || len(result.Diff) != 1 || len(result.Waiting) != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if book.values["a.text"] != "y" || book.by[0] != "token the admin" {
		t.Errorf("%v by %q", book.values, book.by)
	}
	if e := g.o.Audit.All(); len(e) == 0 || e[0].Kind != "settings changed" || !strings.Contains(e[0].Detail, "a.text") {
		t.Errorf("the audit log says %+v", e)
	}
	g.want(404, browse{path: "/api/settings/undo", as: "token admin", json: `{"number":9}`})
	g.want(200, browse{path: "/api/settings/undo", as: "token admin", json: `{"number":3}`})
	g.want(http.StatusAccepted, browse{path: "/api/settings/restart", as: "token admin", json: `{}`})
	if book.restarts != 1 {
		t.Error("no restart")
	}
}

func TestDraftsAreBounded(t *testing.T) {
	var d drafts
	var ids []string
	for i := range 3 * maxDrafts {
		ids = append(ids, d.keep(string(rune('a'+i)), SettingsChange{By: string(rune('a' + i))}))
	}
	if len(d.all) != maxDrafts {
		t.Errorf("%d drafts", len(d.all))
	}
	last := len(ids) - 1
	if c, ok := d.take(string(rune('a'+last)), ids[last]); !ok || c.By != string(rune('a'+last)) {
		t.Error("the newest is gone")
	}
	if _, ok := d.take("a", ids[0]); ok {
		t.Error("the oldest is there")
	}
}
