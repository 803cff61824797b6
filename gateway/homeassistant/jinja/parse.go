package jinja

import (
	"errors"
	"fmt"
	"slices"
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

// Node is a part of a template. The kinds of parts that stand in a text are
//
//	text   Text
//	print  {{ Args[0] }}
//	if     Args[0], Body and Else; an elif is an if alone in Else
//	for    Args are target, list and, if there is one, condition; Body, Else
//	set    Args are target and value, or a target alone and Body
//
// and those of expressions
//
//	name, string         Text; that of a string is as written, without its quotes
//	number               Number is an int64 or a float64
//	list, tuple, dict    Args; those of a dict are key, value, key, value
//	attribute            Args[0].Text
//	item                 Args[0][Args[1]]
//	slice                Args[0], and what stands between the colons and commas
//	call                 Args[0], and its arguments
//	filter, test         Args[0], Text and its arguments
//	keyword, splat       arguments Text=Args[0], and *Args[0] or **Args[0]
//	sign, not, operator  Text and one or two Args
//	chain                a comparison Text of the comparison Args[0] goes on with Args[1]
//	conditional          Args[0] if Args[1] else Args[2], which may be missing
type Node struct {
	Kind, Text string
	Number     any
	Args       []*Node
	Body, Else []*Node
}

func node(kind, text string, args ...*Node) *Node {
	return &Node{Kind: kind, Text: text, Args: args}
}

// block is a statement that is open, and where what follows belongs.
type block struct {
	*Node
	into *[]*Node
}

// Parse returns the parts of a template, or why it does not compile: its blocks are
// closed and in order, its expressions are such, and its filters and tests are known.
func Parse(text string) ([]*Node, error) {
	var parts []*Node
	open := []block{{new(Node), &parts}}
	for {
		i := 0
		for i+1 < len(text) && !(text[i] == '{' && strings.IndexByte("{%#", text[i+1]) >= 0) {
			i++
		}
		before, kind := text, byte(0)
		if i+1 < len(text) {
			before, kind, text = text[:i], text[i+1], text[i+2:]
		}
		if kind != 0 && strings.HasPrefix(text, "-") {
			before = strings.TrimRight(before, spaces)
		}
		into := open[len(open)-1].into
		if before != "" {
			*into = append(*into, node("text", before))
		}
		if kind == 0 {
			break
		}
		if kind == '#' {
			comment, rest, ok := strings.Cut(text, "#}")
			if !ok {
				return nil, errors.New("a comment is not closed")
			}
			if text = rest; strings.HasSuffix(comment, "-") {
				text = strings.TrimLeft(text, spaces)
			}
			continue
		}
		p := &parser{text: text, closing: "}}"}
		if kind == '%' {
			p.closing = "%}"
		}
		if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") && kind == '%' {
			p.text = text[1:]
		}
		p.next()
		if kind == '{' {
			*into = append(*into, node("print", "", p.tuple()))
		} else {
			open = p.statement(open)
		}
		if p.token != "" {
			p.fail("%q is in the way", p.token)
		}
		if p.err != nil {
			return nil, p.err
		}
		text = p.text
	}
	if len(open) > 1 {
		return nil, fmt.Errorf("%s is not ended", open[len(open)-1].Kind)
	}
	return parts, nil
}

// statement reads what is in {% %}, and returns what is open behind it.
func (p *parser) statement(open []block) []block {
	top := &open[len(open)-1]
	add := func(n *Node) { *top.into = append(*top.into, n) }
	switch word := p.name(); word {
	case "if":
		n := node("if", "", p.conditional())
		add(n)
		return append(open, block{n, &n.Body})
	case "elif", "else":
		if top.Kind != "if" && !(word == "else" && top.Kind == "for") || top.into == &top.Else {
			p.fail("%s without if", word)
		} else if word == "elif" {
			n := node("if", "", p.conditional())
			top.Else = []*Node{n}
			*top = block{n, &n.Body}
		} else {
			top.into = &top.Else
		}
	case "for":
		target := p.target()
		p.want("in")
		n := node("for", "", target, p.binary(0))
		if p.take("if") {
			n.Args = append(n.Args, p.conditional())
		}
		p.take("recursive")
		add(n)
		return append(open, block{n, &n.Body})
	case "set":
		n := node("set", "", p.target())
		add(n)
		if !p.take("=") {
			return append(open, block{n, &n.Body})
		}
		n.Args = append(n.Args, p.tuple())
	case "endif", "endfor", "endset":
		if top.Kind != strings.TrimPrefix(word, "end") {
			p.fail("%s ends nothing", word)
			return open
		}
		return open[:len(open)-1]
	default:
		p.fail("%q is no statement that is known here", word)
	}
	return open
}

// several reads what stands between commas, and makes a tuple of more than one.
func (p *parser) several(read func() *Node) *Node {
	n := read()
	if !p.is(",") {
		return n
	}
	n = node("tuple", "", n)
	for p.take(",") && p.token != "" && !p.is(")", "in") {
		n.Args = append(n.Args, read())
	}
	return n
}

func (p *parser) tuple() *Node { return p.several(p.conditional) }

