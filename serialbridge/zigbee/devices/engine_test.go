package devices

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// everything is a device with all clusters that can be commanded, on two endpoints,
// and remote controls on a third.
func everything() *zigbee.Device {
	served := []uint16{
		clusterBasic, clusterIdentify, clusterScenes, clusterOnOff, clusterLevel, clusterColor, clusterDoorLock,
		clusterWindowCovering, clusterThermostat, clusterFan, clusterThermostatUI, clusterBallast, clusterWarning,
	}
	return &zigbee.Device{ModelID: "everything", Endpoints: []zigbee.Endpoint{
		{ID: 1, Profile: 0x0104, Input: served},
		{ID: 2, Profile: 0x0104, Input: served},
		{ID: 3, Profile: 0x0104, Output: []uint16{clusterOnOff, clusterLevel, clusterColor, clusterWindowCovering, clusterScenes}},
	}}
}

func keysOf(outcomes []Outcome) []string {
	var keys []string
	for _, o := range outcomes {
		keys = append(keys, o.Key)
	}
	return keys
}

func TestSetOrder(t *testing.T) {
	device := &zigbee.Device{Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{clusterOnOff, clusterLevel, clusterColor}}}}
	for _, test := range []struct {
		message Values
		want    []string
	}{
		// A bulb takes a color only while it is on.
		{Values{"color_temp": 300.0, "state": "ON"}, []string{"state", "color_temp"}},
		{Values{"color_temp": 300.0, "brightness": 20.0, "effect": "blink"}, []string{"brightness", "color_temp", "effect"}},
		{Values{"color_temp": 300.0, "state": "OFF"}, []string{"color_temp", "state"}},
		{Values{"color_temp": 300.0, "brightness": 20.0, "state": "off"}, []string{"color_temp", "brightness"}},
		// What a trait has taken of the message is not sent again.
		{Values{"brightness": 20.0, "state": "ON", "on_time": 3.0, "transition": 1.0}, []string{"brightness", "transition"}},
		{Values{"color": map[string]any{"x": 0.3, "y": 0.3}, "color_temp": 300.0}, []string{"color"}},
	} {
		d := Generate(device)
		got := keysOf(d.Set(&Context{Device: device, Message: test.message}))
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: %q, want %q", test.message, got, test.want)
		}
	}
}

func TestSetEndpoint(t *testing.T) {
	device := &zigbee.Device{Endpoints: []zigbee.Endpoint{
		{ID: 1, Input: []uint16{clusterOnOff}}, {ID: 2, Input: []uint16{clusterOnOff, clusterLevel}},
	}}
	d := Generate(device)
	d.Endpoints = map[string]uint8{"left": 1, "right": 2, "default": 2}
	for _, e := range d.Exposes { // as the converters would name them
		e.rename(map[string]string{"1": "left", "2": "right"})
	}
	for _, test := range []struct {
		endpoint uint8
		message  Values
		want     uint8
		state    string
	}{
		{0, Values{"state_left": "ON"}, 1, "state_left"},
		{0, Values{"state_right": "ON"}, 2, "state_right"},
		{1, Values{"state": "ON"}, 1, "state_left"},
		{1, Values{"state_right": "ON"}, 2, "state_right"}, // the key says more than the topic
		{0, Values{"state": "ON"}, 2, "state"},
	} {
		c := &Context{Device: device, Endpoint: test.endpoint, Message: test.message}
		outcomes := d.Set(c)
		if len(outcomes) != 1 || outcomes[0].Err != nil || len(outcomes[0].Requests) != 1 {
			t.Errorf("%v: %+v", test.message, outcomes)
			continue
		}
		if got := outcomes[0].Requests[0].Endpoint; got != test.want || outcomes[0].State[test.state] != "ON" {
			t.Errorf("%v at %d: endpoint %d and %v, want %d and %s", test.message, test.endpoint, got, outcomes[0].State, test.want, test.state)
		}
		if c.Endpoint != test.endpoint || len(c.Message) != 1 {
			t.Errorf("%v: the context has changed: %+v", test.message, c)
		}
	}
	if outcomes := d.Set(&Context{Device: device, Message: Values{"state_middle": "ON"}}); outcomes[0].Err == nil {
		t.Error("an endpoint that there is not takes a state")
	}
}

