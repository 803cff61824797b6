package textlines

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lintel/serialbridge"
)

// Limits of what a person may write.
const (
	maxColumn     = 256
	maxConfigured = 32 // devices
	maxProperties = 64
	maxOptions    = 64
	maxName       = 64  // characters of a name
	maxCommand    = 256 // bytes
	maxSeparator  = 8   // bytes
	maxNumber     = 1e15
)

var (
	validKey = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	validID  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,32}$`)
)

// Check says what cannot work, a line for each error: the key that is wrong, counted
// from 0, what is wrong with it and what is right, as in
// "properties[2].unit: …".
func (o Options) Check() error {
	c := check{options: &o, layout: newLayout(o)}
	c.format()
	c.devices()
	c.properties()
	return errors.Join(c.errs...)
}

type check struct {
	options *Options
	layout  *layout
	errs    []error
}

func (c *check) bad(key, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// oneOf complains of a text that is none of those that are right.
func (c *check) oneOf(key, text string, right ...string) bool {
	if slices.Contains(right, text) {
		return true
	}
	c.bad(key, "%q is none of %s", text, strings.Join(right, ", "))
	return false
}

// shown complains of a text that cannot be shown.
func (c *check) shown(key, text string) {
	switch {
	case utf8.RuneCountInString(text) > maxName:
		c.bad(key, "longer than %d characters", maxName)
	case !printable(text):
		c.bad(key, "%q has characters that cannot be shown", text)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (c *check) format() {
	o := c.options
	if o.Line != "" {
		if _, err := serialbridge.ParseLine(o.Line); err != nil {
			c.bad("line", "%v", err)
		}
	}
	if o.Format != "" && !c.oneOf("format", o.Format, "json", "csv", "keyvalue") {
		return
	}
	if o.Checksum != "" {
		c.oneOf("checksum", o.Checksum, "none", "xor", "sum8", "crc16")
	}
	csv, pairs := c.layout.format == "csv", c.layout.format == "keyvalue"
	switch s := o.Separator; {
	case s == "":
	case !csv && !pairs:
		c.bad("separator", "there is none in lines of JSON; leave it out")
	case len(s) > maxSeparator:
		c.bad("separator", "longer than %d bytes", maxSeparator)
	case strings.Contains(s, " ") && s != " ", !utf8.ValidString(s), strings.ContainsFunc(s, badSeparator):
		c.bad("separator", "%q cannot be told from what stands in a value; right are signs such as \",\" \";\" or a tab, or one space for any number of them", s)
	}
	if o.Pair != "" {
		switch {
		case !pairs:
			c.bad("pair", "only lines of the format keyvalue have pairs; leave it out")
		case c.oneOf("pair", o.Pair, "=", ":") && o.Pair == o.Separator:
			c.bad("pair", "%q is the separator too", o.Pair)
		}
	}
	if o.Comment != "" {
		c.shown("comment", o.Comment)
		if c.layout.format == "json" && strings.HasPrefix(o.Comment, "{") {
			c.bad("comment", "every line begins with {, so all would be comments")
		}
	}
	if o.Header && !csv {
		c.bad("header", "only lines of the format csv have columns; leave it out")
	} else if o.Header && len(c.layout.names) == 0 {
		c.bad("header", "no column is used by its name; write names in from, or leave header out and make the beginning of that line the comment")
	}
	switch n := o.Columns; {
	case n == 0:
	case !csv:
		c.bad("columns", "only lines of the format csv have columns; leave it out")
	case n < 0 || n > maxColumn:
		c.bad("columns", "%d is not between 1 and %d", n, maxColumn)
	case n < c.layout.used:
		c.bad("columns", "column %d is used, so there are more than %d", c.layout.used, n)
	}
}

func badSeparator(r rune) bool {
	return r != '\t' && !unicode.IsPrint(r) || unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(`"+-.`, r)
}

// place complains of a place that cannot be in a line.
func (c *check) place(key, from string) {
	switch {
	case !printable(from) || len(from) > 4*maxName:
		c.bad(key, "%q is too long, or has characters that cannot be shown", from)
		return
	case strings.TrimSpace(from) != from:
		c.bad(key, "%q has a space at an end; those of a line are cut off", from)
		return
	}
	p := c.layout.place(from)
	switch c.layout.format {
	case "csv":
		switch {
		case p.column > maxColumn, p.column == 0 && strings.Trim(from, digits) == "":
			c.bad(key, "column %s is not between 1 and %d", from, maxColumn)
		case p.column == 0 && !c.layout.header:
			c.bad(key, "%q is no number of a column; columns have names only with header = true", from)
		}
	case "keyvalue":
		if strings.Contains(from, c.layout.pair) || strings.Contains(from, c.layout.separator) {
			c.bad(key, "%q holds %q or %q, which end a key", from, c.layout.pair, c.layout.separator)
		}
	case "json":
		if !strings.HasPrefix(from, "/") && slices.Contains(p.path, "") {
			c.bad(key, "%q has an empty name between dots; right is a path such as outside.temp, or a JSON pointer such as /outside/temp", from)
		}
	}
}

func (c *check) devices() {
	if len(c.options.Devices) > maxConfigured {
		c.bad("devices", "more than %d", maxConfigured)
		return
	}
	seen := make(map[string]int)
	for i := range c.options.Devices {
		d := &c.options.Devices[i]
		key := func(name string) string { return fmt.Sprintf("devices[%d].%s", i, name) }
		if d.ID != "" && !validID.MatchString(d.ID) {
			c.bad(key("id"), "%q is not 1 to 32 letters, digits, _ and -", d.ID)
		}
		if first, again := seen[d.ID]; again {
			if d.ID == "" {
				c.bad(key("id"), "devices[%d] has none either; only one may do without", first)
			} else {
				c.bad(key("id"), "%q is the ID of devices[%d] too", d.ID, first)
			}
		} else {
			seen[d.ID] = i
		}
		if d.IDFrom != "" {
			c.place(key("id_from"), d.IDFrom)
		}
		c.shown(key("name"), d.Name)
		c.shown(key("vendor"), d.Vendor)
		c.shown(key("model"), d.Model)
		for _, from := range slices.Sorted(maps.Keys(d.Match)) {
			if from == "" || d.Match[from] == "" {
				c.bad(key("match"), "a place and a text are wanted, as in match = { type = \"rain\" }")
				continue
			}
			c.place(key("match"), from)
			if !printable(d.Match[from]) {
				c.bad(key("match"), "%q has characters that cannot be shown", d.Match[from])
			}
		}
		if i > 0 && len(c.options.Devices[i-1].Match) == 0 {
			c.bad(fmt.Sprintf("devices[%d].match", i-1), "every line is taken for this device, so devices[%d] never has any; say what is in its lines, or make it the last", i)
		}
	}
}
