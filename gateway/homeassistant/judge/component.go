package judge

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"lintel/gateway/homeassistant/jinja"
)

// component judges one component, whose keys are long names. What is not in spelled
// was not in the message: it is inherited from the root.
func (s *schema) component(platform string, c object, spelled map[string]string, prefix string, v *Verdict) error {
	set, err := s.keysOf(platform, c)
	if err != nil {
		return err
	}
	if err := replaceBase(c); err != nil {
		return err
	}
	entity := platform != "tag" && platform != "device_automation"
	for _, k := range slices.Sorted(maps.Keys(c)) {
		_, common := s.Common[k]
		if set.has(k) || common && (entity || slices.Contains([]string{"platform", "device", "origin", "qos", "encoding"}, k)) {
			continue
		}
		if own, ok := spelled[k]; ok && k != "~" {
			v.Dropped = append(v.Dropped, prefix+own)
		}
		delete(c, k)
	}
	for _, k := range slices.Sorted(maps.Keys(set.Required)) {
		if _, ok := c[k]; !ok {
			return fmt.Errorf("required key %s missing", k)
		}
	}
	if err := s.envelope(c); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(c)) {
		if err := checkType(platform, k, c[k]); err != nil {
			return err
		}
	}
	if err := s.classes(platform, c, warn(v, prefix)); err != nil {
		return err
	}
	return s.crossRules(platform, c, warn(v, prefix))
}

func warn(v *Verdict, prefix string) func(format string, args ...any) {
	return func(format string, args ...any) {
		v.Warnings = append(v.Warnings, strings.Replace(prefix, ".", ": ", 1)+fmt.Sprintf(format, args...))
	}
}

// keysOf returns the keys of a component; a light has three sets of them.
func (s *schema) keysOf(platform string, c object) (keySet, error) {
	if platform == "light" {
		kind, ok := c["schema"]
		if !ok {
			kind = "basic"
		}
		platform = fmt.Sprintf("light %v", kind)
	}
	set, ok := s.Components[platform]
	if !ok {
		return set, fmt.Errorf("%q: schema is none of basic, json, template", platform)
	}
	return set, nil
}

// replaceBase puts what ~ stands for into the topics.
func replaceBase(c object) error {
	value, ok := c["~"]
	if !ok {
		return nil
	}
	base := fmt.Sprint(value)
	replaced := func(v any) any {
		topic, ok := v.(string)
		if ok && strings.HasPrefix(topic, "~") {
			topic = base + topic[1:]
		}
		if ok && strings.HasSuffix(topic, "~") {
			topic = topic[:len(topic)-1] + base
		}
		if ok {
			return topic
		}
		return v
	}
	for k, v := range c {
		if strings.HasSuffix(k, "topic") {
			c[k] = replaced(v)
		}
	}
	list, ok := c["availability"].([]any)
	if !ok {
		return nil
	}
	items := make([]any, len(list))
	for i, item := range list {
		if m, ok := item.(object); ok {
			m = maps.Clone(m)
			for _, k := range []string{"topic", "t"} {
				if topic, ok := m[k]; ok {
					m[k] = replaced(topic)
				}
			}
			item = m
		}
		items[i] = item
	}
	c["availability"] = items
	return nil
}

// envelope judges what the root of the device form and a component have in common.
func (s *schema) envelope(m object) error {
	if d, ok := m["device"]; ok {
		dev, err := s.strict("device", d, s.Device)
		if err != nil {
			return err
		}
		if err := deviceInfo(dev); err != nil {
			return err
		}
	}
	if o, ok := m["origin"]; ok {
		origin, err := s.strict("origin", o, s.Origin)
		if err != nil {
			return err
		}
		if err := texts("origin", origin, "name", "sw_version"); err != nil {
			return err
		}
		if err := checkURL("origin: support_url", origin["support_url"]); err != nil {
			return err
		}
	}
	_, list := m["availability"]
	_, topic := m["availability_topic"]
	if list && topic {
		return errors.New("both availability and availability_topic")
	}
	if list {
		items, ok := m["availability"].([]any)
		if !ok {
			items = []any{m["availability"]} // an object in place of a list is taken
		}
		for _, item := range items {
			a, err := s.strict("availability", item, s.Availability)
			if err != nil {
				return err
			}
			for _, k := range slices.Sorted(maps.Keys(a)) {
				if err := checkType("", k, a[k]); err != nil {
					return fmt.Errorf("availability: %w", err)
				}
			}
		}
	}
	if mode, ok := m["availability_mode"]; ok && !slices.Contains([]any{"all", "any", "latest"}, mode) {
		return fmt.Errorf("availability_mode %v is none of all, any, latest", mode)
	}
	if qos, ok := m["qos"]; ok {
		if n, ok := numberOf(qos); !ok || n != 0 && n != 1 && n != 2 {
			return fmt.Errorf("qos %v is none of 0, 1, 2", qos)
		}
	}
	return nil
}

func deviceInfo(dev object) error {
	identified := false
	for k, v := range dev {
		switch k {
		case "identifiers":
			ids, ok := v.([]any)
			if !ok {
				ids = []any{v}
			}
			for _, id := range ids {
				if !isText(id) {
					return fmt.Errorf("device: identifiers: %v is not a text", id)
				}
			}
			identified = identified || len(ids) > 0
		case "connections":
			pairs, ok := v.([]any)
			for _, pair := range pairs {
				p, isPair := pair.([]any)
				ok = ok && isPair && len(p) == 2 && isText(p[0]) && isText(p[1])
			}
			if !ok {
				return errors.New("device: connections is not a list of pairs")
			}
			identified = identified || len(pairs) > 0
		case "configuration_url":
			if err := checkURL("device: configuration_url", v); err != nil {
				return err
			}
		default:
			if !isText(v) {
				return fmt.Errorf("device: %s is not a text", k)
			}
		}
	}
	if !identified {
		return errors.New("device: neither identifiers nor connections")
	}
	return nil
}

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
