package fakehome

import (
	"slices"
	"strconv"
	"strings"
)

// input is a topic that a platform reads.
type input struct {
	topic, template string // keys of the document; the template may be missing
	take            func(e *entity, payload string, m message)
}

const none = "None" // what a template makes of a value that is not known

// inputs are the topics of each platform: what is read, and from which file the rule is,
// stands in components/mqtt/PLATFORM.py.
var inputs = map[string][]input{
	"alarm_control_panel": {{"state_topic", "value_template", oneOf("disarmed", "armed_home", "armed_away", "armed_night",
		"armed_vacation", "armed_custom_bypass", "pending", "arming", "disarming", "triggered")}},
	"binary_sensor": {{"state_topic", "value_template", (*entity).takeBinary}},
	"climate": {
		{"mode_state_topic", "mode_state_template", option("", "modes")},
		{"action_topic", "action_template", (*entity).takeAction},
		{"current_temperature_topic", "current_temperature_template", measure("current_temperature")},
		{"current_humidity_topic", "current_humidity_template", measure("current_humidity")},
		{"temperature_state_topic", "temperature_state_template", measure("temperature")},
		{"temperature_low_state_topic", "temperature_low_state_template", measure("target_temp_low")},
		{"temperature_high_state_topic", "temperature_high_state_template", measure("target_temp_high")},
		{"target_humidity_state_topic", "target_humidity_state_template", measure("humidity")},
		{"fan_mode_state_topic", "fan_mode_state_template", option("fan_mode", "fan_modes")},
		{"swing_mode_state_topic", "swing_mode_state_template", option("swing_mode", "swing_modes")},
		{"swing_horizontal_mode_state_topic", "swing_horizontal_mode_state_template", option("swing_horizontal_mode", "swing_horizontal_modes")},
		{"preset_mode_state_topic", "preset_mode_value_template", option("preset_mode", "preset_modes")},
	},
	"cover": {
		{"position_topic", "position_template", (*entity).takePosition},
		{"state_topic", "value_template", (*entity).takeCover},
		{"tilt_status_topic", "tilt_status_template", (*entity).takeTilt},
	},
	"device_automation": {{"topic", "value_template", (*entity).takeNothing}},
	"device_tracker":    {{"state_topic", "value_template", (*entity).takeTracker}},
	"event":             {{"state_topic", "value_template", (*entity).takeEvent}},
	"fan": {
		{"state_topic", "state_value_template", (*entity).takeOnOff},
		{"percentage_state_topic", "percentage_value_template", (*entity).takePercentage},
		{"preset_mode_state_topic", "preset_mode_value_template", option("preset_mode", "preset_modes")},
		{"oscillation_state_topic", "oscillation_value_template", (*entity).takeOscillation},
		{"direction_state_topic", "direction_value_template", attributeOf("direction")},
	},
	"humidifier": {
		{"state_topic", "state_value_template", (*entity).takeOnOff},
		{"action_topic", "action_template", attributeOf("action")},
		{"current_humidity_topic", "current_humidity_template", measure("current_humidity")},
		{"target_humidity_state_topic", "target_humidity_state_template", measure("humidity")},
		{"mode_state_topic", "mode_state_template", option("mode", "modes")},
	},
	"image":      {{"url_topic", "url_template", attributeOf("url")}, {"image_topic", "", (*entity).takeImage}},
	"camera":     {{"topic", "", (*entity).takeImage}},
	"lawn_mower": {{"activity_state_topic", "activity_value_template", oneOf("error", "paused", "mowing", "docked", "returning")}},
	"light": {
		{"state_topic", "state_value_template", (*entity).takeLight},
	},
	"lock":   {{"state_topic", "value_template", (*entity).takeLock}},
	"number": {{"state_topic", "value_template", (*entity).takeNumber}},
	"select": {{"state_topic", "value_template", option("", "options")}},
	"sensor": {{"state_topic", "value_template", (*entity).takeSensor}},
	"siren":  {{"state_topic", "state_value_template", (*entity).takeSiren}},
	"switch": {{"state_topic", "value_template", (*entity).takeSwitch}},
	"tag":    {{"topic", "value_template", (*entity).takeNothing}},
	"text":   {{"state_topic", "value_template", (*entity).takeText}},
	"update": {
		{"state_topic", "value_template", (*entity).takeUpdate},
		{"latest_version_topic", "latest_version_template", attributeOf("latest_version")},
	},
	"vacuum": {{"state_topic", "", (*entity).takeVacuum}},
	"valve":  {{"state_topic", "value_template", (*entity).takeValve}},
	"water_heater": {
		{"mode_state_topic", "mode_state_template", option("", "modes")},
		{"current_temperature_topic", "current_temperature_template", measure("current_temperature")},
		{"temperature_state_topic", "temperature_state_template", measure("temperature")},
	},
}

// put sets an attribute; the empty name is the state. nil is unknown.
func (e *entity) put(name string, v any) {
	switch {
	case name == "":
		e.state = v
	case v == nil:
		delete(e.attributes, name)
	default:
		e.attributes[name] = v
	}
}

// attributeOf takes whatever comes.
func attributeOf(name string) func(*entity, string, message) {
	return func(e *entity, payload string, m message) {
		if payload == none {
			e.put(name, nil)
		} else if payload != "" {
			e.put(name, payload)
		}
	}
}

// measure takes a number.
func measure(name string) func(*entity, string, message) {
	return func(e *entity, payload string, m message) {
		if payload == none {
			e.put(name, nil)
			return
		}
		f, err := strconv.ParseFloat(payload, 64)
		if err != nil {
			e.complain(Payload, m, "%s %q is no number", name, payload)
			return
		}
		e.put(name, f)
	}
}

// option takes one of those that the document lists.
func option(name, list string) func(*entity, string, message) {
	return func(e *entity, payload string, m message) {
		switch {
		case strings.EqualFold(payload, none) || payload == "" && name != "":
			e.put(name, nil)
		case !slices.Contains(e.texts(list), payload):
			e.complain(Payload, m, "%q is none of %s", payload, list)
		default:
			e.put(name, payload)
		}
	}
}

// oneOf takes one of those that the platform knows.
func oneOf(known ...string) func(*entity, string, message) {
	return func(e *entity, payload string, m message) {
		switch {
		case payload == none:
			e.state = nil
		case !slices.Contains(known, payload):
			e.complain(Payload, m, "%q is not known", payload)
		default:
			e.state = payload
		}
	}
}

// either sets the state to on or off.
func (e *entity) either(payload, on, off string, m message) {
	switch payload {
	case none:
		e.state = nil
	case on:
		e.state = "on"
	case off:
		e.state = "off"
	default:
		e.complain(Payload, m, "%q is neither %q nor %q", payload, on, off)
	}
}
