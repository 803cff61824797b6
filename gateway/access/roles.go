package access

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"lintel/gateway/mqtt"
	"lintel/gateway/tomllines"
)

// What a role file holds at most.
const (
	maxRoleFile = 64 << 10 // bytes

	maxRoles    = 100
	maxRules    = 1000 // of all roles together
	maxTopics   = 100  // of a rule
	maxSchemas  = 20
	maxMistakes = 20 // that are told of at once
)

// parseRoles reads a role file. name is its path: schemas are read from its folder.
// The error has a line for each mistake, with its place in the file and what is right;
// there are no roles then.
//
//	[[role]]
//	name = "sensors"
//
//	[[role.rule]]
//	deny = "publish"             # or allow; publish, subscribe, receive or a list of them, or all
//	topic = "sensors/%u/config"  # or a list
//	retain = true                # matches only retained messages
//
//	[[role.rule]]
//	allow = "publish"
//	topic = "sensors/%u/#"
//	qos = [0, 1]
//	payload = {max_size = 1000, json = true, schema = "sensor.json", where = "payload.t < 85"}
//
// The keys are those of [Rule] and [Content]. The rules of a role are asked in the order
// of the file.
func parseRoles(name string, text []byte) ([]Role, error) {
	if len(text) > maxRoleFile {
		return nil, fmt.Errorf("%s: larger than %d KiB", name, maxRoleFile>>10)
	}
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err != nil {
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			return nil, &RoleFileError{Name: name, Mistakes: []Mistake{{Line: pe.Position.Line, Text: pe.Message}}}
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f := roleFile{name: name, lines: tomllines.Of(string(text)), schemas: make(map[string]*Schema)}
	defer f.close()
	roles := f.roles(tree)
	if len(f.mistakes) > 0 {
		return nil, f.err()
	}
	return roles, nil
}

// roleFile is a role file that is being read.
type roleFile struct {
	name     string
	lines    map[string]int
	mistakes []Mistake
	rules    int

	folder  *os.Root // nil: not opened yet
	schemas map[string]*Schema
}

// wrong notes a mistake at a path.
func (f *roleFile) wrong(path, format string, args ...any) {
	f.mistakes = append(f.mistakes, Mistake{Line: f.line(path), Text: fmt.Sprintf(format, args...)})
}

// line returns the line of a path or of what it is in.
func (f *roleFile) line(path string) int {
	for ; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
		if n, ok := f.lines[path]; ok {
			return n
		}
	}
	return 1
}

// err joins the mistakes in the order of the file.
func (f *roleFile) err() error {
	slices.SortStableFunc(f.mistakes, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
	e := &RoleFileError{Name: f.name, Mistakes: f.mistakes}
	if e.More = max(len(f.mistakes)-maxMistakes, 0); e.More > 0 {
		e.Mistakes = f.mistakes[:maxMistakes]
	}
	return e
}

func (f *roleFile) close() {
	if f.folder != nil {
		f.folder.Close()
	}
}

// keys notes keys of a table that are not known.
func (f *roleFile) keys(table map[string]any, path string, known ...string) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if !slices.Contains(known, key) {
			f.wrong(strings.TrimPrefix(path+"."+key, "."), "unknown key %q; right is %s", key, oneOf(known))
		}
	}
}

// oneOf lists words: "a", "a or b", "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// tables returns a list of tables.
func (f *roleFile) tables(v any, path, right string) []map[string]any {
	var list []map[string]any
	switch v := v.(type) {
	case []map[string]any:
		return v
	case []any:
		for _, e := range v {
			if t, ok := e.(map[string]any); ok {
				list = append(list, t)
			}
		}
		if len(list) == len(v) {
			return list
		}
	}
	f.wrong(path, "%s: right is %s", path[strings.LastIndexByte(path, '.')+1:], right)
	return nil
}

func (f *roleFile) roles(tree map[string]any) []Role {
	f.keys(tree, "", "role")
	if tree["role"] == nil {
		return nil
	}
	tables := f.tables(tree["role"], "role", "[[role]], once for each role")
	if len(tables) > maxRoles {
		f.wrong(fmt.Sprintf("role[%d]", maxRoles), "there are more than %d roles", maxRoles)
		return nil
	}
	var roles []Role
	lines := make(map[string]int)
	for _, r := range BuiltIn("") {
		lines[r.Name] = 0
	}
	for i, t := range tables {
		path := fmt.Sprintf("role[%d]", i)
		r := f.role(t, path)
		if line, twice := lines[r.Name]; twice && line > 0 {
			f.wrong(path+".name", "there is a role %q in line %d already", r.Name, line)
		} else if twice {
			f.wrong(path+".name", "the role %q is built in; choose another name", r.Name)
		} else if r.Name != "" {
			lines[r.Name] = f.line(path + ".name")
		}
		roles = append(roles, r)
	}
	return roles
}

func (f *roleFile) role(t map[string]any, path string) Role {
	f.keys(t, path, "name", "rule")
	var r Role
	switch name, ok := t["name"].(string); {
	case t["name"] == nil:
		f.wrong(path, `the role has no name; right is name = "sensors"`)
	case !ok:
		f.wrong(path+".name", `the name is not a text; right is name = "sensors"`)
	default:
		if err := checkRoleName(name); err != nil {
			f.wrong(path+".name", "%v", err)
		}
		r.Name = name
	}
	if t["rule"] == nil {
		return r // it may do nothing
	}
	for i, t := range f.tables(t["rule"], path+".rule", "[[role.rule]], once for each rule") {
		if f.rules++; f.rules > maxRules {
			if f.rules == maxRules+1 {
				f.wrong(fmt.Sprintf("%s.rule[%d]", path, i), "there are more than %d rules", maxRules)
			}
			break
		}
		r.Rules = append(r.Rules, f.rule(t, fmt.Sprintf("%s.rule[%d]", path, i)))
	}
	return r
}

