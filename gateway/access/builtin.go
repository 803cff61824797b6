package access

import (
	"slices"
	"strings"
)

// BuiltIn returns the roles that are there without a file. prefix is that of Home
// Assistant's discovery topics.
//
//   - admin may do everything. As for everybody, that leaves out publishing to topics
//     that begin with $.
//   - homeassistant may do everything too: documents of devices tell it to subscribe and
//     publish to any topic, and it does not look at what it is refused.
//   - device may publish its own discovery documents, those with its user name as
//     node id or object id, and learn when Home Assistant starts. What is
//     its own otherwise are the topics of its [Identity].
//   - viewer may subscribe to everything.
func BuiltIn(prefix string) []Role {
	prefix = strings.ReplaceAll(prefix, "%", "%%")
	all := []string{"#", "$SYS/#"}
	return []Role{
		{"admin", []Rule{{Actions: everything, Topics: all}}},
		{"homeassistant", []Rule{{Actions: everything, Topics: all}}},
		{"device", []Rule{
			{Actions: []Action{Publish}, Topics: []string{prefix + "/+/%u/config", prefix + "/+/%u/+/config"}},
			{Actions: []Action{Subscribe}, Topics: []string{prefix + "/status"}},
		}},
		{"viewer", []Rule{{Actions: []Action{Subscribe}, Topics: all}}},
	}
}

// BuiltInRole reports whether a role is there without a file.
func BuiltInRole(name string) bool {
	return slices.ContainsFunc(BuiltIn(""), func(r Role) bool { return r.Name == name })
}
