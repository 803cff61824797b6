package apicheck

import (
	"bytes"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Answers asks a house for all that it tells, and holds that this is as it is described:
// nothing that is required is missing, nothing has another type, and nothing is there of which
// the description says nothing.
func (h *House) Answers(t *testing.T) {
	doc, operations := h.Describe(t)
	closeSchemas(doc)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	for _, o := range operations {
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
		kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if err != nil {
			t.Errorf("%s: %v", a.what, err)
		}
		described := false
		for k := range o.Responses["200"].Content {
			base, _, _ := strings.Cut(k, ";")
			described = described || base == kind
		}
		if !described {
			t.Errorf("%s: an answer as %s is not described", a.what, kind)
		}
		if kind != "application/json" {
			continue
		}
		where := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(o.Path)
		schema, err := compiler.Compile("openapi.json#/paths/" + where + "/get/responses/200/content/application~1json/schema")
		if err != nil {
			t.Errorf("%s: %v", o.Path, err)
			continue
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", a.what, err)
		}
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
