package dashboard

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// templateText finds the keys of the catalogue in templates.
var templateText = regexp.MustCompile(`\b(?:t|rich) ("(?:[^"\\]|\\.)*")`)

// templateCount finds the pairs of keys for one and for many.
var templateCount = regexp.MustCompile(`\bn [^"{}]+ ("[^"]*") ("[^"]*")`)

// textFunctions are what takes keys of the catalogue, and as which arguments.
var textFunctions = map[string][]int{"t": {0}, "translate": {1}, "wrong": {1}, "problemf": {2}, "refuse": {3}, "say": {0}, "several": {1, 2}}

// usedTexts returns the keys that templates, modules and Go files use, and where.
func usedTexts(t *testing.T) map[string]string {
	used := make(map[string]string)
	add := func(where, quoted string) {
		key, err := strconv.Unquote(quoted)
		if err != nil {
			t.Errorf("%s: %s: %v", where, quoted, err)
		}
		used[key] = where
	}
	files, err := fs.Glob(pageFiles, "html/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := pageFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range templateText.FindAllStringSubmatch(string(data), -1) {
			add(file, m[1])
		}
		for _, m := range templateCount.FindAllStringSubmatch(string(data), -1) {
			add(file, m[1])
			add(file, m[2])
		}
	}
	for name, source := range modules() {
		for _, m := range moduleText.FindAllStringSubmatch(string(source), -1) {
			add(name, m[1])
		}
	}
	for _, s := range sections {
		used[s.Name] = "frame.go"
		for _, p := range s.Pages {
			used[p.Name] = "frame.go"
		}
	}
	for _, words := range allWords {
		for _, key := range words {
			used[key] = "words.go"
		}
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	judged, err := filepath.Glob("../checks/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(sources, judged...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			var name string
			switch f := call.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			for _, i := range textFunctions[name] {
				if i >= len(call.Args) {
					continue
				}
				if text, ok := call.Args[i].(*ast.BasicLit); ok && text.Kind == token.STRING {
					add(file, text.Value)
				}
			}
			return true
		})
	}
	return used
}

// wordless are texts in which nothing is to be translated.
func wordless(key string) bool {
	return !regexp.MustCompile(`\pL`).MatchString(verb.ReplaceAllString(key, ""))
}

var verb = regexp.MustCompile(`%%|%[-+# 0]*[0-9]*(?:\.[0-9]+)?[a-zA-Z]`)

// TestCatalogue holds that all that a page says of itself is there in all languages.
func TestCatalogue(t *testing.T) {
	used := usedTexts(t)
	for _, l := range languages[1:] {
		for _, key := range slices.Sorted(maps.Keys(used)) {
			if _, ok := catalogues[l.Code][key]; !ok && !wordless(key) {
				t.Errorf("%s of %s: no %q", l.Code, used[key], key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(catalogues[l.Code])) {
			text := catalogues[l.Code][key]
			if _, ok := used[key]; !ok {
				t.Errorf("%s: nobody says %q", l.Code, key)
			}
			want, got := verb.FindAllString(key, -1), verb.FindAllString(text, -1)
			if !slices.Equal(want, got) {
				t.Errorf("%s: %q takes %q, and %q takes %q", l.Code, key, want, text, got)
			}
		}
	}
}

// TestOneTranslation holds that a text which several parts of the pages use is the same in
// each: which file counts would be by chance.
func TestOneTranslation(t *testing.T) {
	for _, l := range languages[1:] {
		files, err := fs.Glob(textFiles, "text/"+l.Code+"/*.json")
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files of %s: %v", len(files), l.Code, err)
		}
		for _, file := range files {
			data, err := textFiles.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var texts map[string]string
			if err := json.Unmarshal(data, &texts); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for key, text := range texts {
				if catalogues[l.Code][key] != text {
					t.Errorf("%s: %q is %q, and elsewhere %q", file, key, text, catalogues[l.Code][key])
				}
			}
		}
	}
}

// TestNoBareText holds that a template says nothing past the catalogue.
func TestNoBareText(t *testing.T) {
	files, err := fs.Glob(pageFiles, "html/*.html")
	if err != nil {
		t.Fatal(err)
	}
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	tag := regexp.MustCompile(`(?s)<[^>]*>`)
	quiet := regexp.MustCompile(`(?s)<(code|title)\b[^>]*>.*?</(?:code|title)>|&[a-z]+;|<!--.*?-->`)
	said := regexp.MustCompile(`\b(?:placeholder|aria-label|alt|title|data-confirm)="([^"]*\pL[^"]*)"`)
	for _, file := range files {
		data, err := pageFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := quiet.ReplaceAllString(action.ReplaceAllString(string(data), ""), "")
		for _, m := range said.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(units, m[1]) {
				t.Errorf("%s: %q is not in the catalogue", file, m[1])
			}
		}
		for line := range strings.Lines(tag.ReplaceAllString(text, "\n")) {
			if line = strings.TrimSpace(line); len(line) > 2 && strings.ContainsFunc(line, func(c rune) bool { return 'a' <= c && c <= 'z' }) && !slices.Contains(units, line) {
				t.Errorf("%s: %q is not in the catalogue", file, line)
			}
		}
	}
}

// units are words that are the same in all languages.
var units = []string{"min", "kB", "MB", "JSON", "Lintel", "MQTT", "Zigbee", "MQTT.", "ms", "dBm",
	"homeassistant.local", "http://homeassistant.local:8123"}

func TestCounted(t *testing.T) {
	for count, want := range map[any]string{0: "0 readings.", 1: "1 reading.", uint64(1): "1 reading.", 1234: "1\u2009234 readings."} {
		if got := counted(english, formatCount(count), "%s reading.", "%s readings."); got != want {
			t.Errorf("%v: %s, want %s", count, got, want)
		}
	}
	if got := counted("de", "1", "once", "%s times"); got != "einmal" {
		t.Error(got)
	}
}

func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{"": "en", "de": "de", "de-AT,en;q=0.5": "de", "en-US,en;q=0.9,de;q=0.8": "en",
		"fr,de;q=0.3,en;q=0.2": "de", "fr": "en", "de;q=x, en": "en", "DE": "de", ";;q=,": "en", "de;q=0": "en"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", header)
		if got := languageOf(r); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	if got := string(rich("de", "%s to %s", code(`<a>`), `"<b>"`)); got != `<code>&lt;a&gt;</code> bis &#34;&lt;b&gt;&#34;` {
		t.Errorf("rich: %s", got)
	}
}

func TestChooseLanguage(t *testing.T) {
	g := newGate(t)
	choose := func(language, next string, want int) answered {
		return g.want(want, browse{path: "/language", form: url.Values{"language": {language}, "next": {next}}})
	}
	choose("xx", "/users", 400)
	for next, want := range map[string]string{"/users?q=a": "/users?q=a", "//evil.example": "/", "": "/", "https://evil.example/": "/"} {
		a := choose("de", next, 303)
		if c := a.Cookies(); a.location() != want || len(c) != 1 || c[0].Value != "de" || !c[0].HttpOnly {
			t.Errorf("%q leads to %q with %+v", next, a.location(), c)
		}
	}
}
