package apicheck

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// problem is a problem document.
type problem struct {
	Type, Title string
	Status      int
	Detail      string
	Errors      []struct{ Detail, Pointer, Parameter, Header string }
	Reason      string
	Fingerprint string
}

// problemOf holds that an answer is a problem document as RFC 9457 has it, and that it says
// what to do.
func problemOf(t testing.TB, a answer) problem {
	t.Helper()
	var p problem
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d is no problem document: %v, %s, %.300s", a.what, a.StatusCode, err, a.Header.Get("Content-Type"), a.body)
		return p
	}
	if p.Status != a.StatusCode || p.Type == "" || p.Title == "" || !strings.HasSuffix(p.Detail, ".") {
		t.Errorf("%s: %d says %+v", a.what, a.StatusCode, p)
	}
	if _, err := url.Parse(p.Type); err != nil || p.Type == "about:blank" && p.Title != http.StatusText(p.Status) {
		t.Errorf("%s: %+v", a.what, p)
	}
	return p
}

// names reports whether a problem document says of a place that something is wrong there.
func (p problem) names(place string) bool {
	for _, e := range p.Errors {
		if e.Pointer+e.Parameter+e.Header == place && e.Detail != "" {
			return true
		}
	}
	return false
}

// changeless are what must be the same after all that is refused.
var changeless = []string{"/api/users", "/api/tokens", "/api/roles", "/api/certificates", "/api/claim", "/api/settings", "/api/zigbee/groups"}

// state is what a house tells of what can be changed.
func (h *House) state(t *testing.T, operations []operation) map[string]string {
	state := make(map[string]string)
	for _, o := range operations {
		if o.Method == http.MethodGet && slices.Contains(changeless, o.Path) {
			state[o.Path] = h.tells(t, o.Path)
		}
	}
	return state
}

// used is when the token was used, which asking changes.
var used = regexp.MustCompile(`"used": "[^"]*"`)

func (h *House) tells(t *testing.T, path string) string {
	return string(used.ReplaceAll(h.do(t, request{method: "GET", path: path}).body, nil))
}

// Refusals sends to each call what it must refuse, and holds that the answer names what is
// wrong, that nothing is a mistake of the house (5xx), and that nothing has changed.
func (h *House) Refusals(t *testing.T) {
	operations := operationsOf(t, h.describe(t))
	before := h.state(t, operations)
	for _, o := range operations {
		t.Run(o.Method+" "+o.Path, func(t *testing.T) {
			if o.Summary == "" {
				t.Error("it is not described")
			}
			h.refuseStrangers(t, &o)
			h.refuseQueries(t, &o)
			if o.RequestBody == nil {
				return
			}
			for kind, content := range o.RequestBody.Content {
				h.refuseTypes(t, &o, kind)
				h.refuseSizes(t, &o, kind)
				if kind == "application/json" {
					h.refuseBodies(t, &o, content.Schema)
				}
			}
		})
	}
	for path, was := range before {
		if now := h.tells(t, path); now != was {
			t.Errorf("%s has changed: %s\nit was: %s", path, now, was)
		}
	}
}

// good is a request that the door lets in.
func (h *House) good(o *operation) request {
	r := request{method: o.Method, path: h.path(o)}
	if o.RequestBody != nil {
		for kind := range o.RequestBody.Content {
			r.kind = kind
		}
	}
	return r
}

// want holds that a request is refused in the way that it should.
func (h *House) want(t *testing.T, code int, place string, r request) problem {
	t.Helper()
	a := h.do(t, r)
	if a.StatusCode != code {
		t.Errorf("%s: %d, want %d: %.300s", a.what, a.StatusCode, code, a.body)
		return problem{}
	}
	p := problemOf(t, a)
	if place != "" && !p.names(place) {
		t.Errorf("%s: it does not name %s: %+v", a.what, place, p)
	}
	return p
}

func (h *House) refuseStrangers(t *testing.T, o *operation) {
	r := h.good(o)
	r.host = "evil.example" // whose name leads here (DNS rebinding)
	h.want(t, http.StatusMisdirectedRequest, "", r)
	if len(o.Security) > 0 {
		r := h.good(o)
		r.stranger = true
		h.want(t, http.StatusUnauthorized, "", r)
	}
	if o.Method != http.MethodGet {
		for _, header := range []map[string]string{{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}} {
			r := h.good(o)
			r.header = header
			h.want(t, http.StatusForbidden, "", r)
		}
	}
	r = h.good(o)
	r.method = "PROPFIND"
	a := h.do(t, r)
	if allow := a.Header.Get("Allow"); a.StatusCode != http.StatusMethodNotAllowed || !slices.Contains(strings.Split(allow, ", "), o.Method) {
		t.Errorf("%s: %d, Allow: %s", a.what, a.StatusCode, allow)
	}
	problemOf(t, a)
}

func (h *House) refuseQueries(t *testing.T, o *operation) {
	with := func(query, place string) {
		t.Helper()
		r := h.good(o)
		r.path += "?" + query
		h.want(t, http.StatusBadRequest, place, r)
	}
	with("lintel_unknown=1", "lintel_unknown")
	with("bad=%zz", "bad")
	for _, p := range o.Parameters {
		if p.In != "query" {
			continue
		}
		switch p.Schema["type"] {
		case "integer":
			with(p.Name+"=x", p.Name)
			with(p.Name+"=1.5", p.Name)
		case "boolean":
			with(p.Name+"=maybe", p.Name)
		}
		if p.Schema["type"] != "array" {
			with(p.Name+"=1&"+p.Name+"=2", p.Name)
		}
	}
}

func (h *House) refuseTypes(t *testing.T, o *operation, kind string) {
	for _, other := range []string{"", "text/html", "application/jsonp", "application/x-www-form-urlencoded", ";"} {
		r := h.good(o)
		r.kind = other
		h.want(t, http.StatusUnsupportedMediaType, "Content-Type", r)
	}
	if kind != "text/plain" { // a form can send it without asking first
		r := h.good(o)
		r.kind = "text/plain"
		h.want(t, http.StatusUnsupportedMediaType, "Content-Type", r)
	}
}

func (h *House) refuseSizes(t *testing.T, o *operation, kind string) {
	most := o.RequestBody.MaxBytes
	if most <= 0 {
		t.Error("it does not say how much it takes")
	}
	if kind != "application/json" || most > 1<<20 {
		return
	}
	r := h.good(o)
	r.body = `{"a":"` + strings.Repeat("x", int(most)) + `"}`
	h.want(t, http.StatusRequestEntityTooLarge, "#", r)
}

// refuseBodies sends what is no JSON, and what is none for this call.
func (h *House) refuseBodies(t *testing.T, o *operation, schema map[string]any) {
	with := func(body, place string) {
		t.Helper()
		r := h.good(o)
		r.body = body
		h.want(t, http.StatusBadRequest, place, r)
	}
	for _, body := range []string{"", " ", "{", "null", "[]", `"x"`, "7", "tru", "\xff", "{}}", "{} {}", "<a/>"} {
		with(body, "#")
	}
	with(`{"lintel_unknown":1}`, "#/lintel_unknown")
	with(`{"lintel/~unknown":1}`, "#/lintel~1~0unknown")
	with(`{"lintel_unknown":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`, "")
	properties, _ := schema["properties"].(map[string]any)
	if required, _ := schema["required"].([]any); len(required) > 0 {
		r := h.good(o)
		r.body = "{}"
		p := h.want(t, http.StatusBadRequest, "", r)
		if !p.names("#/" + required[0].(string)) {
			t.Errorf("{}: %+v", p)
		}
	}
	for name, property := range properties {
		s, _ := property.(map[string]any)
		for _, value := range otherTypes(s) {
			with(`{"`+name+`":`+value+`}`, "#/"+name)
		}
		with(`{"`+name+`":null,"`+name+`":null}`, "#/"+name)
	}
}

// otherTypes returns values that do not fit to a schema.
func otherTypes(schema map[string]any) []string {
	types := []string{}
	switch t := schema["type"].(type) {
	case string:
		types = append(types, t)
	case []any:
		for _, one := range t {
			types = append(types, one.(string))
		}
	default:
		return nil // anything, or what is described elsewhere
	}
	var others []string
	for _, value := range []struct{ kind, text string }{{"string", `"x"`}, {"number", "1.5"}, {"boolean", "true"}, {"array", `[{}]`}, {"object", `{"lintel_unknown":[]}`}} {
		fits := slices.Contains(types, value.kind) || value.kind == "number" && slices.Contains(types, "integer")
		if !fits {
			others = append(others, value.text)
		}
	}
	if slices.Contains(types, "integer") {
		others = append(others, "1.5", "1e400", "123456789012345678901234567890")
	}
	return others
}
