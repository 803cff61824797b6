package dashboard

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"lintel/gateway/access"
	"lintel/gateway/homeassistant"
)

// route is a kind of request: who may make it, and what it does.
type route struct {
	pattern   string       // METHOD PATH as in [http.ServeMux]
	level     access.Level // that it takes; nobody: none, it is for everybody
	unclaimed bool         // it is there before somebody has claimed the box
	body      int64        // bytes it may have; 0: maxBody
	kind      string       // media type that it must have; empty: that of a form, and JSON in the API
	serve     func(w http.ResponseWriter, r *request)
}

const (
	maxImport   = 1 << 20   // bytes of a password file
	maxTeaching = 128 << 10 // bytes of what is said of 256 datapoints

	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// routes is all that there is, in one place.
func (s *Server) routes() []route {
	const everybody, viewer, operator, admin = nobody, access.Viewer, access.Operator, access.Admin
	all := []route{
		{pattern: "GET /style.css", level: everybody, unclaimed: true, serve: serveAsset},
		{pattern: "GET /icon.svg", level: everybody, unclaimed: true, serve: serveAsset},
		{pattern: "GET /healthz", level: everybody, unclaimed: true, serve: s.serveHealth},
		{pattern: "GET /{$}", level: viewer, serve: s.servePage},
		{pattern: "GET /api/status", level: viewer, serve: s.serveStatus},
	}
	all = append(all, s.metricsRoutes()...)
	if s.o.Users == nil {
		for i := range all {
			all[i].level, all[i].unclaimed = everybody, true
		}
		return all
	}
	all = append(all, s.checkRoutes()...)
	if s.o.Zigbee != nil {
		all = append(all, route{pattern: "GET /zigbee/", level: admin, serve: s.serveZigbee})
	}
	if s.o.ZigbeeNetwork != nil {
		all = append(all,
			route{pattern: "GET /zigbee-devices", level: viewer, serve: s.zigbeePage},
			route{pattern: "POST /zigbee-devices/permit", level: admin, serve: s.permitForm},
			route{pattern: "GET /zigbee-devices/{ieee}", level: viewer, serve: s.lessonPage},
			route{pattern: "POST /zigbee-devices/{ieee}", level: admin, body: maxTeaching, serve: s.teachForm},
			route{pattern: "GET /api/zigbee/devices", level: viewer, serve: s.zigbeeDevices},
			route{pattern: "POST /api/zigbee/permit", level: admin, serve: s.permit},
			route{pattern: "GET /api/zigbee/learn/{ieee}", level: viewer, serve: s.showLesson},
			route{pattern: "POST /api/zigbee/learn/{ieee}", level: admin, body: maxTeaching, serve: s.teach},
			route{pattern: "GET /api/zigbee/learn/{ieee}/definition.toml", level: viewer, serve: s.serveDefinition},
		)
	}
	all = append(all, s.zigbeeRoutes()...)
	if s.o.Backups != nil {
		all = append(all,
			// Who may restore depends on whether the box is claimed: see mayRestore.
			route{pattern: "GET /backup", level: everybody, unclaimed: true, serve: s.backupPage},
			route{pattern: "POST /backup", level: admin, serve: s.makeBackupForm},
			route{pattern: "POST /api/backup", level: admin, serve: s.makeBackup},
			route{pattern: "POST /backup/restore", level: everybody, unclaimed: true, body: maxBackup, kind: multipartType, serve: s.restoreForm},
			route{pattern: "POST /api/restore", level: everybody, unclaimed: true, body: maxBackup, kind: multipartType, serve: s.restore},
		)
	}
	if s.o.Network != nil {
		all = append(all,
			route{pattern: "GET /network", level: admin, serve: s.networkPage},
			route{pattern: "POST /network", level: admin, serve: s.networkForm},
			route{pattern: "POST /network/confirm", level: admin, serve: s.networkAct(s.confirmNetwork)},
			route{pattern: "POST /network/revert", level: admin, serve: s.networkAct(s.revertNetwork)},
			route{pattern: "GET /api/network", level: admin, serve: s.showNetwork},
			route{pattern: "POST /api/network", level: admin, serve: s.networkCall},
			route{pattern: "POST /api/network/confirm", level: admin, serve: s.networkActCall(s.confirmNetwork)},
			route{pattern: "POST /api/network/revert", level: admin, serve: s.networkActCall(s.revertNetwork)},
		)
	}
	if s.o.HomeAssistant != nil && s.o.Bridge != nil {
		all = append(all,
			route{pattern: "POST /homeassistant/bridge", level: admin, serve: s.bridgeForm},
			route{pattern: "POST /homeassistant/bridge/remove", level: admin, serve: s.removeBridgeForm},
			route{pattern: "GET /api/homeassistant/bridge", level: viewer, serve: s.showBridge},
			route{pattern: "POST /api/homeassistant/bridge", level: admin, serve: s.bridgeCall},
			route{pattern: "DELETE /api/homeassistant/bridge", level: admin, serve: s.removeBridgeCall},
		)
	}
	if s.o.HomeAssistant != nil {
		all = append(all,
			route{pattern: "GET /homeassistant", level: viewer, serve: s.homeassistantPage},
			route{pattern: "POST /homeassistant/login", level: admin, serve: s.homeassistantLoginForm},
			route{pattern: "POST /homeassistant/connect", level: admin, serve: s.connectForm},
			// A GET that changes something: see doc.go.
			route{pattern: "GET " + homeassistant.CallbackPath, level: admin, serve: s.connectCallback},
			route{pattern: "POST /api/homeassistant/connect", level: admin, serve: s.connect},
			route{pattern: "POST /api" + homeassistant.CallbackPath, level: admin, serve: s.connectReturn},
			route{pattern: "GET /api/homeassistant", level: viewer, serve: s.showHomeAssistant},
			route{pattern: "POST /api/homeassistant/login", level: admin, serve: s.homeassistantLogin},
			route{pattern: "GET /homeassistant/lintel.zip", level: everybody, unclaimed: true, serve: s.serveIntegration},
			route{pattern: "POST /homeassistant/pair", level: admin, serve: s.pairingForm},
			route{pattern: "GET /api/pair", level: everybody, unclaimed: true, serve: s.pairState},
			route{pattern: "POST /api/pair", level: everybody, unclaimed: true, serve: s.pairCall},
			route{pattern: "POST /api/pair/code", level: admin, serve: s.pairingCodeCall},
		)
	}
	if s.o.Log != nil {
		all = append(all, route{pattern: "GET /api/log", level: operator, serve: s.serveLog})
	}
	if s.o.Updater != nil {
		all = append(all,
			route{pattern: "GET /update", level: admin, serve: s.updatePage},
			route{pattern: "POST /update/check", level: admin, serve: s.checkForm},
			route{pattern: "POST /update/install", level: admin, serve: s.installForm},
			route{pattern: "POST /update/upload", level: admin, body: maxUpload, kind: fileType, serve: s.uploadForm},
			route{pattern: "POST /update/cancel", level: admin, serve: s.cancelForm},
			route{pattern: "POST /update/restart", level: admin, serve: s.restartForm},
			route{pattern: "GET /api/update", level: admin, serve: s.showUpdateStatus},
			route{pattern: "POST /api/update/check", level: admin, serve: s.checkCall},
			route{pattern: "POST /api/update/install", level: admin, serve: s.installCall},
			route{pattern: "POST /api/update/upload", level: admin, body: maxUpload, kind: uploadType, serve: s.uploadCall},
			route{pattern: "POST /api/update/cancel", level: admin, serve: s.cancelCall},
			route{pattern: "POST /api/update/restart", level: admin, serve: s.restartCall},
		)
	}
	all = append(all, s.denialRoutes()...)
	return append(all,
		route{pattern: "GET /ca.pem", level: everybody, unclaimed: true, serve: s.serveRoot},
		route{pattern: "GET /claim", level: everybody, unclaimed: true, serve: s.claimPage},
		route{pattern: "POST /claim", level: everybody, unclaimed: true, serve: s.claimForm},
		route{pattern: "GET /api/claim", level: everybody, unclaimed: true, serve: s.claimState},
		route{pattern: "POST /api/claim", level: everybody, unclaimed: true, serve: s.claimCall},

		route{pattern: "GET /login", level: everybody, serve: s.loginPage},
		route{pattern: "POST /login", level: everybody, serve: s.loginForm},
		route{pattern: "POST /logout", level: everybody, serve: s.logoutForm},
		route{pattern: "POST /api/login", level: everybody, serve: s.loginCall},
		route{pattern: "POST /api/logout", level: everybody, serve: s.logoutCall},

		route{pattern: "GET /users", level: admin, serve: s.usersPage},
		route{pattern: "POST /users/add", level: admin, serve: s.addUserForm},
		route{pattern: "POST /users/change", level: admin, body: 64 << 10, serve: s.changeUserForm},
		route{pattern: "POST /users/password", level: admin, serve: s.passwordForm},
		route{pattern: "POST /users/delete", level: admin, serve: s.deleteUserForm},
		route{pattern: "GET /api/users", level: admin, serve: s.listUsers},
		route{pattern: "POST /api/users", level: admin, body: 64 << 10, serve: s.addUser},
		route{pattern: "POST /api/users/import", level: admin, body: maxImport, kind: "text/plain", serve: s.importUsers},
		route{pattern: "GET /api/users/{name}", level: admin, serve: s.showUser},
		route{pattern: "PATCH /api/users/{name}", level: admin, body: 64 << 10, serve: s.changeUser},
		route{pattern: "DELETE /api/users/{name}", level: admin, serve: s.deleteUser},

		route{pattern: "POST /users/certificates/issue", level: admin, body: 64 << 10, serve: s.issueForm},
		route{pattern: "POST /users/certificates/revoke", level: admin, serve: s.revokeForm},
		route{pattern: "GET /api/certificates", level: admin, serve: s.listCertificates},
		route{pattern: "POST /api/certificates", level: admin, body: 64 << 10, serve: s.issueCertificate},
		route{pattern: "DELETE /api/certificates/{serial}", level: admin, serve: s.revokeCertificate},

		route{pattern: "GET /api/capture", level: operator, serve: s.capture},

		route{pattern: "GET /access", level: operator, serve: s.accessPage},
		route{pattern: "GET /api/explain", level: operator, serve: s.explain},
		route{pattern: "GET /api/audit", level: admin, serve: s.listAudit},
		route{pattern: "POST /access/reload", level: admin, serve: s.reloadForm},
		route{pattern: "POST /api/access/reload", level: admin, serve: s.reload},
		route{pattern: "POST /access/sessions/end", level: admin, serve: s.endSessionForm},
		route{pattern: "GET /api/sessions", level: admin, serve: s.listSessions},
		route{pattern: "DELETE /api/sessions/{id}", level: admin, serve: s.endSession},
		route{pattern: "POST /access/tokens/add", level: admin, serve: s.addTokenForm},
		route{pattern: "POST /access/tokens/revoke", level: admin, serve: s.revokeTokenForm},
		route{pattern: "GET /api/tokens", level: admin, serve: s.listTokens},
		route{pattern: "POST /api/tokens", level: admin, serve: s.addToken},
		route{pattern: "DELETE /api/tokens/{name}", level: admin, serve: s.revokeToken},
	)
}

// request is a request and who makes it.
type request struct {
	*http.Request
	user    string       // or the token, as "token NAME"; empty: nobody
	level   access.Level // nobody: of nobody
	session string       // its id; empty: it is not made with one
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
	for _, rt := range s.routes() {
		mux.Handle(rt.pattern, s.guard(rt))
	}
	// Browsers say where a request comes from in Origin, and in Sec-Fetch-Site where
	// the page is on TLS. What says neither is no browser: it has no cookies that
	// somebody else could use.
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, &request{Request: r}, http.StatusForbidden, "This request comes from a page of another site. Open this box in the browser and do it there.")
	}))
	return s.meter.count(secure(s.checkHost(sameOrigin.Handler(mux))))
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
var anyHost = []string{"/healthz", "/readyz", "/style.css", "/icon.svg"}

