package serialbridge

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/mqtt"
	"lintel/hardware"
)

// Two identical sticks have two devices, each of which takes its own commands.
func TestTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newRecorder()
		s := New(Options{Broker: broker, Interval: -1})
		var commands []chan Command
		for i, id := range []string{"1a86:7523:1-1.2:00", "1a86:7523:1-1.3:01", "/dev/ttyAMA0", "0403:6001:an endless serial number that nobody needs:00"} {
			k := plugged(t, s, id)
			k.st.named = id[0] == '/'
			commands = append(commands, k.st.commands)
			k.Device(Device{ID: "hub", Anonymous: true})
			k.Device(Device{ID: "dust", Anonymous: true, Via: "hub", Properties: lineProperties})
			k.Reading(Reading{Device: "dust", Values: map[string]any{"temperature": float64(i)}})
		}
		synctest.Wait()
		var ids []string
		for _, d := range s.Devices() {
			ids = append(ids, d.ID+" "+d.Via)
		}
		want := []string{
			"dust_1-1_2 hub_1-1_2", "dust_1-1_3_01 hub_1-1_3_01", "dust_an_endless_serial_numbe_379905d2 hub_an_endless_serial_numbe_379905d2",
			"dust_ttyAMA0 hub_ttyAMA0", "hub_1-1_2 ", "hub_1-1_3_01 ", "hub_an_endless_serial_numbe_379905d2 ", "hub_ttyAMA0 ",
		}
		if !slices.Equal(ids, want) {
			t.Errorf("devices %q, want %q", ids, want)
		}
		if got := last(broker.messages, "lintel/dust_1-1_3_01/state"); got != `{"temperature":1}` {
			t.Errorf("state %s", got)
		}
		s.command(mqtt.Message{Topic: "lintel/dust_1-1_3_01/set/relay", Payload: []byte("ON")})
		if len(commands[1]) != 1 {
			t.Fatal("the command did not arrive")
		}
		if c := <-commands[1]; c.Device != "dust" || c.Value != true {
			t.Errorf("command %+v", c)
		}
	})
}

// Bytes go both ways as they are.
func TestRawBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newRecorder()
		s := New(Options{Broker: broker})
		k := plugged(t, s, "stick")
		st := k.st
		k.Device(Device{ID: "a", Properties: lineProperties})
		k.Reading(Reading{Device: "a", Values: map[string]any{"bytes": []byte("\x00\xff\n")}})
		k.Reading(Reading{Device: "a", Values: map[string]any{"bytes": []byte("\x00\xff\n")}})
		k.Reading(Reading{Device: "a", Values: map[string]any{"bytes": "text"}})
		synctest.Wait()
		if ms := broker.all("lintel/a/bytes"); len(ms) != 2 || string(ms[1].Payload) != "\x00\xff\n" || ms[1].Retain {
			t.Errorf("published %v", ms)
		}
		if got := st.damaged["unusable value"]; got != 1 {
			t.Errorf("%d unusable", got)
		}
		s.command(mqtt.Message{Topic: "lintel/a/set/bytes", Payload: []byte(" \xfe\r\n")})
		s.command(mqtt.Message{Topic: "lintel/a/set", Payload: []byte(`{"bytes":"ü\n"}`)})
		if c := <-st.commands; string(c.Value.([]byte)) != " \xfe\r\n" {
			t.Errorf("command %+v", c)
		}
		if c := <-st.commands; string(c.Value.([]byte)) != "ü\n" {
			t.Errorf("command %+v", c)
		}
	})
}

// A burst of bytes waits for the broker as far as there is room, and what is lost
// is the oldest, and counted.
func TestRawBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newRecorder()
		broker.held = true
		s := New(Options{Broker: broker})
		k := plugged(t, s, "stick")
		st := k.st
		k.Device(Device{ID: "a", Properties: lineProperties})
		say := func(b []byte) { k.Reading(Reading{Device: "a", Values: map[string]any{"bytes": b}}) }
		synctest.Wait() // availability is with the broker
		for i := range 300 {
			say([]byte{byte(i)})
		}
		if n := st.damaged["event lost"]; n != 0 {
			t.Errorf("%d of 300 lines are lost", n)
		}
		for range 30 {
			say(make([]byte, maxText))
		}
		lost := int(st.damaged["event lost"])
		if d := s.devices["a"]; d.waiting > maxRaw || len(d.events) != maxRaw/(maxText+64) || lost == 0 {
			t.Errorf("%d wait in %d bytes, %d times some were lost", len(d.events), d.waiting, lost)
		}
		broker.set(func() { broker.held = false })
		synctest.Wait()
		if n := len(broker.all("lintel/a/bytes")); n != maxRaw/(maxText+64) {
			t.Errorf("%d are published", n)
		}
	})
}

