package homeassistant

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/homeassistant/judge"
	"lintel/serialbridge/zigbee/devices"
)

// zigbeeDifferences are the keys in which documents differ on purpose from those of
// zigbee2mqtt, by platform.
var zigbeeDifferences = map[string]string{
	"any origin":                           "it names the program that publishes: Lintel",
	"update value_template":                "the same fields, made by to_json",
	"update entity_picture":                "the logo of another project",
	"siren command_template":               "the same thresholds, in fewer words",
	"cover value_template":                 "the same rules, in fewer words",
	"sensor preserve_name":                 "no key of Home Assistant",
	"climate mode_state_template":          "the same modes, in fewer words",
	"climate mode_command_template":        "the same modes, in fewer words",
	"climate preset_mode_value_template":   "one model (WT-A03E): null is no preset anyway",
	"climate temperature_state_template":   "one model (WT-A03E): null is no temperature anyway",
	"climate current_temperature_template": "one model (WT-A03E): null is no temperature anyway",
	"sensor SINSTS":                        "one model (ZLinky_TIC) that renames its sensor by the user's tariff",
}

// objections are documents that the validator does not take for good, by platform and
// object, and why they are left as they are.
var objections = map[string]string{
	"siren siren":                 "the validator knows templates of simple values only",
	"infrared ir_emitter":         "newer than the validator",
	"infrared learned_ir_timings": "newer than the validator",
	"button switch_learn_ir_code": "a switch that was made a button; its other keys are ignored",
	"number distance":             "a state class, which is ignored",
	"sensor pm25":                 "the micro sign, which Home Assistant replaces by the Greek letter",
	"sensor pm10":                 "the micro sign, which Home Assistant replaces by the Greek letter",
	"sensor voc":                  "the micro sign, which Home Assistant replaces by the Greek letter",
}

// exposeOf is an expose as the captures have it.
type exposeOf struct {
	devices.Expose
	HomeAssistant map[string]any `json:"homeassistant"`
	Features      []*exposeOf    `json:"features"`
}

func (e *exposeOf) expose() *devices.Expose {
	x := e.Expose
	x.HomeAssistant, x.Features = e.HomeAssistant, nil
	for _, f := range e.Features {
		x.Features = append(x.Features, f.expose())
	}
	return &x
}

