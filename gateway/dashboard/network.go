package dashboard

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/clock"
	"lintel/gateway/network"
)

func (s *Server) networkRoutes() []route {
	if s.o.Network == nil {
		return nil
	}
	return []route{
		{pattern: "GET /network", level: admin, serve: s.live(s.networkPage())},
		{pattern: "POST /network", level: admin, serve: s.networkForm},
		{pattern: "POST /network/confirm", level: admin, serve: s.networkAct(s.confirmNetwork)},
		{pattern: "POST /network/revert", level: admin, serve: s.networkAct(s.revertNetwork)},
		{pattern: "GET /api/network", level: admin, call: gives(s, s.showNetwork)},
		{pattern: "POST /api/network", level: admin, call: takes(s, s.networkCall)},
		{pattern: "POST /api/network/confirm", level: admin, call: s.networkActCall(s.confirmNetwork)},
		{pattern: "POST /api/network/revert", level: admin, call: s.networkActCall(s.revertNetwork)},
	}
}

// Network is the place of the box in the network: a *network.Manager.
type Network interface {
	Status() network.Status
	Try(network.Addresses) error
	Confirm() error
	Revert() error
}

// networkView is the page of the network.
type networkView struct {
	Frame  frame
	Status network.Status
	Form   network.Addresses
	Manual bool          // an IPv4 address by hand is in the form
	At     []string      // where the box will be reached with the settings on trial
	Clock  *clock.Status // nil: something else sets the clock
	Now    time.Time
	Error  *problem
}

func (s *Server) networkView(r *request) *networkView {
	v := &networkView{Frame: s.frame(r, r.t("Network")), Status: s.o.Network.Status(), Now: time.Now()}
	v.Form, v.Frame.Still = v.Status.Settings, v.Status.Trial == nil
	if t := v.Status.Trial; t != nil {
		v.Form = *t
		for _, text := range []string{t.IPv4, t.IPv6} {
			if p, err := netip.ParsePrefix(text); err == nil {
				v.At = append(v.At, s.urlAt(r, p.Addr()))
			}
		}
	}
	v.Manual = v.Form.IPv4 != network.DHCP
	v.Clock = s.clock()
	return v
}

// urlAt is this page at another address of the box.
func (s *Server) urlAt(r *request, a netip.Addr) string {
	host := a.String()
	if a.Is6() {
		host = "[" + host + "]"
	}
	if u, err := url.Parse("http://" + r.Host); err == nil && u.Port() != "" {
		host += ":" + u.Port()
	}
	u := url.URL{Scheme: "http", Host: host, Path: "/network"}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}

func (s *Server) networkPage() livePage {
	return livePage{template: "network.html", fragments: []string{"network-trial", "network-addresses", "network-time"},
		data: func(r *request) (any, error) { return s.networkView(r), nil }}
}

func (s *Server) networkForm(w http.ResponseWriter, r *request) {
	value := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	in := network.Addresses{IPv4: network.DHCP, DNS: []string{}, IPv6: value("ipv6"), IPv6Gateway: value("ipv6_gateway")}
	if value("how") == "manual" {
		in.IPv4, in.Gateway = value("ipv4"), value("gateway")
	}
	in.DNS = append(in.DNS, strings.FieldsFunc(value("dns"), func(c rune) bool { return c == ' ' || c == ',' })...)
	if err := s.tryNetwork(r, in); err != nil {
		p := s.problemOf(r.Request, err)
		v := s.networkView(r)
		v.Form, v.Error = in, p
		v.Manual = in.IPv4 != network.DHCP
		s.show(w, r, p.code, "network.html", v)
		return
	}
	http.Redirect(w, r.Request, "/network", http.StatusSeeOther)
}

func (s *Server) tryNetwork(r *request, in network.Addresses) error {
	if in.DNS == nil { // a call need not say it, and is told a list
		in.DNS = []string{}
	}
	if err := s.o.Network.Try(in); err != nil {
		return networkProblem(err)
	}
	s.note(r, access.NetworkTried, "", ": %s, %s", in.IPv4, in.IPv6)
	return nil
}

// networkProblem is what to answer because of an error of a Network.
func networkProblem(err error) error {
	if invalid, ok := errors.AsType[*network.InvalidError](err); ok {
		return wrong(invalid.Key, "%s", sentence(errors.New(invalid.Reason)))
	}
	if errors.Is(err, network.ErrTrial) || errors.Is(err, network.ErrNoTrial) || errors.Is(err, network.ErrNotInForce) {
		return problemf(http.StatusConflict, "", "%s", sentence(err))
	}
	return problemf(http.StatusInternalServerError, "", "%s", sentence(err)) // the file says what is wrong with it
}

func (s *Server) confirmNetwork(r *request) error {
	if err := s.o.Network.Confirm(); err != nil {
		return networkProblem(err)
	}
	s.note(r, access.NetworkSet, "", "")
	return nil
}

func (s *Server) revertNetwork(*request) error {
	if err := s.o.Network.Revert(); err != nil {
		return networkProblem(err)
	}
	return nil
}

// networkAct is a button of the page.
func (s *Server) networkAct(act func(*request) error) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) {
		if err := act(r); err != nil {
			p := s.problemOf(r.Request, err)
			v := s.networkView(r)
			v.Error = p
			s.show(w, r, p.code, "network.html", v)
			return
		}
		http.Redirect(w, r.Request, "/network", http.StatusSeeOther)
	}
}

// The JSON API.

// networkState is what GET /api/network tells.
type networkState struct {
	network.Status
	Clock *clock.Status `json:"clock,omitempty"`
}

func (s *Server) showNetwork(*request) (networkState, error) {
	return networkState{s.o.Network.Status(), s.clock()}, nil
}

// clock is how the clock is doing; nil: something else sets it.
func (s *Server) clock() *clock.Status {
	if s.o.Time == nil {
		return nil
	}
	status := s.o.Time()
	return &status
}

func (s *Server) networkCall(r *request, in network.Addresses) (networkState, error) {
	if err := s.tryNetwork(r, in); err != nil {
		return networkState{}, err
	}
	return s.showNetwork(r)
}

// networkActCall is a call without anything to say.
func (s *Server) networkActCall(act func(*request) error) call {
	return takes(s, func(r *request, _ nothing) (networkState, error) {
		if err := act(r); err != nil {
			return networkState{}, err
		}
		return s.showNetwork(r)
	})
}
