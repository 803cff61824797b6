// Package apicheck holds a house to the description of its own API: that it answers as it is
// described there, and that it refuses whatever is not, with a problem document (RFC 9457)
// that names what is wrong. It is for tests.
//
// It asks for /api/openapi.json and knows no call by itself, so that one that is added is
// checked without a word.
package apicheck

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// House is a house that somebody has claimed.
type House struct {
	URL   string // such as http://127.0.0.1:8080
	Token string // API token of an admin
	// Paths are paths of the description with something that is there in place of their
	// parameters, such as "/api/users/{name}": "/api/users/admin".
	Paths map[string]string
	// Queries are those without which a call has nothing to tell, by the path of the
	// description.
	Queries map[string]string
	// Absent are calls that have nothing to tell in this house, and the status of their answer.
	Absent map[string]int
}

// operation is a call as it is described.
type operation struct {
	Method, Path string
	Summary      string
	Security     []any
	Parameters   []struct {
		Name, In string
		Schema   map[string]any
	}
	RequestBody *struct {
		MaxBytes int64 `json:"x-max-bytes"`
		Content  map[string]struct{ Schema map[string]any }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema map[string]any }
	}
}

// describe asks a house for the description of its API.
func (h *House) describe(t testing.TB) []byte {
	t.Helper()
	return h.do(t, request{method: "GET", path: "/api/openapi.json"}).body
}

// operationsOf are the calls that a description has.
func operationsOf(t testing.TB, text []byte) (operations []operation) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method, o := range methods {
			o.Method, o.Path = strings.ToUpper(method), path
			operations = append(operations, o)
		}
	}
	slices.SortFunc(operations, func(a, b operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	return operations
}

var wildcard = regexp.MustCompile(`\{[a-z_]+\}`)

// path is the path of an operation, with values for its parameters.
func (h *House) path(o *operation) string {
	if path, ok := h.Paths[o.Path]; ok {
		return path
	}
	return wildcard.ReplaceAllString(o.Path, "x")
}

type request struct {
	method, path string
	kind, body   string
	length       int64 // that is said; 0: as it is
	header       map[string]string
	host         string
	stranger     bool // without the token
}

type answer struct {
	what string // was asked
	*http.Response
	body []byte
}

const maxAnswer = 32 << 20

func (h *House) do(t testing.TB, r request) answer {
	t.Helper()
	var body io.Reader = strings.NewReader(r.body)
	if r.length > 0 { // nothing of it is sent
		body = http.NoBody
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, h.URL+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if !r.stranger {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
	req.Host = r.host
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return answer{fmt.Sprintf("%s %s %.60q", r.method, r.path, r.body), res, text}
}
