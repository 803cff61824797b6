package access

// Rule lets somebody do something, or forbids it.
type Rule struct {
	Deny    bool
	Actions []Action
	Topics  []string // topic filters
}
