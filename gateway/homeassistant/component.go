package homeassistant

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"lintel/serialbridge"
)

// topics are those of a property.
type topics struct {
	o           Options
	device, key string
}

func (t topics) state() string   { return t.o.topic(t.device, "state") }
func (t topics) own() string     { return t.o.topic(t.device, t.key) }
func (t topics) command() string { return t.o.topic(t.device, "set/"+t.key) }

// newComponent returns what becomes of a property in Home Assistant, without its id.
func newComponent(p serialbridge.Property, t topics) (component, error) {
	c := component{}
	if name := nameFor(p); name != "" {
		c["name"] = name
	}
	if hasClasses(p.Kind) {
		c.setText("dev_cla", p.Class)
	}
	// get, because value_json.items would be a method of the dict, and
	// because a value that was never heard must render as None, which every
	// platform takes as unknown.
	value := "value_json.get('" + p.Key + "')"
	plain := "{{ " + value + " }}"
	onOff := "{{ {true: 'ON', false: 'OFF'}.get(" + value + ") }}"

	commanded := true
	switch p.Kind {
	case serialbridge.Measurement:
		commanded = false
		if slices.Contains([]string{"date", "enum", "timestamp"}, p.Class) {
			return nil, fmt.Errorf("a number of class %s", p.Class)
		}
		c["p"], c["stat_t"], c["val_tpl"] = "sensor", t.state(), plain
		c.setText("unit_of_meas", p.Unit)
		c.setText("stat_cla", p.StateClass)
		if p.Precision >= 0 {
			c["sug_dsp_prc"] = p.Precision
		}
	case serialbridge.State:
		commanded = false
		c["p"], c["stat_t"], c["val_tpl"] = "sensor", t.state(), plain
		if len(p.Options) > 0 {
			c["dev_cla"] = "enum" // excludes unit and state class
			c["ops"] = p.Options
		}
	case serialbridge.Binary:
		commanded = false
		c["p"], c["stat_t"], c["val_tpl"] = "binary_sensor", t.state(), onOff
	case serialbridge.Event:
		commanded = false
		if len(p.Options) == 0 {
			return nil, errors.New("an event without options can never happen in Home Assistant")
		}
		// {"event_type": …}, as Home Assistant wants it
		c["p"], c["stat_t"], c["evt_typ"] = "event", t.own(), p.Options
	case serialbridge.Tag:
		return component{"p": "tag", "t": t.own()}, nil
	case serialbridge.Switch:
		c["p"], c["stat_t"], c["val_tpl"] = "switch", t.state(), onOff
		c["stat_on"], c["stat_off"] = "ON", "OFF"
		c["cmd_t"] = t.o.topic(t.device, "set")
		c["pl_on"] = `{"` + p.Key + `":true}`
		c["pl_off"] = `{"` + p.Key + `":false}`
	case serialbridge.Setting:
		c["p"], c["stat_t"], c["val_tpl"] = "number", t.state(), plain
		c.setText("unit_of_meas", p.Unit)
		c["cmd_t"] = t.o.topic(t.device, "set")
		c["cmd_tpl"] = `{"` + p.Key + `":{{ value }}}`
		switch {
		case p.Max > p.Min:
			c["min"], c["max"] = p.Min, p.Max
		case p.Max < p.Min || p.Max != 0:
			return nil, fmt.Errorf("range %v to %v is empty", p.Min, p.Max)
		}
		if p.Step > 0 {
			c["step"] = max(p.Step, 0.001) // the least that is accepted
		}
	case serialbridge.Choice:
		if len(p.Options) == 0 {
			return nil, errors.New("a choice without options")
		}
		c["p"], c["stat_t"], c["val_tpl"] = "select", t.state(), plain
		c["ops"] = p.Options
		c["cmd_t"] = t.o.topic(t.device, "set")
		c["cmd_tpl"] = `{"` + p.Key + `":{{ value | to_json }}}`
	case serialbridge.Text:
		if p.Min < 0 || p.Max < p.Min || p.Max != math.Trunc(p.Max) || p.Min != math.Trunc(p.Min) || p.Min > maxTextLength {
			return nil, fmt.Errorf("a text of %v to %v characters", p.Min, p.Max)
		}
		// A text that is not known is empty: None would be one.
		c["p"], c["stat_t"], c["val_tpl"] = "text", t.state(), "{% set v = "+value+" %}{{ '' if v is none else v }}"
		c["cmd_t"] = t.o.topic(t.device, "set")
		c["cmd_tpl"] = `{"` + p.Key + `":{{ value | to_json }}}`
		if p.Max > 0 {
			c["min"], c["max"] = p.Min, min(p.Max, maxTextLength)
		}
	case serialbridge.Button:
		c["p"], c["cmd_t"] = "button", t.o.topic(t.device, "set")
		c["pl_prs"] = `{"` + p.Key + `":true}`
	case serialbridge.Update:
		c["p"], c["stat_t"] = "update", t.state()
		c["val_tpl"] = "{{ (" + value + " or {}) | to_json }}"
		c["cmd_t"] = t.o.topic(t.device, "set")
		c["pl_inst"] = `{"` + p.Key + `":"install"}`
	case serialbridge.Tracker:
		commanded = false
		// Without a state topic: where it is says Home Assistant by its zones.
		c["p"], c["src_type"] = "device_tracker", "gps"
		c["json_attr_t"], c["json_attr_tpl"] = t.state(), "{{ ("+value+" or {}) | to_json }}"
	default:
		if err := c.composite(p, t); err != nil {
			return nil, err
		}
	}
	if commanded && p.Has(serialbridge.Assumed) {
		c["opt"] = true // both buttons of a blind work, wherever it may be
	}
	category := p.Category
	if !commanded && category == serialbridge.Config {
		// What cannot be commanded may not be in this category: the
		// document passes, then adding the entity fails.
		category = serialbridge.Diagnostic
	}
	c.setText("ent_cat", string(category))
	return c, nil
}

// maxTextLength is the longest text that Home Assistant has.
const maxTextLength = 255

func (c component) setText(key, value string) {
	if value != "" {
		c[key] = value
	}
}

// hasClasses tells whether Home Assistant has device classes for what becomes of a kind.
func hasClasses(k serialbridge.Kind) bool {
	switch k {
	case serialbridge.Measurement, serialbridge.State, serialbridge.Binary, serialbridge.Event, serialbridge.Switch,
		serialbridge.Setting, serialbridge.Button, serialbridge.Update, serialbridge.Cover, serialbridge.Valve:
		return true
	}
	return false
}

// nameFor returns the name of an entity; an empty one leaves it to Home Assistant,
// which names it after its class in the language of whoever looks at it.
func nameFor(p serialbridge.Property) string {
	name := text(p.Name)
	if name == "" {
		name = nameOf(p.Key)
	}
	class := p.Class
	switch {
	case class == "" || !hasClasses(p.Kind) || p.Kind == serialbridge.State: // date, enum and timestamp say nothing
	case strings.EqualFold(name, nameOf(class)) || strings.EqualFold(name, classNames[class]):
		return ""
	}
	return name
}

// classNames are the classes whose names are not the words of the class.
var classNames = map[string]string{"pm1": "PM1", "pm25": "PM2.5", "pm4": "PM4", "pm10": "PM10", "ph": "pH",
	"carbon_dioxide": "CO2", "aqi": "Air quality index"}

// nameOf makes a name from a key: power_delivered becomes Power delivered.
func nameOf(key string) string {
	s := strings.TrimSpace(strings.ReplaceAll(key, "_", " "))
	if s == "" {
		return key
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
