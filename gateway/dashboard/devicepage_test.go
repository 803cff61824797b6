package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee/devices"
)

// book checks commands as the supervisor does.
type book struct {
	devices func() []serialbridge.Device
	names   map[string]string
}

func (b *book) Heard() map[string]time.Time { return map[string]time.Time{"all": time.Now()} }

func (b *book) Check(device string, payload []byte) error {
	for _, d := range b.devices() {
		if d.ID == device {
			return serialbridge.CheckCommand(d, payload)
		}
	}
	return &serialbridge.UnknownDeviceError{ID: device}
}

func (b *book) Rename(_ context.Context, device, name string) error {
	b.names[device] = name
	return nil
}

func (b *book) SetIcon(context.Context, string, string) error { return nil }

func (b *book) Remove(context.Context, string) error { return errors.New("it is online") }

// echo is a broker behind which a device does what it is told.
type echo struct {
	*topics
	server   *Server
	commands []mqtt.Message
}

func (b *echo) Publish(_ context.Context, m mqtt.Message) error {
	b.commands = append(b.commands, m)
	b.server.values.handle(mqtt.Message{Topic: strings.TrimSuffix(m.Topic, "set") + "state", Payload: m.Payload})
	return nil
}

// newDevices returns a house with a device of every kind.
func newDevices(t *testing.T) (*gate, *echo) {
	g := newGate(t)
	list := append(g.o.Devices(), deviceOfAllKinds())
	list[len(list)-1].Name = "Everything " + hostile
	g.o.Devices = func() []serialbridge.Device { return append([]serialbridge.Device{}, list...) }
	g.o.DeviceBook = &book{devices: g.o.Devices, names: make(map[string]string)}
	broker := &echo{topics: g.o.Broker.(*topics)}
	g.o.Broker = broker
	low, high := 0.0, 254.0
	g.zigbee().exposes = []*devices.Expose{{Type: "light", Features: []*devices.Expose{
		{Type: "binary", Name: "state", Property: "state", Access: 7, ValueOn: "ON", ValueOff: "OFF", Label: "State"},
		{Type: "numeric", Name: "brightness", Property: "brightness", Access: 7, ValueMin: &low, ValueMax: &high, Description: hostile}}},
		{Type: "text", Name: "note", Property: "note", Access: 7}}
	g.zigbee().state = map[string]any{"state": "ON", "brightness": 200.0, "note": hostile}
	g.url, broker.server = listenServer(t, g.o)
	return g, broker
}

