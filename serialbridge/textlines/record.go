package textlines

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
)

// maxDepth bounds how deep a JSON object is nested.
const maxDepth = 8

// form is how a field stands in a line.
type form byte

const (
	missing form = iota // not in the line, or empty
	null                // JSON's null: not known
	plain               // a text, a number, true or false
	nested              // an object or an array
)

// A field is what a line has at a place.
type field struct {
	form form
	text string // of a plain one
}

// A place is where in a line a field is.
type place struct {
	name   string
	path   []string // to the member of an object
	column int      // number of the column, from 1 on; 0: it has a name
}

func (l *layout) place(from string) place {
	p := place{name: from}
	switch l.format {
	case "json":
		if rest, ok := strings.CutPrefix(from, "/"); ok {
			p.path = strings.Split(rest, "/")
			for i := range p.path {
				// In this order (RFC 6901, section 4).
				p.path[i] = strings.ReplaceAll(strings.ReplaceAll(p.path[i], "~1", "/"), "~0", "~")
			}
		} else {
			p.path = strings.Split(from, ".")
		}
	case "csv":
		if n, err := strconv.Atoi(from); err == nil && strings.Trim(from, digits) == "" {
			p.column = n
		}
	}
	return p
}

// A record is a line that was taken apart.
type record struct {
	object  any // of JSON
	columns []string
	header  map[string]int    // place of a column by name, from 1 on
	pairs   map[string]string // values by key
}

// at returns the field at a place.
func (r *record) at(p place) field {
	switch {
	case p.path != nil:
		return member(r.object, p.path)
	case r.columns != nil:
		i := p.column
		if i == 0 {
			i = r.header[p.name]
		}
		if i < 1 || i > len(r.columns) {
			return field{}
		}
		return text(r.columns[i-1])
	}
	return text(r.pairs[p.name])
}

func text(s string) field {
	if s == "" {
		return field{}
	}
	return field{plain, s}
}

// member follows a path into a JSON value.
func member(v any, path []string) field {
	for _, name := range path {
		switch parent := v.(type) {
		case map[string]any:
			child, ok := parent[name]
			if !ok {
				return field{}
			}
			v = child
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(parent) || strconv.Itoa(i) != name {
				return field{}
			}
			v = parent[i]
		default:
			return field{}
		}
	}
	switch v := v.(type) {
	case nil:
		return field{form: null}
	case bool:
		return field{plain, strconv.FormatBool(v)}
	case json.Number:
		return field{plain, string(v)}
	case string:
		return text(strings.TrimSpace(v))
	}
	return field{form: nested}
}

// parse takes a line apart.
func (l *layout) parse(line []byte) (r record, ok bool) {
	switch l.format {
	case "csv":
		r.columns, ok = columns(string(line), l.separator)
	case "keyvalue":
		r.pairs, ok = pairs(string(line), l.separator, l.pair)
	default:
		r.object, ok = object(line)
	}
	return r, ok
}

// object returns the JSON object that a line is.
func object(line []byte) (any, bool) {
	if len(line) == 0 || line[0] != '{' || !json.Valid(line) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	v, ok := value(d, 0)
	if !ok {
		return nil, false
	}
	_, err := d.Token()
	return v, err == io.EOF
}

// value reads one value. An object with a member twice, as when two lines lost what
// stood between them, is none.
func value(d *json.Decoder, depth int) (any, bool) {
	t, err := d.Token()
	if err != nil {
		return nil, false
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, true
	}
	if depth == maxDepth {
		return nil, false
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, ok := value(d, depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err == nil
	}
	members := make(map[string]any)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if _, again := members[name]; err != nil || !ok || again {
			return nil, false
		}
		if members[name], ok = value(d, depth+1); !ok {
			return nil, false
		}
	}
	_, err = d.Token()
	return members, err == nil
}

// columns splits a line of csv. A column may be quoted (RFC 4180, section 2); spaces
// around are no part of it.
func columns(line, separator string) ([]string, bool) {
	if separator == " " {
		return strings.Fields(line), true
	}
	var list []string
	for {
		rest := strings.TrimLeft(line, " ")
		if !strings.HasPrefix(rest, `"`) {
			column, after, more := strings.Cut(line, separator)
			list = append(list, strings.TrimSpace(column))
			if !more {
				return list, true
			}
			line = after
			continue
		}
		column, after, ok := quoted(rest[1:])
		if !ok {
			return nil, false
		}
		list = append(list, column)
		if line, ok = strings.CutPrefix(strings.TrimLeft(after, " "), separator); !ok {
			return list, line == ""
		}
	}
}

// quoted reads up to the quote that is not doubled.
func quoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for {
		part, after, ok := strings.Cut(s, `"`)
		if !ok {
			return "", "", false
		}
		b.WriteString(part)
		if s, ok = strings.CutPrefix(after, `"`); !ok {
			return strings.TrimSpace(b.String()), after, true
		}
		b.WriteByte('"')
	}
}

// pairs returns the values of a line by their keys. Words that are no pair are passed
// over; a line with a key twice is none.
func pairs(line, separator, pair string) (map[string]string, bool) {
	parts := strings.Fields(line)
	if separator != " " {
		parts = strings.Split(line, separator)
	}
	values := make(map[string]string)
	for _, part := range parts {
		key, value, ok := strings.Cut(part, pair)
		if !ok {
			continue
		}
		key = strings.TrimSpace(key)
		if _, again := values[key]; again {
			return nil, false
		}
		values[key] = strings.TrimSpace(value)
	}
	return values, len(values) > 0
}
