package fakehome

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	html "html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Behaviour is how a [Site] behaves. The zero value is Home Assistant in a container,
// without MQTT, used by an administrator.
type Behaviour struct {
	Name    string // of the house; empty: Home
	Version string // empty: 2026.2.0

	Supervised bool // Home Assistant OS: a menu comes before the form of the broker
	NotAdmin   bool // the user who logs in may not change settings
	Inactive   bool // they may not even log in
	Onboarding bool // nobody has made a user yet
	Banned     bool // the address of whoever asks is in ip_bans.yaml

	Abort  string            // reason for which MQTT is not set up, whatever else
	Errors map[string]string // that the form of the broker comes back with, without a try
	Fields []Field           // of that form besides the usual ones
	Lacks  string            // a usual field that it does not have
	State  string            // of the entry that is made; empty: loaded

	TokenLife time.Duration // of access tokens; 0: 1800 s

	// Instead answers in the place of Home Assistant, by "METHOD /path"; the id of a
	// flow is {id}.
	Instead map[string]http.HandlerFunc
}

// Field is a field of a form, as Home Assistant describes it.
type Field struct {
	Name     string         `json:"name"`
	Required bool           `json:"required,omitempty"`
	Optional bool           `json:"optional,omitempty"`
	Default  any            `json:"default,omitempty"`
	Selector map[string]any `json:"selector,omitempty"`
}

// Site is the HTTP half of a Home Assistant: the page on which a person logs in, the
// tokens, and the flow by which MQTT is set up. It is an [http.Handler].
//
// What it does was measured with 2026.2 unless a comment says that it was read in the
// source of Home Assistant.
type Site struct {
	home *Home
	mux  *http.ServeMux

	mu        sync.Mutex
	behaviour Behaviour
	codes     map[string]grant
	refresh   map[string]bool
	access    map[string]accessToken
	flows     map[string]*flow
	calls     []string
}

// grant is what a code stands for.
type grant struct {
	client string
	since  time.Time
}

type accessToken struct {
	refresh string
	ends    time.Time
}

// flow is a flow by which MQTT is set up.
type flow struct {
	step  string // "user" is the menu
	tried bool   // the form has come back once: it has no fields any more
}

// NewSite returns the HTTP half of a Home Assistant.
func NewSite(home *Home, b Behaviour) *Site {
	s := &Site{home: home, mux: http.NewServeMux(), behaviour: b, codes: make(map[string]grant), refresh: make(map[string]bool),
		access: make(map[string]accessToken), flows: make(map[string]*flow)}
	for pattern, serve := range map[string]http.HandlerFunc{
		"GET /auth/providers":                       s.providers,
		"GET /auth/authorize":                       s.loginPage,
		"POST /auth/authorize":                      s.login,
		"POST /auth/token":                          s.token,
		"POST /auth/revoke":                         s.revoke,
		"GET /api/":                                 s.authorized(false, s.api),
		"GET /api/config":                           s.authorized(false, s.config),
		"POST /api/config/config_entries/flow":      s.authorized(true, s.startFlow),
		"POST /api/config/config_entries/flow/{id}": s.authorized(true, s.configureFlow),
		// Deleting takes no administrator (from components/config/config_entries.py).
		"DELETE /api/config/config_entries/flow/{id}": s.authorized(false, s.deleteFlow),
	} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.note(r)
			if instead := s.now().Instead[pattern]; instead != nil {
				instead(w, r)
				return
			}
			serve(w, r)
		})
	}
	return s
}

// Behave changes how the site behaves.
func (s *Site) Behave(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.behaviour)
}

func (s *Site) now() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behaviour
}

func (s *Site) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
}

// Calls returns what was asked so far, as "METHOD /path".
func (s *Site) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Left returns how many tokens and how many flows nobody has given back.
func (s *Site) Left() (tokens, flows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.refresh), len(s.flows)
}

func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.now().Banned { // from components/http/ban.py
		http.Error(w, "403: Forbidden", http.StatusForbidden)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func replyMessage(w http.ResponseWriter, status int, text, code string) {
	m := map[string]string{"message": text}
	if code != "" {
		m["code"] = code
	}
	reply(w, status, m)
}

// providers is from components/auth/login_flow.py.
func (s *Site) providers(w http.ResponseWriter, r *http.Request) {
	if s.now().Onboarding {
		replyMessage(w, http.StatusBadRequest, "Onboarding not finished", "onboarding_required")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"providers":             []any{map[string]any{"name": "Home Assistant Local", "id": nil, "type": "homeassistant"}},
		"preselect_remember_me": true,
	})
}

