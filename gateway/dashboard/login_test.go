package dashboard

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lintel/gateway/access"
)

// kinds returns the audit log as KIND USER, the newest first.
func (g *gate) kinds() string {
	var all []string
	for _, e := range g.o.Audit.All() {
		all = append(all, e.Kind+" "+e.User)
	}
	return strings.Join(all, ", ")
}

func TestLogin(t *testing.T) {
	g := newGate(t)
	g.passwords()
	form := url.Values{"user": {"vera"}, "password": {"password of vera"}, "next": {"/access"}}
	a := g.want(303, browse{path: "/login", form: form})
	if a.location() != "/access" {
		t.Error(a.location())
	}
	c := a.Cookies()
	if len(c) != 1 || c[0].Name != "lintel" || !c[0].HttpOnly || c[0].Secure || c[0].SameSite != http.SameSiteLaxMode || c[0].Path != "/" || c[0].Domain != "" {
		t.Fatalf("%+v", c)
	}
	token := c[0].Value
	g.want(200, browse{path: "/", cookie: token})
	if e := g.o.Audit.All()[0]; e.Kind != access.LoggedIn || e.User != "vera" || e.Address.String() != "127.0.0.1" {
		t.Errorf("%+v", e)
	}

	// Who logs in again has another token, and the one before lets nobody in.
	a = g.want(200, browse{path: "/api/login", cookie: token, json: `{"user":"olga","password":"password of olga"}`})
	if !strings.Contains(a.body, `"operator"`) {
		t.Error(a.body)
	}
	second := cookieOf(a)
	g.want(303, browse{path: "/", cookie: token})
	g.want(200, browse{path: "/access", cookie: second})

	a = g.want(303, browse{path: "/logout", method: "POST", cookie: second, form: url.Values{"": nil}})
	if c := a.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || a.location() != "/login" {
		t.Errorf("%+v %s", c, a.location())
	}
	g.want(401, browse{path: "/api/status", cookie: second})
	g.want(405, browse{path: "/logout", cookie: second})
}

func TestLoginLeadsOnlyHere(t *testing.T) {
	g := newGate(t)
	g.passwords()
	for next, want := range map[string]string{"": "/", "/": "/", "/users": "/users", "//evil.example": "/", "https://evil.example": "/",
		`/\evil.example`: "/", "/users/../../x": "/x", "javascript:alert(1)": "/", "/users?q=x": "/users?q=x",
		"/\t/evil.example": "/", "http:/x": "/"} {
		a := g.want(303, browse{path: "/login", form: url.Values{"user": {"vera"}, "password": {"password of vera"}, "next": {next}}})
		if a.location() != want {
			t.Errorf("%q leads to %q", next, a.location())
		}
	}
	if a := g.want(303, browse{path: "/users?q=x"}); a.location() != "/login?next=%2Fusers" {
		t.Error(a.location())
	}
}

// Nobody learns from the answers which users there are.
func TestWrongLogins(t *testing.T) {
	g := newGate(t)
	g.passwords()
	if err := g.o.Users.Create(t.Context(), access.User{Name: "gone", Page: access.Viewer, Disabled: true}, []byte("password of gone")); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for user, password := range map[string]string{"vera": "wrong", "nobody": "wrong", "gone": "password of gone", "olga": "password of vera"} {
		a := g.want(401, browse{path: "/api/login", json: `{"user":"` + user + `","password":"` + password + `"}`})
		seen[a.body] = true
		if len(a.Cookies()) != 0 {
			t.Error("a session for", user)
		}
		p := g.want(401, browse{path: "/login", form: url.Values{"user": {user}, "password": {password}}})
		seen[strings.ReplaceAll(p.body, user, "USER")] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d different answers: %v", len(seen), seen)
	}
	if log := g.kinds(); !strings.Contains(log, "login refused nobody") {
		t.Error(log)
	}
	// A device's login is no login for people.
	a := g.want(403, browse{path: "/api/login", json: `{"user":"homeassistant","password":"` + g.homeassistant + `"}`})
	if !strings.Contains(a.body, "MQTT only") || len(a.Cookies()) != 0 {
		t.Error(a.body)
	}
}

func TestLockout(t *testing.T) {
	g := newGate(t)
	wrong := browse{path: "/api/login", json: `{"user":"admin","password":"guess"}`}
	right := browse{path: "/api/login", json: `{"user":"admin","password":"` + adminPassword + `"}`}
	n := 0
	for ; n < 30; n++ {
		if a := g.do(wrong); a.StatusCode == http.StatusTooManyRequests {
			if after, err := strconv.Atoi(a.Header.Get("Retry-After")); err != nil || after < 1 {
				t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
			}
			break
		}
	}
	if n == 30 {
		t.Fatal("never locked out")
	}
	// The right password does not help whoever has guessed.
	if a := g.want(429, right); len(a.Cookies()) != 0 {
		t.Error("a session")
	}
	a := g.want(429, browse{path: "/login", form: url.Values{"user": {"admin"}, "password": {"guess"}}})
	if !strings.Contains(a.body, "Try again in") {
		t.Error(a.body)
	}
	if log := g.kinds(); !strings.Contains(log, "locked out admin") {
		t.Error(log)
	}
}

// Of many guesses at once no more count than of as many one after the other.
func TestGuessesAtOnce(t *testing.T) {
	g := newGate(t)
	var mu sync.Mutex
	tried := 0
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			a := g.do(browse{path: "/api/login", json: `{"user":"admin","password":"guess"}`})
			mu.Lock()
			defer mu.Unlock()
			if a.StatusCode == http.StatusUnauthorized {
				tried++
			}
		})
	}
	wg.Wait()
	if tried > 8 {
		t.Errorf("%d guesses were tried", tried)
	}
}

func TestCookieOverTLS(t *testing.T) {
	g := newGate(t)
	g.passwords()
	server := httptest.NewTLSServer(New(g.o).Handler())
	defer server.Close()
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.PostForm(server.URL+"/login", url.Values{"user": {"vera"}, "password": {"password of vera"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	c := res.Cookies()
	if res.StatusCode != 303 || len(c) != 1 || c[0].Name != "__Host-lintel" || !c[0].Secure || c[0].Path != "/" || c[0].Domain != "" {
		t.Fatalf("%s %+v", res.Status, c)
	}
	// A cookie that anybody in the network can set over plain HTTP counts for nothing here.
	for name, want := range map[string]int{"__Host-lintel": 200, "lintel": 303} {
		r := httptest.NewRequest("GET", "https://localhost/", nil)
		r.TLS = &tls.ConnectionState{}
		r.AddCookie(&http.Cookie{Name: name, Value: c[0].Value})
		w := httptest.NewRecorder()
		New(g.o).Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestRootCertificate(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/ca.pem"})
	if !strings.HasPrefix(a.body, "-----BEGIN") || a.Header.Get("X-Certificate-Fingerprint") != "AB:CD" {
		t.Error(a.body, a.Header)
	}
	o := g.o
	o.Root = nil
	none := &gate{t: t, url: listen(t, o)}
	none.want(404, browse{path: "/ca.pem"})
}
