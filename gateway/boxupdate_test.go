package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/homeassistant"
	"lintel/gateway/update"
)

// scripted is an update that does what the test says.
type scripted struct {
	changed chan struct{}
	begun   chan struct{} // Install was called
	result  chan error    // and returns this

	mu    sync.Mutex
	state homeassistant.UpdateState
}

func (s *scripted) State() homeassistant.UpdateState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *scripted) Changed() <-chan struct{} { return s.changed }

func (s *scripted) Install(ctx context.Context) error {
	select {
	case s.begun <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-s.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *scripted) set(change func(*homeassistant.UpdateState)) {
	s.mu.Lock()
	change(&s.state)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// updateMessage is what Home Assistant hears of updates.
type updateMessage struct {
	Installed  string   `json:"installed_version"`
	Latest     string   `json:"latest_version"`
	Title      string   `json:"title"`
	Summary    string   `json:"release_summary"`
	URL        string   `json:"release_url"`
	InProgress bool     `json:"in_progress"`
	Percentage *float64 `json:"update_percentage"`
}

const updateTopic = "lintel/gateway/update"

// expectUpdate waits for a message of the update entity.
func expectUpdate(t *testing.T, messages <-chan paho.Message, what string, wanted func(updateMessage) bool) (u updateMessage) {
	t.Helper()
	await(t, messages, what, func(m paho.Message) bool {
		u = updateMessage{}
		if m.Topic() != updateTopic {
			return false
		}
		strict := json.NewDecoder(strings.NewReader(string(m.Payload())))
		strict.DisallowUnknownFields() // Home Assistant would ignore all of it
		if err := strict.Decode(&u); err != nil {
			t.Errorf("%s: %v", m.Payload(), err)
		}
		return wanted(u)
	})
	return u
}

// TestUpdateFromHomeAssistant is about the same with what really updates a box, and a feed.
func TestUpdateFromHomeAssistant(t *testing.T) {
	t.Parallel()
	address, keys := signedFeed(t)
	c := localConfig()
	c.Update.Feed = address
	old := newLaptop()
	old.full = &update.Refusal{Reason: update.TooLarge, Text: "There is no room for it."}
	o := Options{Data: t.TempDir(), Version: "1.0", Release: update.Release{Counter: 1, Board: "lintel", Kernel: "k", Keys: keys}, Machine: old}
	e, stop := startOptions(t, c, o)
	b := claim(t, e)
	messages := listenTo(t, e, updateTopic)
	expectUpdate(t, messages, "nothing that is known", func(u updateMessage) bool { return u.Installed == "1.0" && u.Latest != "1.1" && !u.InProgress })
	b.call("POST", "/api/update/check", map[string]any{}, nil)
	expectUpdate(t, messages, "a version", func(u updateMessage) bool {
		return u.Installed == "1.0" && u.Latest == "1.1" && u.Title == "Lintel" && u.Summary == "Faster." && u.URL == "https://example.com/1.1" && !u.InProgress
	})
	person := connect(t, e, "person", "", "")
	finish(t, person.Publish(updateTopic+"/set", 1, false, "install"))
	old.expect(t, "abandon")
	expectUpdate(t, messages, "why it failed", func(u updateMessage) bool {
		return !u.InProgress && u.Summary == "The last try failed: There is no room for it. Faster."
	})
	old.mu.Lock()
	old.full = nil
	old.mu.Unlock()
	finish(t, person.Publish(updateTopic+"/set", 1, false, "install"))
	for _, what := range []string{"write", "arm", "reboot"} {
		old.expect(t, what)
	}
	expectUpdate(t, messages, "the restart", func(u updateMessage) bool { return u.InProgress && u.Installed == "1.0" })
	stop()

	// It comes back, and Home Assistant says why as soon as the version is offered again.
	back := newLaptop()
	back.situation, back.record = update.TrialReturned, &update.Record{State: update.StateReturned, Version: "1.1", Counter: 2, Reason: "A stick was away."}
	o.Machine = back
	e, stop = startOptions(t, c, o)
	defer stop()
	b.at(e)
	messages = listenTo(t, e, updateTopic)
	b.call("POST", "/api/update/check", map[string]any{}, nil)
	expectUpdate(t, messages, "why it came back", func(u updateMessage) bool {
		return u.Latest == "1.1" && u.Installed == "1.0" && u.Summary == "It was tried and did not hold: A stick was away. Faster." && !u.InProgress
	})
}

// TestUpdateOfTheBox goes from an update that is there over one that fails to one that is
// installed, with the buttons of Home Assistant.
func TestUpdateOfTheBox(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	updates := &scripted{changed: make(chan struct{}, 1), begun: make(chan struct{}), result: make(chan error), state: homeassistant.UpdateState{
		Installed: "1.0", Latest: "1.1", Title: "Lintel", Summary: "Faster.", URL: "https://example.com/1.1"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, ended := make(chan Endpoints, 1), make(chan error, 1)
	run := func(version string) Endpoints {
		go func() {
			ended <- Run(ctx, localConfig(), Options{Data: data, Version: version, updates: updates, restartLeast: time.Millisecond,
				Ready: func(e Endpoints) { ready <- e }})
		}()
		select {
		case e := <-ready:
			return e
		case err := <-ended:
			t.Fatal(err)
		}
		return Endpoints{}
	}
	e := run("1.0")
	const topic = updateTopic
	messages := listenTo(t, e, topic, "lintel/gateway/state")
	component := boxComponents(t, listenTo(t, e, "homeassistant/device/+/config"), "update")["update"]
	for key, want := range map[string]string{"p": "update", "dev_cla": "firmware", "ent_cat": "config", "stat_t": topic, "cmd_t": topic + "/set", "pl_inst": "install"} {
		if component[key] != want {
			t.Errorf("%s is %v, want %s", key, component[key], want)
		}
	}
	if component["val_tpl"] != nil {
		t.Errorf("a template: %v", component["val_tpl"])
	}
	expect := func(messages <-chan paho.Message, what string, wanted func(updateMessage) bool) updateMessage {
		t.Helper()
		return expectUpdate(t, messages, what, wanted)
	}
	u := expect(messages, "an update", func(updateMessage) bool { return true })
	if u.Installed != "1.0" || u.Latest != "1.1" || u.Title != "Lintel" || u.Summary != "Faster." || u.URL != "https://example.com/1.1" || u.InProgress || u.Percentage != nil {
		t.Errorf("what there is: %+v", u)
	}
	person := connect(t, e, "person", "", "")
	finish(t, person.Publish(topic+"/set", 1, true, "install"))
	awaitBox(t, messages, "refusal of what is retained", func(s boxState) bool { return strings.Contains(s.Last, "retain") })
	finish(t, person.Publish(topic+"/set", 1, false, "reboot"))
	awaitBox(t, messages, "refusal of nonsense", func(s boxState) bool { return strings.Contains(s.Last, "the command is install") })

	begun := func() {
		t.Helper()
		select {
		case <-updates.begun:
		case <-time.After(30 * time.Second):
			t.Fatal("nothing is installed")
		}
	}
	finish(t, person.Publish(topic+"/set", 0, false, "install"))
	begun()
	updates.set(func(s *homeassistant.UpdateState) { s.InProgress, s.Percentage = true, 12.34 })
	expect(messages, "progress", func(u updateMessage) bool { return u.InProgress && u.Percentage != nil && *u.Percentage == 12.3 })
	updates.set(func(s *homeassistant.UpdateState) { s.InProgress = false })
	updates.result <- errors.New("its signature is not one of Lintel")
	u = expect(messages, "why it failed", func(u updateMessage) bool { return !u.InProgress && u.Summary != "Faster." })
	if u.Summary != "The last try failed: its signature is not one of Lintel. Faster." || u.Installed != "1.0" {
		t.Errorf("after the failure: %+v", u)
	}

	finish(t, person.Publish(topic+"/set", 0, false, "install"))
	begun()
	updates.set(func(s *homeassistant.UpdateState) { s.InProgress, s.Percentage = true, -1 })
	expect(messages, "progress that nobody can measure", func(u updateMessage) bool { return u.InProgress && u.Percentage == nil })
	updates.set(func(s *homeassistant.UpdateState) { s.Percentage = 100 })
	expect(messages, "the end of progress", func(u updateMessage) bool { return u.InProgress && u.Percentage != nil && *u.Percentage == 100 })
	// A Home Assistant that is started now finds no bar that stands still.
	if u := expect(listenTo(t, e, topic), "what is retained", func(updateMessage) bool { return true }); u.InProgress || u.Percentage != nil {
		t.Errorf("retained in the midst of it: %+v", u)
	}
	updates.set(func(s *homeassistant.UpdateState) { s.InProgress, s.Installed = false, "1.1" })
	updates.result <- nil
	expect(messages, "the end", func(u updateMessage) bool { return !u.InProgress && u.Installed == "1.1" && u.Latest == "1.1" })
	finish(t, person.Publish(topic+"/set", 0, false, "install"))
	awaitBox(t, messages, "refusal of what is installed", func(s boxState) bool { return strings.Contains(s.Last, "nothing newer") })

	person.Publish("lintel/gateway/set", 0, false, `{"restart":true}`)
	select {
	case err := <-ended:
		if !errors.Is(err, ErrRestart) {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it was not started again")
	}
	e = run("1.1")
	await(t, listenTo(t, e, "homeassistant/device/+/config"), "the new version on the page of the device", func(m paho.Message) bool {
		var discovery struct {
			Device struct{ SW string } `json:"dev"`
		}
		return json.Unmarshal(m.Payload(), &discovery) == nil && discovery.Device.SW == "1.1"
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
