package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
)

// problemJSON is the media type of a [Problem].
const problemJSON = "application/problem+json"

// Problem is a problem document (RFC 9457): why a call was not done, and what to do.
type Problem struct {
	// Type is about:blank where the status says all, else what describes problems of its kind,
	// on the page about the API.
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`           // a sentence that says what to do next
	Errors []InputError `json:"errors,omitempty"` // what is wrong with what was sent

	// Reason is a word for programs, of the calls that pair or connect a Home Assistant.
	Reason string `json:"reason,omitempty"`
	// Fingerprint is that of the certificate of a Home Assistant that nobody has compared yet.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// InputError is what is wrong with one part of what was sent. Pointer, Parameter or Header
// says with which.
type InputError struct {
	Detail    string `json:"detail"`
	Pointer   string `json:"pointer,omitempty"`   // into the body, a JSON pointer as the fragment of a URI, such as #/name; # is all of it
	Parameter string `json:"parameter,omitempty"` // of the path or the query
	Header    string `json:"header,omitempty"`
}

// Types of problems, beside about:blank.
const (
	inputProblem   = "/api#problem-input"   // something is wrong with what was sent: see errors
	pairProblem    = "/api#problem-pair"    // the integration gets no login: see reason
	connectProblem = "/api#problem-connect" // a Home Assistant cannot be connected: see reason
)

// problemKinds are what the page about the API tells of these types.
var problemKinds = []struct{ Type, About string }{
	{inputProblem, "Something is wrong with what was sent. errors lists what: detail says it, and pointer (into the body, RFC 6901), parameter (of the path or the query) or header says where."},
	{pairProblem, "Home Assistant gets no login. reason is wrong_code, no_code, wait, unclaimed, no_listener, no_login, far or busy."},
	{connectProblem, "A Home Assistant cannot be connected. reason says why in a word; with certificate there is the fingerprint that is to be compared."},
}

// titles are what kinds of problems are called. That of about:blank is the status.
var titles = map[string]string{
	inputProblem:   "What was sent is not valid",
	pairProblem:    "Not paired",
	connectProblem: "Not connected",
}

// answerProblem answers a call with a problem document, whose status and detail are set.
func answerProblem(w http.ResponseWriter, p Problem) {
	if p.Type == "" && len(p.Errors) > 0 {
		p.Type = inputProblem
	}
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title = titles[p.Type]; p.Title == "" {
		p.Title = http.StatusText(p.Status) // RFC 9457 §4.2.1
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		panic(err) // texts and a number
	}
	w.Header().Set("Content-Type", problemJSON)
	w.WriteHeader(p.Status)
	w.Write(append(b, '\n'))
}

// inputErrors returns what a problem is about.
func (p *problem) inputErrors(r *request) []InputError {
	if p.inputs != nil || p.field == "" {
		return p.inputs
	}
	e := InputError{Detail: p.Error()}
	if r.route.takes(p.field) {
		e.Parameter = p.field
	} else {
		e.Pointer = pointerTo("#", p.field)
	}
	return []InputError{e}
}

// wrongInputs is the problem of what was sent. Its text is for who does not look at each part.
func wrongInputs(inputs []InputError) *problem {
	first := inputs[0]
	where := first.Parameter + first.Header + first.Pointer
	if where == "#" {
		where = "The body"
	}
	text := where + ": " + first.Detail
	if more := len(inputs) - 1; more > 0 {
		text += fmt.Sprintf(" There is more: errors lists %d mistakes.", more+1)
	}
	p := wrong("", "%s", text)
	p.inputs = inputs
	return p
}

// takes reports whether a name is one of the path or the query.
func (rt *route) takes(name string) bool {
	return rt != nil && (strings.Contains(rt.pattern, "{"+name+"}") || !rt.hasBody())
}

// hasBody reports whether a request for a route has a body.
func (rt *route) hasBody() bool {
	return !strings.HasPrefix(rt.pattern, "GET ") && !strings.HasPrefix(rt.pattern, "DELETE ")
}

// missing answers what there is no route for, in place of what [http.ServeMux] says: the
// API in its own words, and people with a page.
func (s *Server) missing(w http.ResponseWriter, hr *http.Request, refused http.Handler) {
	said := verdict{header: make(http.Header)}
	refused.ServeHTTP(&said, hr)
	r := &request{Request: hr}
	if s.o.Users != nil {
		r = s.identify(hr)
	}
	if allow := said.header.Get("Allow"); said.code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		s.fail(w, r, problemf(said.code, "", "There is no %s here. There is: %s.", hr.Method, allow))
		return
	}
	what := problemf(http.StatusNotFound, "", "There is no such page on this box.")
	if isCall(hr) {
		what = problemf(http.StatusNotFound, "", "There is no such call. /api/openapi.json lists those that there are.")
	}
	s.fail(w, r, what)
}

// verdict keeps what a handler answers, without its text.
type verdict struct {
	header http.Header
	code   int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v *verdict) WriteHeader(code int)        { v.code = code }

// begun notices that an answer has begun.
type begun struct {
	http.ResponseWriter
	yes bool
}

func (b *begun) WriteHeader(code int) {
	b.yes = true
	b.ResponseWriter.WriteHeader(code)
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController] and whoever takes the connection over.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// caught answers a request whose handler has panicked, which is a mistake of ours: the log
// says where, and whoever asked gets an answer, or notices that it is cut.
func (s *Server) caught(w *begun, r *http.Request, v any) {
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "err", v, "stack", string(debug.Stack()))
	if w.yes {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Encoding", "Content-Length", "Set-Cookie"} {
		h.Del(name)
	}
	s.fail(w, &request{Request: r}, problemf(http.StatusInternalServerError, "", "This could not be done; the log of the box says why."))
}
