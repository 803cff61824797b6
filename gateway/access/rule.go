package access

import (
	"fmt"
	"strings"

	"lintel/gateway/mqtt"
)

// Rule lets somebody do something, or forbids it. The rules of somebody are asked
// in order; the first that matches decides.
//
// A rule for [Subscribe] is asked again when a message is about to be delivered,
// together with the rules for [Receive]: what it denies is not delivered, whatever
// filter was subscribed to.
type Rule struct {
	Deny    bool
	Actions []Action
	Topics  []string // topic filters; see below

	// What follows is about a message, so it goes with Publish and Receive alone.
	// The rule matches messages for which all of it holds.
	QoS     []mqtt.QoS // one of these; empty: any
	Retain  *bool      // nil: either
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

// Validate reports why a rule cannot be used. It is for rules that somebody else
// made; [ParseRoles] and [NewPolicy] do it themselves.
func (r *Rule) Validate() error {
	if len(r.Actions) == 0 || len(r.Topics) == 0 {
		return fmt.Errorf("a rule needs an action and a topic")
	}
	return ValidateTopics(r.Topics)
}

// ValidateTopics reports why topics cannot be the topics of an [Identity] or of a
// [Rule].
func ValidateTopics(topics []string) error {
	for _, t := range topics {
		if !mqtt.ValidFilter(t) || strings.HasPrefix(t, "$share/") {
			return fmt.Errorf("%.80q is not a topic filter", t)
		}
	}
	return nil
}
