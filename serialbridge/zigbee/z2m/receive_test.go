package z2m

import (
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/zcl"
)

const thermometer zigbee.IEEEAddress = 0x00124b00000000aa

// measuring is a house with a thermometer that speaks when say does; options are its own.
func measuring(t *testing.T, options string) (h *house, say func(temperature float64)) {
	definition := &devices.Definition{
		Exposes:  []*devices.Expose{{Type: "numeric", Name: "temperature", Property: "temperature", Access: devices.Published}},
		Clusters: []uint16{0x0402},
	}
	h = newHouse(t, func(o *Options) { o.Resolve = simple(map[string]*devices.Definition{"T1": definition}) })
	device := zigbee.Device{
		IEEEAddress: thermometer, Type: zigbee.EndDevice, ModelID: "T1", Interview: zigbee.Successful, Configured: configureVersion + "T1",
		Endpoints: []zigbee.Endpoint{{ID: 1, Profile: 0x104, Input: []uint16{0x0402}}},
	}
	h.run()
	h.next("bridge/extensions")
	h.Joined(device)
	h.Interviewing(device)
	if got := h.ask("device/options", `{"id":"`+thermometer.String()+`","options":`+options+`}`); !strings.Contains(got, `"status":"ok"`) {
		t.Fatal(got)
	}
	return h, func(temperature float64) {
		h.Message(device, zigbee.Message{
			Device: thermometer, Endpoint: 1, Cluster: 0x0402, Received: time.Now(),
			Frame:      zcl.Frame{Command: zcl.ReportAttributes, ServerToClient: true},
			Attributes: []zcl.Attribute{{ID: 0, Type: zcl.Int16, Value: int64(temperature * 100)}},
		})
	}
}

func TestPlain(t *testing.T) {
	h, say := measuring(t, `{"temperature_calibration":-0.25,"temperature_precision":1,"retain":true,"qos":1}`)
	say(21.68)
	m := h.want(thermometer.String(), `{"temperature":21.4}`)
	if !m.Retain || m.QoS != 1 {
		t.Errorf("retain %v, QoS %d", m.Retain, m.QoS)
	}
}

func TestDebounce(t *testing.T) {
	h, say := measuring(t, `{"debounce":0.2,"debounce_ignore":["temperature"]}`)
	say(20)
	say(20)
	say(21) // differs, so that the one before is published first
	h.want(thermometer.String(), `{"temperature":20}`)
	h.want(thermometer.String(), `{"temperature":21}`)
}

func TestThrottle(t *testing.T) {
	h, say := measuring(t, `{"throttle":0.3}`)
	began := time.Now()
	say(20)
	say(21)
	say(22)
	h.want(thermometer.String(), `{"temperature":20}`)
	h.want(thermometer.String(), `{"temperature":22}`)
	if d := time.Since(began); d < 250*time.Millisecond {
		t.Errorf("the second message came after %v", d)
	}
}

func TestFiltered(t *testing.T) {
	h, say := measuring(t, `{"filtered_attributes":["temp.*"]}`)
	say(20)
	h.mu.Lock()
	cached := h.states[thermometer.String()]["temperature"]
	h.mu.Unlock()
	if cached == nil {
		t.Error("what is not published is not remembered")
	}
	h.ask("device/options", `{"id":"`+thermometer.String()+`","options":{"filtered_attributes":null,"filtered_cache":["temperature"]}}`)
	say(21)
	h.want(thermometer.String(), `{"temperature":21}`)
	h.ask("options", `{"options":{"advanced":{"elapsed":true,"output":"attribute_and_json"}}}`)
	say(22)
	h.want(thermometer.String(), `{"temperature":22}`)
	h.want(thermometer.String()+"/temperature", `22`)
	say(23)
	if got := string(h.next(thermometer.String()).Payload); !strings.HasPrefix(got, `{"elapsed":`) {
		t.Errorf("got %s", got)
	}
}

