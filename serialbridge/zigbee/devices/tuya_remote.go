package devices

import (
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// tuyaRemoteTraits are those of Tuya's remotes, which have a command of their own in the
// On/Off cluster.
var tuyaRemoteTraits = []*Trait{{
	Name: "tuya remote", Clusters: []uint16{clusterOnOff}, Exposes: []string{"action"}, Decode: decodeTuyaAction, Configure: configureTuyaRemote,
}, {
	Name: "tuya countdown", Clusters: []uint16{clusterOnOff}, Exposes: []string{"tuya.on_off_countdown"}, Decode: decodeTuyaCountdown,
}}

// tuyaCountdown is the attribute of the On/Off cluster that counts down.
const tuyaCountdown = 0x4001

// decodeTuyaCountdown reads in how many seconds a switch goes off.
func decodeTuyaCountdown(c *Context, m zigbee.Message) Values {
	n, ok := reportedNumber(m, tuyaCountdown)
	if !ok || !c.Definition.uses("tuya.on_off_countdown") {
		return nil
	}
	return Values{"countdown": n}
}

const tuyaAction = 0xfd

var tuyaActions = []string{"single", "double", "hold"}

func decodeTuyaAction(c *Context, m zigbee.Message) Values {
	f := m.Frame
	if f.Type != zcl.Specific || f.Command != tuyaAction || len(f.Payload) < 1 || int(f.Payload[0]) >= len(tuyaActions) ||
		!c.Definition.uses("tuya.on_off_action") || c.repeated(m) {
		return nil
	}
	action := tuyaActions[f.Payload[0]]
	single := c.Device == nil || len(c.Device.Endpoints) <= 1 || c.Device.ModelID == "TS0041" || c.Device.ModelID == "TS0041A"
	if !single {
		action = digits(m.Endpoint) + "_" + action
	}
	return Values{"action": action}
}

// configureTuyaRemote binds every button.
func configureTuyaRemote(c *Context, endpoint uint8) []Step {
	if !c.Definition.uses("tuya.on_off_action") {
		return nil
	}
	return []Step{{Endpoint: endpoint, Bind: []uint16{clusterOnOff}, Optional: true}}
}
