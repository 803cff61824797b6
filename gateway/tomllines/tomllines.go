// Package tomllines finds where in a TOML text its keys are, for errors that name the
// line: github.com/BurntSushi/toml keeps the positions of what it has read to itself.
//
// It holds no state and never fails: of what is no TOML some lines are wrong. Paths longer
// than eight names and indices are not told.
package tomllines

import (
	"fmt"
	"strings"
)

// Of returns the line, from 1 on, of each key, table and list element of a text by its
// path, as in role[0].rule[2].topic[1].
func Of(text string) map[string]int {
	p := reader{rest: text, line: 1, lines: make(map[string]int), count: make(map[string]int)}
	p.read()
	return p.lines
}

// maxPath is how many names and indices of a path are of use; role files have four.
// Without a bound the paths of a list in a list in a list… take more room than there is.
const maxPath = 8

type reader struct {
	depth int // of lists and tables in one another
	rest  string
	line  int
	lines map[string]int
	count map[string]int // of the tables in a list
}

func (p *reader) note(path string) {
	if _, ok := p.lines[path]; !ok {
		p.lines[path] = p.line
	}
}

// skip goes n bytes on.
func (p *reader) skip(n int) {
	n = min(n, len(p.rest))
	p.line += strings.Count(p.rest[:n], "\n")
	p.rest = p.rest[n:]
}

// blank goes to what is next: over spaces and, if lines is set, over comments and the
// ends of lines.
func (p *reader) blank(lines bool) {
	for p.rest != "" {
		switch c := p.rest[0]; {
		case c == ' ' || c == '\t' || c == '\r' || lines && c == '\n':
			p.skip(1)
		case c == '#' && lines:
			p.skipLine()
		default:
			return
		}
	}
}

// skipLine goes to the end of the line.
func (p *reader) skipLine() {
	if i := strings.IndexByte(p.rest, '\n'); i >= 0 {
		p.skip(i)
	} else {
		p.rest = ""
	}
}

// read reads expressions up to the end.
func (p *reader) read() {
	p.rest = strings.TrimPrefix(p.rest, "\ufeff")
	table := ""
	for {
		p.blank(true)
		switch {
		case p.rest == "":
			return
		case strings.HasPrefix(p.rest, "[["):
			p.skip(2)
			table = p.resolve(p.key(), true)
		case p.rest[0] == '[':
			p.skip(1)
			table = p.resolve(p.key(), false)
		default:
			p.member(table)
		}
		p.skipLine()
	}
}

// resolve returns the path of a table from the names in its header: of a list of tables
// the last one is meant.
func (p *reader) resolve(names []string, list bool) string {
	path := ""
	for i, name := range names {
		path = join(path, name)
		if list && i == len(names)-1 {
			p.note(path)
			p.count[path]++
		}
		if n := p.count[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
		p.note(path)
	}
	return path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// member reads KEY = VALUE.
func (p *reader) member(table string) {
	path := table
	for _, name := range p.key() {
		if p.depth <= maxPath {
			path = join(path, name)
			p.note(path)
		}
	}
	p.blank(false)
	if strings.HasPrefix(p.rest, "=") {
		p.skip(1)
		p.value(path)
	}
}

// key reads a key with dots.
func (p *reader) key() []string {
	var names []string
	for {
		names = names[:min(len(names), maxPath)]
		p.blank(false)
		if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
			names = append(names, p.quoted())
		} else {
			n := strings.IndexAny(p.rest, ".=]} \t\r\n")
			if n < 0 {
				n = len(p.rest)
			}
			names = append(names, p.rest[:n])
			p.skip(n)
		}
		p.blank(false)
		if !strings.HasPrefix(p.rest, ".") {
			return names
		}
		p.skip(1)
	}
}

// quoted reads a text in quotes. Escapes stay as they are.
func (p *reader) quoted() string {
	quote := p.rest[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(p.rest, triple) {
		quote = triple
	}
	p.skip(len(quote))
	for i := 0; i < len(p.rest); i++ {
		switch {
		case p.rest[i] == '\\' && quote[0] == '"':
			i++
		case strings.HasPrefix(p.rest[i:], quote):
			text := p.rest[:i]
			p.skip(i + len(quote))
			for len(quote) == 3 && strings.HasPrefix(p.rest, quote[:1]) { // quotes that belong to the text
				p.skip(1)
			}
			return text
		}
	}
	text := p.rest
	p.skip(len(text))
	return text
}

// value reads a value.
func (p *reader) value(path string) {
	p.depth++
	defer func() { p.depth-- }()
	p.blank(false)
	switch {
	case p.rest == "":
	case p.rest[0] == '"' || p.rest[0] == '\'':
		p.quoted()
	case p.rest[0] == '[':
		p.skip(1)
		for i, left := 0, 0; p.more(']') && len(p.rest) != left; i++ { // the second: no TOML
			left = len(p.rest)
			element := path
			if p.depth <= maxPath {
				element = fmt.Sprintf("%s[%d]", path, i)
				p.note(element)
			}
			p.value(element)
		}
	case p.rest[0] == '{':
		p.skip(1)
		for left := 0; p.more('}') && len(p.rest) != left; {
			left = len(p.rest)
			p.member(path)
		}
	default:
		n := strings.IndexAny(p.rest, ",]}#\r\n")
		if n < 0 {
			n = len(p.rest)
		}
		p.skip(n)
	}
}

// more goes to the next element, or over the end of them.
func (p *reader) more(end byte) bool {
	p.blank(true)
	if strings.HasPrefix(p.rest, ",") {
		p.skip(1)
		p.blank(true)
	}
	if p.rest == "" {
		return false
	}
	if p.rest[0] == end {
		p.skip(1)
		return false
	}
	return true
}
