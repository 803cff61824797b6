package dashboard

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
)

// route is a kind of request: who may make it, and what it does.
type route struct {
	pattern   string        // METHOD PATH as in [http.ServeMux]
	level     access.Level  // that it takes; nobody: none, it is for everybody
	unclaimed bool          // it is there before somebody has claimed the box
	body      int64         // bytes it may have; 0: maxBody
	kind      string        // media type that it must have; empty: that of a form, and JSON in the API
	patience  time.Duration // that the answer may take; 0: as long as the server gives all
	serve     func(w http.ResponseWriter, r *request)

	call // of the API; see describedCalls
}

const (
	maxImport   = 1 << 20   // bytes of a password file
	maxTeaching = 128 << 10 // bytes of what is said of 256 datapoints

	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// The levels of routes.
const everybody, viewer, operator, admin = nobody, access.Viewer, access.Operator, access.Admin

// routes is all that there is: each part of the pages lists its own.
func (s *Server) routes() []route {
	all := []route{
		{pattern: "GET /static/{version}/{name}", level: everybody, unclaimed: true, serve: s.serveStatic},
		{pattern: "GET /icon.svg", level: everybody, unclaimed: true, serve: serveIcon},
		{pattern: "POST /language", level: everybody, unclaimed: true, serve: s.chooseLanguage},
		{pattern: "GET /healthz", level: everybody, unclaimed: true, serve: s.serveHealth},
		{pattern: "GET /{$}", level: viewer, serve: s.live(s.homePage())},
		{pattern: "GET /api/status", level: viewer, call: gives(s, func(*request) (Status, error) { return s.status(), nil })},
	}
	all = append(all, s.metricsRoutes()...)
	all = append(all, s.apiRoutes()...)
	if s.o.Users == nil {
		for i := range all {
			all[i].level, all[i].unclaimed = everybody, true
		}
		return describe(all)
	}
	for _, area := range []func() []route{
		s.doorRoutes,
		s.userRoutes,
		s.userPageRoutes,
		s.certificateRoutes,
		s.accessRoutes,
		s.explainRoutes,
		s.tokenRoutes,
		s.auditRoutes,
		s.denialRoutes,
		s.roleRoutes,
		s.rolePageRoutes,
		s.checkRoutes,
		s.deviceRoutes,
		s.simulateRoutes,
		s.brokerRoutes,
		s.clientRoutes,
		s.topicRoutes,
		s.publishRoutes,
		s.welcomeRoutes,
		s.zigbeePageRoutes,
		s.zigbeeRoutes,
		s.homeAssistantRoutes,
		s.bridgeRoutes,
		s.backupRoutes,
		s.networkRoutes,
		s.updateRoutes,
		s.settingsRoutes,
		s.supportRoutes,
		s.resetRoutes,
		s.logRoutes,
		s.captureRoutes,
		s.journeyRoutes,
		s.traceRoutes,
	} {
		all = append(all, area()...)
	}
	return describe(all)
}

// request is a request and who makes it.
type request struct {
	*http.Request
	user    string       // or the token, as "token NAME"; empty: nobody
	level   access.Level // nobody: of nobody
	session string       // its id; empty: it is not made with one
	route   *route       // that it came to; nil: none
	live    bool         // the page that is made for it changes by itself
}

// nobody is the level of those who are not logged in.
const nobody access.Level = ""

// ranks orders the levels.
var ranks = []access.Level{nobody, access.Viewer, access.Operator, access.Admin}

// may reports whether a level includes another. One that is not known includes nothing.
func may(level, wanted access.Level) bool {
	return slices.Index(ranks, level) >= slices.Index(ranks, wanted)
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux() // GET patterns take HEAD too and answer 405 to the rest
	routes := s.routes()
	s.pageLevels = levelsOfPages(routes)
	for _, rt := range routes {
		mux.Handle(rt.pattern, s.guard(rt))
	}
	// Browsers say where a request comes from in Origin, and in Sec-Fetch-Site where
	// the page is on TLS. What says neither is no browser: it has no cookies that
	// somebody else could use.
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, &request{Request: r}, http.StatusForbidden, "This request comes from a page of another site. Open this box in the browser and do it there.")
	}))
	known := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused, pattern := mux.Handler(r); pattern == "" {
			s.missing(w, r, refused)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return s.meter.count(secure(s.checkHost(sameOrigin.Handler(known))))
}

// secure tells browsers to trust nothing but our own files. The referrer policy is not
// no-referrer: with that one browsers send forms with "Origin: null" [Fetch, append a
// request Origin header], and without TLS nothing would tell ours from those of others.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// anyHost are the paths where nothing is to be learnt: who watches the box may call it
// by any name, and a page that refuses looks like one.
var anyHost = []string{"/healthz", "/readyz", "/icon.svg"}

