package dashboard

import (
	"html/template"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/checks"
	"lintel/gateway/update"
)

// homeView is the first page: whether all is well, and what else a person wants to know
// first.
type homeView struct {
	Frame    frame
	Now      time.Time
	Report   *checks.Report // nil: nobody judges the house
	Problem  string         // why /healthz says 503, where nobody does
	Problems []finding
	Well     int           // checks
	Welcome  *welcomeState // nil: there is nothing to go on with

	Addresses       []string
	Devices, Online int
	PerMinute       int // messages; negative: not known yet
	Clients         int
	Uptime          time.Duration
	Sticks          []Stick
	Events          []access.Event
	Machine         []Fact
	Neighbours      []Neighbour
}

// finding is something to mend, and what the one who looks can do about it.
type finding struct {
	checks.Problem
	Button *checks.Mend // nil: none
	Ask    string       // level of who could mend it here; empty: the one who looks, or nobody
}

const homeEvents = 6

// homePage is the first page.
func (s *Server) homePage() livePage {
	return livePage{template: "home.html", fragments: []string{"home-verdict", "home-tiles", "home-sticks", "home-events"},
		data: func(r *request) (any, error) { return s.homeView(r), nil }}
}

func (s *Server) homeView(r *request) *homeView {
	stats := s.o.Stats()
	now := time.Now()
	v := &homeView{Frame: s.frame(r, ""), Now: now, Addresses: s.o.Addresses(), PerMinute: s.pulse.perMinute(now, stats.PublishReceived),
		Clients: stats.ClientsConnected, Uptime: stats.Uptime, Sticks: s.sticks(), Machine: s.o.Machine()}
	if err := s.o.Healthy(); err != nil {
		v.Problem = err.Error()
	}
	if s.o.Checks != nil {
		report := s.report()
		v.Report, v.Problem = &report, ""
		for _, p := range report.Problems() {
			v.Problems = append(v.Problems, s.finding(r, p))
		}
		for _, c := range report.Checks {
			if c.Verdict.Well() {
				v.Well++
			}
		}
	}
	h := checks.House{}
	s.addDevices(&h)
	v.Devices = len(h.Devices)
	for _, d := range h.Devices {
		if !d.Offline {
			v.Online++
		}
	}
	v.Neighbours = s.o.Neighbours()
	if s.o.Audit != nil && may(r.level, access.Admin) {
		v.Events = s.o.Audit.All()
		v.Events = v.Events[:min(len(v.Events), homeEvents)]
		if s.o.Welcome != nil {
			if w := s.welcome(); !w.Dismissed && !w.Complete {
				v.Welcome = &w
			}
		}
	}
	return v
}

// finding finds out what the one who looks can do about a problem.
func (s *Server) finding(r *request, p checks.Problem) finding {
	f := finding{Problem: p}
	m := p.Mend
	if m == nil {
		return f
	}
	page, _, _ := strings.Cut(m.Path, "#")
	if _, there := s.pageLevels[page]; !m.Post && !there {
		return f
	}
	if may(r.level, access.Level(m.Level)) {
		f.Button = m
	} else {
		f.Ask = m.Level
	}
	return f
}

// judge are the functions of templates for what package checks says.
func judge(lang string) template.FuncMap {
	return template.FuncMap{
		"say":        func(text checks.Text) string { return translateText(lang, text) },
		"headline":   func(v checks.Verdict) string { return said(lang, headWords, v.String()) },
		"verdict":    func(v checks.Verdict) string { return said(lang, verdictWords, v.String()) },
		"stickstate": func(state string) string { return said(lang, stickWords, state) },
		"span":       func(d time.Duration) string { return translateText(lang, checks.Span(d)) },
		"phase":      func(p update.Phase) string { return said(lang, phaseWords, string(p)) },
		"seconds":    func(n int64) string { return translateText(lang, checks.Span(time.Duration(n)*time.Second)) },
		"since":      func(now, then time.Time) string { return translateText(lang, checks.Span(now.Sub(then))) },
	}
}

// translateText puts a text of package checks into a language, and the texts in it.
func translateText(lang string, text checks.Text) string {
	args := make([]any, len(text.Args))
	for i, a := range text.Args {
		if inner, ok := a.(checks.Text); ok {
			a = translateText(lang, inner)
		}
		args[i] = a
	}
	return translate(lang, text.Format, args...)
}