// rename gives an expose another name of its endpoint.
func (x *Expose) rename(names map[string]string) {
	if name, ok := names[x.Endpoint]; ok {
		if base, ok := cutSuffix(x.Property, "_"+x.Endpoint); ok {
			x.Property = base + "_" + name
		}
		x.Endpoint = name
	}
	for _, f := range x.Features {
		f.rename(names)
	}
}

func cutSuffix(s, suffix string) (string, bool) {
	if len(s) > len(suffix) && s[len(s)-len(suffix):] == suffix {
		return s[:len(s)-len(suffix)], true
	}
	return s, false
}

func TestSteps(t *testing.T) {
	device := &zigbee.Device{Endpoints: []zigbee.Endpoint{
		{ID: 1, Input: []uint16{clusterOnOff, clusterLevel, clusterColor}, Output: []uint16{clusterOnOff}},
		{ID: 2, Input: []uint16{clusterWindowCovering}},
	}}
	bound := make(map[uint8][]uint16)
	reported := make(map[uint16][]zigbee.Reporting)
	for _, s := range Generate(device).Steps(&Context{Device: device}) {
		bound[s.Endpoint] = append(bound[s.Endpoint], s.Bind...)
		for _, r := range s.Report {
			reported[r.Cluster] = append(reported[r.Cluster], r)
		}
		if s.Request != nil && s.Request.Endpoint != s.Endpoint {
			t.Errorf("a request for endpoint %d goes to %d", s.Endpoint, s.Request.Endpoint)
		}
	}
	for endpoint, clusters := range map[uint8][]uint16{1: {clusterOnOff, clusterLevel, clusterColor}, 2: {clusterWindowCovering}} {
		for _, cluster := range clusters {
			if !slices.Contains(bound[endpoint], cluster) {
				t.Errorf("cluster 0x%04x of endpoint %d is not bound", cluster, endpoint)
			}
		}
	}
	want := zigbee.Reporting{Cluster: clusterOnOff, Type: uint8(zcl.Boolean), Max: 65000 * time.Second, Change: 1}
	if !slices.Equal(reported[clusterOnOff], []zigbee.Reporting{want}) {
		t.Errorf("on and off: %+v", reported[clusterOnOff])
	}
	if n := len(reported[clusterColor]); n != 5 { // color temperature, x, y, hue, saturation
		t.Errorf("%d attributes of the color are reported", n)
	}
	if n := len(reported[clusterWindowCovering]); n != 2 {
		t.Errorf("%d attributes of the cover are reported", n)
	}
}

func TestForGroup(t *testing.T) {
	bulb := func(low, high float64) *Definition {
		device := &zigbee.Device{Endpoints: []zigbee.Endpoint{{
			ID: 1, Input: []uint16{clusterOnOff, clusterLevel, clusterColor},
			Attributes: map[uint16]map[uint16]any{clusterColor: {attrColorCapabilities: 0x18, attrColorTempMin: low, attrColorTempMax: high}},
		}}}
		return Generate(device)
	}
	d := ForGroup([]*Definition{bulb(153, 500), bulb(250, 454), nil})
	for value, want := range map[any]float64{100.0: 250, 999.0: 454, "coolest": 250, "warmest": 454} {
		outcomes := d.Set(&Context{Group: true, GroupID: 4, Message: Values{"color_temp": value}})
		if len(outcomes) != 1 || outcomes[0].Err != nil || outcomes[0].State["color_temp"] != want {
			t.Errorf("color_temp %v: %+v, want %v", value, outcomes, want)
		}
	}
	outcomes := d.Set(&Context{Group: true, GroupID: 4, Message: Values{"scene_store": 2.0}})
	if r := outcomes[0].Requests[0]; !r.NoResponse || string(r.Frame.Payload) != "\x04\x00\x02" {
		t.Errorf("storing a scene of a group: %+v", r)
	}
	if outcomes := ForGroup(nil).Set(&Context{Group: true, Message: Values{"state": "ON"}}); outcomes[0].Err == nil {
		t.Error("a group without members takes a state")
	}
}

