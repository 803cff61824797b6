package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lintel/gateway/mqtt"
)

// Rule lets somebody do something, or forbids it. The rules of somebody are asked
// in order; the first that matches decides.
//
// A rule about [Subscribe] that allows matches a filter that it covers whole: who
// may subscribe to a/b/# may not subscribe to a/#. One that denies refuses what it
// covers. Where it covers a part, it does not refuse, but that part is not delivered:
// when a message is about to be delivered, the rules about Subscribe are asked
// again, with those about [Receive], for the topic of the message.
type Rule struct {
	Deny    bool
	Actions []Action
	Topics  []string // topic filters; in a level, %u is the user, %c the client id, %i the certificate's name, %% a percent sign

	// What follows is about a message, so it goes with Publish and Receive alone.
	// The rule matches a message for which all of it holds. Where that cannot be
	// found out (see [Content]), a rule that denies matches and one that allows does
	// not.
	QoS     []mqtt.QoS // as published, one of these; empty: any
	Retain  *bool      // as published; nil: either
	Content *Content   // nil: any

	Place string // where it is written, as in "roles.toml:17"; empty: nowhere
}

func (a Action) String() string {
	switch a {
	case Publish:
		return "publish"
	case Subscribe:
		return "subscribe"
	case Receive:
		return "receive"
	}
	return "no action"
}

var everything = []Action{Publish, Subscribe, Receive}

// validate reports why a rule cannot be used. An [Identity] with such a rule may do
// nothing beyond the rules before it.
func (r *Rule) validate() error {
	if len(r.Actions) == 0 {
		return errors.New("a rule needs an action")
	}
	for _, a := range r.Actions {
		if !slices.Contains(everything, a) {
			return fmt.Errorf("there is no action %d", a)
		}
	}
	if len(r.Topics) == 0 {
		return errors.New("a rule needs a topic")
	}
	if err := ValidateTopics(r.Topics); err != nil {
		return err
	}
	for _, q := range r.QoS {
		if q > 2 {
			return fmt.Errorf("there is no QoS %d", q)
		}
	}
	if r.conditional() && slices.Contains(r.Actions, Subscribe) {
		return errors.New("a subscription has no message: qos, retain and payload go with publish and receive")
	}
	if r.Deny && r.Content != nil && r.Content.MaxSize != 0 {
		return errors.New("max_size would deny what is small; allow with max_size, and deny after it")
	}
	return nil
}

// conditional reports whether it depends on the message whether r matches.
func (r *Rule) conditional() bool {
	return len(r.QoS) > 0 || r.Retain != nil || r.Content != nil
}

// about reports whether r is asked for an action.
func (r *Rule) about(a Action) bool {
	for _, is := range r.Actions {
		if is == a || is == Subscribe && a == Receive {
			return true
		}
	}
	return false
}

// String says what r does: "allow publish to a/#, if QoS is 0".
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString("allow ")
	if r.Deny {
		b.Reset()
		b.WriteString("deny ")
	}
	switch {
	case len(r.Actions) == len(everything):
		b.WriteString("everything on ")
	case len(r.Actions) > 1:
		fmt.Fprintf(&b, "%s and %s on ", r.Actions[0], r.Actions[1])
	case len(r.Actions) == 1 && r.Actions[0] == Receive:
		b.WriteString("receive ")
	case len(r.Actions) == 1:
		fmt.Fprintf(&b, "%s to ", r.Actions[0])
	}
	b.WriteString(someOf(r.Topics))
	if c := r.conditions(); len(c) > 0 {
		b.WriteString(", if " + strings.Join(c, " and "))
	}
	return b.String()
}

// someOf lists the first few of topics.
func someOf(topics []string) string {
	const few = 4
	if len(topics) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(topics[:few], ", "), len(topics)-few)
	}
	return strings.Join(topics, ", ")
}

// conditions lists what a message must be.
func (r *Rule) conditions() []string {
	var list []string
	if len(r.QoS) > 0 {
		var of []string
		for _, q := range r.QoS {
			of = append(of, fmt.Sprint(q))
		}
		list = append(list, "QoS is "+strings.Join(of, " or "))
	}
	if r.Retain != nil {
		list = append(list, map[bool]string{true: "it is retained", false: "it is not retained"}[*r.Retain])
	}
	if r.Content != nil {
		list = append(list, r.Content.conditions()...)
	}
	return list
}
