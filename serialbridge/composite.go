package serialbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// member is one name in the object of a property that is several things in one.
type member struct {
	name  string
	said  shape // of a value; nil: it is none
	asked shape // of a command; nil: it cannot be commanded

	needed bool // Home Assistant takes no null in its place: it is left out
}

// shape makes of a value what it is meant to be, and reports false if it is none.
type shape func(any) (any, bool)

type members []member

// members returns what the object of a property has; nil if its value is no object.
func (p *Property) members() members {
	var m members
	add := func(has bool, name string, said, asked shape) {
		if has {
			m = append(m, member{name: name, said: said, asked: asked, needed: p.Kind == Update && name != "update_percentage"})
		}
	}
	onOff := oneOf("ON", "OFF")
	switch p.Kind {
	case Light:
		color := colorOf("r", "g", "b")
		if p.Has(RGBW) {
			color = colorOf("r", "g", "b", "w")
		}
		add(true, "state", onOff, onOff)
		add(p.Has(Brightness) || p.Has(ColorTemperature) || p.Has(RGB) || p.Has(RGBW), "brightness", within(0, 255), within(0, 255))
		add(p.Has(ColorTemperature), "color_temp", within(0, 1e5), within(p.Min, p.Max))
		add(p.Has(RGB) || p.Has(RGBW), "color", color, color)
		add(true, "color_mode", oneOf("onoff", "brightness", "color_temp", "rgb", "rgbw"), nil)
		add(len(p.Options) > 0, "effect", oneOf(p.Options...), oneOf(p.Options...))
		add(p.Has(Transition), "transition", nil, within(0, 3600))
	case Cover, Valve:
		does := []string{"open", "close"}
		if p.Has(Stop) {
			does = append(does, "stop")
		}
		add(true, "state", oneOf("open", "opening", "closed", "closing", "stopped"), oneOf(does...))
		add(p.Has(Position), "position", within(0, 100), within(0, 100))
		add(p.Kind == Cover && p.Has(Tilt), "tilt", within(0, 100), within(0, 100))
	case Climate:
		temperature, setpoint := within(-273.15, 1e4), within(p.Min, p.Max)
		add(len(p.Options) > 0, "mode", oneOf(p.Options...), oneOf(p.Options...))
		add(p.Has(Setpoint), "temperature", temperature, setpoint)
		add(p.Has(SetpointRange), "temperature_low", temperature, setpoint)
		add(p.Has(SetpointRange), "temperature_high", temperature, setpoint)
		add(p.Has(RoomTemperature), "current_temperature", temperature, nil)
		add(p.Has(RoomHumidity), "current_humidity", within(0, 100), nil)
		add(p.Has(Action), "action", oneOf("off", "heating", "cooling", "drying", "idle", "fan", "preheating", "defrosting"), nil)
		presets := oneOf(append(slices.Clone(p.Presets), "none")...) // the word of Home Assistant's for no preset
		add(len(p.Presets) > 0, "preset", presets, presets)
	case Lock:
		does := []string{"lock", "unlock"}
		if p.Has(Latch) {
			does = append(does, "open")
		}
		add(true, "state", oneOf("locked", "locking", "unlocked", "unlocking", "open", "opening", "jammed"), oneOf(does...))
	case Fan:
		add(true, "state", onOff, onOff)
		add(p.Max > 0, "speed", within(0, p.Max), within(0, p.Max))
		add(len(p.Presets) > 0, "preset", oneOf(p.Presets...), oneOf(p.Presets...))
		add(p.Has(Oscillation), "oscillating", truth, truth)
		add(p.Has(Direction), "direction", oneOf("forward", "reverse"), oneOf("forward", "reverse"))
	case Siren:
		add(true, "state", onOff, onOff)
		add(len(p.Options) > 0, "tone", nil, oneOf(p.Options...))
		add(p.Has(Volume), "volume_level", nil, within(0, 1))
		add(p.Has(Duration), "duration", nil, within(0, 86400))
	case Tracker:
		add(true, "latitude", within(-90, 90), nil)
		add(true, "longitude", within(-180, 180), nil)
		add(true, "gps_accuracy", within(0, 1e7), nil)
		add(true, "altitude", within(-1e5, 1e7), nil)
	case Update:
		for _, name := range []string{"installed_version", "latest_version", "title", "release_summary", "release_url"} {
			add(true, name, someText, nil)
		}
		add(true, "in_progress", truth, nil)
		add(true, "update_percentage", within(0, 100), nil)
	}
	return m
}

