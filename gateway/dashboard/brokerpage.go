package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
)

// brokerView is the page of the broker as a whole.
type brokerView struct {
	BrokerState
	Frame       frame
	Charts      []chart
	StoreSpared uint64 // bytes that need not be written
}

func (s *Server) brokerPage() livePage {
	return livePage{
		template:  "broker.html",
		fragments: []string{"broker-counters", "broker-charts", "broker-slow", "broker-shares", "broker-listeners", "broker-limits", "broker-uplinks"},
		data: func(r *request) (any, error) {
			v := brokerView{BrokerState: s.brokerState(), Frame: s.frame(r, r.t("Broker"))}
			v.StoreSpared = v.StoreBytesElided + v.StoreBytesCoalesced
			line := func(label, unit string, value func(*Rates) float64) {
				points := make([]point, 0, len(v.Throughput))
				for i := range v.Throughput {
					points = append(points, point{v.Throughput[i].Time, value(&v.Throughput[i])})
				}
				v.Charts = append(v.Charts, chartOf(label, unit, points))
			}
			line(r.t("Messages received"), "/s", func(x *Rates) float64 { return x.MessagesIn })
			line(r.t("Messages sent"), "/s", func(x *Rates) float64 { return x.MessagesOut })
			line(r.t("Bytes received"), "B/s", func(x *Rates) float64 { return x.BytesIn })
			line(r.t("Bytes sent"), "B/s", func(x *Rates) float64 { return x.BytesOut })
			return v, nil
		},
	}
}

// dropWords and limitWords are how people call why messages were left out, and limits: keys
// of the catalogue by the names in the API.
var (
	dropWords = map[string]string{
		"slow":        "it did not read in time",
		"queue_full":  "too much waited for it",
		"too_large":   "larger than it takes",
		"not_allowed": "it may not receive it any more",
		"damaged":     "damaged on the card",
	}
	limitWords = map[string]string{
		"packet_size":     "Packets that were too large",
		"connections":     "Too many connections",
		"connect_rate":    "Connections too fast, all together",
		"address_rate":    "Connections too fast from one address",
		"unconnected":     "Silent connections closed for newer ones",
		"connect_timeout": "Connections that never said CONNECT",
		"receive_maximum": "Clients that sent too much at a time",
		"queued_messages": "Queues with too many messages",
		"queued_bytes":    "Queues with too many bytes",
		"queued_total":    "All queues together too long",
		"subscriptions":   "Too many subscriptions of one client",
		"topic_levels":    "Topics of too many levels",
		"retained":        "Too many retained messages",
		"retained_bytes":  "Too many bytes of retained messages",
		"keep_alive":      "Clients that fell silent",
		"disk_space":      "Refused because the card is nearly full",
	}
)

// said puts a name into words.
func said(lang string, words map[string]string, name string) string {
	if key, ok := words[name]; ok {
		return translate(lang, key)
	}
	return name
}

// clientsView is a page of the list of clients.
type clientsView struct {
	Frame   frame
	Search  search
	Clients []BrokerClient
}

func (s *Server) clientsPage() livePage {
	return livePage{
		template:  "clients.html",
		fragments: []string{"clients-list"},
		data: func(r *request) (any, error) {
			v := clientsView{Frame: s.frame(r, r.t("Clients")), Search: searchOf(r)}
			v.Clients = s.clients(&v.Search)
			return v, nil
		},
	}
}

// Before and After are the pages beside this one; empty: there is none.
func (v search) Before() string { return v.at(v.Page - 1) }
func (v search) After() string  { return v.at(v.Page + 1) }

func (v search) at(page int) string {
	if page < 1 || page > v.Pages {
		return ""
	}
	return "?" + url.Values{"q": {v.Query}, "page": {strconv.Itoa(page)}}.Encode()
}

// clientView is the page of one client.
type clientView struct {
	Frame       frame
	Client      *BrokerClientDetail
	Filters     []Subscription // of it, the first
	MoreFilters int
	Stays       bool   // it is a part of the house
	Trace       string // where it can be traced; empty: nowhere
}

const maxFilterRows = 200

func (s *Server) clientPage() livePage {
	return livePage{
		template:  "client.html",
		fragments: []string{"client-state", "client-filters", "client-denials"},
		data: func(r *request) (any, error) {
			id := r.PathValue("id")
			c, err := s.client(r, id)
			if err != nil {
				return nil, err
			}
			v := clientView{Frame: s.frame(r, r.t("Client %s", shorten(id))), Client: c, Stays: c.Address == "in-process"}
			v.Filters = c.Filters[:min(len(c.Filters), maxFilterRows)]
			v.MoreFilters = len(c.Filters) - len(v.Filters)
			if level, ok := s.pageLevels["/trace"]; ok && may(r.level, level) {
				v.Trace = "/trace?" + url.Values{"client": {id}}.Encode()
			}
			return v, nil
		},
	}
}

// kickForm disconnects a client, or ends its session, from a page.
func (s *Server) kickForm(session bool) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) {
		id := r.PathValue("id")
		if err := s.kick(r, id, session); err != nil {
			s.fail(w, r, err)
			return
		}
		where := "/clients/" + url.PathEscape(id)
		if session {
			where = "/clients"
		}
		http.Redirect(w, r.Request, where, http.StatusSeeOther)
	}
}
