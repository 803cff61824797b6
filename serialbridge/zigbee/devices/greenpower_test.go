package devices

import (
	"fmt"
	"testing"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// What the definitions of zigbee-herdsman-converters 26.105.0 make of commands. Where a
// model has no such command they say nothing, an error, or for PTM 215Z "unknown_27", which
// is no action that it exposes.
func TestGreenPowerActions(t *testing.T) {
	const none = "<nil>"
	for _, c := range []struct {
		model   string
		command byte
		payload []byte
		want    string
	}{
		{"PTM 215Z", 0x10, nil, "press_1"},
		{"PTM 215Z", 0x14, nil, "release_1"},
		{"PTM 215Z", 0x22, nil, "press_energy_bar"},
		{"PTM 215Z", 0x62, nil, "press_2_and_4"},
		{"PTM 215Z", 0x1b, nil, none},
		{"PTM 215ZE", 0x10, nil, "press_energy_bar"},
		{"PTM 215ZE", 0x14, nil, "press_3"},
		{"PTM 215ZE", 0x1b, nil, "release_2_and_4"},
		{"PTM 215ZE", 0x22, nil, "press_1"},
		{"PTM 215ZE", 0x62, nil, "press_1_and_3"},
		{"PTM 215ZE", 0x68, nil, none},
		{"9133", 0x14, nil, "press_2"},
		{"9133", 0x1b, nil, "hold_1"},
		{"9133", 0x22, nil, none},
		{"PTM 216Z", 0x68, nil, "short_press_2_of_2"},
		{"PTM 216Z", 0x69, []byte{0x01}, "press_1"},
		{"PTM 216Z", 0x69, []byte{0x0c}, "press_3_and_4"},
		{"PTM 216Z", 0x69, []byte{0x10}, "press_energy_bar"},
		{"PTM 216Z", 0x6a, []byte{0x00}, "release"},
		{"PTM 216Z", 0x22, nil, none},
		{"PTM 216Z", 0x69, nil, none},
	} {
		payload := append([]byte{0x80, 0x04, 5, 0, 0, 0, 1, 0, 0, 0, c.command, byte(len(c.payload))}, c.payload...)
		m := zigbee.Message{Endpoint: zigbee.EndpointGreenPower, Cluster: clusterGreenPower,
			Frame: zcl.Frame{Type: zcl.Specific, Payload: payload}}
		values := greenPowerTrait.Decode(&Context{Definition: &Definition{Model: c.model}}, m)
		if got := fmt.Sprint(values["action"]); got != c.want {
			t.Errorf("%s 0x%02x %x: %s, want %s", c.model, c.command, c.payload, got, c.want)
		}
	}
}
