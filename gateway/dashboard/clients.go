package dashboard

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// clientRoutes are those of the broker's clients.
func (s *Server) clientRoutes() []route {
	if s.o.MQTT == nil {
		return nil
	}
	return []route{
		{pattern: "GET /clients", level: viewer, serve: s.live(s.clientsPage())},
		{pattern: "GET /clients/{id...}", level: viewer, serve: s.live(s.clientPage())},
		{pattern: "POST /clients/{id}/disconnect", level: operator, serve: s.kickForm(false)},
		{pattern: "POST /clients/{id}/end", level: admin, serve: s.kickForm(true)},
		{pattern: "GET /api/clients", level: viewer, call: gives(s, s.listClients)},
		{pattern: "GET /api/clients/{id...}", level: viewer, call: gives(s, s.showClient)},
		// What it takes depends on the query: see kick.
		{pattern: "DELETE /api/clients/{id...}", level: operator, call: does(s, s.kickCall)},
	}
}

const clientsOnPage = 100

// BrokerClient is a session of the broker as GET /api/clients tells it.
type BrokerClient struct {
	ID            string    `json:"id"`
	User          string    `json:"user,omitempty"`
	Certificate   string    `json:"certificate,omitempty"` // name in the one that it showed
	Protocol      string    `json:"protocol"`              // 3.1, 3.1.1 or 5.0
	Connected     bool      `json:"connected"`
	Address       string    `json:"address,omitempty"`
	Listener      string    `json:"listener,omitempty"`
	TLS           string    `json:"tls,omitempty"` // the version
	Since         time.Time `json:"since"`         // connected, or away
	CleanStart    bool      `json:"clean_start"`
	Persistent    bool      `json:"persistent"`                       // it outlives its connection,
	ExpirySeconds *uint32   `json:"session_expiry_seconds,omitempty"` // by so much; none: it never ends
	KeepAlive     int64     `json:"keep_alive_seconds"`               // 0: none
	Subscriptions int       `json:"subscriptions"`
	Queued        int       `json:"queued"` // messages that wait for it, those in flight included
	QueuedBytes   int       `json:"queued_bytes"`
	InFlight      int       `json:"in_flight"`
	Pending       int       `json:"pending_bytes"` // on their way to its socket
	Blocked       bool      `json:"blocked"`       // its socket takes nothing at the moment
	Dropped       uint64    `json:"dropped"`
	Drops         []Counter `json:"drops,omitempty"` // by reason
	Received      uint64    `json:"messages_received"`
	ReceivedBytes uint64    `json:"bytes_received"` // payloads
	Sent          uint64    `json:"messages_sent"`
	SentBytes     uint64    `json:"bytes_sent"`
	ReceivedRate  *float64  `json:"messages_received_per_second,omitempty"` // none: it was not counted twice yet
	SentRate      *float64  `json:"messages_sent_per_second,omitempty"`
}

// Counter is a count and of what it is.
type Counter struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// Subscription is one subscription of a client.
type Subscription struct {
	Filter            string `json:"filter"`
	QoS               byte   `json:"qos"`
	NoLocal           bool   `json:"no_local"`
	RetainAsPublished bool   `json:"retain_as_published"`
	RetainHandling    byte   `json:"retain_handling"` // 0: retained messages come, 1: if it is new, 2: never
	Identifier        uint32 `json:"identifier,omitempty"`
}

// Will is the message that a client left.
type Will struct {
	Topic        string `json:"topic"`
	Text         string `json:"text"` // cut
	Bytes        int    `json:"bytes"`
	QoS          byte   `json:"qos"`
	Retain       bool   `json:"retain"`
	DelaySeconds uint32 `json:"delay_seconds"`
}

// BrokerClientDetail is a client as GET /api/clients/ID tells it.
type BrokerClientDetail struct {
	BrokerClient
	Filters []Subscription  `json:"filters"`
	Will    *Will           `json:"will,omitempty"`
	Denials []access.Denial `json:"denials,omitempty"` // for operators: what it was refused lately
}

