package homeassistant

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"lintel/serialbridge/zigbee/devices"
)

// expose returns the entities of an expose. For a group, same are those of all
// members of its type; for a device it is the one. all are all exposes of the device or
// of the members.
func (m *zigbeeMaker) expose(x *devices.Expose, same, all []*devices.Expose) []*zigbeeEntry {
	var entries []*zigbeeEntry
	switch x.Type {
	case "light":
		entries = m.light(x, same, all)
	case "switch":
		entries = m.switches(x)
	case "lock":
		entries = m.lock(x)
	case "cover":
		entries = m.cover(x, same, all)
	case "fan":
		entries = m.fan(x)
	case "climate":
		entries = m.climate(x, all)
	case "binary":
		entries = m.binary(x)
	case "numeric":
		entries = m.numeric(x)
	case "enum":
		entries = m.enum(x)
	case "text", "composite", "list":
		entries = m.text(x)
	}
	for _, entry := range entries {
		finish(entry, x)
	}
	return entries
}

// finish applies what an expose says of itself, and the rules of Home Assistant that
// hold for all platforms.
func finish(entry *zigbeeEntry, x *devices.Expose) {
	keys := entry.keys
	if x.Category == "config" || x.Category == "diagnostic" {
		keys["entity_category"] = x.Category
	}
	for _, o := range []struct{ from, to string }{
		{"schema", "schema"}, {"entityCategory", "entity_category"}, {"deviceClass", "device_class"},
		{"enabledByDefault", "enabled_by_default"}, {"icon", "icon"}, {"name", "name"}, {"valueTemplate", "value_template"},
	} {
		if v, ok := x.HomeAssistant[o.from]; ok {
			keys[o.to] = v
			if v == nil && o.to == "value_template" {
				delete(keys, o.to)
			}
		}
	}
	if platform, ok := x.HomeAssistant["type"].(string); ok {
		entry.platform = platform
	}
	// A sensor takes nothing in, so it cannot be a setting; Home Assistant refuses it.
	if (entry.platform == "sensor" || entry.platform == "binary_sensor") && keys["entity_category"] == "config" {
		keys["entity_category"] = "diagnostic"
	}
	// With a class Home Assistant finds a name of its own, in the language of the user.
	if name, ok := keys["name"]; ok && name != nil && keys["device_class"] != nil && !lookup(x).keepName {
		delete(keys, "name")
	}
}

// look is how a property appears in Home Assistant.
type look struct {
	deviceClass, stateClass, category, icon string
	hidden, keepName, inverted              bool
}

//go:embed zigbee_properties.tsv
var zigbeeProperties string

var looks = sync.OnceValue(func() map[string]look {
	m := make(map[string]look)
	for line := range strings.Lines(zigbeeProperties) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := slices.Grow(strings.Split(strings.TrimSuffix(line, "\n"), "\t"), 9)[:9]
		m[f[0]+" "+f[1]] = look{f[2], f[3], f[4], f[5], f[6] != "", f[7] != "", f[8] != ""}
	}
	return m
})

func lookup(x *devices.Expose) look {
	kind, name := x.Type, x.Name
	switch {
	case kind == "list" || kind == "composite":
		kind = "text"
	case name == "voc" && (x.Unit == "ppb" || x.Unit == "ppm"):
		name = "voc_parts" // another class than µg/m³
	}
	return looks()[kind+" "+name]
}

// apply puts the look into the document.
func (l look) apply(keys map[string]any) {
	for key, value := range map[string]string{
		"device_class": l.deviceClass, "state_class": l.stateClass, "entity_category": l.category, "icon": l.icon,
	} {
		if value != "" {
			keys[key] = value
		}
	}
	if l.hidden {
		keys["enabled_by_default"] = false
	}
}

// template reads a property of the state.
func template(property string) string { return `{{ value_json["` + property + `"] }}` }

// label is the name of an entity.
func label(x *devices.Expose) string {
	if x.Endpoint != "" {
		return x.Label + " " + x.Endpoint
	}
	return x.Label
}

