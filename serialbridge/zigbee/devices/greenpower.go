package devices

import (
	"fmt"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

const clusterGreenPower = 0x0021

// standardGreenPower are the commands of the standard (document 14-0563, table 54), for
// switches that nobody has described.
var standardGreenPower = map[uint8]string{
	0x20: "off", 0x21: "on", 0x22: "toggle", 0x23: "release",
	0x60: "press_1_of_1", 0x61: "release_1_of_1", 0x62: "press_1_of_2", 0x63: "release_1_of_2", 0x64: "press_2_of_2", 0x65: "release_2_of_2",
	0x66: "short_press_1_of_1", 0x67: "short_press_1_of_2", 0x68: "short_press_2_of_2",
}

// greenPowerTrait reads what switches without a battery tell. PTM 216Z tells in the first byte
// of the payload which of its buttons are down.
var greenPowerTrait = &Trait{
	Name:     "green power",
	Exposes:  []string{"action"},
	Clusters: []uint16{clusterGreenPower},
	Generate: func(*Context, uint8) []*Expose {
		x := &Expose{Type: "enum", Name: "action", Label: "Action", Property: "action", Access: Published}
		for scene := range 8 {
			x.Values = append(x.Values, fmt.Sprintf("recall_scene_%d", scene))
		}
		for command := range 0x70 {
			if action, ok := standardGreenPower[uint8(command)]; ok {
				x.Values = append(x.Values, action)
			}
		}
		return []*Expose{x}
	},
	Decode: func(c *Context, m zigbee.Message) Values {
		const head = 12 // of a notification: section A.3.3.4.1
		p := m.Frame.Payload
		if m.Frame.Type != zcl.Specific || len(p) < head {
			return nil
		}
		command, payload := p[10], p[head:]
		if action, ok := greenPowerActions[c.Definition.Model][command]; ok {
			return Values{"action": action}
		}
		if c.Definition.Model == "PTM 216Z" {
			return buttonsDown(command, payload)
		}
		if action, ok := standardGreenPower[command]; ok && c.Definition.Generated {
			return Values{"action": action}
		}
		if c.Definition.Generated && command >= 0x10 && command <= 0x17 {
			return Values{"action": fmt.Sprintf("recall_scene_%d", command-0x10)}
		}
		return nil
	},
}

// buttonsDown reads the 8-bit vector of a PTM 216Z: command 0x69 when buttons are pressed, 0x6a
// when they are let go.
func buttonsDown(command uint8, payload []byte) Values {
	switch {
	case command == 0x6a:
		return Values{"action": "release"}
	case command != 0x69 || len(payload) == 0:
		return nil
	}
	switch down := payload[0] & 0x1f; {
	case down == 0x10:
		return Values{"action": "press_energy_bar"}
	case down == 0x0f:
		return Values{"action": "press_all"}
	case down == 0:
		return nil
	default:
		action := "press"
		for button := range 4 {
			if down&(1<<button) == 0 {
				continue
			}
			if action != "press" {
				action += "_and"
			}
			action += fmt.Sprintf("_%d", button+1)
		}
		return Values{"action": action}
	}
}
