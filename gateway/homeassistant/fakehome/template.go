package fakehome

import (
	"errors"
	"fmt"
	"strings"
)

const maxTemplate = 10_000

// template is a Jinja template, of the part of the language that discovery documents
// use. What it does not know is an error, so that nothing passes by mistake.
type template []node

// node writes a part of the text.
type node func(s *scope, out *strings.Builder) error

// expression yields a value: nil, bool, int64, float64, string, []any, *dict,
// undefined or builtin.
type expression func(s *scope) (any, error)

// scope are the variables, and what was said while the template was rendered.
type scope struct {
	variables map[string]any
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
	t, err := parseTemplate(text)
	if err != nil {
		return "", nil, err
	}
	s := &scope{variables: variables}
	var b strings.Builder
	for _, n := range t {
		if err := n(s, &b); err != nil {
			return "", s.warnings, err
		}
	}
	return strings.TrimSpace(b.String()), s.warnings, nil
}

// valueVariables are the variables of a template for a payload.
func valueVariables(payload string) map[string]any {
	v := map[string]any{"value": payload}
	if json, err := decodeJSON(payload); err == nil {
		v["value_json"] = json
	}
	return v
}

// token of a template. Kind: t text, n name, i number, s string, o operator,
// { and } around an expression, % begin of a statement, # its end.
type token struct {
	kind byte
	text string
}

var operators = []string{"==", "!=", "<=", ">=", "//", "**", "<", ">", "(", ")", "[", "]", "{", "}", ",", ".", ":", "|", "+", "-", "*", "/", "%", "~", "="}

func tokenize(text string) ([]token, error) {
	if len(text) > maxTemplate {
		return nil, templateError("longer than %d", maxTemplate)
	}
	var tokens []token
	for text != "" {
		begin := strings.IndexByte(text, '{')
		for begin >= 0 && begin+1 < len(text) && text[begin+1] != '{' && text[begin+1] != '%' && text[begin+1] != '#' {
			next := strings.IndexByte(text[begin+1:], '{')
			if next < 0 {
				begin = -1
				break
			}
			begin += 1 + next
		}
		if begin < 0 || begin+1 >= len(text) {
			return append(tokens, token{'t', text}), nil
		}
		if begin > 0 {
			tokens = append(tokens, token{'t', text[:begin]})
		}
		opening := text[begin+1]
		text = text[begin+2:]
		if opening == '#' {
			_, rest, ok := strings.Cut(text, "#}")
			if !ok {
				return nil, templateError("a comment has no end")
			}
			text = rest
			continue
		}
		closing, begins, ends := "}}", byte('{'), byte('}')
		if opening == '%' {
			closing, begins, ends = "%}", '%', '#'
		}
		tokens = append(tokens, token{begins, ""})
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
			return nil, templateError("control of spaces is not known here")
		}
		depth := 0
		for {
			text = strings.TrimLeft(text, " \t\r\n")
			if text == "" {
				return nil, templateError("no %s", closing)
			}
			if depth == 0 && strings.HasPrefix(text, closing) {
				text = text[2:]
				tokens = append(tokens, token{ends, ""})
				break
			}
			t, rest, err := nextToken(text)
			if err != nil {
				return nil, err
			}
			switch t.text {
			case "{", "(", "[":
				if t.kind == 'o' {
					depth++
				}
			case "}", ")", "]":
				if t.kind == 'o' {
					depth--
				}
			}
			tokens = append(tokens, t)
			text = rest
		}
	}
	return tokens, nil
}

func nextToken(text string) (t token, rest string, err error) {
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	n := 0
	switch c := text[0]; {
	case letter(c):
		for n < len(text) && (letter(text[n]) || digit(text[n])) {
			n++
		}
		return token{'n', text[:n]}, text[n:], nil
	case digit(c):
		for n < len(text) && (digit(text[n]) || text[n] == '.' && n+1 < len(text) && digit(text[n+1])) {
			n++
		}
		return token{'i', text[:n]}, text[n:], nil
	case c == '"' || c == '\'':
		var b strings.Builder
		for n = 1; n < len(text); n++ {
			switch {
			case text[n] == c:
				return token{'s', b.String()}, text[n+1:], nil
			case text[n] == '\\' && n+1 < len(text):
				n++
				switch text[n] {
				case 'n':
					b.WriteByte('\n')
				case 't':
					b.WriteByte('\t')
				case '\\', '"', '\'':
					b.WriteByte(text[n])
				default:
					return t, "", templateError("escape \\%c", text[n])
				}
			default:
				b.WriteByte(text[n])
			}
		}
		return t, "", templateError("a string has no end")
	}
	for _, o := range operators {
		if strings.HasPrefix(text, o) {
			return token{'o', o}, text[len(o):], nil
		}
	}
	return t, "", templateError("character %q", text[0])
}
