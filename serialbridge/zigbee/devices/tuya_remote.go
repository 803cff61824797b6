package devices

import (
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// tuyaRemoteTraits are those of Tuya's remotes, which have a command of their own in the
// On/Off cluster.
var tuyaRemoteTraits = []*Trait{{
	Name: "tuya remote", Clusters: []uint16{clusterOnOff}, Exposes: []string{"action"}, Decode: decodeTuyaAction, Configure: configureTuyaRemote,
}}

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
