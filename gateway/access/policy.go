package access

import "lintel/gateway/mqtt"

// Role is rules under a name.
type Role struct {
	Name  string
	Rules []Rule
}

// Policy is roles by name. It does not change and may be used from any goroutine.
type Policy struct {
	roles map[string]*Role
}

// NewPolicy makes a Policy of roles and the built-in ones; see [BuiltIn]. The error
// says which rule cannot be used.
func NewPolicy(roles []Role) (*Policy, error) {
	return &Policy{}, nil
}

// Roles returns the names of the roles, sorted.
func (p *Policy) Roles() []string { return nil }

// Permit is what a [Policy] says about somebody, an action and a topic. It holds as
// long as the Policy is in force. The zero Permit is denied.
type Permit struct {
	answer answer
	asked  *asked
}

type answer byte

const (
	denied answer = iota
	allowed
	depends
)

type asked struct{}

// Allowed reports whether every message is allowed.
func (p Permit) Allowed() bool { return p.answer == allowed }

// Denied reports whether none is.
func (p Permit) Denied() bool { return p.answer == denied }

// Depends reports whether it depends on the message; see [Permit.Message]. Never for
// Subscribe.
func (p Permit) Depends() bool { return p.answer == depends }

// Message reports whether a message with that is allowed. The payload is only read
// until it returns.
func (p Permit) Message(qos mqtt.QoS, retain bool, payload []byte) bool {
	return p.answer == allowed
}

// Permit decides what somebody may do with a topic. A topic that is not valid, as a
// name or, for Subscribe, as a filter without $share/NAME/, is denied to everybody but
// a part of the house.
func (p *Policy) Permit(id *Identity, a Action, topic string) Permit {
	return Permit{}
}
