package dashboard

import (
	"lintel/gateway/access"
)

// denialRoutes are those of what was refused lately.
func (s *Server) denialRoutes() []route {
	if s.o.Denials == nil {
		return nil
	}
	return []route{
		{pattern: "GET /api/denials", level: operator, call: gives(s, s.listDenials)},
	}
}

// denials returns what was refused, the newest first: of one client and of one user, or of
// all of them where they are empty.
func (s *Server) denials(client, user string) []access.Denial {
	all := s.o.Denials.All()
	if client != "" {
		all = s.o.Denials.Of(client)
	}
	list := []access.Denial{}
	for _, d := range all {
		if user == "" || d.User == user {
			list = append(list, d)
		}
	}
	return list
}

// denialList is what GET /api/denials tells.
type denialList struct {
	Denials []access.Denial `json:"denials"`
}

func (s *Server) listDenials(r *request) (denialList, error) {
	q := r.URL.Query()
	return denialList{s.denials(q.Get("client"), q.Get("user"))}, nil
}
