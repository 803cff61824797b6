package dashboard

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"lintel/gateway/homeassistant"
)

// newCode has the box show a code.
func (g *gate) newCode() string {
	g.t.Helper()
	var made struct {
		Code    string
		Seconds int
	}
	a := g.want(201, browse{path: "/api/pair/code", as: "admin", json: "{}"})
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || len(made.Code) != 8 || made.Seconds != 600 {
		g.t.Fatalf("%v %+v", err, made)
	}
	return made.Code
}

// pairs asks for a login with a code, and checks the reason why there is none.
func (g *gate) pairs(status int, reason, code string) answered {
	g.t.Helper()
	a := g.want(status, browse{path: "/api/pair", json: fmt.Sprintf(`{"code":%q,"client":"homeassistant"}`, code)})
	var got struct{ Reason string }
	if json.Unmarshal([]byte(a.body), &got); got.Reason != reason {
		g.t.Errorf("the reason is %q, want %q", got.Reason, reason)
	}
	return a
}

// other returns a code that is not this one.
func other(code string) string {
	if code[0] == '0' {
		return "1" + code[1:]
	}
	return "0" + code[1:]
}

func TestPairingIsSeenLive(t *testing.T) {
	g := newGate(t)
	live := g.stream(browse{path: "/homeassistant", as: "admin"})
	first := live.next()
	if !strings.Contains(first["homeassistant-logins"], "192.168.1.2:50123") || !strings.Contains(first["homeassistant-found"], `value="1234"`) ||
		!strings.Contains(first["homeassistant-uplink"], "mqtt://192.168.1.2:1883") {
		t.Errorf("at first: %v", first)
	}
	code := g.newCode()
	shown := code[:4] + " " + code[4:]
	if changed := live.next(); len(changed) != 1 || !strings.Contains(changed["homeassistant-code"], shown) {
		t.Errorf("after the code was shown: %v", changed)
	}
	g.pairs(200, "", code)
	if changed := live.next(); !strings.Contains(changed["homeassistant-code"], "<form") || strings.Contains(changed["homeassistant-code"], shown) {
		t.Errorf("after the code was used: %v", changed)
	}
}

func TestPairing(t *testing.T) {
	g := newGate(t)
	g.pairs(403, "no_code", "12345678")
	code := g.newCode()
	g.pairs(403, "wrong_code", other(code))
	if g.home().made != 0 {
		t.Fatal("a login was made for a wrong code")
	}
	a := g.pairs(200, "", code[:4]+" "+code[4:])
	want := map[string]any{"id": "a1b2c3d4e5f6", "name": "Cellar", "model": "Raspberry Pi 4", "version": "0.1.0",
		"host": "127.0.0.1", "port": 1883.0, "username": "homeassistant-3", "password": "password made"}
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v %v", err, got)
	}
	if g.home().made != 1 {
		t.Errorf("%d logins were made", g.home().made)
	}
	g.pairs(403, "no_code", code)
	for _, event := range []string{"pairing code shown ", "pairing refused ", "paired homeassistant-3"} {
		if log := g.kinds(); !strings.Contains(log, event) {
			t.Errorf("the audit log does not tell %q: %s", event, log)
		}
	}
	if log := g.want(200, browse{path: "/api/audit", as: "admin"}).body; strings.Contains(log, code) || strings.Contains(log, "password made") {
		t.Error("the audit log tells a secret")
	}
}

func TestPairingState(t *testing.T) {
	box := newBox(t)
	a := box.want(200, browse{path: "/api/pair"})
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || got["claimed"] != false || got["id"] != "a1b2c3d4e5f6" || len(got) != 5 {
		t.Errorf("%v %v", err, got)
	}
	box.pairs(409, "unclaimed", "12345678")
	g := newGate(t)
	if err := json.Unmarshal([]byte(g.want(200, browse{path: "/api/pair"}).body), &got); err != nil || got["claimed"] != true || got["name"] != "Cellar" {
		t.Errorf("%v %v", err, got)
	}
}

func TestPairingVoidsACodeAndSlowsDown(t *testing.T) {
	g := newGate(t)
	code := g.newCode()
	for range 5 {
		g.pairs(403, "wrong_code", other(code))
	}
	a := g.pairs(429, "wait", code)
	if a.Header.Get("Retry-After") == "" {
		t.Error("nothing says how long to wait")
	}
	if g.home().made != 0 {
		t.Error("a login was made")
	}
}

