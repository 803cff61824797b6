package textlines

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"

	"lintel/serialbridge"
)

const (
	idPrefix = "textlines" // of device IDs
	maxID    = 64          // bytes of a device ID
	maxText  = 255         // bytes of a value: what a state of Home Assistant holds
)

// A layout is what lines mean, made ready from Options.
type layout struct {
	format    string
	separator string
	pair      string
	comment   string
	header    bool
	columns   int // that a line must have; 0: not said
	used      int // the last column that is used by its number
	names     []string
	checksum  *checksum // nil: none
	devices   []device
}

// A device is a device of the configuration.
type device struct {
	template   serialbridge.Device // what it is, but for what the data tell
	idFrom     *place              // nil: the ID is fixed
	match      []condition
	properties []property
}

// A condition is that a field has a text.
type condition struct {
	place place
	text  string
}

// A property is a property of the configuration.
type property struct {
	serialbridge.Property
	from     *place // nil: it is never told
	scaling  scaling
	suffix   string
	min, max *float64
	on, off  []string // the texts of true and false, the first for commands
	command  string
}

// newLayout makes the options ready. Of those that [Options.Check] complains of,
// something comes that does not work well.
func newLayout(o Options) *layout {
	l := &layout{
		format:    cmp.Or(o.Format, "json"),
		separator: cmp.Or(o.Separator, ","),
		pair:      cmp.Or(o.Pair, "="),
		comment:   o.Comment,
		header:    o.Header && o.Format == "csv",
		columns:   o.Columns,
	}
	if o.Separator == "" && l.format == "keyvalue" {
		l.separator = " "
	}
	if sum, ok := checksums[o.Checksum]; ok {
		l.checksum = &sum
	}
	devices := o.Devices
	if len(devices) == 0 {
		devices = []Device{{}}
	}
	for i := range devices {
		l.devices = append(l.devices, l.device(&devices[i], o.Properties))
	}
	slices.Sort(l.names)
	l.names = slices.Compact(l.names)
	return l
}

// use returns a place and notes that it is used; nil for none.
func (l *layout) use(from string) *place {
	if from == "" {
		return nil
	}
	p := l.place(from)
	l.used = max(l.used, p.column)
	if p.column == 0 && l.header {
		l.names = append(l.names, p.name)
	}
	return &p
}

func (l *layout) device(c *Device, properties []Property) device {
	d := device{idFrom: l.use(c.IDFrom)}
	d.template = serialbridge.Device{
		ID: idPrefix, Name: cmp.Or(c.Name, "Board"), Vendor: c.Vendor, Model: c.Model, WhenUsed: c.WhenUsed,
		Anonymous: c.ID == "" && c.IDFrom == "",
	}
	if c.ID != "" {
		d.template.ID += "_" + c.ID
	}
	for _, from := range slices.Sorted(maps.Keys(c.Match)) {
		if p := l.use(from); p != nil {
			d.match = append(d.match, condition{*p, c.Match[from]})
		}
	}
	for i := range properties {
		p := &properties[i]
		if p.Device != "" && p.Device != c.ID {
			continue
		}
		d.properties = append(d.properties, l.property(p))
		d.template.Properties = append(d.template.Properties, d.properties[len(d.properties)-1].Property)
	}
	return d
}

func (l *layout) property(c *Property) property {
	p := property{
		Property: serialbridge.Property{
			Key: c.Key, Name: cmp.Or(c.Name, nameOf(c.Key)), Kind: kindOf(c), Unit: unit(c.Unit), Class: c.Class,
			Options: slices.Clone(c.Options), Step: c.Step, Category: serialbridge.Category(c.Category), Precision: -1,
		},
		from:    l.use(c.From),
		scaling: newScaling(c),
		suffix:  c.Suffix,
		min:     c.Min,
		max:     c.Max,
		on:      []string{"1", "true", "on"},
		off:     []string{"0", "false", "off"},
		command: c.Command,
	}
	if c.On != "" {
		p.on, p.off = []string{c.On}, []string{c.Off}
	}
	if c.Precision != nil {
		p.Precision = *c.Precision
	}
	switch p.Kind {
	case serialbridge.Measurement:
		if p.StateClass = cmp.Or(c.StateClass, stateClasses(c.Class)[0]); p.StateClass == "none" {
			p.StateClass = ""
		}
	case serialbridge.Switch:
		if c.From == "" {
			p.Features = []serialbridge.Feature{serialbridge.Assumed}
		}
	case serialbridge.Text:
		p.Property.Max = maxText
	case serialbridge.Setting:
		if c.Min != nil && c.Max != nil {
			p.Property.Min, p.Property.Max = *c.Min, *c.Max
		}
	}
	return p
}

func kindOf(c *Property) serialbridge.Kind {
	return serialbridge.Kind(cmp.Or(c.Kind, string(serialbridge.Measurement)))
}

// nameOf makes a name of a key: wind_speed becomes Wind speed.
func nameOf(key string) string {
	s := strings.TrimSpace(strings.ReplaceAll(key, "_", " "))
	if s == "" {
		return key
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// verdict is how a field is as the value of a property.
type verdict byte

const (
	good        verdict = iota
	absent              // there is none
	wrong               // it cannot be that
	implausible         // it is not between Min and Max
)

// read returns the value that a field is of the property.
func (p *property) read(f field) (any, verdict) {
	switch f.form {
	case missing:
		return nil, absent
	case null:
		return nil, good // not known any more
	case nested:
		return nil, wrong
	}
	switch p.Kind {
	case serialbridge.Measurement, serialbridge.Setting:
		s := strings.TrimSpace(strings.TrimSuffix(f.text, p.suffix))
		n, ok := decimal(s)
		if !ok {
			return nil, wrong
		}
		v, ok := within(p.scaling.value(n), p.min, p.max)
		if !ok {
			return nil, implausible
		}
		return v, good
	case serialbridge.Binary, serialbridge.Switch:
		switch {
		case slices.ContainsFunc(p.on, p.same(f.text)):
			return true, good
		case slices.ContainsFunc(p.off, p.same(f.text)):
			return false, good
		}
		return nil, wrong
	case serialbridge.Raw:
		return []byte(f.text), good
	}
	if len(f.text) > maxText || strings.ContainsFunc(f.text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, wrong
	}
	if len(p.Options) > 0 && !slices.Contains(p.Options, f.text) {
		return nil, wrong
	}
	return f.text, good
}

// same returns how a text is compared: ON is on unless the user said how it is
// written.
func (p *property) same(text string) func(string) bool {
	return func(s string) bool { return s == text || len(p.on) > 1 && strings.EqualFold(s, text) }
}
