package dashboard

import (
	"net/http"
	"strings"

	"lintel/gateway/access"
)

// usersView is the page of the users.
type usersView struct {
	Frame  frame
	Search string
	Users  []User
	More   int // that are not shown
	Roles  []string

	About string // the user whom Error, or Login, is about; empty: one to be added
	Error *problem
	Name  string       // to be added, as it was typed
	Made  *brokerLogin // a login whose password is shown this once

	Certificates certificatesView
}

func (s *Server) usersView(r *request) *usersView {
	v := &usersView{Frame: s.frame(r, "Users"), Roles: s.o.Roles(), Search: strings.TrimSpace(r.FormValue("q"))}
	for _, u := range s.o.Users.All() {
		switch {
		case v.Search != "" && !strings.Contains(strings.ToLower(u.Name), strings.ToLower(v.Search)):
		case len(v.Users) == maxUserRows:
			v.More++
		default:
			v.Users = append(v.Users, userOf(u))
		}
	}
	v.Certificates = s.certificatesView()
	return v
}

func (s *Server) usersPage(w http.ResponseWriter, r *request) {
	s.show(w, r, http.StatusOK, "users.html", s.usersView(r))
}

// showUsers shows the page after something was done, or not.
func (s *Server) showUsers(w http.ResponseWriter, r *request, about, password string, err error) {
	if err == nil && password == "" {
		http.Redirect(w, r.Request, "/users", http.StatusSeeOther)
		return
	}
	v := s.usersView(r)
	v.About = about
	if err != nil {
		v.Error = s.problemOf(r.Request, err)
		s.show(w, r, v.Error.code, "users.html", v)
		return
	}
	login := s.brokerLogin(r, about, password)
	v.Made = &login
	s.show(w, r, http.StatusOK, "users.html", v)
}

// addUserForm makes the login of a device, or a user of the pages.
func (s *Server) addUserForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	name, password := strings.TrimSpace(r.PostFormValue("name")), ""
	if err == nil {
		var c userChange
		if level := access.Level(r.PostFormValue("page")); level != nobody {
			c = userChange{Page: &level, Roles: &[]string{}}
		}
		_, password, err = s.create(r, name, c)
	}
	if err != nil {
		v := s.usersView(r)
		v.Error, v.Name = s.problemOf(r.Request, err), name
		s.show(w, r, v.Error.code, "users.html", v)
		return
	}
	s.showUsers(w, r, name, password, nil)
}

func (s *Server) changeUserForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	name := r.PostFormValue("name")
	if err == nil {
		roles := strings.FieldsFunc(r.PostFormValue("roles"), func(c rune) bool { return c == ',' || c == ' ' })
		topics := lines(r.PostFormValue("topics"))
		level, disabled := access.Level(r.PostFormValue("page")), r.PostFormValue("disabled") != ""
		_, _, err = s.change(r, name, userChange{Roles: &roles, Topics: &topics, Page: &level, Disabled: &disabled})
	}
	s.showUsers(w, r, name, "", err)
}

// lines returns the lines of a text that are not empty.
func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func (s *Server) passwordForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	name, password := r.PostFormValue("name"), ""
	if err == nil {
		c := userChange{SCRAM: r.PostFormValue("scram") != ""}
		if chosen := r.PostFormValue("password"); chosen != "" {
			c.Password = &chosen
		} else {
			c.Generate = true
		}
		_, password, err = s.change(r, name, c)
	}
	s.showUsers(w, r, name, password, err)
}

func (s *Server) deleteUserForm(w http.ResponseWriter, r *request) {
	err := parse(r)
	name := r.PostFormValue("name")
	if err == nil {
		err = s.remove(r, name)
	}
	s.showUsers(w, r, name, "", err)
}
