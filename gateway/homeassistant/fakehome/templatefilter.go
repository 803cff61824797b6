package fakehome

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
