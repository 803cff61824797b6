package homeassistant

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee/devices"
)

func (m *zigbeeMaker) property(x *devices.Expose) string {
	if m.e.Group {
		return plainProperty(x)
	}
	return x.Property
}

// endpoint is what stands in topics: a group has none.
func (m *zigbeeMaker) endpoint(x *devices.Expose) string {
	if m.e.Group {
		return ""
	}
	return x.Endpoint
}

func (m *zigbeeMaker) light(x *devices.Expose, same, all []*devices.Expose) []*zigbeeEntry {
	state := feature(x, "state")
	if state == nil {
		return nil
	}
	endpoint := m.endpoint(x)
	has := func(name string) bool {
		return slices.ContainsFunc(same, func(x *devices.Expose) bool { return feature(x, name) != nil })
	}
	// A bulb that names hue and saturation first wants those; so does a group with one.
	preferHS := slices.ContainsFunc(same, func(x *devices.Expose) bool {
		xy := slices.IndexFunc(x.Features, func(f *devices.Expose) bool { return f.Name == "color_xy" })
		hs := slices.IndexFunc(x.Features, func(f *devices.Expose) bool { return f.Name == "color_hs" })
		return xy >= 0 && hs >= 0 && hs < xy
	})
	var modes []string
	if has("color_xy") && !preferHS {
		modes = append(modes, "xy")
	}
	if has("color_hs") && (preferHS || !has("color_xy")) {
		modes = append(modes, "hs")
	}
	if has("color_temp") {
		modes = append(modes, "color_temp")
	}
	if modes == nil {
		modes = []string{"brightness"} // which cannot be together with others
	}
	keys := map[string]any{
		"name": entityName(endpoint), "brightness": has("brightness"), "schema": "json",
		"command_topic": m.set(endpoint, ""), "brightness_scale": 254, "supported_color_modes": modes,
	}
	if endpoint != "" {
		keys["state_topic"] = m.state() + "/" + endpoint
	}
	if has("color_temp") {
		// What all bulbs of a group can do.
		low, high := math.Inf(-1), math.Inf(1)
		for _, x := range same {
			if f := feature(x, "color_temp"); f != nil {
				if f.ValueMin != nil {
					low = max(low, *f.ValueMin)
				}
				if f.ValueMax != nil {
					high = min(high, *f.ValueMax)
				}
			}
		}
		if !math.IsInf(low, 0) {
			keys["min_mireds"] = low
		}
		if !math.IsInf(high, 0) {
			keys["max_mireds"] = high
		}
	}
	var effects []string
	for _, e := range all {
		if e.Type == "enum" && e.Name == "effect" {
			for _, effect := range texts(e.Values) {
				if !slices.Contains(effects, effect) {
					effects = append(effects, effect)
				}
			}
		}
	}
	if len(effects) > 0 {
		keys["effect"], keys["effect_list"] = true, effects
	}
	return []*zigbeeEntry{{platform: "light", object: withEndpoint("light", endpoint), endpoint: endpoint, unknown: unknown(state.Property), keys: keys}}
}

// switchLooks are switches that are settings, known by their property.
var switchLooks = map[string]string{
	"auto_lock": "mdi:lock", "away_mode": "mdi:home-export-outline", "comfort_smiley": "mdi:emoticon-happy-outline",
	"enable_display": "mdi:monitor", "indicator": "mdi:led-on", "tilt_mode": "mdi:angle-acute",
	"valve_detection": "mdi:pipe-valve", "window_detection": "mdi:window-open-variant",
}

func (m *zigbeeMaker) switches(x *devices.Expose) []*zigbeeEntry {
	state := feature(x, "state")
	if state == nil {
		return nil
	}
	endpoint, property := m.endpoint(x), m.property(state)
	keys := map[string]any{
		"name": entityName(endpoint), "payload_on": state.ValueOn, "payload_off": state.ValueOff,
		"value_template": template(property), "command_topic": m.set(endpoint, ""),
	}
	entry := &zigbeeEntry{platform: "switch", object: withEndpoint("switch", endpoint), unknown: unknown(property), keys: keys}
	if icon, setting := switchLooks[property]; setting {
		entry.object = property
		keys["name"] = x.Label
		keys["command_topic"] = m.set(endpoint, property)
		keys["state_on"], keys["state_off"] = state.ValueOn, state.ValueOff
		keys["entity_category"], keys["icon"] = "config", icon
	}
	return []*zigbeeEntry{entry}
}

