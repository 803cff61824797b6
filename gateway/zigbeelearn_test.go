package gateway

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
	"lintel/serialbridge/zigbee/devices"
)

// stranger is a Tuya device that no definition has.
const stranger = 0xa4c138d2f0000042

// zigbeeHouseAt runs a simulated stick and a stranger, and returns a configuration that uses it.
func zigbeeHouseAt(t *testing.T) (*zigbeehouse.House, settings.Config) {
	t.Helper()
	at := freePort(t)
	house, err := zigbeehouse.New(zigbeehouse.Options{Kind: "zigbee-znp", At: "tcp:" + at, JoinEvery: 100 * time.Millisecond,
		Devices: []air.Device{{IEEEAddress: stranger, Kind: air.TuyaUnknown}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- house.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c := localConfig()
	c.Zigbee.OTAIndex = ""
	c.Serial.Ports = []settings.PortConfig{{Path: "tcp://" + at, Protocol: "zigbee"}}
	return house, c
}

// lesson is what the page's API tells of the stranger.
type lesson struct {
	Source, Model string
	Latest        int
	Datapoints    []learnt
}

type learnt struct {
	DP      int `json:"dp"`
	Type    string
	Value   any
	Guess   struct{ Property string }
	Meaning *struct{ Name string }
}

func (l lesson) value(dp int) any {
	if i := slices.IndexFunc(l.Datapoints, func(p learnt) bool { return p.DP == dp }); i >= 0 {
		return l.Datapoints[i].Value
	}
	return nil
}

// until asks until the answer is what is wanted.
func until[T any](o *owner, path, what string, wanted func(T) bool) T {
	o.t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(60 * time.Second)
	defer late.Stop()
	for {
		status, text := o.try("GET", path, nil)
		var got T
		if status == 200 && json.Unmarshal(text, &got) == nil && wanted(got) {
			return got
		}
		select {
		case <-again.C:
		case <-late.C:
			o.t.Fatalf("waited in vain for %s; %s says %d: %s", what, path, status, text)
		}
	}
}

// TestStrangerIsDescribed: what a Tuya device tells that nobody knows is shown live, named,
// saved, published, and still there after a restart.
func TestStrangerIsDescribed(t *testing.T) {
	t.Parallel()
	const path = "/api/zigbee/learn/0xa4c138d2f0000042"
	house, c := zigbeeHouseAt(t)
	data := t.TempDir()
	e, stop := startWith(t, c, data, false)
	o := claim(t, e)
	messages, discovery := listenTo(t, e, "zigbee2mqtt/#"), listenTo(t, e, "homeassistant/#")

	type overview struct{ Running bool }
	until(o, "/api/zigbee/devices", "the stick", func(v overview) bool { return v.Running })
	o.call("POST", "/api/zigbee/permit", map[string]int{"seconds": 240}, nil)
	shown := until(o, path, "its datapoints", func(l lesson) bool { return len(l.Datapoints) == 7 && l.Source != "" })
	for i, want := range []string{"1 bool state", "101 number temperature", "102 enum mode", "103 string text", "104 raw text", "105 bitmap fault", "106 bool state"} {
		p := shown.Datapoints[i]
		if got := strings.Join([]string{number(p.DP), p.Type, p.Guess.Property}, " "); got != want && p.DP != 101 {
			t.Errorf("datapoint %s, want %s", got, want)
		}
	}
	if shown.value(101) != 213.0 || shown.value(104) != "06 00 14 ff" || shown.value(106) != true {
		t.Errorf("values: %+v", shown)
	}

	// It is shown live, and what has moved stands out.
	for value := int64(214); value < 216; value++ {
		if err := house.Air.Set(stranger, 1, 0xef00, 101, value); err != nil {
			t.Fatal(err)
		}
		shown = until(o, path, "the new value", func(l lesson) bool { return l.value(101) == float64(value) })
	}
	if shown.Latest != 101 {
		t.Errorf("datapoint %d has changed last, not 101", shown.Latest)
	}
	status, page := o.try("GET", "/zigbee-devices", nil)
	for _, says := range []string{"TS0601 _TZE200_zzzzzzzz", "last of all", "&lt;b&gt;hall&lt;/b&gt;", `http-equiv="refresh"`} {
		if status != 200 || !strings.Contains(string(page), says) {
			t.Errorf("the page (%d) does not hold %q:\n%s", status, says, page)
		}
	}

	// What is wrong is said, and nothing is saved.
	folder := filepath.Join(data, "zigbee-devices")
	for _, wrong := range []struct{ json, says string }{
		{`{"datapoints":[{"dp":101,"name":"temperature","kind":"scale"}]}`, "a divisor above zero"},
		{`{"datapoints":[{"dp":9,"name":"temperature","kind":"identity"}]}`, "has not told the datapoint 9"},
		{`{"datapoints":[{"dp":101,"name":"x","kind":"identity"},{"dp":1,"name":"x","kind":"identity"}]}`, "both called x"},
		{`{"datapoints":[]}`, "Say what a datapoint is"},
		{`{"model":"` + strings.Repeat("x", 65) + `","datapoints":[{"dp":101,"name":"x","kind":"identity"}]}`, "longer than 64 bytes"},
	} {
		status, text := o.try("POST", path, json.RawMessage(wrong.json))
		if status != 400 || !strings.Contains(string(text), wrong.says) {
			t.Errorf("%s: %d, %s; want %q", wrong.json, status, text, wrong.says)
		}
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("something was saved")
	}

	// It is named, and takes effect at once.
	names := `{"model":"ZZ-1","vendor":"Acme","description":"Thermostat of the tests","datapoints":[
		{"dp":1,"name":"state","kind":"bool","values":{"0":"OFF","1":"ON"},"settable":true},
		{"dp":101,"name":"local_temperature","kind":"scale","divisor":10,"unit":"°C"},
		{"dp":102,"name":"fan_mode","kind":"enum","values":{"0":"low","1":"medium","2":"high"},"settable":true},
		{"dp":103,"name":"room","kind":"identity"},
		{"dp":104,"name":"plan","kind":"identity"},
		{"dp":105,"name":"fault","kind":"identity"},
		{"dp":106,"name":"child_lock","kind":"bool","settable":true}]}`
	o.call("POST", path, json.RawMessage(names), nil)
	const state = "zigbee2mqtt/0xa4c138d2f0000042"
	wantState := func(want string, values map[string]any) {
		t.Helper()
		await(t, messages, want, func(m paho.Message) bool {
			var got map[string]any
			if m.Topic() != state || json.Unmarshal(m.Payload(), &got) != nil {
				return false
			}
			for key, value := range values {
				if got[key] != value {
					return false
				}
			}
			return true
		})
	}
	wantState("the named values", map[string]any{"state": "OFF", "local_temperature": 21.5, "fan_mode": "medium", "room": "<b>hall</b>", "fault": 0.0, "child_lock": true})
	await(t, discovery, "the discovery of the temperature", func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "homeassistant/") && strings.Contains(string(m.Payload()), "local_temperature") && strings.Contains(string(m.Payload()), "ZZ-1")
	})

	// It obeys.
	publisher := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()))
	if token := publisher.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	publisher.Publish(state+"/set", 1, false, `{"fan_mode":"high","state":"ON"}`).Wait()
	publisher.Disconnect(100)
	wantState("what was set", map[string]any{"state": "ON", "fan_mode": "high"})
	if v, _ := house.Air.Attribute(stranger, 1, 0xef00, 102); v != uint64(2) {
		t.Errorf("the device has %v", v)
	}

	// Another name takes effect at once too, and the old one is gone.
	o.call("POST", path, json.RawMessage(`{"datapoints":[{"dp":103,"name":"label","kind":"identity"}]}`), nil)
	if err := house.Air.Set(stranger, 1, 0xef00, 103, "cellar"); err != nil {
		t.Fatal(err)
	}
	got := await(t, messages, "the new name", func(m paho.Message) bool {
		return m.Topic() == state && strings.Contains(string(m.Payload()), `"label":"cellar"`)
	})
	if strings.Contains(string(got.Payload()), "room") {
		t.Errorf("the old name is still there: %s", got.Payload())
	}

	// The file is what is downloaded, and can be read.
	saved, err := os.ReadFile(filepath.Join(folder, "TS0601__TZE200_zzzzzzzz.toml"))
	if err != nil {
		t.Fatal(err)
	}
	status, exported := o.try("GET", path+"/definition.toml", nil)
	users, err := devices.ParseUser(exported)
	if status != 200 || err != nil || len(users) != 1 || string(exported) != string(saved) {
		t.Fatalf("exported: %d, %v\n%s\nsaved\n%s", status, err, exported, saved)
	}
	if d := users[0].Definition; d.Model != "ZZ-1" || d.Vendor != "Acme" || len(d.Datapoints) != 7 || users[0].Manufacturers[0] != "_TZE200_zzzzzzzz" {
		t.Errorf("%+v", users[0])
	}

	// After a restart it is as it was, and its names can be changed.
	stop()
	e, stop = startWith(t, c, data, false)
	defer stop()
	o = visit(t, e)
	o.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	messages = listenTo(t, e, "zigbee2mqtt/#")
	shown = until(o, path, "its names", func(l lesson) bool { return len(l.Datapoints) == 7 })
	if shown.Source != "external" || shown.Model != "ZZ-1" || shown.Datapoints[1].Meaning == nil || shown.Datapoints[1].Meaning.Name != "local_temperature" {
		t.Errorf("after a restart: %+v", shown)
	}
	until(o, "/api/zigbee/devices", "the stick", func(v overview) bool { return v.Running })
	if err := house.Air.Set(stranger, 1, 0xef00, 101, int64(187)); err != nil {
		t.Fatal(err)
	}
	wantState("the temperature after a restart", map[string]any{"local_temperature": 18.7, "label": "cellar"})

	// Another file that describes it is not overruled.
	other := filepath.Join(folder, "other.toml")
	if err := os.WriteFile(other, []byte(strings.Replace(string(saved), "ZZ-1", "ZZ-2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, text := o.try("POST", path, json.RawMessage(`{"datapoints":[{"dp":103,"name":"room","kind":"identity"}]}`)); status != 400 || !strings.Contains(string(text), "other.toml") {
		t.Errorf("beside another file: %d, %s", status, text)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}

	// Without names there is no file.
	var none []string
	for _, p := range shown.Datapoints {
		none = append(none, `{"dp":`+number(p.DP)+`,"name":""}`)
	}
	o.call("POST", path, json.RawMessage(`{"datapoints":[`+strings.Join(none, ",")+`]}`), nil)
	if files, _ := os.ReadDir(folder); len(files) != 0 {
		t.Errorf("there still is %v", files)
	}
}

func number(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}
