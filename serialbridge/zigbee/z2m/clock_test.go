package z2m

import (
	"testing"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/zcl"
)

// TestTuyaClocks leaves the time since 1970 to the network, and answers the others.
func TestTuyaClocks(t *testing.T) {
	clock := func(start string) *devices.Definition {
		return &devices.Definition{Model: start, Clusters: []uint16{zigbee.ClusterTuya}, Quirks: map[string]any{"tuya": map[string]any{"timeStart": start}}}
	}
	h := newHouse(t, func(o *Options) {
		o.Resolve = simple(map[string]*devices.Definition{"2000": clock("2000"), "none": {Model: "none"}})
	})
	ask := zigbee.Message{Cluster: zigbee.ClusterTuya, Endpoint: 1, Frame: zcl.Frame{Type: zcl.Specific, Command: zigbee.TuyaSyncTime}}
	for i, test := range []struct {
		model string
		frame zcl.Frame
		want  bool
	}{
		{"2000", ask.Frame, true},
		{"none", ask.Frame, false},
		{"stranger", ask.Frame, false},
		{"2000", zcl.Frame{Type: zcl.Specific, Command: zigbee.TuyaConnectionStatus}, false},
	} {
		d := zigbee.Device{IEEEAddress: zigbee.IEEEAddress(i + 1), ModelID: test.model, Interview: zigbee.Successful}
		h.Bridge.Interviewing(d)
		m := ask
		m.Device, m.Frame = d.IEEEAddress, test.frame
		if got := h.Bridge.tellTime(d, m); got != test.want {
			t.Errorf("%s, command 0x%02x: answered %v", test.model, test.frame.Command, got)
		}
	}
	h.Bridge.mu.Lock()
	h.Bridge.devices[2].options = map[string]any{"time_start": "off"}
	h.Bridge.mu.Unlock()
	if d := h.Bridge.devices[2].Device; !h.Bridge.tellTime(d, ask) {
		t.Error("a device is told the time whose user wants it not to be")
	}
}
