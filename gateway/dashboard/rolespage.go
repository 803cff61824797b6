package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lintel/gateway/access"
)

// rolePageRoutes are those of the pages of roles.
func (s *Server) rolePageRoutes() []route {
	if s.o.Control == nil || s.o.Effects == nil {
		return nil
	}
	return []route{
		{pattern: "GET /roles", level: admin, serve: s.rolesPage},
		{pattern: "POST /roles", level: admin, body: maxRoleBody, serve: s.roleFileForm},
		{pattern: "POST /roles/new", level: admin, serve: s.newRoleForm},
		{pattern: "POST /roles/restore", level: admin, serve: s.restoreRolesForm},
		{pattern: "GET /roles/{name}", level: admin, serve: s.rolePage},
		{pattern: "POST /roles/{name}/rules", level: admin, body: maxRoleBody, serve: s.roleForm},
		{pattern: "POST /roles/{name}/delete", level: admin, serve: s.deleteRoleForm},
	}
}

// rolesView is the page of all roles.
type rolesView struct {
	Frame    frame
	File     RoleFile
	Error    *problem
	About    string // what Error is about: file, new or version
	Name     string // of a new role, as it was typed
	Typed    string // the file, as it was typed
	Reloaded bool
	Restored bool
	Effects  effectsView
}

func (s *Server) rolesView(r *request) *rolesView {
	v := &rolesView{Frame: s.frame(r, r.t("Roles"))}
	var err error
	if v.File, err = s.roleFile(); err != nil {
		v.Error = s.problemOf(r.Request, err).nowhere()
	}
	v.Typed = v.File.Text
	v.Reloaded, v.Restored = r.URL.Query().Has("reloaded"), r.URL.Query().Has("restored")
	return v
}

func (s *Server) rolesPage(w http.ResponseWriter, r *request) {
	s.show(w, r, http.StatusOK, "roles.html", s.rolesView(r))
}

// roleFileForm saves the role file as text, or shows what that would change.
func (s *Server) roleFileForm(w http.ResponseWriter, r *request) {
	text := newlines(r.PostFormValue("text"))
	c := &roleChange{File: &text, Version: r.PostFormValue("version")}
	var e roleEdit
	var err error
	if r.PostFormValue("do") == "preview" {
		e, err = s.edit(c)
	} else if err = s.changeRoles(r, c); err == nil {
		http.Redirect(w, r.Request, "/roles", http.StatusSeeOther)
		return
	}
	v := s.rolesView(r)
	v.About, v.Typed = "file", text
	code := http.StatusOK
	if err != nil {
		v.Error = s.problemOf(r.Request, err).nowhere()
		code = v.Error.code
	} else {
		v.Effects = s.effects(e.policy)
	}
	s.show(w, r, code, "roles.html", v)
}

// newRoleForm leads to the page of a role that is not there yet.
func (s *Server) newRoleForm(w http.ResponseWriter, r *request) {
	name := strings.TrimSpace(r.PostFormValue("name"))
	_, err := s.o.Control.ParseRole(name, access.WriteRole(name, nil))
	if err != nil {
		err = wrong("name", "Right are up to 64 letters, digits, dots, - and _.")
	}
	if access.BuiltInRole(name) || slices.Contains(s.o.Control.Policy().Roles(), name) {
		err = wrong("name", "There is a role %q already. Choose another name.", name)
	}
	if err == nil {
		http.Redirect(w, r.Request, "/roles/"+url.PathEscape(name), http.StatusSeeOther)
		return
	}
	v := s.rolesView(r)
	v.About, v.Error, v.Name = "new", s.problemOf(r.Request, err), name
	s.show(w, r, v.Error.code, "roles.html", v)
}

func (s *Server) restoreRolesForm(w http.ResponseWriter, r *request) {
	number, _ := strconv.Atoi(r.PostFormValue("number"))
	err := s.restoreRoles(r, number)
	if err == nil {
		http.Redirect(w, r.Request, "/roles?restored", http.StatusSeeOther)
		return
	}
	v := s.rolesView(r)
	v.About, v.Error = "version", s.problemOf(r.Request, err).nowhere()
	s.show(w, r, v.Error.code, "roles.html", v)
}

