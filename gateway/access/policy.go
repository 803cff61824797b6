package access

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lintel/gateway/mqtt"
)

// Role is rules under a name.
type Role struct {
	Name  string // of letters, digits, dots, - and _
	Rules []Rule
}

// Policy is roles by name. It does not change and may be used from any goroutine.
type Policy struct {
	roles map[string][]compiledRule
}

type compiledRule struct {
	Rule
	filters []filter
}

// newPolicy makes a Policy of roles. The error says which rule cannot be used, and why.
func newPolicy(roles []Role) (*Policy, error) {
	p := &Policy{roles: make(map[string][]compiledRule)}
	for _, r := range roles {
		if err := p.add(r); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Policy) add(r Role) error {
	if err := checkRoleName(r.Name); err != nil {
		return fmt.Errorf("access: %w", err)
	}
	if _, twice := p.roles[r.Name]; twice {
		return fmt.Errorf("access: there are two roles %q", r.Name)
	}
	var compiled []compiledRule
	for i, rule := range r.Rules {
		if err := rule.validate(); err != nil {
			return fmt.Errorf("access: role %s, rule %d: %w", r.Name, i+1, err)
		}
		c := compiledRule{Rule: rule}
		for _, t := range rule.Topics {
			c.filters = append(c.filters, newFilter(t))
		}
		compiled = append(compiled, c)
	}
	p.roles[r.Name] = compiled
	return nil
}

const maxRoleName = 64

func checkRoleName(name string) error {
	if name == "" {
		return errors.New("a role needs a name")
	}
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c)
	}
	if len(name) > maxRoleName || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("%.80q is no name for a role; right are up to %d letters, digits, dots, - and _", name, maxRoleName)
	}
	return nil
}

// Roles returns the names of the roles, sorted.
func (p *Policy) Roles() []string { return slices.Sorted(maps.Keys(p.roles)) }

// Role returns the rules of a role.
func (p *Policy) Role(name string) (Role, bool) {
	rules, ok := p.roles[name]
	if !ok {
		return Role{}, false
	}
	role := Role{Name: name}
	for i := range rules {
		role.Rules = append(role.Rules, rules[i].Rule)
	}
	return role, true
}

// Permit is what a [Policy] says about somebody, an action and a topic. It holds as
// long as the Policy is in force. The zero Permit is denied.
type Permit struct {
	answer answer
	open   *open
}

type answer byte

const (
	denied answer = iota
	allowed
	depends
)

// open is a question that only a message answers.
type open struct {
	id    *Identity
	topic string
	rules []*Rule // that may match, each of which depends on the message
	allow bool    // the answer if none does
}

// Allowed reports whether every message is allowed.
func (p Permit) Allowed() bool { return p.answer == allowed }

// Denied reports whether none is.
func (p Permit) Denied() bool { return p.answer == denied }

// Depends reports whether it depends on the message; see [Permit.Message]. It never
// does for Subscribe.
func (p Permit) Depends() bool { return p.answer == depends }

// Message reports whether a message is allowed that was published with qos and
// retain. The payload is not kept and not changed.
func (p Permit) Message(qos mqtt.QoS, retain bool, payload []byte) bool {
	if p.answer != depends {
		return p.answer == allowed
	}
	m := examined{id: p.open.id, topic: p.open.topic, qos: qos, retain: retain, payload: payload}
	for _, r := range p.open.rules {
		if r.decides(&m) {
			return !r.Deny
		}
	}
	return p.open.allow
}

// decides reports whether r matches a message. In doubt one that denies does.
func (r *Rule) decides(m *examined) bool {
	t := r.holds(m)
	return t == yes || t == unknown && r.Deny
}

// Permit decides what somebody may do with a topic. Nobody but a part of the house may
// do anything with what is no valid topic name or, for Subscribe, no valid filter, or
// publish to a topic that begins with $ (5.0 §4.7.2).
func (p *Policy) Permit(id *Identity, a Action, topic string) Permit {
	var rules []*Rule
	answer := p.first(id, a, topic, func(r *Rule, _ origin) bool {
		if !r.conditional() {
			return true
		}
		rules = append(rules, r)
		return false
	})
	// Rules just before the end that say what the end says change nothing.
	for len(rules) > 0 && rules[len(rules)-1].Deny == (answer == denied) {
		rules = rules[:len(rules)-1]
	}
	if len(rules) == 0 {
		return Permit{answer: answer}
	}
	return Permit{depends, &open{id, topic, rules, answer == allowed}}
}

// origin is where a rule comes from.
type origin struct {
	role   string // empty: of the identity
	number int    // among the rules of the role or the identity, from 1; 0: a topic of the identity
}

// first asks the rules that match in order until yes says that one decides. Without
// one the answer is denied.
func (p *Policy) first(id *Identity, a Action, topic string, decides func(*Rule, origin) bool) answer {
	switch {
	case id == nil:
		return denied
	case id.Internal:
		return allowed
	case refusedTopic(a, topic) != "":
		return denied
	}
	answerOf := func(r *Rule) answer {
		if r.Deny {
			return denied
		}
		return allowed
	}
	for i := range id.Rules {
		r := &id.Rules[i]
		if r.validate() != nil {
			return denied
		}
		about := func(t string) bool { return newFilter(t).covers(id, topic) }
		if r.about(a) && slices.ContainsFunc(r.Topics, about) && decides(r, origin{"", i + 1}) {
			return answerOf(r)
		}
	}
	for _, t := range id.Topics {
		if checkFilter(t) == nil && newFilter(t).covers(id, topic) && decides(ownTopics, origin{}) {
			return allowed
		}
	}
	for _, name := range id.Roles {
		rules := p.roles[name]
		for i := range rules {
			r := &rules[i]
			if r.about(a) && matches(r.filters, id, topic) && decides(&r.Rule, origin{name, i + 1}) {
				return answerOf(&r.Rule)
			}
		}
	}
	return denied
}

// ownTopics stands for the topics of an identity among rules.
var ownTopics = &Rule{Actions: everything}

// refusedTopic says what is wrong with a topic, whatever the rules are.
func refusedTopic(a Action, topic string) string {
	switch {
	case a == Subscribe && !mqtt.ValidFilter(topic):
		return "that is no valid topic filter"
	case a == Subscribe:
	case !mqtt.ValidTopicName(topic):
		return "that is no valid topic name"
	case a == Publish && topic[0] == '$':
		return "topics that begin with $ belong to the broker"
	}
	return ""
}
