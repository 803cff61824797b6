package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// lampOfHouse is a lamp of air.Household.
const lampOfHouse = "0x00178801061a2b3c"

// pageDevice is a device as GET /api/devices/{id} tells it.
type pageDevice struct {
	ID, Name, Bridge, Stick, Availability, Icon string
	Properties                                  []struct {
		Key, Name, Unit, Control string
		Value                    any
	}
}

func (d *pageDevice) value(key string) any {
	for _, p := range d.Properties {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// awaitDevice asks for a device until it is as wanted.
func (o *owner) awaitDevice(id, what string, wanted func(*pageDevice) bool) *pageDevice {
	o.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		d := new(pageDevice)
		if status, text := o.try("GET", "/api/devices/"+id, nil); status == http.StatusOK {
			if err := json.Unmarshal(text, d); err != nil {
				o.t.Fatal(err)
			}
			if wanted(d) {
				return d
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			o.t.Fatalf("%s: waited in vain for %s: %+v", id, what, d)
		}
	}
}

// TestDevices is what a person does with devices on the pages: sees what they say, commands
// them, gives them other names, and takes them away.
func TestDevices(t *testing.T) {
	t.Parallel()
	e, stop := start(t, t.TempDir())
	defer stop()
	messages := listenTo(t, e, "homeassistant/#", "zigbee2mqtt/#")
	document := await(t, messages, "the meter's discovery document", func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "homeassistant/device/lintel_dsmr_") && strings.Contains(string(m.Payload()), "energy_import_tariff_1")
	})
	meter := strings.TrimSuffix(strings.TrimPrefix(document.Topic(), "homeassistant/device/lintel_"), "/config")
	o := claim(t, e)

	seen := o.awaitDevice(meter, "a value", func(d *pageDevice) bool { return d.value("energy_import_tariff_1") != nil })
	if seen.Availability != "online" || seen.Bridge != "dsmr" || !strings.HasPrefix(seen.Stick, "stick_") {
		t.Errorf("the meter: %+v", seen)
	}
	lamp := o.awaitDevice(lampOfHouse, "the state of the lamp", func(d *pageDevice) bool { return d.value("state") != nil })
	if i := slices.IndexFunc(lamp.Properties, func(p struct {
		Key, Name, Unit, Control string
		Value                    any
	}) bool {
		return p.Key == "brightness"
	}); i < 0 || lamp.Properties[i].Control != "number" {
		t.Errorf("the lamp: %+v", lamp)
	}

	// What is set goes the way of all commands, and the answer of the device is shown.
	for _, wanted := range []string{"OFF", "ON"} {
		var set struct {
			Value     any
			Confirmed bool
		}
		o.call("POST", "/api/devices/"+lampOfHouse+"/set", map[string]any{"key": "state", "value": wanted}, &set)
		if set.Value != wanted || !set.Confirmed {
			t.Errorf("set to %s: %+v", wanted, set)
		}
	}
	for _, bad := range []struct {
		device string
		body   any
		status int
		says   string
	}{
		{lampOfHouse, map[string]any{"key": "nothing", "value": 1}, 400, "no property"},
		{lampOfHouse, map[string]any{"key": "brightness", "value": 300}, 400, "0 to 254"},
		{lampOfHouse, map[string]any{"key": "linkquality", "value": 1}, 400, "can be read"},
		{lampOfHouse, map[string]any{"key": "state"}, 400, "value"},
		{lampOfHouse, map[string]any{"key": "state", "value": "ON", "more": 1}, 400, "more"},
		{meter, map[string]any{"key": "energy_import_tariff_1", "value": 1}, 400, "can be read"},
		{"0x0000000000000001", map[string]any{"key": "state", "value": "ON"}, 404, "no device"},
		{"nothing", map[string]any{"key": "state", "value": "ON"}, 404, "no such device"},
	} {
		if status, text := o.try("POST", "/api/devices/"+bad.device+"/set", bad.body); status != bad.status || !strings.Contains(string(text), bad.says) {
			t.Errorf("set %v of %s: %d %s", bad.body, bad.device, status, text)
		}
	}

	// A name changes in Home Assistant; what it knows the device by does not.
	type discovery struct {
		Device struct {
			Name string   `json:"name"`
			IDs  []string `json:"ids"`
		} `json:"dev"`
		Components map[string]map[string]any `json:"cmps"`
	}
	var before, after discovery
	if err := json.Unmarshal(document.Payload(), &before); err != nil {
		t.Fatal(err)
	}
	o.call("PATCH", "/api/devices/"+meter, map[string]any{"name": "Meter in the cellar", "icon": "mdi:meter-electric"}, nil)
	await(t, messages, "the meter's new name", func(m paho.Message) bool {
		after = discovery{}
		return m.Topic() == document.Topic() && json.Unmarshal(m.Payload(), &after) == nil && after.Device.Name == "Meter in the cellar"
	})
	if !slices.Equal(before.Device.IDs, after.Device.IDs) || after.Components["energy_import_tariff_1"]["uniq_id"] != before.Components["energy_import_tariff_1"]["uniq_id"] {
		t.Errorf("the meter's ids: %v, were %v", after.Device.IDs, before.Device.IDs)
	}
	icons := 0
	for _, c := range after.Components {
		if c["ic"] == "mdi:meter-electric" {
			icons++
		}
	}
	if icons == 0 {
		t.Error("no entity of the meter has the icon")
	}
	if d := o.awaitDevice(meter, "its name", func(d *pageDevice) bool { return d.Name == "Meter in the cellar" }); d.Icon != "mdi:meter-electric" {
		t.Errorf("the meter: %+v", d)
	}
	o.call("PATCH", "/api/devices/"+lampOfHouse, map[string]any{"name": "Reading lamp", "icon": "mdi:desk-lamp"}, nil)
	await(t, messages, "the lamp under its new name", func(m paho.Message) bool { return m.Topic() == "zigbee2mqtt/Reading lamp" })
	await(t, messages, "the lamp's icon", func(m paho.Message) bool {
		return m.Topic() == "homeassistant/light/"+lampOfHouse+"/light/config" && strings.Contains(string(m.Payload()), `"mdi:desk-lamp"`)
	})
	for _, bad := range []map[string]any{{"icon": "sofa"}, {"icon": "mdi:" + strings.Repeat("x", 99)}, {"name": strings.Repeat("x", 65)}, {"name": "two\nlines"}, {"nam": "x"}} {
		if status, text := o.try("PATCH", "/api/devices/"+meter, bad); status != 400 {
			t.Errorf("%v: %d %s", bad, status, text)
		}
	}
	if status, text := o.try("PATCH", "/api/devices/"+lampOfHouse, map[string]any{"name": "a/1"}); status != http.StatusConflict {
		t.Errorf("a name that no Zigbee device may have: %d %s", status, text)
	}

	var list struct {
		Devices []struct{ ID, Name string }
		Count   int
	}
	o.get("/api/devices?q=reading", &list)
	if list.Count != 1 || list.Devices[0].ID != lampOfHouse {
		t.Errorf("found: %+v", list)
	}
	o.get("/api/devices?show=online&stick="+seen.Stick, &list)
	if list.Count != 2 || !slices.Contains([]string{list.Devices[0].ID, list.Devices[1].ID}, meter) { // and one of gas
		t.Errorf("behind %s: %+v", seen.Stick, list)
	}

	// What is there stays there; a Zigbee device is sent away.
	if status, text := o.try("DELETE", "/api/devices/"+meter, nil); status != http.StatusConflict || !strings.Contains(string(text), "online") {
		t.Errorf("removing a meter that speaks: %d %s", status, text)
	}
	o.call("POST", "/api/zigbee/permit", map[string]int{"seconds": 0}, nil) // or it may be back at once
	o.call("DELETE", "/api/devices/"+lampOfHouse, nil, nil)
	await(t, messages, "the lamp leaving Home Assistant", func(m paho.Message) bool {
		return m.Topic() == "homeassistant/light/"+lampOfHouse+"/light/config" && len(m.Payload()) == 0
	})
	if status, _ := o.try("GET", "/api/devices/"+lampOfHouse, nil); status != http.StatusNotFound {
		t.Errorf("the lamp that was removed: %d", status)
	}
}
