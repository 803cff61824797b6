package gateway

import (
	"fmt"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
	"lintel/gateway/uplink"
)

// TestUplink has the house send to another broker, and then not any more.
func TestUplink(t *testing.T) {
	t.Parallel()
	a := newAddon(t)
	there, messages := a.watcher("house7/#")
	data := t.TempDir()
	c := localConfig()
	c.HomeAssistant.Enabled, c.Zigbee.Enabled = false, false
	c.Uplinks = []settings.UplinkConfig{{Name: "cloud", URL: fmt.Sprintf("mqtt://127.0.0.1:%d", a.port), User: "box", Password: "box secret",
		Maps: []settings.UplinkMapConfig{{Direction: uplink.Out, Filter: "#", LocalPrefix: "garden/", RemotePrefix: "house7/"},
			{Direction: uplink.In, Filter: "+/set", LocalPrefix: "garden/", RemotePrefix: "house7/"}},
		Wills: []settings.UplinkWillConfig{{Topic: "house7/box", Payload: "gone"}}}}
	e, stop := startWith(t, c, data, false)
	client := connect(t, e, "gardener", "", "")
	client.Publish("garden/pond", 1, true, "full")
	await(t, messages, "the pond", func(m paho.Message) bool { return m.Topic() == "house7/pond" && string(m.Payload()) == "full" })
	local := listenTo(t, e, "garden/#")
	deadline := time.Now().Add(time.Minute)
	for came := false; !came; { // nothing tells when the way is open
		there.Publish("house7/pump/set", 1, false, "on")
		select {
		case m := <-local:
			came = m.Topic() == "garden/pump/set"
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the command did not come in")
		}
	}
	stop()
	await(t, messages, "the will", func(m paho.Message) bool { return m.Topic() == "house7/box" && string(m.Payload()) == "gone" })

	// Nothing waits for an uplink that is no more.
	c.Uplinks = nil
	e, stop = startWith(t, c, data, false)
	defer stop()
	var status struct{ Clients []struct{ ID string } }
	claim(t, e).get("/api/status", &status)
	for _, client := range status.Clients {
		if client.ID == uplink.SessionID("cloud") {
			t.Error("the session of the uplink is still there")
		}
	}
}
