package dashboard

import (
	"net/http"

	"lintel/gateway/access"
)

// denialRoutes are those of what was refused lately.
func (s *Server) denialRoutes() []route {
	if s.o.Denials == nil {
		return nil
	}
	return []route{
		{pattern: "GET /api/denials", level: operator, serve: s.listDenials},
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

func (s *Server) listDenials(w http.ResponseWriter, r *request) {
	q := r.URL.Query()
	s.answer(w, http.StatusOK, struct {
		Denials []access.Denial `json:"denials"`
	}{s.denials(q.Get("client"), q.Get("user"))})
}
