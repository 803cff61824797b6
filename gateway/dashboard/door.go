package dashboard

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"lintel/gateway/access"
)

func (s *Server) accessRoutes() []route {
	return []route{
		{pattern: "GET /api/explain", level: operator, call: gives(s, s.explain)},
		{pattern: "POST /api/access/reload", level: admin, call: takes(s, s.reload)},
		{pattern: "GET /api/sessions", level: admin, call: gives(s, s.listSessions)},
		{pattern: "DELETE /api/sessions/{id}", level: admin, call: does(s, s.endSession)},
		{pattern: "GET /api/tokens", level: admin, call: gives(s, s.listTokens)},
		{pattern: "POST /api/tokens", level: admin, call: takes(s, s.makeToken)},
		{pattern: "DELETE /api/tokens/{name}", level: admin, call: does(s, s.revokeToken)},
	}
}

// Session is a session as GET /api/sessions tells it.
type Session struct {
	ID          string     `json:"id"`
	User        string     `json:"user"`
	Address     netip.Addr `json:"address,omitzero"`
	Agent       string     `json:"agent,omitempty"`
	AgeSeconds  int64      `json:"age_seconds"`  // of the time for which the house ran
	IdleSeconds int64      `json:"idle_seconds"` // the same
	Current     bool       `json:"current"`      // it is the one that asks
}

// Token is an API token as GET /api/tokens tells it.
type Token struct {
	Name    string       `json:"name"`
	Level   access.Level `json:"level"`
	By      string       `json:"by"`
	Created time.Time    `json:"created"`
	Used    time.Time    `json:"used,omitzero"`
}

// Verdict is what GET /api/explain tells.
type Verdict struct {
	Allow   bool   `json:"allow"`
	Depends bool   `json:"depends,omitempty"` // on the message
	Rule    string `json:"rule,omitempty"`
	Why     string `json:"why"`

	Way []access.Step `json:"way,omitempty"` // the rules that were asked, in their order
}

type sessionList struct {
	Sessions []Session `json:"sessions"`
}

type tokenList struct {
	Tokens []Token `json:"tokens"`
}

type tokenRequest struct {
	Name  string       `json:"name" api:"required"`
	Level access.Level `json:"level" api:"required"`
}

// madeToken is a token that nobody can see again.
type madeToken struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

func (s *Server) sessions(r *request) []Session {
	list := []Session{}
	for _, v := range s.o.Sessions.All() {
		list = append(list, Session{v.ID, v.User, v.Address, v.Agent, int64(v.Age.Seconds()), int64(v.Idle.Seconds()), v.ID == r.session})
	}
	return list
}

func (s *Server) tokens() []Token {
	list := []Token{}
	for _, t := range s.o.Tokens.All() {
		list = append(list, Token(t))
	}
	return list
}

// ask asks what somebody may do.
func (s *Server) ask(user, clientID, action, topic string) (Verdict, error) {
	var a access.Action
	for _, known := range []access.Action{access.Publish, access.Subscribe, access.Receive} {
		if action == known.String() {
			a = known
		}
	}
	switch {
	case a == 0:
		return Verdict{}, wrong("action", "Choose an action: publish, subscribe or receive.")
	case topic == "":
		return Verdict{}, wrong("topic", "Say which topic it is about.")
	}
	v, err := s.o.Explain(user, clientID, a, topic)
	if err != nil {
		return Verdict{}, wrong("user", "%s", sentence(err))
	}
	return Verdict(v), nil
}

// reloadRules reads the role file again. The error is for a person.
func (s *Server) reloadRules(r *request) error {
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Reload(ctx); err != nil {
		return problemf(http.StatusUnprocessableEntity, "", "%v", err)
	}
	return nil
}

// makeToken makes an API token.
func (s *Server) makeToken(r *request, in tokenRequest) (made madeToken, err error) {
	if err := access.CheckAPITokenName(in.Name); err != nil {
		return made, wrong("name", "%s", sentence(err))
	}
	if in.Level == nobody || !slices.Contains(ranks, in.Level) {
		return made, wrong("level", "There is no level %q. Choose viewer, operator or admin.", in.Level)
	}
	ctx, cancel := lasting(r)
	defer cancel()
	secret, err := s.o.Tokens.Create(ctx, in.Name, in.Level, r.user)
	if err != nil {
		return made, err
	}
	s.note(r, access.TokenAdded, "", ": %s, %s", in.Name, in.Level)
	return madeToken{in.Name, secret}, nil
}

func (s *Server) deleteToken(r *request, name string) error {
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Tokens.Revoke(ctx, name); err != nil {
		return err
	}
	s.note(r, access.TokenDeleted, "", ": %s", name)
	return nil
}

func (s *Server) endOne(r *request, id string) error {
	ctx, cancel := lasting(r)
	defer cancel()
	return s.o.Sessions.EndID(ctx, id)
}

// The JSON API.

func (s *Server) explain(r *request) (Verdict, error) {
	q := r.URL.Query()
	return s.ask(q.Get("user"), q.Get("client"), q.Get("action"), q.Get("topic"))
}

func (s *Server) reload(r *request, _ nothing) (nothing, error) { return nothing{}, s.reloadRules(r) }

func (s *Server) listSessions(r *request) (sessionList, error) {
	return sessionList{s.sessions(r)}, nil
}

func (s *Server) endSession(r *request) error { return s.endOne(r, r.PathValue("id")) }

func (s *Server) listTokens(*request) (tokenList, error) { return tokenList{s.tokens()}, nil }

func (s *Server) revokeToken(r *request) error { return s.deleteToken(r, r.PathValue("name")) }