func (m *zigbeeMaker) lock(x *devices.Expose) []*zigbeeEntry {
	state := feature(x, "state")
	if state == nil {
		return nil
	}
	endpoint, postfix := m.endpoint(x), ""
	if endpoint != "" {
		postfix = state.Property
	}
	return []*zigbeeEntry{{
		platform: "lock", object: withEndpoint("lock", endpoint), unknown: unknown(state.Property),
		keys: map[string]any{
			"name": entityName(endpoint), "command_topic": m.set(endpoint, postfix), "value_template": template(state.Property),
			"state_locked": state.ValueOn, "state_unlocked": state.ValueOff,
		},
	}}
}

// Words by which covers say what their motor does.
var (
	openingWords = []string{"opening", "open", "forward", "up", "rising"}
	closingWords = []string{"closing", "close", "backward", "back", "reverse", "down", "declining"}
	stoppedWords = []string{"stopped", "stop", "pause", "paused"}
)

func wordOf(values []any, words []string) string {
	for _, v := range values {
		if s := fmt.Sprint(v); slices.Contains(words, strings.ToLower(s)) {
			return s
		}
	}
	return ""
}

func (m *zigbeeMaker) cover(x *devices.Expose, same, all []*devices.Expose) []*zigbeeEntry {
	first := func(name string) *devices.Expose {
		for _, x := range same {
			if f := feature(x, name); f != nil {
				return f
			}
		}
		return nil
	}
	state, position, tilt := first("state"), first("position"), first("tilt")
	if state == nil {
		return nil
	}
	endpoint := m.endpoint(x)
	topic := m.state()
	if endpoint != "" {
		topic += "/" + endpoint
	}
	keys := map[string]any{"name": entityName(endpoint), "command_topic": m.set(endpoint, ""), "state_topic": topic}
	keys["value_template"] = template(plainProperty(state))
	keys["state_open"], keys["state_closed"], keys["state_stopped"] = "OPEN", "CLOSE", "STOP"
	published := func(kind string, names ...string) *devices.Expose {
		for _, e := range all {
			if e.Type == kind && slices.Contains(names, e.Name) && e.Access&devices.Published != 0 {
				return e
			}
		}
		return nil
	}
	if running := published("binary", "running"); running != nil && position != nil {
		keys["value_template"] = runningTemplate(plainProperty(running), plainProperty(position))
		delete(keys, "state_open")
		delete(keys, "state_closed")
		delete(keys, "state_stopped")
	}
	if motor := published("enum", "motor_state", "moving"); motor != nil {
		opening, closing, stopped := wordOf(motor.Values, openingWords), wordOf(motor.Values, closingWords), wordOf(motor.Values, stoppedWords)
		if opening != "" && closing != "" && stopped != "" {
			keys["state_opening"], keys["state_closing"], keys["state_stopped"] = opening, closing, stopped
			keys["state_open"], keys["state_closed"] = "OPEN", "CLOSE"
			at := ""
			if position != nil {
				at = plainProperty(position)
			}
			keys["value_template"] = motorTemplate(plainProperty(motor), plainProperty(state), at, opening, closing, stopped)
		}
	}
	if position == nil && tilt == nil {
		keys["optimistic"] = true
	}
	if position != nil {
		keys["position_template"] = template(plainProperty(position))
		keys["set_position_template"] = `{ "` + m.property(position) + `": {{ position }} }`
		keys["set_position_topic"] = m.set(endpoint, "")
		keys["position_topic"] = topic
	}
	if tilt != nil {
		keys["tilt_command_topic"] = m.set(endpoint, "tilt")
		keys["tilt_status_topic"] = topic
		keys["tilt_status_template"] = template(plainProperty(tilt))
	}
	return []*zigbeeEntry{{platform: "cover", object: withEndpoint("cover", endpoint), endpoint: endpoint, unknown: unknown(state.Property), keys: keys}}
}

// runningTemplate guesses the direction of a curtain that says only that it runs: away
// from the end at which it is.
func runningTemplate(running, position string) string {
	return fmt.Sprintf(`{%% if value_json["%s"] | default(false) %%}{{ 'closing' if value_json["%s"] > 0 else 'opening' }}{%% else %%}stopped{%% endif %%}`,
		running, position)
}

// motorTemplate tells where a cover is from its motor. Some motors go on saying that they
// move when the cover has long arrived: where position and state agree, those win.
func motorTemplate(motor, state, position, opening, closing, stopped string) string {
	s := fmt.Sprintf(`{%% set m = value_json["%s"] | default('') %%}{%% set s = value_json["%s"] | default('') %%}`, motor, state)
	rest := fmt.Sprintf(`{{ s if s in ['OPEN', 'CLOSE'] else '%s' }}`, stopped)
	if position == "" {
		return s + fmt.Sprintf(`{%% if m in ['%s', '%s'] %%}{{ m }}{%% else %%}%s{%% endif %%}`, opening, closing, rest)
	}
	return s + fmt.Sprintf(`{%% set p = value_json["%s"] | default(none) %%}`+
		`{%% if p == 0 and s == 'CLOSE' or p == 100 and s == 'OPEN' %%}{{ s }}`+
		`{%% elif m in ['%s', '%s'] %%}{{ m }}`+
		`{%% elif m == '%s' and p is not none %%}{{ 'CLOSE' if p == 0 else 'OPEN' }}`+
		`{%% else %%}%s{%% endif %%}`, position, opening, closing, stopped, rest)
}

// fan is a fan with a speed, or with modes of which some are speeds.
func (m *zigbeeMaker) fan(x *devices.Expose) []*zigbeeEntry {
	keys := map[string]any{"name": nil, "percentage_state_topic": m.state()}
	mode, speed := feature(x, "mode"), feature(x, "speed")
	switch {
	case mode != nil:
		values := texts(mode.Values)
		speeds, presets := []string{"off"}, []string{}
		for _, s := range []string{"low", "medium", "high", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
			if slices.Contains(values, s) {
				speeds = append(speeds, s)
			}
		}
		for _, s := range []string{"on", "auto", "smart"} {
			if slices.Contains(values, s) {
				presets = append(presets, s)
			}
		}
		if m.e.Model == "99432" { // on is its fourth speed
			speeds, presets = []string{"off", "low", "medium", "high", "on"}, []string{"smart"}
		}
		var toNumber, toName []string
		for i, s := range speeds {
			toNumber = append(toNumber, fmt.Sprintf("'%s':%d", s, i))
			toName = append(toName, fmt.Sprintf("%d:'%s'", i, s))
		}
		keys["percentage_command_topic"] = m.set("", "fan_mode")
		keys["percentage_value_template"] = `{{ {` + strings.Join(toNumber, ", ") + `}[value_json["` + mode.Property + `"]] | default('None') }}`
		keys["percentage_command_template"] = `{{ {` + strings.Join(toName, ", ") + `}[value] | default('') }}`
		keys["speed_range_min"], keys["speed_range_max"] = 1, len(speeds)-1
		keys["preset_mode_state_topic"] = m.state()
		keys["preset_mode_command_topic"] = m.set("", "fan_mode")
		keys["preset_mode_value_template"] = `{{ value_json["` + mode.Property + `"] if value_json["` + mode.Property + `"] in ['` +
			strings.Join(presets, "', '") + `'] else 'None' | default('None') }}`
		keys["preset_modes"] = presets
		keys["state_value_template"] = "{{ value_json.fan_state }}"
		keys["command_topic"] = m.set("", "fan_state")
	case speed != nil:
		keys["percentage_command_topic"] = m.set("", "speed")
		keys["percentage_value_template"] = `{{ value_json["` + speed.Property + `"] | default('None') }}`
		keys["percentage_command_template"] = `{{ value | default('') }}`
		if speed.ValueMin != nil {
			keys["speed_range_min"] = *speed.ValueMin
		}
		if speed.ValueMax != nil {
			keys["speed_range_max"] = *speed.ValueMax
		}
		keys["state_value_template"] = "{{ value_json.state }}"
		keys["command_topic"] = m.set("", "state")
	default:
		return nil
	}
	return []*zigbeeEntry{{platform: "fan", object: "fan", unknown: unknown("fan_state"), keys: keys}}
}
