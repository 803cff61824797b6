package fakehome

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lintel/gateway/homeassistant/jinja"
)

const maxTemplate = 10_000

// scope are the variables, and what was written and said while a template was
// rendered. A value of a template is nil, bool, int64, float64, string, []any, *dict,
// undefined or builtin.
type scope struct {
	variables map[string]any
	out       strings.Builder
	warnings  []string
}

func (s *scope) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

var errTemplate = errors.New("template")

func templateError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errTemplate}, args...)...)
}

// render renders a template; text around it is cut off, as Home Assistant does.
func render(text string, variables map[string]any) (out string, warnings []string, err error) {
	if len(text) > maxTemplate {
		return "", nil, templateError("longer than %d", maxTemplate)
	}
	parts, err := jinja.Parse(text)
	if err != nil {
		return "", nil, templateError("%w", err)
	}
	if err := known(parts); err != nil {
		return "", nil, err
	}
	s := &scope{variables: variables}
	if err := s.write(parts); err != nil {
		return "", s.warnings, err
	}
	return strings.TrimSpace(s.out.String()), s.warnings, nil
}

// valueVariables are the variables of a template for a payload.
func valueVariables(payload string) map[string]any {
	v := map[string]any{"value": payload}
	if json, err := decodeJSON(payload); err == nil {
		v["value_json"] = json
	}
	return v
}

// known refuses what is not of the part of the language that discovery documents use,
// also where it would not be reached, so that nothing passes by mistake.
func known(parts []*jinja.Node) error {
	for _, n := range parts {
		ok := true
		switch n.Kind {
		case "text", "print", "if", "name", "number", "list", "dict", "attribute", "item", "not", "conditional":
		case "string":
			if _, err := unescape(n.Text); err != nil {
				return err
			}
		case "set":
			ok = len(n.Args) == 2 && n.Args[0].Kind == "name"
		case "sign":
			ok = n.Text == "-"
		case "operator":
			ok = n.Text != "**"
		case "call":
			ok = n.Args[0].Kind == "attribute" || len(n.Args) == 1
		case "filter":
			ok = slices.Contains(filters, n.Text)
		case "test":
			ok = slices.Contains(tests, n.Text) && len(n.Args) == 1
		default:
			ok = false
		}
		if !ok {
			return templateError("%s %s is not known here", n.Kind, n.Text)
		}
		for _, parts := range [][]*jinja.Node{n.Args, n.Body, n.Else} {
			if err := known(parts); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *scope) write(parts []*jinja.Node) error {
	for _, n := range parts {
		if n.Kind == "text" {
			s.out.WriteString(n.Text)
			continue
		}
		v, err := s.value(n.Args[len(n.Args)-1])
		if err != nil {
			return err
		}
		switch n.Kind {
		case "set":
			s.variables[n.Args[0].Text] = v
		case "if":
			chosen := n.Else
			if truth(v) {
				chosen = n.Body
			}
			if err := s.write(chosen); err != nil {
				return err
			}
		case "print":
			if u, ok := v.(undefined); ok {
				s.warn("%s", string(u))
			}
			text, err := str(v)
			if err != nil {
				return err
			}
			s.out.WriteString(text)
		}
	}
	return nil
}

// value evaluates an expression.
func (s *scope) value(n *jinja.Node) (any, error) {
	args := n.Args
	switch n.Kind {
	case "string":
		return unescape(n.Text)
	case "number":
		return n.Number, nil
	case "name":
		return s.name(n.Text), nil
	case "conditional":
		v, err := s.value(args[1])
		switch {
		case err != nil:
			return nil, err
		case truth(v):
			return s.value(args[0])
		case len(args) == 3:
			return s.value(args[2])
		}
		return undefined("the inline if had no else"), nil
	case "operator":
		if n.Text == "and" || n.Text == "or" {
			v, err := s.value(args[0])
			if err != nil || truth(v) == (n.Text == "or") {
				return v, err
			}
			return s.value(args[1])
		}
	case "call":
		if args[0].Kind == "attribute" {
			args = slices.Concat(args[0].Args, args[1:])
		}
	}
	values := make([]any, len(args))
	for i, x := range args {
		v, err := s.value(x)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	switch n.Kind {
	case "list":
		return values, nil
	case "dict":
		d := new(dict)
		for i := 0; i < len(values); i += 2 {
			d.set(values[i], values[i+1])
		}
		return d, nil
	case "attribute":
		return attribute(values[0], n.Text)
	case "item":
		return item(values[0], values[1])
	case "call":
		if n.Args[0].Kind == "attribute" {
			return method(values[0], n.Args[0].Text, values[1:])
		}
		if values[0] == builtin("now") {
			return builtin("the time"), nil
		}
		return nil, templateError("call of %v", values[0])
	case "filter":
		return filter(s, n.Text, values[0], values[1:])
	case "test":
		return test(n.Text, values[0]), nil
	case "not":
		return !truth(values[0]), nil
	case "sign":
		return operate("-", int64(0), values[0])
	default:
		return operate(n.Text, values[0], values[1])
	}
}

func (s *scope) name(name string) any {
	switch name {
	case "true", "True":
		return true
	case "false", "False":
		return false
	case "none", "None":
		return nil
	}
	if v, ok := s.variables[name]; ok {
		return v
	}
	if name == "now" {
		return builtin("now")
	}
	return undefined("'" + name + "' is undefined")
}

// unescape returns the text that a string means.
func unescape(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, `\`)
		if b.WriteString(before); !ok {
			return b.String(), nil
		}
		i := strings.IndexByte(`nt\"'`, rest[0])
		if i < 0 {
			return "", templateError("escape \\%c", rest[0])
		}
		b.WriteByte("\n\t\\\"'"[i])
		text = rest[1:]
	}
}
