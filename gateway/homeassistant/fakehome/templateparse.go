package fakehome

import (
	"slices"
	"strconv"
	"strings"
)

const maxDepth = 100 // of expressions

// parser reads tokens.
type parser struct {
	tokens []token
	depth  int
}

func parseTemplate(text string) (template, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	t, err := p.block()
	if err == nil && len(p.tokens) > 0 {
		err = templateError("%s without an if", p.tokens[1].text)
	}
	return t, err
}

func (p *parser) peek() token {
	if len(p.tokens) == 0 {
		return token{}
	}
	return p.tokens[0]
}

func (p *parser) next() token {
	t := p.peek()
	if len(p.tokens) > 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) is(kind byte, texts ...string) bool {
	t := p.peek()
	return t.kind == kind && slices.Contains(texts, t.text)
}

// take takes a token if it is this one.
func (p *parser) take(kind byte, text string) bool {
	if !p.is(kind, text) {
		return false
	}
	p.next()
	return true
}

func (p *parser) want(kind byte, text string) error {
	if !p.take(kind, text) {
		return templateError("%q instead of %q", p.peek().text, text)
	}
	return nil
}

// block reads until the end, or a statement that ends it: elif, else, endif.
func (p *parser) block() (template, error) {
	var t template
	for len(p.tokens) > 0 {
		switch p.peek().kind {
		case 't':
			text := p.next().text
			t = append(t, func(_ *scope, out *strings.Builder) error { out.WriteString(text); return nil })
		case '{':
			p.next()
			x, err := p.expression()
			if err == nil {
				err = p.want('}', "")
			}
			if err != nil {
				return nil, err
			}
			t = append(t, func(s *scope, out *strings.Builder) error {
				v, err := x(s)
				if err != nil {
					return err
				}
				if u, ok := v.(undefined); ok {
					s.warn("%s", string(u))
				}
				text, err := str(v)
				out.WriteString(text)
				return err
			})
		case '%':
			if len(p.tokens) > 1 && p.tokens[1].kind == 'n' && slices.Contains([]string{"elif", "else", "endif"}, p.tokens[1].text) {
				return t, nil
			}
			n, err := p.statement()
			if err != nil {
				return nil, err
			}
			t = append(t, n)
		default:
			return nil, templateError("%q is out of place", p.peek().text)
		}
	}
	return t, nil
}

func (p *parser) statement() (node, error) {
	p.next()
	switch word := p.next(); word.text {
	case "if":
		return p.branch()
	case "set":
		name := p.next()
		if name.kind != 'n' {
			return nil, templateError("set %q", name.text)
		}
		if err := p.want('o', "="); err != nil {
			return nil, err
		}
		x, err := p.expression()
		if err == nil {
			err = p.want('#', "")
		}
		return func(s *scope, _ *strings.Builder) error {
			v, err := x(s)
			s.variables[name.text] = v
			return err
		}, err
	default:
		return nil, templateError("statement %q", word.text)
	}
}

