package dashboard

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
)

func TestClaimForm(t *testing.T) {
	g := newBox(t)
	if a := g.want(200, browse{path: "/claim"}); !strings.Contains(a.body, `name="again"`) {
		t.Error(a.body)
	}
	for _, tt := range []struct {
		form url.Values
		want string
	}{
		{url.Values{"password": {adminPassword}, "again": {"three words do not"}, "name": {"Cellar"}}, `id="error-again"`},
		{url.Values{"password": {"short"}, "again": {"short"}}, `id="error-password"`},
		{url.Values{"password": {"password"}, "again": {"password"}}, `id="error-password"`},
		{url.Values{"password": {adminPassword}, "again": {adminPassword}, "name": {"a\x01"}}, `id="error-name"`},
		{url.Values{"a": {""}}, `id="error-password"`},
	} {
		a := g.want(400, browse{path: "/claim", method: "POST", form: tt.form})
		if !strings.Contains(a.body, tt.want) || strings.Contains(a.body, adminPassword) {
			t.Errorf("%v: %s", tt.form, a.body)
		}
		if name := tt.form.Get("name"); name == "Cellar" && !strings.Contains(a.body, `value="Cellar"`) {
			t.Error("what was typed is gone")
		}
	}
	if g.o.Claim.Claimed() {
		t.Fatal("claimed by a mistake")
	}
	a := g.want(200, browse{path: "/claim", form: url.Values{"password": {adminPassword}, "again": {adminPassword}, "name": {"Cellar"}}})
	for _, part := range []string{"<code>lintel.local</code>", "<code>1883</code>", "<code>homeassistant</code>", "AB:CD", "Cellar"} {
		if !strings.Contains(a.body, part) {
			t.Errorf("the page does not tell %s", part)
		}
	}
	_, rest, _ := strings.Cut(a.body, "<dt>Password</dt><dd><code>")
	password, _, _ := strings.Cut(rest, "<")
	if _, err := g.o.Users.Verify(t.Context(), "homeassistant", []byte(password), "page"); err != nil {
		t.Errorf("the password that is shown: %v", err)
	}
	session := cookieOf(a)
	g.want(200, browse{path: "/users", cookie: session})
	if a := g.want(303, browse{path: "/claim", cookie: session}); a.location() != "/" {
		t.Error(a.location())
	}
	if log := g.kinds(); log != "claimed admin" {
		t.Error(log)
	}
}

func TestClaimCall(t *testing.T) {
	g := newBox(t)
	var state struct {
		Claimed bool
		Name    string
	}
	read := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(g.want(200, browse{path: "/api/claim"}).body), &state); err != nil {
			t.Fatal(err)
		}
	}
	if read(); state.Claimed || state.Name != "Lintel A1B2C3" {
		t.Errorf("%+v", state)
	}
	g.want(400, browse{path: "/api/claim", json: `{"password":"short"}`})
	a := g.want(201, browse{path: "/api/claim", json: `{"password":"` + adminPassword + `","name":"Cellar"}`})
	var made struct {
		User          string
		HomeAssistant struct {
			User, Password, Port string
			Hosts                []string
		}
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.User != "admin" || made.HomeAssistant.Port != "1883" || len(made.HomeAssistant.Hosts) == 0 {
		t.Errorf("%v %+v", err, made)
	}
	if _, err := g.o.Users.Verify(t.Context(), made.HomeAssistant.User, []byte(made.HomeAssistant.Password), "page"); err != nil {
		t.Error(err)
	}
	if read(); !state.Claimed || state.Name != "Cellar" {
		t.Errorf("%+v", state)
	}
	g.want(409, browse{path: "/api/claim", json: `{"password":"` + adminPassword + `"}`})
}

func TestOneOfManyVisitorsClaims(t *testing.T) {
	g := newBox(t)
	const n = 6
	var codes [n]int
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			codes[i] = g.do(browse{path: "/api/claim", json: fmt.Sprintf(`{"password":"the password of %d"}`, i)}).StatusCode
		})
	}
	wg.Wait()
	won := 0
	for i, code := range codes {
		if works := g.works("admin", fmt.Sprintf("the password of %d", i)); works != (code == 201) {
			t.Errorf("visitor %d: claimed with %d, the password works: %t", i, code, works)
		}
		if code == 201 {
			won++
		} else if code != 409 {
			t.Errorf("visitor %d: %d", i, code)
		}
	}
	if won != 1 {
		t.Errorf("%d visitors won", won)
	}
}

func TestClaimFromAfar(t *testing.T) {
	g := newBox(t)
	h := New(g.o).Handler()
	from := func(method, path, address, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		r.RemoteAddr = address
		r.Header.Set("Content-Type", jsonType)
		if path == "/claim" {
			r.Header.Set("Content-Type", formType)
		}
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	form := url.Values{"password": {adminPassword}, "again": {adminPassword}}.Encode()
	for _, address := range []string{"203.0.113.7:1", "[2001:db8::7]:1", "[::ffff:203.0.113.7]:1", "", "x"} {
		if w := from("POST", "/api/claim", address, `{"password":"`+adminPassword+`"}`); w.Code != 403 {
			t.Errorf("%s: %d", address, w.Code)
		}
		if w := from("POST", "/claim", address, form); w.Code != 403 {
			t.Errorf("%s: %d", address, w.Code)
		}
		if w := from("GET", "/claim", address, ""); w.Code != 200 || strings.Contains(w.Body.String(), `action="/claim"`) {
			t.Errorf("%s: %d, and a form", address, w.Code)
		}
	}
	if g.o.Claim.Claimed() {
		t.Fatal("claimed from afar")
	}
	if w := from("POST", "/api/claim", "[fe80::1%eth0]:1", `{"password":"`+adminPassword+`"}`); w.Code != http.StatusCreated {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNear(t *testing.T) {
	for a, want := range map[string]bool{"127.0.0.1": true, "192.168.1.2": true, "10.0.0.1": true, "172.16.0.1": true, "169.254.3.4": true,
		"::1": true, "fe80::1": true, "fd00::1": true, "8.8.8.8": false, "172.32.0.1": false, "2001:db8::1": false, "100.64.0.1": false} {
		if got := near(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %t", a, got)
		}
	}
	own := []net.Addr{
		&net.IPNet{IP: net.ParseIP("2001:db8:1:2::5"), Mask: net.CIDRMask(64, 128)},
		&net.IPNet{IP: net.ParseIP("2001:db8:9::5"), Mask: net.CIDRMask(48, 128)}, // more than one link
		&net.IPNet{IP: net.ParseIP("203.0.113.5"), Mask: net.CIDRMask(24, 32)},    // may be shared with strangers
	}
	for a, want := range map[string]bool{"2001:db8:1:2::9": true, "2001:db8:1:3::9": false, "2001:db8:9::9": false, "203.0.113.9": false} {
		if got := onLink(netip.MustParseAddr(a), own); got != want {
			t.Errorf("%s: %t", a, got)
		}
	}
}

// The login of Home Assistant goes on when the box gets another owner.
func TestClaimAfterReset(t *testing.T) {
	g := newGate(t)
	if err := g.o.Claim.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := g.want(200, browse{path: "/claim", form: url.Values{"password": {adminPassword}, "again": {adminPassword}}})
	if !strings.Contains(a.body, "was there before") || strings.Contains(a.body, "<dt>Password") {
		t.Error(a.body)
	}
	if _, err := g.o.Users.Verify(t.Context(), "homeassistant", []byte(g.homeassistant), "page"); err != nil {
		t.Error(err)
	}
}
