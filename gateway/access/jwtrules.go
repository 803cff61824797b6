package access

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json"

	"lintel/gateway/mqtt"
)

// rules returns the rules of a token. The claim is a list of objects, or the older form:
// an object with lists of topics that are allowed. Whatever is not understood in it could
// be a restriction, so the token is refused then.
//
// https://docs.emqx.com/en/emqx/latest/access-control/authn/acl.html
func (j *JWT) rules(c claims) ([]Rule, error) {
	raw, ok := c[j.o.ACLClaim]
	if j.o.ACLClaim == "" || !ok {
		return nil, nil
	}
	var rules []Rule
	var err error
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && list != nil {
		rules, err = rulesOfList(list)
	} else {
		var object claims
		if json.Unmarshal(raw, &object) != nil || object == nil {
			return nil, badToken("its claim %q is neither a list nor an object of rules", j.o.ACLClaim)
		}
		rules, err = rulesOfObject(object)
	}
	if err != nil {
		return nil, badToken("claim %q: %v", j.o.ACLClaim, err)
	}
	return rules, nil
}

// rulesOfList reads rules such as
//
//	{"permission": "allow", "action": "publish", "topic": "t/${clientid}", "qos": [0, 1], "retain": false}
func rulesOfList(list []json.RawMessage) ([]Rule, error) {
	if len(list) > maxTokenRules {
		return nil, fmt.Errorf("%d rules, more than %d", len(list), maxTokenRules)
	}
	rules := make([]Rule, 0, len(list))
	for i, raw := range list {
		r, err := ruleOf(raw)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		r.Place = fmt.Sprintf("token:%d", i+1)
		rules = append(rules, r)
	}
	return rules, nil
}

// ruleOf reads one of them. The conditions are for publish alone: what QoS somebody
// subscribes with says nothing about what they may know.
func ruleOf(raw json.RawMessage) (Rule, error) {
	var c claims
	if err := json.Unmarshal(raw, &c); err != nil {
		return Rule{}, fmt.Errorf("not an object, or with a name twice")
	}
	var r Rule
	for name := range c {
		text, _ := c.text(name)
		ok := true
		switch name {
		case "permission":
			r.Deny = text == "deny"
			ok = r.Deny || text == "allow"
		case "action":
			r.Actions, ok = tokenActions[text]
		case "topic":
			topic, err := tokenTopic(text)
			if err != nil {
				return Rule{}, err
			}
			r.Topics = []string{topic}
		case "qos":
			r.QoS, ok = tokenQoS(c[name])
		case "retain":
			ok = json.Unmarshal(c[name], &r.Retain) == nil && r.Retain != nil
		default:
			ok = false
		}
		if !ok {
			return Rule{}, fmt.Errorf("%.40q: %.80q is not understood", name, c[name])
		}
	}
	if c["permission"] == nil {
		return Rule{}, fmt.Errorf("neither allowed nor denied")
	}
	if (r.QoS != nil || r.Retain != nil) && (len(r.Actions) != 1 || r.Actions[0] != Publish) {
		return Rule{}, fmt.Errorf("%q and %q go with the action %q", "qos", "retain", "publish")
	}
	return r, r.validate()
}

// tokenActions are the actions as tokens name them. What is delivered is asked of the
// rules for Subscribe.
var tokenActions = map[string][]Action{
	"publish":   {Publish},
	"subscribe": {Subscribe},
	"all":       {Publish, Subscribe},
}

// tokenQoS reads a list of QoS.
func tokenQoS(raw json.RawMessage) (list []mqtt.QoS, ok bool) {
	var numbers []int
	if json.Unmarshal(raw, &numbers) != nil || len(numbers) == 0 {
		return nil, false
	}
	for _, n := range numbers {
		if n < 0 || n > 2 {
			return nil, false
		}
		list = append(list, mqtt.QoS(n))
	}
	return list, true
}

// placeholder is what stands for a part of a topic.
var placeholder = regexp.MustCompile(`\$\{[^}]*\}?`)

// tokenTopic returns a topic as rules have it, whose own placeholders may be in a token,
// too.
func tokenTopic(name string) (topic string, err error) {
	topic = placeholder.ReplaceAllStringFunc(name, func(what string) string {
		switch what {
		case "${username}":
			return "%u"
		case "${clientid}":
			return "%c"
		}
		err = fmt.Errorf("%.40q in a topic is not understood", what)
		return what
	})
	switch {
	case err != nil:
	case strings.HasPrefix(topic, "eq "): // the filter itself and not what it matches: there are no such rules here
		err = fmt.Errorf("%q in front of a topic is not understood", "eq ")
	case strings.Contains(name, "${") && strings.Contains(name, "%"): // %${username} would be %%u
		err = fmt.Errorf("%.80q has placeholders of two kinds", name)
	}
	return topic, err
}

// rulesOfObject reads rules such as
//
//	{"pub": ["stats/${clientid}"], "sub": ["news/#"], "all": ["own/${username}/#"]}
func rulesOfObject(object claims) ([]Rule, error) {
	var rules []Rule
	n := 0
	for name := range object {
		if !slices.Contains([]string{"pub", "sub", "all"}, name) {
			return nil, fmt.Errorf("%.40q is not understood", name)
		}
	}
	for _, kind := range []struct{ name, action string }{{"pub", "publish"}, {"sub", "subscribe"}, {"all", "all"}} {
		topics, ok := object.list(kind.name)
		if !ok {
			return nil, fmt.Errorf("%q is not a list of topics", kind.name)
		}
		if n += len(topics); n > maxTokenRules {
			return nil, fmt.Errorf("more than %d topics", maxTokenRules)
		}
		if len(topics) == 0 {
			continue
		}
		r := Rule{Actions: tokenActions[kind.action], Place: "token:" + kind.name}
		for _, t := range topics {
			topic, err := tokenTopic(t)
			if err != nil {
				return nil, err
			}
			r.Topics = append(r.Topics, topic)
		}
		if err := r.validate(); err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}