func TestRecallScene(t *testing.T) {
	device := &zigbee.Device{Endpoints: []zigbee.Endpoint{{
		ID: 1, Input: []uint16{clusterScenes, clusterOnOff, clusterLevel, clusterColor},
		Scenes: []zigbee.Scene{{ID: 3, State: map[string]any{"state": "ON", "color_temp": 300.0}}},
	}}}
	d := Generate(device)
	c := &Context{Device: device, State: Values{"color": map[string]any{"x": 0.1, "y": 0.1}}, Message: Values{"scene_recall": 3.0}}
	o := d.Set(c)[0]
	color, _ := o.State["color"].(map[string]any)
	if o.Err != nil || o.State["state"] != "ON" || o.State["color_mode"] != "color_temp" || color["x"] != 0.4152 {
		t.Errorf("scene 3: %+v", o)
	}
	if _, ok := device.Endpoints[0].Scenes[0].State["color"]; ok {
		t.Error("the scene itself has changed")
	}
	c.Message = Values{"scene_recall": 4.0}
	if o := d.Set(c)[0]; o.Err != nil || len(o.State) != 0 || len(o.Requests) != 1 {
		t.Errorf("a scene that nobody knows: %+v", o)
	}
}

func TestSceneAnswer(t *testing.T) {
	for _, test := range []struct {
		command uint8
		status  zcl.Status
		bad     bool
	}{
		{cmdSceneAdd, zcl.Success, false},
		{cmdSceneAdd, zcl.InsufficientSpace, true},
		{cmdSceneRemove, zcl.NotFound, false}, // it is removed before it is added
		{cmdSceneRemove, zcl.Failure, true},
	} {
		request := zigbee.Request{Cluster: clusterScenes, Frame: zcl.Frame{Type: zcl.Specific, Command: test.command}}
		answer := zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: test.command, Payload: []byte{byte(test.status), 0, 0, 1}}
		if err := SceneAnswer(request, answer); (err != nil) != test.bad {
			t.Errorf("command %d, %v: %v", test.command, test.status, err)
		}
	}
}

func TestRemembersBrightness(t *testing.T) {
	device := &zigbee.Device{Endpoints: []zigbee.Endpoint{{ID: 1, Input: []uint16{clusterOnOff, clusterLevel}}}}
	d := Generate(device)
	c := &Context{Device: device, Memory: make(map[string]any), State: Values{"state": "ON", "brightness": 77.0}}
	c.Message = Values{"state": "OFF", "transition": 2.0}
	if o := d.Set(c)[1]; o.State["brightness"] != nil || o.State["state"] != "OFF" {
		t.Errorf("off: %+v", o)
	}
	// The level went down to nothing; the next On takes it back to where it was.
	c.State = Values{"state": "OFF", "brightness": 0.0}
	c.Message = Values{"state": "ON"}
	if o := d.Set(c)[0]; o.State["brightness"] != 77.0 || o.State["state"] != "ON" {
		t.Errorf("on: %+v", o)
	}
}

