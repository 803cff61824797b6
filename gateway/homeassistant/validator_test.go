package homeassistant

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema is what Home Assistant knows, see testdata/README.md.
type schema struct {
	Components    map[string]keySet   `json:"components"`
	Common        map[string]string   `json:"common"`
	Root          keySet              `json:"root"`
	Device        keySet              `json:"device"`
	Origin        keySet              `json:"origin"`
	Availability  keySet              `json:"availability"`
	DeviceClasses map[string][]string `json:"device_classes"`
	Sensor        map[string]struct {
		Units        []string `json:"units"` // null: any
		StateClasses []string `json:"state_classes"`
	} `json:"sensor"`
}

// keySet maps long names to abbreviations.
type keySet struct {
	Required map[string]string `json:"required"`
	Optional map[string]string `json:"optional"`
}

func loadSchema(t *testing.T) *schema {
	t.Helper()
	data, err := os.ReadFile("testdata/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

type object = map[string]any

// unfold returns m with long names, and the keys that are not known.
func unfold(m object, sets ...map[string]string) (known object, unknown []string) {
	known = make(object)
next:
	for k, v := range m {
		for _, set := range sets {
			for long, short := range set {
				if k == long || k == short {
					known[long] = v
					continue next
				}
			}
		}
		unknown = append(unknown, k)
	}
	slices.Sort(unknown)
	return known, unknown
}

// strict refuses unknown and missing keys, as Home Assistant does everywhere but
// in components.
func (s *schema) strict(what string, v any, set keySet) (object, error) {
	m, ok := v.(object)
	if !ok {
		return nil, fmt.Errorf("%s is not an object", what)
	}
	known, unknown := unfold(m, set.Required, set.Optional)
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%s: unknown keys %q", what, unknown)
	}
	for k := range set.Required {
		if _, ok := known[k]; !ok {
			return nil, fmt.Errorf("%s: required key %s missing", what, k)
		}
	}
	return known, nil
}

var topicShape = regexp.MustCompile(`^[^/]+/([a-z_]+)/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config$`)

// validate judges a discovery message as Home Assistant does: refused with an
// error, or accepted, with the keys that vanish without a word.
func (s *schema) validate(topic, payload string) (ignored []string, err error) {
	m := topicShape.FindStringSubmatch(topic)
	if m == nil {
		return nil, errors.New("topic: object id with characters that are not allowed")
	}
	var root object
	if err := json.Unmarshal([]byte(payload), &root); err != nil {
		return nil, err
	}
	if m[1] != "device" {
		return s.component(m[1], root, false)
	}
	root, err = s.strict("root", root, s.Root)
	if err != nil {
		return nil, err
	}
	if err := s.envelope(root); err != nil {
		return nil, err
	}
	cmps, ok := root["components"].(object)
	if !ok {
		return nil, errors.New("components is not an object")
	}
	uniqueIDs := make(map[any]bool)
	for _, id := range slices.Sorted(maps.Keys(cmps)) {
		c, ok := cmps[id].(object)
		if !ok {
			return nil, fmt.Errorf("%s is not an object", id)
		}
		c = maps.Clone(c)
		common, _ := unfold(c, s.Common)
		platform, _ := common["platform"].(string)
		if platform == "" {
			return nil, fmt.Errorf("%s: component without platform", id)
		}
		if len(c) == 1 {
			continue // removal
		}
		if uniqueIDs[common["unique_id"]] {
			return nil, fmt.Errorf("%s: unique_id %v occurs twice", id, common["unique_id"])
		}
		if uid := common["unique_id"]; uid != nil {
			uniqueIDs[uid] = true
		}
		for _, k := range []string{"device", "dev", "origin", "o"} { // replaced by the root's
			if _, ok := c[k]; ok {
				ignored = append(ignored, id+"."+k)
				delete(c, k)
			}
		}
		for _, k := range []string{"state_topic", "command_topic"} { // inherited
			if v, ok := root[k]; ok && c[k] == nil && c[s.abbreviation(k)] == nil {
				if s.takes(platform, k) {
					c[k] = v
				}
			}
		}
		if platform == "device_automation" {
			c["device"] = root["device"]
		}
		ign, err := s.component(platform, c, true)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		for _, k := range ign {
			ignored = append(ignored, id+"."+k)
		}
	}
	return ignored, nil
}

func (s *schema) abbreviation(key string) string { return s.Root.Optional[key] }

func (s *schema) takes(platform, key string) bool {
	set := s.Components[platform]
	_, a := set.Required[key]
	_, b := set.Optional[key]
	return a || b
}

// envelope checks what the root of the device form and a component have in
// common; keys are long.
func (s *schema) envelope(m object) error {
	if d, ok := m["device"]; ok {
		dev, err := s.strict("device", d, s.Device)
		if err != nil {
			return err
		}
		if dev["identifiers"] == nil && dev["connections"] == nil {
			return errors.New("device: neither identifiers nor connections")
		}
		if err := checkURL("device: configuration_url", dev["configuration_url"]); err != nil {
			return err
		}
	}
	if o, ok := m["origin"]; ok {
		or, err := s.strict("origin", o, s.Origin)
		if err != nil {
			return err
		}
		if err := checkURL("origin: support_url", or["support_url"]); err != nil {
			return err
		}
	}
	if m["availability"] != nil && m["availability_topic"] != nil {
		return errors.New("availability and availability_topic")
	}
	if list, ok := m["availability"].([]any); ok {
		for _, a := range list {
			if _, err := s.strict("availability", a, s.Availability); err != nil {
				return err
			}
		}
	}
	if mode := m["availability_mode"]; mode != nil && !slices.Contains([]any{"all", "any", "latest"}, mode) {
		return fmt.Errorf("availability_mode %v", mode)
	}
	if q := m["qos"]; q != nil && q != 0.0 && q != 1.0 && q != 2.0 {
		return fmt.Errorf("qos %v", q)
	}
	return nil
}

func checkURL(what string, v any) error {
	if v == nil {
		return nil
	}
	u, err := url.Parse(fmt.Sprint(v))
	if err != nil || u.Scheme == "" || u.Host == "" {
		return fmt.Errorf("%s %v is not a URL with a scheme", what, v)
	}
	return nil
}

// component judges one component. Rules across keys are those of the platforms
// that Lintel generates.
func (s *schema) component(platform string, raw object, deviceForm bool) (ignored []string, err error) {
	name := platform
	if platform == "light" {
		kind, ok := raw["schema"]
		if !ok {
			kind = "basic"
		}
		name = fmt.Sprintf("light %v", kind)
	}
	set, ok := s.Components[name]
	if !ok {
		return nil, fmt.Errorf("unknown component %q", name)
	}
	raw = maps.Clone(raw)
	delete(raw, "~")
	m, ignored := unfold(raw, s.Common, set.Required, set.Optional)
	for k := range set.Required {
		if m[k] == nil {
			return nil, fmt.Errorf("required key %s missing", k)
		}
	}
	if deviceForm && m["unique_id"] == nil && platform != "tag" && platform != "device_automation" {
		return nil, errors.New("required key unique_id missing")
	}
	if err := s.envelope(m); err != nil {
		return nil, err
	}
	if icon, ok := m["icon"].(string); ok && !strings.Contains(icon, ":") {
		return nil, errors.New("icon without prefix")
	}
	for k, v := range m {
		topic, ok := v.(string)
		if !ok {
			continue
		}
		if strings.HasSuffix(k, "_topic") && topic == "" || k == "command_topic" && strings.ContainsAny(topic, "+#") {
			return nil, fmt.Errorf("%s %q", k, topic)
		}
		// Not a parser of templates, but enough to see one cut short.
		if strings.HasSuffix(k, "_template") && (strings.Count(topic, "{{") != strings.Count(topic, "}}") || strings.Count(topic, "{%") != strings.Count(topic, "%}")) {
			return nil, fmt.Errorf("%s %q", k, topic)
		}
	}
	switch category := m["entity_category"]; {
	case category == nil, category == "diagnostic":
	case category == "config" && platform != "sensor" && platform != "binary_sensor":
	default:
		return nil, fmt.Errorf("entity_category %v", category)
	}
	return ignored, s.classes(platform, m)
}

// classes checks device class, unit, state class, options and ranges.
func (s *schema) classes(platform string, m object) error {
	class, _ := m["device_class"].(string)
	unit, hasUnit := m["unit_of_measurement"].(string)
	stateClass, hasStateClass := m["state_class"].(string)
	options, hasOptions := m["options"].([]any)
	switch platform {
	case "sensor":
		if hasOptions && (len(options) == 0 || class != "enum" || hasUnit || hasStateClass) {
			return errors.New("options are empty, or without device_class enum, or with a unit or state_class")
		}
		if stateClass != "" && !slices.Contains([]string{"measurement", "total", "total_increasing", "measurement_angle"}, stateClass) {
			return fmt.Errorf("state_class %q", stateClass)
		}
		if v, ok := m["expire_after"].(float64); ok && v < 0 {
			return errors.New("expire_after negative")
		}
		fallthrough
	case "number":
		if class == "" {
			break
		}
		known, ok := s.Sensor[class]
		if !ok || platform == "number" && slices.Contains([]string{"date", "enum", "timestamp"}, class) {
			return fmt.Errorf("device_class %q", class)
		}
		if hasUnit && known.Units != nil && !slices.Contains(known.Units, unit) {
			return fmt.Errorf("unit %q is not of device_class %s", unit, class)
		}
		if hasStateClass && !slices.Contains(known.StateClasses, stateClass) {
			return fmt.Errorf("state_class %q does not fit device_class %s", stateClass, class)
		}
	default:
		if classes := s.DeviceClasses[platform]; class != "" && !slices.Contains(classes, class) {
			return fmt.Errorf("device_class %q", class)
		}
	}
	low, high := number(m["min"], 1), number(m["max"], 100)
	switch platform {
	case "number":
		if high < low || number(m["step"], 1) < 0.001 {
			return errors.New("max < min, or step < 0.001")
		}
	case "text":
		if number(m["max"], 255) > 255 {
			return errors.New("max above 255")
		}
	}
	return nil
}

func number(v any, missing float64) float64 {
	if f, ok := v.(float64); ok {
		return f
	}
	return missing
}

// different is where the validator means to judge differently.
var different = map[string]string{
	"homeassistant/sensor/gw1/b5/config":   "stricter: enum with a unit is accepted and makes no sense",
	"homeassistant/light/gw1/b20/config":   "rule of a platform that is not generated",
	"homeassistant/climate/gw1/b24/config": "rule of a platform that is not generated",
	"homeassistant/valve/gw1/b29/config":   "rule of a platform that is not generated",
}

// TestValidator proves the validator: it agrees with Home Assistant's verdicts.
func TestValidator(t *testing.T) {
	s := loadSchema(t)
	data, err := os.ReadFile("testdata/homeassistant_discovery.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Topic, Payload, Verdict, Reason string
		Ignored                         []string `json:"ignored_keys"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if _, ok := different[c.Topic]; ok {
			continue
		}
		ignored, err := s.validate(c.Topic, c.Payload)
		if (err == nil) != (c.Verdict == "accepted") {
			t.Errorf("%s: %s (%s), but the validator says %v", c.Topic, c.Verdict, c.Reason, err)
		}
		if err == nil && !slices.Equal(ignored, c.Ignored) && len(ignored)+len(c.Ignored) > 0 {
			t.Errorf("%s: ignored %q, want %q", c.Topic, ignored, c.Ignored)
		}
	}
}
