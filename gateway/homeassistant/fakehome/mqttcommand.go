package fakehome

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lintel/gateway/mqtt"
)

// command is what a service publishes.
type command struct {
	topic, template string // keys of the document
	value           any    // of the template, and the payload without one
	variables       map[string]any
}

// Call has Home Assistant do a service for an entity, such as turn_on, with the data
// that belongs to it, and returns what it published. It fails as Home Assistant does for
// who calls: the entity is not there, not available, or does not have such a service.
func (h *Home) Call(entityID, service string, data map[string]any) ([]mqtt.Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var e *entity
	if h.life != nil {
		for _, live := range h.life.entities {
			if live.entry.EntityID == entityID {
				e = live
			}
		}
	}
	if e == nil || !e.available() {
		return nil, fmt.Errorf("%s is not available", entityID)
	}
	commands, err := e.commands(service, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", entityID, service, err)
	}
	var published []mqtt.Message
	for _, c := range commands {
		topic := e.text(c.topic, "")
		if topic == "" {
			return nil, fmt.Errorf("%s has no %s", entityID, c.topic)
		}
		payload := commandText(c.value)
		if template := e.text(c.template, ""); template != "" && c.template != "" {
			variables := map[string]any{"value": fromPlain(c.value), "entity_id": entityID, "name": e.entry.Name}
			for k, v := range c.variables {
				variables[k] = fromPlain(v)
			}
			var warnings []string
			payload, warnings, err = render(template, variables)
			if err != nil || len(warnings) > 0 {
				h.complain(Template, topic, "%s: %v %q", template, err, warnings)
				return nil, fmt.Errorf("%s: %s: %v %q", entityID, template, err, warnings)
			}
		}
		m := mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: mqtt.QoS(e.number("qos", 0)), Retain: e.document.keys["retain"] == true}
		h.life.client.publish(m)
		published = append(published, m)
	}
	return published, nil
}

// commandText is how a value is published.
func commandText(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// fromPlain returns a value of Go as templates have it.
func fromPlain(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case float64:
		if v == float64(int64(v)) {
			return int64(v) // a number that is whole is sent as one
		}
	}
	return v
}

// commands returns what a service publishes for the entity.
func (e *entity) commands(service string, data map[string]any) ([]command, error) {
	plain := func(v any) []command { return []command{{"command_topic", "command_template", v, nil}} }
	of := func(name string, v any) []command {
		return []command{{name + "_command_topic", name + "_command_template", v, nil}}
	}
	payload := func(key, missing string) []command { return plain(e.text(key, missing)) }
	key := e.document.platform + "." + service
	switch key {
	case "button.press":
		return payload("payload_press", "PRESS"), nil
	case "scene.turn_on":
		return payload("payload_on", "ON"), nil
	case "switch.turn_on":
		return payload("payload_on", "ON"), nil
	case "switch.turn_off":
		return payload("payload_off", "OFF"), nil
	case "update.install":
		if e.state != "on" || e.document.keys["payload_install"] == nil {
			return nil, fmt.Errorf("nothing to install")
		}
		return payload("payload_install", ""), nil
	case "number.set_value", "text.set_value":
		return plain(data["value"]), e.within(data["value"])
	case "select.select_option":
		if !slices.Contains(e.texts("options"), fmt.Sprint(data["option"])) {
			return nil, fmt.Errorf("%v is none of the options", data["option"])
		}
		return plain(data["option"]), nil
	case "notify.send_message":
		return plain(data["message"]), nil
	case "lock.lock":
		return payload("payload_lock", "LOCK"), nil
	case "lock.unlock":
		return payload("payload_unlock", "UNLOCK"), nil
	case "lock.open":
		if e.document.keys["payload_open"] == nil {
			return nil, fmt.Errorf("it does not open")
		}
		return payload("payload_open", ""), nil
	case "cover.open_cover":
		return payload("payload_open", "OPEN"), nil
	case "cover.close_cover":
		return payload("payload_close", "CLOSE"), nil
	case "cover.stop_cover":
		return payload("payload_stop", "STOP"), nil
	case "cover.set_cover_position":
		position := e.scale(data["position"], "position_closed", "position_open")
		return []command{{"set_position_topic", "set_position_template", position, map[string]any{"position": position}}}, nil
	case "cover.set_cover_tilt_position":
		tilt := e.scale(data["tilt_position"], "tilt_min", "tilt_max")
		return []command{{"tilt_command_topic", "tilt_command_template", tilt, map[string]any{"tilt_position": tilt}}}, nil
	case "valve.open_valve", "valve.close_valve":
		open := service == "open_valve"
		if e.document.keys["reports_position"] == true {
			to := map[bool]float64{true: 100, false: 0}[open]
			return plain(e.scale(to, "position_closed", "position_open")), nil
		}
		if open {
			return payload("payload_open", "OPEN"), nil
		}
		return payload("payload_close", "CLOSE"), nil
	case "valve.set_valve_position":
		return plain(e.scale(data["position"], "position_closed", "position_open")), nil
	case "valve.stop_valve":
		return payload("payload_stop", ""), nil
	case "climate.set_hvac_mode":
		return of("mode", data["hvac_mode"]), nil
	case "climate.set_preset_mode", "fan.set_preset_mode":
		return of("preset_mode", data["preset_mode"]), nil
	case "climate.set_fan_mode":
		return of("fan_mode", data["fan_mode"]), nil
	case "climate.set_swing_mode":
		return of("swing_mode", data["swing_mode"]), nil
	case "climate.turn_on":
		return []command{{"power_command_topic", "power_command_template", e.text("payload_on", "ON"), nil}}, nil
	case "climate.turn_off":
		return []command{{"power_command_topic", "power_command_template", e.text("payload_off", "OFF"), nil}}, nil
	case "climate.set_temperature", "water_heater.set_temperature":
		var commands []command
		for _, k := range []struct{ data, name string }{{"temperature", "temperature"}, {"target_temp_low", "temperature_low"}, {"target_temp_high", "temperature_high"}} {
			if v, ok := data[k.data]; ok {
				commands = append(commands, of(k.name, v)...)
			}
		}
		return commands, nil
	case "climate.set_humidity", "humidifier.set_humidity":
		return of("target_humidity", data["humidity"]), nil
	case "humidifier.set_mode":
		return of("mode", data["mode"]), nil
	case "water_heater.set_operation_mode":
		return of("mode", data["operation_mode"]), nil
	case "fan.turn_on", "humidifier.turn_on":
		return payload("payload_on", "ON"), nil
	case "fan.turn_off", "humidifier.turn_off":
		return payload("payload_off", "OFF"), nil
	case "fan.set_percentage":
		p, _ := number(fromPlain(data["percentage"]))
		low, high := e.number("speed_range_min", 1), e.number("speed_range_max", 100)
		return of("percentage", float64(int64(low-1+p*(high-low+1)/100+0.999999))), nil
	case "fan.oscillate":
		if data["oscillating"] == true {
			return of("oscillation", e.text("payload_oscillation_on", "oscillate_on")), nil
		}
		return of("oscillation", e.text("payload_oscillation_off", "oscillate_off")), nil
	case "fan.set_direction":
		return of("direction", data["direction"]), nil
	case "siren.turn_on", "siren.turn_off":
		return e.siren(service == "turn_on", data), nil
	case "light.turn_on", "light.turn_off":
		return e.light(service == "turn_on", data)
	}
	if mode, ok := strings.CutPrefix(key, "alarm_control_panel.alarm_"); ok {
		return e.alarm(mode, data), nil
	}
	return nil, fmt.Errorf("there is no such service")
}

