package dashboard

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/access"
)

const auditRows = 100 // on a page

// auditRoutes are those of what happened at the door.
func (s *Server) auditRoutes() []route {
	return []route{
		{pattern: "GET /audit", level: admin, serve: s.live(livePage{template: "audit.html", fragments: []string{"audit-events"}, data: s.auditPage})},
		{pattern: "GET /api/audit", level: admin, serve: s.listAudit},
	}
}

// auditFilter is what is looked for in the audit log; what is empty is anything.
type auditFilter struct {
	Kind, User, Address, Text string
}

// filterOf reads a filter. An address may be a network, as in 192.0.2.0/24.
func filterOf(q url.Values) (auditFilter, error) {
	f := auditFilter{q.Get("kind"), q.Get("user"), strings.TrimSpace(q.Get("address")), strings.TrimSpace(q.Get("q"))}
	if f.Kind != "" && !slices.Contains(access.Kinds(), f.Kind) {
		return f, wrong("kind", "There is no kind %q of events.", f.Kind)
	}
	if f.Address != "" {
		_, err := netip.ParseAddr(f.Address)
		if _, nerr := netip.ParsePrefix(f.Address); err != nil && nerr != nil {
			return f, wrong("address", "Right is an address such as 192.0.2.7, or a network such as 192.0.2.0/24.")
		}
	}
	return f, nil
}

func (f auditFilter) matches(e *access.Event) bool {
	if f.Kind != "" && e.Kind != f.Kind || f.User != "" && e.User != f.User {
		return false
	}
	if f.Address != "" {
		network, err := netip.ParsePrefix(f.Address)
		if own, aerr := netip.ParseAddr(f.Address); err != nil && (aerr != nil || own.Unmap() != e.Address) || err == nil && !network.Masked().Contains(e.Address) {
			return false
		}
	}
	return contains(f.Text, e.Kind, e.User, e.ClientID, e.Detail)
}

// audit returns the events that a filter matches, the newest first.
func (s *Server) audit(f auditFilter) []access.Event { return filter(s.o.Audit.All(), f.matches) }

// query is the filter in a URL.
func (f auditFilter) query() url.Values {
	q := make(url.Values)
	for name, value := range map[string]string{"kind": f.Kind, "user": f.User, "address": f.Address, "q": f.Text} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

type eventList struct {
	Events []access.Event `json:"events"`
}

func (s *Server) listAudit(w http.ResponseWriter, r *request) {
	f, err := filterOf(r.URL.Query())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	events := s.audit(f)
	switch format := r.URL.Query().Get("format"); format {
	case "":
		s.answer(w, http.StatusOK, eventList{append([]access.Event{}, events...)})
	case "jsonl":
		attach(w, "application/jsonl", "lintel-audit.jsonl")
		lines := json.NewEncoder(w)
		for _, e := range events {
			if lines.Encode(e) != nil {
				return
			}
		}
	case "csv":
		attach(w, "text/csv; charset=utf-8", "lintel-audit.csv")
		rows := csv.NewWriter(w)
		rows.Write([]string{"time", "kind", "user", "client", "address", "detail", "count"})
		for _, e := range events {
			from := ""
			if e.Address.IsValid() {
				from = e.Address.String()
			}
			rows.Write([]string{e.Time.UTC().Format(time.RFC3339), e.Kind, cell(e.User), cell(e.ClientID), from, cell(e.Detail), strconv.Itoa(e.Count)})
		}
		rows.Flush()
	default:
		s.fail(w, r, wrong("format", "There is no format %q: choose jsonl or csv, or leave it out.", format))
	}
}

func attach(w http.ResponseWriter, kind, name string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// cell keeps a text of a stranger from being a formula in a program that opens the file
// (OWASP, CSV injection).
func cell(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r") {
		return "'" + text
	}
	return text
}

// auditView is the page of the audit log.
type auditView struct {
	Frame  frame
	Filter auditFilter
	Error  *problem
	Kinds  []string
	Events []access.Event
	Paging paging
	JSON   string // where the same events are as JSON lines,
	CSV    string // and as CSV
}

func (s *Server) auditPage(r *request) (any, error) {
	v := &auditView{Frame: s.frame(r, r.t("Audit log")), Kinds: access.Kinds()}
	var err error
	if v.Filter, err = filterOf(r.URL.Query()); err != nil {
		v.Error = s.problemOf(r.Request, err)
		return v, nil
	}
	events := s.audit(v.Filter)
	q := v.Filter.query()
	v.Events, v.Paging = pageFor(r, events, auditRows)
	q.Set("format", "jsonl")
	v.JSON = "/api/audit?" + q.Encode()
	q.Set("format", "csv")
	v.CSV = "/api/audit?" + q.Encode()
	return v, nil
}
