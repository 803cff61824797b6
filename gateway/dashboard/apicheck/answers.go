package apicheck

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Description is the description of an API, to which answers are held.
type Description struct {
	compiler   *jsonschema.Compiler
	operations map[string]operation // by "GET /path"
}

// NewDescription reads a description in OpenAPI.
func NewDescription(t testing.TB, text []byte) *Description {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	d := &Description{compiler: jsonschema.NewCompiler(), operations: make(map[string]operation)}
	for _, o := range operationsOf(t, text) {
		d.operations[o.Method+" "+o.Path] = o
	}
	closeSchemas(doc)
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return d
}

// Check holds that an answer to a call, such as "GET /api/users/{name}", is as it is described:
// nothing that is required is missing, nothing has another type, and nothing is there of which
// the description says nothing.
func (d *Description) Check(t testing.TB, call string, a *http.Response, body []byte) {
	t.Helper()
	o, ok := d.operations[strings.ReplaceAll(call, "...}", "}")]
	if !ok {
		t.Errorf("%s is not described", call)
		return
	}
	status := strconv.Itoa(a.StatusCode)
	response, ok := o.Responses[status]
	if !ok {
		t.Errorf("%s: an answer %s is not described", call, status)
		return
	}
	if len(response.Content) == 0 && len(body) == 0 {
		return
	}
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		t.Errorf("%s: %v", call, err)
	}
	described := false
	for k := range response.Content {
		base, _, _ := strings.Cut(k, ";")
		described = described || base == kind
	}
	if !described {
		t.Errorf("%s: an answer as %s is not described", call, kind)
		return
	}
	if kind != "application/json" {
		return
	}
	where := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(o.Path)
	schema, err := d.compiler.Compile("openapi.json#/paths/" + where + "/" + strings.ToLower(o.Method) + "/responses/" + status + "/content/application~1json/schema")
	if err != nil {
		t.Errorf("%s: %v", call, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%s: %v", call, err)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v", call, err)
	}
}

// Answers asks a house for all that it tells, and holds that this is as it is described.
func (h *House) Answers(t *testing.T) {
	text := h.describe(t)
	d := NewDescription(t, text)
	for _, o := range operationsOf(t, text) {
		if o.Method != http.MethodGet {
			continue
		}
		a := h.do(t, request{method: "GET", path: h.path(&o) + h.Queries[o.Path]})
		if want, ok := h.Absent[o.Path]; ok && a.StatusCode == want {
			problemOf(t, a)
			continue
		}
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %.300s", a.what, a.StatusCode, a.body)
			continue
		}
		d.Check(t, o.Method+" "+o.Path, a.Response, a.body)
	}
}

// closeSchemas has schemas allow nothing that they do not describe.
func closeSchemas(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeSchemas(inner)
		}
	case []any:
		for _, inner := range v {
			closeSchemas(inner)
		}
	}
}
