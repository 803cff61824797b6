package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"lintel/gateway/homeassistant"
)

// connectTime is how long it may take to connect a Home Assistant: it tries each address
// of the broker for some seconds.
const connectTime = 90 * time.Second

// connectRequest is what a person, or a program, says of the Home Assistant to connect.
type connectRequest struct {
	Found       string `json:"found"`       // the id of one that was found
	Address     string `json:"address"`     // or where it is
	Fingerprint string `json:"fingerprint"` // of its certificate, if somebody has compared that
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
func (s *Server) finish(w http.ResponseWriter, r *request, back homeassistant.Return) (homeassistant.Connection, error) {
	s.patient(w)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), connectTime)
	defer cancel()
	back.Owner, back.Local = r.owner(), localIP(r.Request)
	return s.o.HomeAssistant.Finish(ctx, back)
}

// patient gives an answer time that waits for Home Assistant.
func (s *Server) patient(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(connectTime + lastingTime))
}

// connectForm leads the browser to Home Assistant. It is no redirect: browsers refuse one
// that answers a form and leads to another site, because of form-action in our
// Content-Security-Policy.
func (s *Server) connectForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	c := connectRequest{r.PostFormValue("found"), r.PostFormValue("address"), r.PostFormValue("fingerprint")}
	authorize := ""
	if err == nil {
		s.patient(w)
		authorize, err = s.begin(r, c)
	}
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
	if _, err := s.finish(w, r, homeassistant.Return{State: q.Get("state"), Code: q.Get("code"), Denied: q.Get("error")}); err != nil {
		s.failHomeAssistant(w, r, "connect", err)
		return
	}
	http.Redirect(w, r.Request, "/homeassistant", http.StatusSeeOther)
}

// The JSON API.

func (s *Server) connect(w http.ResponseWriter, r *request) {
	var c connectRequest
	err := decode(r, &c)
	authorize := ""
	if err == nil {
		s.patient(w)
		authorize, err = s.begin(r, c)
	}
	if err != nil {
		s.failConnect(w, r, err)
		return
	}
	s.answer(w, http.StatusOK, struct {
		Authorize string `json:"authorize"`
	}{authorize})
}

func (s *Server) connectReturn(w http.ResponseWriter, r *request) {
	var in callbackRequest
	err := decode(r, &in)
	var c homeassistant.Connection
	if err == nil {
		c, err = s.finish(w, r, homeassistant.Return{State: in.State, Code: in.Code})
	}
	if err != nil {
		s.failConnect(w, r, err)
		return
	}
	s.answer(w, http.StatusCreated, struct {
		Connection homeassistant.Connection `json:"connection"`
	}{c})
}

// failConnect says more to programs than other errors do.
func (s *Server) failConnect(w http.ResponseWriter, r *request, err error) {
	failure, ok := errors.AsType[*homeassistant.ConnectError](err)
	if !ok {
		s.fail(w, r, err)
		return
	}
	answerProblem(w, Problem{Type: connectProblem, Status: connectCodes[failure.Reason], Detail: failure.Text,
		Reason: string(failure.Reason), Fingerprint: failure.Fingerprint})
}
