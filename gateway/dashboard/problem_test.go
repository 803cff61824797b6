package dashboard

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// checkProblem holds that an answer is a problem document as RFC 9457 has it, and that it
// says what to do.
func checkProblem(t testing.TB, a answered) Problem {
	t.Helper()
	var p Problem
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || a.Header.Get("Content-Type") != problemJSON {
		t.Errorf("%s %s: %d is no problem document: %v, %s, %s", a.Request.Method, a.Request.URL, a.StatusCode, err, a.Header.Get("Content-Type"), a.body)
		return p
	}
	if p.Status != a.StatusCode || p.Type == "" || p.Title == "" || !strings.HasSuffix(p.Detail, ".") && !strings.Contains(p.Detail, "\n") {
		t.Errorf("%s %s: %d says %+v", a.Request.Method, a.Request.URL, a.StatusCode, p)
	}
	if p.Type == "about:blank" && p.Title != http.StatusText(p.Status) || p.Type == inputProblem && len(p.Errors) == 0 {
		t.Errorf("%s %s: %+v", a.Request.Method, a.Request.URL, p)
	}
	for _, e := range p.Errors {
		_, err := url.Parse(e.Pointer)
		places := 0
		for _, place := range []string{e.Pointer, e.Parameter, e.Header} {
			if place != "" {
				places++
			}
		}
		if err != nil || places != 1 || !strings.HasSuffix(e.Detail, ".") || e.Pointer != "" && !strings.HasPrefix(e.Pointer, "#") {
			t.Errorf("%s %s: %+v", a.Request.Method, a.Request.URL, e)
		}
	}
	return p
}

// places lists where a problem document says that something is wrong.
func (p Problem) places() string {
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Pointer+e.Parameter+e.Header)
	}
	return strings.Join(all, " ")
}

func TestProblemsNameTheField(t *testing.T) {
	g := newGate(t)
	for _, tt := range []struct {
		b      browse
		code   int
		places string
	}{
		{browse{path: "/api/tokens", json: `{"name":"","level":"viewer"}`}, 400, "#/name"},
		{browse{path: "/api/tokens", json: `{"name":"x","level":"king"}`}, 400, "#/level"},
		{browse{path: "/api/tokens", json: `{"name":"x","levle":"viewer"}`}, 400, "#/levle #/level"},
		{browse{path: "/api/tokens", json: `{"name":7,"level":[]}`}, 400, "#/name #/level"},
		{browse{path: "/api/tokens", json: `{`}, 400, "#"},
		{browse{path: "/api/tokens", json: `{}`, header: http.Header{"Content-Encoding": {"gzip"}}}, 400, "#/name #/level"},
		{browse{path: "/api/tokens", body: `{}`}, 415, "Content-Type"},
		{browse{path: "/api/tokens", json: strings.Repeat(" ", maxBody+1)}, 413, "#"},
		{browse{path: "/api/users", json: `{"name":"x","roles":["king"]}`}, 400, "#/roles"},
		{browse{path: "/api/users", json: `{"name":"x","roles":["user",7]}`}, 400, "#/roles/1"},
		{browse{path: "/api/network", json: `{"ipv4":"everywhere"}`}, 400, "#/ipv4"},
		{browse{path: "/api/zigbee/permit", json: `{"seconds":1000}`}, 400, "#/seconds"},
		{browse{path: "/api/explain?action=king"}, 400, "action"},
		{browse{path: "/api/capture?stick=none"}, 404, "stick"},
		{browse{path: "/api/users/none"}, 404, ""},
		{browse{path: "/api/none"}, 404, ""},
		{browse{path: "/api/"}, 404, ""},
	} {
		tt.b.as = "admin"
		p := checkProblem(t, g.want(tt.code, tt.b))
		if p.places() != tt.places {
			t.Errorf("%s %s: %q, want %q: %+v", tt.b.path, tt.b.json, p.places(), tt.places, p)
		}
	}
}

// What there is not is said in the same way as all else, to people as a page.
func TestMissing(t *testing.T) {
	g := newGate(t)
	for path, allow := range map[string]string{"/api/status": "GET, HEAD", "/api/users/x": "DELETE, GET, HEAD, PATCH", "/api/login": "POST"} {
		a := g.want(405, browse{method: "PUT", path: path, json: "{}", as: "token admin"})
		if a.Header.Get("Allow") != allow || !strings.Contains(a.body, allow) {
			t.Errorf("%s: %q, %s", path, a.Header.Get("Allow"), a.body)
		}
	}
	for _, b := range []browse{{path: "/none"}, {path: "/users/", as: "admin"}, {method: "PUT", path: "/users", form: url.Values{"a": {""}}}} {
		a := g.do(b)
		if a.StatusCode != 404 && a.StatusCode != 405 || !strings.Contains(a.body, "<main") {
			t.Errorf("%s: %d %s", b.path, a.StatusCode, a.body)
		}
	}
}

// A mistake of ours ends one request, and tells nothing of itself but in the log.
func TestPanic(t *testing.T) {
	o := house()
	o.Healthy = func() error { panic("secret of a mistake") }
	s := New(o)
	for path, want := range map[string]string{"/api/status": problemJSON, "/": "text/html; charset=utf-8"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 500 || w.Header().Get("Content-Type") != want || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), "log") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	// One that has begun to answer is cut, so that nobody takes it for whole.
	guarded := s.guard(route{pattern: "GET /x", unclaimed: true, serve: func(w http.ResponseWriter, _ *request) {
		w.Write([]byte("half"))
		panic("x")
	}})
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("it ends with %v", v)
		}
	}()
	guarded.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
}