// branch reads what follows if or elif.
func (p *parser) branch() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, templateError("too deep")
	}
	defer func() { p.depth-- }()
	condition, err := p.expression()
	if err == nil {
		err = p.want('#', "")
	}
	if err != nil {
		return nil, err
	}
	then, err := p.block()
	if err != nil {
		return nil, err
	}
	if err := p.want('%', ""); err != nil {
		return nil, err
	}
	var otherwise template
	switch word := p.next(); word.text {
	case "elif":
		n, err := p.branch()
		if err != nil {
			return nil, err
		}
		otherwise = template{n}
	case "else":
		if err := p.want('#', ""); err != nil {
			return nil, err
		}
		if otherwise, err = p.block(); err != nil {
			return nil, err
		}
		if err := p.want('%', ""); err != nil {
			return nil, err
		}
		if err := p.want('n', "endif"); err != nil {
			return nil, err
		}
		fallthrough
	case "endif":
		if err := p.want('#', ""); err != nil {
			return nil, err
		}
	default:
		return nil, templateError("%q without an if", word.text)
	}
	return func(s *scope, out *strings.Builder) error {
		v, err := condition(s)
		if err != nil {
			return err
		}
		part := otherwise
		if truth(v) {
			part = then
		}
		for _, n := range part {
			if err := n(s, out); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// expression reads a conditional expression, the loosest of all.
func (p *parser) expression() (expression, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, templateError("too deep")
	}
	defer func() { p.depth-- }()
	value, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	for p.take('n', "if") {
		condition, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		otherwise := expression(func(*scope) (any, error) { return undefined("the inline if had no else"), nil })
		if p.take('n', "else") {
			if otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		}
		then := value
		value = func(s *scope) (any, error) {
			v, err := condition(s)
			if err != nil {
				return nil, err
			}
			if truth(v) {
				return then(s)
			}
			return otherwise(s)
		}
	}
	return value, nil
}

// levels are the binary operators from the loosest to the tightest.
var levels = [][]string{{"or"}, {"and"}, {"not"}, {"==", "!=", "<", "<=", ">", ">=", "in", "not"}, {"+", "-"}, {"~"}, {"*", "/", "//", "%"}}

func (p *parser) binary(level int) (expression, error) {
	if level == len(levels) {
		return p.unary()
	}
	if levels[level][0] == "not" { // the one that stands before its operand
		if p.take('n', "not") {
			if p.depth++; p.depth > maxDepth {
				return nil, templateError("too deep")
			}
			defer func() { p.depth-- }()
			x, err := p.binary(level)
			return func(s *scope) (any, error) { v, err := x(s); return !truth(v), err }, err
		}
		return p.binary(level + 1)
	}
	left, err := p.binary(level + 1)
	if err != nil {
		return nil, err
	}
	for p.is('o', levels[level]...) || p.is('n', levels[level]...) {
		op := p.next().text
		if op == "not" {
			if err := p.want('n', "in"); err != nil {
				return nil, err
			}
			op = "not in"
		}
		right, err := p.binary(level + 1)
		if err != nil {
			return nil, err
		}
		a := left
		left = func(s *scope) (any, error) {
			x, err := a(s)
			if err != nil {
				return nil, err
			}
			if op == "or" && truth(x) || op == "and" && !truth(x) {
				return x, nil
			}
			y, err := right(s)
			if err != nil || op == "or" || op == "and" {
				return y, err
			}
			return operate(op, x, y)
		}
	}
	return left, nil
}

func (p *parser) unary() (expression, error) {
	if p.take('o', "-") {
		if p.depth++; p.depth > maxDepth {
			return nil, templateError("too deep")
		}
		defer func() { p.depth-- }()
		x, err := p.unary()
		return func(s *scope) (any, error) {
			v, err := x(s)
			if err != nil {
				return nil, err
			}
			return operate("-", int64(0), v)
		}, err
	}
	x, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.postfix(x)
}

func (p *parser) primary() (expression, error) {
	constant := func(v any) (expression, error) { return func(*scope) (any, error) { return v, nil }, nil }
	switch t := p.next(); {
	case t.kind == 's':
		return constant(t.text)
	case t.kind == 'i':
		if i, err := strconv.ParseInt(t.text, 10, 64); err == nil {
			return constant(i)
		}
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return nil, templateError("number %s", t.text)
		}
		return constant(f)
	case t.kind == 'n':
		switch t.text {
		case "true", "True":
			return constant(true)
		case "false", "False":
			return constant(false)
		case "none", "None":
			return constant(nil)
		}
		return func(s *scope) (any, error) {
			if v, ok := s.variables[t.text]; ok {
				return v, nil
			}
			if t.text == "now" {
				return builtin("now"), nil
			}
			return undefined("'" + t.text + "' is undefined"), nil
		}, nil
	case t.kind == 'o' && t.text == "(":
		x, err := p.expression()
		if err == nil {
			err = p.want('o', ")")
		}
		return x, err
	case t.kind == 'o' && t.text == "[":
		items, err := p.list("]")
		return func(s *scope) (any, error) { v, err := all(s, items); return v, err }, err
	case t.kind == 'o' && t.text == "{":
		return p.dict()
	default:
		return nil, templateError("%q where a value is wanted", t.text)
	}
}