// withEndpoint appends the endpoint to the object.
func withEndpoint(name, endpoint string) string {
	if endpoint != "" {
		return name + "_" + endpoint
	}
	return name
}

// entityName is the name of what a device is for: that of the endpoint, or null, which
// is the device's own.
func entityName(endpoint string) any {
	if endpoint == "" {
		return nil
	}
	return strings.ToUpper(endpoint[:1]) + endpoint[1:]
}

func unknown(property string) map[string]any { return map[string]any{property: nil} }

// feature returns the feature of that name, or nil.
func feature(x *devices.Expose, names ...string) *devices.Expose {
	for _, f := range x.Features {
		if slices.Contains(names, f.Name) {
			return f
		}
	}
	return nil
}

// plainProperty is the property without its endpoint.
func plainProperty(x *devices.Expose) string {
	if x.Endpoint != "" {
		return strings.TrimSuffix(x.Property, "_"+x.Endpoint)
	}
	return x.Property
}

func (m *zigbeeMaker) binary(x *devices.Expose) []*zigbeeEntry {
	keys := map[string]any{"name": label(x), "value_template": template(x.Property)}
	entry := &zigbeeEntry{platform: "binary_sensor", object: withEndpoint(x.Name, x.Endpoint), unknown: unknown(x.Property), keys: keys}
	keys["payload_on"], keys["payload_off"] = x.ValueOn, x.ValueOff
	if x.Access&devices.Settable != 0 {
		entry.platform, entry.object = "switch", withEndpoint("switch_"+x.Name, x.Endpoint)
		// A template makes text of a value, and Python writes True.
		if _, isBool := x.ValueOn.(bool); isBool {
			keys["value_template"] = `{% if value_json["` + x.Property + `"] %}true{% else %}false{% endif %}`
		}
		keys["payload_on"], keys["payload_off"] = fmt.Sprint(x.ValueOn), fmt.Sprint(x.ValueOff)
		keys["command_topic"] = m.set(x.Endpoint, x.Property)
	}
	l := lookup(x)
	l.apply(keys)
	if l.inverted {
		keys["payload_on"], keys["payload_off"] = false, true
	}
	return []*zigbeeEntry{entry}
}

// unitLooks are the classes that follow from a unit alone.
var unitLooks = map[string]look{
	"Wh": {deviceClass: "energy", stateClass: "total_increasing"}, "kWh": {deviceClass: "energy", stateClass: "total_increasing"},
	"A": {deviceClass: "current", stateClass: "measurement"}, "mA": {deviceClass: "current", stateClass: "measurement"},
	"mW": {deviceClass: "power", stateClass: "measurement"}, "W": {deviceClass: "power", stateClass: "measurement"},
	"kW": {deviceClass: "power", stateClass: "measurement"},
}

func (m *zigbeeMaker) numeric(x *devices.Expose) []*zigbeeEntry {
	keys := map[string]any{"name": label(x), "value_template": template(x.Property)}
	entry := &zigbeeEntry{platform: "sensor", object: withEndpoint(x.Name, x.Endpoint), unknown: unknown(x.Property), keys: keys}
	if x.Unit != "" {
		keys["unit_of_measurement"] = x.Unit
	}
	if x.Access&devices.Settable != 0 {
		entry.platform = "number"
		keys["command_topic"] = m.set(x.Endpoint, x.Property)
		if x.ValueStep != nil && *x.ValueStep != 0 {
			keys["step"] = *x.ValueStep
		}
		lookup(x).apply(keys)
		// Numbers with another class get units that their device does not have.
		if keys["device_class"] != "temperature" {
			delete(keys, "device_class")
		}
		bounds(keys, x)
		return []*zigbeeEntry{entry}
	}
	keys["enabled_by_default"] = true
	lookup(x).apply(keys)
	unitLooks[x.Unit].apply(keys)
	if x.Unit == "" { // a class wants a unit
		delete(keys, "device_class")
	}
	return []*zigbeeEntry{entry}
}

