package dashboard

import (
	"net/http"

	"lintel/gateway/access"
)

// tokenRoutes are those of the page with what lets in without a password.
func (s *Server) tokenRoutes() []route {
	return []route{
		{pattern: "GET /tokens", level: admin, serve: s.tokensPage},
		{pattern: "POST /tokens/add", level: admin, serve: s.addTokenForm},
		{pattern: "POST /tokens/revoke", level: admin, serve: s.revokeTokenForm},
		{pattern: "POST /tokens/sessions/end", level: admin, serve: s.endSessionForm},
		{pattern: "POST /tokens/certificates/issue", level: admin, body: 64 << 10, serve: s.issueForm},
		{pattern: "POST /tokens/certificates/revoke", level: admin, serve: s.revokeForm},
	}
}

// tokensView is the page of API tokens, sessions of the pages and certificates.
type tokensView struct {
	Frame    frame
	Error    *problem
	About    string // what Error is about: session or token
	Sessions []Session
	Tokens   []Token
	Name     string // of a token to be made, as it was typed
	Level    access.Level
	Made     string // the name of the token that was made,
	Secret   string // and it, shown this once

	Certificates certificatesView
	Fingerprint  string
}

func (s *Server) tokensView(r *request) *tokensView {
	v := &tokensView{Frame: s.frame(r, r.t("Tokens")), Sessions: s.sessions(r), Tokens: s.tokens(), Certificates: s.certificatesView()}
	if s.o.Root != nil {
		_, v.Fingerprint = s.o.Root()
	}
	return v
}

func (s *Server) tokensPage(w http.ResponseWriter, r *request) {
	s.show(w, r, http.StatusOK, "tokens.html", s.tokensView(r))
}

// showTokens shows the page after something was done, or not.
func (s *Server) showTokens(w http.ResponseWriter, r *request, about, where string, err error) {
	if err == nil {
		http.Redirect(w, r.Request, where, http.StatusSeeOther)
		return
	}
	v := s.tokensView(r)
	v.About, v.Error = about, s.problemOf(r.Request, err)
	v.Name, v.Level = r.PostFormValue("name"), access.Level(r.PostFormValue("level"))
	s.show(w, r, v.Error.code, "tokens.html", v)
}

func (s *Server) endSessionForm(w http.ResponseWriter, r *request) {
	err := s.endOne(r, r.PostFormValue("id"))
	s.showTokens(w, r, "session", "/tokens#sessions", err)
}

func (s *Server) addTokenForm(w http.ResponseWriter, r *request) {
	made, err := s.makeToken(r, tokenRequest{r.PostFormValue("name"), access.Level(r.PostFormValue("level"))})
	if err != nil {
		s.showTokens(w, r, "token", "", err)
		return
	}
	v := s.tokensView(r)
	v.Made, v.Secret = made.Name, made.Token
	s.show(w, r, http.StatusOK, "tokens.html", v)
}

func (s *Server) revokeTokenForm(w http.ResponseWriter, r *request) {
	err := s.deleteToken(r, r.PostFormValue("name"))
	s.showTokens(w, r, "token", "/tokens#tokens", err)
}
