package dashboard

import (
	"net/http"
	"net/url"
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

// clientsView is a page of the list of clients.
type clientsView struct {
	Frame   frame
	Paging  paging
	Clients []BrokerClient
}

func (s *Server) clientsPage() livePage {
	return livePage{
		template:  "clients.html",
		fragments: []string{"clients-list"},
		data: func(r *request) (any, error) {
			v := clientsView{Frame: s.frame(r, r.t("Clients"))}
			v.Clients, v.Paging = s.clients(searched(r), askedPage(r))
			v.Paging.lead(r)
			return v, nil
		},
	}
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
