package settings

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"lintel/gateway/tomllines"
)

// Parse parses text, which came from the file called name.
func Parse(name, text string) (Config, error) {
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			return Default(), fmt.Errorf("%s:%d: %s", name, pe.Position.Line, pe.Message)
		}
		return Default(), fmt.Errorf("%s: %w", name, err)
	}
	lines := tomllines.Of(text)
	if ps := checkTree(tree, reflect.TypeFor[Config](), "", allKeys); len(ps) > 0 {
		return Default(), located(name, lines, ps)
	}
	c := Default()
	if _, err := toml.Decode(text, &c); err != nil {
		return Default(), fmt.Errorf("%s: %w", name, err)
	}
	if ps := c.problems(); len(ps) > 0 {
		return Default(), located(name, lines, ps)
	}
	return c, nil
}

// CheckFile says why the box would not start with a file of its data folder: if it is a
// configuration with a mistake.
func CheckFile(name string, text []byte) error {
	if name != DefaultFile {
		return nil
	}
	_, err := Parse(name, string(text))
	return err
}

// located joins problems to one error, in the order of the file.
func located(name string, lines map[string]int, ps []problem) error {
	line := func(p problem) int {
		for key := p.key; key != ""; key = parentKey(key) {
			if n, ok := lines[key]; ok {
				return n
			}
		}
		return 1
	}
	slices.SortStableFunc(ps, func(a, b problem) int {
		return cmp.Or(cmp.Compare(line(a), line(b)), strings.Compare(a.key, b.key))
	})
	var errs []error
	for _, p := range ps[:min(len(ps), 20)] {
		what := p.key + ": " + p.text
		if p.key == "" || strings.HasPrefix(p.text, "unknown key") {
			what = p.text
		}
		errs = append(errs, fmt.Errorf("%s:%d: %s", name, line(p), what))
	}
	return errors.Join(errs...)
}

// checkTree compares what the file holds with the type it goes into. The toml
// package would do so too, but stops at an error that depends on the order of
// a map, and gives no line for a key that it does not know.
func checkTree(value any, t reflect.Type, key string, known []string) []problem {
	wrong := func(right string) []problem {
		return []problem{{key, fmt.Sprintf("is %s; right is %s", kindOf(value), right)}}
	}
	if t == reflect.TypeFor[slog.Level]() {
		var l slog.Level
		if s, ok := value.(string); !ok || l.UnmarshalText([]byte(s)) != nil {
			return []problem{{key, fmt.Sprintf("%v is not a level; right are debug, info, warn and error", value)}}
		}
		return nil
	}
	if t == reflect.TypeFor[time.Duration]() {
		text, ok := value.(string)
		if !ok {
			return wrong("a text such as \"20ms\" or \"10m\"")
		}
		if _, err := time.ParseDuration(text); err != nil {
			return []problem{{key, fmt.Sprintf("%q is no duration; right is one such as \"20ms\" or \"10m\"", text)}}
		}
		return nil
	}
	if t.Kind() == reflect.Pointer { // nil where the file says nothing
		return checkTree(value, t.Elem(), key, known)
	}
	if u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
		text, ok := value.(string)
		if !ok {
			return wrong("a text in quotes")
		}
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return []problem{{key, err.Error()}}
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		table, ok := value.(map[string]any)
		if !ok {
			return wrong("a table, [" + key + "]")
		}
		var ps []problem
		for name, v := range table {
			sub := joinKey(key, name)
			if f, ok := fieldOf(t, name); ok {
				ps = append(ps, checkTree(v, f.Type, sub, known)...)
				continue
			}
			text := fmt.Sprintf("unknown key %q", sub)
			if n := nearest(indices.ReplaceAllString(sub, ""), known); n != "" {
				text += fmt.Sprintf("; did you mean %q?", n)
			}
			ps = append(ps, problem{sub, text})
		}
		return ps
	case reflect.Slice:
		list := reflect.ValueOf(value)
		if list.Kind() != reflect.Slice {
			return wrong("a list of " + plural(t.Elem()))
		}
		var ps []problem
		for i := range list.Len() {
			ps = append(ps, checkTree(list.Index(i).Interface(), t.Elem(), fmt.Sprintf("%s[%d]", key, i), known)...)
		}
		return ps
	case reflect.Map: // of texts
		table, ok := value.(map[string]any)
		if !ok {
			return wrong("a table, such as { \":1883\" = \"viewer\" }")
		}
		var ps []problem
		for name, v := range table {
			ps = append(ps, checkTree(v, t.Elem(), joinKey(key, name), known)...)
		}
		return ps
	case reflect.String:
		if _, ok := value.(string); !ok {
			return wrong("a text in quotes")
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			return wrong("true or false")
		}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		n, ok := value.(int64)
		if !ok {
			return wrong("a whole number")
		}
		if t.Kind() == reflect.Int && int64(int(n)) != n {
			return wrong("a smaller number")
		}
		if t.Kind() == reflect.Uint64 && n < 0 {
			return wrong("a number from 0 on")
		}
	case reflect.Float64:
		switch value.(type) {
		case int64, float64:
		default:
			return wrong("a number")
		}
	}
	return nil
}

var indices = regexp.MustCompile(`\[\d+\]`)

func plural(t reflect.Type) string {
	if t.Kind() == reflect.Struct {
		return "tables, such as [{path = \"/dev/ttyUSB0\", protocol = \"dsmr\"}]"
	}
	return "texts, such as [\":1883\"]"
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a text"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case map[string]any:
		return "a table"
	case []any, []map[string]any:
		return "a list"
	}
	return "a date"
}

func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if f.Tag.Get("toml") == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// allKeys are those of lintel.toml.
var allKeys = knownKeys(reflect.TypeFor[Config](), "")

// knownKeys lists the paths of all keys below t, tables included.
func knownKeys(t reflect.Type, key string) []string {
	var keys []string
	for f := range t.Fields() {
		sub := joinKey(key, f.Tag.Get("toml"))
		keys = append(keys, sub)
		ft := f.Type
		if ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && !reflect.PointerTo(ft).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			keys = append(keys, knownKeys(ft, sub)...)
		}
	}
	return keys
}

// nearest returns the known key that was probably meant: the smallest edit
// distance over the whole path, or the same last name in another table. It is
// empty if nothing is near.
func nearest(key string, known []string) string {
	best, bound := "", max(3, len(key)/3)+1
	for _, k := range known {
		d := editDistance(key, k)
		if lastName(k) == lastName(key) {
			d = min(d, 2)
		}
		if d < bound {
			best, bound = k, d
		}
	}
	return best
}

func lastName(key string) string {
	return key[strings.LastIndexByte(key, '.')+1:]
}

// editDistance counts insertions, deletions and replacements of bytes.
func editDistance(a, b string) int {
	if len(a) > 100 { // nobody means a key by this; bounds the work
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// plainKey takes spaces and quotes off a dotted key.
func plainKey(key string) string {
	return strings.NewReplacer(" ", "", "\t", "", `"`, "", "'", "").Replace(key)
}
