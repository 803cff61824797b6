package dashboard

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/access"
)

func (s *Server) doorRoutes() []route {
	return []route{
		{pattern: "GET /ca.pem", level: everybody, unclaimed: true, serve: s.serveRoot},
		{pattern: "GET /claim", level: everybody, unclaimed: true, serve: s.claimPage},
		{pattern: "POST /claim", level: everybody, unclaimed: true, serve: s.claimForm},
		{pattern: "GET /api/claim", level: everybody, unclaimed: true, call: gives(s, s.claimState)},
		{pattern: "POST /api/claim", level: everybody, unclaimed: true, serve: s.claimCall},
		{pattern: "GET /login", level: everybody, serve: s.loginPage},
		{pattern: "POST /login", level: everybody, serve: s.loginForm},
		{pattern: "POST /logout", level: everybody, serve: s.logoutForm},
		{pattern: "POST /api/login", level: everybody, serve: s.loginCall},
		{pattern: "POST /api/logout", level: everybody, serve: s.logoutCall},
	}
}

// Names of the session's cookie. A name with __Host- can only be set by the box
// itself, and over TLS.
const (
	plainCookie = "lintel"
	tlsCookie   = "__Host-lintel"
)

// loginTime bounds how long a password may take to be checked, the wait for others
// included.
const loginTime = 8 * time.Second

func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return tlsCookie
	}
	return plainCookie
}

// sessionToken returns the token of a request's session; empty: it shows none.
func sessionToken(r *http.Request) string {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return ""
	}
	return c.Value
}

