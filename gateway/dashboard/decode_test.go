package dashboard

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// nested is a body with something of everything.
type nested struct {
	Name     string  `json:"name" api:"required"`
	Count    int8    `json:"count"`
	Share    float32 `json:"share"`
	On       bool    `json:"on"`
	Maybe    *string `json:"maybe"`
	At       time.Time
	Until    *time.Time     `json:"until"`
	List     []nestedItem   `json:"list"`
	Map      map[int64]any  `json:"map"`
	Free     map[string]any `json:"free"`
	Data     []byte         `json:"data"`
	Internal string         `json:"-"`
	nestedItem
}

type nestedItem struct {
	ID   uint8 `json:"id"`
	Name int   `json:"name"` // hidden by what it is in
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	deep := func(n int) string {
		return `{"name":"x","free":{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`
	}
	for text, want := range map[string]string{
		`{"name":"x","count":-128,"share":1e3,"on":true,"maybe":null,"At":"2026-11-22T00:00:00Z","until":null,"list":[{"id":1}],"map":{"-3":[1]},"free":{"a":null},"data":"AA==","id":255}`: "",
		deep(30):                        "",
		`{"name":"x","list":null}`:      "",
		``:                              "#",
		` `:                             "#",
		`{`:                             "#",
		`{"name":`:                      "#/name",
		`{"name":"x"`:                   "#/name",
		`nul`:                           "#",
		`null`:                          "#",
		`[]`:                            "#",
		`"x"`:                           "#",
		`7`:                             "#",
		`{}`:                            "#/name",
		`{"name":"x"} {}`:               "#",
		`{"name":"x"}x`:                 "#/name",
		`{"name":"x","name":"y"}`:       "#/name",
		`{"name":null}`:                 "#/name",
		`{"name":7}`:                    "#/name",
		`{"name":{}}`:                   "#/name",
		`{"name":"x","NAME":"y"}`:       "#/NAME",
		`{"name":"x","Internal":"y"}`:   "#/Internal",
		`{"name":"x","-":"y"}`:          "#/-",
		`{"name":"x","a/b~ é":1}`:       "#/a~1b~0%20%C3%A9",
		`{"name":"x","count":128}`:      "#/count",
		`{"name":"x","count":1.0}`:      "#/count",
		`{"name":"x","count":"1"}`:      "#/count",
		`{"name":"x","share":1e300}`:    "#/share",
		`{"name":"x","on":"true"}`:      "#/on",
		`{"name":"x","maybe":7}`:        "#/maybe",
		`{"name":"x","At":"yesterday"}`: "#/At",
		`{"name":"x","until":7}`:        "#/until",
		`{"name":"x","list":{}}`:        "#/list",
		`{"name":"x","list":[{"id":1},{"id":256},{"ID":1}]}`: "#/list/1/id #/list/2/ID",
		`{"name":"x","map":{"a":1}}`:                         "#/map/a",
		`{"name":"x","map":[]}`:                              "#/map",
		`{"name":"x","data":"*"}`:                            "#/data",
		`{"on":1,"id":-1}`:                                   "#/on #/id #/name",
		"{\"name\":\"\xff\"}":                                "#",
		deep(40):                                             "#/free/a" + strings.Repeat("/0", 31),
		strings.Repeat("[", 4000):                            "#" + strings.Repeat("/0", 33),
		`{"name":"x","` + strings.Repeat("n", 500) + `":1}`:  "#",
	} {
		var v nested
		err := decodeJSON([]byte(text), &v)
		var got []string
		if p, ok := errors.AsType[*problem](err); ok {
			for _, e := range p.inputs {
				got = append(got, e.Pointer)
				if !strings.HasSuffix(e.Detail, ".") {
					t.Errorf("%s: %q is no sentence", text, e.Detail)
				}
			}
			if p.code != 400 || len(p.Error()) > 1000 {
				t.Errorf("%s: %d %s", text, p.code, p)
			}
		} else if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		// What is too deep is nothing that anybody could send by mistake, and is told once.
		if strings.HasPrefix(text, "[[") {
			got = got[len(got)-1:]
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%.100s: %q, want %q: %v", text, got, want, err)
		}
	}
}

// A body with many mistakes is answered with a few.
func TestDecodeListsAFew(t *testing.T) {
	body := `{"name":"x"` + strings.Repeat(`,"a":1`, 5000) + `}`
	p, ok := errors.AsType[*problem](decodeJSON([]byte(body), new(nested)))
	if !ok || len(p.inputs) != maxInputErrors {
		t.Errorf("%v", p)
	}
}

// What is taken is what encoding/json makes of it, and it takes no less strictly.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"x","count":1,"list":[{"id":1}],"map":{"1":2},"free":{"a":[1]},"until":"2026-11-22T00:00:00Z"}`))
	f.Add([]byte(`{"name":"x","name":"y"}`))
	f.Add([]byte("{\"name\":\"\xff\"} {}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var v, want nested
		err := decodeJSON(body, &v)
		if p, ok := errors.AsType[*problem](err); ok {
			if len(p.inputs) == 0 || len(p.inputs) > maxInputErrors || !utf8.ValidString(p.Error()) {
				t.Errorf("%q: %+v", body, p)
			}
			for _, e := range p.inputs {
				if !strings.HasPrefix(e.Pointer, "#") || len(e.Pointer) > maxNamed {
					t.Errorf("%q: %+v", body, e)
				}
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(v, want) {
			t.Errorf("%q: %+v, want %+v: %v", body, v, want, err)
		}
		if !utf8.Valid(body) {
			t.Errorf("%q is no UTF-8", body)
		}
	})
}
