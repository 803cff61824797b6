package dashboard

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi-validator/schema_validation"

	"lintel/gateway/dashboard/apicheck"
	"lintel/gateway/homeassistant"
)

// TestCallsAreDescribed holds that each call is described, by what the sources say: what a
// box has depends on its options.
func TestCallsAreDescribed(t *testing.T) {
	described := describedCalls()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range sources {
		if strings.HasSuffix(file, "_test.go") || file == "apicalls.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
		for _, m := range regexp.MustCompile(`"((?:GET|POST|PUT|PATCH|DELETE) /api/[^"]*[^"/])"`).FindAllStringSubmatch(string(text), -1) {
			if described[m[1]].about == "" {
				t.Errorf("%s: %s is not described: put it into apicalls.go", file, m[1])
			}
		}
	}
	acts := zigbeeActs()
	for pattern, c := range described {
		isAct := slices.ContainsFunc(acts, func(a zigbeeAct) bool { return pattern == "POST /api/zigbee/"+a.name })
		if !isAct && pattern != "POST /api"+homeassistant.CallbackPath && !strings.Contains(all.String(), `"`+pattern+`"`) {
			t.Errorf("%s is described, and is not there", pattern)
		}
		if c.about == "" || strings.HasSuffix(c.about, ".") {
			t.Errorf("%s: %q is to be a sentence without its point", pattern, c.about)
		}
	}
	ids := make(map[string]string)
	for pattern := range described {
		id := operationID(pattern)
		if other, ok := ids[id]; ok {
			t.Errorf("%s and %s are both called %s", pattern, other, id)
		}
		ids[id] = pattern
	}
	for _, rt := range New(newAPI(t).o).calls() {
		if rt.about == "" {
			t.Errorf("%s is not described: put it into apicalls.go", rt.pattern)
		}
	}
}

// openAPIOf asks a house for its description.
func (g *gate) openAPI() (text []byte, doc map[string]any) {
	g.t.Helper()
	a := g.want(200, browse{path: "/api/openapi.json"})
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		g.t.Fatal(err)
	}
	return []byte(a.body), doc
}

// TestOpenAPI has a validator that is not ours judge the description, on a box that nobody
// has claimed too.
func TestOpenAPI(t *testing.T) {
	for name, g := range map[string]*gate{"claimed": newAPI(t), "unclaimed": newBox(t)} {
		text, _ := g.openAPI()
		document, err := libopenapi.NewDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		model, err := document.BuildV3Model()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := model.Model.Paths.PathItems.Len(); n < 30 {
			t.Errorf("%s: %d paths", name, n)
		}
		if ok, problems := schema_validation.ValidateOpenAPIDocument(document); !ok {
			for _, p := range problems {
				t.Errorf("%s: %s: %s", name, p.Message, p.Reason)
				for _, e := range p.SchemaValidationErrors {
					t.Errorf("%s: %+v", name, e)
				}
			}
		}
	}
}

// apiHouse is the house of newAPI, with what is there.
func (g *gate) apiHouse() *apicheck.House {
	return &apicheck.House{URL: g.url, Token: g.secrets["admin"],
		Paths: map[string]string{
			"/api/users/{name}":                        "/api/users/admin",
			"/api/devices/{id}":                        "/api/devices/dsmr_1",
			"/api/devices/{id}/history":                "/api/devices/dsmr_1/history",
			"/api/devices/{id}/set":                    "/api/devices/dsmr_1/set",
			"/api/zigbee/devices/{ieee}":               "/api/zigbee/devices/" + known.String(),
			"/api/zigbee/learn/{ieee}":                 "/api/zigbee/learn/" + stranger.String(),
			"/api/zigbee/learn/{ieee}/definition.toml": "/api/zigbee/learn/" + stranger.String() + "/definition.toml",
		},
		Queries: map[string]string{
			"/api/explain":              "?user=admin&action=publish&topic=a",
			"/api/devices/{id}/history": "?property=power",
			"/api/capture":              "?stick=0403_6001_A1&seconds=1",
		},
		Absent: map[string]int{"/api/clients/{id}": 404, "/api/retained/{topic}": 404, "/api/trace": 400, "/api/roles/{name}": 404, "/api/zigbee/map": 404, "/api/zigbee/acts/{id}": 404, "/api/zigbee/devices/{ieee}": 404},
	}
}

func TestAnswersAreAsDescribed(t *testing.T) { newAPI(t).apiHouse().Answers(t) }

func TestBadInputIsRefused(t *testing.T) { newAPI(t).apiHouse().Refusals(t) }

func TestSchemaOf(t *testing.T) {
	c := components{schemas: make(object)}
	got, err := json.Marshal([]any{c.schema(reflect.TypeFor[nested](), true), c.schemas})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"$ref":"#/components/schemas/nested.in"},{"nested.in":{"additionalProperties":false,"properties":{` +
		`"At":{"format":"date-time","type":"string"},"count":{"type":"integer"},"data":{"contentEncoding":"base64","type":"string"},` +
		`"free":{"additionalProperties":{},"type":"object"},"id":{"minimum":0,"type":"integer"},` +
		`"list":{"items":{"$ref":"#/components/schemas/nestedItem.in"},"type":"array"},"map":{"additionalProperties":{},"type":"object"},` +
		`"maybe":{"type":["string","null"]},"name":{"type":"string"},"on":{"type":"boolean"},"share":{"type":"number"},` +
		`"until":{"format":"date-time","type":["string","null"]}},"required":["name"],"type":"object"},` +
		`"nestedItem.in":{"additionalProperties":false,"properties":{"id":{"minimum":0,"type":"integer"},"name":{"type":"integer"}},"type":"object"}}]`
	if string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
