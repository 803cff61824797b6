package access

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"lintel/gateway/mqtt"
)

// What there is at most: all users are held in memory.
const (
	maxUsers    = 2000
	MaxPassword = 1 << 10 // bytes

	maxUserName     = 128 // bytes
	maxUserRoles    = 32
	maxUserTopics   = 64
	maxUserText     = 8 << 10 // bytes of roles and topic filters together
	maxSCRAMText    = 512     // bytes
	maxUserMistakes = 100     // that are listed
)

// InvalidUserError says what is wrong with a user who is to be stored.
type InvalidUserError struct {
	User   string // empty: not about one user
	Reason string
}

func (e *InvalidUserError) Error() string {
	if e.User == "" {
		return e.Reason
	}
	return fmt.Sprintf("user %.*q: %s", maxUserName, e.User, e.Reason)
}

func invalidUser(name, format string, args ...any) error {
	return &InvalidUserError{User: name, Reason: fmt.Sprintf(format, args...)}
}

var tooMany = &InvalidUserError{Reason: fmt.Sprintf("there can be %d users at most: delete some", maxUsers)}

// userNameMistake says what is wrong with a user name; empty is nothing. A name that
// stands for %u in a rule must not be a pattern or more than one level, nor begin a
// $-topic. Two names that look the same would be two users.
func userNameMistake(name string) string {
	switch {
	case name == "":
		return "a name has at least one character"
	case len(name) > maxUserName:
		return fmt.Sprintf("a name has at most %d bytes", maxUserName)
	case !utf8.ValidString(name):
		return "the name is not UTF-8"
	case strings.ContainsAny(name, "+#/"):
		return "a name has no +, # and /, which would be patterns of topics"
	case name[0] == '$':
		return "a name does not begin with $, which would make it a topic of the broker"
	case strings.TrimSpace(name) != name:
		return "a name does not begin or end with space"
	}
	for _, r := range name {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef {
			return fmt.Sprintf("a name has no control or invisible characters, as %U", r)
		}
	}
	return ""
}

// validate returns an [InvalidUserError] if a user cannot be stored.
func (u *User) validate() error {
	if reason := userNameMistake(u.Name); reason != "" {
		return invalidUser(u.Name, "%s", reason)
	}
	if u.Hash != "" {
		if _, err := parseHash(u.Hash); err != nil {
			return invalidUser(u.Name, "%s", err)
		}
	}
	switch u.Page {
	case NoPage, Viewer, Operator, Admin:
	default:
		return invalidUser(u.Name, "there is no page level %.20q: take viewer, operator or admin", string(u.Page))
	}
	if len(u.SCRAM) > maxSCRAMText {
		return invalidUser(u.Name, "SCRAM credentials have more than %d bytes", maxSCRAMText)
	}
	if len(u.Roles) > maxUserRoles || len(u.Topics) > maxUserTopics {
		return invalidUser(u.Name, "a user has at most %d roles and %d topic filters: make a role of them", maxUserRoles, maxUserTopics)
	}
	size := 0
	for _, role := range u.Roles {
		size += len(role)
		if role == "" || !utf8.ValidString(role) {
			return invalidUser(u.Name, "%.40q is no name of a role", role)
		}
	}
	for _, filter := range u.Topics {
		size += len(filter)
		if !mqtt.ValidFilter(filter) || !utf8.ValidString(filter) {
			return invalidUser(u.Name, "%.40q is no topic filter", filter)
		}
	}
	if size > maxUserText {
		return invalidUser(u.Name, "roles and topic filters have more than %d bytes: make a role of them", maxUserText)
	}
	return nil
}

// validatePassword returns an [InvalidUserError] if a password cannot be set.
func validatePassword(password []byte) error {
	if len(password) == 0 || len(password) > MaxPassword {
		return &InvalidUserError{Reason: fmt.Sprintf("a password has 1 to %d bytes, not %d", MaxPassword, len(password))}
	}
	return nil
}

// listMistakes makes one error of many, a line each.
func listMistakes(mistakes []error) error {
	if n := len(mistakes) - maxUserMistakes; n > 0 {
		mistakes = append(mistakes[:maxUserMistakes:maxUserMistakes], fmt.Errorf("and %d more mistakes", n))
	}
	return errors.Join(mistakes...)
}
