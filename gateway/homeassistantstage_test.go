package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/homeassistant/fakehome"
	"lintel/gateway/homeassistant/judge"
	"lintel/gateway/settings"
	"lintel/serialbridge/simulator"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/zigbeehouse"
)

// houseVariable names the folder of the house that a child process is to run.
const houseVariable = "LINTEL_TEST_HOUSE"

// TestHouseProcess is no test: it is the house, in a process of its own that can be
// killed.
func TestHouseProcess(t *testing.T) {
	dir := os.Getenv(houseVariable)
	if dir == "" {
		t.Skip("is run by other tests")
	}
	text, err := os.ReadFile(filepath.Join(dir, "wiring.json"))
	var w wiring
	if err == nil {
		err = json.Unmarshal(text, &w)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err = Run(ctx, w.config(), Options{Data: filepath.Join(dir, "data"), Version: "test",
		Ready: func(e Endpoints) { fmt.Println("ready", e.HTTP) }})
	if err != nil {
		t.Fatal(err)
	}
}

// wiring is where the house listens and where its sticks are.
type wiring struct {
	Broker, Page, Meter, Stick string
	Lines                      []string // sticks that print lines of JSON, in place of the others
}

func (w wiring) config() settings.Config {
	c := localConfig()
	c.MQTT.Listen, c.MQTT.WebSocket, c.Access.Anonymous = []string{w.Broker}, nil, nil
	c.HTTP.Listen = w.Page
	c.Zigbee.OTAIndex = ""
	c.Serial.Interval = 0
	if len(w.Lines) > 0 {
		c.Zigbee.Enabled, c.Serial.Ports = false, nil
		for _, path := range w.Lines {
			c.Serial.Ports = append(c.Serial.Ports, settings.PortConfig{Path: path, Protocol: "jsonlines"})
		}
		return c
	}
	c.Serial.Ports = []settings.PortConfig{{Path: w.Meter, Protocol: "dsmr"}, {Path: "tcp://" + w.Stick, Protocol: "zigbee"}}
	return c
}

// homeStage is a house in a process of its own, with a meter and a Zigbee network that
// do not stop when it does, and a Home Assistant.
type homeStage struct {
	t      testing.TB
	dir    string
	wiring wiring
	home   *fakehome.Home
	air    *air.Network
	entry  fakehome.Entry

	process *exec.Cmd
	owner   *owner
	ids     map[string]string // entity ids by platform and unique id, as they were first
	refused string            // topic of a document that may be refused until the next is right

	passwords, names int // that there were
}

// homeDevices are the devices of the Zigbee network: one of each platform, nearly.
func homeDevices() []air.Device {
	return []air.Device{
		{IEEEAddress: 0x00124b0022e10001, Kind: air.Climate}, {IEEEAddress: 0x00178801061a2b3c, Kind: air.Bulb},
		{IEEEAddress: 0xb43522fffe77a001, Kind: air.Plug}, {IEEEAddress: 0x842e14fffe77000a, Kind: air.TRV},
		{IEEEAddress: 0x680ae2fffe77000b, Kind: air.Cover}, {IEEEAddress: 0x000d6f000177000c, Kind: air.Lock},
	}
}

const (
	plugIEEE  = "0xb43522fffe77a001"
	valveIEEE = "0x842e14fffe77000a"
)

// newHomeStage starts everything, claims the box and lets the Zigbee devices in.
func newHomeStage(t *testing.T) *homeStage {
	t.Helper()
	s := &homeStage{t: t, dir: t.TempDir(), ids: make(map[string]string)}
	s.wiring = wiring{Broker: freePort(t), Page: freePort(t), Meter: filepath.Join(s.dir, "meter"), Stick: freePort(t)}
	meter := simulator.New(simulator.Options{Link: s.wiring.Meter, Device: simulator.P1Meter(simulator.NewHousehold(0))})
	network, err := zigbeehouse.New(zigbeehouse.Options{Kind: "zigbee-znp", At: "tcp:" + s.wiring.Stick, JoinEvery: 100 * time.Millisecond, Devices: homeDevices()})
	if err != nil {
		t.Fatal(err)
	}
	s.air = network.Air
	s.home = fakehome.New(fakehome.Options{Timing: fakehome.Measured().Faster(20)})
	for _, run := range []func(context.Context) error{meter.Run, network.Run, s.home.Run} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	s.start()
	s.owner.call("POST", "/api/claim", map[string]string{"password": ownerPassword}, nil)

	type overview struct{ Running bool }
	until(s.owner, "/api/zigbee/devices", "the stick", func(v overview) bool { return v.Running })
	s.permit(240)
	s.untilInterviewed(len(homeDevices()))
	s.until("the valve to have told what it is set to", func() bool {
		valve := s.ask().zigbee[valveIEEE]
		return valve["system_mode"] != nil && valve["occupied_heating_setpoint"] != nil
	})
	return s
}

func (s *homeStage) untilInterviewed(n int) {
	s.t.Helper()
	type overview struct {
		Devices []struct {
			State string `json:"interview_state"`
		}
	}
	until(s.owner, "/api/zigbee/devices", fmt.Sprint(n, " devices"), func(v overview) bool {
		done := 0
		for _, d := range v.Devices {
			if d.State == "SUCCESSFUL" {
				done++
			}
		}
		return done >= n
	})
}

// start starts the house, and logs the owner in unless the box has none yet.
func (s *homeStage) start() {
	s.t.Helper()
	text, err := json.Marshal(s.wiring)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "wiring.json"), text, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHouseProcess$", "-test.v")
	cmd.Env = append(os.Environ(), houseVariable+"="+s.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	address, said := "", ""
	for address == "" && lines.Scan() {
		address, _ = strings.CutPrefix(lines.Text(), "ready ")
		if address == lines.Text() {
			address, said = "", said+lines.Text()+"\n"
		}
	}
	if address == "" {
		s.t.Fatalf("the house did not start:\n%s", said)
	}
	go func() {
		for lines.Scan() {
		}
	}()
	s.process = cmd
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.owner = &owner{t: s.t, url: "http://" + address, http: http.Client{Jar: jar}}
	if s.entry.Username != "" {
		s.owner.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	}
}

// stop ends the house: in order, or as a power cut does.
func (s *homeStage) stop(how syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(how); err != nil {
		s.t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { s.process.Process.Kill() })
	err := s.process.Wait()
	if !late.Stop() || how == syscall.SIGTERM && err != nil {
		s.t.Errorf("the house ended with %v", err)
	}
}

// mqtt connects an independent client as the owner of the box.
func (s *homeStage) mqtt(handle func(paho.Message)) paho.Client {
	s.t.Helper()
	options := paho.NewClientOptions().AddBroker("tcp://" + s.wiring.Broker).SetAutoReconnect(false).
		SetUsername("admin").SetPassword(ownerPassword).SetOrderMatters(true)
	options.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { handle(m) })
	client := paho.NewClient(options)
	s.did(client.Connect())
	return client
}

