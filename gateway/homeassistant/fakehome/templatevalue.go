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
	"unicode/utf8"
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

func operate(op string, a, b any) (any, error) {
	fail := templateError("%v %s %v", a, op, b)
	switch op {
	case "==":
		return equal(a, b), nil
	case "!=":
		return !equal(a, b), nil
	case "~":
		x, err := str(a)
		if err != nil {
			return nil, err
		}
		y, err := str(b)
		return x + y, err
	case "in", "not in":
		var found bool
		switch set := b.(type) {
		case []any:
			for _, v := range set {
				found = found || equal(v, a)
			}
		case *dict:
			_, found = set.get(a)
		case string:
			s, ok := a.(string)
			if !ok {
				return nil, fail
			}
			found = strings.Contains(set, s)
		default:
			return nil, fail
		}
		return found == (op == "in"), nil
	}
	s, text := a.(string)
	if t, ok := b.(string); ok && text {
		switch op {
		case "+":
			return s + t, nil
		case "<":
			return s < t, nil
		case "<=":
			return s <= t, nil
		case ">":
			return s > t, nil
		case ">=":
			return s >= t, nil
		}
	}
	x, xok := number(a)
	y, yok := number(b)
	if !xok || !yok {
		return nil, fail
	}
	switch op {
	case "<":
		return x < y, nil
	case "<=":
		return x <= y, nil
	case ">":
		return x > y, nil
	case ">=":
		return x >= y, nil
	}
	var f float64
	switch op {
	case "+":
		f = x + y
	case "-":
		f = x - y
	case "*":
		f = x * y
	case "/":
		if y == 0 {
			return nil, fail
		}
		return x / y, nil
	case "//":
		if y == 0 {
			return nil, fail
		}
		f = math.Floor(x / y)
	case "%":
		if y == 0 {
			return nil, fail
		}
		f = x - y*math.Floor(x/y)
	default:
		return nil, fail
	}
	_, xf := a.(float64)
	_, yf := b.(float64)
	if xf || yf {
		return f, nil
	}
	return int64(f), nil
}

func item(v, key any) (any, error) {
	switch v := v.(type) {
	case *dict:
		if found, ok := v.get(key); ok {
			return found, nil
		}
		return undefined(fmt.Sprintf("'dict object' has no attribute '%v'", key)), nil
	case []any:
		i, ok := key.(int64)
		if ok && i < 0 {
			i += int64(len(v))
		}
		if ok && i >= 0 && i < int64(len(v)) {
			return v[i], nil
		}
		return undefined(fmt.Sprintf("list object has no element %v", key)), nil
	case nil:
		return undefined(fmt.Sprintf("'None' has no attribute '%v'", key)), nil
	case undefined:
		return nil, templateError("%s", string(v))
	}
	return nil, templateError("[%v] of %v", key, v)
}

func attribute(v any, name string) (any, error) {
	if d, ok := v.(*dict); ok {
		switch name {
		case "items", "keys", "values", "get", "pop", "update", "clear", "copy":
			// Methods win over keys: what is meant is hardly what comes.
			return nil, templateError("%q is a method of a dict", name)
		}
		return item(d, name)
	}
	return item(v, name)
}

