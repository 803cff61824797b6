package dashboard

import (
	"context"
	"net/http"
	"time"
)

// HomeAssistant is how Home Assistant gets to know the box. Its errors for people are
// those of package homeassistant.
type HomeAssistant interface {
	// Logins returns the logins with which Home Assistants come to the broker.
	Logins() []HomeAssistantLogin
	// NewLogin returns one that nobody has come with yet, with a new password. by says
	// for the audit log who wants it.
	NewLogin(ctx context.Context, by string) (user, password string, err error)
}

// HomeAssistantLogin is a login with which a Home Assistant comes to the broker.
type HomeAssistantLogin struct {
	User    string    `json:"user"`
	Online  bool      `json:"online"`
	Address string    `json:"address,omitempty"` // from which it is online
	Used    time.Time `json:"used,omitzero"`     // last, about; zero: never
}

// homeassistantView is the page of Home Assistant: a section for each way. Bridge mode and
// the integration have files of their own for theirs, with a template each that
// homeassistant.html calls with a field of the view.
type homeassistantView struct {
	Frame  frame
	Now    time.Time
	Admin  bool
	Logins []HomeAssistantLogin
	Broker brokerLogin  // what is typed in by hand
	Error  *problem     // its field is the section that it is about
	Made   *brokerLogin // a login whose password is shown this once

	Pairing pairingView
}

func (s *Server) homeassistantView(r *request) *homeassistantView {
	return &homeassistantView{Frame: s.frame(r, "Home Assistant"), Now: time.Now(), Admin: may(r.level, "admin"),
		Logins: s.o.HomeAssistant.Logins(), Broker: s.brokerLogin(r, "", ""),
		Pairing: s.pairingView(r)}
}

func (s *Server) homeassistantPage(w http.ResponseWriter, r *request) {
	s.show(w, http.StatusOK, "homeassistant.html", s.homeassistantView(r))
}

// failHomeAssistant shows the page with an error in a section.
func (s *Server) failHomeAssistant(w http.ResponseWriter, r *request, section string, err error) {
	v := s.homeassistantView(r)
	p := *s.problemOf(r.Request, err)
	p.field = section
	v.Error = &p
	s.show(w, p.code, "homeassistant.html", v)
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
	s.show(w, http.StatusOK, "homeassistant.html", v)
}

func (s *Server) newHomeAssistantLogin(r *request) (user, password string, err error) {
	ctx, cancel := lasting(r)
	defer cancel()
	return s.o.HomeAssistant.NewLogin(ctx, "by "+r.user)
}

// The JSON API.

func (s *Server) showHomeAssistant(w http.ResponseWriter, r *request) {
	s.answer(w, http.StatusOK, struct {
		Logins []HomeAssistantLogin `json:"logins"`
	}{append([]HomeAssistantLogin{}, s.o.HomeAssistant.Logins()...)})
}

func (s *Server) homeassistantLogin(w http.ResponseWriter, r *request) {
	err := decode(r, &struct{}{})
	var user, password string
	if err == nil {
		user, password, err = s.newHomeAssistantLogin(r)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	b := s.brokerLogin(r, user, password)
	s.answer(w, http.StatusCreated, struct {
		User     string   `json:"user"`
		Password string   `json:"password"`
		Hosts    []string `json:"hosts"`
		Port     string   `json:"port"`
	}{user, password, append([]string{}, b.Hosts...), b.Port})
}
