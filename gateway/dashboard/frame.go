package dashboard

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lintel/gateway/access"
)

// frame is what all pages have around them.
type frame struct {
	Title     string // of the page; empty: it is the first one
	Box       string // its name
	Live      bool   // it changes by itself; a browser without scripts asks again and again
	Still     bool   // it has fields to write in, so that a browser without scripts does not ask again
	User      string // who is logged in; empty: nobody
	Path      string // of the page
	Here      string // the same with its query
	Lang      string
	Languages []language
	Static    string // folder of the static files
	Version   string
	Sections  []section // that the user may see
	TLS       string    // where the same page is over TLS; empty: it is, or there is none
	Level     access.Level
}

// Operator and Admin report what the user may do.
func (f frame) Operator() bool { return may(f.Level, access.Operator) }
func (f frame) Admin() bool    { return may(f.Level, access.Admin) }

// section is a part of the pages in the navigation.
type section struct {
	Name    string // a key of the catalogue
	Pages   []link
	Current bool
}

// Path leads to the first page of a section.
func (s section) Path() string { return s.Pages[0].Path }

// link leads to a page.
type link struct {
	Path, Name string // a key of the catalogue
	Current    bool
}

// sections is the order of all pages. One is shown where there is a route for it that the
// user may take.
var sections = []section{
	{Name: "Home", Pages: []link{{Path: "/", Name: "Home"}}},
	{Name: "Devices", Pages: []link{
		{Path: "/devices", Name: "Devices"},
		{Path: "/zigbee", Name: "Zigbee network"},
		{Path: "/zigbee-network", Name: "Zigbee network"},
		{Path: "/zigbee-devices", Name: "Zigbee devices"},
		{Path: "/zigbee-map", Name: "Map"},
		{Path: "/zigbee-groups", Name: "Groups"},
		{Path: "/zigbee-firmware", Name: "Firmware"},
		{Path: "/simulate", Name: "Simulator"},
	}},
	{Name: "Broker", Pages: []link{
		{Path: "/broker", Name: "Overview"},
		{Path: "/clients", Name: "Clients"},
		{Path: "/topics", Name: "Topics"},
		{Path: "/publish", Name: "Publish"},
		{Path: "/journey", Name: "Journeys"},
		{Path: "/trace", Name: "Trace"},
	}},
	{Name: "Home Assistant", Pages: []link{{Path: "/homeassistant", Name: "Home Assistant"}}},
	{Name: "Access", Pages: []link{
		{Path: "/users", Name: "Users"},
		{Path: "/roles", Name: "Roles"},
		{Path: "/access", Name: "Access"},
		{Path: "/tokens", Name: "Tokens"},
		{Path: "/audit", Name: "Audit log"},
	}},
	{Name: "System", Pages: []link{
		{Path: "/update", Name: "Update"},
		{Path: "/backup", Name: "Backup"},
		{Path: "/network", Name: "Network"},
		{Path: "/settings", Name: "Settings"},
		{Path: "/log", Name: "Log"},
		{Path: "/support", Name: "Support"},
	}},
}

func (s *Server) frame(r *request, title string) frame {
	lang := languageOf(r.Request)
	f := frame{Title: title, Box: s.name(), User: r.user, Path: r.URL.Path, Here: r.URL.RequestURI(), Lang: lang, Languages: languages,
		Live: r.live, Static: staticPath(lang), Version: s.o.Version, TLS: s.overTLS(r.Request), Level: r.level}
	if r.level == nobody {
		return f
	}
	best := ""
	for _, all := range sections {
		part := section{Name: all.Name}
		for _, page := range all.Pages {
			level, ok := s.pageLevels[page.Path]
			if !ok || !may(r.level, level) {
				continue
			}
			part.Pages = append(part.Pages, page)
			if (page.Path == f.Path || strings.HasPrefix(f.Path, page.Path+"/")) && len(page.Path) > len(best) {
				best = page.Path
			}
		}
		if len(part.Pages) > 0 {
			f.Sections = append(f.Sections, part)
		}
	}
	for i := range f.Sections {
		for j := range f.Sections[i].Pages {
			if f.Sections[i].Pages[j].Path == best {
				f.Sections[i].Pages[j].Current, f.Sections[i].Current = true, true
			}
		}
	}
	return f
}

// levelsOfPages returns the level that each page takes, by its path.
func levelsOfPages(routes []route) map[string]access.Level {
	levels := make(map[string]access.Level)
	for _, rt := range routes {
		if path, ok := strings.CutPrefix(rt.pattern, "GET "); ok {
			levels[strings.TrimSuffix(path, "{$}")] = rt.level
		}
	}
	return levels
}

// overTLS returns the URL of the box over TLS for whoever is there without, under the
// name by which they call it; empty: they are, or there is none. It leads to the
// beginning: what was typed here, or shown once, is not there.
func (s *Server) overTLS(r *http.Request) string {
	if r.TLS != nil || !s.ownHost(r.Host) {
		return ""
	}
	for _, l := range s.o.Listeners {
		a, ok := l.Addr().(*net.TCPAddr)
		if l.TLS == nil || !ok {
			continue
		}
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		u := url.URL{Scheme: "https", Host: net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(a.Port)), Path: "/"}
		return u.String()
	}
	return ""
}