func method(v any, name string, args []any) (any, error) {
	switch of := v.(type) {
	case *dict:
		if name == "get" && (len(args) == 1 || len(args) == 2) {
			if found, ok := of.get(args[0]); ok {
				return found, nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return nil, nil
		}
	case string:
		switch {
		case name == "lower" && len(args) == 0:
			return strings.ToLower(of), nil
		case name == "upper" && len(args) == 0:
			return strings.ToUpper(of), nil
		case (name == "startswith" || name == "endswith") && len(args) == 1:
			s, ok := args[0].(string)
			if !ok {
				break
			}
			if name == "startswith" {
				return strings.HasPrefix(of, s), nil
			}
			return strings.HasSuffix(of, s), nil
		}
	case builtin:
		if of == "the time" && name == "strftime" && len(args) == 1 {
			return "2026-01-01 00:00:00", nil
		}
	case undefined:
		return nil, templateError("%s", string(of))
	}
	return nil, templateError("method %q of %v with %d arguments", name, v, len(args))
}

var (
	filters = []string{"default", "d", "lower", "upper", "string", "int", "float", "round", "to_json", "tojson", "truncate", "length", "replace", "trim"}
	tests   = []string{"defined", "none", "number", "string", "mapping"}
)

func test(name string, v any) bool {
	switch name {
	case "defined":
		_, not := v.(undefined)
		return !not
	case "none":
		return v == nil
	case "string":
		_, ok := v.(string)
		return ok
	case "mapping":
		_, ok := v.(*dict)
		return ok
	default:
		_, ok := number(v)
		return ok
	}
}

func filter(s *scope, name string, v any, args []any) (any, error) {
	argument := func(i int) any {
		if i < len(args) {
			return args[i]
		}
		return nil
	}
	if name == "default" || name == "d" {
		_, not := v.(undefined)
		if not || truth(argument(1)) && !truth(v) {
			return argument(0), nil
		}
		return v, nil
	}
	if u, ok := v.(undefined); ok {
		s.warn("%s", string(u))
	}
	text, err := str(v)
	if err != nil {
		return nil, err
	}
	switch name {
	case "lower":
		return strings.ToLower(text), nil
	case "upper":
		return strings.ToUpper(text), nil
	case "trim":
		return strings.TrimSpace(text), nil
	case "string":
		return text, nil
	case "to_json", "tojson":
		return toJSON(v)
	case "int", "float":
		f, ok := number(v)
		if !ok {
			if f, err = strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil {
				if len(args) > 0 {
					return args[0], nil
				}
				return nil, templateError("%s of %q, and no default", name, text)
			}
		}
		if name == "int" {
			return int64(f), nil
		}
		return f, nil
	case "round":
		f, ok := number(v)
		digits, whole := argument(0).(int64)
		if !ok || len(args) > 1 || len(args) == 1 && !whole {
			return nil, templateError("round of %v", v)
		}
		scale := math.Pow10(int(digits))
		f = math.RoundToEven(f*scale) / scale
		if len(args) == 0 || digits == 0 {
			return int64(f), nil
		}
		return f, nil
	case "length":
		switch v := v.(type) {
		case []any:
			return int64(len(v)), nil
		case *dict:
			return int64(len(v.keys)), nil
		case string:
			return int64(utf8.RuneCountInString(v)), nil
		}
		return nil, templateError("length of %v", v)
	case "replace":
		from, ok := argument(0).(string)
		to, ok2 := argument(1).(string)
		if !ok || !ok2 || len(args) != 2 {
			return nil, templateError("replace wants two texts")
		}
		return strings.ReplaceAll(text, from, to), nil
	case "truncate":
		return truncate(text, args)
	}
	return nil, templateError("filter %q", name)
}

// truncate cuts a text at a number of characters; only the form that cuts words is known.
func truncate(text string, args []any) (any, error) {
	if len(args) != 4 || !truth(args[1]) {
		return nil, templateError("truncate wants length, true, end and leeway")
	}
	length, ok := args[0].(int64)
	end, ok2 := args[2].(string)
	leeway, ok3 := args[3].(int64)
	if !ok || !ok2 || !ok3 || length < int64(utf8.RuneCountInString(end)) {
		return nil, templateError("truncate(%v)", args)
	}
	runes := []rune(text)
	if int64(len(runes)) <= length+leeway {
		return text, nil
	}
	return string(runes[:length-int64(utf8.RuneCountInString(end))]) + end, nil
}

// jsonOf writes what encoding/json decoded.
func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing but texts, numbers and objects of them comes here
	}
	return string(b)
}
