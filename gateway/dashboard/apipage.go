package dashboard

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// apiRoutes are what describes the API. It is for everybody, on a box that nobody has
// claimed too.
func (s *Server) apiRoutes() []route {
	return []route{
		{pattern: "GET /api", level: everybody, unclaimed: true, serve: s.apiPage},
		{pattern: "GET /api/openapi.json", level: everybody, unclaimed: true, serve: s.serveOpenAPI},
	}
}

// apiView is the page of the API.
type apiView struct {
	Frame    frame
	About    string
	Problems []apiProblem
	Parts    []apiPart
}

// apiPart is what begins with the same word.
type apiPart struct {
	Name  string
	Calls []apiCall
}

type apiCall struct {
	Method, Path, About string
	Level               string // empty: it is for everybody
	Query               []apiParameter
	In, Out             []string // media types, and fields where it is JSON
	Status              int
}

type apiParameter struct{ Name, About string }

type apiProblem struct{ ID, Type, About string }

func (s *Server) apiPage(w http.ResponseWriter, r *request) {
	v := apiView{Frame: s.frame(r, r.t("API")), About: apiAbout}
	for _, p := range problemKinds {
		_, id, _ := strings.Cut(p.Type, "#")
		v.Problems = append(v.Problems, apiProblem{id, p.Type, p.About})
	}
	for _, rt := range s.calls() {
		method, where, _ := strings.Cut(rt.pattern, " ")
		name, _, _ := strings.Cut(strings.TrimPrefix(where, "/api/"), "/")
		i := slices.IndexFunc(v.Parts, func(p apiPart) bool { return p.Name == name })
		if i < 0 {
			i = len(v.Parts)
			v.Parts = append(v.Parts, apiPart{Name: name})
		}
		call := apiCall{Method: method, Path: where, About: rt.about, Level: string(rt.level), Status: rt.success(), Out: bodyLines(rt.out)}
		if method != http.MethodGet && method != http.MethodDelete {
			call.In = bodyLines(rt.input())
		}
		for _, p := range rt.query {
			call.Query = append(call.Query, apiParameter{p.name, p.about})
		}
		v.Parts[i].Calls = append(v.Parts[i].Calls, call)
	}
	slices.SortFunc(v.Parts, func(a, b apiPart) int { return strings.Compare(a.Name, b.Name) })
	s.show(w, r, http.StatusOK, "api.html", v)
}

// bodyLines tells a body in few words: a media type, or the fields of the JSON.
func bodyLines(v any) (lines []string) {
	switch v := v.(type) {
	case nil:
		return nil
	case media:
		return []string{string(v)}
	case either:
		for _, one := range v {
			lines = append(lines, bodyLines(one)...)
		}
		return lines
	case form:
		line := multipartType + ":"
		for _, f := range v {
			line += " " + f.name
		}
		return []string{line}
	case fields:
		var names []string
		for _, f := range v {
			names = append(names, strconv.Quote(f.name))
		}
		return []string{"{" + strings.Join(names, ", ") + "}"}
	}
	t := reflect.TypeOf(v)
	if t.Kind() != reflect.Struct {
		return []string{jsonType}
	}
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, strconv.Quote(f.name))
	}
	return []string{"{" + strings.Join(names, ", ") + "}"}
}
