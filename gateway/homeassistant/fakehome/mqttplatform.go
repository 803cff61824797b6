package fakehome

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
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
	"device_automation": {{"topic", "value_template", (*entity).takeTrigger}},
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
	"tag":    {{"topic", "value_template", (*entity).takeTag}},
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

func (e *entity) takeBinary(payload string, m message) {
	if payload == "" {
		return
	}
	e.alive()
	e.either(payload, e.text("payload_on", "ON"), e.text("payload_off", "OFF"), m)
	if delay := e.number("off_delay", 0); delay > 0 && e.state == "on" {
		e.expires++
		at := e.expires
		e.life.after(time.Duration(delay*float64(time.Second)), func() {
			if e.expires == at {
				e.state = "off"
			}
		})
	}
}

func (e *entity) takeSwitch(payload string, m message) {
	e.either(payload, e.text("state_on", e.text("payload_on", "ON")), e.text("state_off", e.text("payload_off", "OFF")), m)
}

func (e *entity) takeOnOff(payload string, m message) {
	if payload != "" {
		e.either(payload, e.text("payload_on", "ON"), e.text("payload_off", "OFF"), m)
	}
}

// takeSensor: a sensor with a unit, a state class or a class of numbers takes only numbers.
func (e *entity) takeSensor(payload string, m message) {
	class := e.text("device_class", "")
	text := class == "" || class == "enum" || class == "date" || class == "timestamp"
	numeric := !text || e.document.keys["unit_of_measurement"] != nil || e.document.keys["state_class"] != nil ||
		e.document.keys["suggested_display_precision"] != nil
	if payload == "" && numeric {
		return
	}
	e.alive()
	switch {
	case payload == none:
		e.state = nil
	case numeric:
		if _, err := strconv.ParseFloat(payload, 64); err != nil {
			e.complain(Payload, m, "%q is no number", payload)
			return
		}
		e.state = payload
	case class == "timestamp" || class == "date":
		if payload == "" {
			return
		}
		layout := time.RFC3339Nano
		if class == "date" {
			layout = time.DateOnly
		}
		if _, err := time.Parse(layout, payload); err != nil {
			e.complain(Payload, m, "%q is no %s", payload, class)
			return
		}
		e.state = payload
	case len(e.texts("options")) > 0 && !slices.Contains(e.texts("options"), payload):
		e.complain(Payload, m, "%q is none of the options", payload)
	case len([]rune(payload)) > 255:
		e.complain(Payload, m, "a state of more than 255 characters")
	default:
		e.state = payload
	}
}

func (e *entity) takeNumber(payload string, m message) {
	if payload == "" || payload == e.text("payload_reset", none) {
		e.state = nil
		return
	}
	f, err := strconv.ParseFloat(payload, 64)
	switch {
	case err != nil:
		e.complain(Payload, m, "%q is no number", payload)
	case f < e.number("min", 1) || f > e.number("max", 100):
		e.complain(Payload, m, "%v is out of range", f)
	default:
		e.state = payload
	}
}

func (e *entity) takeText(payload string, m message) {
	n := float64(len([]rune(payload)))
	if n < e.number("min", 0) || n > e.number("max", 255) {
		e.complain(Payload, m, "a text of %v characters", n)
		return
	}
	e.state = payload
}

func (e *entity) takeLock(payload string, m message) {
	states := map[string]string{
		e.text("state_locked", "LOCKED"): "locked", e.text("state_unlocked", "UNLOCKED"): "unlocked",
		e.text("state_locking", "LOCKING"): "locking", e.text("state_unlocking", "UNLOCKING"): "unlocking",
		e.text("state_open", "OPEN"): "open", e.text("state_opening", "OPENING"): "opening", e.text("state_jammed", "JAMMED"): "jammed",
	}
	switch state, ok := states[payload]; {
	case payload == "":
	case payload == e.text("payload_reset", none):
		e.state = nil
	case !ok:
		e.complain(Payload, m, "%q is no state of a lock", payload)
	default:
		e.state = state
	}
}

