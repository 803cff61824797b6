package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"lintel/gateway/access"
)

const (
	denialRows = 100 // on a page
	effectRows = 50
)

// explainRoutes are those of the page that says who may do what, and why.
func (s *Server) explainRoutes() []route {
	routes := []route{
		{pattern: "GET /access", level: operator, serve: s.live(livePage{template: "access.html", fragments: []string{"access-denials"}, data: s.explainPage})},
		{pattern: "POST /access/reload", level: admin, serve: s.reloadForm},
	}
	if s.o.Control != nil && s.o.Effects != nil {
		routes = append(routes, route{pattern: "POST /access/allow", level: admin, serve: s.allowForm})
	}
	return routes
}

// explainView is the page about who may do what.
type explainView struct {
	Frame frame

	User, Client, Action, Topic string // that is asked
	Verdict                     *Verdict
	Allow                       *allowing // how it could be allowed; nil: there is nothing to
	Error                       *problem
	Reloaded                    bool

	Search  string // among denials
	Denials []deniedRow
	More    int
	Now     time.Time
}

// deniedRow is a denial, and where it is explained.
type deniedRow struct {
	access.Denial
	Explain string // empty: a login
}

// allowing is a rule that would allow what is denied.
type allowing struct {
	User, Client, Action, Topic string
	Role                        string
	New                         bool   // the role is to be made, and given to the user
	Rule                        string // in words
	Effects                     effectsView
	Error                       *problem
}

// effectsView shows what other rules would change.
type effectsView struct {
	Effects []access.Effect
	More    int
	Asked   bool // the effects were looked for
}

func (s *Server) effects(then *access.Policy) effectsView {
	effects, more := s.o.Effects(then)
	slices.SortStableFunc(effects, func(a, b access.Effect) int { return first(a.Loses(), b.Loses()) })
	v := effectsView{Effects: effects[:min(len(effects), effectRows)], More: more, Asked: true}
	v.More += len(effects) - len(v.Effects)
	return v
}

func (s *Server) explainPage(r *request) (any, error) {
	q := r.URL.Query()
	v := &explainView{Frame: s.frame(r, r.t("Access")), User: q.Get("user"), Client: q.Get("client"), Action: q.Get("action"), Topic: q.Get("topic"),
		Reloaded: q.Has("reloaded"), Search: searched(r), Now: time.Now()}
	s.addDenials(v)
	if r.live && (v.Action != "" || v.Topic != "") { // else these parts are not made anew
		s.addVerdict(r, v)
	}
	return v, nil
}

func (s *Server) addDenials(v *explainView) {
	if s.o.Denials == nil {
		return
	}
	for _, d := range s.o.Denials.All() {
		if !contains(v.Search, d.User, d.ClientID, d.Action, d.Topic, d.Why, d.Address.String()) {
			continue
		}
		if len(v.Denials) == denialRows {
			v.More++
			continue
		}
		row := deniedRow{Denial: d}
		if d.Topic != "" {
			row.Explain = "/access?" + url.Values{"user": {d.User}, "client": {d.ClientID}, "action": {d.Action}, "topic": {d.Topic}}.Encode()
		}
		v.Denials = append(v.Denials, row)
	}
}

func (s *Server) addVerdict(r *request, v *explainView) {
	verdict, err := s.ask(v.User, v.Client, v.Action, v.Topic)
	if err != nil {
		v.Error = s.problemOf(r.Request, err)
		return
	}
	v.Verdict = &verdict
	if verdict.Allow || verdict.Depends || v.User == "" || !may(r.level, access.Admin) || s.o.Control == nil || s.o.Effects == nil {
		return
	}
	a, change, err := s.allowing(v.User, v.Client, v.Action, v.Topic, "")
	if err == nil {
		var e roleEdit
		if e, err = s.edit(change); err == nil && !a.New { // a new role is this user's alone
			a.Effects = s.effects(e.policy)
		}
	}
	if err != nil {
		a.Error = s.problemOf(r.Request, err).nowhere()
	}
	v.Allow = a
}

// allowing makes the change that allows something: a rule before all others of a role that only
// this user has, or of the one that is named.
func (s *Server) allowing(user, client, action, topic, role string) (*allowing, *roleChange, error) {
	a := &allowing{User: user, Client: client, Action: action, Topic: topic, Role: role}
	u, ok := s.o.Users.Get(user)
	if !ok {
		return a, nil, access.ErrNoUser
	}
	own := func(role string) bool { return !access.BuiltInRole(role) && len(s.usersByRole()[role]) == 1 }
	if i := slices.IndexFunc(u.Roles, own); role == "" && i >= 0 {
		a.Role = u.Roles[i]
	} else if role == "" {
		a.Role = s.freeRole(user)
	}
	a.New = !slices.Contains(u.Roles, a.Role)
	rule := access.RuleSpec{Allow: []string{action}, Topic: []string{access.GeneralTopic(s.o.Control.Identify(u, &access.Login{ClientID: client}), topic)}}
	a.Rule = action + " " + rule.Topic[0]
	rules := []access.RuleSpec{rule}
	if now, ok := s.o.Control.Policy().Role(a.Role); ok {
		rules = append(rules, now.Specs()...)
	}
	return a, &roleChange{Name: a.Role, Rules: rules}, nil
}

// allowForm adds the rule that was shown, and gives the role to the user.
func (s *Server) allowForm(w http.ResponseWriter, r *request) {
	user, client, action, topic := r.PostFormValue("user"), r.PostFormValue("client"), r.PostFormValue("action"), r.PostFormValue("topic")
	_, err := s.ask(user, client, action, topic)
	if err == nil {
		var a *allowing
		var change *roleChange
		if a, change, err = s.allowing(user, client, action, topic, r.PostFormValue("role")); err == nil {
			err = s.changeRoles(r, change)
		}
		if err == nil && a.New {
			u, _ := s.o.Users.Get(user)
			roles := append([]string{a.Role}, u.Roles...)
			_, err = s.change(r, user, userChange{Roles: &roles})
		}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	q := url.Values{"user": {user}, "client": {client}, "action": {action}, "topic": {topic}}
	http.Redirect(w, r.Request, "/access?"+q.Encode(), http.StatusSeeOther)
}

func (s *Server) reloadForm(w http.ResponseWriter, r *request) {
	where := "/access?reloaded"
	if s.o.Control != nil {
		where = "/roles?reloaded"
	}
	if err := s.reloadRules(r); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r.Request, where, http.StatusSeeOther)
}
