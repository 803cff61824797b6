package dashboard

import (
	"net/http"
	"strconv"
	"strings"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee/z2m"
)

// How many rows of a list a page shows.
const (
	zigbeePerPage   = 100
	firmwarePerPage = 20 // each is more than a row
)

// paging leads through a list.
type paging struct {
	Page, Pages int
	Query       string // what is searched for
	Count       int    // rows that there are of it
}

// pageOf returns the rows of a list that a request asks for by q and page. has says whether a
// row is one that is searched for.
func pageOf[T any](r *request, all []T, perPage int, has func(row T, search string) bool) ([]T, paging) {
	p := paging{Query: strings.TrimSpace(r.URL.Query().Get("q")), Page: 1}
	if len(p.Query) > 100 {
		p.Query = ""
	}
	if p.Query != "" {
		search := strings.ToLower(p.Query)
		var found []T
		for _, row := range all {
			if has(row, search) {
				found = append(found, row)
			}
		}
		all = found
	}
	p.Count = len(all)
	p.Pages = max(1, (p.Count+perPage-1)/perPage)
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil {
		p.Page = min(max(n, 1), p.Pages)
	}
	from := (p.Page - 1) * perPage
	return all[from:min(from+perPage, p.Count)], p
}

// Before and After are the pages next to this one; 0: there is none.
func (p paging) Before() int { return p.Page - 1 }
func (p paging) After() int {
	if p.Page == p.Pages {
		return 0
	}
	return p.Page + 1
}

// groupsView is the page of the groups.
type groupsView struct {
	Frame           frame
	Groups          []groupRow
	Paging          paging
	Acts            actsView
	Operator, Admin bool
}

// groupRow is a group as a person reads it.
type groupRow struct {
	z2m.GroupDetail
	On, Known bool // Known: whether it is on
	Back      string
	Operator  bool
}

func groupRowOf(g z2m.GroupDetail, back string, operator bool) groupRow {
	state, known := g.State["state"].(string)
	return groupRow{GroupDetail: g, On: state == "ON", Known: known, Back: back, Operator: operator}
}

func (s *Server) groupsPageView(r *request) (any, error) {
	v := &groupsView{Frame: s.frame(r, r.t("Groups of Zigbee devices")), Operator: may(r.level, access.Operator), Admin: may(r.level, access.Admin)}
	v.Acts, v.Frame.Still = s.actsView(r, v.Admin), v.Admin
	var groups []z2m.GroupDetail
	groups, v.Paging = pageOf(r, s.o.ZigbeeNetwork.Bridge().Groups(), zigbeePerPage, func(g z2m.GroupDetail, search string) bool {
		return strings.Contains(strings.ToLower(g.Name), search)
	})
	for _, g := range groups {
		v.Groups = append(v.Groups, groupRowOf(g, r.URL.Path, v.Operator))
	}
	return v, nil
}

// groupView is the page of a group.
type groupView struct {
	Frame           frame
	Group           groupRow
	Candidates      []z2m.Endpoint // that are not in it
	Next            int            // a number for a scene that there is not
	Acts            actsView
	Operator, Admin bool
}

func (s *Server) groupPageView(r *request) (any, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 16)
	v := &groupView{Operator: may(r.level, access.Operator), Admin: may(r.level, access.Admin), Next: 1}
	bridge := s.o.ZigbeeNetwork.Bridge()
	found := false
	if err == nil {
		for _, g := range bridge.Groups() {
			if uint64(g.ID) == id {
				v.Group, found = groupRowOf(g, r.URL.Path, v.Operator), true
			}
		}
	}
	if !found {
		return nil, problemf(http.StatusNotFound, "", "There is no such group: look at the list of groups.")
	}
	v.Frame = s.frame(r, v.Group.Name)
	v.Acts, v.Frame.Still = s.actsView(r, v.Admin), v.Admin
	for _, scene := range v.Group.Scenes {
		v.Next = max(v.Next, scene.ID+1)
	}
	if v.Admin {
		in := make(map[string]bool)
		for _, m := range v.Group.Members {
			in[m.IEEEAddress.String()+"#"+strconv.Itoa(int(m.Endpoint))] = true
		}
		for _, e := range bridge.Endpoints() {
			if e.Groups && !in[e.Key()] {
				v.Candidates = append(v.Candidates, e)
			}
		}
	}
	return v, nil
}