func TestRepeatedAction(t *testing.T) {
	device := everything()
	d := Generate(device)
	c := &Context{Device: device, Memory: make(map[string]any)}
	m := zigbee.Message{Endpoint: 3, Cluster: clusterOnOff, Frame: zcl.Frame{Type: zcl.Specific, Command: cmdToggle, Sequence: 9}}
	if values, _ := d.Decode(c, m); values["action"] != "toggle_3" {
		t.Errorf("%v, want toggle_3", values)
	}
	if values, _ := d.Decode(c, m); len(values) != 0 {
		t.Errorf("the same frame again: %v", values)
	}
	m.Frame.Sequence++
	if values, _ := d.Decode(c, m); values["action"] != "toggle_3" {
		t.Errorf("the next frame: %v", values)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint16(clusterColor), uint8(1), []byte{0x18, 1, 0x0a, 3, 0, 0x21, 1, 2, 4, 0, 0x21, 3, 4})
	f.Add(uint16(clusterColor), uint8(3), []byte{0x01, 1, 0x44, 15, 2, 1, 20, 0, 0xa0, 15})
	f.Add(uint16(clusterThermostat), uint8(2), []byte{0x09, 1, 0x00, 2, 3, 3, 1, 2, 3, 4, 5, 6})
	f.Add(uint16(clusterDoorLock), uint8(1), []byte{0x09, 1, 0x06, 1, 0, 1, 0, 4, '1', '2'})
	device := everything()
	d := Generate(device)
	f.Fuzz(func(t *testing.T, cluster uint16, endpoint uint8, data []byte) {
		frame, err := zcl.ParseFrame(data)
		if err != nil {
			return
		}
		m := zigbee.Message{Endpoint: endpoint, Cluster: cluster, Frame: frame}
		if frame.Type == zcl.Global && frame.Command <= zcl.ReportAttributes {
			m.Attributes, _ = zcl.ParseAttributes(frame.Command, frame.Payload)
		}
		values, _ := d.Decode(&Context{Device: device, Memory: make(map[string]any), Options: Values{"expose_pin": true}}, m)
		if _, err := json.Marshal(values); err != nil {
			t.Errorf("%v: %v", values, err)
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add([]byte(`{"state":"ON","brightness":20,"transition":1,"color":{"hue":1,"saturation":3},"color_temp":"warm"}`))
	f.Add([]byte(`{"scene_add":{"ID":3,"state":"ON","color":{"h":1,"s":2}},"weekly_schedule":{"dayofweek":["monday"],"transitions":[{"time":"1:30","heatSetpoint":20}]}}`))
	f.Add([]byte(`{"pin_code":{"user":1,"pin_code":"1"},"warning":{"mode":"fire"},"level_config":{"on_level":3},"read":{"cluster":"genBasic","attributes":[4]}}`))
	f.Add([]byte(`{"write":{"cluster":6,"payload":{"1":{"value":[],"type":72}}},"command":{"cluster":8,"command":0,"payload":{"level":1e9}}}`))
	device := everything()
	d := Generate(device)
	f.Fuzz(func(t *testing.T, message []byte) {
		var object map[string]any
		if json.Unmarshal(message, &object) != nil {
			return
		}
		for _, group := range []bool{false, true} {
			c := &Context{Device: device, Message: object, Memory: make(map[string]any), State: object, Options: object, Group: group}
			for _, o := range slices.Concat(d.Set(c), d.Get(c)) {
				if o.Err != nil {
					continue
				}
				if _, err := json.Marshal(o.State); err != nil {
					t.Errorf("%s: %v: %v", message, o.State, err)
				}
			}
		}
	})
}

// TestTranscript follows what a recorded zigbee2mqtt 2.14.1 told of a Hue lamp while
// its color was set in one way after the other.
func TestTranscript(t *testing.T) {
	device := &zigbee.Device{ModelID: "LCT015", ManufacturerName: "Signify Netherlands B.V.", ManufacturerCode: 0x100b,
		Endpoints: []zigbee.Endpoint{{
			ID: 11, Input: []uint16{clusterOnOff, clusterLevel, clusterColor},
			Attributes: map[uint16]map[uint16]any{clusterColor: {attrColorTempMin: 153, attrColorTempMax: 500}},
		}}}
	d := Resolve(device)
	state := Values{"state": "ON", "brightness": 10.0}
	for _, test := range []struct{ set, want string }{
		{`{"color_temp":250}`, `{"color_mode":"color_temp","color_temp":250}`},
		{`{"color":{"x":0.3,"y":0.4}}`, `{"color":{"x":0.3,"y":0.4},"color_mode":"xy","color_temp":153}`},
		{`{"color":{"hex":"#ff8000"}}`, `{"color":{"x":0.6112,"y":0.375},"color_mode":"xy","color_temp":500}`},
		{`{"color":{"hue":120,"saturation":80}}`, `{"color":{"hue":120,"saturation":80,"x":0.2414,"y":0.555},"color_mode":"hs","color_temp":153}`},
		{`{"color":{"r":10,"g":200,"b":30}}`, `{"color":{"hue":121,"saturation":99,"x":0.1742,"y":0.7239},"color_mode":"xy","color_temp":153}`},
		{`{"color_temp":"warm"}`, `{"color":{"hue":27,"saturation":92,"x":0.5056,"y":0.4152},"color_mode":"color_temp","color_temp":454}`},
		{`{"brightness":77}`, `{"brightness":77,"state":"ON"}`},
		{`{"effect":"blink"}`, `{}`},
		{`{"state":"TOGGLE"}`, `{"state":"OFF"}`},
	} {
		c := &Context{Device: device, State: state, Memory: make(map[string]any)}
		if err := json.Unmarshal([]byte(test.set), &c.Message); err != nil {
			t.Fatal(err)
		}
		got := make(Values)
		for _, o := range d.Set(c) {
			if o.Err != nil {
				t.Errorf("%s: %v", test.set, o.Err)
			}
			maps.Copy(got, o.State)
		}
		var want any
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if !near(asJSON(got), want) {
			t.Errorf("%s: %s, want %s", test.set, asText(got), test.want)
		}
		maps.Copy(state, got)
	}
}