func (s *homeStage) did(token paho.Token) {
	s.t.Helper()
	if !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		s.t.Fatalf("paho: %v", token.Error())
	}
}

// retain publishes a message and waits until the broker has it.
func (s *homeStage) retain(topic, payload string) {
	s.t.Helper()
	client := s.mqtt(func(paho.Message) {})
	defer client.Disconnect(0)
	s.did(client.Publish(topic, 1, true, payload))
}

// told is an entity that a document of the box tells of.
type told struct {
	topic, platform, uniqueID string
	device, key               string // of a document in device form, as the API names them
	disabled                  bool
	keys                      map[string]any
}

// documents returns what the retained documents at the broker tell of, by platform and
// unique id.
func (s *homeStage) documents() map[string]told {
	s.t.Helper()
	payloads := make(map[string][]byte)
	done := make(chan struct{})
	over := false // what comes behind the probe is not looked at; only paho's goroutine knows
	client := s.mqtt(func(m paho.Message) {
		switch {
		case over:
		case m.Topic() == "probe":
			over = true
			close(done)
		case strings.HasSuffix(m.Topic(), "/config"):
			payloads[m.Topic()] = m.Payload()
		}
	})
	defer client.Disconnect(0)
	s.did(client.SubscribeMultiple(map[string]byte{"homeassistant/#": 1, "probe": 1}, nil))
	s.did(client.Publish("probe", 1, false, "x"))
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		s.t.Fatal("the retained documents did not come")
	}
	all := make(map[string]told)
	for topic, payload := range payloads {
		var raw map[string]any
		if err := json.Unmarshal(payload, &raw); err != nil {
			all[topic] = told{topic: topic} // which no entity will be of
			continue
		}
		root := judge.Unfold(raw)
		levels := strings.Split(topic, "/")
		add := func(platform, device, key string, c map[string]any) {
			uniqueID, _ := c["unique_id"].(string)
			if uniqueID != "" {
				all[platform+" "+uniqueID] = told{topic, platform, uniqueID, device, key, c["enabled_by_default"] == false, c}
			}
		}
		if levels[1] != "device" {
			add(levels[1], "", "", root)
			continue
		}
		components, _ := root["components"].(map[string]any)
		for key, c := range components {
			c := judge.Unfold(c.(map[string]any))
			add(fmt.Sprint(c["platform"]), strings.TrimPrefix(levels[2], "lintel_"), key, c)
		}
	}
	return all
}

