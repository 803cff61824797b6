package judge

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const maxPayload = 1 << 20

// Verdict is what Home Assistant makes of a discovery message.
type Verdict struct {
	// Accepted says that the message is taken: of a document in device form
	// that all of it but the Lost components is.
	Accepted bool
	Reason   string // why not

	// Dropped are the keys that vanish without a word, sorted; those of the
	// components of a device as "component.key".
	Dropped []string

	// Lost are the components of a device that Home Assistant refuses each on
	// its own, with the reason.
	Lost map[string]string

	// Removed are the components of a device that are taken away, sorted.
	Removed []string

	// Warnings tell what passes and goes wrong later, or is not what somebody
	// meant who wrote it, sorted.
	Warnings []string
}

// Clean returns nil if all of a message is taken as it stands.
func (v Verdict) Clean() error {
	switch {
	case !v.Accepted:
		return fmt.Errorf("refused: %s", v.Reason)
	case len(v.Lost) > 0:
		id := slices.Min(slices.Collect(maps.Keys(v.Lost)))
		return fmt.Errorf("component %s is lost: %s", id, v.Lost[id])
	case len(v.Dropped) > 0:
		return fmt.Errorf("dropped without a word: %q", v.Dropped)
	case len(v.Warnings) > 0:
		return errors.New(v.Warnings[0])
	}
	return nil
}

type object = map[string]any

// keySet maps long names to abbreviations; an empty one is none.
type keySet struct {
	Required map[string]string `json:"required"`
	Optional map[string]string `json:"optional"`
}

func (s keySet) has(key string) bool {
	_, required := s.Required[key]
	_, optional := s.Optional[key]
	return required || optional
}

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
	long map[string]string // by abbreviation: one table for all components
}

//go:embed schema.json
var schemaJSON []byte

var known = sync.OnceValue(func() *schema {
	s := new(schema)
	if err := json.Unmarshal(schemaJSON, s); err != nil {
		panic(err)
	}
	s.long = make(map[string]string)
	note := func(keys map[string]string) {
		for long, short := range keys {
			if short != "" {
				s.long[short] = long
			}
		}
	}
	note(s.Common)
	for _, set := range s.Components {
		note(set.Required)
		note(set.Optional)
	}
	note(s.Availability.Required)
	note(s.Root.Required)
	return s
})

// topicShape is what comes behind the discovery prefix, which may have levels of its own.
var topicShape = regexp.MustCompile(`/[a-z_]+/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config$`)

// Judge says what Home Assistant makes of a message on a discovery topic. An empty
// payload takes away what was there.
func Judge(topic string, payload []byte) Verdict {
	component, err := componentOf(topic)
	if err != nil {
		return Verdict{Reason: err.Error()}
	}
	if len(payload) == 0 {
		return Verdict{Accepted: true}
	}
	if len(payload) > maxPayload {
		return Verdict{Reason: "longer than 1 MiB"}
	}
	var message any
	if !utf8.Valid(payload) {
		return Verdict{Reason: "not UTF-8"}
	}
	if err := json.Unmarshal(payload, &message); err != nil {
		return Verdict{Reason: "not JSON: " + err.Error()}
	}
	root, ok := message.(object)
	if !ok {
		return Verdict{Reason: "not an object"}
	}
	if len(root) == 1 && root["migrate_discovery"] == true {
		return Verdict{Accepted: true}
	}
	var v Verdict
	if component == "device" {
		err = known().device(root, &v)
	} else {
		c, spelled := lengthen(root, known().long)
		err = known().component(component, c, spelled, "", &v)
	}
	if err != nil {
		return Verdict{Reason: err.Error()}
	}
	v.Accepted = true
	slices.Sort(v.Dropped)
	slices.Sort(v.Removed)
	slices.Sort(v.Warnings)
	return v
}

func componentOf(topic string) (string, error) {
	if !topicShape.MatchString(topic) {
		return "", errors.New("topic: not PREFIX/component/[node/]object/config of letters, digits, _ and -")
	}
	// With or without a node: the prefix is not known, so take what is a component.
	levels := strings.Split(topic, "/")
	for _, i := range []int{len(levels) - 4, len(levels) - 3} {
		if i > 0 && (levels[i] == "device" || IsPlatform(levels[i])) {
			return levels[i], nil
		}
	}
	return "", errors.New("topic: a component that Home Assistant does not know and does not subscribe to")
}

