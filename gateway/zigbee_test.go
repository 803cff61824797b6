package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// TestZigbee is the main job of a Zigbee stick: a lamp that joins is in Home Assistant, can be
// switched, and is still there after a restart of the bridge.
func TestZigbee(t *testing.T) {
	t.Parallel()
	e, stop := start(t, t.TempDir())
	defer stop()
	messages := listenTo(t, e, "zigbee2mqtt/#", "homeassistant/light/#")
	const lamp = "0x00178801061a2b3c" // of air.Household
	document := await(t, messages, "the lamp's discovery document", func(m paho.Message) bool {
		return m.Topic() == "homeassistant/light/"+lamp+"/light/config" && len(m.Payload()) > 0
	})
	var light struct {
		UniqueID string   `json:"unique_id"`
		Command  string   `json:"command_topic"`
		Modes    []string `json:"supported_color_modes"`
		Device   struct{ Manufacturer string }
	}
	if err := json.Unmarshal(document.Payload(), &light); err != nil {
		t.Fatal(err)
	}
	if light.UniqueID != lamp+"_light_zigbee2mqtt" || light.Command != "zigbee2mqtt/"+lamp+"/set" || len(light.Modes) != 2 || light.Device.Manufacturer != "Philips" {
		t.Errorf("document: %s", document.Payload())
	}
	await(t, messages, "the lamp's first state", func(m paho.Message) bool {
		return m.Topic() == "zigbee2mqtt/"+lamp && strings.Contains(string(m.Payload()), `"brightness":`)
	})
	c := connect(t, e, "person", "", "")
	for _, state := range []string{"OFF", "ON"} {
		c.Publish("zigbee2mqtt/"+lamp+"/set", 1, false, `{"state":"`+state+`"}`)
		await(t, messages, "the lamp "+state, func(m paho.Message) bool {
			return m.Topic() == "zigbee2mqtt/"+lamp && strings.Contains(string(m.Payload()), `"state":"`+state+`"`)
		})
	}
	c.Publish("zigbee2mqtt/bridge/request/restart", 1, false, "")
	await(t, messages, "the end of the bridge", func(m paho.Message) bool {
		return m.Topic() == "zigbee2mqtt/bridge/state" && strings.Contains(string(m.Payload()), "offline")
	})
	await(t, messages, "the bridge again", func(m paho.Message) bool {
		return m.Topic() == "zigbee2mqtt/bridge/state" && strings.Contains(string(m.Payload()), "online")
	})
	c.Publish("zigbee2mqtt/"+lamp+"/set", 1, false, `{"state":"OFF"}`)
	await(t, messages, "the lamp off", func(m paho.Message) bool {
		return m.Topic() == "zigbee2mqtt/"+lamp && strings.Contains(string(m.Payload()), `"state":"OFF"`)
	})
}
