package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBrokerPagesInBrowser: the topics are a live tree, and a page publishes and subscribes.
func TestBrokerPagesInBrowser(t *testing.T) {
	t.Parallel()
	p := openTab(t)
	defer p.well(nil)
	c := closedConfig()
	e, stop := startWith(t, c, t.TempDir(), false)
	defer stop()
	o := claim(t, e)
	device := connect(t, e, "device", "homeassistant", o.homeassistant)
	say := func(topic, payload string, retain bool) {
		t.Helper()
		if token := device.Publish(topic, 1, retain, payload); !token.WaitTimeout(20*time.Second) || token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	say("garden/pump/state", `{"on":true}`, true)
	say("garden/<b>bold", "<i>x</i>", true)

	p.call("Page.navigate", map[string]any{"url": o.url + "/login"}, nil)
	p.arrives(`document.querySelector("input[name=password]")`)
	p.run(fmt.Sprintf(`fetch("/api/login", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({user: "admin", password: %q})}).then(r => r.ok)`, ownerPassword))
	p.call("Page.navigate", map[string]any{"url": o.url + "/topics"}, nil)
	p.arrives(`document.querySelector("#tree button.open")`)
	opener := func(topic string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("#tree button.open")].find(b => b.getAttribute("aria-label") == %q)`, topic)
	}
	p.await("the garden", opener("Open garden"))
	p.run(opener("Open garden") + ".click()")
	p.await("the pump", opener("Open garden/pump"))
	p.run(opener("Open garden/pump") + ".click()")
	shows := func(text string) {
		t.Helper()
		p.await(text, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
	}
	shows(`{"on":true}`)
	shows("<b>bold")
	say("garden/pump/state", `{"on":false}`, true)
	shows(`{"on":false}`)
	say("garden/new", "hello", false)
	shows("hello")
	say("garden/pump/state", "", true)
	p.await("the pump to go", "!"+opener("Close garden/pump"))

	p.call("Page.navigate", map[string]any{"url": o.url + "/publish"}, nil)
	p.arrives(`document.querySelector("#connection")?.textContent.includes("Connected")`)
	p.run(`document.querySelector("#filter").value = "js/#"; document.querySelector("#subscribe").requestSubmit()`)
	shows("js/# QoS 0")
	p.run(`document.querySelector("#topic").value = "js/a"; document.querySelector("#payload").value = '{"deep":{"value":1}}'; document.querySelector("#qos").value = "2"; document.querySelector("#publish").requestSubmit()`)
	p.await("the message", `document.querySelector("#messages pre")?.textContent.includes('"value": 1')`)
	shows("the broker has it")
	say("js/b", "\x01\x02", false)
	shows("0000  01 02")
	p.run(`document.querySelector("#pause").click()`)
	say("js/c", "while paused", false)
	p.await("the count", `document.querySelector("#count").textContent.startsWith("3")`)
	if text := p.run(`document.querySelector("#messages").innerText`).(string); strings.Contains(text, "while paused") {
		t.Error("it is not paused")
	}
	p.run(`document.querySelector("#pause").click()`)
	shows("while paused")
	for _, page := range []string{"/broker", "/clients", "/clients/device"} {
		p.call("Page.navigate", map[string]any{"url": o.url + page}, nil)
		p.arrives(fmt.Sprintf(`location.pathname == %q && document.querySelector("main section")`, page))
	}
}
