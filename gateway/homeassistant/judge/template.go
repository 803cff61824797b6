package judge

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Filters and tests of Jinja and of Home Assistant. A template with another one does
// not compile. The list holds what may be wanted in a discovery message.
var (
	filters = strings.Fields(`abs as_datetime as_local as_timestamp attr average base64_decode base64_encode batch bitwise_and
		bitwise_or bool capitalize center combine contains count d default dictsort e escape filesizeformat first flatten float
		forceescape format from_json groupby int is_number items join last length list log lower map max median min multiply
		ordinal pack pprint random regex_findall regex_findall_index regex_match regex_replace regex_search reject rejectattr
		replace reverse round safe select selectattr slice slugify sort sqrt string striptags sum timestamp_custom
		timestamp_local timestamp_utc title to_json tojson trim truncate typeof unique unpack upper urlencode urlize version
		wordcount wordwrap xmlattr`)
	tests = strings.Fields(`boolean callable contains datetime defined divisibleby eq equalto escaped even false filter float ge
		greaterthan gt has_value in integer is_number iterable le lessthan list lower lt mapping match ne none number odd
		sameas search sequence set string test true tuple undefined upper`)
)

const maxDepth = 100

// checkTemplate tells whether a template compiles: its blocks are closed and in
// order, its expressions are such, and its filters and tests are known.
func checkTemplate(text string) error {
	var open []string
	for {
		i := strings.Index(text, "{")
		if i < 0 || i+1 == len(text) {
			break
		}
		kind := text[i : i+2]
		text = text[i+1:]
		switch kind {
		case "{#":
			end := strings.Index(text, "#}")
			if end < 0 {
				return errors.New("a comment is not closed")
			}
			text = text[end+2:]
		case "{{", "{%":
			closing := "}}"
			if kind == "{%" {
				closing = "%}"
			}
			p := &expression{text: text[1:], closing: closing}
			if strings.HasPrefix(p.text, "-") || strings.HasPrefix(p.text, "+") && kind == "{%" {
				p.text = p.text[1:]
			}
			p.next()
			var err error
			if kind == "{{" {
				p.conditional()
			} else {
				open, err = p.statement(open)
			}
			if err == nil && p.token != "" {
				p.fail("%q is in the way", p.token)
			}
			if err = errors.Join(p.err, err); err != nil {
				return err
			}
			text = p.text
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%s is not ended", open[len(open)-1])
	}
	return nil
}

// expression reads the tokens of one pair of braces.
type expression struct {
	text    string // what follows
	closing string
	nested  []byte // brackets that are open
	token   string // empty at the end
	kind    byte   // 'n' name, 's' string, '0' number, 'o' operator
	depth   int
	err     error
}

func (p *expression) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.token, p.kind = "", 0
}

