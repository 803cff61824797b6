package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"lintel/gateway/access"
	"lintel/gateway/uplink"
)

func (s *Server) bridgeRoutes() []route {
	if s.o.HomeAssistant == nil || s.o.Bridge == nil {
		return nil
	}
	return []route{
		{pattern: "POST /homeassistant/bridge", level: admin, patience: 2 * lastingTime, serve: s.bridgeForm},
		{pattern: "POST /homeassistant/bridge/remove", level: admin, patience: 2 * lastingTime, serve: s.removeBridgeForm},
		{pattern: "GET /api/homeassistant/bridge", level: viewer, call: gives(s, s.showBridge)},
		{pattern: "POST /api/homeassistant/bridge", level: admin, patience: 2 * lastingTime, call: takes(s, s.bridgeCall)},
		{pattern: "DELETE /api/homeassistant/bridge", level: admin, patience: 2 * lastingTime, call: does(s, s.removeBridgeCall)},
	}
}

// HomeAssistantBridge is how the box gets to a Home Assistant that has a broker already:
// as a client of that one.
type HomeAssistantBridge interface {
	// Bridge tells what is kept, without the password, and how it is doing; nil: nothing is.
	Bridge() *Bridge
	// SetBridge tries the settings out and keeps them if they are good. An *uplink.Unfit
	// says why they are not.
	SetBridge(ctx context.Context, settings BridgeSettings) error
	// RemoveBridge ends it. With clear what the box has at that broker is taken away
	// first, its devices in Home Assistant too.
	RemoveBridge(ctx context.Context, clear bool) error
}

// BridgeSettings are where that broker is and how the box logs in.
type BridgeSettings struct {
	Host        string `json:"host"`
	Port        int    `json:"port"` // 0: 1883, or with TLS 8883
	TLS         bool   `json:"tls"`
	Fingerprint string `json:"fingerprint,omitempty"` // of its certificate, where no known authority has signed it
	User        string `json:"user"`
	Password    string `json:"password,omitempty"`
}

// Bridge is bridge mode while it is on. There is no password in it.
type Bridge struct {
	Settings BridgeSettings `json:"settings"`
	Status   uplink.Status  `json:"status"`
}

// bridgeView is the section about bridge mode.
type bridgeView struct {
	Admin    bool
	Bridge   *Bridge
	Settings BridgeSettings // what is in the form
	Error    *problem
}

func (s *Server) bridgeView(r *request) bridgeView {
	v := bridgeView{Admin: may(r.level, access.Admin)}
	if s.o.Bridge != nil {
		v.Bridge = s.o.Bridge.Bridge()
	}
	if v.Bridge != nil {
		v.Settings = v.Bridge.Settings
	}
	return v
}

// checkBridge says what is wrong with settings before anything is tried.
func checkBridge(in *BridgeSettings) error {
	in.Host = strings.TrimSpace(in.Host)
	in.Fingerprint = strings.TrimSpace(in.Fingerprint)
	switch {
	case in.Host == "" || len(in.Host) > 253 || strings.ContainsAny(in.Host, " /@?#[]\\%") || strings.Count(in.Host, ":") == 1:
		return wrong("host", "Type the host name or the IP address of the broker alone, such as homeassistant.local.")
	case in.Port < 0 || in.Port > 65535:
		return wrong("port", "A port is a number from 1 to 65535, mostly 1883, or 8883 with TLS.")
	case len(in.User) > 1000 || len(in.Password) > 1000:
		return wrong("user", "A user name or a password has 1000 bytes at most.")
	case in.User == "" && in.Password != "":
		return wrong("user", "There is a password without a user: type both.")
	case in.Fingerprint != "" && !in.TLS:
		return wrong("fingerprint", "A fingerprint is of use with TLS only.")
	}
	if _, err := uplink.TLSConfig(nil, in.Fingerprint, nil, nil); err != nil {
		return wrong("fingerprint", "%s", sentence(err))
	}
	return nil
}

func (s *Server) setBridge(r *request, in BridgeSettings) error {
	if err := checkBridge(&in); err != nil {
		return err
	}
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Bridge.SetBridge(ctx, in); err != nil {
		return err
	}
	s.note(r, access.BridgeSet, "", ": %s", in.Host)
	return nil
}

func (s *Server) removeBridge(r *request, clear bool) error {
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Bridge.RemoveBridge(ctx, clear); err != nil {
		return err
	}
	s.note(r, access.BridgeRemoved, "", "")
	return nil
}

func (s *Server) bridgeForm(w http.ResponseWriter, r *request) {
	in := BridgeSettings{Host: r.PostFormValue("host"), TLS: r.PostFormValue("tls") != "", Fingerprint: r.PostFormValue("fingerprint"),
		User: r.PostFormValue("user"), Password: r.PostFormValue("password")}
	var err error
	if text := strings.TrimSpace(r.PostFormValue("port")); text != "" {
		if in.Port, err = strconv.Atoi(text); err != nil {
			err = wrong("port", "A port is a number from 1 to 65535, mostly 1883, or 8883 with TLS.")
		}
	}
	if err == nil {
		err = s.setBridge(r, in)
	}
	if err != nil {
		s.failBridge(w, r, in, err)
		return
	}
	http.Redirect(w, r.Request, "/homeassistant#bridge", http.StatusSeeOther)
}

// failBridge shows the page with what was typed in, but the password.
func (s *Server) failBridge(w http.ResponseWriter, r *request, in BridgeSettings, err error) {
	v := s.homeassistantView(r)
	p := *s.problemOf(r.Request, err)
	p.field = "bridge"
	in.Password = ""
	v.Bridge.Settings, v.Bridge.Error = in, &p
	s.show(w, r, p.code, "homeassistant.html", v)
}

func (s *Server) removeBridgeForm(w http.ResponseWriter, r *request) {
	err := s.removeBridge(r, r.PostFormValue("clear") != "")
	if err != nil {
		v := s.bridgeView(r)
		s.failBridge(w, r, v.Settings, err)
		return
	}
	http.Redirect(w, r.Request, "/homeassistant#bridge", http.StatusSeeOther)
}

// The JSON API.

// bridgeAnswer is bridge mode; empty while it is off.
type bridgeAnswer struct {
	Settings *BridgeSettings `json:"settings,omitempty"`
	Status   *uplink.Status  `json:"status,omitempty"`
}

func (s *Server) showBridge(*request) (bridgeAnswer, error) {
	if b := s.o.Bridge.Bridge(); b != nil {
		return bridgeAnswer{&b.Settings, &b.Status}, nil
	}
	return bridgeAnswer{}, nil
}

func (s *Server) bridgeCall(r *request, in BridgeSettings) (bridgeAnswer, error) {
	if err := s.setBridge(r, in); err != nil {
		return bridgeAnswer{}, err
	}
	return s.showBridge(r)
}

func (s *Server) removeBridgeCall(r *request) error {
	return s.removeBridge(r, r.URL.Query().Get("clear") == "true")
}