// list reads expressions up to the closing bracket.
func (p *parser) list(closing string) ([]expression, error) {
	var items []expression
	for !p.take('o', closing) {
		if len(items) > 0 {
			if err := p.want('o', ","); err != nil {
				return nil, err
			}
			if p.take('o', closing) {
				break
			}
		}
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	return items, nil
}

func (p *parser) dict() (expression, error) {
	var keys, values []expression
	for !p.take('o', "}") {
		if len(keys) > 0 {
			if err := p.want('o', ","); err != nil {
				return nil, err
			}
		}
		k, err := p.expression()
		if err == nil {
			err = p.want('o', ":")
		}
		if err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		keys, values = append(keys, k), append(values, v)
	}
	return func(s *scope) (any, error) {
		d := new(dict)
		ks, err := all(s, keys)
		if err != nil {
			return nil, err
		}
		vs, err := all(s, values)
		if err != nil {
			return nil, err
		}
		for i, k := range ks {
			d.set(k, vs[i])
		}
		return d, nil
	}, nil
}

func all(s *scope, items []expression) ([]any, error) {
	values := make([]any, len(items))
	for i, x := range items {
		v, err := x(s)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// postfix reads what follows a value: attributes, items, calls, filters, tests.
func (p *parser) postfix(x expression) (expression, error) {
	for {
		of := x
		switch {
		case p.take('o', "."):
			name := p.next()
			if name.kind != 'n' {
				return nil, templateError(".%s", name.text)
			}
			if p.take('o', "(") {
				arguments, err := p.list(")")
				if err != nil {
					return nil, err
				}
				x = func(s *scope) (any, error) {
					v, err := of(s)
					if err != nil {
						return nil, err
					}
					args, err := all(s, arguments)
					if err != nil {
						return nil, err
					}
					return method(v, name.text, args)
				}
				continue
			}
			x = func(s *scope) (any, error) {
				v, err := of(s)
				if err != nil {
					return nil, err
				}
				return attribute(v, name.text)
			}
		case p.take('o', "["):
			key, err := p.expression()
			if err == nil {
				err = p.want('o', "]")
			}
			if err != nil {
				return nil, err
			}
			x = func(s *scope) (any, error) {
				v, err := of(s)
				if err != nil {
					return nil, err
				}
				k, err := key(s)
				if err != nil {
					return nil, err
				}
				return item(v, k)
			}
		case p.take('o', "("):
			if err := p.want('o', ")"); err != nil {
				return nil, err
			}
			x = func(s *scope) (any, error) {
				v, err := of(s)
				if b, ok := v.(builtin); ok && b == "now" && err == nil {
					return builtin("the time"), nil
				}
				return nil, templateError("call of %v: %v", v, err)
			}
		case p.take('o', "|"):
			name := p.next().text
			var arguments []expression
			if p.take('o', "(") {
				var err error
				if arguments, err = p.list(")"); err != nil {
					return nil, err
				}
			}
			if !slices.Contains(filters, name) {
				return nil, templateError("filter %q", name)
			}
			x = func(s *scope) (any, error) {
				v, err := of(s)
				if err != nil {
					return nil, err
				}
				args, err := all(s, arguments)
				if err != nil {
					return nil, err
				}
				return filter(s, name, v, args)
			}
		case p.take('n', "is"):
			not := p.take('n', "not")
			name := p.next().text
			if !slices.Contains(tests, name) {
				return nil, templateError("test %q", name)
			}
			x = func(s *scope) (any, error) {
				v, err := of(s)
				return test(name, v) != not, err
			}
		default:
			return x, nil
		}
	}
}