func bounds(keys map[string]any, x *devices.Expose) {
	if x.ValueMin != nil {
		keys["min"] = *x.ValueMin
	}
	if x.ValueMax != nil {
		keys["max"] = *x.ValueMax
	}
}

func texts(values []any) []string {
	var list []string
	for _, v := range values {
		list = append(list, fmt.Sprint(v))
	}
	return list
}

func (m *zigbeeMaker) enum(x *devices.Expose) []*zigbeeEntry {
	// What happens once is offered as a trigger, when it has happened first.
	if x.Property == "action" && !m.o.LegacyActionSensor {
		return nil
	}
	keys := map[string]any{"name": label(x)}
	entry := &zigbeeEntry{object: x.Property, unknown: unknown(x.Property), keys: keys}
	state := x.Access&devices.Published != 0
	switch {
	case x.Access&devices.Settable != 0 && len(x.Values) == 1:
		entry.platform = "button"
		keys["state_topic"] = nil
		keys["command_topic"] = m.set(x.Endpoint, x.Property)
		keys["payload_press"] = fmt.Sprint(x.Values[0])
	case x.Access&devices.Settable != 0:
		entry.platform = "select"
		if state {
			keys["value_template"] = template(x.Property)
		} else {
			keys["state_topic"] = nil
		}
		keys["command_topic"] = m.set(x.Endpoint, x.Property)
		keys["options"] = texts(x.Values)
	case state:
		entry.platform = "sensor"
		keys["value_template"] = template(x.Property)
		if x.Property == "action" {
			keys["entity_category"] = "diagnostic"
		}
	default:
		return nil
	}
	lookup(x).apply(keys)
	return []*zigbeeEntry{entry}
}

func (m *zigbeeMaker) text(x *devices.Expose) []*zigbeeEntry {
	if x.Type == "composite" && x.Name == "warning" && x.Access&devices.Settable != 0 {
		return m.siren(x)
	}
	keys := map[string]any{"name": label(x)}
	entry := &zigbeeEntry{platform: "sensor", object: x.Property, unknown: unknown(x.Property), keys: keys}
	switch {
	case x.Type == "text" && x.Access&devices.Settable != 0:
		entry.platform = "text"
		keys["value_template"] = template(x.Property)
		if x.Access&devices.Published == 0 {
			keys["state_topic"] = nil
		}
		keys["command_topic"] = m.set(x.Endpoint, x.Property)
	case x.Access&devices.Published != 0:
		// A state holds 255 characters; a longer one would be refused.
		keys["value_template"] = `{{ value_json["` + x.Property + `"] | default('',True) | string | truncate(254, True, '', 0) }}`
	default:
		return nil
	}
	lookup(x).apply(keys)
	return []*zigbeeEntry{entry}
}

// siren is a warning device.
func (m *zigbeeMaker) siren(x *devices.Expose) []*zigbeeEntry {
	keys := map[string]any{
		"name": entityName(x.Endpoint), "command_topic": m.set(x.Endpoint, ""), "state_topic": nil, "optimistic": true,
		"command_template": `{"warning": {"mode": "{{ tone | default('emergency') }}", "level": "{% set v = (volume_level | default(0.5)) | float %}` +
			`{{ 'low' if v <= 0.25 else 'medium' if v <= 0.5 else 'high' if v <= 0.75 else 'very_high' }}", "duration": {{ duration | default(10) }}}}`,
		"command_off_template": `{"warning": {"mode": "stop"}}`,
	}
	if mode := feature(x, "mode"); mode != nil {
		tones := slices.DeleteFunc(texts(mode.Values), func(s string) bool { return s == "stop" })
		if len(tones) > 0 {
			keys["available_tones"] = tones
		}
	}
	if feature(x, "level") != nil {
		keys["support_volume_set"] = true
	}
	if feature(x, "duration") != nil {
		keys["support_duration"] = true
	}
	return []*zigbeeEntry{{platform: "siren", object: withEndpoint("siren", x.Endpoint), unknown: unknown(x.Property), keys: keys}}
}
