package dashboard

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// parameter is a part of the query of a call.
type parameter struct {
	name    string
	example any    // a text, a whole number, a boolean, or a list of texts for one that may be there again
	about   string // what it is, a sentence without its point
}

// checkQuery says what is wrong with the query of a call: each parameter is one that the
// call knows, is there once, and is a number where there is to be one.
func (rt *route) checkQuery(r *http.Request) error {
	if rt.about == "" {
		return nil // a page, which has what it likes
	}
	var inputs []InputError
	bad := func(name, detail string) {
		if len(inputs) < maxInputErrors {
			inputs = append(inputs, InputError{Parameter: cut(name, maxNamed), Detail: detail})
		}
	}
	q := make(url.Values)
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		values, err := url.ParseQuery(part)
		if err != nil {
			name, _, _ := strings.Cut(part, "=")
			bad(name, sentence(err))
		}
		for name, value := range values {
			q[name] = append(q[name], value...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		values := q[name]
		i := slices.IndexFunc(rt.query, func(p parameter) bool { return p.name == name })
		if i < 0 {
			bad(name, "There is no parameter of this name here. "+rt.parameters())
			continue
		}
		if len(values) > 1 {
			if _, several := rt.query[i].example.([]string); !several {
				bad(name, "This is there more than once.")
				continue
			}
		}
		switch rt.query[i].example.(type) {
		case int:
			if _, err := strconv.Atoi(values[0]); err != nil && values[0] != "" {
				bad(name, "This is to be a whole number.")
			}
		case bool:
			if values[0] != "true" && values[0] != "false" && values[0] != "" {
				bad(name, "This is to be true or false.")
			}
		}
	}
	if inputs == nil {
		return nil
	}
	return wrongInputs(inputs)
}

// parameters lists what there is for the query of a call.
func (rt *route) parameters() string {
	if len(rt.query) == 0 {
		return "This call has none."
	}
	var names []string
	for _, p := range rt.query {
		names = append(names, p.name)
	}
	return "There are: " + strings.Join(names, ", ") + "."
}

func cut(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
