package access

import "lintel/gateway/mqtt"

// Verdict is what a [Policy] decides, and why.
type Verdict struct {
	Allow   bool
	Depends bool   // on the message, and none was given; Allow is false
	Rule    string // that decided, as in "role sensors, rule 3 (roles.toml:17)"; empty: none
	Why     string // one sentence for a person
}

// Explain decides as Permit does, and says why. A message that is nil is left open.
func (p *Policy) Explain(id *Identity, a Action, topic string, m *mqtt.Message) Verdict {
	return Verdict{}
}
