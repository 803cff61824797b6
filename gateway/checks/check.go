package checks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Verdict is how well something is.
type Verdict int

// The verdicts, from the best to the worst.
const (
	OK       Verdict = iota
	NotThere         // it is not part of this house
	Unknown          // it cannot be said yet, or from here
	Notice           // a person may want to do something one day
	Warning          // it will not work for long, or not for all
	Bad              // it does not work
)

var verdicts = []string{"ok", "not there", "unknown", "notice", "warning", "bad"}

func (v Verdict) String() string { return verdicts[v] }

// MarshalText implements [encoding.TextMarshaler].
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdicts, string(text))
	if i < 0 {
		return fmt.Errorf("checks: %q is no verdict", text)
	}
	*v = Verdict(i)
	return nil
}

// Well reports whether nobody need look after it.
func (v Verdict) Well() bool { return v < Notice }

// Text is something to read, in English: a format as of package fmt, and its arguments. An
// argument may be a Text.
type Text struct {
	Format string
	Args   []any
}

func say(format string, args ...any) Text { return Text{format, args} }

// several says many with a number, or one where it is 1.
func several[T int | uint64](n T, one, many string) Text {
	if n == 1 {
		return say(one)
	}
	return say(many, n)
}

// verbatim is a text of others.
func verbatim(text string) Text { return Text{"%s", []any{text}} }

func (t Text) String() string {
	if len(t.Args) == 0 {
		return t.Format
	}
	return fmt.Sprintf(t.Format, t.Args...)
}

// MarshalText implements [encoding.TextMarshaler].
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Check is something that was looked at.
type Check struct {
	ID      string // such as "clock" or "stick/0403_6001_A1"; stays the same
	Name    Text   // what was looked at
	Verdict Verdict
	Why     Text     // a sentence or two
	Short   string   // what is wrong with the machine, in two or three words
	After   []string // IDs of the checks that it depends on
	Cause   string   // ID of the check that explains this one; empty: none does
	Mend    *Mend    // nil: nothing here can mend it, the sentence says what to do
}

// Mend is what mends something: a page to open, or a form to send to the box.
type Mend struct {
	Label   Text
	Path    string            // of the page, or where the form goes
	Post    bool              // it is a form
	Fields  map[string]string // of the form
	Level   string            // who may: "viewer", "operator" or "admin"
	Confirm Text              // to be asked before; empty: nothing
}

// see is a page that shows more.
func see(label Text, path string) *Mend { return &Mend{Label: label, Path: path, Level: "viewer"} }

// open is a page where a person mends something.
func open(label Text, path string) *Mend { return &Mend{Label: label, Path: path, Level: "admin"} }

// MarshalJSON implements [json.Marshaler]. Texts are in English.
func (c Check) MarshalJSON() ([]byte, error) {
	type mend struct {
		Label  string            `json:"label"`
		Method string            `json:"method"`
		Path   string            `json:"path"`
		Fields map[string]string `json:"fields,omitempty"`
		Level  string            `json:"level"`
	}
	v := struct {
		ID      string   `json:"id"`
		Name    Text     `json:"name"`
		Verdict Verdict  `json:"verdict"`
		Why     Text     `json:"why"`
		After   []string `json:"after,omitempty"`
		Cause   string   `json:"cause,omitempty"`
		Mend    *mend    `json:"mend,omitempty"`
	}{c.ID, c.Name, c.Verdict, c.Why, c.After, c.Cause, nil}
	if m := c.Mend; m != nil {
		v.Mend = &mend{m.Label.String(), "GET", m.Path, m.Fields, m.Level}
		if m.Post {
			v.Mend.Method = "POST"
		}
	}
	return json.Marshal(v)
}

// Report is what was found.
type Report struct {
	Verdict Verdict `json:"verdict"` // of the house
	Checks  []Check `json:"checks"`  // the causes before what they may explain
}

// Problem is something to mend, and what is not well because of it.
type Problem struct {
	Check
	Followers []Check
}

// Problems returns what is to be mended, the worst first.
func (r Report) Problems() []Problem {
	var all []Problem
	for _, c := range r.Checks {
		if c.Verdict.Well() || c.Cause != "" {
			continue
		}
		p := Problem{Check: c}
		for _, f := range r.Checks {
			if f.Cause == c.ID {
				p.Followers = append(p.Followers, f)
			}
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b Problem) int { return cmp.Compare(b.Verdict, a.Verdict) })
	return all
}

// report judges the whole of what was looked at. checks are in an order in which nothing
// comes before what it depends on.
func report(checks []Check) Report {
	r := Report{Checks: checks}
	at := make(map[string]*Check)
	for i := range checks {
		c := &checks[i]
		at[c.ID] = c
		if c.Verdict.Well() {
			continue
		}
		r.Verdict = max(r.Verdict, c.Verdict)
		for _, id := range c.After {
			if before := at[id]; before != nil && before.Verdict >= c.Verdict {
				c.Cause = cmp.Or(before.Cause, before.ID)
				break
			}
		}
	}
	return r
}

// Span is a time as a person tells it.
func Span(d time.Duration) Text {
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return say("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return say("%d minutes", int(d.Minutes()))
	case d < 48*time.Hour:
		return say("%d hours", int(d.Hours()))
	}
	return say("%d days", int(d.Hours()/24))
}

// Size is a number of bytes as disks and memory are sold.
func Size(n uint64) string {
	switch f := float64(n); {
	case f >= 995e6:
		return fmt.Sprintf("%.1f GB", f/1e9)
	case f >= 1e6:
		return fmt.Sprintf("%.0f MB", f/1e6)
	default:
		return fmt.Sprintf("%.0f kB", f/1e3)
	}
}

const mostNamed = 3 // of those that a sentence is about

// names are some of those that a sentence is about.
func names(all []string) Text {
	list := ""
	for i, name := range all[:min(len(all), mostNamed)] {
		if i > 0 {
			list += ", "
		}
		list += shorten(name)
	}
	if more := len(all) - mostNamed; more > 0 {
		return say("%s and %d more", list, more)
	}
	return verbatim(list)
}

// shorten keeps what strangers call themselves from filling the page.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
