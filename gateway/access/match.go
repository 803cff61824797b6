package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"lintel/gateway/mqtt"
)

// filter is a topic filter of a rule. Topics are compared byte for byte, as MQTT
// does (5.0 §1.5.4, §4.7.3): upper and lower case differ, and so do two spellings
// that look alike.
//
// A level may hold %u, the user name, %c, the client id, %i, the name in the client
// certificate, or %%, a percent sign. What stands for the name must be the whole
// name. A name that is empty or holds + # or / never matches, neither in a rule that
// allows nor in one that denies: it would be more, or something else, than a part of
// a level. The client id is the client's own choice unless who lets it in looks at it.
//
// A topic that begins with $ is matched only by a filter that begins with $, and not
// by one that begins with %u (5.0 §4.7.2).
type filter struct {
	text    string
	prefix  string // all that it covers begins with this
	pattern bool   // there is a % in it
}

func newFilter(text string) filter {
	f := filter{text, text, strings.IndexByte(text, '%') >= 0}
	if i := strings.IndexAny(text, "+#%"); i >= 0 {
		f.prefix = text[:i]
		if text[i] == '#' {
			f.prefix = strings.TrimSuffix(f.prefix, "/") // '#' includes the parent level
		}
	}
	return f
}

// ValidateTopics reports why topics cannot be those of an [Identity] or a [Rule].
func ValidateTopics(topics []string) error {
	for _, t := range topics {
		if err := checkFilter(t); err != nil {
			return fmt.Errorf("topic %.80q: %w", t, err)
		}
	}
	return nil
}

// checkFilter reports why text is no topic filter of a rule.
func checkFilter(text string) error {
	switch {
	case text == "":
		return errors.New("is empty; right is a topic filter, such as sensors/#")
	case len(text) > 65535:
		return errors.New("is longer than 65,535 bytes")
	case !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0:
		return errors.New("holds what no topic can hold")
	case text == "$share" || strings.HasPrefix(text, "$share/"):
		return errors.New("rules are about the filter behind $share/NAME/; leave that out")
	case !mqtt.ValidFilter(text):
		return errors.New("a + or # must be a whole level, and # the last one")
	}
	first := true
	for level := range strings.SplitSeq(text, "/") {
		if err := checkLevel(level, first && text[0] == '$'); err != nil {
			return err
		}
		first = false
	}
	return nil
}

// checkLevel reports what is wrong with the percent signs of a level.
func checkLevel(level string, system bool) error {
	patterns := 0
	for {
		i := strings.IndexByte(level, '%')
		if i < 0 {
			break
		}
		code := byte(0)
		if i+1 < len(level) {
			code = level[i+1]
		}
		switch code {
		case 'u', 'c', 'i':
			patterns++
		case '%':
		default:
			return errors.New("a % stands only in %u (user), %c (client id), %i (certificate) and %% (a percent sign)")
		}
		level = level[i+2:]
	}
	switch {
	case patterns > 1:
		// As %u-%c, user "a" with client id "b-c" would be user "a-b" with "c".
		return errors.New("two names in one level can be mistaken for others; put a / between them")
	case patterns > 0 && system:
		return errors.New("a name cannot be part of a first level that begins with $")
	}
	return nil
}

// name returns what a letter behind % stands for, and whether it can stand in a
// topic.
func (id *Identity) name(code byte) (string, bool) {
	var name string
	switch code {
	case 'u':
		name = id.User
	case 'c':
		name = id.ClientID
	case 'i':
		name = id.Name
	}
	return name, name != "" && !strings.ContainsAny(name, "+#/\x00")
}

// spells reports whether a level of a pattern is that level for id.
func (id *Identity) spells(pattern, level string) bool {
	for pattern != "" {
		part := pattern[:1]
		if part == "%" {
			if len(pattern) > 1 && pattern[1] != '%' {
				var ok bool
				if part, ok = id.name(pattern[1]); !ok {
					return false
				}
			}
			pattern = pattern[min(2, len(pattern)):]
		} else {
			pattern = pattern[1:]
		}
		var ok bool
		if level, ok = strings.CutPrefix(level, part); !ok {
			return false
		}
	}
	return level == ""
}

// covers reports whether f matches every topic that asked matches, which is a valid
// filter or, with the same meaning, a topic name.
func (f filter) covers(id *Identity, asked string) bool {
	if !strings.HasPrefix(asked, f.prefix) || (f.text[0] == '$') != (asked[0] == '$') {
		return false
	}
	rule := f.text
	for first := true; ; first = false {
		level, rest, more := strings.Cut(rule, "/")
		if level == "#" {
			return true
		}
		name, below, deeper := strings.Cut(asked, "/")
		switch {
		case name == "#":
			return first && rule == "+/#" // every topic has a first level
		case level == "+": // nothing else covers a +, which is no name either
		case f.pattern:
			if !id.spells(level, name) {
				return false
			}
		case level != name:
			return false
		}
		switch {
		case !more:
			return !deeper
		case !deeper:
			return rest == "#" // '#' includes the parent level
		}
		rule, asked = rest, below
	}
}

// overlaps reports whether there can be a topic that both f and asked match.
func (f filter) overlaps(id *Identity, asked string) bool {
	rule, ok := f.expand(id)
	if !ok || (rule[0] == '$') != (asked[0] == '$') {
		return false
	}
	for {
		level, rest, more := strings.Cut(rule, "/")
		name, below, deeper := strings.Cut(asked, "/")
		switch {
		case level == "#" || name == "#":
			return true
		case level != "+" && name != "+" && level != name:
			return false
		case !more || !deeper:
			return more == deeper || rest == "#" || below == "#"
		}
		rule, asked = rest, below
	}
}

// expand returns f for id as a plain filter.
func (f filter) expand(id *Identity) (string, bool) {
	if !f.pattern {
		return f.text, true
	}
	var b strings.Builder
	for i := 0; i < len(f.text); i++ {
		if f.text[i] != '%' || i+1 == len(f.text) {
			b.WriteByte(f.text[i])
			continue
		}
		i++
		if f.text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		name, ok := id.name(f.text[i])
		if !ok {
			return "", false
		}
		b.WriteString(name)
	}
	text := b.String()
	return text, text[0] != '$' || f.text[0] == '$'
}

// reach reports whether r covers all of what is asked, and whether it is about a part of it.
func (r *Rule) reach(id *Identity, asked string) (covers, overlaps bool) {
	for _, t := range r.Topics {
		f := newFilter(t)
		covers, overlaps = covers || f.covers(id, asked), overlaps || f.overlaps(id, asked)
	}
	return covers, overlaps
}

// matches reports whether a rule with these topics is about what is asked.
func matches(filters []filter, id *Identity, asked string) bool {
	return slices.ContainsFunc(filters, func(f filter) bool { return f.covers(id, asked) })
}
