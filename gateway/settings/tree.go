package settings

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// The tree of a file is what the toml package decodes it to. Its values have dotted keys, in which
// the elements of lists have indices, such as serial.ports[1].path.

// tree is a configuration as a file would hold it.
func tree(c Config) map[string]any {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		panic(err) // a type that toml cannot write: a mistake of ours, which the first test shows
	}
	m := make(map[string]any)
	if _, err := toml.Decode(b.String(), &m); err != nil {
		panic(err)
	}
	return m
}

// unusual is what of a value is not as by default; nil: nothing.
func unusual(value, usual any) any {
	table, ok := value.(map[string]any)
	if !ok {
		if reflect.DeepEqual(value, usual) {
			return nil
		}
		return value
	}
	defaults, _ := usual.(map[string]any)
	rest := make(map[string]any)
	for key, v := range table {
		if v := unusual(v, defaults[key]); v != nil {
			rest[key] = v
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// copyOf returns a configuration that shares nothing with c.
func copyOf(c Config) Config {
	made := Default()
	fill(&made, tree(c))
	return made
}

// fill decodes a tree that was checked into a struct.
func fill(into any, tree map[string]any) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(tree); err != nil {
		return // such as a list of different things, which checkTree has found wrong
	}
	toml.Decode(b.String(), into)
}

// parentKey takes the last name or index off a path.
func parentKey(key string) string {
	return key[:max(strings.LastIndexAny(key, ".["), 0)]
}

// joinKey puts a name behind a dotted key.
func joinKey(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// topOf is the first name of a dotted key.
func topOf(key string) string {
	top, _, _ := strings.Cut(key, ".")
	return top
}

// lookUp returns what is at a dotted key; nil: nothing.
func lookUp(tree map[string]any, key string) any {
	first, rest, deeper := strings.Cut(key, ".")
	if !deeper {
		return tree[first]
	}
	table, _ := tree[first].(map[string]any)
	return lookUp(table, rest)
}

// setAt puts a value at a dotted key.
func setAt(tree map[string]any, key string, value any) {
	first, rest, deeper := strings.Cut(key, ".")
	if !deeper {
		if value == nil {
			delete(tree, first)
		} else {
			tree[first] = value
		}
		return
	}
	table, ok := tree[first].(map[string]any)
	if !ok {
		table = make(map[string]any)
		tree[first] = table
	}
	setAt(table, rest, value)
}

// encodeTOML writes a table as it would stand in a file.
func encodeTOML(table map[string]any) string {
	var b bytes.Buffer
	encoder := toml.NewEncoder(&b)
	encoder.Indent = ""
	if err := encoder.Encode(table); err != nil {
		return "" // what came from a file can be written to one
	}
	return strings.TrimLeft(b.String(), "\n")
}
