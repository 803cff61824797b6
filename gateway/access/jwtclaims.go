package access

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// claims are the claims of a token by name. All that is looked at is of the type that
// it has to be, or the token is refused.
type claims map[string]json.RawMessage

// identify returns who the claims say it is. What is definitely wrong comes first,
// then what only a clock can tell.
func (j *JWT) identify(c claims, l *Login) (*Identity, error) {
	if err := j.checkIssuer(c); err != nil {
		return nil, err
	}
	user, err := j.user(c, l)
	if err != nil {
		return nil, err
	}
	id := &Identity{User: user, ClientID: l.ClientID}
	if id.Roles, err = j.roles(c); err != nil {
		return nil, err
	}
	if id.Rules, err = j.rules(c); err != nil {
		return nil, err
	}
	if id.Expires, err = j.checkTimes(c); err != nil {
		return nil, err
	}
	return id, nil
}

// checkIssuer checks from whom the token is, and for whom. One that is for others is
// refused even if nobody has said who we are (RFC 7519 §4.1.3): the issuer has made it
// for another service, which could use it here.
func (j *JWT) checkIssuer(c claims) error {
	if j.o.Issuer != "" {
		if issuer, ok := c.text("iss"); !ok || issuer != j.o.Issuer {
			return badToken("its issuer is %.80q, not %.80q", issuer, j.o.Issuer)
		}
	}
	audience, ok := c.list("aud")
	if !ok {
		return badToken("its claim %q is not a list of strings", "aud")
	}
	if audience == nil && j.o.Audience == "" {
		return nil
	}
	if !slices.Contains(audience, j.o.Audience) || j.o.Audience == "" {
		return badToken("it is for the audience %.200q, not for %.80q", strings.Join(audience, " "), j.o.Audience)
	}
	return nil
}

// user returns the user of the token, who must be the one that l names.
func (j *JWT) user(c claims, l *Login) (string, error) {
	user, ok := c.text(j.o.UserClaim)
	if !ok {
		return "", badToken("it has no claim %q that is a string", j.o.UserClaim)
	}
	if err := checkTokenName(user); err != nil { // the empty one would be anonymous
		return "", badToken("claim %q: %v", j.o.UserClaim, err)
	}
	if l.UserName != "" && l.UserName != user && !j.o.AnyUserName {
		return "", badToken("it is of %.80q, the user name is %.80q", user, l.UserName)
	}
	for _, name := range j.o.ClientIDClaims {
		if _, ok := c[name]; !ok {
			continue
		}
		if clientID, _ := c.text(name); clientID == "" || clientID != l.ClientID {
			return "", badToken("it is for the client id %.80q", clientID)
		}
	}
	return user, nil
}

// checkTokenName reports why something cannot be the name of a user or a role. What
// would be a wildcard or a level in a topic can: rules with %u do not match such a user.
func checkTokenName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a name is empty")
	case len(name) > maxTokenName:
		return fmt.Errorf("a name has %d bytes, more than %d", len(name), maxTokenName)
	case strings.ContainsFunc(name, unicode.IsControl), strings.ContainsRune(name, utf8.RuneError):
		return fmt.Errorf("%.80q is no name", name)
	}
	return nil
}

// roles returns the roles of a token.
func (j *JWT) roles(c claims) ([]string, error) {
	if j.o.RolesClaim == "" {
		return nil, nil
	}
	roles, ok := c.list(j.o.RolesClaim)
	if !ok {
		return nil, badToken("its claim %q is not a list of strings", j.o.RolesClaim)
	}
	if s, ok := c.text(j.o.RolesClaim); ok { // as "scope" is (RFC 8693 §4.2)
		roles = strings.Fields(s)
	}
	if len(roles) > maxTokenRoles {
		return nil, badToken("it has %d roles, more than %d", len(roles), maxTokenRoles)
	}
	for _, r := range roles {
		if err := checkTokenName(r); err != nil {
			return nil, badToken("claim %q: %v", j.o.RolesClaim, err)
		}
	}
	return roles, nil
}

// checkTimes returns when a token ends, by the clock of the box and with the leeway.
func (j *JWT) checkTimes(c claims) (expires time.Time, err error) {
	var times [3]time.Time // zero: not said
	said := false
	for i, name := range []string{"exp", "nbf", "iat"} {
		if _, ok := c[name]; !ok {
			continue
		}
		if times[i], err = c.time(name); err != nil {
			return time.Time{}, err
		}
		said = true
	}
	exp, nbf, iat := times[0], times[1], times[2]
	if exp.IsZero() && !j.o.NoExpiry {
		return time.Time{}, badToken("it has no %q", "exp")
	}
	if !said {
		return time.Time{}, nil
	}
	if !j.o.ClockKnown() {
		return time.Time{}, fmt.Errorf("token: the clock of the box is not right yet: wait until it has found the time in the network")
	}
	now := time.Now()
	if !exp.IsZero() {
		// It ends when it would be refused: who is let in stays till then.
		expires = exp.Add(j.o.Leeway)
	}
	switch {
	case !exp.IsZero() && !now.Before(expires): // RFC 7519 §4.1.4
		return time.Time{}, badToken("it has ended at %s", exp.UTC().Format(time.RFC3339))
	case now.Add(j.o.Leeway).Before(nbf):
		return time.Time{}, badToken("it begins at %s", nbf.UTC().Format(time.RFC3339))
	case now.Add(j.o.Leeway).Before(iat):
		return time.Time{}, badToken("it is issued in the future, at %s", iat.UTC().Format(time.RFC3339))
	}
	return expires, nil
}

// text returns a claim that is a string.
func (c claims) text(name string) (text string, ok bool) {
	var s *string
	if err := json.Unmarshal(c[name], &s); err != nil || s == nil {
		return "", false
	}
	return *s, true
}

// list returns a claim that is a string or a list of strings, or that is not there.
func (c claims) list(name string) (texts []string, ok bool) {
	raw, said := c[name]
	if !said {
		return nil, true
	}
	if s, ok := c.text(name); ok {
		return []string{s}, true
	}
	var list []*string
	if err := json.Unmarshal(raw, &list); err != nil || list == nil || slices.Contains(list, nil) {
		return nil, false
	}
	texts = make([]string, len(list))
	for i, s := range list {
		texts[i] = *s
	}
	return texts, true
}

// maxNumericDate is the end of the year 9999 in seconds. A time in milliseconds is
// later.
const maxNumericDate = 253402300799

// time returns a claim that is a NumericDate: seconds since 1970, with or without a
// fraction (RFC 7519 §2).
func (c claims) time(name string) (time.Time, error) {
	seconds, err := strconv.ParseFloat(string(c[name]), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxNumericDate) {
		return time.Time{}, badToken("its claim %q is not a time in seconds since 1970", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}
