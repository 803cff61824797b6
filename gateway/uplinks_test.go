package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/uplink"
)

func TestUplinkConfigProblems(t *testing.T) {
	t.Parallel()
	_, err := parseConfig("x", `
[[uplink]]
name = "A b"
url = "http://x"
password = "x"
version = "4"
[[uplink.maps]]
direction = "sideways"
filter = "#"

[[uplink]]
name = "homeassistant"
url = "mqtt://x"
ca = "ca.pem"
maps = []
`)
	if err == nil || !strings.Contains(err.Error(), "x:8: ") || !strings.Contains(err.Error(), `"sideways" is none of out, in, both`) {
		t.Errorf("direction: %v", err)
	}
	_, err = parseConfig("x", `
[[uplink]]
name = "A b"
url = "http://x"
password = "x"
version = "4"
[[uplink.maps]]
direction = "out"
filter = "a#"
qos = 3

[[uplink]]
name = "homeassistant"
url = "mqtt://x"
ca = "ca.pem"
maps = []
`)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"x:2: uplink[0].user: is missing", "x:3: uplink[0].name: ", "x:4: uplink[0].url: ", "x:6: uplink[0].version: ",
		"x:7: uplink[0].maps[0]: ", "x:10: uplink[0].maps[0].qos: 3", "x:13: uplink[1].name: ", "x:14: uplink[1].url: ", "x:16: uplink[1].maps: ",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of %q, want %q", i, lines, want)
		}
	}
}

// TestUplink has the house send to another broker, and then not any more.
func TestUplink(t *testing.T) {
	t.Parallel()
	a := newAddon(t)
	there, messages := a.watcher("house7/#")
	data := t.TempDir()
	c := localConfig()
	c.HomeAssistant.Enabled, c.Zigbee.Enabled = false, false
	c.Uplinks = []UplinkConfig{{Name: "cloud", URL: fmt.Sprintf("mqtt://127.0.0.1:%d", a.port), User: "box", Password: "box secret",
		Maps: []UplinkMapConfig{{Direction: uplink.Out, Filter: "#", LocalPrefix: "garden/", RemotePrefix: "house7/"},
			{Direction: uplink.In, Filter: "+/set", LocalPrefix: "garden/", RemotePrefix: "house7/"}},
		Wills: []UplinkWillConfig{{Topic: "house7/box", Payload: "gone"}}}}
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

// A file of an uplink that cannot be used is named with its key.
func TestUplinkFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.pem")
	for _, x := range []struct {
		c    UplinkConfig
		want string
	}{
		{UplinkConfig{CA: missing}, "ca: open " + missing},
		{UplinkConfig{CA: noPEM}, "the file of the authority"},
		{UplinkConfig{Certificate: noPEM, Key: missing}, "key: open " + missing},
		{UplinkConfig{Certificate: noPEM, Key: noPEM}, "client certificate: "},
	} {
		x.c.Name, x.c.URL = "x", "mqtts://broker.example"
		if _, err := x.c.options("box"); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q", x.c, err, x.want)
		}
	}
}