// roleView is the page of a role.
type roleView struct {
	Frame   frame
	Role    Role
	There   bool // it is in force, else it is to be made
	Rows    []ruleRow
	Version string // of the role file that was looked at
	Error   *problem
	Effects effectsView
	Checked bool // the effects are those of what is typed
	Losses  int  // effects by which somebody loses something
	Text    string
	Saved   bool
}

// ruleRow is a rule in the form.
type ruleRow struct {
	Number  int // from 1
	Deny    bool
	Actions map[string]bool
	Topics  []string
	QoS     [3]bool
	Retain  string // true, false or empty
	MaxSize string
	JSON    bool
	Schema  string
	Where   string
	Wrong   []access.Mistake
}

// Conditions reports whether the rule says anything of the message.
func (r ruleRow) Conditions() bool {
	return r.QoS != [3]bool{} || r.Retain != "" || r.MaxSize != "" || r.JSON || r.Schema != "" || r.Where != ""
}

// rowOf is a rule in the form.
func rowOf(number int, rule access.RuleSpec) ruleRow {
	row := ruleRow{Number: number, Deny: len(rule.Deny) > 0, Actions: make(map[string]bool), Topics: rule.Topic}
	for _, a := range append(slices.Clone(rule.Allow), rule.Deny...) {
		row.Actions[a] = true
		if a == "all" {
			row.Actions = map[string]bool{"publish": true, "subscribe": true, "receive": true}
		}
	}
	for _, q := range rule.QoS {
		if q >= 0 && q <= 2 {
			row.QoS[q] = true
		}
	}
	if rule.Retain != nil {
		row.Retain = strconv.FormatBool(*rule.Retain)
	}
	if p := rule.Payload; p != nil {
		if p.MaxSize != 0 {
			row.MaxSize = strconv.Itoa(p.MaxSize)
		}
		row.JSON, row.Schema, row.Where = p.JSON, p.Schema, p.Where
	}
	return row
}

const maxFormRules = 200 // of a role

