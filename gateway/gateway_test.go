package gateway

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/settings"
)

// localConfig listens on free ports of the loopback and keeps off the network.
func localConfig() settings.Config {
	c := settings.Default()
	c.MQTT.Listen = []string{"127.0.0.1:0"}
	c.MQTT.WebSocket = []string{"127.0.0.1:0"}
	c.HTTP.Listen = "127.0.0.1:0"
	c.Access.Anonymous = map[string]string{"127.0.0.1:0": "admin"}
	c.MDNS.Enabled = false
	return c
}

// start runs the house until stop is called.
func start(t *testing.T, data string) (e Endpoints, stop func()) {
	t.Helper()
	return startWith(t, localConfig(), data, true)
}

func startWith(t *testing.T, c settings.Config, data string, simulate bool) (e Endpoints, stop func()) {
	t.Helper()
	return startOptions(t, c, Options{Data: data, Simulate: simulate, Version: "test"})
}

func startOptions(t *testing.T, c settings.Config, o Options) (e Endpoints, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan Endpoints, 1), make(chan error, 1)
	o.Ready = func(e Endpoints) { ready <- e }
	go func() { ended <- Run(ctx, c, o) }()
	select {
	case e = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return e, func() {
		t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the house did not stop in five seconds")
		}
	}
}

// freePort returns an address of the loopback on which nobody listens. It is one whose free
// ports no test of another package is given meanwhile.
func freePort(t testing.TB) string { return freePortOf(t, "127.0.0.8") }

func freePortOf(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listenTo returns what an independent client receives.
func listenTo(t *testing.T, e Endpoints, filters ...string) <-chan paho.Message {
	t.Helper()
	messages := make(chan paho.Message, 1000)
	options := paho.NewClientOptions().AddBroker("tcp://" + e.Brokers[0].Addr.String()).SetAutoReconnect(false)
	options.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { messages <- m })
	client := paho.NewClient(options)
	for _, token := range []func() paho.Token{client.Connect, func() paho.Token {
		subscriptions := make(map[string]byte)
		for _, f := range filters {
			subscriptions[f] = 1
		}
		return client.SubscribeMultiple(subscriptions, nil)
	}} {
		if token := token(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
			t.Fatalf("paho: %v", token.Error())
		}
	}
	t.Cleanup(func() { client.Disconnect(0) })
	return messages
}

// await returns the first message that is wanted.
func await(t *testing.T, messages <-chan paho.Message, what string, wanted func(paho.Message) bool) paho.Message {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case m := <-messages:
			if wanted(m) {
				return m
			}
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestMainJob is the main job: a meter that is plugged in is in Home Assistant.
func TestMainJob(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	e, stop := start(t, data)
	messages := listenTo(t, e, e.Discovery, e.State, "lintel/+/availability")

	var meter string
	document := await(t, messages, "the meter's discovery document", func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "homeassistant/device/lintel_dsmr_") && strings.Contains(string(m.Payload()), "energy_import_tariff_1")
	})
	var discovery struct {
		Device struct {
			Via string `json:"via_device"`
		} `json:"dev"`
		Components map[string]struct {
			Unit  string `json:"unit_of_meas"`
			Class string `json:"dev_cla"`
			State string `json:"stat_cla"`
		} `json:"cmps"`
	}
	if err := json.Unmarshal(document.Payload(), &discovery); err != nil {
		t.Fatal(err)
	}
	energy := discovery.Components["energy_import_tariff_1"]
	if energy.Unit != "kWh" || energy.Class != "energy" || energy.State != "total_increasing" {
		t.Errorf("energy in Home Assistant: %+v", energy)
	}
	if discovery.Device.Via == "" {
		t.Error("the meter hangs below no device")
	}
	meter = strings.TrimSuffix(strings.TrimPrefix(document.Topic(), "homeassistant/device/lintel_"), "/config")

	state := await(t, messages, "the meter's state", func(m paho.Message) bool { return m.Topic() == "lintel/"+meter+"/state" })
	var values map[string]any
	if err := json.Unmarshal(state.Payload(), &values); err != nil {
		t.Fatal(err)
	}
	for key := range discovery.Components {
		if _, ok := values[key]; !ok {
			t.Errorf("Home Assistant is told of %s, which is not in the state", key)
		}
	}
	var status struct {
		Sticks  []struct{ Protocol, State string }
		Devices []struct{ ID string }
		Clients []struct{ ID string }
	}
	claim(t, e).get("/api/status", &status)
	// The meter, and the Zigbee stick, which may not be open yet.
	if len(status.Sticks) != 2 || status.Sticks[0].Protocol != "dsmr" || status.Sticks[0].State != "online" {
		t.Errorf("sticks on the page: %+v", status.Sticks)
	}
	if len(status.Devices) < 2 || len(status.Clients) < 2 {
		t.Errorf("on the page: %d devices, %d clients", len(status.Devices), len(status.Clients))
	}

	// The way out: everything says offline while somebody can still hear it.
	stop()
	offline := map[string]bool{"lintel/gateway/availability": false, "lintel/" + meter + "/availability": false}
	for range offline {
		m := await(t, messages, "offline", func(m paho.Message) bool { _, ok := offline[m.Topic()]; return ok && string(m.Payload()) == "offline" })
		offline[m.Topic()] = true
	}
	for topic, said := range offline {
		if !said {
			t.Errorf("%s did not say offline", topic)
		}
	}
}

// TestRestart: what was retained is there before anything is heard again, and
// the box keeps its name.
func TestRestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	e, stop := start(t, data)
	isMeter := func(m paho.Message) bool {
		return strings.HasPrefix(m.Topic(), "homeassistant/device/lintel_dsmr_")
	}
	before := await(t, listenTo(t, e, e.Discovery), "a discovery document", isMeter)
	stop()
	e, stop = start(t, data)
	defer stop()
	after := await(t, listenTo(t, e, before.Topic()), "the same document", isMeter)
	if !after.Retained() || string(after.Payload()) != string(before.Payload()) {
		t.Errorf("after the restart: retained %t\n%s\nbefore:\n%s", after.Retained(), after.Payload(), before.Payload())
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	e, stop := start(t, t.TempDir())
	defer stop()
	c := localConfig()
	c.MQTT.Listen = []string{e.Brokers[0].Addr.String()}
	err := Run(t.Context(), c, Options{Data: t.TempDir()})
	if err == nil || !strings.HasPrefix(err.Error(), "mqtt.listen: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("listening on a taken port: %v", err)
	}
}

func TestTakenFolder(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	_, stop := start(t, data)
	defer stop()
	err := Run(t.Context(), localConfig(), Options{Data: data})
	if err == nil || !strings.Contains(err.Error(), "is another lintel running on it") || strings.Contains(err.Error(), "\n") {
		t.Errorf("starting on a folder in use: %v", err)
	}
}