// Fits tells whether a value is one that a Reading may carry of the property. Of a
// text without Options and of bytes it says nothing.
func (p *Property) Fits(value any) bool {
	if value == nil {
		return true
	}
	if members := p.members(); members != nil {
		_, ok := members.value(nil, value)
		return ok
	}
	text, _ := value.(string)
	return len(p.Options) == 0 || slices.Contains(p.Options, text)
}

// oneOf is one of some words; upper and lower case are the same to it.
func oneOf(words ...string) shape {
	return func(v any) (any, bool) {
		s, ok := v.(string)
		i := slices.IndexFunc(words, func(word string) bool { return strings.EqualFold(word, s) })
		if !ok || i < 0 {
			return nil, false
		}
		return words[i], true
	}
}

// within is a number, and takes one that is out of the range for the end of it. An
// empty range is none.
func within(low, high float64) shape {
	return func(v any) (any, bool) {
		f, ok := number(v)
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, false
		}
		if low < high {
			f = min(max(f, low), high)
		}
		return f, true
	}
}

func truth(v any) (any, bool) {
	b, ok := v.(bool)
	return b, ok
}

func someText(v any) (any, bool) {
	s, ok := v.(string)
	return s, ok && len(s) <= maxText
}

// colorOf is an object with a number from 0 to 255 for each part of a color.
func colorOf(parts ...string) shape {
	channel := within(0, 255)
	return func(v any) (any, bool) {
		m, ok := v.(map[string]any)
		if !ok || len(m) > len(parts) {
			return nil, false
		}
		color := make(map[string]any, len(parts))
		for _, part := range parts {
			if color[part], ok = channel(m[part]); !ok {
				return nil, false
			}
		}
		return color, true
	}
}

// command checks what somebody wants of a property. A text in place of an object is
// that of its first member.
func (m members) command(value any) (map[string]any, error) {
	object, ok := value.(map[string]any)
	if text, isText := value.(string); isText {
		object, ok = map[string]any{m[0].name: text}, true
		if strings.HasPrefix(text, "{") {
			object = nil
			ok = json.Unmarshal([]byte(text), &object) == nil
		}
	}
	if !ok {
		return nil, errors.New("neither an object nor the word for it")
	}
	if len(object) == 0 {
		return nil, errors.New("says nothing to be done")
	}
	checked := make(map[string]any, len(object))
	for name, v := range object {
		i := slices.IndexFunc(m, func(member member) bool { return member.name == name })
		if i < 0 || m[i].asked == nil {
			return nil, fmt.Errorf("%q cannot be commanded", cleanText(name))
		}
		if checked[name], ok = m[i].asked(v); !ok {
			return nil, fmt.Errorf("%s cannot be that", name)
		}
	}
	return checked, nil
}

// value makes a new object of what was known and what is said now: a member that is
// left out stays as it was, one that is nil is not known any more. What is wrong in it
// is left out, and reported by false.
func (m members) value(before, said any) (value any, ok bool) {
	news, ok := said.(map[string]any)
	if said == nil {
		return nil, true
	}
	if !ok {
		return before, false
	}
	object := make(map[string]any)
	if known, isObject := before.(map[string]any); isObject {
		for _, member := range m {
			if v, has := known[member.name]; has {
				object[member.name] = v
			}
		}
	}
	for name, v := range news {
		i := slices.IndexFunc(m, func(member member) bool { return member.name == name })
		switch {
		case i < 0 || m[i].said == nil:
			ok = false
		case v == nil && m[i].needed:
			delete(object, name)
		case v == nil:
			object[name] = nil
		default:
			if checked, fits := m[i].said(v); fits {
				object[name] = checked
			} else {
				ok = false
			}
		}
	}
	if len(object) == 0 {
		return before, false
	}
	return object, ok
}
