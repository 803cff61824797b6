package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// publishRoutes are those of who publishes and subscribes on a page.
func (s *Server) publishRoutes() []route {
	if s.o.MQTT == nil || s.o.Control == nil {
		return nil
	}
	return []route{
		{pattern: "GET /publish", level: operator, serve: s.publishPage},
		{pattern: "POST /publish", level: operator, body: maxPublish, serve: s.publishForm},
		{pattern: "GET /mqtt", level: operator, serve: s.serveMQTT},
		{pattern: "POST /api/publish", level: operator, body: maxPublish, call: takes(s, s.publishCall)},
	}
}

const (
	maxPublish = 64 << 10
	maxSockets = 16 // MQTT connections of pages
)

// publish hands a message to the broker, if who asks may publish it.
func (s *Server) publish(r *request, m mqtt.Message) error {
	switch {
	case m.Topic == "":
		return wrong("topic", "Say which topic it is about.")
	case !mqtt.ValidTopicName(m.Topic) || strings.HasPrefix(m.Topic, "$"):
		return wrong("topic", "This is no topic to publish to: it may not contain + and #, nor begin with $.")
	case m.QoS > 2:
		return wrong("qos", "qos is 0, 1 or 2.")
	}
	if err := s.mayPublishMessage(r, &m); err != nil {
		return err
	}
	ctx, cancel := lasting(r)
	defer cancel()
	err := s.o.Broker.Publish(ctx, m)
	if refused, ok := errors.AsType[*mqtt.Error](err); ok {
		return problemf(http.StatusConflict, "", "The broker does not take this message: %s.", refused.Error())
	}
	return err
}

type publishRequest struct {
	Topic   string `json:"topic" api:"required"`
	Payload string `json:"payload"`
	QoS     byte   `json:"qos"`
	Retain  bool   `json:"retain"`
}

func (s *Server) publishCall(r *request, in publishRequest) (nothing, error) {
	return nothing{}, s.publish(r, mqtt.Message{Topic: in.Topic, Payload: []byte(in.Payload), QoS: in.QoS, Retain: in.Retain})
}

// Visitor is what [broker.ConnectRequest] has as Vouched for a client on a page: who is
// logged in there.
type Visitor struct{ User string }

// PageListener is the listener by which clients on pages come, as [broker.ConnectRequest]
// has it.
const PageListener = "page"

// socketLook is how often it is looked whether a page may still be connected.
const socketLook = time.Second

// serveMQTT is MQTT over WebSocket for the user who is logged in: what the CONNECT says of
// a user and a password counts nothing. The connection ends with the session.
//
// A page of another site could open it too, as a WebSocket is no request that browsers
// hold back (RFC 6455 §10.2), and they would send our cookie along: who does not come
// from a page of this origin is refused, and who does not say where from.
func (s *Server) serveMQTT(w http.ResponseWriter, r *request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		s.refuse(w, r, http.StatusUpgradeRequired, "This is MQTT over WebSocket, for the page.")
		return
	}
	if r.session == "" {
		s.refuse(w, r, http.StatusForbidden, "This is for the page alone: programs connect to the broker itself.")
		return
	}
	if !sameOrigin(r.Request) {
		s.refuse(w, r, http.StatusForbidden, "This request comes from a page of another site. Open this box in the browser and do it there.")
		return
	}
	release, ok := s.sockets.take()
	if !ok {
		s.refuse(w, r, http.StatusServiceUnavailable, "Too many pages are connected: close one of them first.")
		return
	}
	defer release()
	ctx, stop := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer stop(nil)
	go s.watchSocket(ctx, r, stop)
	s.o.MQTT.WebSocketOf(ctx, PageListener, Visitor{r.user}).ServeHTTP(w, r.Request)
}

// watchSocket ends a connection when the session has ended, or the user has no longer the
// level that the route takes.
func (s *Server) watchSocket(ctx context.Context, r *request, end context.CancelCauseFunc) {
	ticker := time.NewTicker(socketLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ending:
			end(&broker.Refusal{Code: mqtt.ServerShuttingDown})
			return
		case <-ticker.C:
		}
		if now := s.identify(r.Request); now.user != r.user || !may(now.level, r.route.level) {
			end(&broker.Refusal{Code: mqtt.AdministrativeAction, Reason: "the session on the page has ended: log in again"})
			return
		}
	}
}

// sameOrigin reports whether a request says that it comes from a page of the same origin
// (RFC 6455 §4.2.2, RFC 6454 §7).
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origins := r.Header.Values("Origin")
	if len(origins) != 1 {
		return false
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Scheme == scheme && strings.EqualFold(u.Host, r.Host) && u.User == nil && u.Path == ""
}

// publishView is the page.
type publishView struct {
	Frame                  frame
	Topic, Payload, Filter string
	Sent                   string // where something was published; empty: nothing was
	Error                  *problem
	ErrorText              string
}

func (s *Server) publishPage(w http.ResponseWriter, r *request) {
	q := r.URL.Query()
	s.show(w, r, http.StatusOK, "publish.html", publishView{Frame: s.frame(r, r.t("Publish")), Topic: q.Get("topic"), Filter: q.Get("filter"), Sent: q.Get("sent")})
}

func (s *Server) publishForm(w http.ResponseWriter, r *request) {
	topic, payload := r.PostFormValue("topic"), r.PostFormValue("payload")
	qos, err := strconv.ParseUint(r.PostFormValue("qos"), 10, 8)
	if err != nil {
		err = wrong("qos", "qos is 0, 1 or 2.")
	} else {
		err = s.publish(r, mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: byte(qos), Retain: r.PostFormValue("retain") != ""})
	}
	if err != nil {
		p := s.problemOf(r.Request, err)
		s.show(w, r, p.code, "publish.html", publishView{Frame: s.frame(r, r.t("Publish")), Topic: topic, Payload: payload, Error: p, ErrorText: p.in(languageOf(r.Request))})
		return
	}
	http.Redirect(w, r.Request, "/publish?"+url.Values{"sent": {topic}, "topic": {topic}}.Encode(), http.StatusSeeOther)
}
