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
		{pattern: "GET /api/explain", level: operator, serve: s.explain},
		{pattern: "POST /api/access/reload", level: admin, serve: s.reload},
		{pattern: "GET /api/sessions", level: admin, serve: s.listSessions},
		{pattern: "DELETE /api/sessions/{id}", level: admin, serve: s.endSession},
		{pattern: "GET /api/tokens", level: admin, serve: s.listTokens},
		{pattern: "POST /api/tokens", level: admin, serve: s.addToken},
		{pattern: "DELETE /api/tokens/{name}", level: admin, serve: s.revokeToken},
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
func (s *Server) makeToken(r *request, name string, level access.Level) (secret string, err error) {
	if err := access.CheckAPITokenName(name); err != nil {
		return "", wrong("name", "%s", sentence(err))
	}
	if level == nobody || !slices.Contains(ranks, level) {
		return "", wrong("level", "There is no level %q. Choose viewer, operator or admin.", level)
	}
	ctx, cancel := lasting(r)
	defer cancel()
	if secret, err = s.o.Tokens.Create(ctx, name, level, r.user); err != nil {
		return "", err
	}
	s.note(r, access.TokenAdded, "", ": %s, %s", name, level)
	return secret, nil
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

func (s *Server) explain(w http.ResponseWriter, r *request) {
	q := r.URL.Query()
	v, err := s.ask(q.Get("user"), q.Get("client"), q.Get("action"), q.Get("topic"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, http.StatusOK, v)
}

func (s *Server) reload(w http.ResponseWriter, r *request) {
	err := decode(r, &struct{}{})
	if err == nil {
		err = s.reloadRules(r)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listSessions(w http.ResponseWriter, r *request) {
	s.answer(w, http.StatusOK, struct {
		Sessions []Session `json:"sessions"`
	}{s.sessions(r)})
}

func (s *Server) endSession(w http.ResponseWriter, r *request) {
	if err := s.endOne(r, r.PathValue("id")); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listTokens(w http.ResponseWriter, r *request) {
	s.answer(w, http.StatusOK, struct {
		Tokens []Token `json:"tokens"`
	}{s.tokens()})
}

func (s *Server) addToken(w http.ResponseWriter, r *request) {
	var in tokenRequest
	err := decode(r, &in)
	secret := ""
	if err == nil {
		secret, err = s.makeToken(r, in.Name, in.Level)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, http.StatusCreated, struct {
		Name  string `json:"name"`
		Token string `json:"token"` // nobody can see it again
	}{in.Name, secret})
}

func (s *Server) revokeToken(w http.ResponseWriter, r *request) {
	if err := s.deleteToken(r, r.PathValue("name")); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