var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "|", ".", ",", ":", "(", ")", "[", "]", "{", "}"}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// next reads a token. The end of the braces is taken with it.
func (p *expression) next() {
	if p.err != nil {
		return
	}
	p.text = strings.TrimLeft(p.text, " \t\r\n")
	if len(p.nested) == 0 {
		for _, end := range []string{p.closing, "-" + p.closing, "+" + p.closing} {
			if strings.HasPrefix(p.text, end) && !(end[0] == '+' && p.closing == "}}") {
				p.token, p.kind = "", 0
				p.text = p.text[len(end):]
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
		digits := strings.ReplaceAll(p.token, "_", "")
		_, notFloat := strconv.ParseFloat(digits, 64)
		if _, err := strconv.ParseInt(digits, 0, 64); err != nil && notFloat != nil {
			p.fail("%q is no number", p.token)
			return
		}
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
func (p *expression) is(tokens ...string) bool {
	return p.kind != 's' && p.token != "" && slices.Contains(tokens, p.token)
}

func (p *expression) take(tokens ...string) bool {
	if !p.is(tokens...) {
		return false
	}
	p.next()
	return true
}

func (p *expression) want(token string) {
	if p.err == nil && !p.take(token) {
		p.fail("%q where %s belongs", p.token, token)
	}
}

func (p *expression) name() string {
	name := p.token
	if p.kind != 'n' {
		p.fail("%q where a name belongs", p.token)
	}
	p.next()
	return name
}

// statement reads what is in {% %}, and returns what is open behind it.
func (p *expression) statement(open []string) ([]string, error) {
	top := ""
	if len(open) > 0 {
		top = open[len(open)-1]
	}
	switch word := p.name(); word {
	case "if":
		p.conditional()
		return append(open, "if"), nil
	case "elif", "else":
		if top != "if" && !(word == "else" && top == "for") {
			return open, fmt.Errorf("%s without if", word)
		}
		if word == "elif" {
			p.conditional()
		}
	case "for":
		p.targets()
		p.want("in")
		p.or()
		if p.take("if") {
			p.conditional()
		}
		p.take("recursive")
		return append(open, "for"), nil
	case "set":
		p.targets()
		if !p.take("=") {
			return append(open, "set"), nil
		}
		p.tuple()
	case "endif", "endfor", "endset":
		if top != strings.TrimPrefix(word, "end") {
			return open, fmt.Errorf("%s ends nothing", word)
		}
		return open[:len(open)-1], nil
	default:
		return open, fmt.Errorf("%q is no statement that is known here", word)
	}
	return open, nil
}

func (p *expression) targets() {
	for {
		p.name()
		for p.take(".") {
			p.name()
		}
		if !p.take(",") {
			return
		}
	}
}

func (p *expression) tuple() {
	p.conditional()
	for p.take(",") && p.err == nil && p.token != "" && !p.is(")") {
		p.conditional()
	}
}

func (p *expression) conditional() {
	if p.depth++; p.depth > maxDepth {
		p.fail("nested too deep")
		return
	}
	defer func() { p.depth-- }()
	p.or()
	for p.err == nil && p.take("if") {
		p.or()
		if p.take("else") {
			p.conditional()
		}
	}
}

func (p *expression) or() {
	for p.and(); p.take("or"); p.and() {
	}
}

func (p *expression) and() {
	for p.not(); p.take("and"); p.not() {
	}
}

func (p *expression) not() {
	for p.take("not") {
	}
	for {
		p.arithmetic()
		switch {
		case p.take("==", "!=", "<", ">", "<=", ">=", "in"):
		case p.take("not"):
			p.want("in")
		default:
			return
		}
	}
}

func (p *expression) arithmetic() {
	for p.unary(); p.take("+", "-", "~", "*", "/", "//", "%", "**"); p.unary() {
	}
}

func (p *expression) unary() {
	for p.take("-", "+") {
	}
	p.primary()
	for p.err == nil {
		switch {
		case p.take("."):
			if p.kind == '0' {
				p.next()
			} else {
				p.name()
			}
		case p.take("["):
			for !p.is("]") && p.err == nil && p.token != "" {
				if !p.take(":", ",") {
					p.conditional()
				}
			}
			p.want("]")
		case p.is("("):
			p.arguments()
		case p.take("|"):
			name := p.name()
			if p.err == nil && !slices.Contains(filters, name) {
				p.fail("filter %q is not known", name)
			}
			if p.is("(") {
				p.arguments()
			}
		case p.take("is"):
			p.take("not")
			name := p.name()
			if p.err == nil && !slices.Contains(tests, name) {
				p.fail("test %q is not known", name)
			}
			switch {
			case p.is("("):
				p.arguments()
			case p.kind == 's' || p.kind == '0' || p.is("[", "{") || p.kind == 'n' && !p.is("and", "or", "not", "if", "else", "is", "in"):
				p.primary()
			}
		default:
			return
		}
	}
}

func (p *expression) primary() {
	switch {
	case p.err != nil:
	case p.kind == 's':
		for p.kind == 's' { // texts in a row are one
			p.next()
		}
	case p.kind == '0':
		p.next()
	case p.kind == 'n':
		if p.is("and", "or", "if", "else", "in", "is", "not") {
			p.fail("%q where a value belongs", p.token)
			return
		}
		p.next()
	case p.take("("):
		if !p.is(")") {
			p.tuple()
		}
		p.want(")")
	case p.take("["):
		for !p.is("]") && p.err == nil && p.token != "" {
			p.conditional()
			if !p.take(",") {
				break
			}
		}
		p.want("]")
	case p.take("{"):
		for !p.is("}") && p.err == nil && p.token != "" {
			p.conditional()
			p.want(":")
			p.conditional()
			if !p.take(",") {
				break
			}
		}
		p.want("}")
	default:
		p.fail("a value is missing before %q", p.token)
	}
}

func (p *expression) arguments() {
	p.want("(")
	for !p.is(")") && p.err == nil && p.token != "" {
		p.take("*", "**")
		p.conditional()
		if p.take("=") {
			p.conditional()
		}
		if !p.take(",") {
			break
		}
	}
	p.want(")")
}
