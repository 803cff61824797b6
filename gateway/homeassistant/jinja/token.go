package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const spaces = " \t\r\n\v\f"

var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "|", ".", ",", ":", "(", ")", "[", "]", "{", "}"}

// parser reads the tokens of one pair of braces.
type parser struct {
	text    string // what follows
	closing string
	nested  []byte // brackets that are open
	token   string // empty at the end, and after an error
	kind    byte   // 'n' name, 's' string, '0' number, 'o' operator
	depth   int
	err     error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.token, p.kind = "", 0
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// next reads a token. The end of the braces is taken with it, and the space behind an
// end that has a minus.
func (p *parser) next() {
	if p.err != nil {
		return
	}
	p.text = strings.TrimLeft(p.text, spaces)
	if len(p.nested) == 0 {
		for _, end := range []string{p.closing, "-" + p.closing, "+" + p.closing} {
			if strings.HasPrefix(p.text, end) && !(end[0] == '+' && p.closing == "}}") {
				p.token, p.kind = "", 0
				p.text = p.text[len(end):]
				if end[0] == '-' {
					p.text = strings.TrimLeft(p.text, spaces)
				}
				return
			}
		}
	}
	if p.text == "" {
		p.fail("%s is missing", p.closing)
		return
	}
	n := 0
	for n < len(p.text) && isNameByte(p.text[n]) {
		n++
	}
	switch c := p.text[0]; {
	case c == '\'' || c == '"':
		n = 1
		for n < len(p.text) && p.text[n] != c {
			if p.text[n] == '\\' {
				n++
			}
			n++
		}
		if n >= len(p.text) {
			p.fail("a text is not closed")
			return
		}
		p.token, p.kind = p.text[:n+1], 's'
	case n > 0 && c >= '0' && c <= '9':
		if n+1 < len(p.text) && p.text[n] == '.' && p.text[n+1] >= '0' && p.text[n+1] <= '9' {
			for n++; n < len(p.text) && isNameByte(p.text[n]); n++ {
			}
		}
		p.token, p.kind = p.text[:n], '0'
	case n > 0:
		p.token, p.kind = p.text[:n], 'n'
	default:
		i := slices.IndexFunc(operators, func(o string) bool { return strings.HasPrefix(p.text, o) })
		if i < 0 {
			p.fail("%q is no token", p.text[:1])
			return
		}
		p.token, p.kind = operators[i], 'o'
		switch p.token {
		case "(", "[", "{":
			p.nested = append(p.nested, p.token[0])
		case ")", "]", "}":
			pairs := map[string]byte{")": '(', "]": '[', "}": '{'}
			if len(p.nested) == 0 || p.nested[len(p.nested)-1] != pairs[p.token] {
				p.fail("%q closes nothing", p.token)
				return
			}
			p.nested = p.nested[:len(p.nested)-1]
		}
	}
	p.text = p.text[len(p.token):]
}

// is tells whether the token is one of some words or operators.
func (p *parser) is(tokens ...string) bool {
	return p.kind != 's' && p.token != "" && slices.Contains(tokens, p.token)
}

func (p *parser) take(tokens ...string) bool {
	if !p.is(tokens...) {
		return false
	}
	p.next()
	return true
}

func (p *parser) want(token string) {
	if !p.take(token) {
		p.fail("%q where %s belongs", p.token, token)
	}
}

func (p *parser) name() string {
	name := p.token
	if p.kind != 'n' {
		p.fail("%q where a name belongs", p.token)
	}
	p.next()
	return name
}

// number returns an int64 or a float64.
func number(token string) (any, error) {
	digits := strings.ReplaceAll(token, "_", "")
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return nil, errors.New("is no number")
	}
	return f, nil
}
