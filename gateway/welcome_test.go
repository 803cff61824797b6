package gateway

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lintel/gateway/settings"
)

// read returns a page as a person with a language reads it.
func (o *owner) read(path, language string) string {
	o.t.Helper()
	r, err := http.NewRequest("GET", o.url+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Accept-Language", language)
	answer, err := o.http.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		o.t.Fatalf("GET %s: %s, %v", path, answer.Status, err)
	}
	return string(text)
}

// send sends a form and returns where it leads.
func (o *owner) send(path string, fields ...string) (status int, where string) {
	o.t.Helper()
	form := make(url.Values)
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	answer, err := o.http.PostForm(o.url+path, form)
	if err != nil {
		o.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode, answer.Request.URL.Path
}

// welcomed is how far the first visit is.
type welcomed struct {
	Steps []struct {
		ID            string
		Done, Skipped bool
	}
	Complete, Dismissed bool
}

// String is the first letter of each step: large if it is done, in brackets if it is skipped.
func (w welcomed) String() string {
	var b strings.Builder
	for _, s := range w.Steps {
		switch letter := s.ID[:1]; {
		case s.Done:
			b.WriteString(strings.ToUpper(letter))
		case s.Skipped:
			b.WriteString("(" + letter + ")")
		default:
			b.WriteString(letter)
		}
	}
	if w.Complete {
		b.WriteString(" complete")
	}
	return b.String()
}

// TestFirstVisit goes the guided path, leaves it and comes back after a restart: what is
// done the house shows by itself.
func TestFirstVisit(t *testing.T) {
	t.Parallel()
	root, data := t.TempDir(), t.TempDir()
	stick := plug(t, root)
	c := closedConfig()
	c.Serial.Ports = []settings.PortConfig{{Stick: "0403:6015:VE1A2B3C:00", Protocol: "jsonlines"}}
	o := Options{Data: data, Root: root, Version: "test"}
	stick.unplug()
	e, stop := startOptions(t, c, o)
	owner := claim(t, e)
	await := func(want string) {
		t.Helper()
		var w welcomed
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
			if w = (welcomed{}); w.String() == want {
				return
			}
			owner.get("/api/welcome", &w)
			if w.String() == want {
				return
			}
		}
		t.Fatalf("waited in vain for %s: %s", want, w)
	}
	await("Cnhsd")
	if home := owner.read("/", "en"); !strings.Contains(home, `href="/welcome"`) || !strings.Contains(home, "1 of 5 steps are done.") {
		t.Error("the first page does not lead to the guide")
	}
	if status, where := owner.send("/welcome/name", "name", strings.Repeat("x", 100)); status != 400 || where != "/welcome/name" {
		t.Errorf("a name that is too long: %d at %s", status, where)
	}
	if status, where := owner.send("/welcome/name", "name", " Cellar "); status != 200 || where != "/welcome" {
		t.Errorf("a name: %d at %s", status, where)
	}
	await("CNhsd")
	if page := owner.read("/welcome", "de"); !strings.Contains(page, "Cellar") || !strings.Contains(page, "Home Assistant verbinden") || !strings.Contains(page, "Es steckt kein Stick.") {
		t.Error(page)
	}
	for _, id := range []string{"claim", "nothing"} {
		if status, _ := owner.send("/welcome/skip", "step", id); status != 400 {
			t.Errorf("the step %s is skipped: %d", id, status)
		}
	}
	owner.send("/welcome/skip", "step", "homeassistant")
	await("CN(h)sd")
	stop()

	stick = plug(t, root)
	e, stop = startOptions(t, c, o)
	defer stop()
	owner = visit(t, e)
	owner.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	quiet := stick.speak()
	defer quiet()
	await("CN(h)SD complete")
	if home := owner.read("/", "en"); strings.Contains(home, `href="/welcome"`) || !strings.Contains(home, "Cellar") {
		t.Error("the first page still leads to the guide, or does not know the name of the box")
	}
	owner.send("/welcome/skip", "step", "homeassistant", "again", "yes")
	await("CNhSD")
	owner.send("/welcome/dismiss")
	if home := owner.read("/", "en"); strings.Contains(home, `href="/welcome"`) {
		t.Error("the first page leads to the guide, which nobody wants any more")
	}
	var w welcomed
	owner.call("POST", "/api/welcome", map[string]any{"skip": "homeassistant", "dismiss": false}, &w)
	if w.String() != "CN(h)SD complete" || w.Dismissed {
		t.Errorf("by the API: %s", w)
	}
	if status, _ := owner.try("POST", "/api/welcome", map[string]any{"skip": 7}); status != 400 {
		t.Errorf("nonsense: %d", status)
	}
}

// TestHome: one glance says what is wrong, in the language of who looks, with a button for
// who may press it.
func TestHome(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	stick := plug(t, root)
	c := closedConfig()
	c.Serial.Ports = []settings.PortConfig{{Stick: "0403:6015:VE1A2B3C:00", Protocol: "jsonlines"}}
	e, stop := startOptions(t, c, Options{Data: t.TempDir(), Root: root, Version: "test"})
	defer stop()
	admin := claim(t, e)
	quiet := stick.speak()
	const id = "stick/0403:6015:VE1A2B3C:00"
	admin.awaitCheck(id, "ok")
	admin.awaitCheck("devices", "ok")
	quiet()
	stick.unplug()
	admin.awaitCheck(id, "bad")
	admin.awaitCheck("devices", "notice")
	admin.call("POST", "/api/users", map[string]any{"name": "guest", "password": "a guest of the house", "page": "viewer"}, nil)
	guest := visit(t, e)
	guest.call("POST", "/api/login", map[string]string{"user": "guest", "password": "a guest of the house"}, nil)
	for _, look := range []struct {
		who            *owner
		language       string
		want, unwanted []string
	}{
		{admin, "en", []string{"Something does not work", "Plug it in again", `action="/checks/forget"`, "Because of that, 1 more", "claimed"}, nil},
		{admin, "de", []string{"Etwas funktioniert nicht", "Wieder einstecken", "Vergessen", "Deshalb außerdem: 1"}, []string{"Plug it in"}},
		{guest, "en", []string{"Something does not work", "An admin of this box can mend that here."}, []string{"/checks/forget", "What happened last", "/welcome"}},
	} {
		page := look.who.read("/", look.language)
		for _, want := range look.want {
			if !strings.Contains(page, want) {
				t.Errorf("there is no %q in %s", want, page)
			}
		}
		for _, unwanted := range look.unwanted {
			if strings.Contains(page, unwanted) {
				t.Errorf("there is %q", unwanted)
			}
		}
	}
}
