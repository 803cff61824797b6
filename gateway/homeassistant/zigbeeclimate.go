package homeassistant

import (
	"slices"
	"strconv"

	"lintel/serialbridge/zigbee/devices"
)

// climate is a thermostat, and the sensors and numbers that hang on it.
func (m *zigbeeMaker) climate(x *devices.Expose, all []*devices.Expose) []*zigbeeEntry {
	heating := feature(x, "occupied_heating_setpoint", "current_heating_setpoint")
	cooling := feature(x, "occupied_cooling_setpoint")
	primary := heating
	if primary == nil {
		primary = cooling
	}
	temperature := feature(x, "local_temperature")
	if primary == nil || primary.ValueMin == nil || primary.ValueMax == nil || temperature == nil {
		return nil // Home Assistant would refuse it
	}
	endpoint, state := x.Endpoint, m.state()
	keys := map[string]any{
		"name": entityName(endpoint), "state_topic": nil, "temperature_unit": "C",
		"min_temp": decimal(*primary.ValueMin), "max_temp": decimal(*primary.ValueMax),
		"current_temperature_topic": state, "current_temperature_template": template(temperature.Property),
	}
	if primary.ValueStep != nil {
		keys["temp_step"] = *primary.ValueStep
	}
	missing := make(map[string]any)
	if mode := feature(x, "system_mode"); mode != nil {
		// Home Assistant knows no sleep.
		keys["modes"] = slices.DeleteFunc(texts(mode.Values), func(s string) bool { return s == "sleep" })
		keys["mode_state_topic"], keys["mode_state_template"] = state, template(mode.Property)
		keys["mode_command_topic"] = m.set(endpoint, "system_mode")
	}
	if running := feature(x, "running_state"); running != nil {
		missing[running.Property] = nil
		keys["action_topic"] = state
		keys["action_template"] = "{% set values = {None:None,'idle':'idle','heat':'heating','cool':'cooling','fan_only':'fan'} %}" +
			`{{ values[value_json["` + running.Property + `"]] }}`
	}
	setpoint := func(prefix string, x *devices.Expose) {
		keys[prefix+"_command_topic"] = m.set(endpoint, x.Name)
		keys[prefix+"_state_template"] = template(x.Property)
		keys[prefix+"_state_topic"] = state
	}
	if heating != nil && cooling != nil {
		setpoint("temperature_low", heating)
		setpoint("temperature_high", cooling)
	} else {
		setpoint("temperature", primary)
	}
	for _, choice := range []struct{ feature, key, list, template string }{
		{"fan_mode", "fan_mode", "fan_modes", "fan_mode_state_template"},
		{"swing_mode", "swing_mode", "swing_modes", "swing_mode_state_template"},
		{"preset", "preset_mode", "preset_modes", "preset_mode_value_template"},
	} {
		if f := feature(x, choice.feature); f != nil {
			keys[choice.list] = texts(f.Values)
			keys[choice.key+"_command_topic"] = m.set(endpoint, choice.feature)
			keys[choice.template] = template(f.Property)
			keys[choice.key+"_state_topic"] = state
		}
	}
	readable := func(name string) *devices.Expose {
		for _, e := range all {
			if e.Type == "numeric" && e.Name == name && e.Access&devices.Published != 0 {
				return e
			}
		}
		return nil
	}
	if humidity := readable("humidity"); humidity != nil {
		keys["current_humidity_topic"], keys["current_humidity_template"] = state, template(humidity.Property)
	}

	entries := m.climateNumbers(x)
	if readable("temperature") == nil && readable("local_temperature") == nil {
		entry := climateEntry("sensor", temperature, endpoint)
		entry.keys["device_class"], entry.keys["state_class"] = "temperature", "measurement"
		entries = append(entries, entry)
	}
	return append(entries, &zigbeeEntry{platform: "climate", object: withEndpoint("climate", endpoint), unknown: missing, keys: keys})
}

// climateNumbers are what a thermostat has besides.
func (m *zigbeeMaker) climateNumbers(x *devices.Expose) []*zigbeeEntry {
	var entries []*zigbeeEntry
	if f := feature(x, "local_temperature_calibration"); f != nil {
		entry := climateEntry("number", f, x.Endpoint)
		entry.keys["command_topic"] = m.set(x.Endpoint, f.Property)
		entry.keys["device_class"], entry.keys["entity_category"] = "temperature_delta", "config"
		bounds(entry.keys, f)
		if f.ValueStep != nil {
			entry.keys["step"] = *f.ValueStep
		}
		entries = append(entries, entry)
	}
	if f := feature(x, "pi_heating_demand"); f != nil {
		entry := climateEntry("sensor", f, x.Endpoint)
		entry.keys["icon"] = "mdi:radiator"
		if f.Access&devices.Settable != 0 {
			entry.platform = "number"
			entry.keys["command_topic"] = m.set(x.Endpoint, f.Property)
			bounds(entry.keys, f)
		} else {
			entry.keys["entity_category"] = "diagnostic"
		}
		entries = append(entries, entry)
	}
	if f := feature(x, "pi_cooling_demand"); f != nil {
		entry := climateEntry("sensor", f, x.Endpoint)
		entry.keys["icon"], entry.keys["entity_category"] = "mdi:air-conditioner", "diagnostic"
		entries = append(entries, entry)
	}
	return entries
}

func climateEntry(platform string, f *devices.Expose, endpoint string) *zigbeeEntry {
	name := f.Label
	if endpoint != "" {
		name += " " + endpoint
	}
	keys := map[string]any{"name": name, "value_template": template(f.Property)}
	if f.Unit != "" {
		keys["unit_of_measurement"] = f.Unit
	}
	return &zigbeeEntry{platform: platform, object: withEndpoint(f.Name, endpoint), unknown: unknown(f.Property), keys: keys}
}

// decimal writes a number as JavaScript does.
func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
