package dashboard

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
)

// userPageRoutes are those of the pages of users.
func (s *Server) userPageRoutes() []route {
	return []route{
		{pattern: "GET /users", level: admin, serve: s.live(livePage{template: "users.html", fragments: []string{"users-list"}, data: s.usersPage})},
		{pattern: "GET /users/{name}", level: admin, serve: s.live(livePage{template: "user.html", fragments: []string{"user-seen"}, data: s.userPage})},
		{pattern: "POST /users/add", level: admin, serve: s.addUserForm},
		{pattern: "POST /users/change", level: admin, body: 64 << 10, serve: s.changeUserForm},
		{pattern: "POST /users/password", level: admin, serve: s.passwordForm},
		{pattern: "POST /users/delete", level: admin, serve: s.deleteUserForm},
	}
}

// userRow is a user in the list.
type userRow struct {
	User
	Connected int        // clients
	Seen      time.Time  // last; zero: nobody knows
	From      netip.Addr // then
}

// Path leads to the page of the user.
func (u userRow) Path() string { return userPath(u.Name) }

func userPath(name string) string { return "/users/" + url.PathEscape(name) }

// seenUsers returns when and from where users came last, and how many clients they have.
func (s *Server) seenUsers() func(access.User) userRow {
	type sight struct {
		at        time.Time
		from      netip.Addr
		connected int
	}
	last := make(map[string]sight)
	see := func(user string, at time.Time, from netip.Addr, connected int) {
		was := last[user]
		was.connected += connected
		if at.After(was.at) {
			was.at, was.from = at, from
		}
		last[user] = was
	}
	now := time.Now()
	for _, c := range s.o.Clients() {
		from, _ := netip.ParseAddrPort(c.RemoteAddr)
		at, n := c.Since, 0
		if c.Connected {
			at, n = now, 1
		}
		see(c.User, at, from.Addr().Unmap().WithZone(""), n)
	}
	for _, v := range s.o.Sessions.All() {
		see(v.User, now.Add(-v.Idle), v.Address, 0)
	}
	for _, e := range s.o.Audit.All() {
		if e.Kind == access.LoggedIn {
			see(e.User, e.Time, e.Address, 0)
		}
	}
	return func(u access.User) userRow {
		v := last[u.Name]
		return userRow{userOf(u), v.connected, v.at, v.from}
	}
}

// usersView is the page of the users.
type usersView struct {
	Frame  frame
	Users  []userRow
	Paging paging
	Now    time.Time

	Error *problem
	Name  string       // to be added, as it was typed
	Level access.Level // likewise
	Made  *brokerLogin // a login whose password is shown this once
}

const userRows = 100 // on a page

func (s *Server) usersView(r *request) *usersView {
	v := &usersView{Frame: s.frame(r, r.t("Users")), Now: time.Now()}
	search := searched(r)
	all := filter(s.o.Users.All(), func(u *access.User) bool {
		return contains(search, append([]string{u.Name, string(u.Page)}, u.Roles...)...)
	})
	all, v.Paging = pageFor(r, all, userRows)
	seen := s.seenUsers()
	for _, u := range all {
		v.Users = append(v.Users, seen(u))
	}
	return v
}

func (s *Server) usersPage(r *request) (any, error) { return s.usersView(r), nil }

// addUserForm makes the login of a device, or a user of the pages.
func (s *Server) addUserForm(w http.ResponseWriter, r *request) {
	name, level := strings.TrimSpace(r.PostFormValue("name")), access.Level(r.PostFormValue("page"))
	var c userChange
	if level != nobody {
		c = userChange{Page: &level, Roles: &[]string{}}
	}
	made, err := s.create(r, name, c)
	v := s.usersView(r)
	if err != nil {
		v.Error, v.Name, v.Level = s.problemOf(r.Request, err), name, level
		s.show(w, r, v.Error.code, "users.html", v)
		return
	}
	login := s.brokerLogin(r, name, made.Password)
	v.Made = &login
	s.show(w, r, http.StatusOK, "users.html", v)
}

// userView is the page of one user.
type userView struct {
	Frame frame
	User  userRow
	Now   time.Time
	Roles []roleChoice

	Error *problem
	About string       // what Error is about: rights, password, delete or rules
	Made  *brokerLogin // a login whose password is shown this once

	Clients  []broker.ClientInfo
	Denials  []deniedRow
	Observed ObservedUser
	Watched  bool // somebody remembers what users do
	Days     int  // of which rules are proposed; 0: they are not asked for
	Proposal *Proposal
	Effects  effectsView
}

// roleChoice is a role that a user may have.
type roleChoice struct {
	Name string
	Has  bool
}

