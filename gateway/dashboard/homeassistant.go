package dashboard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"lintel/gateway/homeassistant"
)

func (s *Server) homeAssistantRoutes() []route {
	if s.o.HomeAssistant == nil {
		return nil
	}
	return []route{
		{pattern: "GET /homeassistant", level: viewer, serve: s.live(s.homeassistantPage())},
		{pattern: "POST /homeassistant/login", level: admin, serve: s.homeassistantLoginForm},
		{pattern: "POST /homeassistant/connect", level: admin, patience: connectPatience, serve: s.connectForm},
		// A GET that changes something: see doc.go.
		{pattern: "GET " + homeassistant.CallbackPath, level: admin, patience: connectPatience, serve: s.connectCallback},
		{pattern: "POST /api/homeassistant/connect", level: admin, patience: connectPatience, call: takes(s, s.connect)},
		{pattern: "POST /api" + homeassistant.CallbackPath, level: admin, patience: connectPatience, call: takes(s, s.connectReturn)},
		{pattern: "GET /api/homeassistant", level: viewer, call: gives(s, s.showHomeAssistant)},
		{pattern: "POST /api/homeassistant/login", level: admin, call: takes(s, s.homeassistantLogin)},
		{pattern: "GET /homeassistant/lintel.zip", level: everybody, unclaimed: true, serve: s.serveIntegration},
		{pattern: "POST /homeassistant/pair", level: admin, serve: s.pairingForm},
		{pattern: "GET /api/pair", level: everybody, unclaimed: true, call: gives(s, s.pairState)},
		{pattern: "POST /api/pair", level: everybody, unclaimed: true, serve: s.pairCall},
		{pattern: "POST /api/pair/code", level: admin, call: takes(s, s.pairingCodeCall)},
	}
}

// HomeAssistant is how Home Assistant gets to know the box. Its errors for people are
// those of package homeassistant.
type HomeAssistant interface {
	// Logins returns the logins with which Home Assistants come to the broker.
	Logins() []HomeAssistantLogin
	// NewLogin returns one that nobody has come with yet, with a new password. by says
	// for the audit log who wants it.
	NewLogin(ctx context.Context, by string) (user, password string, err error)
	// Found returns the Home Assistants on the network.
	Found() []homeassistant.Found
	// Begin and Finish are those of [homeassistant.Connector].
	Begin(context.Context, homeassistant.Begin) (authorize string, err error)
	Finish(context.Context, homeassistant.Return) (homeassistant.Connection, error)
}

// HomeAssistantLogin is a login with which a Home Assistant comes to the broker.
type HomeAssistantLogin struct {
	User    string    `json:"user"`
	Online  bool      `json:"online"`
	Address string    `json:"address,omitempty"` // from which it is online
	Used    time.Time `json:"used,omitzero"`     // last, about; zero: never

	// Connection is the Home Assistant that was connected with it; nil: it was given it in
	// another way.
	Connection *homeassistant.Connection `json:"connection,omitempty"`
}

// homeassistantView is the page of Home Assistant: a section for each way. Bridge mode and
// the integration have files of their own for theirs, with a template each that
// homeassistant.html calls.
type homeassistantView struct {
	Frame  frame
	Admin  bool
	Logins []HomeAssistantLogin
	Found  []foundView
	Broker brokerLogin  // what is typed in by hand
	Error  *problem     // its field is the section that it is about
	Made   *brokerLogin // a login whose password is shown this once

	Address string                      // of a Home Assistant, as it was typed
	Trying  string                      // the id of one that was found, which could not be connected
	Failure *homeassistant.ConnectError // nil: none, or none of these

	Pairing  pairingView
	Bridge   bridgeView
	Bridging bool // bridge mode can be had
}

// foundView is a Home Assistant on the network.
type foundView struct {
	homeassistant.Found
	Login *HomeAssistantLogin // with which it was connected; nil: it was not
}

