package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// The box opens its Zigbee network for new devices, tells for how long, and closes it. It
// shows that it can only once there is a network.
func TestBoxLetsZigbeeDevicesJoin(t *testing.T) {
	t.Parallel()
	_, c := zigbeeHouseAt(t)
	data := t.TempDir()
	e, stop := startOptions(t, c, Options{Data: data, Root: raspberryPi(t, "pi4.txt", data), Version: "test"})
	defer stop()
	messages := listenTo(t, e, "lintel/gateway/state", "homeassistant/#")
	var bridge struct {
		UniqueID string `json:"unique_id"`
		Device   struct{ Identifiers []string }
	}
	// Devices hang below the bridge, so Home Assistant has to know it.
	await(t, messages, "the document of the network itself", func(m paho.Message) bool {
		if json.Unmarshal(m.Payload(), &bridge) != nil || len(bridge.Device.Identifiers) == 0 {
			return false
		}
		coordinator, ok := strings.CutPrefix(bridge.Device.Identifiers[0], "zigbee2mqtt_bridge_")
		return ok && bridge.UniqueID == "bridge_"+coordinator+"_permit_join_zigbee2mqtt"
	})
	components := boxComponents(t, listenTo(t, e, "homeassistant/device/+/config"), "permit_join")
	if components["permit_join"]["p"] != "switch" || components["permit_join_seconds"]["unit_of_meas"] != "s" {
		t.Errorf("components: %v", components["permit_join"])
	}
	person := connect(t, e, "person", "", "")
	press := func(payload string) { finish(t, person.Publish("lintel/gateway/set", 0, false, payload)) }

	press(`{"permit_join":true}`)
	open := awaitBox(t, messages, "the open network", func(s boxState) bool { return s.PermitJoin != nil && *s.PermitJoin })
	if s := *open.PermitSeconds; s < 200 || s > 240 || s%10 != 0 {
		t.Errorf("open for %d s", s)
	}
	awaitBox(t, messages, "the time that passes", func(s boxState) bool { return *s.PermitJoin && *s.PermitSeconds < *open.PermitSeconds })
	press(`{"permit_join":false}`)
	awaitBox(t, messages, "the closed network", func(s boxState) bool { return !*s.PermitJoin && *s.PermitSeconds == 0 })
	// The page and zigbee2mqtt's topics open the same network.
	finish(t, person.Publish("zigbee2mqtt/bridge/request/permit_join", 0, false, `{"time":50}`))
	awaitBox(t, messages, "the network that another has opened", func(s boxState) bool { return *s.PermitJoin && *s.PermitSeconds <= 50 })
}