// What is set and what was said is there again after a restart.
func TestRestart(t *testing.T) {
	h, say := measuring(t, `{"description":"cellar"}`)
	h.ask("device/rename", `{"from":"`+thermometer.String()+`","to":"cellar/t"}`)
	h.ask("group/add", `{"friendly_name":"lounge","id":9}`)
	say(20)
	h.want("cellar/t", `{"temperature":20}`)
	h.stop()
	err := <-h.stopped
	h.stopped <- err
	if m := h.next("bridge/state"); string(m.Payload) != Offline || !m.Retain || m.QoS != 0 {
		t.Errorf("the last word is %s, retain %v, QoS %d", m.Payload, m.Retain, m.QoS)
	}
	again, err := New(h.o)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(encode(again.deviceSets[thermometer])); got != `{"description":"cellar","friendly_name":"cellar/t"}` {
		t.Errorf("set is %s", got)
	}
	if got := string(encode(again.states[thermometer.String()])); got != `{"temperature":20}` {
		t.Errorf("the state is %s", got)
	}
	if g := again.groups[9]; g == nil || g.name() != "lounge" {
		t.Errorf("the group is %+v", g)
	}
}

// newHouseOf is a house that knows a device from before. Nothing runs in it: what the
// network has to tell is the test's to tell.
func newHouseOf(t *testing.T, device zigbee.Device) *house {
	return newHouse(t, func(o *Options) {
		o.Resolve = simple(nil)
		if err := o.Network.Store.Put(t.Context(), device.IEEEAddress.String(), device); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLateNews: what the network had to tell of a device before it was removed is told
// after that, when much else is to be told. It does not bring the device back.
func TestLateNews(t *testing.T) {
	device := zigbee.Device{
		IEEEAddress: thermometer, Type: zigbee.EndDevice, ModelID: "T1", Interview: zigbee.Successful,
		Endpoints: []zigbee.Endpoint{{ID: 1, Profile: 0x104, Input: []uint16{0x0402}}},
	}
	h := newHouseOf(t, device)
	known := func() bool {
		_, err := h.Shown(thermometer)
		return err == nil
	}
	if !known() {
		t.Fatal("the device is not there")
	}
	r := &request{name: "device/remove", isBody: true, body: map[string]any{"id": thermometer.String(), "force": true}}
	if _, err := h.removeDevice(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	h.Message(device, zigbee.Message{Device: thermometer, Endpoint: 1, Received: time.Now()})
	h.Changed(device)
	h.Announced(device)
	h.Interviewing(device)
	if known() {
		t.Error("late news have brought a removed device back")
	}
	h.Left(device)
	h.Joined(device)
	if !known() {
		t.Error("a device that was removed cannot join again")
	}
}

// TestOlderNews: what the network has to tell of a device is older than what was read
// of it since, after a request.
func TestOlderNews(t *testing.T) {
	device := zigbee.Device{
		IEEEAddress: thermometer, Type: zigbee.Router, ModelID: "T1", Interview: zigbee.Successful,
		Endpoints: []zigbee.Endpoint{{ID: 1, Profile: 0x104, Input: []uint16{0x0005}}},
	}
	h := newHouseOf(t, device)
	before, _ := h.network.Device(thermometer)
	if err := h.network.SetScenes(thermometer, 1, []zigbee.Scene{{Group: 7, ID: 1}}); err != nil {
		t.Fatal(err)
	}
	h.refresh(thermometer)
	h.Changed(before)
	scenes := func() []zigbee.Scene { return h.devices[thermometer].Endpoints[0].Scenes }
	if len(scenes()) != 1 {
		t.Error("older news have taken the scene away")
	}
	if err := h.network.SetScenes(thermometer, 1, nil); err != nil {
		t.Fatal(err)
	}
	after, _ := h.network.Device(thermometer)
	h.Changed(after)
	if len(scenes()) != 0 {
		t.Error("newer news are not taken")
	}
}
