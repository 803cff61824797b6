package serialbridge

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

func TestStateAndEvents(t *testing.T) {
	so := newSocket(t)
	so.plug()
	var mu sync.Mutex
	var announced []string
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: so.path, Protocol: "lines"}},
		OnDevice: func(d Device) {
			mu.Lock()
			defer mu.Unlock()
			announced = append(announced, d.ID)
		},
	}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("lines attic temperature=21.5 open=true .")
	h.broker.awaitLast(t, "lintel/attic/state", `{"open":true,"temperature":21.5}`)
	so.say("garbage \x00\xff", "lines attic humidity=40 temperature=22 bogus=1 .")
	h.broker.awaitLast(t, "lintel/attic/state", `{"humidity":40,"open":true,"temperature":22}`)
	so.say("lines attic note=NaN .") // a number for ParseFloat, but not for JSON
	so.say("lines attic button=double .")
	h.broker.awaitLast(t, "lintel/attic/button", `{"event_type":"double"}`)
	so.say("lines bad/id temperature=1 .", "lines gateway temperature=1 .")
	so.say("lines cellar humidity=80 .")
	h.broker.awaitLast(t, "lintel/cellar/state", `{"humidity":80}`)

	for topic, want := range map[string]mqtt.Message{"state": {QoS: 0, Retain: true}, "button": {QoS: 1, Retain: false}} {
		for _, m := range h.broker.all("lintel/attic/" + topic) {
			if m.QoS != want.QoS || m.Retain != want.Retain {
				t.Errorf("%s is QoS %d, retain %v", m.Topic, m.QoS, m.Retain)
			}
		}
	}
	if got := last(h.broker.all("lintel/attic/state"), "lintel/attic/state"); strings.Contains(got, "button") || strings.Contains(got, "note") {
		t.Errorf("state is %s", got)
	}
	st := h.Sticks()[0]
	want := map[string]uint64{"syntax": 1, "unknown property": 1, "unusable value": 1, "bad device id": 2, "unannounced device": 2}
	if !reflect.DeepEqual(st.Damaged, want) {
		t.Errorf("damaged %v, want %v", st.Damaged, want)
	}
	if want := []string{"attic", "cellar"}; !slices.Equal(st.Devices, want) || st.Frames != 5 || st.Evidence != "set by the user" {
		t.Errorf("status %+v", st)
	}
	var ids []string
	for _, d := range h.Devices() {
		ids = append(ids, d.ID)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"attic", "cellar"}; !slices.Equal(ids, want) || !slices.Equal(announced, want) {
		t.Errorf("devices %v, announced %v, want %v", ids, announced, want)
	}
}

// A device that changes is announced again, and forgets values that it has no more.
func TestDeviceChanges(t *testing.T) {
	var announced []Device
	s := New(Options{Broker: newRecorder(), OnDevice: func(d Device) { announced = append(announced, d) }})
	st := s.remember(canceled(), "x")
	k := &sink{st: st}
	st.current = k
	d := Device{ID: "a", Name: " A\x00\xff ", Properties: []Property{
		{Key: "t", Kind: Measurement}, {Key: "t"}, {Key: "Bad Key"}, {Key: "h", Kind: Measurement},
	}}
	k.Device(d)
	k.Reading(Reading{Device: "a", Values: map[string]any{"t": 1.5, "h": int64(2)}})
	d.Properties[0].Key = "mine" // the driver goes on with its own copy
	if err := st.deliver(t.Context(), s.devices["a"]); err != nil {
		t.Fatal(err)
	}
	k.Device(Device{ID: "a", Name: "A", Properties: []Property{{Key: "t", Kind: Measurement}, {Key: "h", Kind: Measurement}}})
	k.Device(Device{ID: "a", Name: "B", Properties: []Property{{Key: "h", Kind: Measurement}}})
	if err := st.deliver(t.Context(), s.devices["a"]); err != nil {
		t.Fatal(err)
	}
	if len(announced) != 2 || announced[0].Name != "A" || len(announced[0].Properties) != 2 || announced[0].Properties[0].Key != "t" ||
		announced[1].Name != "B" {
		t.Errorf("announced %+v", announced)
	}
	if got := last(s.o.Broker.(*recorder).messages, "lintel/a/state"); got != `{"h":2}` {
		t.Errorf("state is %s", got)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestMergeRefuses(t *testing.T) {
	s := New(Options{Broker: newRecorder()})
	st := s.remember(canceled(), "x")
	s.announce(st, "a", Device{ID: "a", Properties: lineProperties})
	d := s.devices["a"]
	for _, bad := range []any{math.NaN(), math.Inf(1), float32(1), []byte("x"), strings.Repeat("x", maxText+1)} {
		if got := d.merge(map[string]any{"temperature": bad}, time.Now(), 0); got != "unusable value" {
			t.Errorf("%v: %q", bad, got)
		}
	}
	if got := d.merge(map[string]any{"button": true}, time.Now(), 0); got != "unusable value" {
		t.Errorf("event: %q", got)
	}
	for range maxEvents {
		if got := d.merge(map[string]any{"button": "single"}, time.Now(), 0); got != "" {
			t.Errorf("event: %q", got)
		}
	}
	if got := d.merge(map[string]any{"button": "double"}, time.Now(), 0); got != "event lost" || len(d.events) != maxEvents || string(d.events[maxEvents-1].payload) != `{"event_type":"double"}` {
		t.Errorf("event: %q, %v", got, d.events)
	}
	for i := range maxDevices + 5 {
		want := ""
		if i >= maxDevices-1 { // and "a"
			want = "too many devices"
		}
		if got := s.announce(st, "", Device{ID: fmt.Sprint("d", i)}); got != want {
			t.Fatalf("device %d: %q", i, got)
		}
	}
	for range 100 {
		st.damage(fmt.Sprint("reason ", len(st.damaged)))
	}
	if len(st.damaged) != maxReasons+1 {
		t.Errorf("%d reasons", len(st.damaged))
	}
}
