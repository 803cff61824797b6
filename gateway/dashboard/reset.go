package dashboard

import (
	"net/http"

	"lintel/gateway/access"
)

// resetRoutes take the box from its owner, as the file lintel-reset on its card does.
func (s *Server) resetRoutes() []route {
	return []route{
		{pattern: "GET /reset", level: admin, serve: s.resetPage},
		{pattern: "POST /reset", level: admin, serve: s.resetForm},
		{pattern: "POST /api/reset", level: admin, call: takes(s, s.resetCall)},
	}
}

// resetView is the page of the reset.
type resetView struct {
	Frame frame
	Name  string // that has to be typed
	Error *problem
}

func (s *Server) resetPage(w http.ResponseWriter, r *request) {
	s.show(w, r, http.StatusOK, "reset.html", resetView{Frame: s.frame(r, r.t("Reset")), Name: s.name()})
}

func (s *Server) resetForm(w http.ResponseWriter, r *request) {
	err := s.reset(r, r.PostFormValue("confirm"))
	if err != nil {
		p := s.problemOf(r.Request, err)
		s.show(w, r, p.code, "reset.html", resetView{Frame: s.frame(r, r.t("Reset")), Name: s.name(), Error: p})
		return
	}
	http.Redirect(w, r.Request, "/claim", http.StatusSeeOther)
}

type resetRequest struct {
	Confirm string `json:"confirm"` // the name of the box
}

func (s *Server) resetCall(r *request, in resetRequest) (nothing, error) {
	return nothing{}, s.reset(r, in.Confirm)
}

// reset takes the box from its owner: admins, page logins and API tokens go. Devices, their
// logins and everything else stay.
func (s *Server) reset(r *request, confirm string) error {
	if confirm != s.name() {
		return wrong("confirm", "Type the name of the box, %s, so that nothing happens by mistake.", s.name())
	}
	ctx, cancel := lasting(r)
	defer cancel()
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.o.Claim.Undo(ctx); err != nil {
		return err
	}
	s.note(r, access.BoxReset, "", " on the page")
	return nil
}
