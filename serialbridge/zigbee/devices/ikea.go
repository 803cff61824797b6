package devices

import (
	"encoding/binary"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Clusters in which IKEA's remotes tell what was done to them.
const (
	clusterIKEADots = 0xfc7f
)

var ikeaTraits = []*Trait{
	{Name: "ikea arrows", Clusters: []uint16{clusterScenes}, Exposes: []string{"action"}, Client: true, Decode: decodeArrow},
	{Name: "ikea dots", Clusters: []uint16{clusterIKEADots}, Exposes: []string{"action"}, Decode: decodeDots},
}

// codeIKEA is the manufacturer code of IKEA of Sweden.
const codeIKEA = 0x117c

// The commands of arrow buttons, in the Scenes cluster. The release does not say
// which: it is the one that was held.
const (
	arrowSingle  = 0x07
	arrowHold    = 0x08
	arrowRelease = 0x09
)

func decodeArrow(c *Context, m zigbee.Message) Values {
	f := m.Frame
	if f.Type != zcl.Specific || f.ManufacturerCode != codeIKEA && !c.Definition.lists("arrow_left_click", nil) || f.Command < arrowSingle || f.Command > arrowRelease ||
		len(f.Payload) < 2 || c.repeated(m) {
		return nil
	}
	value := binary.LittleEndian.Uint16(f.Payload)
	way := func(left uint16) string {
		if value == left {
			return "left"
		}
		return "right"
	}
	const held = "arrow held"
	switch f.Command {
	case arrowSingle:
		if value == 2 { // it comes when the middle is held
			return nil
		}
		return Values{"action": "arrow_" + way(0x0101) + "_click"}
	case arrowHold:
		if c.Memory != nil {
			c.Memory[held] = way(0x0d01)
		}
		return Values{"action": "arrow_" + way(0x0d01) + "_hold"}
	}
	name, ok := c.Memory[held].(string)
	if !ok {
		return nil
	}
	delete(c.Memory, held)
	return Values{"action": "arrow_" + name + "_release", "action_duration": float64(value) / 1000}
}

// dotActions are what a dot button of old firmware tells.
var dotActions = map[uint8]string{1: "initial_press", 2: "double_press", 3: "long_press"}

func decodeDots(c *Context, m zigbee.Message) Values {
	f := m.Frame
	if f.Type != zcl.Specific || len(f.Payload) < 2 {
		return nil
	}
	action, ok := dotActions[f.Payload[1]]
	if !ok {
		return nil
	}
	action = digits(f.Payload[0]) + "_" + action
	if e := c.Definition.exposed("action"); e != nil {
		for _, v := range e.Values {
			if v == "dots_"+action {
				return Values{"action": "dots_" + action}
			}
		}
	}
	return Values{"action": action}
}
