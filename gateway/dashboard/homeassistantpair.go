package dashboard

import (
	"context"
	"errors"
	"html/template"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/homeassistant"
)

// pairingUser is as whom [access.Lockout] counts wrong codes: no user can be called that.
const pairingUser = "\x00pairing"

// pairingView is the section about the custom integration.
type pairingView struct {
	Admin   bool
	Version string // of the integration
	URL     string // of its zip, as this browser reaches the box
	Code    string // that is shown; empty: none
	Seconds int64  // for which the code is good
}

// Shown is the code as it stands on the page.
func (v pairingView) Shown() template.HTML { return "<strong>" + code(v.Code) + "</strong>" }

func (s *Server) pairingView(r *request) pairingView {
	v := pairingView{Admin: may(r.level, access.Admin), Version: homeassistant.IntegrationVersion(s.o.Version)}
	u := url.URL{Scheme: "http", Host: r.Host, Path: "/homeassistant/lintel.zip"}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	v.URL = u.String()
	if v.Admin {
		if code, left := s.pairing.Current(); code != "" {
			v.Code, v.Seconds = code[:4]+" "+code[4:], int64(left.Seconds())
		}
	}
	return v
}

// serveIntegration hands out the custom integration. It is for everybody: there is
// nothing in it that is not public, and Home Assistant's terminal has no login here.
func (s *Server) serveIntegration(w http.ResponseWriter, r *request) {
	b, err := s.integration()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="lintel.zip"`)
	w.Write(b)
}

func (s *Server) showPairingCode(r *request) (code string, left time.Duration) {
	code, left = s.pairing.Show()
	s.note(r, access.PairingShown, "", "")
	return code, left
}

func (s *Server) pairingForm(w http.ResponseWriter, r *request) {
	s.showPairingCode(r)
	http.Redirect(w, r.Request, "/homeassistant#integration", http.StatusSeeOther)
}

// shownCode is a code for as long as it is good.
type shownCode struct {
	Code    string `json:"code"`
	Seconds int    `json:"seconds"`
}

func (s *Server) pairingCodeCall(r *request, _ nothing) (shownCode, error) {
	code, left := s.showPairingCode(r)
	return shownCode{code, int(left.Seconds())}, nil
}

// pairedBox is what the box tells anybody about itself: no more than it tells by mDNS.
type pairedBox struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Model   string `json:"model"`
	Version string `json:"version"`
}

func (s *Server) pairedBox() pairedBox {
	return pairedBox{s.o.ID, s.name(), s.o.Model, s.o.Version}
}

// claimedBox is that, and whether it has an owner.
type claimedBox struct {
	pairedBox
	Claimed bool `json:"claimed"`
}

func (s *Server) pairState(*request) (claimedBox, error) {
	return claimedBox{s.pairedBox(), s.o.Claim.Claimed()}, nil
}

type pairRequest struct {
	Code   string `json:"code" api:"required"`
	Client string `json:"client" api:"required"`
}

// pairedLogin is a login for who knew the code.
type pairedLogin struct {
	pairedBox
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// unpaired is why somebody gets no login, for a program and for a person.
func unpaired(code int, text, reason string) *problem {
	p := problemf(code, "", "%s", text)
	p.kind, p.reason = pairProblem, reason
	return p
}

// pairCall gives the custom integration a login for a code.
func (s *Server) pairCall(w http.ResponseWriter, r *request) {
	var in pairRequest
	err := decode(r, &in)
	if err == nil && in.Client != "homeassistant" {
		err = wrong("client", "Logins are given to the client homeassistant only: make others on the page of the users.")
	}
	var user, password string
	port := s.plainPort()
	if err == nil {
		user, password, err = s.pair(w, r, in.Code, port)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, http.StatusOK, pairedLogin{s.pairedBox(), reachedAt(r), port, user, password})
}

// pair returns a login for a code. Nothing is made before the code is known to be right.
func (s *Server) pair(w http.ResponseWriter, r *request, code string, port int) (user, password string, err error) {
	from := address(r.Request)
	switch {
	case !near(from):
		return "", "", unpaired(http.StatusForbidden, "The box gives logins to its own network only. Connect Home Assistant by hand.", "far")
	case !s.o.Claim.Claimed():
		return "", "", unpaired(http.StatusConflict, "Nobody has claimed this box yet: open its page in a browser.", "unclaimed")
	case port == 0:
		return "", "", unpaired(http.StatusConflict, "The broker takes encrypted connections only, which pairing cannot set up. Connect Home Assistant by hand.", "no_listener")
	}
	event := access.Event{Kind: access.PairingRefused, Address: from}
	if wait := s.o.Lockout.Wait(from, pairingUser); wait > 0 {
		event.Detail = "too many wrong codes"
		s.o.Audit.Add(event)
		seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
		w.Header().Set("Retry-After", seconds)
		return "", "", unpaired(http.StatusTooManyRequests, "Too many codes were wrong. Try again in "+seconds+" s.", "wait")
	}
	ctx, cancel := lasting(r)
	defer cancel()
	err = s.pairing.Use(code, func() (err error) {
		user, password, err = s.o.HomeAssistant.NewLogin(ctx, "paired by code")
		return err
	})
	unconnected, _ := errors.AsType[*homeassistant.ConnectError](err)
	switch {
	case err == nil:
		s.o.Lockout.Succeeded(from, pairingUser)
		s.o.Audit.Add(access.Event{Kind: access.Paired, User: user, Address: from})
		return user, password, nil
	case errors.Is(err, access.ErrWrongPairingCode):
		s.o.Lockout.Failed(from, pairingUser)
		event.Detail = "wrong code"
		s.o.Audit.Add(event)
		return "", "", unpaired(http.StatusForbidden, sentence(err), "wrong_code")
	case errors.Is(err, access.ErrNoPairingCode):
		event.Detail = "no code is shown"
		s.o.Audit.Add(event)
		return "", "", unpaired(http.StatusForbidden, sentence(err), "no_code")
	case unconnected != nil && unconnected.Reason == homeassistant.NoLogin:
		return "", "", unpaired(http.StatusConflict, unconnected.Text, "no_login")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, access.ErrBusy):
		return "", "", unpaired(http.StatusServiceUnavailable, "The box is busy. Try the same code again in a moment.", "busy")
	}
	return "", "", err
}

// plainPort returns the port of the broker without TLS; 0: there is none.
func (s *Server) plainPort() int {
	for _, a := range s.o.Addresses() {
		if u, err := url.Parse(a); err == nil && u.Scheme == "mqtt" {
			port, _ := strconv.Atoi(u.Port())
			return port
		}
	}
	return 0
}

// reachedAt returns the address at which the request reached the box. One that is good on
// one link only is worth nothing without the name of that link: then it is the name by
// which the box was called.
func reachedAt(r *request) string {
	if ip := localIP(r.Request); ip.IsValid() && !(ip.Is6() && ip.IsLinkLocalUnicast()) {
		return ip.String()
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	return host
}
