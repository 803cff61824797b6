package dashboard

import (
	"embed"
	"fmt"
	"html/template"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lintel/gateway/access"
	"lintel/serialbridge"
)

// maxRows is how many clients the page shows; the JSON has them all.
const maxRows = 200

//go:embed *.html
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"bytes":     formatBytes,
	"count":     formatCount,
	"duration":  func(seconds int64) string { return formatDuration(time.Duration(seconds) * time.Second) },
	"heard":     formatHeard,
	"ago":       func(now, then time.Time) string { return formatDuration(now.Sub(then)) },
	"protocol":  formatProtocol,
	"rows":      func(c []Client) []Client { return c[:min(len(c), maxRows)] },
	"more":      func(c []Client) int { return max(len(c)-maxRows, 0) },
	"damaged":   formatDamaged,
	"join":      strings.Join,
	"megabytes": func(n int64) float64 { return float64(n) / 1e6 },
	"moment":    func(t time.Time) string { return t.Format("2006-01-02 15:04") },
	"error":     errorAt,
	"ishome":    func(user string) bool { return strings.HasPrefix(user, access.HomeAssistantUser) },
}).ParseFS(pageFiles, "*.html"))

// frame is what all pages have around them.
type frame struct {
	Title   string // of the page; empty: it is the status
	Box     string // its name
	Refresh bool
	User    string // who is logged in; empty: nobody
	Path    string // of the page
	Links   []link
	TLS     string // where the same page is over TLS; empty: it is, or there is none
}

// link leads to a page that the user may see.
type link struct{ Path, Name string }

func (s *Server) frame(r *request, title string) frame {
	f := frame{Title: title, Box: s.name(), User: r.user, Path: r.URL.Path, TLS: s.overTLS(r.Request)}
	if r.level == nobody {
		return f
	}
	f.Links = append(f.Links, link{"/", "Status"})
	if s.o.ZigbeeNetwork != nil {
		f.Links = append(f.Links, link{"/zigbee-devices", "Zigbee"})
	}
	if s.o.HomeAssistant != nil {
		f.Links = append(f.Links, link{"/homeassistant", "Home Assistant"})
	}
	if may(r.level, access.Admin) {
		f.Links = append(f.Links, link{"/users", "Users"})
		if s.o.Network != nil {
			f.Links = append(f.Links, link{"/network", "Network"})
		}
		if s.o.Backups != nil {
			f.Links = append(f.Links, link{"/backup", "Backup"})
		}
		if s.o.Updater != nil {
			f.Links = append(f.Links, link{"/update", "Update"})
		}
	}
	if may(r.level, access.Operator) {
		f.Links = append(f.Links, link{"/access", "Access"})
	}
	return f
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

// at is an error beside a field, or above a form.
type at struct {
	ID   string // of the element that shows it
	Text string // empty: there is none
}

// errorAt returns the part of a problem that is about a field; the empty field is all
// that is about none.
func errorAt(p *problem, field string) at {
	if p == nil || p.field != field {
		return at{}
	}
	return at{"error-" + field, p.text}
}

// Row is a property as a person reads it.
type Row struct {
	Name, Value, Unit string
	Quiet             bool // diagnostic or a setting
}

// Rows returns the properties that have a value, what the device is for first.
func (d Device) Rows() []Row {
	var loud, quiet []Row
	for _, p := range d.properties {
		v, ok := d.Values[p.Key]
		if !ok || v == nil {
			continue
		}
		r := Row{Name: p.Name, Value: formatValue(p, v), Unit: p.Unit, Quiet: p.Category != ""}
		if r.Name == "" {
			r.Name = p.Key
		}
		if r.Quiet {
			quiet = append(quiet, r)
		} else {
			loud = append(loud, r)
		}
	}
	return append(loud, quiet...)
}

// formatValue writes a value as it came from the JSON of a state topic.
func formatValue(p serialbridge.Property, v any) string {
	switch v := v.(type) {
	case float64:
		if p.Kind == serialbridge.Measurement && p.Precision >= 0 {
			return strconv.FormatFloat(v, 'f', min(p.Precision, 9), 64)
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		if v {
			return "on"
		}
		return "off"
	case string:
		if p.Class == "timestamp" {
			if t, err := time.Parse(time.RFC3339, v); err == nil {
				return t.Format("2006-01-02 15:04:05 -07:00")
			}
		}
		return shorten(v)
	}
	return shorten(fmt.Sprint(v))
}

func shorten(s string) string {
	const most = 200
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

func formatDuration(d time.Duration) string {
	switch s := int(max(d, 0).Seconds()); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 48*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%d days", s/86400)
	}
}

func formatHeard(now, then time.Time) string {
	d := now.Sub(then)
	if d < 10*time.Second {
		return "heard just now"
	}
	return "heard " + formatDuration(d) + " ago"
}

func formatBytes(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1000, 0
	for f >= 1000 && unit < 3 {
		f /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGT"[unit])
}

// formatCount groups digits by thin spaces.
func formatCount(n any) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u2009')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func formatProtocol(version byte) string {
	switch version {
	case 3:
		return "3.1"
	case 4:
		return "3.1.1"
	case 5:
		return "5.0"
	}
	return "–"
}

// formatDamaged lists reasons and counts.
func formatDamaged(reasons map[string]uint64) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		parts = append(parts, reason+" "+formatCount(reasons[reason]))
	}
	return strings.Join(parts, ", ")
}
