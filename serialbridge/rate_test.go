package serialbridge

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/mqtt"
)

// bench is a device of a stick that publishes to a recorder, in a bubble.
func bench(t *testing.T, o Options) (s *Supervisor, say func(values map[string]any), states func() []string) {
	t.Helper()
	broker := newRecorder()
	o.Broker = broker
	s = New(o)
	k := plugged(t, s, "stick")
	k.Device(Device{ID: "a", Properties: lineProperties})
	say = func(values map[string]any) { k.Reading(Reading{Device: "a", Time: time.Now(), Values: values}) }
	states = func() (payloads []string) {
		synctest.Wait()
		for _, m := range broker.all("lintel/a/state") {
			payloads = append(payloads, string(m.Payload))
		}
		broker.set(func() { broker.messages = nil })
		return payloads
	}
	return s, say, states
}

func expectStates(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: published %q, want %q", when, got, want)
	}
}

// What speaks ten times a second is published once a second, with what it said last.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, say, states := bench(t, Options{})
		say(map[string]any{"temperature": 1.0})
		expectStates(t, "the first", states(), `{"temperature":1}`)
		time.Sleep(50 * time.Millisecond)
		for i := range 30 {
			time.Sleep(100 * time.Millisecond)
			say(map[string]any{"temperature": float64(i)})
		}
		expectStates(t, "ten a second", states(), `{"temperature":8}`, `{"temperature":18}`, `{"temperature":28}`)
		time.Sleep(10 * time.Second)
		expectStates(t, "the last", states(), `{"temperature":29}`)

		say(map[string]any{"temperature": 5.0})
		expectStates(t, "at once after silence", states(), `{"temperature":5}`)
		time.Sleep(10 * time.Millisecond)
		say(map[string]any{"open": true})
		expectStates(t, "a door", states())
		time.Sleep(90 * time.Millisecond)
		expectStates(t, "a door, soon", states(), `{"open":true,"temperature":5}`)
		say(map[string]any{"temperature": 6.0})
		time.Sleep(500 * time.Millisecond)
		say(map[string]any{"open": false})
		expectStates(t, "a door does not wait for what waits", states(), `{"open":false,"temperature":6}`)
		time.Sleep(10 * time.Second)
		expectStates(t, "nothing is left", states())
	})
}

// What does not change is told at least every minute, and the clock of a meter is
// no change.
func TestAtLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, say, states := bench(t, Options{AtLeast: 30 * time.Second})
		for i := range 61 {
			say(map[string]any{"energy": 7.0, "clock": fmt.Sprint(i)})
			synctest.Wait()
			time.Sleep(time.Second)
		}
		expectStates(t, "a minute", states(), `{"clock":"0","energy":7}`, `{"clock":"30","energy":7}`, `{"clock":"60","energy":7}`)
	})
}

func TestRateOfAPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, say, states := bench(t, Options{Interval: -1, Ports: []NamedPort{{Path: "stick", Interval: 10 * time.Second}}})
		for i := range 21 {
			say(map[string]any{"temperature": float64(i)})
			time.Sleep(1100 * time.Millisecond)
		}
		expectStates(t, "every ten seconds", states(), `{"temperature":0}`, `{"temperature":9}`, `{"temperature":18}`)
	})
}

// A value that is not known any more is null, which Home Assistant shows as unknown.
func TestValueIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, say, states := bench(t, Options{})
		say(map[string]any{"temperature": 1.0, "humidity": 2.0})
		states()
		time.Sleep(time.Minute)
		say(map[string]any{"temperature": nil})
		expectStates(t, "unknown", states(), `{"humidity":2,"temperature":null}`)
	})
}

// What was waiting for its time when the house stops is still told.
func TestLastStateIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, say, states := bench(t, Options{})
		say(map[string]any{"temperature": 1.0})
		states()
		say(map[string]any{"temperature": 2.0})
		if err := s.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		expectStates(t, "at the end", states(), `{"temperature":2}`)
		time.Sleep(time.Minute)
		expectStates(t, "twice", states())
	})
}

// One bad frame whose checksum is right does not end up in the statistics.
func TestTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, say, states := bench(t, Options{Interval: -1})
		implausible := func() uint64 { return s.Sticks()[0].Damaged["implausible"] }
		energy := func(kWh float64) {
			say(map[string]any{"energy": kWh, "temperature": kWh})
			time.Sleep(10 * time.Second)
		}
		energy(1000)
		energy(1000.1)
		states()

		energy(900)
		energy(1000.2)
		expectStates(t, "one that falls", states(), `{"energy":1000.2,"temperature":1000.2}`)
		energy(5000)
		energy(1000.3)
		expectStates(t, "one that jumps", states(), `{"energy":1000.3,"temperature":1000.3}`)
		energy(0)
		energy(5000)
		energy(1000.4)
		expectStates(t, "two bad ones", states(), `{"energy":1000.4,"temperature":1000.4}`)
		if implausible() != 4 {
			t.Errorf("%d are implausible, want 4", implausible())
		}

		energy(0.5)
		energy(0.6)
		energy(0.7)
		expectStates(t, "a new meter", states(), `{"energy":0.6,"temperature":0.6}`, `{"energy":0.7,"temperature":0.7}`)
		time.Sleep(100 * time.Hour)
		energy(3000)
		expectStates(t, "after a long silence", states(), `{"energy":3000,"temperature":3000}`)
	})
}

// After a restart a device goes on with what it said before, and its totals are
// held against what they were.
func TestStateOutlastsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newRecorder()
		s := New(Options{Broker: broker, Interval: -1})
		before := `{"temperature":3,"humidity":"x","open":true,"mode":"eco","button":"single","relay":1,"energy":500,"gone":4,"note":null}`
		s.recall(mqtt.Message{Topic: "lintel/a/state", Payload: []byte(before), Retain: true})
		s.recall(mqtt.Message{Topic: "lintel/a/b/state", Payload: []byte(before), Retain: true})
		s.recall(mqtt.Message{Topic: "lintel/b/state", Payload: []byte(before)})
		s.recall(mqtt.Message{Topic: "lintel/c/state", Payload: []byte("[]"), Retain: true})
		if len(s.before) != 1 {
			t.Errorf("remembered %v", s.before)
		}
		k := plugged(t, s, "stick")
		k.Device(Device{ID: "a", Properties: lineProperties})
		k.Reading(Reading{Device: "a", Values: map[string]any{"energy": 499.0, "temperature": 9.0}})
		k.Reading(Reading{Device: "a", Values: map[string]any{"energy": 501.0}})
		synctest.Wait()
		var state map[string]any
		if err := json.Unmarshal([]byte(last(broker.messages, "lintel/a/state")), &state); err != nil {
			t.Fatal(err)
		}
		if want := map[string]any{"temperature": 3.0, "open": true, "mode": "eco", "energy": 501.0, "gone": 4.0}; fmt.Sprint(state) != fmt.Sprint(want) {
			t.Errorf("state %v, want %v", state, want)
		}
		k.Device(Device{ID: "a", Properties: append(lineProperties[:len(lineProperties):len(lineProperties)], Property{Key: "gone", Kind: State})})
		if len(s.before) != 0 || len(s.devices["a"].before) != 0 {
			t.Errorf("still remembered: %v, %v", s.before, s.devices["a"].before)
		}
	})
}
