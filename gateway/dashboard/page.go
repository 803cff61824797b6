package dashboard

import (
	"embed"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"lintel/gateway/access"
	"lintel/serialbridge"
)

// maxRows is how many lines of a kind a page shows at most; the JSON has them all.
const maxRows = 200

//go:embed html
var pageFiles embed.FS

// pages returns the templates of a language. They are parsed when somebody looks at a
// page: two languages take 7 MiB.
func pages(lang string) *template.Template { return parsedPages[lang]() }

var parsedPages = func() map[string]func() *template.Template {
	all := make(map[string]func() *template.Template)
	for _, l := range languages {
		all[l.Code] = sync.OnceValue(func() *template.Template { return parsePages(l.Code) })
	}
	return all
}()

func parsePages(lang string) *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"bytes":     formatBytes,
		"count":     formatCount,
		"figure":    formatFigure,
		"duration":  func(seconds int64) string { return formatDuration(time.Duration(seconds) * time.Second) },
		"ago":       func(now, then time.Time) string { return formatDuration(now.Sub(then)) },
		"protocol":  formatProtocol,
		"damaged":   formatDamaged,
		"join":      strings.Join,
		"megabytes": func(n int64) float64 { return float64(n) / 1e6 },
		"moment":    func(t time.Time) string { return t.Format("2006-01-02 15:04") },
		"ishome":    func(user string) bool { return strings.HasPrefix(user, access.HomeAssistantUser) },
		"after":     formatAfter,
		"clock":     func(t time.Time) string { return t.Format("15:04:05.000") },
		"userpath":  userPath,
		"code":      code,
		"pathpart":  url.PathEscape,
		"size":      func(n int) string { return formatBytes(uint64(max(n, 0))) },
		"age":       func(seconds *int64) string { return formatDuration(time.Duration(*seconds) * time.Second) },
		"expiry":    func(seconds *uint32) string { return formatDuration(time.Duration(*seconds) * time.Second) },
		"strong":    strong,
		"anchor":    anchor,
		"symbol":    drawingOf,
		"seen":      formatSeen,
	}).Funcs(speak(lang)).Funcs(judge(lang)).ParseFS(pageFiles, "html/*.html"))
}

// speak are the functions of templates that put things into words.
func speak(lang string) template.FuncMap {
	return template.FuncMap{
		"t":       func(key string, args ...any) string { return translate(lang, key, args...) },
		"rich":    func(key string, args ...any) template.HTML { return rich(lang, key, args...) },
		"dropped": func(why string) string { return said(lang, dropWords, why) },
		"limit":   func(name string) string { return said(lang, limitWords, name) },
		"error":   func(p *problem, field string) at { return errorAt(lang, p, field) },
		"n":       func(count any, one, many string) string { return counted(lang, formatCount(count), one, many) },
	}
}

// at is an error beside a field, or above a form.
type at struct {
	ID   string // of the element that shows it
	Text string // empty: there is none
}

// errorAt returns the part of a problem that is about a field; the empty field is all
// that is about none.
func errorAt(lang string, p *problem, field string) at {
	if p == nil || p.field != field {
		return at{}
	}
	return at{"error-" + field, p.in(lang)}
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