// A remote control is there although it says nothing for days.
func TestSpeaksWhenUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Broker: newRecorder()})
		k := plugged(t, s, "stick")
		k.Device(Device{ID: "dead", Properties: lineProperties}) // remembered, and never heard
		k.Device(Device{ID: "buttons", Properties: []Property{{Key: "press", Kind: Button}}})
		for _, d := range []Device{{ID: "remote", WhenUsed: true}, {ID: "sensor"}} {
			d.Properties = lineProperties
			k.Device(d)
			k.Reading(Reading{Device: d.ID, Values: map[string]any{"temperature": 1.0}})
			k.Reading(Reading{Device: d.ID, Values: map[string]any{"temperature": 2.0}})
		}
		go s.sweep(t.Context())
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, online := range map[string]bool{"remote": true, "sensor": false, "dead": false, "buttons": true} {
			if s.devices[id].online != online {
				t.Errorf("%s is online: %v", id, !online)
			}
		}
	})
}

// A sensor that sends a burst now and then and a sign of life each hour is not offline
// after the burst.
func TestBurstsAndHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Broker: newRecorder()})
		k := plugged(t, s, "stick")
		k.Device(Device{ID: "motion", Properties: lineProperties})
		go s.sweep(t.Context())
		online := func() bool {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.devices["motion"].online
		}
		say := func() { k.Reading(Reading{Device: "motion", Values: map[string]any{"open": true}}) }
		for range 5 {
			say()
			time.Sleep(59 * time.Minute)
		}
		for range 50 {
			say()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		if !online() {
			t.Error("it is offline after a burst")
		}
		for range 24 * 3600 { // it becomes quick
			say()
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute)
		if online() {
			t.Error("it is online though it is silent for long")
		}
	})
}

// A device that is forgotten is taken back from the broker and from Home Assistant,
// and may come back.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newRecorder()
		var gone []string
		s := New(Options{Broker: broker, Interval: -1, OnGone: func(id string) { gone = append(gone, id) }})
		k, other := plugged(t, s, "0403:6001:A:00"), plugged(t, s, "other")
		say := func(temperature float64) {
			k.Device(Device{ID: "a", Anonymous: true, Properties: lineProperties})
			k.Reading(Reading{Device: "a", Values: map[string]any{"temperature": temperature, "button": "single"}})
		}
		say(1)
		synctest.Wait()
		other.Gone("a_A")
		k.Gone("nobody")
		synctest.Wait()
		if len(s.Devices()) != 1 || len(gone) != 0 {
			t.Fatalf("another stick took it away: %v", gone)
		}
		k.Gone("a")
		k.Reading(Reading{Device: "a", Values: map[string]any{"temperature": 2.0}})
		synctest.Wait()
		state := broker.all("lintel/a_A/state")
		availability := broker.all("lintel/a_A/availability")
		for _, m := range []mqtt.Message{state[len(state)-1], availability[len(availability)-1]} {
			if len(m.Payload) > 0 || !m.Retain {
				t.Errorf("%s still is %q", m.Topic, m.Payload)
			}
		}
		if len(s.Devices()) != 0 || !slices.Equal(gone, []string{"a_A"}) {
			t.Errorf("%v, gone are %v", s.Devices(), gone)
		}
		say(3)
		synctest.Wait()
		if got := last(broker.messages, "lintel/a_A/state"); got != `{"temperature":3}` || last(broker.messages, "lintel/a_A/availability") != "online" {
			t.Errorf("came back as %s", got)
		}
		k.Gone("a")
		say(4) // at once
		synctest.Wait()
		if got := last(broker.messages, "lintel/a_A/state"); got != `{"temperature":4}` {
			t.Errorf("came back at once as %q", got)
		}
	})
}