func TestDevicePages(t *testing.T) {
	g, broker := newDevices(t)
	list := g.want(200, browse{path: "/devices", as: "vera"})
	for _, has := range []string{`<a href="/devices/all">`, "Electricity meter", `<a href="/devices/` + known.String() + `">kitchen</a>`, `class="symbol"`, "7 devices"} {
		if !strings.Contains(list.body, has) {
			t.Errorf("the list has no %s", has)
		}
	}
	if found := g.want(200, browse{path: "/devices?q=kitchen&show=online", as: "vera"}); !strings.Contains(found.body, "1 of 7 devices") {
		t.Error("the search finds no kitchen")
	}
	g.want(400, browse{path: "/devices?show=x", as: "vera"})
	for _, path := range []string{"/devices", "/devices/all", "/devices/door_1", "/devices/" + known.String(), "/devices/all?sent=relay", "/devices/all?span=day&sent=%3Cscript%3E"} {
		for _, as := range []string{"vera", "admin"} {
			a := g.want(200, browse{path: path, as: as})
			if hasScript(a.body) {
				t.Errorf("%s for %s has a script of somebody else", path, as)
			}
		}
	}
	page := g.want(200, browse{path: "/devices/all", as: "admin"})
	for _, has := range []string{`<option>high</option>`, `type="color"`, `name="key" value="lamp.brightness"`, `min="2000" max="6500"`, `value="unlock"`, `name="key" value="heat.temperature"`,
		`action="/devices/all/change"`, `data-confirm=`, "lintel/all/set"} {
		if !strings.Contains(page.body, has) {
			t.Errorf("the page of the device has no %s", has)
		}
	}
	if page := g.want(200, browse{path: "/devices/all", as: "vera"}); strings.Contains(page.body, "<form method=\"post\" action=\"/devices/") || !strings.Contains(page.body, "takes the level operator") {
		t.Error("who may only see has controls")
	}
	// Somebody whose roles say nothing of the device is told so, on the page and by the call.
	if page := g.want(200, browse{path: "/devices/all", as: "olga"}); !strings.Contains(page.body, "olga may not publish to lintel/all/set") {
		t.Error("olga is not told why she may not command the device")
	}
	g.want(403, browse{method: "POST", path: "/api/devices/all/set", as: "olga", json: `{"key": "relay", "value": true}`})
	if len(broker.commands) != 0 {
		t.Errorf("olga has commanded %v", broker.commands)
	}

	a := g.want(303, browse{path: "/devices/all/set", as: "admin", form: url.Values{"key": {"lamp.brightness"}, "value": {"40"}}})
	if a.location() != "/devices/all?sent=lamp.brightness" {
		t.Errorf("leads to %s", a.location())
	}
	if m := broker.commands[0]; m.Topic != "lintel/all/set" || string(m.Payload) != `{"lamp":{"brightness":40}}` || m.QoS != 1 || m.Retain {
		t.Errorf("the command: %+v", m)
	}
	if page := g.want(200, browse{path: a.location(), as: "admin"}); !strings.Contains(page.body, "The device says 40 now.") {
		t.Error("the page does not say what the device says")
	}
	call := g.want(200, browse{method: "POST", path: "/api/devices/all/set", as: "token operator", json: `{"key": "relay", "value": true}`})
	if !strings.Contains(call.body, `"confirmed": true`) {
		t.Errorf("the answer: %s", call.body)
	}
	for _, bad := range []struct {
		form url.Values
		says string
	}{
		{url.Values{"key": {"level"}, "value": {"9"}}, "is 1 to 5"},
		{url.Values{"key": {"level"}, "value": {"x"}}, "is a number"},
		{url.Values{"key": {"speed"}, "value": {"x"}}, "one of low, high"},
		{url.Values{"key": {"relay"}, "value": {""}}, "on or off"},
		{url.Values{"key": {"lamp.color"}, "value": {"red"}}, "#rrggbb"},
		{url.Values{"key": {"power"}, "value": {"1"}}, "can be read, not set"},
		{url.Values{"key": {"label"}, "value": {strings.Repeat("x", 99)}}, "characters"},
		{url.Values{"key": {hostile}}, "no property"},
	} {
		a := g.do(browse{path: "/devices/all/set", as: "admin", form: bad.form})
		if a.StatusCode < 400 || !strings.Contains(a.body, bad.says) || hasScript(a.body) {
			t.Errorf("%v: %d, want the words %q", bad.form, a.StatusCode, bad.says)
		}
	}
	if sent := len(broker.commands); sent != 2 {
		t.Errorf("%d commands were sent, want 2", sent)
	}

	g.want(303, browse{path: "/devices/all/change", as: "admin", form: url.Values{"name": {"Cellar"}, "icon": {"mdi:sofa"}}})
	if name := g.o.DeviceBook.(*book).names["all"]; name != "Cellar" {
		t.Errorf("it is called %q", name)
	}
	if a := g.do(browse{path: "/devices/all/change", as: "admin", form: url.Values{"name": {"x"}, "icon": {"sofa"}}}); a.StatusCode != 400 || !strings.Contains(a.body, `id="error-icon"`) {
		t.Errorf("a bad icon: %d", a.StatusCode)
	}
	if a := g.do(browse{path: "/devices/all/remove", as: "admin", form: url.Values{"a": {""}}}); a.StatusCode != 409 || !strings.Contains(a.body, "it is online") {
		t.Errorf("removing what is online: %d", a.StatusCode)
	}
}

// TestDeviceHistoryCall is what a number was, by the API.
func TestDeviceHistoryCall(t *testing.T) {
	g, broker := newDevices(t)
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		broker.server.values.handle(mqtt.Message{Topic: "lintel/all/state", Payload: fmt.Appendf(nil, `{"power":%d}`, i)})
		broker.server.history.sample(start.Add(time.Duration(i)*time.Minute), broker.server.numbers)
	}
	a := g.want(200, browse{path: "/api/devices/all/history?property=power", as: "vera"})
	if !strings.Contains(a.body, `"time": "2026-11-23T12:01:00Z"`) || strings.Count(a.body, `"value"`) != 3 || !strings.Contains(a.body, `"unit": "W"`) {
		t.Errorf("the history: %s", a.body)
	}
	if page := g.want(200, browse{path: "/devices/all", as: "vera"}); !strings.Contains(page.body, "<polyline") || !strings.Contains(page.body, "lost at a restart") {
		t.Error("the page shows no history")
	}
	g.want(400, browse{path: "/api/devices/all/history?property=x", as: "vera"})
	g.want(400, browse{path: "/api/devices/all/history?property=power&span=year", as: "vera"})
	g.want(404, browse{path: "/api/devices/x/history?property=power", as: "vera"})
}
