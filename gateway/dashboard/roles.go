package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"lintel/gateway/access"
)

const (
	maxRoleBody  = 256 << 10 // bytes of a call about roles
	observedWeek = 7         // days of which rules are proposed
)

// roleRoutes are those of roles and of what users do.
func (s *Server) roleRoutes() []route {
	if s.o.Control == nil || s.o.Observed == nil || s.o.Effects == nil {
		return nil
	}
	return []route{
		{pattern: "GET /api/roles", level: admin, call: gives(s, s.listRoles)},
		{pattern: "PUT /api/roles", level: admin, body: maxRoleBody, call: takes(s, s.putRoleFile)},
		{pattern: "POST /api/roles/preview", level: admin, body: maxRoleBody, call: takes(s, s.previewCall)},
		{pattern: "POST /api/roles/restore", level: admin, call: takes(s, s.restoreRolesCall)},
		{pattern: "GET /api/roles/{name}", level: admin, call: gives(s, s.showRole)},
		{pattern: "PUT /api/roles/{name}", level: admin, body: maxRoleBody, call: takes(s, s.putRole)},
		{pattern: "DELETE /api/roles/{name}", level: admin, call: does(s, s.deleteRole)},
		{pattern: "POST /users/propose", level: admin, body: maxRoleBody, serve: s.proposalForm},
		{pattern: "GET /api/access/observed", level: admin, call: gives(s, s.showObserved)},
		{pattern: "POST /api/access/propose", level: admin, call: takes(s, s.proposeCall)},
	}
}

// Role is a role as GET /api/roles/NAME tells it.
type Role struct {
	Name    string            `json:"name"`
	BuiltIn bool              `json:"built_in,omitempty"` // it cannot be changed
	Rules   []access.RuleSpec `json:"rules"`              // that are in force
	Text    string            `json:"text,omitempty"`     // its part of the role file
	Users   []string          `json:"users"`              // who have it
	Version string            `json:"version,omitempty"`  // of the role file
}

// RoleFile is the role file as GET /api/roles tells it.
type RoleFile struct {
	Path     string               `json:"path"`
	Version  string               `json:"version"`
	Text     string               `json:"text"`
	Problem  string               `json:"problem,omitempty"` // why other rules than these are in force
	Roles    []Role               `json:"roles"`
	Versions []access.RoleVersion `json:"versions"` // earlier ones, the latest first
}

// roleFile tells of all roles.
func (s *Server) roleFile() (RoleFile, error) {
	file, err := s.o.Control.RoleFile()
	if err != nil {
		return RoleFile{}, err
	}
	f := RoleFile{Path: file.Path, Version: file.Version, Text: file.Text, Roles: []Role{}, Versions: s.o.Control.RoleVersions()}
	if f.Versions == nil {
		f.Versions = []access.RoleVersion{}
	}
	if err := s.o.Control.Problem(); err != nil {
		f.Problem = err.Error()
	}
	users := s.usersByRole()
	policy := s.o.Control.Policy()
	for _, name := range policy.Roles() {
		f.Roles = append(f.Roles, roleOf(policy, file, name, users[name]))
	}
	return f, nil
}

func roleOf(policy *access.Policy, file access.RoleFile, name string, users []string) Role {
	role, _ := policy.Role(name)
	text, ok := access.RoleText(file.Text, name)
	return Role{Name: name, BuiltIn: access.BuiltInRole(name) && !ok, Rules: role.Specs(), Text: text, Users: append([]string{}, users...), Version: file.Version}
}

// usersByRole returns who have each role.
func (s *Server) usersByRole() map[string][]string {
	users := make(map[string][]string)
	for _, u := range s.o.Users.All() {
		for _, role := range u.Roles {
			users[role] = append(users[role], u.Name)
		}
	}
	return users
}

// role tells of one role.
func (s *Server) role(name string) (Role, error) {
	if !slices.Contains(s.o.Control.Policy().Roles(), name) {
		return Role{}, access.ErrNoRole
	}
	file, err := s.o.Control.RoleFile()
	if err != nil {
		return Role{}, err
	}
	return roleOf(s.o.Control.Policy(), file, name, s.usersByRole()[name]), nil
}

// roleChange is what somebody wants to do to the roles: one of them is written anew, as rules
// or as text, or taken out; or the whole file is.
type roleChange struct {
	Name    string            `json:"name"`
	Rules   []access.RuleSpec `json:"rules"`
	Text    string            `json:"text"`
	Delete  bool              `json:"delete"`
	File    *string           `json:"file"`
	Version string            `json:"version"` // of the role file that was looked at; empty: the one that is there now
}

// roleEdit is a change that could be made.
type roleEdit struct {
	version string // of the file that is changed
	text    string // of the file then
	role    string // its part about the role; empty: there is none
	policy  *access.Policy
}