func (s *Server) homeassistantView(r *request) *homeassistantView {
	v := &homeassistantView{Frame: s.frame(r, r.t("Home Assistant")), Admin: may(r.level, "admin"),
		Logins: s.o.HomeAssistant.Logins(), Found: s.foundHomeAssistants(), Broker: s.brokerLogin(r, "", ""),
		Pairing: s.pairingView(r), Bridging: s.o.Bridge != nil, Bridge: s.bridgeView(r)}
	return v
}

// foundHomeAssistants are those on the network, with the login of each that has one.
func (s *Server) foundHomeAssistants() (all []foundView) {
	logins := s.o.HomeAssistant.Logins()
	for _, f := range s.o.HomeAssistant.Found() {
		all = append(all, foundView{f, loginOf(logins, f)})
	}
	return all
}

// loginOf returns the login with which a Home Assistant was connected; nil: it was not.
func loginOf(logins []HomeAssistantLogin, f homeassistant.Found) *HomeAssistantLogin {
	for i, l := range logins {
		if l.Connection != nil && slices.Contains(f.URLs, l.Connection.ID) {
			return &logins[i]
		}
	}
	return nil
}

func (s *Server) homeassistantPage() livePage {
	return livePage{
		template:  "homeassistant.html",
		fragments: []string{"homeassistant-logins", "homeassistant-found", "homeassistant-code", "homeassistant-uplink"},
		data: func(r *request) (any, error) {
			v := s.homeassistantView(r)
			v.Frame.Still = v.Admin
			return v, nil
		},
	}
}

// failHomeAssistant shows the page with an error in a section.
func (s *Server) failHomeAssistant(w http.ResponseWriter, r *request, section string, err error) {
	v := s.homeassistantView(r)
	v.fail(s, r, section, err)
	s.show(w, r, v.Error.code, "homeassistant.html", v)
}

func (v *homeassistantView) fail(s *Server, r *request, section string, err error) {
	p := *s.problemOf(r.Request, err)
	p.field = section
	v.Error = &p
	v.Failure, _ = errors.AsType[*homeassistant.ConnectError](err)
}

// homeassistantLoginForm makes a login that a person types into Home Assistant.
func (s *Server) homeassistantLoginForm(w http.ResponseWriter, r *request) {
	user, password, err := s.newHomeAssistantLogin(r)
	if err != nil {
		s.failHomeAssistant(w, r, "byhand", err)
		return
	}
	v := s.homeassistantView(r)
	made := s.brokerLogin(r, user, password)
	v.Made = &made
	s.show(w, r, http.StatusOK, "homeassistant.html", v)
}

func (s *Server) newHomeAssistantLogin(r *request) (user, password string, err error) {
	ctx, cancel := lasting(r)
	defer cancel()
	return s.o.HomeAssistant.NewLogin(ctx, "by "+r.user)
}

// The JSON API.

// homeassistantState is what GET /api/homeassistant tells.
type homeassistantState struct {
	Logins []HomeAssistantLogin  `json:"logins"`
	Found  []homeassistant.Found `json:"found"`
}

func (s *Server) showHomeAssistant(*request) (homeassistantState, error) {
	return homeassistantState{append([]HomeAssistantLogin{}, s.o.HomeAssistant.Logins()...), append([]homeassistant.Found{}, s.o.HomeAssistant.Found()...)}, nil
}

// madeLogin is a login at the broker whose password is shown this once.
type madeLogin struct {
	User     string   `json:"user"`
	Password string   `json:"password"`
	Hosts    []string `json:"hosts"`
	Port     string   `json:"port"`
}

func (s *Server) homeassistantLogin(r *request, _ nothing) (madeLogin, error) {
	user, password, err := s.newHomeAssistantLogin(r)
	b := s.brokerLogin(r, user, password)
	return madeLogin{user, password, append([]string{}, b.Hosts...), b.Port}, err
}
