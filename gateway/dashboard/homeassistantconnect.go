package dashboard

import (
	"context"
	"net/http"
	"time"

	"lintel/gateway/homeassistant"
)

const (
	// connectTime is how long it may take to connect a Home Assistant: it tries each address
	// of the broker for some seconds.
	connectTime = 90 * time.Second
	// connectPatience gives an answer time that waits for Home Assistant.
	connectPatience = connectTime + lastingTime
)

// connectRequest is what a person, or a program, says of the Home Assistant to connect.
type connectRequest struct {
	Found       string `json:"found"`       // the id of one that was found
	Address     string `json:"address"`     // or where it is
	Fingerprint string `json:"fingerprint"` // of its certificate, if somebody has compared that
}

// begunConnect is where somebody has to log in.
type begunConnect struct {
	Authorize string `json:"authorize"`
}

type callbackRequest struct {
	State string `json:"state" api:"required"`
	Code  string `json:"code" api:"required"`
}

// connected is a Home Assistant that is connected now.
type connected struct {
	Connection homeassistant.Connection `json:"connection"`
}

// begin returns where a browser is to go.
func (s *Server) begin(r *request, c connectRequest) (authorize string, err error) {
	b := homeassistant.Begin{Addresses: []string{c.Address}, Fingerprint: c.Fingerprint, Owner: r.owner(), By: "by " + r.user, Page: "http://" + r.Host}
	if r.TLS != nil {
		b.Page = "https://" + r.Host
	}
	if c.Found != "" {
		b.Addresses = nil
		for _, f := range s.o.HomeAssistant.Found() {
			if f.ID == c.Found {
				b.Addresses = f.URLs
			}
		}
		if b.Addresses == nil {
			return "", problemf(http.StatusNotFound, "", "This Home Assistant is not in the network any more. Type its address.")
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), connectTime)
	defer cancel()
	return s.o.HomeAssistant.Begin(ctx, b)
}

// owner is who alone can finish what they have begun: the session of a browser, or who
// holds the token.
func (r *request) owner() string {
	if r.session != "" {
		return "session " + r.session
	}
	return r.user
}

// finish connects the Home Assistant that somebody comes back from. It goes on when they go
// away: what is half done in Home Assistant would stay.
func (s *Server) finish(r *request, back homeassistant.Return) (homeassistant.Connection, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), connectTime)
	defer cancel()
	back.Owner, back.Local = r.owner(), localIP(r.Request)
	return s.o.HomeAssistant.Finish(ctx, back)
}

// connectForm leads the browser to Home Assistant. It is no redirect: browsers refuse one
// that answers a form and leads to another site, because of form-action in our
// Content-Security-Policy.
func (s *Server) connectForm(w http.ResponseWriter, r *request) {
	c := connectRequest{r.PostFormValue("found"), r.PostFormValue("address"), r.PostFormValue("fingerprint")}
	authorize, err := s.begin(r, c)
	if err != nil {
		v := s.homeassistantView(r)
		v.fail(s, r, "connect", err)
		v.Address, v.Trying = c.Address, c.Found
		s.show(w, r, v.Error.code, "homeassistant.html", v)
		return
	}
	w.Header().Set("Refresh", "0; url="+authorize)
	s.show(w, r, http.StatusOK, "homeassistantgo.html", struct {
		Frame     frame
		Authorize string
	}{s.frame(r, r.t("Home Assistant")), authorize})
}

// connectCallback is where Home Assistant sends the browser back to. See doc.go for why a
// GET may change something here.
func (s *Server) connectCallback(w http.ResponseWriter, r *request) {
	q := r.URL.Query()
	if _, err := s.finish(r, homeassistant.Return{State: q.Get("state"), Code: q.Get("code"), Denied: q.Get("error")}); err != nil {
		s.failHomeAssistant(w, r, "connect", err)
		return
	}
	http.Redirect(w, r.Request, "/homeassistant", http.StatusSeeOther)
}

// The JSON API.

func (s *Server) connect(r *request, c connectRequest) (begunConnect, error) {
	authorize, err := s.begin(r, c)
	return begunConnect{authorize}, err
}

func (s *Server) connectReturn(r *request, in callbackRequest) (connected, error) {
	c, err := s.finish(r, homeassistant.Return{State: in.State, Code: in.Code})
	return connected{c}, err
}