// edit finds out what a change makes of the role file.
func (s *Server) edit(c *roleChange) (roleEdit, error) {
	file, err := s.o.Control.RoleFile()
	if err != nil {
		return roleEdit{}, err
	}
	if c.Version != "" && c.Version != file.Version {
		return roleEdit{}, access.ErrRoleFileOther
	}
	e := roleEdit{version: file.Version}
	switch {
	case c.File != nil:
		e.text = *c.File
	case access.BuiltInRole(c.Name):
		return roleEdit{}, wrong("name", "The role %q is built in. Choose another name.", c.Name)
	case c.Delete:
		if users := s.usersByRole()[c.Name]; len(users) > 0 {
			return roleEdit{}, problemf(http.StatusConflict, "name", "This role is that of %s. Give them another one first.", strings.Join(users, ", "))
		}
		e.text, err = s.o.Control.EditRole(file, c.Name, "")
	case c.Name == "":
		return roleEdit{}, wrong("name", "Say which role it is about.")
	case c.Text == "" && c.Rules == nil:
		return roleEdit{}, wrong("rules", "Send rules, or the text of the role.")
	default:
		if e.role = c.Text; e.role == "" {
			e.role = access.WriteRole(c.Name, c.Rules)
		}
		if _, err := s.o.Control.ParseRole(c.Name, e.role); err != nil {
			return e, err
		}
		e.text, err = s.o.Control.EditRole(file, c.Name, e.role)
	}
	if err == nil {
		e.policy, err = s.o.Control.TryRoles(e.text)
	}
	return e, err
}

// changeRoles makes a change.
func (s *Server) changeRoles(r *request, c *roleChange) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	e, err := s.edit(c)
	if err != nil {
		return err
	}
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Control.WriteRoles(ctx, e.version, e.text); err != nil {
		return err
	}
	switch {
	case c.File != nil:
		s.note(r, access.RulesChanged, "", ": the role file")
	case c.Delete:
		s.note(r, access.RulesChanged, "", ": role %s removed", c.Name)
	default:
		s.note(r, access.RulesChanged, "", ": role %s", c.Name)
	}
	return nil
}

// restoreRoles puts an earlier version of the role file in force again. What it takes the
// place of becomes an earlier version itself, so that this can be undone too.
func (s *Server) restoreRoles(r *request, number int) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	text, err := s.o.Control.RoleVersion(number)
	if err != nil {
		return err
	}
	file, err := s.o.Control.RoleFile()
	if err != nil {
		return err
	}
	ctx, cancel := lasting(r)
	defer cancel()
	if err := s.o.Control.WriteRoles(ctx, file.Version, text); err != nil {
		return err
	}
	s.note(r, access.RulesChanged, "", ": back to an earlier role file")
	return nil
}

// roleProblem is what to answer because a change of roles was not made; nil: for another reason.
func roleProblem(err error) *problem {
	if bad, ok := errors.AsType[*access.RoleFileError](err); ok {
		p := problemf(http.StatusUnprocessableEntity, "", "%s.", bad.Error())
		for _, m := range bad.Mistakes {
			e := InputError{Detail: fmt.Sprintf("Line %d: %s.", m.Line, m.Text), Pointer: "#"}
			if m.Rule > 0 {
				e.Pointer = fmt.Sprintf("#/rules/%d", m.Rule-1)
			}
			p.inputs = append(p.inputs, e)
		}
		return p
	}
	switch {
	case errors.Is(err, access.ErrRoleFileOther), errors.Is(err, access.ErrRoleFileManual), errors.Is(err, access.ErrNoRoleFile):
		return problemf(http.StatusConflict, "", "%s", sentence(err))
	case errors.Is(err, access.ErrNoRole), errors.Is(err, access.ErrRoleVersion):
		return problemf(http.StatusNotFound, "", "%s", sentence(err))
	}
	return nil
}

// The JSON API.

func (s *Server) listRoles(*request) (RoleFile, error) { return s.roleFile() }

func (s *Server) showRole(r *request) (Role, error) { return s.role(r.PathValue("name")) }

type roleFileRequest struct {
	Text    string `json:"text"`
	Version string `json:"version"`
}

func (s *Server) putRoleFile(r *request, in roleFileRequest) (RoleFile, error) {
	if err := s.changeRoles(r, &roleChange{File: &in.Text, Version: in.Version}); err != nil {
		return RoleFile{}, err
	}
	return s.roleFile()
}

type roleRequest struct {
	Rules   []access.RuleSpec `json:"rules"`
	Text    string            `json:"text"`
	Version string            `json:"version"`
}

func (s *Server) putRole(r *request, in roleRequest) (Role, error) {
	if err := s.changeRoles(r, &roleChange{Name: r.PathValue("name"), Rules: in.Rules, Text: in.Text, Version: in.Version}); err != nil {
		return Role{}, err
	}
	return s.showRole(r)
}

func (s *Server) deleteRole(r *request) error {
	return s.changeRoles(r, &roleChange{Name: r.PathValue("name"), Delete: true, Version: r.URL.Query().Get("version")})
}

type restoreRequest struct {
	Number int `json:"number" api:"required"`
}

func (s *Server) restoreRolesCall(r *request, in restoreRequest) (RoleFile, error) {
	if err := s.restoreRoles(r, in.Number); err != nil {
		return RoleFile{}, err
	}
	return s.roleFile()
}

// rolePreview tells what a change would do.
type rolePreview struct {
	Role    string          `json:"role,omitempty"` // its text
	Effects []access.Effect `json:"effects"`
	More    int             `json:"more,omitempty"` // effects that are left out
}

func (s *Server) previewCall(_ *request, c roleChange) (rolePreview, error) {
	e, err := s.edit(&c)
	if err != nil {
		return rolePreview{}, err
	}
	effects, more := s.o.Effects(e.policy)
	return rolePreview{Role: e.role, Effects: append([]access.Effect{}, effects...), More: more}, nil
}
