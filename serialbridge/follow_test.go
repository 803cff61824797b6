package serialbridge

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge/journey"
)

// awaitJourney waits until the newest journey is as ok wants it.
func awaitJourney(t *testing.T, w *journey.Watch, what string, ok func(journey.Journey) bool) journey.Journey {
	t.Helper()
	late := time.After(soon)
	for {
		all, changed := w.Journeys()
		if len(all) > 0 && ok(all[0]) {
			return all[0]
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited in vain for %s: %+v", what, all)
		}
	}
}

func ends(kind journey.Kind) func(journey.Journey) bool {
	return func(j journey.Journey) bool { return j.Stages[len(j.Stages)-1].Kind == kind }
}

func kinds(j journey.Journey) (kinds []journey.Kind) {
	for _, s := range j.Stages {
		kinds = append(kinds, s.Kind)
	}
	return kinds
}

// A reading is followed from its bytes to its topic, or to why it has none, and a command to
// the bytes that it becomes and what the stick answers.
func TestJourney(t *testing.T) {
	so := newSocket(t)
	so.plug()
	book := new(journey.Book)
	h := startHouse(t, Options{Drivers: []Driver{talker()}, Ports: []NamedPort{{Path: so.path, Protocol: "talker"}},
		Interval: time.Hour, Journeys: book}, quick())
	h.status(so.path, "online", inState(Online))
	so.say("talker attic temperature=1 .")
	h.broker.awaitLast(t, "lintel/attic/state", `{"temperature":1}`)
	if m := h.broker.all("lintel/attic/state")[0]; m.Trace != 0 {
		t.Errorf("the message has the number %d though nobody watches", m.Trace)
	}
	w, err := book.Watch("attic")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()

	so.say("talker attic temperature=1 .")
	got := awaitJourney(t, w, "nothing new", ends(journey.Unpublished))
	if want := []journey.Kind{journey.Heard, journey.Parsed, journey.Converted, journey.Unpublished}; !slices.Equal(kinds(got), want) {
		t.Errorf("told %v, want %v", kinds(got), want)
	}
	so.say("talker attic temperature=2 .")
	awaitJourney(t, w, "the interval", ends(journey.Waits))
	so.say("talker attic relay=true .")
	got = awaitJourney(t, w, "the state", func(j journey.Journey) bool { return j.Topic == "lintel/attic/state" })
	if s := got.Stages[0]; s.Kind != journey.Heard || !strings.Contains(string(s.Bytes), "relay=true") || strings.Contains(string(s.Bytes), "temperature") {
		t.Errorf("heard %q", s.Bytes)
	}
	published := got.Stages[slices.Index(kinds(got), journey.Published)]
	if published.Text != `{"relay":true,"temperature":2}` {
		t.Errorf("published %+v", published)
	}
	all, _ := w.Journeys()
	if !ends(journey.Joined)(all[1]) {
		t.Errorf("the reading that waited ended %+v", all[1])
	}
	h.broker.awaitLast(t, "lintel/attic/state", published.Text)
	if ms := h.broker.all("lintel/attic/state"); ms[len(ms)-1].Trace != got.Number {
		t.Errorf("the message has the number %d, its journey %d", ms[len(ms)-1].Trace, got.Number)
	}

	const number = 99 // of the broker
	h.broker.mu.Lock()
	command := h.broker.handle["lintel/+/set"]
	h.broker.mu.Unlock()
	w.Tell(number, journey.Stage{Kind: "received"})
	command(mqtt.Message{Topic: "lintel/attic/set", Payload: []byte(`{"level":7}`), Trace: number})
	if far := bufio.NewScanner(so.far); !far.Scan() {
		t.Fatal(far.Err())
	}
	var sent journey.Journey
	stages := func(n int) func(journey.Journey) bool {
		return func(journey.Journey) bool {
			all, _ := w.Journeys()
			sent = all[slices.IndexFunc(all, func(j journey.Journey) bool { return j.Number == number })]
			return len(sent.Stages) == n
		}
	}
	awaitJourney(t, w, "what was written", stages(4)) // what comes before is no answer
	so.say("talker attic level=7 .")
	awaitJourney(t, w, "the reading in the answer", func(j journey.Journey) bool { return j.Number != number && j.Number > got.Number })
	awaitJourney(t, w, "the answer", stages(5))
	told := kinds(sent)
	slices.Sort(told[2:4]) // the driver may be faster
	if want := []journey.Kind{"received", journey.Command, journey.Handed, journey.Written, journey.Answer}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if s := sent.Stages[4]; !strings.Contains(string(s.Bytes), "level=7") {
		t.Errorf("the answer is %q", s.Bytes)
	}
	command(mqtt.Message{Topic: "lintel/attic/set", Payload: []byte(`{"level":700}`), Trace: number})
	all, _ = w.Journeys()
	if j := all[slices.IndexFunc(all, func(j journey.Journey) bool { return j.Number == number })]; !ends(journey.Failed)(j) {
		t.Errorf("a command out of range: %v", fmt.Sprint(kinds(j)))
	}
}
