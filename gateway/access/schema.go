package access

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const maxSchema = 64 << 10 // bytes of a schema file

// Schema is a JSON schema.
type Schema struct {
	name   string
	schema *jsonschema.Schema
	visits [maxDepth + 1]int // how often it looks at a value at most, by how many others that is in
}

// schemaFolder loads schemas from one folder, and from nowhere else: what a $ref names
// is neither fetched nor read from another folder.
type schemaFolder struct{ *os.Root }

const schemaBase = "file:///"

func (f schemaFolder) Load(address string) (any, error) {
	name, ok := strings.CutPrefix(address, schemaBase)
	if !ok {
		return nil, fmt.Errorf("schemas are read from the folder of the role file alone, not from %.100s", address)
	}
	name, err := url.PathUnescape(name)
	if err != nil || !plainName(name) {
		return nil, fmt.Errorf("%.100q is not a file in the folder of the role file", name)
	}
	info, err := f.Stat(name)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("%s: %w", name, e.Err)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("%s is not a file", name)
	}
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := readAll(file, name, maxSchema)
	if err != nil {
		return nil, err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s is no JSON: %w", name, err)
	}
	return v, nil
}

// plainName reports whether name is one of a file, not a path.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00")
}

// readSchema reads a schema from a folder.
func readSchema(folder *os.Root, name string) (*Schema, error) {
	if !plainName(name) {
		return nil, fmt.Errorf("%.100q is not the name of a file in the folder of the role file", name)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(schemaFolder{folder})
	c.UseRegexpEngine(compilePattern)
	s, err := c.Compile(schemaBase + url.PathEscape(name))
	if err != nil {
		return nil, schemaError(err)
	}
	v := visits{done: make(map[visit]int)}
	schema := &Schema{name: name, schema: s}
	for depth := range schema.visits {
		schema.visits[depth] = v.of(s, depth)
	}
	switch {
	case v.dynamic:
		return nil, fmt.Errorf("%s has $dynamicRef or $recursiveRef; right is $ref", name)
	case schema.visits[0] > maxVisits:
		return nil, fmt.Errorf("%s looks at one value more than %d times, or refers to itself in a circle", name, maxVisits)
	}
	return schema, nil
}

// schemaError leaves of an error what is wrong, in one line. The last line of many is about
// the innermost part.
func schemaError(err error) error {
	if e, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return e.Err
	}
	text := strings.TrimSpace(strings.ReplaceAll(err.Error(), schemaBase, ""))
	text = text[strings.LastIndexByte(text, '\n')+1:]
	return errors.New("this is no JSON schema: " + strings.TrimLeft(text, " -"))
}

// compilePattern compiles a pattern of a schema.
func compilePattern(text string) (jsonschema.Regexp, error) {
	if steps, err := patternSteps(text); err == nil && steps > maxRegexp {
		return nil, errors.New("the pattern is too large")
	}
	return regexp.Compile(text)
}

// holds reports whether a message fits the schema.
func (s *Schema) holds(m *examined) truth {
	c, err := m.json()
	if err != nil {
		return unknown
	}
	budget := maxLooks
	for depth, n := range c.count {
		if n == 0 {
			break
		}
		if budget -= n * s.visits[depth]; budget < 0 || s.visits[depth] > maxVisits {
			return unknown
		}
	}
	return truthOf(s.schema.Validate(c.value) == nil)
}

// What a schema looks at at most. A schema of a hundred lines can look at a value 2^30 times: each
// of its parts refers to the next one twice.
const (
	maxVisits = 1000   // at one value
	maxLooks  = 20_000 // at the values of a payload, together
)

// visits counts how often a schema may look at a value.
type visits struct {
	done    map[visit]int
	dynamic bool // it has references that are resolved only while looking
}

type visit struct {
	schema *jsonschema.Schema
	depth  int // of the value below the one that the schema is for
}

// of returns the count for the values at a depth; more than [maxVisits] is one more.
func (v *visits) of(s *jsonschema.Schema, depth int) int {
	if s == nil {
		return 0
	}
	at := visit{s, depth}
	if n, ok := v.done[at]; ok {
		return n
	}
	v.done[at] = maxVisits + 1 // for a circle
	v.dynamic = v.dynamic || s.DynamicRef != nil || s.RecursiveRef != nil

	n := 0
	same := []*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else}
	same = slices.Concat(same, s.AllOf, s.AnyOf, s.OneOf, slices.Collect(maps.Values(s.DependentSchemas)))
	for _, d := range s.Dependencies {
		d, _ := d.(*jsonschema.Schema)
		same = append(same, d)
	}
	for _, c := range same {
		n += v.of(c, depth)
	}
	if depth == 0 {
		n++
	} else {
		n += max(v.ofMembers(s, depth-1), v.ofItems(s, depth-1))
	}
	v.done[at] = min(n, maxVisits+1)
	return v.done[at]
}

// ofMembers is of for what s says about the members of an object.
func (v *visits) ofMembers(s *jsonschema.Schema, depth int) int {
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	n := v.of(s.PropertyNames, depth) + v.of(additional, depth) + v.of(s.UnevaluatedProperties, depth)
	for _, c := range s.PatternProperties {
		n += v.of(c, depth)
	}
	most := 0
	for _, c := range s.Properties {
		most = max(most, v.of(c, depth))
	}
	return n + most
}

// ofItems is of for what s says about the items of a list.
func (v *visits) ofItems(s *jsonschema.Schema, depth int) int {
	each, _ := s.Items.(*jsonschema.Schema)
	additional, _ := s.AdditionalItems.(*jsonschema.Schema)
	n := v.of(each, depth) + v.of(s.Items2020, depth) + v.of(additional, depth) +
		v.of(s.Contains, depth) + v.of(s.UnevaluatedItems, depth)
	positions, _ := s.Items.([]*jsonschema.Schema)
	most := 0
	for _, c := range slices.Concat(positions, s.PrefixItems) {
		most = max(most, v.of(c, depth))
	}
	return n + most
}