// checkHost refuses requests for names that are not those of the box. A page of
// somebody else can have its own name lead here (DNS rebinding), and then is of the
// same origin; a name with an address in it cannot.
func (s *Server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(anyHost, r.URL.Path) || strings.HasPrefix(r.URL.Path, "/static/") || s.ownHost(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		where := "its IP address"
		if names := s.o.Hosts(); len(names) > 0 {
			where = names[0] + " or " + where
		}
		s.refuse(w, &request{Request: r}, http.StatusMisdirectedRequest, "This box does not go by the name that was asked for. Open "+where+" in the browser.")
	})
}

// ownHost reports whether a Host header is about this box.
func (s *Server) ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" {
		return true
	}
	return slices.ContainsFunc(s.o.Hosts(), func(own string) bool {
		return strings.EqualFold(strings.TrimSuffix(own, "."), host)
	})
}

// guard lets those to a route who may use it.
func (s *Server) guard(rt route) http.Handler {
	return http.HandlerFunc(func(plain http.ResponseWriter, hr *http.Request) {
		w := &begun{ResponseWriter: plain}
		defer func() { s.caught(w, hr, recover()) }()
		if !rt.unclaimed && !s.o.Claim.Claimed() {
			if isCall(hr) {
				s.refuse(w, &request{Request: hr}, http.StatusForbidden, "Nobody has claimed this box yet: open /claim in a browser, or POST to /api/claim.")
			} else {
				http.Redirect(w, hr, "/claim", http.StatusSeeOther)
			}
			return
		}
		r := s.identify(hr)
		r.route = &rt
		if !may(r.level, rt.level) {
			s.refuseLevel(w, r, rt.level)
			return
		}
		if err := rt.checkType(hr); err != nil {
			s.fail(w, r, err)
			return
		}
		if err := rt.checkQuery(hr); err != nil {
			s.fail(w, r, err)
			return
		}
		limit := rt.limit()
		if rt.hasBody() && isCall(hr) && hr.ContentLength > limit { // a browser reads no answer before all is sent
			s.fail(w, r, tooLarge(&http.MaxBytesError{Limit: limit}))
			return
		}
		hr.Body = http.MaxBytesReader(plain, hr.Body, limit) // it knows the writer of net/http
		if rt.isForm() {
			if err := parse(r); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		if rt.patience > 0 {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rt.patience))
		}
		rt.serve(w, r)
	})
}

// isForm reports whether what is sent to a route is a form that is read before it is served.
func (rt *route) isForm() bool {
	return rt.hasBody() && rt.kind == "" && !strings.Contains(rt.pattern, " /api/")
}

// limit is how many bytes a body may have.
func (rt *route) limit() int64 {
	if rt.body == 0 {
		return maxBody
	}
	return rt.body
}

// refuseLevel answers somebody who may not do what they want.
func (s *Server) refuseLevel(w http.ResponseWriter, r *request, wanted access.Level) {
	switch {
	case r.level != nobody:
		s.refuse(w, r, http.StatusForbidden,
			"This takes the level "+string(wanted)+", and "+r.user+" has the level "+string(r.level)+". Ask an admin of the box.")
	case isCall(r.Request) || r.URL.Path == "/metrics":
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.refuse(w, r, http.StatusUnauthorized,
			"Log in first: POST to /api/login, or send the header Authorization: Bearer with an API token.")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		http.Redirect(w, r.Request, loginURL(r.URL.Path), http.StatusSeeOther)
	default:
		http.Redirect(w, r.Request, "/login", http.StatusSeeOther)
	}
}

// isCall reports whether a request is for the JSON API.
func isCall(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// checkType says what is wrong with the Content-Type. A form of another site cannot
// send JSON without asking first.
func (rt *route) checkType(r *http.Request) error {
	if !rt.hasBody() {
		return nil
	}
	want := rt.kind
	if want == "" {
		want = formType
		if isCall(r) {
			want = jsonType
		}
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && got == want {
		return nil
	}
	p := problemf(http.StatusUnsupportedMediaType, "", "Send the header Content-Type: %s.", want)
	p.inputs = []InputError{{Header: "Content-Type", Detail: p.Error()}}
	return p
}

// identify finds out who makes a request. A token that is shown counts alone, also
// when it is wrong.
func (s *Server) identify(r *http.Request) *request {
	none := &request{Request: r}
	if s.o.Users == nil {
		return none
	}
	if header, ok := r.Header["Authorization"]; ok {
		scheme, secret, _ := strings.Cut(header[0], " ")
		if !strings.EqualFold(scheme, "Bearer") || len(header) > 1 {
			return none
		}
		if t, ok := s.o.Tokens.Verify(r.Context(), strings.TrimSpace(secret)); ok {
			return &request{Request: r, user: "token " + t.Name, level: t.Level}
		}
		return none
	}
	if token := sessionToken(r); token != "" {
		if session, u, ok := s.o.Sessions.Get(token); ok {
			return &request{Request: r, user: u.Name, level: u.Page, session: session.ID}
		}
	}
	return none
}

// stays reports whether who made a request that goes on is still who they were, with the
// same level.
func (s *Server) stays(r *request) bool {
	now := s.identify(r.Request)
	return now.user == r.user && now.level == r.level
}

// address returns where a request comes from; zero: not known.
func address(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap().WithZone("")
}
