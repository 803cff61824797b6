package judge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