func (e *entity) takeCover(payload string, m message) {
	states := map[string]string{
		e.text("state_opening", "opening"): "opening", e.text("state_closing", "closing"): "closing",
		e.text("state_open", "open"): "open", e.text("state_closed", "closed"): "closed",
	}
	switch state, ok := states[payload]; {
	case payload == "":
	case payload == e.text("state_stopped", "stopped"):
		if position, ok := e.attributes["current_position"]; ok && e.text("position_topic", "") != "" {
			e.state = openAt(position.(float64))
		} else if e.state == "closing" || e.state == "closed" {
			e.state = "closed"
		} else {
			e.state = "open"
		}
	case payload == none:
		e.state = nil
	case !ok:
		e.complain(Payload, m, "%q is no state of a cover", payload)
	default:
		e.state = state
	}
}

func openAt(position float64) string {
	if position == 0 {
		return "closed"
	}
	return "open"
}

// percent takes a number between two ends to 0 to 100.
func (e *entity) percent(payload, closed, open string, m message) (float64, bool) {
	f, err := strconv.ParseFloat(payload, 64)
	if err != nil {
		e.complain(Payload, m, "%q is no position", payload)
		return 0, false
	}
	from, to := e.number(closed, 0), e.number(open, 100)
	return math.Round(min(100, max(0, (f-from)/(to-from)*100))), true
}

func (e *entity) takePosition(payload string, m message) {
	if payload == "" {
		return
	}
	if payload == none { // which int() does not take; it is ignored with a warning
		e.complain(Payload, m, "a position that is not known")
		return
	}
	if p, ok := e.percent(payload, "position_closed", "position_open", m); ok {
		e.put("current_position", p)
		if e.text("state_topic", "") == "" {
			e.state = openAt(p)
		}
	}
}

func (e *entity) takeTilt(payload string, m message) {
	if payload == "" {
		return
	}
	if p, ok := e.percent(payload, "tilt_min", "tilt_max", m); ok {
		e.put("current_tilt_position", p)
	}
}

func (e *entity) takePercentage(payload string, m message) {
	if payload == "" {
		return
	}
	if payload == e.text("payload_reset_percentage", none) {
		e.put("percentage", nil)
		return
	}
	f, err := strconv.ParseFloat(payload, 64)
	low, high := e.number("speed_range_min", 1), e.number("speed_range_max", 100)
	p := math.Trunc((f - (low - 1)) / (high - low + 1) * 100)
	if err != nil || p < 0 || p > 100 {
		e.complain(Payload, m, "%q is no speed", payload)
		return
	}
	e.put("percentage", p)
}

func (e *entity) takeOscillation(payload string, m message) {
	switch payload {
	case "":
	case e.text("payload_oscillation_on", "oscillate_on"):
		e.put("oscillating", true)
	case e.text("payload_oscillation_off", "oscillate_off"):
		e.put("oscillating", false)
	default:
		e.complain(Payload, m, "%q is no oscillation", payload)
	}
}

func (e *entity) takeAction(payload string, m message) {
	if payload == "" || payload == none {
		return
	}
	if !slices.Contains([]string{"cooling", "defrosting", "drying", "fan", "heating", "idle", "off", "preheating"}, payload) {
		e.complain(Payload, m, "%q is no action of a climate", payload)
		return
	}
	e.put("hvac_action", payload)
}

func (e *entity) takeTracker(payload string, m message) {
	switch payload {
	case "":
	case e.text("payload_home", "home"):
		e.state = "home"
	case e.text("payload_not_home", "not_home"):
		e.state = "not_home"
	case e.text("payload_reset", none):
		e.state = nil
	default:
		e.state = payload
	}
}

func (e *entity) takeImage(_ string, m message) { e.state = time.Now().Format(time.RFC3339Nano) }

func (e *entity) takeTrigger(payload string, m message) {
	if e.document.keys["payload"] != nil && payload != e.text("payload", "") {
		return
	}
	e.happen(Happening{Trigger: e.text("type", "") + " " + e.text("subtype", ""), Value: payload})
}

func (e *entity) takeTag(payload string, m message) {
	if !m.retain && payload != "" {
		e.happen(Happening{Trigger: "tag", Value: payload})
	}
}

func (e *entity) happen(h Happening) {
	if home := e.life.h; len(home.happened) < 10_000 {
		home.happened = append(home.happened, h)
	}
}
