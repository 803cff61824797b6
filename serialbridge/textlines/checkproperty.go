package textlines

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"lintel/serialbridge"
)

func (c *check) properties() {
	n := len(c.options.Properties)
	if n == 0 || n > maxProperties {
		c.bad("properties", "there are %d; right is 1 to %d", n, maxProperties)
		return
	}
	for i := range c.options.Properties {
		p := &c.options.Properties[i]
		key := func(name string) string { return fmt.Sprintf("properties[%d].%s", i, name) }
		if !validKey.MatchString(p.Key) {
			c.bad(key("key"), "%q is not 1 to 64 lower case letters, digits and _", p.Key)
		}
		for j, q := range c.options.Properties[:i] {
			if q.Key == p.Key && (q.Device == p.Device || q.Device == "" || p.Device == "") {
				c.bad(key("key"), "%q is the key of properties[%d] too", p.Key, j)
				break
			}
		}
		c.shown(key("name"), p.Name)
		if p.Device != "" && !slices.ContainsFunc(c.options.Devices, func(d Device) bool { return d.ID == p.Device }) {
			c.bad(key("device"), "there is no device with the ID %q", p.Device)
		}
		if p.From != "" {
			c.place(key("from"), p.From)
		}
		if p.Kind == "" || c.oneOf(key("kind"), p.Kind, "measurement", "state", "binary", "event", "switch", "setting", "choice", "text", "tag", "button", "raw") {
			c.kind(p, key)
		}
	}
}

// kind complains of what does not go with the kind of a property.
func (c *check) kind(p *Property, key func(string) string) {
	kind := kindOf(p)
	commanded := false
	switch kind {
	case serialbridge.Switch, serialbridge.Setting, serialbridge.Choice, serialbridge.Text, serialbridge.Button:
		commanded = true
		if p.Command == "" {
			c.bad(key("command"), "missing: the text that is written when the %s is used", kind)
		}
	case serialbridge.Raw:
		commanded = true
		if p.Command == "" && p.From == "" {
			c.bad(key("command"), "missing, and so is from: nothing goes up or down")
		}
	default:
		if p.From == "" {
			c.bad(key("from"), "missing: where in a line the value is")
		}
		if p.Command != "" {
			c.bad(key("command"), "a %s cannot be commanded; right are the kinds switch, setting, choice, text, button and raw", kind)
		}
	}
	if kind == serialbridge.Button && p.From != "" {
		c.bad(key("from"), "a button has no value; leave it out")
	}
	if commanded && p.Command != "" {
		c.command(p, key)
	}
	if p.Category != "" && c.oneOf(key("category"), p.Category, "diagnostic", "config") && p.Category == "config" && !commanded {
		c.bad(key("category"), "only what can be commanded is config; right is diagnostic")
	}
	c.number(p, key, kind)
	c.class(p, key, kind)
	c.texts(p, key, kind)
}

// command complains of a text to be written.
func (c *check) command(p *Property, key func(string) string) {
	if len(p.Command) > maxCommand {
		c.bad(key("command"), "longer than %d bytes", maxCommand)
	}
	values := 0
	for rest := p.Command; ; {
		_, after, ok := strings.Cut(rest, "%")
		if !ok {
			break
		}
		switch {
		case strings.HasPrefix(after, "s"):
			values++
		case strings.HasPrefix(after, "i"):
			if !c.hasIDFrom(p.Device) {
				c.bad(key("command"), "%%i is the ID that is in the data, and there is a device without id_from")
			}
		case !strings.HasPrefix(after, "%"):
			c.bad(key("command"), "%% stands before s (the value), i (the ID) or another %% (a percent sign)")
			return
		}
		rest = after[1:]
	}
	switch button := kindOf(p) == serialbridge.Button; {
	case button && values > 0:
		c.bad(key("command"), "a button has no value, so there is no %%s")
	case !button && values == 0:
		c.bad(key("command"), "%%s is missing, where the value goes")
	}
}

// hasIDFrom reports whether all devices with the ID, or all devices, have their ID in
// the data.
func (c *check) hasIDFrom(id string) bool {
	return len(c.options.Devices) > 0 && !slices.ContainsFunc(c.options.Devices, func(d Device) bool {
		return (id == "" || d.ID == id) && d.IDFrom == ""
	})
}

