package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// RuleSpec is a [Rule] as it is written: in a role file, and as JSON.
type RuleSpec struct {
	Allow   []string     `json:"allow,omitempty"` // publish, subscribe, receive, or all
	Deny    []string     `json:"deny,omitempty"`  // likewise
	Topic   []string     `json:"topic"`
	QoS     []int        `json:"qos,omitempty"`
	Retain  *bool        `json:"retain,omitempty"`
	Payload *ContentSpec `json:"payload,omitempty"`
}

// ContentSpec is a [Content] as it is written.
type ContentSpec struct {
	MaxSize int    `json:"max_size,omitempty"`
	JSON    bool   `json:"json,omitempty"`
	Schema  string `json:"schema,omitempty"` // name of its file
	Where   string `json:"where,omitempty"`
}

// spec returns a rule as it is written.
func (r *Rule) spec() RuleSpec {
	var actions []string
	for _, a := range r.Actions {
		actions = append(actions, a.String())
	}
	if len(actions) == len(everything) {
		actions = []string{"all"}
	}
	s := RuleSpec{Allow: actions, Topic: slices.Clone(r.Topics), Retain: r.Retain}
	if r.Deny {
		s.Allow, s.Deny = nil, actions
	}
	for _, q := range r.QoS {
		s.QoS = append(s.QoS, int(q))
	}
	if c := r.Content; c != nil {
		s.Payload = &ContentSpec{MaxSize: c.MaxSize, JSON: c.JSON}
		if c.Schema != nil {
			s.Payload.Schema = c.Schema.name
		}
		if c.Where != nil {
			s.Payload.Where = c.Where.text
		}
	}
	return s
}

// Specs returns the rules of a role as they are written.
func (r *Role) Specs() []RuleSpec {
	specs := []RuleSpec{}
	for i := range r.Rules {
		specs = append(specs, r.Rules[i].spec())
	}
	return specs
}

// WriteRole returns a role as a role file has it. What is wrong with the rules is wrong in
// the text, too.
func WriteRole(name string, rules []RuleSpec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[role]]\nname = %s\n", tomlText(name))
	for i := range rules {
		b.WriteString("\n[[role.rule]]\n")
		rules[i].write(&b)
	}
	return b.String()
}

func (s *RuleSpec) write(b *strings.Builder) {
	if len(s.Allow) > 0 {
		fmt.Fprintf(b, "allow = %s\n", tomlTexts(s.Allow))
	}
	if len(s.Deny) > 0 {
		fmt.Fprintf(b, "deny = %s\n", tomlTexts(s.Deny))
	}
	if len(s.Topic) > 0 {
		fmt.Fprintf(b, "topic = %s\n", tomlTexts(s.Topic))
	}
	if len(s.QoS) > 0 {
		fmt.Fprintf(b, "qos = [%s]\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(s.QoS), " ", ", "), "[]"))
	}
	if s.Retain != nil {
		fmt.Fprintf(b, "retain = %t\n", *s.Retain)
	}
	if p := s.Payload; p != nil {
		var parts []string
		if p.MaxSize != 0 {
			parts = append(parts, fmt.Sprint("max_size = ", p.MaxSize))
		}
		if p.JSON {
			parts = append(parts, "json = true")
		}
		if p.Schema != "" {
			parts = append(parts, "schema = "+tomlText(p.Schema))
		}
		if p.Where != "" {
			parts = append(parts, "where = "+tomlText(p.Where))
		}
		fmt.Fprintf(b, "payload = { %s }\n", strings.Join(parts, ", "))
	}
}

// tomlTexts is a text, or a list of them.
func tomlTexts(list []string) string {
	if len(list) == 1 {
		return tomlText(list[0])
	}
	var all []string
	for _, s := range list {
		all = append(all, tomlText(s))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// tomlText is a basic string of TOML, which has the escapes of JSON, and none of its own for
// what JSON may leave as it is but DEL.
func tomlText(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // of a string: no error
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}
