package devices

import (
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// clusterHue is the cluster in which Hue's remotes tell what was done to their buttons.
const clusterHue = 0xfc00

var hueTraits = []*Trait{{Name: "hue buttons", Clusters: []uint16{clusterHue}, Exposes: []string{"action"}, Decode: decodeHue, Configure: configureHue}}

// hueButtons are the names of buttons by converter and, where none is known, by an action
// that the definition exposes.
var hueButtons = []struct {
	converter, action string
	buttons           map[uint8]string
}{
	{"philips.hue_dimmer_switch", "on_press", map[uint8]string{1: "on", 2: "up", 3: "down", 4: "off"}},
	{"philips.hue_tap_dial", "button_1_press", map[uint8]string{1: "button_1", 2: "button_2", 3: "button_3", 4: "button_4", 20: "dial"}},
	{"philips.hue_wall_switch", "left_press", map[uint8]string{1: "left", 2: "right"}},
	{"philips.hue_twilight", "dot_press", map[uint8]string{1: "dot", 2: "hue"}},
	{"philips.hue_smart_button_event", "press", nil},
}

// hueTypes are what happens to a button.
var hueTypes = []string{"press", "hold", "press_release", "hold_release"}

// hueNotification is the command that tells: button, three bytes, what happened, a byte,
// for how long, and which way a dial turns.
const hueNotification = 0x00

func decodeHue(c *Context, m zigbee.Message) Values {
	f := m.Frame
	if f.Type != zcl.Specific || f.Command != hueNotification || len(f.Payload) < 8 || c.repeated(m) {
		return nil
	}
	button, typ, duration, direction := f.Payload[0], f.Payload[4], f.Payload[6], f.Payload[7]
	var actions []any
	if e := c.Definition.exposed("action"); e != nil {
		actions = e.Values
	}
	i := -1
	for n, row := range hueButtons {
		if c.Definition.uses(row.converter) || i < 0 && slices.Contains(actions, any(row.action)) {
			i = n
		}
	}
	if i < 0 || int(typ) >= len(hueTypes) {
		return nil
	}
	if hueButtons[i].buttons == nil { // one button, which has no name
		return Values{"action": []string{"press", "hold", "release", "release"}[typ]}
	}
	name, ok := hueButtons[i].buttons[button]
	if !ok {
		return nil
	}
	if name == "dial" {
		return hueDial(typ, duration, direction)
	}
	values := Values{"action": name + "_" + hueTypes[typ]}
	if c.Memory == nil {
		return values
	}
	key := "press " + digits(m.Endpoint)
	switch hueTypes[typ] {
	case "press":
		c.Memory[key] = c.Now
	case "hold":
		if since, ok := c.Memory[key].(time.Time); ok && hueButtons[i].converter != "philips.hue_wall_switch" {
			values["action_duration"] = float64(c.Now.Sub(since).Milliseconds()) / 1000
		}
	}
	return values
}

func hueDial(typ, duration, direction uint8) Values {
	way, time := "right", float64(duration)
	if direction >= 127 {
		way, time = "left", 256-float64(duration)
	}
	speed := "fast"
	switch {
	case time <= 25:
		speed = "step"
	case time <= 75:
		speed = "slow"
	}
	values := Values{"action": "dial_rotate_" + way + "_" + speed, "action_time": time, "action_direction": way}
	switch typ {
	case 1:
		values["action_type"] = "step"
	case 2:
		values["action_type"] = "rotate"
	}
	return values
}

func configureHue(c *Context, endpoint uint8) []Step {
	if !serves(c, endpoint, clusterHue) {
		return nil
	}
	return []Step{{Endpoint: endpoint, Bind: []uint16{clusterHue}}}
}