// number complains of what only numbers have.
func (c *check) number(p *Property, key func(string) string, kind serialbridge.Kind) {
	numeric := kind == serialbridge.Measurement || kind == serialbridge.Setting
	for _, f := range []struct {
		name string
		said bool
	}{
		{"unit", p.Unit != ""}, {"precision", p.Precision != nil}, {"suffix", p.Suffix != ""}, {"scale", p.Scale != 0},
		{"offset", p.Offset != 0}, {"min", p.Min != nil}, {"max", p.Max != nil},
	} {
		if f.said && !numeric {
			c.bad(key(f.name), "only a measurement and a setting have it, and this is a %s; leave it out", kind)
		}
	}
	if p.StateClass != "" && kind != serialbridge.Measurement {
		c.bad(key("state_class"), "only a measurement has it; leave it out")
	}
	if p.Step != 0 && kind != serialbridge.Setting {
		c.bad(key("step"), "only a setting has it; leave it out")
	}
	if p.Precision != nil && (*p.Precision < 0 || *p.Precision > 9) {
		c.bad(key("precision"), "%d is not between 0 and 9", *p.Precision)
	}
	for _, f := range []struct {
		name  string
		value float64
	}{{"scale", p.Scale}, {"offset", p.Offset}, {"min", number(p.Min)}, {"max", number(p.Max)}, {"step", p.Step}} {
		if size := math.Abs(f.value); math.IsNaN(size) || size > maxNumber || size != 0 && size < 1/maxNumber {
			c.bad(key(f.name), "%v is too large or too small; right are numbers up to %v", f.value, maxNumber)
		}
	}
	if p.Step < 0 {
		c.bad(key("step"), "%v is less than 0", p.Step)
	}
	switch {
	case p.Min != nil && p.Max != nil && !(*p.Min < *p.Max):
		c.bad(key("max"), "%v is not greater than min, which is %v", *p.Max, *p.Min)
	case kind == serialbridge.Setting && p.Min == nil:
		c.bad(key("min"), "missing: a setting has a range")
	case kind == serialbridge.Setting && p.Max == nil:
		c.bad(key("max"), "missing: a setting has a range")
	}
}

func number(p *float64) float64 {
	if p == nil {
		return 0
	}
	return *p
}

// class complains of a class that Home Assistant does not know, or knows with other
// units: it would not show the property and tell nobody.
func (c *check) class(p *Property, key func(string) string, kind serialbridge.Kind) {
	switch kind {
	case serialbridge.Measurement, serialbridge.Setting:
	default:
		if p.Class != "" && !slices.Contains(otherClasses[string(kind)], p.Class) {
			if len(otherClasses[string(kind)]) == 0 {
				c.bad(key("class"), "a %s has none; leave it out", kind)
			} else {
				c.bad(key("class"), "%q is none of %s", p.Class, strings.Join(otherClasses[string(kind)], ", "))
			}
		}
		return
	}
	if len(p.Unit) > maxName || !printable(p.Unit) || strings.TrimSpace(p.Unit) != p.Unit {
		c.bad(key("unit"), "%q is too long, has a space at an end or characters that cannot be shown", p.Unit)
	}
	if _, known := sensorClasses[p.Class]; p.Class != "" && !known {
		c.bad(key("class"), "%q is none of %s", p.Class, strings.Join(slices.Sorted(maps.Keys(sensorClasses)), ", "))
		return
	}
	if p.Class != "" && !fits(p.Class, unit(p.Unit)) {
		right := cmp.Or(strings.Join(unitsOf(p.Class), ", "), "none: leave it out")
		if p.Unit == "" {
			c.bad(key("unit"), "missing: %s has one; right is %s", p.Class, right)
		} else {
			c.bad(key("unit"), "%q is no unit of %s; right is %s", p.Unit, p.Class, right)
		}
	}
	if p.StateClass != "" && kind == serialbridge.Measurement {
		c.oneOf(key("state_class"), p.StateClass, append(slices.Clone(stateClasses(p.Class)), "none")...)
	}
}

// texts complains of what only texts have.
func (c *check) texts(p *Property, key func(string) string, kind serialbridge.Kind) {
	switch kind {
	case serialbridge.Event, serialbridge.Choice:
		if len(p.Options) == 0 {
			c.bad(key("options"), "missing: the texts that there are")
		}
	case serialbridge.State:
	default:
		if len(p.Options) > 0 {
			c.bad(key("options"), "only a state, an event and a choice have texts; leave them out")
		}
	}
	if len(p.Options) > maxOptions {
		c.bad(key("options"), "more than %d", maxOptions)
	}
	for i, o := range p.Options {
		if o == "" || strings.TrimSpace(o) != o || slices.Contains(p.Options[:i], o) {
			c.bad(key("options"), "%q is empty, has a space at an end or is there twice", o)
		} else {
			c.shown(key("options"), o)
		}
	}
	switch onOff := kind == serialbridge.Binary || kind == serialbridge.Switch; {
	case p.On == "" && p.Off == "":
	case !onOff:
		c.bad(key("on"), "only what is binary and a switch have on and off; leave them out")
	case p.On == "" || p.Off == "" || p.On == p.Off:
		c.bad(key("on"), "on and off go together and are different texts; without them 1, true, on and 0, false, off are known")
	default:
		c.shown(key("on"), p.On)
		c.shown(key("off"), p.Off)
	}
}