// setSession gives a browser the token of its session; empty takes it away. It is
// SameSite=Lax and not Strict, with which the link to the box on Home Assistant's
// device page would end at the login each time; GET changes nothing, and
// http.CrossOriginProtection refuses the rest.
func setSession(w http.ResponseWriter, r *http.Request, token string) {
	c := &http.Cookie{
		Name:     cookieName(r),
		Value:    token,
		Path:     "/",
		MaxAge:   int(access.SessionLifetime.Seconds()),
		HttpOnly: true,
		Secure:   r.TLS != nil,
		SameSite: http.SameSiteLaxMode,
	}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// login lets somebody in: it returns the user and gives the browser a session.
func (s *Server) login(w http.ResponseWriter, r *request, name, password string) (access.User, error) {
	switch {
	case name == "":
		return access.User{}, wrong("user", "Type the user name.")
	case password == "":
		return access.User{}, wrong("password", "Type the password.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginTime)
	defer cancel()
	u, err := s.verify(ctx, w, r, name, []byte(password))
	if err != nil {
		return access.User{}, err
	}
	if u.Page == nobody {
		return access.User{}, problemf(http.StatusForbidden, "user", "This login is for MQTT only. An admin of the box may let it see the pages.")
	}
	token, err := s.o.Sessions.Create(ctx, u.Name, address(r.Request), r.UserAgent())
	if err != nil {
		return access.User{}, err
	}
	if old := sessionToken(r.Request); old != "" {
		if err := s.o.Sessions.End(ctx, old); err != nil {
			return access.User{}, err
		}
	}
	setSession(w, r.Request, token)
	s.o.Audit.Add(access.Event{Kind: access.LoggedIn, User: u.Name, Address: address(r.Request), Detail: "on the pages"})
	return u, nil
}

// verify checks a password, one at a time: of many at once each would be let try
// before the first failure is known.
func (s *Server) verify(ctx context.Context, w http.ResponseWriter, r *request, name string, password []byte) (access.User, error) {
	from := address(r.Request)
	event := access.Event{User: name, Address: from, Detail: "on the pages"}
	s.logins.Lock()
	defer s.logins.Unlock()
	if wait := s.o.Lockout.Wait(from, name); wait > 0 {
		event.Kind = access.LoginLockedOut
		s.o.Audit.Add(event)
		seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
		w.Header().Set("Retry-After", seconds)
		return access.User{}, problemf(http.StatusTooManyRequests, "", "Too many logins failed. Try again in %s s.", seconds)
	}
	u, err := s.o.Users.Verify(ctx, name, password, "page")
	switch {
	case err == nil:
		s.o.Lockout.Succeeded(from, name)
		return u, nil
	case errors.Is(err, access.ErrBadLogin):
		s.o.Lockout.Failed(from, name)
		event.Kind = access.LoginRefused
		s.o.Audit.Add(event)
		return access.User{}, problemf(http.StatusUnauthorized, "password", "User name or password is wrong.")
	case errors.Is(err, access.ErrBusy), ctx.Err() != nil:
		w.Header().Set("Retry-After", "2")
		return access.User{}, problemf(http.StatusServiceUnavailable, "", "The box is busy with other logins. Try again in a moment.")
	}
	return access.User{}, err
}

// loginURL is where to log in in order to come to a page.
func loginURL(page string) string {
	if page == "/" {
		return "/login"
	}
	return "/login?next=" + url.QueryEscape(page)
}

// ownPath returns a path of ours, with its query; what is none, and could lead to a page of
// strangers, becomes the first page. Browsers take a backslash for a slash (WHATWG URL
// §4.4) and leave out tabs and line breaks.
func ownPath(path string) string {
	if u, err := url.Parse(path); err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(path, "/") ||
		strings.HasPrefix(path, "//") || strings.Contains(path, "\\") {
		return "/"
	}
	return path
}

type loginView struct {
	Frame       frame
	Next        string
	User        string
	Error       *problem
	Fingerprint string
}

func (s *Server) loginView(r *request, next string) loginView {
	v := loginView{Frame: s.frame(r, r.t("Log in")), Next: ownPath(next)}
	if s.o.Root != nil {
		_, v.Fingerprint = s.o.Root()
	}
	return v
}

func (s *Server) loginPage(w http.ResponseWriter, r *request) {
	v := s.loginView(r, r.FormValue("next"))
	if r.session != "" {
		http.Redirect(w, r.Request, v.Next, http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "login.html", v)
}

func (s *Server) loginForm(w http.ResponseWriter, r *request) {
	v := s.loginView(r, r.PostFormValue("next"))
	v.User = r.PostFormValue("user")
	if _, err := s.login(w, r, v.User, r.PostFormValue("password")); err != nil {
		v.Error = s.problemOf(r.Request, err)
		s.show(w, r, v.Error.code, "login.html", v)
		return
	}
	http.Redirect(w, r.Request, v.Next, http.StatusSeeOther)
}

type loginRequest struct {
	User     string `json:"user" api:"required"`
	Password string `json:"password" api:"required"`
}

type loginAnswer struct {
	User  string       `json:"user"`
	Level access.Level `json:"level"`
}

func (s *Server) loginCall(w http.ResponseWriter, r *request) {
	var in loginRequest
	err := decode(r, &in)
	var u access.User
	if err == nil {
		u, err = s.login(w, r, in.User, in.Password)
	}
	s.reply(w, r, loginAnswer{u.Name, u.Page}, err)
}

// logout ends the session of a request, if it has one.
func (s *Server) logout(w http.ResponseWriter, r *request) error {
	ctx, cancel := lasting(r)
	defer cancel()
	if token := sessionToken(r.Request); token != "" {
		if err := s.o.Sessions.End(ctx, token); err != nil {
			return err
		}
	}
	setSession(w, r.Request, "")
	return nil
}

func (s *Server) logoutForm(w http.ResponseWriter, r *request) {
	if err := s.logout(w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r.Request, "/login", http.StatusSeeOther)
}

func (s *Server) logoutCall(w http.ResponseWriter, r *request) {
	err := decode(r, &nothing{})
	if err == nil {
		err = s.logout(w, r)
	}
	s.reply(w, r, nothing{}, err)
}