// known is what the box says on its pages.
type known struct {
	devices map[string]map[string]any // values by device
	zigbee  map[string]map[string]any // states by IEEE address
}

// ask asks the pages, of which those of the Zigbee network are a WebSocket.
func (s *homeStage) ask() known {
	s.t.Helper()
	k := known{make(map[string]map[string]any), make(map[string]map[string]any)}
	var status struct {
		Devices []struct {
			ID     string
			Values map[string]any
		}
	}
	s.owner.get("/api/status", &status)
	for _, d := range status.Devices {
		k.devices[d.ID] = d.Values
	}
	var overview struct {
		Devices []struct {
			IEEE string `json:"ieee_address"`
			Name string `json:"friendly_name"`
		}
	}
	s.owner.get("/api/zigbee/devices", &overview)
	names := make(map[string]string)
	for _, d := range overview.Devices {
		names[d.Name] = d.IEEE
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.owner.url+"/zigbee/api", &websocket.DialOptions{HTTPClient: &s.owner.http})
	if err != nil {
		s.t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(16 << 20)
	for len(names) > 0 {
		_, data, err := ws.Read(ctx)
		if err != nil {
			s.t.Fatalf("states of %v: %v", names, err)
		}
		var frame struct {
			Topic   string
			Payload json.RawMessage
		}
		var state map[string]any
		if json.Unmarshal(data, &frame) == nil && names[frame.Topic] != "" && json.Unmarshal(frame.Payload, &state) == nil {
			k.zigbee[names[frame.Topic]] = state
			delete(names, frame.Topic)
		}
	}
	return k
}

// wants returns what the state of an entity has to be by what the box says; ok is false if
// the pages do not tell of it.
func (d told) wants(k known) (state string, ok bool) {
	values := k.devices[d.device]
	property := d.key
	if d.device == "" {
		ieee, object, _ := strings.Cut(strings.TrimSuffix(d.uniqueID, "_zigbee2mqtt"), "_")
		values, property = k.zigbee[ieee], object
		if object == "switch" || object == "light" || object == "lock" {
			property = "state"
		}
	}
	if values == nil {
		return "", false
	}
	v := values[property]
	switch _, isBool := v.(bool); {
	case v == nil && d.device == "":
		// States of Zigbee devices are written every five minutes: after a power cut Home
		// Assistant may know more than the box. And the templates of zigbee2mqtt, which are
		// ours too, make an empty text, None or off of what is not known.
		return "", false
	case isBool && d.device == "" && d.platform == "switch":
		return onOff(v, v == (d.keys["payload_on"] == "true")), true
	}
	switch d.platform {
	case "sensor", "number", "select", "text":
		if v == nil {
			return "unknown", true
		}
		return plainText(v), true
	case "binary_sensor":
		on := v == true
		if d.device == "" {
			on = v == d.keys["payload_on"]
		}
		return onOff(v, on), true
	case "switch":
		return onOff(v, v == true || v == "ON"), true
	case "light":
		return onOff(v, v == "ON"), true
	case "lock":
		if v == nil {
			return "unknown", true
		}
		return map[any]string{"LOCK": "locked", "UNLOCK": "unlocked"}[v], true
	}
	return "", false
}

// is says whether an entity was made of this document.
func (d told) is(keys map[string]any) bool {
	for k, v := range d.keys {
		if !reflect.DeepEqual(keys[k], v) {
			return false
		}
	}
	return true
}

func onOff(v any, on bool) string {
	switch {
	case v == nil:
		return "unknown"
	case on:
		return "on"
	}
	return "off"
}

func plainText(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// sameState compares a state of Home Assistant with what is wanted; numbers are compared as such.
func sameState(got, want string) bool {
	a, err1 := strconv.ParseFloat(got, 64)
	b, err2 := strconv.ParseFloat(want, 64)
	return got == want || err1 == nil && err2 == nil && math.Abs(a-b) < 1e-9
}

// accepted are complaints that the real one has with zigbee2mqtt too, which the Zigbee bridge
// follows: group is for a newer Home Assistant; a bulb may say that it is in a mode which its
// document leaves out; and under the name that a device had until now, what was retained is
// taken away before Home Assistant has heard of another name.
func accepted(c fakehome.Complaint) bool {
	return c.Kind == fakehome.Dropped && c.Text == "group" ||
		c.Kind == fakehome.Payload && strings.Contains(c.Text, "color_mode hs") ||
		c.Kind == fakehome.Template && strings.HasPrefix(c.Topic, "zigbee2mqtt/") && strings.HasSuffix(c.Text, `: ""`)
}

// everyEntityRight waits until Home Assistant shows all that the box tells of as the box
// knows it, and nothing else, under the entity ids of before.
func (s *homeStage) everyEntityRight(after string) {
	s.t.Helper()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(90 * time.Second)
	defer late.Stop()
	for {
		wrong := s.wrong()
		for _, c := range s.home.Complaints() {
			if !accepted(c) && (c.Kind != fakehome.Refused || c.Topic != s.refused) {
				s.t.Errorf("after %s: %v", after, c)
			}
		}
		if len(wrong) == 0 {
			s.refused = ""
			return
		}
		select {
		case <-again.C:
		case <-late.C:
			s.t.Fatalf("after %s:\n%s", after, strings.Join(wrong[:min(len(wrong), 40)], "\n"))
		}
	}
}

// wrong says what is wrong with the entities right now.
func (s *homeStage) wrong() []string {
	s.t.Helper()
	if !s.home.Connected() {
		return []string{fmt.Sprintf("not connected; not authorized: %t", s.home.NotAuthorized())}
	}
	documents := s.documents()
	before := s.ask()
	entities := s.home.Entities()
	behind := s.ask()
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	ids := make(map[string]string)
	for _, e := range entities {
		key := e.Platform + " " + e.UniqueID
		d, ok := documents[key]
		delete(documents, key)
		ids[key] = e.EntityID
		if first := s.ids[key]; first != "" && first != e.EntityID {
			bad("%s was %s and is %s", key, first, e.EntityID)
		}
		switch {
		case !ok:
			bad("%s is left over, as %s", e.EntityID, e.State)
		case e.Disabled:
			if !d.disabled {
				bad("%s is disabled", e.EntityID)
			}
		case e.Restored:
			bad("%s is there from before only", e.EntityID)
		case !e.Available:
			bad("%s is not available: %v", e.EntityID, e.Keys["availability"])
		case !d.is(e.Keys):
			bad("%s is what an older document says", e.EntityID)
		default:
			want, ok := d.wants(before)
			then, _ := d.wants(behind)
			if ok && !sameState(e.State, want) && !sameState(e.State, then) {
				bad("%s is %s; the box says %s", e.EntityID, e.State, then)
			}
		}
	}
	for key := range documents {
		bad("%s is not there", key)
	}
	if len(wrong) == 0 {
		maps.Copy(s.ids, ids)
	}
	slices.Sort(wrong)
	return wrong
}