// rulesOf reads the rules of a form, in the order that it asks for.
func rulesOf(form url.Values) ([]access.RuleSpec, error) {
	type placed struct {
		at   float64
		rule access.RuleSpec
	}
	var all []placed
	for n := 1; n <= maxFormRules; n++ {
		key := func(name string) string { return fmt.Sprintf("%s-%d", name, n) }
		if !form.Has(key("topics")) {
			break
		}
		if form.Has(key("remove")) {
			continue
		}
		at, err := strconv.ParseFloat(form.Get(key("place")), 64)
		if err != nil {
			at = float64(n)
		}
		if at < float64(n) { // it goes before the one that is there
			at -= 0.5
		} else if at > float64(n) {
			at += 0.5
		}
		rule := access.RuleSpec{Topic: lines(form.Get(key("topics")))}
		actions := form[key("action")]
		if len(actions) == 3 {
			actions = []string{"all"}
		}
		if form.Get(key("effect")) == "deny" {
			rule.Deny = actions
		} else {
			rule.Allow = actions
		}
		for _, text := range form[key("qos")] {
			q, err := strconv.Atoi(text)
			if err != nil {
				q = -1 // told when the role is read
			}
			rule.QoS = append(rule.QoS, q)
		}
		if text := form.Get(key("retain")); text != "" {
			retain := text == "true"
			rule.Retain = &retain
		}
		p := access.ContentSpec{JSON: form.Has(key("json")), Schema: strings.TrimSpace(form.Get(key("schema"))), Where: strings.TrimSpace(form.Get(key("where")))}
		if text := strings.TrimSpace(form.Get(key("max_size"))); text != "" {
			if p.MaxSize, err = strconv.Atoi(text); err != nil || p.MaxSize < 1 {
				return nil, wrong("rules", "Rule %d: the largest payload is a number of bytes.", n)
			}
		}
		if p != (access.ContentSpec{}) {
			rule.Payload = &p
		}
		all = append(all, placed{at, rule})
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	rules := []access.RuleSpec{}
	for _, p := range all {
		rules = append(rules, p.rule)
	}
	return rules, nil
}

func (s *Server) roleView(r *request, name string) (*roleView, error) {
	v := &roleView{Frame: s.frame(r, r.t("Role %s", name))}
	role, err := s.role(name)
	v.There = err == nil
	if errors.Is(err, access.ErrNoRole) {
		file, ferr := s.o.Control.RoleFile()
		if ferr != nil {
			return nil, ferr
		}
		// It may be in a file with a mistake, which is not in force.
		text, _ := access.RoleText(file.Text, name)
		role, err = Role{Name: name, Text: text, Rules: []access.RuleSpec{}, Users: s.usersByRole()[name], Version: file.Version}, nil
	}
	if err != nil {
		return nil, err
	}
	v.Role, v.Version, v.Text = role, role.Version, role.Text
	v.show(role.Rules)
	return v, nil
}

// show puts rules into the form.
func (v *roleView) show(rules []access.RuleSpec) {
	v.Rows = nil
	for i, rule := range rules {
		v.Rows = append(v.Rows, rowOf(i+1, rule))
	}
}

func (s *Server) rolePage(w http.ResponseWriter, r *request) {
	v, err := s.roleView(r, r.PathValue("name"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v.Saved = r.URL.Query().Has("saved")
	if !v.There && v.Text == "" {
		v.show([]access.RuleSpec{{Allow: []string{"publish"}, Topic: nil}})
	}
	s.show(w, r, http.StatusOK, "role.html", v)
}

// roleForm saves a role, shows what that would change, or puts one more rule into the form.
func (s *Server) roleForm(w http.ResponseWriter, r *request) {
	name := r.PathValue("name")
	v, err := s.roleView(r, name)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	c := &roleChange{Name: name, Version: r.PostFormValue("version")}
	v.Version = c.Version
	do := r.PostFormValue("do")
	if strings.HasPrefix(do, "text-") {
		c.Text = newlines(r.PostFormValue("text"))
		v.Text = c.Text
		do = strings.TrimPrefix(do, "text-")
		if c.Text == "" {
			err = wrong("rules", "Write the role, or delete it below.")
		}
	} else if c.Rules, err = rulesOf(r.PostForm); err == nil {
		v.show(c.Rules)
	}
	var e roleEdit
	switch {
	case err != nil:
	case do == "add":
		v.show(append(c.Rules, access.RuleSpec{Allow: []string{"publish"}}))
		s.show(w, r, http.StatusOK, "role.html", v)
		return
	case do == "save":
		if err = s.changeRoles(r, c); err == nil {
			http.Redirect(w, r.Request, "/roles/"+url.PathEscape(name)+"?saved", http.StatusSeeOther)
			return
		}
	default:
		e, err = s.edit(c)
	}
	code := http.StatusOK
	if err != nil {
		if bad, ok := errors.AsType[*access.RoleFileError](err); ok {
			v.mistakes(bad, c.Text != "")
		}
		v.Error = s.problemOf(r.Request, err).nowhere()
		code = v.Error.code
	} else {
		v.Effects, v.Checked = s.effects(e.policy), true
		for _, effect := range v.Effects.Effects {
			if effect.Loses() {
				v.Losses++
			}
		}
	}
	s.show(w, r, code, "role.html", v)
}

// mistakes puts what is wrong to the rules that it is about.
func (v *roleView) mistakes(bad *access.RoleFileError, asText bool) {
	for _, m := range bad.Mistakes {
		if n := m.Rule - 1; !asText && n >= 0 && n < len(v.Rows) {
			v.Rows[n].Wrong = append(v.Rows[n].Wrong, m)
		}
	}
}

func (s *Server) deleteRoleForm(w http.ResponseWriter, r *request) {
	name := r.PathValue("name")
	err := s.changeRoles(r, &roleChange{Name: name, Delete: true})
	if err == nil {
		http.Redirect(w, r.Request, "/roles", http.StatusSeeOther)
		return
	}
	v, verr := s.roleView(r, name)
	if verr != nil {
		s.fail(w, r, verr)
		return
	}
	v.Error = s.problemOf(r.Request, err).nowhere()
	s.show(w, r, v.Error.code, "role.html", v)
}
