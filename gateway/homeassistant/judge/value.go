package judge

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"lintel/gateway/homeassistant/jinja"
)

func texts(what string, m object, keys ...string) error {
	for _, k := range keys {
		if v, ok := m[k]; ok && !isText(v) {
			return fmt.Errorf("%s: %s is not a text", what, k)
		}
	}
	return nil
}

// isText tells whether a value is taken as a text: numbers and truths are.
func isText(v any) bool {
	switch v.(type) {
	case string, float64, bool:
		return true
	}
	return false
}

func checkURL(what string, v any) error {
	if v == nil {
		return nil
	}
	s, _ := v.(string)
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "homeassistant" || u.Host == "" {
		return fmt.Errorf("%s %v is not a URL with a scheme", what, v)
	}
	return nil
}

// numberOf returns a number, or the one that a text is.
func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil && !math.IsNaN(f)
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

var (
	writtenTopics = []string{"command_topic", "set_position_topic", "set_fan_speed_topic"}
	truths        = []string{"optimistic", "tilt_optimistic", "retain", "enabled_by_default", "force_update", "effect", "flash",
		"transition", "color_temp_kelvin", "reports_position", "support_duration", "support_volume_set",
		"code_arm_required", "code_disarm_required", "code_trigger_required", "brightness"}
	counts = []string{"expire_after", "off_delay", "suggested_display_precision", "display_precision", "flash_time_long",
		"flash_time_short", "brightness_scale", "white_scale", "max_mireds", "min_mireds", "max_kelvin", "min_kelvin",
		"speed_range_min", "speed_range_max"}
	numbers = []string{"max_temp", "min_temp", "temp_step", "precision", "initial", "max_humidity", "min_humidity", "max", "min",
		"step", "position_open", "position_closed", "tilt_min", "tilt_max", "tilt_closed_value", "tilt_opened_value"}
	lists = []string{"options", "event_types", "modes", "preset_modes", "fan_modes", "swing_modes", "swing_horizontal_modes",
		"effect_list", "supported_color_modes", "supported_features", "available_tones", "fan_speed_list"}
	regexps = []string{"pattern", "code_format"}
	// nullable are the keys that may be null; for a name that means the device's.
	nullable = []string{"name", "device_class", "unit_of_measurement", "state_class", "payload_open", "payload_close",
		"payload_stop", "payload_stop_tilt", "payload", "entity_category", "suggested_display_precision"}
	checkedElsewhere = []string{"device", "origin", "availability", "availability_mode", "qos", "components", "platform"}
)

// words are the keys whose values are a few words.
var words = map[string]map[string][]string{
	"entity_category":  {"": {"config", "diagnostic"}},
	"mode":             {"number": {"auto", "slider", "box"}, "text": {"text", "password"}},
	"source_type":      {"": {"gps", "router", "bluetooth", "bluetooth_le"}},
	"automation_type":  {"": {"trigger"}},
	"on_command_type":  {"": {"first", "last", "brightness"}},
	"state_class":      {"": {"measurement", "measurement_angle", "total", "total_increasing"}},
	"image_encoding":   {"": {"b64"}},
	"temperature_unit": {"": {"C", "F", "c", "f"}},
}

// checkType judges the value of a key by itself.
func checkType(platform, key string, v any) error {
	bad := func(what string) error { return fmt.Errorf("%s: %s is not %s", key, shown(v), what) }
	if v == nil && (slices.Contains(nullable, key) || platform == "device_automation" && key == "value_template") {
		return nil
	}
	if allowed, ok := words[key]; ok {
		list := allowed[platform]
		if list == nil {
			list = allowed[""]
		}
		if list != nil {
			if text, ok := v.(string); !ok || !slices.Contains(list, text) {
				return bad("one of " + strings.Join(list, ", "))
			}
			return nil
		}
	}
	switch {
	case slices.Contains(checkedElsewhere, key):
		return nil
	case strings.HasSuffix(key, "_topic") || key == "topic":
		written := slices.Contains(writtenTopics, key) || strings.HasSuffix(key, "_command_topic")
		if err := checkTopic(v, written); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	case strings.HasSuffix(key, "_template"):
		text, ok := v.(string)
		if !ok {
			return bad("a template")
		}
		if _, err := jinja.Parse(text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	case slices.Contains(truths, key):
		switch v := v.(type) {
		case bool, float64:
		case string:
			if !slices.Contains([]string{"true", "yes", "on", "enable", "1", "false", "no", "off", "disable", "0"}, strings.ToLower(v)) {
				return bad("true or false")
			}
		default:
			return bad("true or false")
		}
	case slices.Contains(counts, key):
		n, ok := numberOf(v)
		if !ok || n < 0 || n != math.Trunc(n) {
			return bad("a whole number that is not negative")
		}
		if n < 1 && strings.HasSuffix(key, "_scale") {
			return bad("1 or more")
		}
	case slices.Contains(numbers, key):
		n, ok := numberOf(v)
		if !ok {
			return bad("a number")
		}
		if key == "precision" && n != 0.1 && n != 0.5 && n != 1 {
			return bad("one of 0.1, 0.5, 1")
		}
	case slices.Contains(lists, key):
		list, ok := v.([]any)
		if !ok {
			list = []any{v} // one is taken for a list of one
		}
		for _, item := range list {
			if !isText(item) {
				return bad("a list of texts")
			}
		}
	case slices.Contains(regexps, key):
		text, ok := v.(string)
		_, err := syntax.Parse(text, syntax.Perl)
		// Python knows what Go does not: looking ahead, references back.
		var trouble *syntax.Error
		known := errors.As(err, &trouble) && trouble.Code != syntax.ErrInvalidPerlOp && trouble.Code != syntax.ErrInvalidEscape &&
			trouble.Code != syntax.ErrInvalidNamedCapture && trouble.Code != syntax.ErrInvalidRepeatSize
		if !ok || known {
			return bad("a regular expression")
		}
	case key == "icon":
		if text, ok := v.(string); !ok || !strings.Contains(text, ":") {
			return bad("of the form prefix:name")
		}
	case key == "entity_picture" || key == "release_url":
		if v == nil {
			return bad("a URL")
		}
		return checkURL(key, v)
	default:
		if !isText(v) {
			return bad("a text")
		}
	}
	return nil
}

// shown is a value as it may stand in a reason.
func shown(v any) string {
	s := fmt.Sprint(v)
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return strconv.Quote(s)
}

// checkTopic judges a topic that Home Assistant reads, or writes to.
func checkTopic(v any, written bool) error {
	topic, ok := v.(string)
	switch {
	case !ok:
		return errors.New("not a text")
	case topic == "":
		return errors.New("empty")
	case len(topic) > 65535:
		return errors.New("too long")
	case strings.ContainsFunc(topic, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe
	}):
		return errors.New("holds a control character")
	case written && strings.ContainsAny(topic, "+#"):
		return errors.New("a wildcard in a topic that is written to")
	}
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		if strings.Contains(level, "+") && level != "+" || strings.Contains(level, "#") && (level != "#" || i < len(levels)-1) {
			return errors.New("a wildcard that is not a whole level, or # before the end")
		}
	}
	return nil
}