// IsPlatform tells whether Home Assistant has components of a platform.
func IsPlatform(name string) bool {
	_, ok := known().Components[name]
	return name == "light" || ok && !strings.HasPrefix(name, "light ") // a light has three schemas
}

// lengthen returns m with long names, and by long name the key as it was spelled.
func lengthen(m object, long map[string]string) (known object, spelled map[string]string) {
	known, spelled = make(object, len(m)), make(map[string]string, len(m))
	for _, abbreviated := range []bool{false, true} { // an abbreviation takes the place of the long name
		for k, v := range m {
			l, short := long[k]
			if short != abbreviated {
				continue
			}
			if !short {
				l = k
			}
			known[l], spelled[l] = v, k
		}
	}
	return known, spelled
}

// strict judges what may have no unknown keys: all but the components.
func (s *schema) strict(what string, v any, set keySet) (object, error) {
	m, ok := v.(object)
	if !ok {
		return nil, fmt.Errorf("%s is not an object", what)
	}
	m, spelled := lengthen(m, set.long())
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !set.has(k) {
			return nil, fmt.Errorf("%s: unknown key %q", what, spelled[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(set.Required)) {
		if _, ok := m[k]; !ok {
			return nil, fmt.Errorf("%s: required key %s missing", what, k)
		}
	}
	return m, nil
}

// inherited are the keys of the root that its components take over, if they are not
// set there.
var inherited = []string{"availability", "availability_mode", "availability_template", "availability_topic",
	"command_topic", "payload_available", "payload_not_available", "state_topic"}

// device judges a document in device form.
func (s *schema) device(message object, v *Verdict) error {
	root, err := s.strict("root", message, s.Root)
	if err != nil {
		return err
	}
	if err := s.envelope(root); err != nil {
		return err
	}
	for _, k := range []string{"state_topic", "command_topic", "encoding", "payload_available", "payload_not_available"} {
		if value, ok := root[k]; ok {
			if err := checkType("", k, value); err != nil {
				return err
			}
		}
	}
	for _, k := range []string{"qos", "encoding"} {
		if _, ok := root[k]; ok {
			v.Warnings = append(v.Warnings, k+" at the root does nothing")
		}
	}
	components, ok := root["components"].(object)
	if !ok {
		return errors.New("components is not an object")
	}
	uniqueIDs := make(map[string]string)
	for _, id := range slices.Sorted(maps.Keys(components)) {
		raw, ok := components[id].(object)
		if !ok {
			return fmt.Errorf("%s is not an object", id)
		}
		c, spelled := lengthen(raw, s.long)
		platform, _ := c["platform"].(string)
		if !IsPlatform(platform) {
			return fmt.Errorf("%s: %v is no platform", id, c["platform"])
		}
		if len(c) == 1 {
			v.Removed = append(v.Removed, id)
			continue
		}
		if platform != "tag" && platform != "device_automation" {
			uniqueID, _ := c["unique_id"].(string)
			if uniqueID == "" {
				return fmt.Errorf("%s: required key unique_id missing", id)
			}
			// Unique is the id among those of a platform.
			if other, taken := uniqueIDs[platform+" "+uniqueID]; taken {
				v.Warnings = append(v.Warnings, fmt.Sprintf("%s: has the unique_id of %s and is ignored", id, other))
			}
			uniqueIDs[platform+" "+uniqueID] = id
		}
		for _, k := range []string{"device", "origin"} {
			if _, ok := c[k]; ok {
				v.Dropped = append(v.Dropped, id+"."+spelled[k])
			}
			c[k] = root[k]
			delete(spelled, k)
		}
		for _, k := range inherited {
			if _, ok := c[k]; !ok && root[k] != nil {
				c[k] = root[k]
			}
		}
		var own Verdict
		if err := s.component(platform, c, spelled, id+".", &own); err != nil {
			if v.Lost == nil {
				v.Lost = make(map[string]string)
			}
			v.Lost[id] = err.Error()
			continue
		}
		v.Dropped = append(v.Dropped, own.Dropped...)
		v.Warnings = append(v.Warnings, own.Warnings...)
	}
	return nil
}
