package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lintel/gateway/access"
)

// ObservedTopic is something that a user was seen to do.
type ObservedTopic struct {
	Action string `json:"action"`
	Topic  string `json:"topic"` // as in a rule
	First  string `json:"first,omitempty"`
	Last   string `json:"last,omitempty"` // the day; no time: it was not known
}

// ObservedClient is a client of a user.
type ObservedClient struct {
	ID   string `json:"id"`
	Last string `json:"last,omitempty"`
}

// ObservedUser is what GET /api/access/observed tells of a user.
type ObservedUser struct {
	User    string           `json:"user"`
	Days    int              `json:"days,omitempty"` // that are looked back; 0: all that is known
	Topics  []ObservedTopic  `json:"topics"`
	Clients []ObservedClient `json:"clients"`
}

// date writes a day since 1970; empty: it is not known.
func date(day int) string {
	if day == 0 {
		return ""
	}
	return time.Unix(int64(day)*24*3600, 0).UTC().Format(time.DateOnly)
}

// observed tells what a user was seen to do in the last days.
func (s *Server) observed(user string, days int) ObservedUser {
	o := ObservedUser{User: user, Days: days, Topics: []ObservedTopic{}, Clients: []ObservedClient{}}
	seen, _ := s.o.Observed.Of(user, days)
	for _, list := range []struct {
		action access.Action
		topics []access.ObservedTopic
	}{{access.Publish, seen.Publish}, {access.Subscribe, seen.Subscribe}, {access.Receive, seen.Receive}} {
		for _, t := range list.topics {
			o.Topics = append(o.Topics, ObservedTopic{list.action.String(), t.Topic, date(t.First), date(t.Last)})
		}
	}
	for _, c := range seen.Clients {
		o.Clients = append(o.Clients, ObservedClient{c.ID, date(c.Last)})
	}
	return o
}

// Proposal is what POST /api/access/propose tells: the least that lets a user go on.
type Proposal struct {
	Role     string            `json:"role"`
	Rules    []access.RuleSpec `json:"rules"`
	Text     string            `json:"text"` // the role as the role file has it
	Observed ObservedUser      `json:"observed"`
	Denied   []access.Use      `json:"denied"` // of what was observed: nothing
	Beyond   []access.Unused   `json:"beyond"` // what the rules of today allow and was not all used
}

// propose makes a role of what a user was seen to do.
func (s *Server) propose(user, role string, days int) (Proposal, error) {
	if role == "" {
		role = s.freeRole(user)
	}
	switch {
	case access.BuiltInRole(role):
		return Proposal{}, wrong("role", "The role %q is built in. Choose another name.", role)
	case days < 0 || days > 30:
		return Proposal{}, wrong("days", "Right are 1 to 30 days.")
	case days == 0:
		days = observedWeek
	}
	seen, ok := s.o.Observed.Of(user, days)
	if !ok {
		return Proposal{}, problemf(http.StatusNotFound, "user", "Nothing was seen of this user in these days.")
	}
	id := &access.Identity{User: user}
	if n := len(seen.Clients); n > 0 {
		id.ClientID = seen.Clients[n-1].ID
	}
	if u, ok := s.o.Users.Get(user); ok {
		id = s.o.Control.Identify(u, &access.Login{ClientID: id.ClientID})
	}
	p := s.o.Control.Policy().Propose(id, role, &seen)
	specs := p.Role.Specs()
	text := access.WriteRole(role, specs)
	if _, err := s.o.Control.ParseRole(role, text); err != nil {
		return Proposal{}, err
	}
	return Proposal{Role: role, Rules: specs, Text: text, Observed: s.observed(user, days),
		Denied: append([]access.Use{}, p.Denied...), Beyond: append([]access.Unused{}, p.Beyond...)}, nil
}

// freeRole returns a name for the role of a user that nobody else has.
func (s *Server) freeRole(user string) string {
	there, users := s.o.Control.Policy().Roles(), s.usersByRole()
	base := roleName(user)
	name := base
	for n := 2; slices.Contains(there, name) && !slices.Equal(users[name], []string{user}); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// roleName makes of the name of a user one that a role can have.
func roleName(user string) string {
	name := []byte{}
	for _, c := range []byte(user) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			name = append(name, c)
		default:
			name = append(name, '-')
		}
	}
	name = name[:min(len(name), 56)]
	if access.BuiltInRole(string(name)) {
		return string(name) + "-rules"
	}
	return string(name)
}

func (s *Server) showObserved(r *request) (any, error) {
	user := r.URL.Query().Get("user")
	if user == "" {
		return struct {
			Users []string `json:"users"`
		}{append([]string{}, s.o.Observed.Users()...)}, nil
	}
	days, err := 0, error(nil)
	if text := r.URL.Query().Get("days"); text != "" {
		if days, err = strconv.Atoi(text); err != nil || days < 1 || days > 30 {
			return nil, wrong("days", "Right are 1 to 30 days.")
		}
	}
	return s.observed(user, days), nil
}

// proposeRequest is of whom rules are proposed.
type proposeRequest struct {
	User string `json:"user" api:"required"`
	Role string `json:"role"` // empty: one after the user
	Days int    `json:"days"` // 0: a week
}

func (s *Server) proposeCall(_ *request, in proposeRequest) (Proposal, error) {
	return s.propose(in.User, in.Role, in.Days)
}