// What each gateway of a kind remembers is its own.
func TestOwnMemory(t *testing.T) {
	s := New(Options{Broker: newRecorder()})
	a, b := plugged(t, s, "1:2:A:00"), plugged(t, s, "1:2:B:00")
	d := linesDriver("lines")
	d.OwnMemory = true
	a.memory, b.memory = a.st.memoryOf(&d), b.st.memoryOf(&d)
	a.Remember("1", "x")
	if len(b.Recall()) != 0 || a.Recall()["1"] != "x" {
		t.Errorf("recalled %v and %v", a.Recall(), b.Recall())
	}
}

// Two valid frames are enough to know a protocol, of different devices too, and also
// if nothing can be made of them: a meter whose key is missing is one that its owner
// wants to hear of.
func TestProbeCountsFrames(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 22, 12, 0, s, 0, time.UTC) }
	for _, test := range []struct {
		name  string
		heard func(p *probe)
		found bool
	}{
		{"one frame with much in it", func(p *probe) {
			p.now = at(1)
			p.Reading(Reading{Device: "a"})
			p.Reading(Reading{Device: "b"})
		}, false},
		{"two frames at once", func(p *probe) {
			p.now = at(1)
			p.Reading(Reading{Device: "a"})
			p.Reading(Reading{Device: "a"})
		}, true},
		{"two devices", func(p *probe) {
			p.now = at(1)
			p.Reading(Reading{Device: "a"})
			p.now = at(9)
			p.Reading(Reading{Device: "b"})
		}, true},
		{"two encrypted ones", func(p *probe) {
			p.now = at(1)
			p.Ignored("key")
			p.now = at(2)
			p.Ignored("key")
		}, true},
		{"damage in between", func(p *probe) {
			p.now = at(1)
			p.Reading(Reading{Device: "a"})
			p.Damaged("checksum")
			p.now = at(2)
			p.Reading(Reading{Device: "a"})
		}, false},
		{"damage before", func(p *probe) {
			p.Damaged("checksum")
			p.now = at(1)
			p.Reading(Reading{Device: "a"})
			p.now = at(2)
			p.Reading(Reading{Device: "a"})
		}, true},
	} {
		p := &probe{need: 2, readings: make(map[string]int)}
		if test.heard(p); p.found != test.found {
			t.Errorf("%s: found %v", test.name, p.found)
		}
		live := &toldSink{}
		if n := len(p.heard); test.found {
			if p.forward(live); live.told != n {
				t.Errorf("%s: %d of %d passed on", test.name, live.told, n)
			}
		}
	}
}

// A meter whose key is missing was recognised by frames of which nothing is made, and
// stays so: it is not doubted because it gives no reading.
func TestIgnoredFramesAreNoSilence(t *testing.T) {
	so := newSocket(t)
	so.plug()
	sealed := Driver{Protocol: "sealed", Match: func(hardware.SerialPort) Confidence { return Possible }, Lines: []Line{line8N1},
		NewDecoder: func(sink Sink) Decoder {
			return decoderFunc(func([]byte, time.Time) { sink.Ignored("its key is needed") })
		}}
	tm := quick()
	tm.silence = 300 * time.Millisecond
	h := startHouse(t, Options{Drivers: []Driver{sealed}, Ports: []NamedPort{{Path: so.path}}}, tm)
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan struct{})
	go func() {
		defer close(said)
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-tick.C:
				so.far.Write([]byte("x"))
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	}()
	online := h.status(so.path, "online", inState(Online))
	st := h.status(so.path, "heard for long", func(st StickStatus) bool { return st.Ignored["its key is needed"] >= 50 })
	if st.State != Online || !st.Since.Equal(online.Since) || st.Frames != 0 {
		t.Errorf("%+v", st)
	}
	cancel()
	<-said
}

type decoderFunc func([]byte, time.Time)

func (f decoderFunc) Decode(data []byte, received time.Time) { f(data, received) }

type toldSink struct {
	probe
	told int
}

func (s *toldSink) Reading(Reading) { s.told++ }
func (s *toldSink) Ignored(string)  { s.told++ }