// TestZigbeeDocuments holds the documents of 300 device models against those of
// zigbee2mqtt 2.14.1, and all of ours against the rules of Home Assistant.
func TestZigbeeDocuments(t *testing.T) {
	f, err := os.Open("testdata/zigbee_documents.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var models []struct {
		Vendor, Model, Description string
		OTA                        bool
		Exposes                    []*exposeOf
		Docs                       []struct {
			Topic   string
			Payload map[string]any
		}
	}
	if err := json.NewDecoder(r).Decode(&models); err != nil {
		t.Fatal(err)
	}
	documents, different := 0, 0
	for _, m := range models {
		e := ZigbeeEntity{ID: "0x0000000000000001", Name: "n", Vendor: m.Vendor, Model: m.Model, Description: m.Description, OTA: m.OTA}
		for _, x := range m.Exposes {
			e.Exposes = append(e.Exposes, x.expose())
		}
		ours, err := ZigbeeDocuments(ZigbeeOptions{Coordinator: "0x01"}, e)
		if err != nil {
			t.Errorf("%s: %v", m.Model, err)
			continue
		}
		got := make(map[string]map[string]any)
		for _, d := range ours {
			err := judge.Judge(d.Topic, d.Payload).Clean()
			if platform := strings.Split(d.Topic, "/")[1]; err != nil && objections[platform+" "+d.Object] == "" {
				t.Errorf("%s: %s: %v", m.Model, d.Topic, err)
			}
			var payload map[string]any
			if err := json.Unmarshal(d.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			delete(payload, "availability")
			delete(payload, "device")
			delete(payload, "origin")
			got[strings.TrimPrefix(d.Topic, "homeassistant/")] = payload
		}
		differ := func(topic, key string, got, want any) {
			parts := strings.Split(topic, "/")
			different++
			if zigbeeDifferences[parts[0]+" "+key] == "" && zigbeeDifferences[parts[0]+" "+parts[2]] == "" {
				t.Errorf("%s: %s: %s is %v, want %v", m.Model, topic, key, got, want)
			}
		}
		for _, want := range m.Docs {
			documents++
			parts := strings.Split(want.Topic, "/")
			parts[2] = level(parts[2])
			want.Topic = strings.Join(parts, "/")
			ours, ok := got[want.Topic]
			if !ok {
				differ(want.Topic, "the document", "missing", "there")
				continue
			}
			delete(got, want.Topic)
			for key, value := range want.Payload {
				if !reflect.DeepEqual(ours[key], value) {
					differ(want.Topic, key, ours[key], value)
				}
			}
			for key, value := range ours {
				if _, ok := want.Payload[key]; !ok {
					differ(want.Topic, key, value, nil)
				}
			}
		}
		for topic := range got {
			t.Errorf("%s: %s is one too many", m.Model, topic)
		}
	}
	t.Logf("%d models, %d documents; %d keys differ, all for the reasons in zigbeeDifferences", len(models), documents, different)
}

// TestZigbeeIdentity holds what Home Assistant recognises entities by.
func TestZigbeeIdentity(t *testing.T) {
	o := ZigbeeOptions{BaseTopic: "zigbee2mqtt", Coordinator: "0x00124b0000000001", Version: "1"}
	bulb := &devices.Expose{Type: "light", Features: []*devices.Expose{{Type: "binary", Name: "state", Property: "state", ValueOn: "ON", ValueOff: "OFF"}}}
	group := ZigbeeEntity{ID: "3", Group: true, Name: "lounge", Availability: true, Scenes: []ZigbeeScene{{1, "Late Evening"}},
		Members: []ZigbeeMember{{Device: "0x0000000000000001", Exposes: []*devices.Expose{bulb}}}}
	documents, err := ZigbeeDocuments(o, group)
	if err != nil {
		t.Fatal(err)
	}
	bridge, err := zigbeeBridgeDocuments(o)
	if err != nil {
		t.Fatal(err)
	}
	trigger, err := zigbeeTrigger(o, ZigbeeEntity{ID: "0x0000000000000002", Name: "button"}, "single")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range append(append(documents, trigger), bridge...) {
		v := judge.Judge(d.Topic, d.Payload)
		v.Dropped = slices.DeleteFunc(v.Dropped, func(key string) bool { return key == "group" }) // newer ones know it
		if err := v.Clean(); err != nil {
			t.Errorf("%s: %v", d.Topic, err)
		}
		var m struct {
			UniqueID string `json:"unique_id"`
			EntityID string `json:"default_entity_id"`
			Device   struct{ Identifiers []string }
		}
		if err := json.Unmarshal(d.Payload, &m); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join([]string{d.Topic, m.UniqueID, m.EntityID, m.Device.Identifiers[0]}, " "))
	}
	want := []string{
		"homeassistant/light/1221051039810110150109113116116_3/light/config 3_light_zigbee2mqtt light.lounge zigbee2mqtt_1221051039810110150109113116116_3",
		"homeassistant/scene/1221051039810110150109113116116_3/scene_1/config 3_scene_1_zigbee2mqtt scene.lounge_1_late_evening zigbee2mqtt_1221051039810110150109113116116_3",
		"homeassistant/device_automation/0x0000000000000002/action_single/config   zigbee2mqtt_0x0000000000000002",
		"homeassistant/binary_sensor/1221051039810110150109113116116_0x00124b0000000001/connection_state/config bridge_0x00124b0000000001_connection_state_zigbee2mqtt binary_sensor.zigbee_bridge_connection_state zigbee2mqtt_bridge_0x00124b0000000001",
	}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("document %d:\n %s, want\n %s", i, got[i], w)
		}
	}
}