// page stands for the page that Home Assistant makes with scripts; what a person does there is
// the same: they log in, and the browser goes where the client wants it.
var page = html.Must(html.New("").Parse(`<!DOCTYPE html>
<title>Home Assistant</title>
<h1>Welcome home!</h1>
<p>You're about to give {{.Get "client_id"}} access to your Home Assistant instance.</p>
<form method="post" action="/auth/authorize">
{{range $name := .Names}}<input type="hidden" name="{{$name}}" value="{{$.Get $name}}">
{{end}}<input name="username"><input name="password" type="password">
<button name="do" value="login" id="login">Log in</button>
</form>
`))

// asked are the parameters of the page.
type asked struct{ url.Values }

// Names are those that the form carries on.
func (asked) Names() []string { return []string{"client_id", "redirect_uri", "state"} }

func (s *Site) loginPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	page.Execute(w, asked{r.URL.Query()})
}

// login logs the person in and sends the browser back.
func (s *Site) login(w http.ResponseWriter, r *http.Request) {
	client, redirect := r.PostFormValue("client_id"), r.PostFormValue("redirect_uri")
	if !sameOrigin(client, redirect) {
		replyMessage(w, http.StatusForbidden, "invalid client id or redirect uri", "")
		return
	}
	to, _ := url.Parse(redirect)
	query := to.Query()
	query.Set("state", r.PostFormValue("state"))
	if r.PostFormValue("do") == "login" {
		code := rand.Text()
		s.mu.Lock()
		s.codes[code] = grant{client, time.Now()}
		s.mu.Unlock()
		query.Set("code", code)
	} else {
		query.Set("error", "access_denied")
	}
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound)
}

// sameOrigin is the rule by which a client that nobody has registered is taken (from
// components/auth/indieauth.py).
func sameOrigin(client, redirect string) bool {
	c, err := url.Parse(client)
	if err != nil || c.Scheme != "http" && c.Scheme != "https" || c.Fragment != "" || c.User != nil || c.Host == "" ||
		slices.ContainsFunc(strings.Split(c.Path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		return false
	}
	r, err := url.Parse(redirect)
	return err == nil && r.Scheme == c.Scheme && strings.EqualFold(r.Host, c.Host)
}

func (s *Site) token(w http.ResponseWriter, r *http.Request) {
	invalid := func(what string) {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": what})
	}
	if r.PostFormValue("grant_type") != "authorization_code" {
		reply(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	code, client := r.PostFormValue("code"), r.PostFormValue("client_id")
	g, ok := s.codes[code]
	if !ok || g.client != client || time.Since(g.since) > 10*time.Minute {
		invalid("Invalid code")
		return
	}
	delete(s.codes, code)
	if s.behaviour.Inactive {
		reply(w, http.StatusForbidden, map[string]string{"error": "access_denied", "error_description": "User is not active"})
		return
	}
	life := s.behaviour.TokenLife
	if life == 0 {
		life = 1800 * time.Second
	}
	refresh, access := rand.Text(), rand.Text()
	s.refresh[refresh] = true
	s.access[access] = accessToken{refresh, time.Now().Add(life)}
	reply(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "refresh_token": refresh,
		"expires_in": int(life.Seconds()), "ha_auth_provider": "homeassistant"})
}

// revoke answers the same whatever it is given (RFC 7009).
func (s *Site) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refresh := r.PostFormValue("token")
	delete(s.refresh, refresh)
	maps.DeleteFunc(s.access, func(_ string, t accessToken) bool { return t.refresh == refresh })
}

// authorized asks for a token, and maybe for an administrator: Home Assistant answers
// both the same.
func (s *Site) authorized(admin bool, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		t, known := s.access[token]
		ok = ok && known && time.Now().Before(t.ends) && !(admin && s.behaviour.NotAdmin)
		s.mu.Unlock()
		if !ok {
			http.Error(w, "401: Unauthorized", http.StatusUnauthorized)
			return
		}
		serve(w, r)
	}
}

func (s *Site) api(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/" {
		http.Error(w, "404: Not Found", http.StatusNotFound)
		return
	}
	replyMessage(w, http.StatusOK, "API running.", "")
}

func (s *Site) config(w http.ResponseWriter, r *http.Request) {
	name, version := s.Identity()
	reply(w, http.StatusOK, map[string]any{"location_name": name, "version": version, "state": "RUNNING", "components": []string{"api", "config", "mqtt"}})
}

// Identity returns what the Home Assistant says of itself, here and by mDNS.
func (s *Site) Identity() (name, version string) {
	b := s.now()
	if name = b.Name; name == "" {
		name = "Home"
	}
	if version = b.Version; version == "" {
		version = "2026.2.0"
	}
	return name, version
}

// String says what was asked, for a test that failed.
func (s *Site) String() string { return fmt.Sprintf("%q", s.Calls()) }
