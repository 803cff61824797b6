package fakehome

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// stage is a broker with a Home Assistant.
type stage struct {
	t     *testing.T
	home  *Home
	box   *broker.Client // publishes
	entry Entry
	heard chan string // what Home Assistant publishes: topic, a space, payload

	refuse atomic.Pointer[broker.Refusal]
}

func newStage(t *testing.T, timing Timing) *stage {
	t.Helper()
	s := &stage{t: t, heard: make(chan string, 1000)}
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(store, broker.Options{
		Authenticate: func(_ context.Context, r *broker.ConnectRequest) error {
			if refusal := s.refuse.Load(); refusal != nil {
				return refusal
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.entry = Entry{Broker: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	s.home = New(Options{Timing: timing})
	brokerCtx, stopBroker := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	var house, home errgroup.Group
	house.Go(func() error { return b.Run(brokerCtx) })
	house.Go(func() error { return b.Serve(brokerCtx, l, "") })
	home.Go(func() error { return s.home.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := home.Wait(); err != nil {
			t.Error(err)
		}
		s.box.Close()
		stopBroker()
		if err := errors.Join(house.Wait(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	if s.box, err = b.NewClient("box"); err != nil {
		t.Fatal(err)
	}
	for _, filter := range []string{"homeassistant/status", "+/set"} {
		if err := s.box.Subscribe(ctx, filter, 0, func(m mqtt.Message) { s.heard <- m.Topic + " " + string(m.Payload) }); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// quick are the waits of most tests.
func quick() Timing { return Measured().Faster(50) }

func (s *stage) publish(retain bool, topic, payload string) {
	s.t.Helper()
	if err := s.box.Publish(s.t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: retain}); err != nil {
		s.t.Fatal(err)
	}
}

// until waits for a condition.
func (s *stage) until(what string, condition func() bool) {
	s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("waited in vain for %s; entities: %+v; complaints: %v", what, s.home.Entities(), s.home.Complaints())
		}
	}
}

// says waits for what Home Assistant publishes next.
func (s *stage) says(want string) {
	s.t.Helper()
	select {
	case got := <-s.heard:
		if got != want {
			s.t.Fatalf("Home Assistant said %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("Home Assistant did not say %q", want)
	}
}

func (s *stage) state(entityID string) string {
	for _, e := range s.home.Entities() {
		if e.EntityID == entityID {
			return e.State
		}
	}
	return "not there"
}

func (s *stage) untilState(entityID, want string) {
	s.t.Helper()
	s.until(entityID+" "+want, func() bool { return s.state(entityID) == want })
}

// complains waits for a complaint, and fails if there is another.
func (s *stage) complains(kind ComplaintKind) {
	s.t.Helper()
	var all []Complaint
	s.until(string(kind), func() bool {
		all = append(all, s.home.Complaints()...)
		return len(all) > 0
	})
	for _, c := range all {
		if c.Kind != kind {
			s.t.Errorf("%v, want one of %s", c, kind)
		}
	}
}

func (s *stage) noComplaints() {
	s.t.Helper()
	for _, c := range s.home.Complaints() {
		s.t.Error(c)
	}
}

// meter is a document of the device form with some sensors.
func meter(name string, sensors int, more ...string) string {
	var b strings.Builder
	for i := range sensors {
		fmt.Fprintf(&b, `,"s%d":{"p":"sensor","uniq_id":"u%d","name":"Value %d","stat_t":"m/state","val_tpl":"{{ value_json.get('s%d') }}","unit_of_meas":"W"}`, i, i, i, i)
	}
	for _, m := range more {
		b.WriteString("," + m)
	}
	return `{"dev":{"ids":"m","name":"` + name + `"},"o":{"name":"test"},"avty":[{"t":"m/availability"}],"cmps":{` + b.String()[1:] + `}}`
}

func TestHomeAssistant(t *testing.T) {
	s := newStage(t, quick())
	s.publish(true, "homeassistant/device/m/config", meter("Meter", 2,
		`"sw":{"p":"switch","uniq_id":"sw","name":null,"stat_t":"m/state","val_tpl":"{{ {true: 'ON', false: 'OFF'}.get(value_json.get('on')) }}","cmd_t":"m/set","pl_on":"{\"on\":true}","pl_off":"{\"on\":false}","stat_on":"ON","stat_off":"OFF"}`))
	s.publish(true, "m/availability", "online")
	s.publish(true, "m/state", `{"s0":12,"on":true}`)
	s.home.Configure(s.entry)
	s.says("homeassistant/status online")
	s.untilState("sensor.meter_value_0", "12")
	s.untilState("sensor.meter_value_1", "unknown")
	s.untilState("switch.meter", "on")

	if _, err := s.home.Call("switch.meter", "turn_off", nil); err != nil {
		t.Fatal(err)
	}
	s.says(`m/set {"on":false}`)
	if _, err := s.home.Call("sensor.meter_value_0", "turn_off", nil); err == nil {
		t.Error("a sensor was turned off")
	}

	// An entity id stays when the name of the device changes; a person's own stays over a restart.
	if err := s.home.Rename("sensor.meter_value_1", "sensor.mine"); err != nil {
		t.Fatal(err)
	}
	s.publish(true, "homeassistant/device/m/config", meter("Other", 2))
	s.until("another name", func() bool { return s.home.Devices()["m"].Name == "Other" })
	s.until("live again", func() bool { return s.state("sensor.meter_value_0") == "12" })
	s.home.Restart()
	s.says("homeassistant/status offline")
	s.says("homeassistant/status online")
	s.untilState("sensor.meter_value_0", "12")
	s.untilState("sensor.mine", "unknown")
	// What is left out of a document is not removed; after a restart it is not there, though.
	s.untilState("switch.meter", "unavailable")
	s.publish(true, "homeassistant/device/m/config", meter("Other", 1, `"s1":{"p":"sensor"}`))
	s.untilState("sensor.mine", "not there")

	s.publish(true, "m/availability", "offline")
	s.untilState("sensor.meter_value_0", "unavailable")
	s.home.Down(false)
	s.says("homeassistant/status offline")
	s.home.Up()
	s.says("homeassistant/status online")
	s.publish(true, "homeassistant/device/m/config", "")
	s.until("no entity but the one that was left out", func() bool { return len(s.home.Entities()) == 1 })
	s.noComplaints()
}

// TestLostComponents: of two versions of a document that come back to back, Home
// Assistant takes the second only up to the first component that is pending.
func TestLostComponents(t *testing.T) {
	slow := quick()
	slow.Add = time.Second // the second document comes within it, however slow the machine is
	s := newStage(t, slow)
	s.home.Configure(s.entry)
	s.says("homeassistant/status online")
	s.publish(true, "m/availability", "online")
	s.publish(true, "homeassistant/device/m/config", meter("Meter", 3))
	s.publish(true, "homeassistant/device/m/config", meter("Meter", 8))
	s.until("the first version", func() bool { return len(s.home.Entities()) == 3 })
	s.publish(true, "flush/set", "x")
	s.says("flush/set x")
	if n := len(s.home.Entities()); n != 3 {
		t.Errorf("%d entities: nothing was lost", n)
	}
	s.publish(true, "homeassistant/device/m/config", meter("Meter", 8))
	s.until("what was lost, sent again", func() bool { return len(s.home.Entities()) == 8 })
	s.noComplaints()
}

// TestNotAuthorized: the codes 4 and 5 are for good, until somebody acts; 3 is not.
func TestNotAuthorized(t *testing.T) {
	s := newStage(t, quick())
	s.refuse.Store(&broker.Refusal{Code: mqtt.ServerUnavailable})
	s.home.Configure(s.entry)
	s.until("refused a few times", func() bool { s.home.mu.Lock(); defer s.home.mu.Unlock(); return s.home.refusals > 2 })
	if s.home.NotAuthorized() {
		t.Error("given up because the server was not available")
	}
	s.refuse.Store(nil)
	s.says("homeassistant/status online")
	if err := s.home.Try(t.Context(), s.entry); err != nil {
		t.Error(err)
	}
	for name, cure := range map[string]func(){
		"re-authenticated": func() { s.home.Configure(s.entry) },
		"restarted":        s.home.Restart,
	} {
		s.home.Down(true)
		s.says("homeassistant/status offline")
		s.refuse.Store(&broker.Refusal{Code: mqtt.NotAuthorized})
		s.home.Up()
		s.until("given up", s.home.NotAuthorized)
		if err := s.home.Try(t.Context(), s.entry); !errors.Is(err, ErrCannotConnect) {
			t.Errorf("a try with a wrong password: %v", err)
		}
		s.refuse.Store(nil)
		select {
		case said := <-s.heard:
			t.Errorf("%s: it came back by itself: %s", name, said)
		case <-time.After(5 * s.home.o.Timing.Retry):
		}
		cure()
		s.says("homeassistant/status online")
	}
}

// TestBadDocuments: what Home Assistant would only log is complained of.
func TestBadDocuments(t *testing.T) {
	s := newStage(t, quick())
	s.home.Configure(s.entry)
	s.says("homeassistant/status online")
	sensor := func(topic, keys string) { s.publish(true, "homeassistant/sensor/"+topic+"/config", keys) }
	s.publish(true, "homeassistant/device/m/config", meter("Meter", 2)[:200])
	s.complains(Refused)
	s.publish(true, "homeassistant/device/m/config", `{"dev":{"ids":"m"},"cmps":{}}`)
	s.complains(Refused)
	s.publish(true, "homeassistant/sensor/a.b/config", `{}`)
	s.complains(Refused)
	sensor("a", `{"uniq_id":"a","stat_t":"s","ent_cat":"config"}`)
	s.complains(Refused)
	sensor("b", `{"uniq_id":"b","stat_t":"s","unit_of_meas":"W","def_ent_id":"sensor.b","val_tpl":"{{ value_json.a.b }}"}`)
	s.untilState("sensor.b", "unknown")
	sensor("c", `{"uniq_id":"b","stat_t":"s"}`)
	s.complains(Duplicate)
	s.publish(false, "s", "1")
	s.complains(Template)
	sensor("b", `{"uniq_id":"b","stat_t":"s","unit_of_meas":"W","def_ent_id":"sensor.b"}`)
	s.until("the other version", func() bool { s.publish(false, "s", "2"); return s.state("sensor.b") == "2" })
	s.home.Complaints() // of the template, for what came before
	s.publish(false, "s", "many")
	s.complains(Payload)
	if s.state("sensor.b") != "2" {
		t.Error("a text became the state of a number")
	}
}
