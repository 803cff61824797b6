package fakehome

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// takeEvent: what was retained is an event of before.
func (e *entity) takeEvent(payload string, m message) {
	if m.retain || payload == "" || payload == none || payload == "{}" {
		return
	}
	v, err := decodeJSON(payload)
	d, ok := v.(*dict)
	if err != nil || !ok {
		e.complain(Payload, m, "no JSON object")
		return
	}
	v, _ = d.get("event_type")
	kind, ok := v.(string)
	if !ok || !slices.Contains(e.texts("event_types"), kind) {
		e.complain(Payload, m, "event_type %v", v)
		return
	}
	e.attributes = plain(d).(map[string]any)
	e.state = time.Now().Format(time.RFC3339Nano)
}

// takeUpdate: a key that is not known makes it ignore the message.
func (e *entity) takeUpdate(payload string, m message) {
	if payload == "" {
		return
	}
	v, err := decodeJSON(payload)
	d, ok := v.(*dict)
	if err != nil || !ok {
		d = new(dict)
		d.set("installed_version", payload)
	}
	for i, key := range d.keys {
		v := d.values[i]
		good := false
		switch key {
		case "installed_version", "latest_version", "title", "release_summary", "release_url", "entity_picture":
			_, good = v.(string)
			good = good || v == nil
		case "in_progress":
			_, good = v.(bool)
		case "update_percentage":
			f, isNumber := number(v)
			good = v == nil || isNumber && f >= 0 && f <= 100
		}
		if !good {
			e.complain(Payload, m, "%v: %v", key, v)
			return
		}
	}
	for i, key := range d.keys {
		e.put(key.(string), plain(d.values[i]))
	}
	if v, ok := d.get("update_percentage"); ok {
		e.put("in_progress", v != nil)
		e.put("update_percentage", plain(v))
	} else if v, ok := d.get("in_progress"); ok && v == false {
		e.put("update_percentage", nil)
	}
	installed, latest := e.attributes["installed_version"], e.attributes["latest_version"]
	switch {
	case installed == nil || latest == nil:
		e.state = nil
	case installed == latest:
		e.state = "off"
	default:
		e.state = "on"
	}
}

// colours are the modes of a light, and what each needs of the key color.
var colours = map[string][]string{"xy": {"x", "y"}, "hs": {"h", "s"}, "rgb": {"r", "g", "b"}, "rgbw": {"r", "g", "b", "w"},
	"rgbww": {"r", "g", "b", "c", "w"}, "color_temp": nil, "brightness": nil, "onoff": nil, "white": nil}

// takeLight knows the schema json, and of the others what is on and off.
func (e *entity) takeLight(payload string, m message) {
	if e.text("schema", "basic") != "json" {
		e.takeOnOff(payload, m)
		return
	}
	v, err := decodeJSON(m.payload)
	d, ok := v.(*dict)
	if err != nil || !ok {
		e.complain(Payload, m, "no JSON object")
		return
	}
	state, has := d.get("state")
	switch {
	case !has:
	case state == nil:
		e.state = nil
	case state == "ON" || state == "OFF":
		e.state = map[any]string{"ON": "on", "OFF": "off"}[state]
	default:
		e.complain(Payload, m, "state %v", state)
	}
	modes := e.texts("supported_color_modes")
	if v, ok := d.get("brightness"); ok && e.document.keys["brightness"] == true && truth(v) {
		f, isNumber := number(v)
		if !isNumber {
			e.complain(Payload, m, "brightness %v", v)
		} else {
			e.put("brightness", min(255, math.Round(f/e.number("brightness_scale", 255)*255)))
		}
	}
	if v, ok := d.get("effect"); ok {
		e.put("effect", plain(v))
	}
	v, ok = d.get("color_mode")
	if !ok || len(modes) == 0 {
		return
	}
	mode, _ := v.(string)
	if !slices.Contains(modes, mode) {
		e.complain(Payload, m, "color_mode %v", v)
		return
	}
	e.put("color_mode", mode)
	if mode == "color_temp" {
		v, _ := d.get("color_temp")
		f, ok := number(v)
		if !ok {
			e.complain(Payload, m, "color_temp %v", v)
			return
		}
		e.put("color_temp", f)
		return
	}
	c, _ := d.get("color")
	colour, _ := c.(*dict)
	for _, key := range colours[mode] {
		var part any
		if colour != nil {
			part, _ = colour.get(key)
		}
		f, ok := number(part)
		if !ok {
			e.complain(Payload, m, "color %s without %s", mode, key)
			return
		}
		e.put(mode+"_"+key, f)
	}
}

// takeSiren takes a state, or an object with one.
func (e *entity) takeSiren(payload string, m message) {
	if payload == "" || payload == "{}" {
		return
	}
	if v, err := decodeJSON(payload); err == nil {
		if d, ok := v.(*dict); ok {
			state, _ := d.get("state")
			payload, _ = state.(string)
			for _, key := range []string{"tone", "volume_level", "duration"} {
				if v, ok := d.get(key); ok {
					e.put(key, plain(v))
				}
			}
			if state == nil {
				payload = none
			}
		}
	}
	e.either(payload, e.text("state_on", e.text("payload_on", "ON")), e.text("state_off", e.text("payload_off", "OFF")), m)
}

// takeValve takes a state, a position, or an object with both.
func (e *entity) takeValve(payload string, m message) {
	states := map[string]string{e.text("state_opening", "opening"): "opening", e.text("state_closing", "closing"): "closing"}
	positions := e.document.keys["reports_position"] == true
	if !positions {
		states[e.text("state_open", "open")], states[e.text("state_closed", "closed")] = "open", "closed"
	}
	if payload == "" {
		return
	}
	state, position := payload, ""
	if positions {
		v, err := decodeJSON(payload)
		if d, ok := v.(*dict); err == nil && ok {
			s, _ := d.get("state")
			p, _ := d.get("position")
			state, _ = s.(string)
			if f, ok := number(p); ok {
				position = strconv.FormatFloat(f, 'f', -1, 64)
			}
		} else if _, ok := number(v); err == nil && ok {
			state, position = "", payload
		}
	}
	if state == none {
		e.state = nil
		return
	}
	if position != "" {
		p, ok := e.percent(position, "position_closed", "position_open", m)
		if !ok {
			return
		}
		e.put("current_position", p)
		e.state = openAt(p)
	}
	if state == "" {
		return
	}
	if to, ok := states[state]; ok {
		e.state = to
	} else if position == "" {
		e.complain(Payload, m, "%q is no state of a valve", state)
	}
}

// takeVacuum takes an object with a state.
func (e *entity) takeVacuum(payload string, m message) {
	v, err := decodeJSON(payload)
	d, ok := v.(*dict)
	if err != nil || !ok {
		e.complain(Payload, m, "no JSON object")
		return
	}
	if state, ok := d.get("state"); ok {
		e.put("", plain(state))
	}
	if speed, ok := d.get("fan_speed"); ok {
		e.put("fan_speed", plain(speed))
	}
}
