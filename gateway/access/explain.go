package access

import (
	"fmt"
	"iter"
	"strings"

	"lintel/gateway/mqtt"
)

// Verdict is what a [Policy] decides, and why.
type Verdict struct {
	Allow   bool
	Depends bool   // on the message, and none was given; Allow is false
	Rule    string // that decided, as in "role sensors, rule 3 (roles.toml:17)"; empty: none
	Why     string // one sentence for a person
	Way     []Step // to it; empty unless asked for, see [Policy.Way]
}

// Step is one of the rules that were asked on the way to a [Verdict].
type Step struct {
	Rule  string `json:"rule"`  // as in a Verdict
	Says  string `json:"says"`  // "allow publish to a/#"
	Match Match  `json:"match"` // of the rule with what is asked
}

// Match tells why a rule decides or does not.
type Match string

// The matches.
const (
	OtherAction Match = "other action"
	OtherTopic  Match = "other topic"
	PartMatches Match = "part"    // of what a filter matches: it is not what decides
	OnMessage   Match = "message" // it depends on the message
	Decides     Match = "decides"
)

const maxSteps = 100 // of a way

// Way returns the rules that are asked about an action and a topic, up to the one that
// decides, 100 at most.
func (p *Policy) Way(id *Identity, a Action, topic string) []Step {
	var way []Step
	if id == nil || id.Internal || refusedTopic(a, topic) != "" {
		return nil
	}
	for r, o := range p.rulesOf(id) {
		if len(way) == maxSteps {
			break
		}
		step := Step{o.title(r), r.String(), OtherTopic}
		covers, overlaps := r.reach(id, topic)
		switch {
		case !r.about(a):
			step.Match = OtherAction
		case covers && r.conditional():
			step.Match = OnMessage
		case covers:
			step.Match = Decides
		case overlaps:
			step.Match = PartMatches
		}
		if way = append(way, step); step.Match == Decides {
			break
		}
	}
	return way
}

// Explain decides as [Policy.Permit] does, and says why. Of a message only payload, QoS and
// Retain count; without one, m is nil, Why lists what it depends on. For
// Subscribe it names the rules that keep messages back at delivery, too.
func (p *Policy) Explain(id *Identity, a Action, topic string, m *mqtt.Message) Verdict {
	switch {
	case id == nil:
		return Verdict{Why: "nobody is asking"}
	case id.Internal:
		return Verdict{Allow: true, Why: "a part of the house may do everything: allowed"}
	}
	if why := refusedTopic(a, topic); why != "" {
		return Verdict{Why: why}
	}
	var v Verdict
	var open []string // rules that depend on the message
	seen := examined{id: id, topic: topic}
	if m != nil {
		seen.qos, seen.retain, seen.payload = m.QoS, m.Retain, m.Payload
	}
	answer := p.first(id, a, topic, func(r *Rule, o origin) bool {
		what := o.title(r) + ": " + o.what(r, id, topic)
		switch {
		case r.conditional() && m == nil:
			open = append(open, what)
			return false
		case r.conditional() && !r.decides(&seen):
			return false
		case r.conditional() && r.holds(&seen) == unknown:
			what += "; whether that holds cannot be found out"
		}
		v.Rule, v.Why = o.title(r), what
		return true
	})
	v.Allow = answer == allowed
	if v.Why == "" {
		v.Why = p.unmatched(id, a, topic)
	}
	if len(open) > 0 && p.Permit(id, a, topic).Depends() {
		v = Verdict{Depends: true, Why: "it depends on the message: " + few(open) + "; else " + v.Why}
	}
	if a == Subscribe && v.Allow {
		v.Why += p.keptBack(id, topic)
	}
	return v
}

// title names a rule.
func (o origin) title(r *Rule) string {
	s := ""
	switch {
	case o.role != "":
		s = fmt.Sprintf("role %s, rule %d", o.role, o.number)
	case o.number > 0:
		s = fmt.Sprintf("rule %d of the token", o.number)
	default:
		return "own topic"
	}
	if r.Place != "" {
		s += " (" + r.Place + ")"
	}
	return s
}

// what says what a rule does, or for the topics of an identity which one it is.
func (o origin) what(r *Rule, id *Identity, topic string) string {
	if o.number > 0 {
		return r.String()
	}
	for _, t := range id.Topics {
		if checkFilter(t) == nil && newFilter(t).covers(id, topic) {
			return "allow everything on " + t
		}
	}
	return r.String()
}

// unmatched says why there is no rule that decides.
func (p *Policy) unmatched(id *Identity, a Action, topic string) string {
	for i := range id.Rules {
		if err := id.Rules[i].validate(); err != nil {
			return fmt.Sprintf("rule %d of the token cannot be used (%s)", i+1, err)
		}
	}
	why := "no rule matches"
	var gone []string
	for _, name := range id.Roles {
		if _, ok := p.roles[name]; !ok {
			gone = append(gone, fmt.Sprintf("there is no role %q", name))
		}
	}
	switch {
	case len(gone) > 0:
		return why + "; " + strings.Join(gone, "; ")
	case len(id.Roles)+len(id.Topics)+len(id.Rules) == 0:
		return why + "; there are no roles and no topics of its own"
	case a == Subscribe:
		if part := p.overlapping(id, topic, func(r *Rule) bool { return !r.Deny && r.about(Subscribe) }); len(part) > 0 {
			return "no rule matches all of it; a part is in " + few(part)
		}
	}
	return why
}

// keptBack says which rules deny at delivery a part of what topic, a filter that may be
// subscribed to, matches.
func (p *Policy) keptBack(id *Identity, topic string) string {
	list := p.overlapping(id, topic, func(r *Rule) bool { return r.Deny && r.about(Receive) })
	if len(list) == 0 {
		return ""
	}
	return "; not delivered is what is denied by " + few(list)
}

// overlapping lists the rules about a part of what a filter matches, up to the first
// rule that matches all of it whatever the message.
func (p *Policy) overlapping(id *Identity, topic string, is func(*Rule) bool) []string {
	var list []string
	for r, o := range p.rulesOf(id) {
		if !r.about(Receive) {
			continue
		}
		covers, overlaps := r.reach(id, topic)
		if overlaps && is(r) {
			list = append(list, o.title(r)+": "+r.String())
		}
		if covers && !r.conditional() {
			break
		}
	}
	return list
}

// rulesOf goes through what [Policy.first] asks.
func (p *Policy) rulesOf(id *Identity) iter.Seq2[*Rule, origin] {
	return func(yield func(*Rule, origin) bool) {
		for i := range id.Rules {
			if r := &id.Rules[i]; r.validate() != nil || !yield(r, origin{"", i + 1}) {
				return
			}
		}
		for _, t := range id.Topics {
			if checkFilter(t) == nil && !yield(&Rule{Actions: everything, Topics: []string{t}}, origin{}) {
				return
			}
		}
		for _, name := range id.Roles {
			rules := p.roles[name]
			for i := range rules {
				if !yield(&rules[i].Rule, origin{name, i + 1}) {
					return
				}
			}
		}
	}
}

// few joins the first of what rules say.
func few(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s; %d more rules", strings.Join(list[:most], "; "), len(list)-most)
	}
	return strings.Join(list, "; ")
}