// checkHost refuses requests for names that are not those of the box. A page of
// somebody else can have its own name lead here (DNS rebinding), and then is of the
// same origin; a name with an address in it cannot.
func (s *Server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(anyHost, r.URL.Path) || s.ownHost(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		where := "its IP address"
		if s.o.Hosts != nil {
			if names := s.o.Hosts(); len(names) > 0 {
				where = names[0] + " or " + where
			}
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
	return s.o.Hosts != nil && slices.ContainsFunc(s.o.Hosts(), func(own string) bool {
		return strings.EqualFold(strings.TrimSuffix(own, "."), host)
	})
}

// guard lets those to a route who may use it.
func (s *Server) guard(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		if !rt.unclaimed && !s.o.Claim.Claimed() {
			if isCall(hr) {
				s.refuse(w, &request{Request: hr}, http.StatusForbidden, "Nobody has claimed this box yet: open /claim in a browser, or POST to /api/claim.")
			} else {
				http.Redirect(w, hr, "/claim", http.StatusSeeOther)
			}
			return
		}
		r := s.identify(hr)
		if !may(r.level, rt.level) {
			s.refuseLevel(w, r, rt.level)
			return
		}
		if err := rt.checkType(hr); err != "" {
			s.refuse(w, r, http.StatusUnsupportedMediaType, err)
			return
		}
		limit := rt.body
		if limit == 0 {
			limit = maxBody
		}
		hr.Body = http.MaxBytesReader(w, hr.Body, limit)
		rt.serve(w, r)
	})
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
func (rt *route) checkType(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete {
		return ""
	}
	want := rt.kind
	if want == "" {
		want = formType
		if isCall(r) {
			want = jsonType
		}
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		return "Send the header Content-Type: " + want + "."
	}
	return ""
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

// address returns where a request comes from; zero: not known.
func address(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return a.Addr().Unmap().WithZone("")
}

func serveAsset(w http.ResponseWriter, r *request) {
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r.Request, assets, r.URL.Path[1:])
}
