package gateway

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"lintel/gateway/settings"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
	"lintel/serialbridge/zigbee"
)

// windfront is where npm puts the front end of zigbee2mqtt.
const windfront = "../serialbridge/zigbee/devices/oracle/node_modules/zigbee2mqtt-windfront/dist"

// documentation is what the tab Docs of a device would fetch from the internet. The box
// does not let the page do so; it says then that it has none.
var documentation = regexp.MustCompile(`raw\.githubusercontent\.com/Koenkk/zigbee2mqtt\.io/`)

// openFrontend opens the front end in a browser that has the session of the house's owner.
func openFrontend(t *testing.T, p *tab, e Endpoints) {
	t.Helper()
	if _, err := os.Stat(windfront); err != nil {
		t.Fatalf("%v: make deps brings it", err)
	}
	o := claim(t, e)
	at, err := url.Parse(o.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range o.http.Jar.Cookies(at) {
		p.call("Network.setCookie", map[string]any{"name": c.Name, "value": c.Value, "url": o.url, "httpOnly": true}, nil)
	}
	p.call("Page.navigate", map[string]any{"url": o.url + "/zigbee/#/devices"}, nil)
}

// TestFrontend is a person who works with zigbee2mqtt's own front end, unmodified, in a
// browser: what the page shows is what the simulated devices are, and they do what it says.
func TestFrontend(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	defer p.well(documentation)
	const climate, bulb, plug, contact = zigbee.IEEEAddress(0x00124b0022e10001), zigbee.IEEEAddress(0x00178801061a2b3c),
		zigbee.IEEEAddress(0xb43522fffe77a001), zigbee.IEEEAddress(0x00124b0022e10006)
	heard := make(chan struct{}, 1)
	stick := filepath.Join(t.TempDir(), "stick")
	house, err := zigbeehouse.New(zigbeehouse.Options{Kind: "zigbee-znp", At: stick, JoinEvery: 100 * time.Millisecond,
		Devices: []air.Device{{IEEEAddress: climate, Kind: air.Climate}, {IEEEAddress: bulb, Kind: air.Bulb}, {IEEEAddress: plug, Kind: air.Plug}},
		Air: air.Options{Sent: func(air.Record) {
			select {
			case heard <- struct{}{}:
			default:
			}
		}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- house.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	c := closedConfig()
	c.Zigbee.Frontend, c.Zigbee.OTAIndex = windfront, ""
	c.Serial.Ports = []settings.PortConfig{{Path: stick, Protocol: "zigbee"}}
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()

	openFrontend(t, p, e)
	p.logged("WebSocket opened")
	listed := func(name string) {
		t.Helper()
		p.await(name+" in the list", fmt.Sprintf(`[...document.querySelectorAll("tbody tr td:first-child a")].some(a => a.textContent == %q)`, name))
	}

	// Nobody is in the network before it is open.
	p.visit("/settings/0/about", "ZStack3x0")
	p.visit("/devices", "Friendly name")
	for _, d := range house.Air.Devices() {
		if d.Joined {
			t.Errorf("%s has joined a network that is closed", d.IEEEAddress)
		}
	}
	p.press("button", "Permit join")
	p.await("the end of joining on offer", `[...document.querySelectorAll("button")].some(b => b.innerText.includes("Disable join"))`)
	for _, d := range []zigbee.IEEEAddress{climate, bulb, plug} {
		listed(d.String())
	}

	// Who opens the page anew sees them, and who joins then.
	p.call("Page.reload", nil, nil)
	p.logged("WebSocket opened")
	for _, d := range []zigbee.IEEEAddress{climate, bulb, plug} {
		listed(d.String())
	}
	if err := house.Air.Add(air.Device{IEEEAddress: contact, Kind: air.Contact}); err != nil {
		t.Fatal(err)
	}
	listed(contact.String())

	row := fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].find(r => r.textContent.includes(%q))`, bulb.String())
	p.run(row + `.querySelector("button").click()`)
	p.fill("dialog[open] input[name=friendly_name]", "Hall lamp")
	p.press("dialog[open] button", "Rename device")
	listed("Hall lamp")

	// The lamp obeys, and the page sees what it does by itself.
	p.visit("/device/0/"+bulb.String()+"/exposes", "Brightness")
	const toggle = `document.querySelector("input.toggle")`
	lit := func() bool {
		t.Helper()
		value, ok := house.Air.Attribute(bulb, 11, 0x0006, 0)
		if !ok {
			t.Fatal("the bulb has no On/Off")
		}
		return value == true
	}
	for range 2 {
		wanted := !lit()
		p.await("the switch as the lamp is", fmt.Sprintf(`%s.checked == %t`, toggle, !wanted))
		p.run(toggle + `.click()`)
		for late := time.After(patience); lit() != wanted; {
			select {
			case <-heard:
			case <-late:
				t.Fatalf("the lamp does not obey: lit is %t", lit())
			}
		}
		p.await("the switch as the lamp is now", fmt.Sprintf(`%s.checked == %t`, toggle, wanted))
	}
	now := !lit()
	if err := house.Air.Set(bulb, 11, 0x0006, 0, now); err != nil {
		t.Fatal(err)
	}
	p.await("the lamp that was switched by other means", fmt.Sprintf(`%s.checked == %t`, toggle, now))

	// Each has to show what the one before does not.
	for _, r := range []struct{ route, shows string }{
		{"/groups", "Create group"}, {"/dashboard", "Hall lamp"}, {"/network/0", "Display type"}, {"/", "End device"}, {"/ota", "Check selected"},
		{"/logs/0", "Logs limit"}, {"/devices", "Hall lamp"}, {"/reporting", "Edit selected"}, {"/bindings", "Unbind selected"},
		{"/touchlink", "Philips Hue reset"}, {"/activity", "Hall lamp"}, {"/frontend-settings", "Permit join time"},
		{"/settings/0/about", "Frontend version"}, {"/settings/0/settings", "Availability"}, {"/settings/0/health", "check"},
		{"/settings/0/tools", "Add install code"}, {"/settings/0/bridge", "permit_join_end"}, {"/settings/0/dev-console", "Send MQTT message"},
	} {
		p.visit(r.route, r.shows)
	}
	for _, d := range []struct{ tab, shows string }{
		{"info", "Philips"}, {"exposes", "Brightness"}, {"bind", "Clear self as source"}, {"reporting", "Endpoint 11"}, {"settings", "Read about"},
		{"settings-specific", "Effect color mode"}, {"state", `"brightness"`}, {"clusters", "Endpoint 11"}, {"groups", "Add to group"},
		{"scene", "Add/update a scene"}, {"dev-console", "Generat"}, {"docs", "GitHub"},
	} {
		p.visit("/device/0/"+bulb.String()+"/"+d.tab, d.shows)
	}
}

// TestFrontendToken checks that the page asks for the token until it is given the right one.
func TestFrontendToken(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	defer p.well(nil)
	c := closedConfig()
	c.Zigbee.Frontend, c.Zigbee.Token = windfront, "sesame"
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	openFrontend(t, p, e)
	const field = "input[type=password]"
	p.logged("WebSocket closed")
	for _, token := range []string{"barley", "sesame"} {
		p.fill(field, token)
		p.run(`document.querySelector(".card-actions button").click()`)
		if token == "barley" {
			p.logged("WebSocket closed")
		}
	}
	p.await("the page instead of the question", fmt.Sprintf(`!document.querySelector(%q) && document.querySelector("table")`, field))
	p.visit("/settings/0/about", "lintel test")
}
