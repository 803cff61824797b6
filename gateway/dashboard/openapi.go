package dashboard

import (
	"encoding"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// media is what a call takes or answers that is no JSON, by its media type.
type media string

// either is what a call answers in one of several media types.
type either []any

// object is one of JSON.
type object = map[string]any

// openAPI describes the API as OpenAPI 3.1, from the routes and the types that they take and
// answer with.
func (s *Server) openAPI() object {
	c := components{schemas: make(object)}
	paths := make(object)
	for _, rt := range s.calls() {
		method, where, _ := strings.Cut(rt.pattern, " ")
		where = strings.ReplaceAll(where, "...}", "}")
		operations, ok := paths[where].(object)
		if !ok {
			operations = make(object)
			paths[where] = operations
		}
		operations[strings.ToLower(method)] = c.operation(&rt)
	}
	problem := c.schema(reflect.TypeFor[Problem](), false)
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title":       "Lintel",
			"version":     s.o.Version,
			"description": apiAbout,
		},
		"servers": []any{object{"url": "/"}},
		"paths":   paths,
		"components": object{
			"schemas": c.schemas,
			"responses": object{
				"Problem": object{"description": "It was not done: a problem document says why.", "content": object{problemJSON: object{"schema": problem}}},
			},
			"securitySchemes": object{
				"token":   object{"type": "http", "scheme": "bearer", "description": "An API token."},
				"session": object{"type": "apiKey", "in": "cookie", "name": plainCookie, "description": "A session of the pages: POST /api/login. Over TLS its cookie is called " + tlsCookie + "."},
			},
		},
	}
}

// apiAbout is what is true of all calls.
const apiAbout = "What the pages of this box can do, for programs. Bodies are JSON with Content-Type: application/json, POST without anything to say too: {}. " +
	"Names of fields and parameters that a call does not know are refused, and a problem document (RFC 9457) names each. " +
	"The levels are viewer, operator and admin; each includes those before it."

// calls are the routes of the API.
func (s *Server) calls() (calls []route) {
	for _, rt := range s.routes() {
		if strings.Contains(rt.pattern, " /api/") {
			calls = append(calls, rt)
		}
	}
	return calls
}

var wildcard = regexp.MustCompile(`\{([a-z_]+)(\.\.\.)?\}`)

// operation describes a call.
func (c *components) operation(rt *route) object {
	method, where, _ := strings.Cut(rt.pattern, " ")
	part, _, _ := strings.Cut(strings.TrimPrefix(where, "/api/"), "/")
	o := object{
		"operationId": operationID(rt.pattern),
		"summary":     rt.about,
		"tags":        []any{strings.TrimSuffix(part, ".json")},
		"security":    []any{},
		"responses":   object{strconv.Itoa(rt.success()): c.response(rt, rt.success()), "default": object{"$ref": "#/components/responses/Problem"}},
	}
	if rt.later {
		o["responses"].(object)[strconv.Itoa(http.StatusAccepted)] = c.response(rt, http.StatusAccepted)
	}
	if rt.level != everybody {
		level := []any{string(rt.level)} // names of roles, OpenAPI 3.1 §4.8.30
		o["security"] = []any{object{"token": level}, object{"session": level}}
		o["description"] = "Takes the level " + string(rt.level) + "."
	}
	var parameters []any
	for _, m := range wildcard.FindAllStringSubmatch(where, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range rt.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.about + ".", "schema": c.schema(reflect.TypeOf(p.example), true), "example": p.example})
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if method != http.MethodGet && method != http.MethodDelete {
		o["requestBody"] = object{"required": true, "content": c.content(rt.input(), true), "x-max-bytes": rt.limit()}
	}
	return o
}

// input is what a call takes.
func (rt *route) input() any {
	switch {
	case rt.in != nil:
		return rt.in
	case rt.kind != "":
		return media(rt.kind)
	}
	return struct{}{}
}

// success is the status of an answer if all goes well.
func (rt *route) success() int {
	switch {
	case rt.done != 0:
		return rt.done
	case rt.out == nil:
		return http.StatusNoContent
	}
	return http.StatusOK
}