func (s *Server) userView(r *request, name string) (*userView, error) {
	u, ok := s.o.Users.Get(name)
	if !ok {
		return nil, access.ErrNoUser
	}
	v := &userView{Frame: s.frame(r, u.Name), User: s.seenUsers()(u), Now: time.Now()}
	known := s.o.Roles()
	for _, role := range known {
		v.Roles = append(v.Roles, roleChoice{role, slices.Contains(u.Roles, role)})
	}
	for _, c := range s.o.Clients() {
		if c.User == u.Name {
			v.Clients = append(v.Clients, c)
		}
	}
	v.Clients = v.Clients[:min(len(v.Clients), maxRows)]
	if s.o.Denials != nil {
		e := &explainView{}
		s.addDenials(e)
		for _, d := range e.Denials {
			if d.User == u.Name {
				v.Denials = append(v.Denials, d)
			}
		}
	}
	if s.o.Observed != nil && s.o.Control != nil {
		v.Watched, v.Observed = true, s.observed(u.Name, 0)
	}
	return v, nil
}

func (s *Server) userPage(r *request) (any, error) {
	v, err := s.userView(r, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if r.live && r.URL.Query().Has("propose") && v.Watched {
		s.addProposal(r, v)
	}
	return v, nil
}

// addProposal proposes rules for the user.
func (s *Server) addProposal(r *request, v *userView) {
	v.Days = observedWeek
	if r.URL.Query().Get("propose") == "30" {
		v.Days = 30
	}
	p, err := s.propose(v.User.Name, "", v.Days)
	if err == nil && slices.Contains(v.User.Roles, p.Role) { // else nobody has it yet
		var e roleEdit
		if e, err = s.edit(&roleChange{Name: p.Role, Text: p.Text}); err == nil {
			v.Effects = s.effects(e.policy)
		}
	}
	if err != nil {
		v.About, v.Error = "rules", s.problemOf(r.Request, err).nowhere()
		return
	}
	v.Proposal = &p
}

// showUserPage shows the page of a user after something was done, or not.
func (s *Server) showUserPage(w http.ResponseWriter, r *request, name, about, password string, err error) {
	if err == nil && password == "" {
		http.Redirect(w, r.Request, userPath(name), http.StatusSeeOther)
		return
	}
	v, verr := s.userView(r, name)
	if verr != nil {
		s.fail(w, r, verr)
		return
	}
	code := http.StatusOK
	if err != nil {
		v.About, v.Error = about, s.problemOf(r.Request, err)
		code = v.Error.code
	} else {
		login := s.brokerLogin(r, name, password)
		v.Made = &login
	}
	s.show(w, r, code, "user.html", v)
}

func (s *Server) changeUserForm(w http.ResponseWriter, r *request) {
	name := r.PostFormValue("name")
	// Roles are asked in order: who has some keeps it, and what is new comes last.
	u, _ := s.o.Users.Get(name)
	chosen := r.PostForm["role"]
	roles := slices.DeleteFunc(slices.Clone(u.Roles), func(role string) bool { return !slices.Contains(chosen, role) })
	for _, role := range chosen {
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	topics := lines(r.PostFormValue("topics"))
	level, disabled := access.Level(r.PostFormValue("page")), r.PostFormValue("disabled") != ""
	_, err := s.change(r, name, userChange{Roles: &roles, Topics: &topics, Page: &level, Disabled: &disabled})
	s.showUserPage(w, r, name, "rights", "", err)
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
	name := r.PostFormValue("name")
	c := userChange{SCRAM: r.PostFormValue("scram") != ""}
	if chosen := r.PostFormValue("password"); chosen != "" {
		c.Password = &chosen
	} else {
		c.Generate = true
	}
	changed, err := s.change(r, name, c)
	s.showUserPage(w, r, name, "password", changed.Password, err)
}

func (s *Server) deleteUserForm(w http.ResponseWriter, r *request) {
	name := r.PostFormValue("name")
	err := s.remove(r, name)
	if err == nil {
		http.Redirect(w, r.Request, "/users", http.StatusSeeOther)
		return
	}
	s.showUserPage(w, r, name, "delete", "", err)
}

// proposalForm saves rules that were proposed for a user, as they were shown or changed, and
// gives the user this role alone.
func (s *Server) proposalForm(w http.ResponseWriter, r *request) {
	name, role := r.PostFormValue("name"), r.PostFormValue("role")
	if _, ok := s.o.Users.Get(name); !ok {
		s.fail(w, r, access.ErrNoUser)
		return
	}
	err := s.changeRoles(r, &roleChange{Name: role, Text: newlines(r.PostFormValue("text"))})
	if err == nil {
		_, err = s.change(r, name, userChange{Roles: &[]string{role}, Topics: &[]string{}})
	}
	if err == nil {
		http.Redirect(w, r.Request, userPath(name), http.StatusSeeOther)
		return
	}
	v, verr := s.userView(r, name)
	if verr != nil {
		s.fail(w, r, verr)
		return
	}
	v.About, v.Error = "rules", s.problemOf(r.Request, err).nowhere()
	v.Proposal = &Proposal{Role: role, Text: r.PostFormValue("text")}
	s.show(w, r, v.Error.code, "user.html", v)
}

// newlines makes of a text as forms send it one of a file.
func newlines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }
