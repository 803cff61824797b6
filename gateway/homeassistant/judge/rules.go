package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// classes judges device class, unit, state class and options.
func (s *schema) classes(platform string, c object, warn func(string, ...any)) error {
	class, _ := c["device_class"].(string)
	class = strings.ToLower(class)
	if c["device_class"] != nil && class == "" {
		return errors.New("device_class is empty")
	}
	unit, hasUnit := c["unit_of_measurement"].(string)
	unit = strings.ReplaceAll(unit, "\u00b5", "\u03bc") // two micro signs, one unit
	if platform != "sensor" && platform != "number" {
		if class != "" && !slices.Contains(s.DeviceClasses[platform], class) {
			return fmt.Errorf("device_class %q is none of a %s", class, platform)
		}
		return nil
	}
	sensor, known := s.Sensor[class]
	if class != "" && (!known || platform == "number" && slices.Contains([]string{"date", "enum", "timestamp"}, class)) {
		return fmt.Errorf("device_class %q is none of a %s", class, platform)
	}
	fits := !hasUnit || sensor.Units == nil || slices.Contains(sensor.Units, unit)
	if platform == "number" {
		if class != "" && !fits {
			warn("unit %q is not of device_class %s", unit, class)
		}
		return nil
	}
	stateClass, hasStateClass := c["state_class"].(string)
	if _, ok := c["options"]; ok {
		if empty(c["options"]) || class != "enum" || hasUnit || hasStateClass {
			return errors.New("options are empty, or without device_class enum, or with a unit or state_class")
		}
	}
	if _, ok := c["last_reset_value_template"]; ok && stateClass != "total" {
		return errors.New("last_reset_value_template without state_class total")
	}
	if stateClass == "measurement_angle" && unit != "°" {
		return errors.New("state_class measurement_angle without the unit °")
	}
	switch class {
	case "":
	case "date", "enum", "timestamp":
		if hasUnit || hasStateClass {
			warn("device_class %s with a unit or a state_class", class)
		}
	default:
		if !fits {
			return fmt.Errorf("unit %q is not of device_class %s", unit, class)
		}
		if hasStateClass && !slices.Contains(sensor.StateClasses, stateClass) {
			warn("state_class %s does not fit device_class %s", stateClass, class)
		}
	}
	return nil
}

func empty(v any) bool {
	list, ok := v.([]any)
	return ok && len(list) == 0
}

func number(v any, missing float64) float64 {
	if f, ok := numberOf(v); ok && v != nil {
		return f
	}
	return missing
}

func contains(list, v any) bool {
	items, ok := list.([]any)
	return ok && slices.Contains(items, v) || !ok && list == v
}

// pair is two keys that are needed together, or one that needs another.
type pair struct {
	key, needs string
}

var pairs = map[string][]pair{
	"cover": {{"set_position_topic", "position_topic"}, {"value_template", "state_topic"}, {"position_template", "position_topic"},
		{"set_position_template", "set_position_topic"}, {"tilt_command_template", "tilt_command_topic"},
		{"tilt_status_template", "tilt_status_topic"}},
	"climate": {{"preset_modes", "preset_mode_command_topic"}, {"preset_mode_command_topic", "preset_modes"},
		{"target_humidity_state_topic", "target_humidity_command_topic"}},
	"humidifier": {{"modes", "mode_command_topic"}, {"mode_command_topic", "modes"}},
	"fan":        {{"preset_modes", "preset_mode_command_topic"}, {"preset_mode_command_topic", "preset_modes"}},
}

var features = map[string][]string{
	"vacuum":              {"battery", "clean_spot", "fan_speed", "locate", "pause", "return_home", "send_command", "start", "status", "stop"},
	"alarm_control_panel": {"arm_away", "arm_custom_bypass", "arm_home", "arm_night", "arm_vacation", "trigger"},
}

var climateModes = []any{"off", "heat", "cool", "heat_cool", "auto", "dry", "fan_only"}

// crossRules judges the keys of a component against each other.
func (s *schema) crossRules(platform string, c object, warn func(string, ...any)) error {
	for _, p := range pairs[platform] {
		if c[p.key] != nil && c[p.needs] == nil {
			return fmt.Errorf("%s without %s", p.key, p.needs)
		}
	}
	if list, ok := features[platform]; ok {
		given, _ := c["supported_features"].([]any)
		for _, f := range given {
			if text, _ := f.(string); !slices.Contains(list, text) {
				return fmt.Errorf("supported_features: %v is none", f)
			}
		}
	}
	for _, k := range []string{"event_types", "options", "modes", "available_tones", "preset_modes", "effect_list"} {
		if empty(c[k]) {
			warn("%s is empty", k)
		}
	}
	// Beside the new key the old one is for Home Assistants of before.
	if c["object_id"] != nil && c["default_entity_id"] == nil {
		warn("object_id is deprecated, default_entity_id takes its place")
	}
	if c["entity_category"] == "config" && (platform == "sensor" || platform == "binary_sensor") {
		return errors.New("entity_category config of what cannot be commanded: the schema takes it, then adding the entity fails")
	}
	switch platform {
	case "number":
		if number(c["max"], 100) < number(c["min"], 1) {
			return errors.New("max < min")
		}
		if number(c["max"], 100) == number(c["min"], 1) {
			warn("max = min: Home Assistant 2025.1 refuses that")
		}
		if number(c["step"], 1) < 0.001 {
			return errors.New("step < 0.001")
		}
	case "text":
		if low, high := number(c["min"], 0), number(c["max"], 255); low > high || high > 255 || low < 0 {
			return errors.New("min > max, or max > 255")
		}
	case "valve":
		if reports, _ := c["reports_position"].(bool); reports {
			for _, k := range []string{"payload_open", "payload_close", "state_open", "state_closed"} {
				if _, ok := c[k]; ok {
					return fmt.Errorf("reports_position with %s", k)
				}
			}
		}
	case "climate":
		if contains(c["preset_modes"], "none") {
			return errors.New("preset_modes contains none")
		}
		if number(c["min_humidity"], 30) >= number(c["max_humidity"], 99) || number(c["max_humidity"], 99) > 100 {
			return errors.New("min_humidity ≥ max_humidity, or max_humidity > 100")
		}
		if modes, ok := c["modes"].([]any); ok {
			for _, mode := range modes {
				if !slices.Contains(climateModes, mode) {
					warn("mode %v is none of Home Assistant", mode)
				}
			}
		}
	case "humidifier":
		reset, ok := c["payload_reset_mode"]
		if !ok {
			reset = "None"
		}
		if contains(c["modes"], reset) {
			return errors.New("modes contains payload_reset_mode")
		}
		if number(c["min_humidity"], 0) >= number(c["max_humidity"], 100) || number(c["max_humidity"], 100) > 100 {
			return errors.New("min_humidity ≥ max_humidity, or max_humidity > 100")
		}
	case "fan":
		if low := number(c["speed_range_min"], 1); low == 0 || low >= number(c["speed_range_max"], 100) {
			return errors.New("speed_range_min is 0, or not below speed_range_max")
		}
		reset, ok := c["payload_reset_preset_mode"]
		if !ok {
			reset = "None"
		}
		if contains(c["preset_modes"], reset) {
			return errors.New("preset_modes contains payload_reset_preset_mode")
		}
	case "image":
		_, picture := c["image_topic"]
		_, address := c["url_topic"]
		if picture == address {
			return errors.New("neither or both of image_topic, url_topic")
		}
		if _, ok := c["content_type"]; ok && address {
			return errors.New("content_type with url_topic")
		}
	case "device_tracker":
		if c["state_topic"] == nil && c["json_attributes_topic"] == nil {
			return errors.New("neither state_topic nor json_attributes_topic")
		}
	case "update":
		if c["command_topic"] != nil && c["payload_install"] == nil {
			warn("command_topic without payload_install")
		}
	case "light":
		return colorModes(c)
	}
	return nil
}

var lightModes = []string{"onoff", "brightness", "color_temp", "hs", "xy", "rgb", "rgbw", "rgbww", "white"}

// colorModes judges what a light in the schema json says that it can.
func colorModes(c object) error {
	if c["schema"] != "json" {
		return nil
	}
	list, ok := c["supported_color_modes"].([]any)
	if !ok {
		return nil
	}
	for i, mode := range list {
		if text, _ := mode.(string); !slices.Contains(lightModes, text) {
			return fmt.Errorf("supported_color_modes: %v is none", mode)
		}
		if slices.Contains(list[:i], mode) {
			return fmt.Errorf("supported_color_modes: %v is there twice", mode)
		}
	}
	switch {
	case len(list) == 0:
		return errors.New("supported_color_modes is empty")
	case len(list) > 1 && (slices.Contains(list, any("onoff")) || slices.Contains(list, any("brightness"))):
		return errors.New("supported_color_modes: onoff or brightness beside another one; the error is not caught and the message lost")
	case len(list) == 1 && list[0] == "white":
		return errors.New("supported_color_modes: white alone; the error is not caught and the message lost")
	}
	return nil
}