func (c *components) response(rt *route, status int) object {
	r := object{"description": http.StatusText(status)}
	if rt.out != nil {
		r["content"] = c.content(rt.out, false)
	}
	return r
}

// content describes a body.
func (c *components) content(v any, in bool) object {
	switch v := v.(type) {
	case media:
		return object{string(v): object{}}
	case either:
		all := make(object)
		for _, one := range v {
			maps.Copy(all, c.content(one, in))
		}
		return all
	case fields:
		return object{jsonType: object{"schema": v.schema()}}
	case form:
		properties := make(object)
		for _, f := range v {
			properties[f.name] = object{"type": "string", "description": f.about + "."}
			if f.file {
				properties[f.name] = object{"contentMediaType": "application/octet-stream", "description": f.about + "."}
			}
		}
		return object{multipartType: object{"schema": object{"type": "object", "properties": properties}}}
	}
	body := object{"schema": c.schema(reflect.TypeOf(v), in)}
	if !reflect.ValueOf(v).IsZero() {
		body["example"] = v
	}
	return object{jsonType: body}
}

// form is a multipart/form-data, its fields in their order.
type form []struct {
	name, about string
	file        bool
}

// operationID makes of "GET /api/users/{name}" the name getUsersByName.
func operationID(pattern string) string {
	method, where, _ := strings.Cut(pattern, " ")
	id := strings.ToLower(method)
	for part := range strings.FieldsFuncSeq(strings.TrimPrefix(where, "/api/"), func(c rune) bool { return strings.ContainsRune("/._-", c) }) {
		if m := wildcard.FindStringSubmatch(part); m != nil {
			id += "By"
			part = m[1]
		}
		id += strings.ToUpper(part[:1]) + part[1:]
	}
	return id
}

// components gathers the schemas of types that have a name.
type components struct {
	schemas object
}

// schema describes a type as a JSON schema (2020-12). What is taken is closed: names that
// mean nothing are refused. What is answered may have more in a later version.
func (c *components) schema(t reflect.Type, in bool) object {
	if known, ok := knownSchemas[t]; ok {
		return maps.Clone(known)
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return nullable(c.schema(t.Elem(), in))
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !t.Implements(reflect.TypeFor[json.Marshaler]()):
		return object{"type": "string", "contentEncoding": "base64"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return object{} // it writes what it wants
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": c.schema(t.Elem(), in)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": c.schema(t.Elem(), in)}
	case reflect.Struct:
		return c.structure(t, in)
	}
	return object{}
}

// structure describes a struct: one with a name as a component.
func (c *components) structure(t reflect.Type, in bool) object {
	name := t.Name()
	if name == "" {
		return c.properties(t, in)
	}
	if t.PkgPath() != reflect.TypeFor[Server]().PkgPath() {
		name = path.Base(t.PkgPath()) + "." + name
	}
	if in {
		name += ".in"
	}
	ref := object{"$ref": "#/components/schemas/" + name}
	if _, ok := c.schemas[name]; !ok {
		c.schemas[name] = object{} // one that has itself in it
		c.schemas[name] = c.properties(t, in)
	}
	return ref
}

func (c *components) properties(t reflect.Type, in bool) object {
	properties, required := make(object), []any{}
	for _, f := range fieldsOf(t) {
		properties[f.name] = c.schema(f.of, in)
		if in && f.required || !in && !f.omitted {
			required = append(required, f.name)
		}
	}
	s := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if in {
		s["additionalProperties"] = false
	}
	return s
}

// nullable allows null beside what a schema allows.
func nullable(s object) object {
	if name, ok := s["type"].(string); ok {
		s["type"] = []any{name, "null"}
		return s
	}
	if len(s) == 0 {
		return s // anything
	}
	return object{"anyOf": []any{s, object{"type": "null"}}}
}

// knownSchemas are of types whose JSON is not what their kind says.
var knownSchemas = map[reflect.Type]object{
	reflect.TypeFor[time.Time]():  {"type": "string", "format": "date-time"},
	reflect.TypeFor[slog.Level](): {"type": "string"},
}

// serveOpenAPI answers with the description, which holds nothing that is secret.
func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *request) {
	s.answer(w, http.StatusOK, s.openAPI())
}
