package dashboard

import (
	"net/http"
	"strconv"

	"lintel/gateway/access"
	"lintel/serialbridge/zigbee/z2m"
)

// How many rows of a list a page shows.
const (
	zigbeePerPage   = 100
	firmwarePerPage = 20 // each is more than a row
)

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
	search := searched(r)
	groups := filter(s.o.ZigbeeNetwork.Bridge().Groups(), func(g *z2m.GroupDetail) bool { return contains(search, g.Name) })
	groups, v.Paging = pageFor(r, groups, zigbeePerPage)
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