func brokerClient(c *broker.ClientInfo, rate clientRate) BrokerClient {
	b := BrokerClient{
		ID: c.ID, User: c.User, Certificate: c.Certificate, Protocol: formatProtocol(c.Version), Connected: c.Connected, Address: c.RemoteAddr,
		Listener: c.Listener, Since: c.Since, CleanStart: c.CleanStart, Persistent: c.Persistent, KeepAlive: int64(c.KeepAlive.Seconds()),
		Subscriptions: c.Subscriptions, Queued: c.Queued, QueuedBytes: c.QueuedBytes, InFlight: c.InFlight, Pending: c.Pending, Blocked: c.Blocked,
		Dropped: c.Dropped, Received: c.Received, ReceivedBytes: c.ReceivedBytes, Sent: c.Sent, SentBytes: c.SentBytes,
	}
	if c.TLSVersion != 0 {
		b.TLS = tls.VersionName(c.TLSVersion)
	}
	if c.Persistent && c.SessionExpiry != persist.NeverExpires {
		b.ExpirySeconds = &c.SessionExpiry
	}
	for why, n := range c.Drops {
		if n > 0 {
			b.Drops = append(b.Drops, Counter{broker.Drop(why).String(), n})
		}
	}
	if rate.Known {
		b.ReceivedRate, b.SentRate = &rate.In, &rate.Out
	}
	return b
}

// clients returns a page of the clients whose id, user, address or certificate has a text in
// it, those who are connected first.
func (s *Server) clients(search string, page int) ([]BrokerClient, paging) {
	all := s.o.MQTT.Clients()
	rate := s.rates.of(time.Now(), all)
	all = filter(all, func(c *broker.ClientInfo) bool { return contains(search, c.ID, c.User, c.RemoteAddr, c.Certificate) })
	slices.SortFunc(all, func(a, b broker.ClientInfo) int {
		return cmp.Or(first(a.Connected, b.Connected), cmp.Compare(a.ID, b.ID))
	})
	all, p := pageOf(all, page, clientsOnPage)
	list := make([]BrokerClient, 0, len(all))
	for i := range all {
		list = append(list, brokerClient(&all[i], rate(all[i].ID)))
	}
	return list, p
}

// client returns what is known of one.
func (s *Server) client(r *request, id string) (*BrokerClientDetail, error) {
	d, ok := s.o.MQTT.Client(id)
	if !ok {
		return nil, noClient(id)
	}
	rate := s.rates.of(time.Now(), s.o.MQTT.Clients())
	c := &BrokerClientDetail{BrokerClient: brokerClient(&d.ClientInfo, rate(id)), Filters: []Subscription{}}
	for _, f := range d.Filters {
		c.Filters = append(c.Filters, Subscription{f.Filter, f.Options.QoS(), f.Options.NoLocal(), f.Options.RetainAsPublished(),
			f.Options.RetainHandling(), f.Identifier})
	}
	if w := d.Will; w != nil {
		c.Will = &Will{w.Topic, shorten(strings.ToValidUTF8(string(w.Payload[:min(len(w.Payload), 1000)]), "\ufffd")), len(w.Payload), w.QoS, w.Retain, w.Delay}
	}
	if s.o.Denials != nil && may(r.level, access.Operator) {
		c.Denials = s.denials(id, "")
	}
	return c, nil
}

func noClient(id string) error {
	return problemf(http.StatusNotFound, "", "There is no client %s: it has gone, or its session has ended.", shorten(id))
}

// kick disconnects a client or, for admins, ends its session too. The house's own clients
// stay: what they do would not come back before the next start.
func (s *Server) kick(r *request, id string, session bool) error {
	if session && !may(r.level, access.Admin) {
		return problemf(http.StatusForbidden, "", "To end a session takes the level admin: what waits for the client is lost with it.")
	}
	c, ok := s.o.MQTT.Session(id)
	if !ok {
		return noClient(id)
	}
	if c.RemoteAddr == "in-process" {
		return problemf(http.StatusConflict, "", "This client is a part of the box itself and cannot be disconnected.")
	}
	reason := &broker.Refusal{Code: mqtt.AdministrativeAction, Reason: "disconnected on the page of the box"}
	if session {
		if !s.o.MQTT.EndSession(id, reason) {
			return noClient(id)
		}
		return nil
	}
	if !s.o.MQTT.Disconnect(id, reason) {
		return problemf(http.StatusConflict, "", "The client is not connected. To end its session takes an admin.")
	}
	return nil
}

// The JSON API.

// clientList is a page of clients.
type clientList struct {
	Clients  []BrokerClient `json:"clients"`
	Page     int            `json:"page"`
	Pages    int            `json:"pages"`
	Matching int            `json:"matching"`
}

func (s *Server) listClients(r *request) (clientList, error) {
	list, p := s.clients(searched(r), askedPage(r))
	return clientList{list, p.Page, p.Pages, p.Count}, nil
}

func (s *Server) showClient(r *request) (*BrokerClientDetail, error) {
	return s.client(r, r.PathValue("id"))
}

func (s *Server) kickCall(r *request) error {
	return s.kick(r, r.PathValue("id"), r.URL.Query().Get("session") == "true")
}