func TestPairingOfWhatIsNoPairing(t *testing.T) {
	g := newGate(t)
	code := g.newCode()
	for _, body := range []string{`{}`, `[]`, `{"code":"` + code + `"}`, `{"code":"` + code + `","client":"x"}`, `{"code":12345678,"client":"homeassistant"}`,
		`{"code":"` + code + `","client":"homeassistant","more":1}`, `{"code":"` + code + `","client":"homeassistant"}{}`, "null"} {
		g.want(400, browse{path: "/api/pair", json: body})
	}
	g.want(413, browse{path: "/api/pair", json: `{"code":"` + strings.Repeat("1", maxBody) + `","client":"homeassistant"}`})
	g.want(415, browse{path: "/api/pair", body: `{"code":"` + code + `","client":"homeassistant"}`, header: http.Header{"Content-Type": {"text/plain"}}})
	g.want(403, browse{path: "/api/pair", json: `{"code":"` + code + `","client":"homeassistant"}`, header: http.Header{"Origin": {"http://evil.example"}}})
	g.want(421, browse{path: "/api/pair", host: "evil.example", json: `{"code":"` + code + `","client":"homeassistant"}`})
	if g.home().made != 0 {
		t.Error("a login was made")
	}
	g.pairs(200, "", code) // none of this has touched the code
}

func TestPairingFromAfar(t *testing.T) {
	g := newGate(t)
	s := New(g.o)
	code, _ := s.pairing.Show()
	r := httptest.NewRequest("POST", "/api/pair", strings.NewReader(`{"code":"`+code+`","client":"homeassistant"}`))
	r.RemoteAddr, r.Host = "203.0.113.9:4711", "192.168.1.5"
	r.Header.Set("Content-Type", jsonType)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != 403 || !strings.Contains(w.Body.String(), `"far"`) || g.home().made != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPairingNeedsAPlainListener(t *testing.T) {
	g := newGate(t)
	o := g.o
	o.Addresses = func() []string { return []string{"mqtts://lintel.local:8883", "unix:/run/lintel"} }
	g.url = listen(t, o)
	g.pairs(409, "no_listener", g.newCode())
}

func TestPairingWhenNoLoginIsMade(t *testing.T) {
	g := newGate(t)
	code := g.newCode()
	g.home().err = &homeassistant.ConnectError{Reason: homeassistant.NoLogin, Text: "There are too many."}
	if a := g.pairs(409, "no_login", code); !strings.Contains(a.body, "There are too many.") {
		t.Error(a.body)
	}
	g.home().err = errors.New("store full")
	g.want(500, browse{path: "/api/pair", json: `{"code":"` + code + `","client":"homeassistant"}`})
	g.home().err = nil
	g.pairs(200, "", code)
}

func TestPairingIsForOne(t *testing.T) {
	g := newGate(t)
	code := g.newCode()
	var codes [8]int
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() {
			codes[i] = g.do(browse{path: "/api/pair", json: `{"code":"` + code + `","client":"homeassistant"}`}).StatusCode
		})
	}
	all.Wait()
	paired := 0
	for _, c := range codes {
		if c == 200 {
			paired++
		}
	}
	if paired != 1 || g.home().made != 1 {
		t.Errorf("paired %d times, %d logins: %v", paired, g.home().made, codes)
	}
}

func TestPairingSection(t *testing.T) {
	g := newGate(t)
	page := func(as string) string { return g.want(200, browse{path: "/homeassistant", as: as}).body }
	shown := regexp.MustCompile(`<strong><code>([0-9]{4}) ([0-9]{4})</code></strong>. It is good for (9|10) min more`)
	if body := page("admin"); shown.MatchString(body) || !strings.Contains(body, `action="/homeassistant/pair"`) || !strings.Contains(body, "version 0.1.0") {
		t.Error(body)
	}
	if a := g.want(303, browse{path: "/homeassistant/pair", as: "admin", form: map[string][]string{"show": {"code"}}}); a.location() != "/homeassistant#integration" {
		t.Error(a.location())
	}
	m := shown.FindStringSubmatch(page("admin"))
	if m == nil {
		t.Fatal("the code is not shown")
	}
	for _, as := range []string{"vera", "olga"} {
		if body := page(as); shown.MatchString(body) || strings.Contains(body, `action="/homeassistant/pair"`) {
			t.Errorf("%s sees the code", as)
		}
	}
	g.pairs(200, "", m[1]+m[2])
	if shown.MatchString(page("admin")) {
		t.Error("a code that was used is shown")
	}
}

func TestIntegrationDownload(t *testing.T) {
	for _, g := range []*gate{newBox(t), newGate(t)} {
		a := g.want(200, browse{path: "/homeassistant/lintel.zip"})
		if a.Header.Get("Content-Type") != "application/zip" || !strings.Contains(a.Header.Get("Content-Disposition"), "lintel.zip") {
			t.Error(a.Header)
		}
		z, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Open("custom_components/lintel/__init__.py"); err != nil {
			t.Error(err)
		}
	}
}