// within checks a number or a text against the document.
func (e *entity) within(v any) error {
	f, ok := number(fromPlain(v))
	if e.document.platform == "text" {
		f, ok = float64(len([]rune(fmt.Sprint(v)))), true
		if f < e.number("min", 0) || f > e.number("max", 255) {
			return fmt.Errorf("%v characters", f)
		}
		return nil
	}
	if !ok || f < e.number("min", 1) || f > e.number("max", 100) {
		return fmt.Errorf("%v is out of range", v)
	}
	return nil
}

// scale takes 0 to 100 to the range of the document.
func (e *entity) scale(v any, closed, open string) float64 {
	f, _ := number(fromPlain(v))
	from, to := e.number(closed, 0), e.number(open, 100)
	return float64(int64(from + f/100*(to-from) + 0.5))
}

func (e *entity) alarm(mode string, data map[string]any) []command {
	names := map[string][2]string{"disarm": {"payload_disarm", "DISARM"}, "arm_away": {"payload_arm_away", "ARM_AWAY"},
		"arm_home": {"payload_arm_home", "ARM_HOME"}, "arm_night": {"payload_arm_night", "ARM_NIGHT"},
		"arm_vacation": {"payload_arm_vacation", "ARM_VACATION"}, "trigger": {"payload_trigger", "TRIGGER"},
		"arm_custom_bypass": {"payload_arm_custom_bypass", "ARM_CUSTOM_BYPASS"}}
	action := e.text(names[mode][0], names[mode][1])
	code, _ := data["code"].(string)
	return []command{{"command_topic", "command_template", action, map[string]any{"action": action, "code": code}}}
}

// siren makes the JSON of a siren, or renders its template with the parameters.
func (e *entity) siren(on bool, data map[string]any) []command {
	state, template := e.text("payload_off", "OFF"), "command_off_template"
	if on {
		state, template = e.text("payload_on", "ON"), "command_template"
	}
	if e.text(template, "") == "" {
		template = "command_template"
	}
	variables := map[string]any{"state": state}
	if on {
		maps.Copy(variables, data)
	}
	if e.text(template, "") != "" {
		return []command{{"command_topic", template, state, variables}}
	}
	return []command{{"command_topic", "", jsonOf(variables), nil}}
}

// light makes the JSON of a light of the schema json.
func (e *entity) light(on bool, data map[string]any) ([]command, error) {
	if e.text("schema", "basic") != "json" {
		if on {
			return []command{{"command_topic", "", e.text("payload_on", "ON"), nil}}, nil
		}
		return []command{{"command_topic", "", e.text("payload_off", "OFF"), nil}}, nil
	}
	m := map[string]any{"state": "OFF"}
	if on {
		m["state"] = "ON"
	}
	for k, v := range data {
		f, _ := number(fromPlain(v))
		switch k {
		case "brightness":
			m["brightness"] = max(1, float64(int64(f/255*e.number("brightness_scale", 255)+0.5)))
		case "color_temp", "transition", "effect":
			m[k] = v
		case "xy_color", "hs_color", "rgb_color":
			list, _ := v.([]any)
			colour := make(map[string]any)
			for i, name := range colours[strings.TrimSuffix(k, "_color")] {
				if i < len(list) {
					colour[name] = list[i]
				}
			}
			m["color"] = colour
		default:
			return nil, fmt.Errorf("%s is not known", k)
		}
	}
	return []command{{"command_topic", "", jsonOf(m), nil}}, nil
}