func (p *parser) target() *Node {
	return p.several(func() *Node {
		n := node("name", p.name())
		for p.take(".") {
			n = node("attribute", p.name(), n)
		}
		return n
	})
}

func (p *parser) conditional() *Node {
	if p.depth++; p.depth > maxDepth {
		p.fail("nested too deep")
		return new(Node)
	}
	defer func() { p.depth-- }()
	n := p.binary(0)
	for p.take("if") {
		n = node("conditional", "", n, p.binary(0))
		if p.take("else") {
			n.Args = append(n.Args, p.conditional())
		}
	}
	return n
}

// levels are the binary operators from the loosest to the tightest; not stands before
// one operand.
var levels = [][]string{{"or"}, {"and"}, {"not"}, {"==", "!=", "<", "<=", ">", ">=", "in", "not"}, {"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}}

func (p *parser) binary(level int) *Node {
	if level == len(levels) {
		return p.unary()
	}
	if levels[level][0] == "not" {
		nots := 0
		for p.take("not") {
			nots++
		}
		n := p.binary(level + 1)
		for range nots {
			n = node("not", "", n)
		}
		return n
	}
	n, kind := p.binary(level+1), "operator"
	for p.is(levels[level]...) {
		operator := p.token
		if p.next(); operator == "not" {
			p.want("in")
			operator = "not in"
		}
		n = node(kind, operator, n, p.binary(level+1))
		if levels[level][0] == "==" {
			kind = "chain" // a < b < c is a < b and b < c
		}
	}
	return n
}

func (p *parser) unary() *Node {
	var signs []string
	for p.is("-", "+") {
		signs = append(signs, p.token)
		p.next()
	}
	n := p.postfix(p.primary())
	for _, sign := range slices.Backward(signs) {
		n = node("sign", sign, n)
	}
	for {
		switch {
		case p.is("("):
			n = p.arguments(node("call", "", n))
		case p.take("|"):
			n = node("filter", p.name(), n)
			if !slices.Contains(filters, n.Text) {
				p.fail("filter %q is not known", n.Text)
			}
			if p.is("(") {
				n = p.arguments(n)
			}
		case p.take("is"):
			not := p.take("not")
			n = node("test", p.name(), n)
			if !slices.Contains(tests, n.Text) {
				p.fail("test %q is not known", n.Text)
			}
			switch {
			case p.is("("):
				n = p.arguments(n)
			case p.kind == 's' || p.kind == '0' || p.is("[", "{") || p.kind == 'n' && !p.is("and", "or", "else"):
				n.Args = append(n.Args, p.postfix(p.primary()))
			}
			if not {
				n = node("not", "", n)
			}
		default:
			return n
		}
	}
}

// postfix reads the attributes, items and calls of a value.
func (p *parser) postfix(n *Node) *Node {
	for {
		switch {
		case p.take("."):
			if p.kind == '0' {
				n = node("item", "", n, p.primary())
			} else {
				n = node("attribute", p.name(), n)
			}
		case p.take("["):
			n = node("item", "", n)
			for p.token != "" && !p.is("]") {
				if p.take(":", ",") {
					n.Kind = "slice"
				} else {
					n.Args = append(n.Args, p.conditional())
				}
			}
			if len(n.Args) != 2 {
				n.Kind = "slice"
			}
			p.want("]")
		case p.is("("):
			n = p.arguments(node("call", "", n))
		default:
			return n
		}
	}
}

func (p *parser) primary() *Node {
	switch token := p.token; {
	case p.kind == 's':
		n := node("string", "")
		for p.kind == 's' { // texts in a row are one
			n.Text += p.token[1 : len(p.token)-1]
			p.next()
		}
		return n
	case p.kind == '0':
		v, err := number(token)
		if err != nil {
			p.fail("%q %w", token, err)
		}
		p.next()
		return &Node{Kind: "number", Text: token, Number: v}
	case p.kind == 'n' && !p.is("and", "or", "if", "else", "in", "is", "not"):
		p.next()
		return node("name", token)
	case p.take("("):
		n := node("tuple", "")
		if !p.is(")") {
			n = p.tuple()
		}
		p.want(")")
		return n
	case p.take("["):
		return p.items(node("list", ""), "]")
	case p.take("{"):
		return p.items(node("dict", ""), "}")
	default:
		p.fail("%q where a value belongs", token)
		return new(Node)
	}
}

func (p *parser) arguments(n *Node) *Node {
	p.next()
	return p.items(n, ")")
}

// items reads what is in brackets: of a list, a dict, or arguments.
func (p *parser) items(n *Node, closing string) *Node {
	for p.token != "" && !p.is(closing) {
		splat := p.token
		if closing != ")" || !p.take("*", "**") {
			splat = ""
		}
		x := p.conditional()
		switch {
		case splat != "":
			x = node("splat", splat, x)
		case closing == "}":
			p.want(":")
			n.Args = append(n.Args, x)
			x = p.conditional()
		case closing == ")" && x.Kind == "name" && p.take("="):
			x = node("keyword", x.Text, p.conditional())
		}
		n.Args = append(n.Args, x)
		if !p.take(",") {
			break
		}
	}
	p.want(closing)
	return n
}
