package access

import (
	"fmt"
	"slices"
	"strings"
)

// Answer is what a [Policy] says about all topics that a filter matches.
type Answer string

// The answers.
const (
	Allowed Answer = "allowed"
	Partly  Answer = "partly" // some of the topics, or some messages
	Refusal Answer = "denied"
)

// Over tells whether somebody may do something with all that a filter matches, which may be
// one of a [Rule]: then %u, %c and %i are the names of id. For Subscribe it tells of what is
// delivered too: a subscription of which a part is kept back is allowed partly.
func (p *Policy) Over(id *Identity, a Action, filter string) Answer {
	asked, ok := newFilter(filter).expand(id)
	switch {
	case !ok:
		return Refusal
	case id.Internal:
		return Allowed
	case a == Publish && asked[0] == '$':
		return Refusal
	}
	some := false // of it is answered otherwise than by the rule that decides
	for r := range p.rulesOf(id) {
		if !r.about(a) && !(a == Subscribe && r.about(Receive) && r.Deny) {
			continue
		}
		covers, overlaps := r.reach(id, asked)
		switch {
		case covers && !r.conditional() && r.about(a):
			if some {
				return Partly
			}
			if r.Deny {
				return Refusal
			}
			return Allowed
		case overlaps && (r.Deny || covers || a != Subscribe):
			some = true
		}
	}
	if some && p.may(id, a, asked) {
		return Partly
	}
	return Refusal
}

// may reports whether any rule allows a part of what a filter matches.
func (p *Policy) may(id *Identity, a Action, asked string) bool {
	for r := range p.rulesOf(id) {
		if r.Deny || !r.about(a) {
			continue
		}
		if covers, overlaps := r.reach(id, asked); covers || a != Subscribe && overlaps {
			return true
		}
	}
	return false
}

// Proposal is the least that lets a user go on with what he was seen to do.
type Proposal struct {
	Role Role
	// Beyond are what the rules of today allow, and what of it was used: nobody misses the
	// rest.
	Beyond []Unused
	// Denied is what was seen and the role would deny. It is empty: what else would be a
	// mistake of the box is told before somebody saves it.
	Denied []Use
}

// Unused is a right of which less is used.
type Unused struct {
	Rule string `json:"rule"` // as in a [Verdict]
	Says string `json:"says"` // "allow publish to a/#"
}

// Use is an action and a topic of a rule.
type Use struct {
	Action string `json:"action"`
	Topic  string `json:"topic"`
}

// Propose makes a role of what was seen of id, whose rights today are those of p. What
// somebody was seen to do is allowed, and what covers it where it was too much to keep apart.
// Of that, what the rules of today deny stays denied, unless it was seen.
func (p *Policy) Propose(id *Identity, role string, seen *Observed) Proposal {
	proposal := Proposal{Role: Role{Name: role, Rules: leastRules(seen)}}
	rules := &proposal.Role.Rules
	for r := range p.rulesOf(id) {
		if !r.Deny || r.conditional() {
			continue
		}
		with := slices.Insert(slices.Clone(*rules), denials(*rules), Rule{Deny: true, Actions: r.Actions, Topics: r.Topics})
		if overlapsAny(id, r, *rules) && p.denies(id, r) && len(deniedOf(id, role, with, seen)) == 0 {
			*rules = with
		}
	}
	proposal.Denied = deniedOf(id, role, *rules, seen)
	alone := &Identity{User: id.User, ClientID: id.ClientID, Name: id.Name, Roles: []string{role}}
	least, err := newPolicy([]Role{proposal.Role})
	for r, o := range p.rulesOf(id) {
		if err != nil || r.Deny {
			continue
		}
		if slices.ContainsFunc(r.Actions, func(a Action) bool {
			return slices.ContainsFunc(r.Topics, func(t string) bool { return least.Over(alone, a, t) != Allowed })
		}) {
			proposal.Beyond = append(proposal.Beyond, Unused{o.title(r), r.String()})
		}
	}
	return proposal
}

// denies reports whether a rule is in force: nothing before it allows what it denies.
func (p *Policy) denies(id *Identity, r *Rule) bool {
	for _, a := range r.Actions {
		for _, t := range r.Topics {
			if p.Over(id, a, t) != Refusal {
				return false
			}
		}
	}
	return true
}

// denials counts the rules at the beginning that deny.
func denials(rules []Rule) int {
	n := slices.IndexFunc(rules, func(r Rule) bool { return !r.Deny })
	return max(n, 0)
}

// leastRules are the rules that allow what was seen.
func leastRules(seen *Observed) []Rule {
	topics := func(list []ObservedTopic) []string {
		var all []string
		for _, t := range list {
			all = append(all, t.Topic)
		}
		slices.Sort(all)
		return all
	}
	publish, subscribe := topics(seen.Publish), topics(seen.Subscribe)
	receive := slices.DeleteFunc(topics(seen.Receive), func(t string) bool { // what a subscription brings needs no rule of its own
		return slices.ContainsFunc(subscribe, func(wide string) bool { return coversGeneral(wide, t) })
	})
	both := slices.DeleteFunc(slices.Clone(publish), func(t string) bool { return !slices.Contains(subscribe, t) })
	isBoth := func(t string) bool { return slices.Contains(both, t) }
	var rules []Rule
	add := func(topics []string, actions ...Action) {
		if len(topics) > 0 {
			rules = append(rules, Rule{Actions: actions, Topics: topics})
		}
	}
	add(both, Publish, Subscribe)
	add(slices.DeleteFunc(publish, isBoth), Publish)
	add(slices.DeleteFunc(subscribe, isBoth), Subscribe)
	add(receive, Receive)
	return rules
}

// overlapsAny reports whether a rule is about a part of what others are about.
func overlapsAny(id *Identity, r *Rule, others []Rule) bool {
	for _, o := range others {
		for _, t := range o.Topics {
			if asked, ok := newFilter(t).expand(id); ok {
				if _, overlaps := r.reach(id, asked); overlaps {
					return true
				}
			}
		}
	}
	return false
}

// deniedOf returns what was seen and rules do not allow. Of a topic with a + or #, which was
// not seen itself, a part may be denied.
func deniedOf(id *Identity, role string, rules []Rule, seen *Observed) []Use {
	p, err := newPolicy([]Role{{role, rules}})
	if err != nil {
		return []Use{{"", fmt.Sprint(err)}}
	}
	var denied []Use
	alone := &Identity{User: id.User, ClientID: id.ClientID, Name: id.Name, Roles: []string{role}}
	for _, a := range everything {
		for _, t := range *seen.of(a) {
			if _, ok := newFilter(t.Topic).expand(alone); !ok {
				continue // of a client with another name
			}
			if answer := p.Over(alone, a, t.Topic); answer == Refusal || answer == Partly && !strings.ContainsAny(t.Topic, "+#") {
				denied = append(denied, Use{a.String(), t.Topic})
			}
		}
	}
	return denied
}

// Effect is what other rules would change for somebody.
type Effect struct {
	User     string `json:"user,omitempty"`
	ClientID string `json:"client,omitempty"`
	Action   string `json:"action"`
	Topic    string `json:"topic"` // of a rule
	Before   Answer `json:"before"`
	After    Answer `json:"after"`
}

// Loses reports whether somebody may do less.
func (e Effect) Loses() bool {
	order := []Answer{Refusal, Partly, Allowed}
	return slices.Index(order, e.After) < slices.Index(order, e.Before)
}

// EscapeTopic makes of a topic or a filter one of a rule that means the same.
func EscapeTopic(topic string) string { return strings.ReplaceAll(topic, "%", "%%") }
