package fakehome

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// undefined is a value that is not there, and why. It may be written, which is warned
// of, and be given a default; all else fails.
type undefined string

// builtin is something of which only one use is known: now() and its strftime.
type builtin string

// dict is a dictionary in the order in which it was made.
type dict struct{ keys, values []any }

func (d *dict) get(key any) (any, bool) {
	for i, k := range d.keys {
		if equal(k, key) {
			return d.values[i], true
		}
	}
	return nil, false
}

func (d *dict) set(key, value any) {
	for i, k := range d.keys {
		if equal(k, key) {
			d.values[i] = value
			return
		}
	}
	d.keys, d.values = append(d.keys, key), append(d.values, value)
}

// decodeJSON keeps what Python keeps: the order of an object, and whether a number is
// an integer.
func decodeJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something behind the JSON")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil || depth > 100 {
		return nil, errors.Join(err, errors.New("no JSON"))
	}
	switch t := t.(type) {
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return i, nil
		}
		return t.Float64()
	case json.Delim:
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := decodeValue(d, depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		object := new(dict)
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			object.set(k, v)
		}
		_, err := d.Token()
		return object, err
	}
	return t, nil
}

// plain returns a value as encoding/json would have decoded it.
func plain(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case []any:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = plain(x)
		}
		return list
	case *dict:
		m := make(map[string]any)
		for i, k := range v.keys {
			m[fmt.Sprint(k)] = plain(v.values[i])
		}
		return m
	}
	return v
}

// toJSON writes a value as the filter to_json does.
func toJSON(v any) (string, error) {
	switch v := v.(type) {
	case undefined, builtin:
		return "", templateError("%v is no JSON", v)
	case float64:
		return floatText(v), nil
	case []any:
		var b strings.Builder
		for i, x := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			text, err := toJSON(x)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		}
		return "[" + b.String() + "]", nil
	case *dict:
		var b strings.Builder
		for i, k := range v.keys {
			if i > 0 {
				b.WriteByte(',')
			}
			name, ok := k.(string)
			if !ok {
				return "", templateError("key %v of JSON is no string", k)
			}
			key, err := toJSON(name)
			if err != nil {
				return "", err
			}
			value, err := toJSON(v.values[i])
			if err != nil {
				return "", err
			}
			b.WriteString(key + ":" + value)
		}
		return "{" + b.String() + "}", nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func floatText(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// str is Python's str.
func str(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "None", nil
	case undefined:
		return "", nil
	case bool:
		if v {
			return "True", nil
		}
		return "False", nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return floatText(v), nil
	case string:
		return v, nil
	case []any:
		var parts []string
		for _, x := range v {
			s, err := repr(x)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case *dict:
		var parts []string
		for i, k := range v.keys {
			key, err := repr(k)
			if err != nil {
				return "", err
			}
			value, err := repr(v.values[i])
			if err != nil {
				return "", err
			}
			parts = append(parts, key+": "+value)
		}
		return "{" + strings.Join(parts, ", ") + "}", nil
	}
	return "", templateError("%v cannot be written", v)
}

// repr is Python's repr.
func repr(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return str(v)
	}
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	return quote + strings.NewReplacer(`\`, `\\`, quote, `\`+quote, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + quote, nil
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// number returns a value as a number: Python counts booleans among them.
func number(v any) (f float64, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}