func (f *roleFile) rule(t map[string]any, path string) Rule {
	f.keys(t, path, "allow", "deny", "topic", "qos", "retain", "payload")
	r := Rule{Place: fmt.Sprintf("%s:%d", filepath.Base(f.name), f.line(path))}
	before := len(f.mistakes)
	allow, deny := t["allow"], t["deny"]
	switch {
	case allow != nil && deny != nil:
		f.wrong(path+".deny", "a rule has allow or deny, not both")
	case allow != nil:
		r.Actions = f.actions(allow, path+".allow")
	case deny != nil:
		r.Deny = true
		r.Actions = f.actions(deny, path+".deny")
	default:
		f.wrong(path, `the rule has neither allow nor deny; right is allow = "publish"`)
	}
	r.Topics = f.topics(t, path)
	if v := t["qos"]; v != nil {
		r.QoS = f.qos(v, path+".qos")
	}
	if v := t["retain"]; v != nil {
		retain, ok := v.(bool)
		if !ok {
			f.wrong(path+".retain", "retain: right is retain = true or false")
		}
		r.Retain = &retain
	}
	if v := t["payload"]; v != nil {
		r.Content = f.content(v, path+".payload")
	}
	if len(f.mistakes) == before {
		if err := r.validate(); err != nil {
			f.wrong(path, "%v", err)
		}
	}
	return r
}

// texts returns a text, or a list of them.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		var list []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, len(list) > 0
	}
	return nil, false
}

func (f *roleFile) actions(v any, path string) []Action {
	const right = `right is "publish", "subscribe", "receive", a list of them, or "all"`
	words, ok := texts(v)
	if !ok {
		f.wrong(path, right)
	}
	var list []Action
	for _, w := range words {
		i := slices.IndexFunc(everything, func(a Action) bool { return a.String() == w })
		switch {
		case w == "all" && len(words) == 1:
			return slices.Clone(everything)
		case i < 0:
			f.wrong(path, "%.80q is not what a rule is about; %s", w, right)
		case slices.Contains(list, everything[i]):
			f.wrong(path, "%s is there twice", w)
		default:
			list = append(list, everything[i])
		}
	}
	return list
}

func (f *roleFile) topics(t map[string]any, path string) []string {
	topics, ok := texts(t["topic"])
	switch {
	case t["topic"] == nil:
		f.wrong(path, `the rule has no topic; right is topic = "sensors/#"`)
	case !ok:
		f.wrong(path+".topic", "the topic is not a text or a list of texts; right is topic = \"sensors/#\"")
	case len(topics) > maxTopics:
		f.wrong(path+".topic", "a rule has at most %d topics; make it two", maxTopics)
	default:
		for i, topic := range topics {
			if err := checkFilter(topic); err != nil {
				f.wrong(fmt.Sprintf("%s.topic[%d]", path, i), "topic %.80q: %v", topic, err)
			}
		}
	}
	return topics
}

func (f *roleFile) qos(v any, path string) []mqtt.QoS {
	var list []mqtt.QoS
	elements, ok := v.([]any)
	for _, e := range elements {
		n, whole := e.(int64)
		ok = ok && whole && n >= 0 && n <= 2
		list = append(list, mqtt.QoS(n))
	}
	if !ok || len(list) == 0 || len(list) > 3 {
		f.wrong(path, "qos: right is a list of 0, 1 and 2, such as qos = [0, 1]")
		return nil
	}
	return list
}

func (f *roleFile) content(v any, path string) *Content {
	t, ok := v.(map[string]any)
	if !ok || len(t) == 0 {
		f.wrong(path, "payload: right is a table, such as payload = {max_size = 1000, json = true}")
		return nil
	}
	f.keys(t, path, "max_size", "json", "schema", "where")
	var c Content
	if v := t["max_size"]; v != nil {
		n, ok := v.(int64)
		if !ok || n < 1 || n > math.MaxInt32 {
			f.wrong(path+".max_size", "max_size: right is a number of bytes of 1 or more")
		}
		c.MaxSize = int(n)
	}
	if v := t["json"]; v != nil {
		if c.JSON, _ = v.(bool); !c.JSON {
			f.wrong(path+".json", "json: right is json = true, or nothing")
		}
	}
	if v := t["schema"]; v != nil {
		if name, ok := v.(string); ok {
			c.Schema = f.schema(name, path+".schema")
		} else {
			f.wrong(path+".schema", `schema: right is the name of a file in the folder of this one, such as schema = "sensor.json"`)
		}
	}
	if v := t["where"]; v != nil {
		text, ok := v.(string)
		if !ok {
			f.wrong(path+".where", `where: right is a condition, such as where = "payload.temperature < 85"`)
			return &c
		}
		var err error
		if c.Where, err = newExpression(text); err != nil {
			f.wrong(path+".where", "where: %v", err)
		}
	}
	return &c
}

// schema reads a schema, once.
func (f *roleFile) schema(name, path string) *Schema {
	s, ok := f.schemas[name]
	if ok {
		return s // nil: the mistake was told of
	}
	var err error
	if f.folder == nil {
		if f.folder, err = os.OpenRoot(filepath.Dir(f.name)); err != nil {
			f.wrong(path, "schema: %v", err)
			return nil
		}
	}
	if len(f.schemas) == maxSchemas {
		f.wrong(path, "there are more than %d schemas", maxSchemas)
		return nil
	}
	if s, err = readSchema(f.folder, name); err != nil {
		f.wrong(path, "schema: %v", err)
	}
	f.schemas[name] = s
	return s
}
