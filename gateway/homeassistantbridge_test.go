package gateway

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/dashboard"
	"lintel/gateway/uplink"
)

// addon is a mosquitto with users and rules, as a Home Assistant has one, behind a cable
// that can be cut.
type addon struct {
	t    *testing.T
	port int // of the cable
	own  string

	mu    sync.Mutex
	conns []net.Conn
	cut   bool
}

func newAddon(t *testing.T) *addon {
	t.Helper()
	for _, program := range []string{"mosquitto", "mosquitto_passwd"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("LINTEL_NEED_ALL") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	a := &addon{t: t, own: freePort(t)}
	dir := t.TempDir()
	passwords := filepath.Join(dir, "passwords")
	for i, user := range []string{"box", "watcher", "timid", "deaf"} {
		args := []string{"-b", passwords, user, user + " secret"}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command("mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	rules := "user box\ntopic readwrite #\nuser watcher\ntopic readwrite #\n" +
		"user timid\ntopic read #\ntopic readwrite lintel/#\nuser deaf\ntopic write #\n"
	host, port, _ := net.SplitHostPort(a.own)
	config := fmt.Sprintf("listener %s %s\nuser root\nallow_anonymous false\npassword_file %s\nacl_file %s\n",
		port, host, passwords, filepath.Join(dir, "rules"))
	for name, text := range map[string]string{"rules": rules, "mosquitto.conf": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("mosquitto", "-c", filepath.Join(dir, "mosquitto.conf"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	cable, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cable.Close() })
	_, port, _ = net.SplitHostPort(cable.Addr().String())
	a.port, _ = strconv.Atoi(port)
	go a.serve(cable)
	return a
}

func (a *addon) serve(cable net.Listener) {
	for {
		near, err := cable.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", a.own)
		a.mu.Lock()
		if err != nil || a.cut {
			near.Close()
			if err == nil {
				far.Close()
			}
			a.mu.Unlock()
			continue
		}
		a.conns = append(a.conns, near, far)
		a.mu.Unlock()
		for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
			go func() {
				io.Copy(pair[0], pair[1])
				near.Close()
				far.Close()
			}()
		}
	}
}

// cutCable ends all connections, and keeps new ones from coming until it is mended.
func (a *addon) cutCable(cut bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut = cut
	for _, c := range a.conns {
		c.Close()
	}
	a.conns = nil
}

// watcher connects Home Assistant's side.
func (a *addon) watcher(filters ...string) (paho.Client, <-chan paho.Message) {
	a.t.Helper()
	messages := make(chan paho.Message, 10_000)
	options := paho.NewClientOptions().AddBroker("tcp://" + a.own).SetUsername("watcher").SetPassword("watcher secret").SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond)
	options.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { messages <- m })
	c := paho.NewClient(options)
	wanted := make(map[string]byte)
	for _, f := range filters {
		wanted[f] = 1
	}
	for _, do := range []func() paho.Token{c.Connect, func() paho.Token { return c.SubscribeMultiple(wanted, nil) }} {
		if token := do(); !token.WaitTimeout(30*time.Second) || token.Error() != nil {
			a.t.Fatalf("paho: %v", token.Error())
		}
	}
	a.t.Cleanup(func() { c.Disconnect(0) })
	return c, messages
}

func (a *addon) settings(user string) dashboard.BridgeSettings {
	return dashboard.BridgeSettings{Host: "127.0.0.1", Port: a.port, User: user, Password: user + " secret"}
}

// awaitBoth waits for two messages, in any order.
func awaitBoth(t *testing.T, messages <-chan paho.Message, what string, one, other func(paho.Message) bool) {
	t.Helper()
	var first, second bool
	await(t, messages, what, func(m paho.Message) bool {
		first, second = first || one(m), second || other(m)
		return first && second
	})
}

func TestHomeAssistantBridge(t *testing.T) {
	t.Parallel()
	a := newAddon(t)
	ha, messages := a.watcher("homeassistant/#", "lintel/#", "zigbee2mqtt/#")
	data := t.TempDir()
	e, stop := start(t, data)
	defer func() { stop() }()
	o := claim(t, e)

	// What is not good is not kept.
	for user, want := range map[string]string{
		"nobody": "does not know this user", "timid": "homeassistant/#", "deaf": "lintel",
	} {
		status, text := o.try("POST", "/api/homeassistant/bridge", a.settings(user))
		if status != 502 || !strings.Contains(string(text), want) && !strings.Contains(string(text), "let this user in") {
			t.Errorf("user %s: %d %s", user, status, text)
		}
	}
	elsewhere := a.settings("box")
	elsewhere.Port = 1
	if status, text := o.try("POST", "/api/homeassistant/bridge", elsewhere); status != 502 || !strings.Contains(string(text), "Nothing listens at") {
		t.Errorf("no broker: %d %s", status, text)
	}
	own := dashboard.BridgeSettings{Host: "127.0.0.1", Port: port(e.Brokers[0].Addr)}
	if status, text := o.try("POST", "/api/homeassistant/bridge", own); status != 502 || !strings.Contains(string(text), "the box itself") {
		t.Errorf("own broker: %d %s", status, text)
	}
	var bridge dashboard.Bridge
	o.get("/api/homeassistant/bridge", &bridge)
	if bridge.Settings.Host != "" {
		t.Fatalf("kept: %+v", bridge)
	}

	o.call("POST", "/api/homeassistant/bridge", a.settings("box"), &bridge)
	if bridge.Settings.Password != "" || bridge.Settings.User != "box" {
		t.Errorf("settings %+v", bridge.Settings)
	}
	document := await(t, messages, "the meter's document", func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "homeassistant/device/lintel_dsmr_") && len(m.Payload()) > 0
	})
	available := func(payload string) func(m paho.Message) bool {
		return func(m paho.Message) bool {
			return m.Topic() == "lintel/gateway/availability" && string(m.Payload()) == payload
		}
	}
	zigbee := func(payload string) func(m paho.Message) bool {
		return func(m paho.Message) bool {
			return m.Topic() == "zigbee2mqtt/bridge/state" && string(m.Payload()) == payload
		}
	}
	awaitBoth(t, messages, "availability, and that of the Zigbee network", available("online"), zigbee(`{"state":"online"}`))
	await(t, messages, "the meter's state", func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "lintel/dsmr") && strings.HasSuffix(m.Topic(), "/state")
	})

	// Home Assistant starts: everything is sent again.
	for len(messages) > 0 {
		<-messages
	}
	ha.Publish("homeassistant/status", 0, false, "online")
	// In any order: a document that has just been sent waits.
	awaitBoth(t, messages, "the document and availability again",
		func(m paho.Message) bool { return m.Topic() == document.Topic() && !m.Retained() }, available("online"))

	// A command comes in once, and does not go out again.
	local := listenTo(t, e, "lintel/#")
	ha.Publish("lintel/nothing/set", 1, false, "remote command")
	await(t, local, "the command", func(m paho.Message) bool { return string(m.Payload()) == "remote command" })
	client := connect(t, e, "somebody", "homeassistant", o.homeassistant)
	client.Publish("lintel/nothing/set", 1, false, "local command")
	client.Publish("lintel/nothing/state", 1, false, "end")
	commands := 0
	await(t, messages, "what came after the command", func(m paho.Message) bool {
		if strings.HasSuffix(string(m.Payload()), "command") {
			commands++
		}
		return string(m.Payload()) == "end"
	})
	if commands != 1 {
		t.Errorf("the remote command was heard %d times at the broker of Home Assistant", commands)
	}

	// The cable is pulled: the wills say so, both; then all is as before.
	a.cutCable(true)
	awaitBoth(t, messages, "both wills", available("offline"), zigbee(`{"state":"offline"}`))
	a.cutCable(false)
	awaitBoth(t, messages, "both after the cut", available("online"), zigbee(`{"state":"online"}`))

	// It is kept over a restart.
	stop()
	await(t, messages, "offline at the end", available("offline"))
	e, stop = start(t, data)
	await(t, messages, "online after the restart", available("online"))
	o = visit(t, e)
	o.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	var all struct{ Uplinks []uplink.Status }
	o.get("/api/status", &all)
	if len(all.Uplinks) != 1 || all.Uplinks[0].Name != "homeassistant" || !all.Uplinks[0].Connected {
		t.Errorf("status: %+v", all.Uplinks)
	}

	// The end, with the devices.
	if status, text := o.try("DELETE", "/api/homeassistant/bridge?clear=true", nil); status != 204 {
		t.Fatalf("%d %s", status, text)
	}
	await(t, messages, "the document to go", func(m paho.Message) bool { return m.Topic() == document.Topic() && len(m.Payload()) == 0 })
	_, left := a.watcher("#")
	ha.Publish("end", 1, false, "end")
	await(t, left, "the end", func(m paho.Message) bool {
		if m.Retained() {
			t.Errorf("left at the broker: %s %.60s", m.Topic(), m.Payload())
		}
		return m.Topic() == "end"
	})
	var off dashboard.Bridge
	if o.get("/api/homeassistant/bridge", &off); off.Settings.Host != "" {
		t.Errorf("still kept: %+v", off)
	}
}
