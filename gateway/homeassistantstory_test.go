package gateway

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/homeassistant/fakehome"
	"lintel/gateway/mqtt"
)

// connect sets MQTT up by Home Assistant's own pages, as a person does with a browser.
func (s *homeStage) connect() {
	s.t.Helper()
	site := httptest.NewServer(fakehome.NewSite(s.home, fakehome.Behaviour{}))
	defer site.Close()
	var begun struct{ Authorize string }
	s.owner.call("POST", "/api/homeassistant/connect", map[string]string{"address": site.URL}, &begun)
	to, err := url.Parse(begun.Authorize)
	if err != nil {
		s.t.Fatal(err)
	}
	form := to.Query()
	form.Set("do", "login")
	to.RawQuery = ""
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.PostForm(to.String(), form)
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		s.t.Fatalf("%s: %v", answer.Status, err)
	}
	s.owner.call("POST", "/api/homeassistant/callback", map[string]string{"state": back.Query().Get("state"), "code": back.Query().Get("code")}, nil)
	entry, ok := s.home.Configured()
	if !ok {
		s.t.Fatal("Home Assistant has no MQTT entry")
	}
	s.entry = entry
}

// request makes a request of zigbee2mqtt's contract, which must succeed.
func (s *homeStage) request(what string, body map[string]any) {
	s.t.Helper()
	answers := make(chan []byte, 10)
	client := s.mqtt(func(m paho.Message) { answers <- m.Payload() })
	defer client.Disconnect(0)
	s.did(client.Subscribe("zigbee2mqtt/bridge/response/"+what, 1, nil))
	payload, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.did(client.Publish("zigbee2mqtt/bridge/request/"+what, 1, false, payload))
	select {
	case answer := <-answers:
		if !strings.Contains(string(answer), `"status":"ok"`) {
			s.t.Fatalf("%s: %s", what, answer)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("%s was not answered", what)
	}
}

// permit opens the Zigbee network for new devices, or closes it.
func (s *homeStage) permit(seconds int) {
	s.t.Helper()
	s.owner.call("POST", "/api/zigbee/permit", map[string]int{"seconds": seconds}, nil)
}

// until waits for a condition.
func (s *homeStage) until(what string, condition func() bool) {
	s.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(60 * time.Second)
	for !condition() {
		select {
		case <-again.C:
		case <-late:
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// restart stops the house one way or the other, and starts it.
func (s *homeStage) restart(how syscall.Signal) {
	s.t.Helper()
	s.stop(how)
	s.start()
}

// homeStep is something that happens.
type homeStep struct {
	name string
	do   func(*homeStage)
}

var homeSteps = []homeStep{
	{"a restart of Home Assistant", func(s *homeStage) { s.home.Restart() }},
	{"a crash of Home Assistant", func(s *homeStage) { s.home.Down(false); s.home.Up() }},
	{"a restart of the box", func(s *homeStage) { s.restart(syscall.SIGTERM) }},
	{"a power cut", func(s *homeStage) { s.restart(syscall.SIGKILL) }},
	{"a power cut of both, Home Assistant first", func(s *homeStage) {
		s.stop(syscall.SIGKILL)
		s.home.Down(false)
		s.home.Up()
		s.start()
	}},
	{"a power cut of both, the box first", func(s *homeStage) {
		s.stop(syscall.SIGKILL)
		s.home.Down(false)
		s.start()
		s.home.Up()
	}},
	{"the loss of all that was retained", (*homeStage).loseRetained},
	{"half a document", func(s *homeStage) {
		topic := s.documentOf("_energy_import_tariff_1")
		s.home.Down(true)
		s.retain(topic, `{"dev":{"ids":["lintel_`)
		s.stop(syscall.SIGKILL)
		s.home.Up()
		s.start()
		// It is refused, and said, until the box has put the right one in its place.
		s.until("another birth", s.home.Connected)
		s.refused = topic
	}},
	{"another password", (*homeStage).changePassword},
	{"power cuts while somebody knocks", (*homeStage).knock},
	{"another name of a device", (*homeStage).rename},
	{"names that change quickly", func(s *homeStage) { s.rename(); s.rename(); s.rename() }},
	{"a device that went and came back", func(s *homeStage) {
		s.permit(0)
		s.request("device/remove", map[string]any{"id": plugIEEE})
		s.until("the device to be gone", func() bool {
			_, ok := s.home.Devices()["zigbee2mqtt_"+plugIEEE]
			return !ok
		})
		s.permit(240)
		s.untilInterviewed(len(homeDevices()))
	}},
	{"a device that was back at once", func(s *homeStage) {
		s.permit(240)
		s.request("device/remove", map[string]any{"id": plugIEEE})
		s.untilInterviewed(len(homeDevices()))
		s.permit(0)
	}},
	{"a switch that was pressed", (*homeStage).press},
}

// shortStory are the steps of the short form.
var shortStory = []string{"a restart of the box", "a power cut", "half a document", "another name of a device", "a switch that was pressed"}

// documentOf returns the topic of the document that tells of an entity.
func (s *homeStage) documentOf(uniqueID string) string {
	s.t.Helper()
	for _, d := range s.documents() {
		if strings.HasSuffix(d.uniqueID, uniqueID) {
			return d.topic
		}
	}
	s.t.Fatalf("no document tells of %s", uniqueID)
	return ""
}

// loseRetained takes all away that is retained while Home Assistant is not there.
func (s *homeStage) loseRetained() {
	s.t.Helper()
	s.home.Down(true)
	var mu sync.Mutex
	topics := make(map[string]bool)
	done := make(chan struct{})
	client := s.mqtt(func(m paho.Message) {
		if m.Topic() == "probe" {
			close(done)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		topics[m.Topic()] = m.Retained()
	})
	s.did(client.SubscribeMultiple(map[string]byte{"homeassistant/#": 1, "lintel/#": 1, "zigbee2mqtt/#": 1, "probe": 1}, nil))
	s.did(client.Publish("probe", 1, false, "x"))
	<-done
	client.Disconnect(0)
	client = s.mqtt(func(paho.Message) {})
	defer client.Disconnect(0)
	mu.Lock()
	defer mu.Unlock()
	for topic, retained := range topics {
		if retained {
			s.did(client.Publish(topic, 1, true, ""))
		}
	}
	s.stop(syscall.SIGKILL)
	s.home.Up()
	s.start()
}

// changePassword: Home Assistant is sent away, and gives up; then somebody tells it.
func (s *homeStage) changePassword() {
	s.t.Helper()
	s.passwords++
	s.entry.Password = "the password of another day " + strconv.Itoa(s.passwords)
	s.owner.call("PATCH", "/api/users/"+s.entry.Username, map[string]string{"password": s.entry.Password}, nil)
	s.until("Home Assistant to give up", s.home.NotAuthorized)
	s.home.Configure(s.entry)
}

// knock connects with Home Assistant's login all the time while the box is killed and
// started: it may be told to come again, but never that it is not authorized.
func (s *homeStage) knock() {
	s.t.Helper()
	var over, let atomic.Bool
	var refused atomic.Int64
	var knocking sync.WaitGroup
	for range 4 {
		knocking.Go(func() {
			for !over.Load() {
				switch code, err := connectOnce(s.entry); {
				case err != nil:
				case code == 0:
					let.Store(true)
				case code == 4 || code == 5:
					refused.Add(1)
				}
			}
		})
	}
	for range 2 {
		s.restart(syscall.SIGKILL)
		let.Store(false)
		s.until("a knock to be let in", let.Load)
	}
	over.Store(true)
	knocking.Wait()
	if n := refused.Load(); n > 0 || s.home.NotAuthorized() {
		s.t.Errorf("%d times \"not authorized\" with the right password; Home Assistant gave up: %t", n, s.home.NotAuthorized())
	}
}

// connectOnce returns the code with which a login is answered.
func connectOnce(e fakehome.Entry) (code mqtt.ReasonCode, err error) {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(e.Broker, strconv.Itoa(e.Port)), 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: 60, ClientID: fmt.Sprint("knock", rand.Uint64()),
		HasUserName: true, UserName: e.Username, HasPassword: true, Password: []byte(e.Password)}
	if _, err := conn.Write(c.Append(nil)); err != nil {
		return 0, err
	}
	var answer [4]byte
	if _, err := conn.Read(answer[:]); err != nil {
		return 0, err
	}
	return mqtt.ReasonCode(answer[3]), nil
}

// rename gives the plug another name, which its entities' ids do not follow.
func (s *homeStage) rename() {
	s.t.Helper()
	s.names++
	name := fmt.Sprint("Plug ", s.names)
	s.request("device/rename", map[string]any{"from": plugIEEE, "to": name})
	// Its documents come one after the other, and each is on the card before the next.
	s.until("the name "+name, func() bool {
		for key, d := range s.documents() {
			topic, _ := d.keys["state_topic"].(string)
			if strings.Contains(key, plugIEEE) && strings.HasPrefix(topic, "zigbee2mqtt/") && topic != "zigbee2mqtt/"+name {
				return false
			}
		}
		return s.home.Devices()["zigbee2mqtt_"+plugIEEE].Name == name
	})
}

// press switches the plug in Home Assistant.
func (s *homeStage) press() {
	s.t.Helper()
	s.names++
	service, want := "turn_on", "on"
	id := s.ids["switch "+plugIEEE+"_switch_zigbee2mqtt"]
	state := func() string {
		for _, e := range s.home.Entities() {
			if e.EntityID == id {
				return e.State
			}
		}
		return ""
	}
	if state() == "on" {
		service, want = "turn_off", "off"
	}
	if _, err := s.home.Call(id, service, nil); err != nil {
		s.t.Fatal(err)
	}
	s.until(id+" to be "+want, func() bool { return state() == want })
}

// TestHomeAssistantStory goes with a house and its Home Assistant through what happens to
// both in a year; in the short form through some of it.
func TestHomeAssistantStory(t *testing.T) {
	t.Parallel()
	s := newHomeStage(t)
	s.connect()
	s.everyEntityRight("connecting")
	t.Logf("%d entities of %d devices", len(s.home.Entities()), len(s.home.Devices()))
	steps := homeSteps
	if testing.Short() {
		steps = slices.DeleteFunc(slices.Clone(steps), func(step homeStep) bool { return !slices.Contains(shortStory, step.name) })
	}
	s.story(steps)
}

// TestHomeAssistantSoak is a hundred steps by chance: make homeassistant-soak.
func TestHomeAssistantSoak(t *testing.T) {
	t.Parallel()
	n, err := strconv.Atoi(os.Getenv("LINTEL_HOMEASSISTANT_STEPS"))
	if err != nil {
		t.Skip("make homeassistant-soak runs it")
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("LINTEL_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("LINTEL_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newHomeStage(t)
	s.connect()
	s.everyEntityRight("connecting")
	var steps []homeStep
	for range n {
		steps = append(steps, homeSteps[random.IntN(len(homeSteps))])
	}
	s.story(steps)
}

func (s *homeStage) story(steps []homeStep) {
	s.t.Helper()
	for i, step := range steps {
		began := time.Now()
		step.do(s)
		s.everyEntityRight(step.name)
		s.t.Logf("%d: after %s every entity is right: %.1f s", i+1, step.name, time.Since(began).Seconds())
	}
}
