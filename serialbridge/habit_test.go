package serialbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/mqtt"
)

// learn gives a habit pauses, each as often as is said.
func learn(h habit, pauses ...any) habit {
	for i := 0; i < len(pauses); i += 2 {
		for range pauses[i].(int) {
			h.pause(pauses[i+1].(time.Duration))
		}
	}
	return h
}

func TestPatience(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for _, test := range []struct {
		name   string
		pauses []any
		want   time.Duration
	}{
		{"new", nil, h},
		{"heard twice", []any{1, 10 * s}, h},
		{"each second", []any{3600, s}, m},
		{"each minute", []any{60, m}, 5 * m},
		{"each hour", []any{9, h}, 5 * h},
		{"each six hours", []any{9, 6 * h}, 25 * h},
		{"each day", []any{9, 24 * h}, 72 * h},
		{"each month", []any{9, 30 * 24 * h}, 21 * 24 * h},
		{"clock runs backwards", []any{3600, s, 1, -h}, m},
		{"thrice each ten minutes", []any{2, s / 10, 1, 10 * m, 2, s / 10, 1, 10 * m, 2, s / 10}, h},
		{"thrice each ten minutes, for long", []any{2, s / 10, 1, 10 * m, 2, s / 10, 9, 10 * m, 2, s / 10}, 50 * m},
		{"one long pause", []any{6 * 60, m, 1, 40 * m}, 5 * m},
		{"one long pause at the beginning", []any{1, 20 * m, 41, m}, 84 * m},
		{"and enough afterwards", []any{1, 10 * m, 80, m}, 5 * m},
	} {
		learned := learn(habit{}, test.pauses...)
		if got := learned.patience(defaultTiming()); got < test.want*9/10 || got > test.want*11/10 {
			t.Errorf("%s: patience of %v, want %v", test.name, got, test.want)
		}
	}
}

// Whatever a device does: who speaks as it always did is not said to be gone, one long
// pause and a burst of any length change little, and patience has its bounds.
func TestHabitHolds(t *testing.T) {
	tm := defaultTiming()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 8))
		// Pauses that vary by a factor of two about something between seconds and a day.
		usual := time.Duration(float64(time.Second) * float64(int(1)<<r.IntN(17)))
		pause := func() time.Duration { return usual/2 + time.Duration(r.Int64N(int64(usual))) }
		var h habit
		for i := range 20 + r.IntN(200) {
			gap := pause()
			if i > 2 && gap > h.patience(tm) {
				t.Fatalf("seed %d: a pause of %v is too long for %+v", seed, gap, h)
			}
			h.pause(gap)
		}
		for h.listened < time.Hour {
			h.pause(pause())
		}
		before := h.patience(tm)
		if before < tm.quiet || before > 3*longestPause {
			t.Fatalf("seed %d: patience of %v", seed, before)
		}
		burst := h
		for range r.IntN(1000) {
			burst.pause(time.Duration(r.Int64N(int64(usual/1000 + 1))))
		}
		if got := burst.patience(tm); got < before/2 || got > before {
			t.Fatalf("seed %d: a burst makes %v of a patience of %v", seed, got, before)
		}
		long := h
		long.pause(h.listened / (proof + 1))
		if got := long.patience(tm); got > 2*before && h.listened > 20*proof*usual {
			t.Fatalf("seed %d: a pause of %v makes %v of a patience of %v", seed, h.listened/(proof+1), got, before)
		}
	}
}

// run is a house that was started on what another one has left.
type run struct {
	*Supervisor
	k      *sink
	broker *recorder
	end    func()
}

// startRun starts a house with one stick in a bubble. The store is that of the broker.
func startRun(t *testing.T, kept *disk, states map[string]string) *run {
	broker := newRecorder()
	s := New(Options{Broker: broker, Interval: -1, Memory: kept})
	for id, state := range states {
		s.recall(mqtt.Message{Topic: "lintel/" + id + "/state", Payload: []byte(state), Retain: true})
	}
	ctx, cancel := context.WithCancel(t.Context())
	kept2 := make(chan bool)
	go func() { s.memory.keep(ctx, func(err error) { t.Error(err) }); close(kept2) }()
	go s.sweep(ctx)
	s.mu.Lock()
	st := s.remember(ctx, "stick")
	k := &sink{st: st}
	st.current = k
	s.mu.Unlock()
	st.online(&Driver{Protocol: "any"}, "", nil)
	synctest.Wait()
	return &run{s, k, broker, func() { cancel(); <-kept2; s.publishers.Wait() }}
}

func (r *run) say(id string) {
	r.k.Device(Device{ID: id, Properties: lineProperties})
	r.k.Reading(Reading{Device: id, Values: map[string]any{"temperature": 1.0}})
}

func (r *run) availability(id string) string {
	synctest.Wait()
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	return last(r.broker.messages, "lintel/"+id+"/availability")
}

// A sensor that speaks each hour is there after a restart until its habit has passed,
// with the state that it had. One that was gone stays so. Nobody is waited for for ever.
func TestAwaitedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &disk{texts: make(map[string]string)}
		r := startRun(t, kept, nil)
		for i := range 30 {
			if i < 10 {
				r.say("dead")
			}
			r.say("hourly")
			time.Sleep(time.Hour)
		}
		if got := r.availability("dead"); got != "offline" {
			t.Fatalf("dead is %q", got)
		}
		r.end()
		writes := len(kept.texts)
		if writes != 2 {
			t.Errorf("%v is written down", kept.texts)
		}

		r = startRun(t, kept, map[string]string{"hourly": `{"temperature":7}`, "dead": `{"temperature":8}`})
		ms := r.broker.messages
		if got := fmt.Sprint(last(ms, "lintel/hourly/state"), last(ms, "lintel/hourly/availability"), last(ms, "lintel/dead/availability")); got != `{"temperature":7}online` {
			t.Errorf("said %s", got)
		}
		state, online := -1, -1
		for i, m := range ms {
			switch m.Topic {
			case "lintel/hourly/state":
				state = i
			case "lintel/hourly/availability":
				online = i
			}
		}
		if state < 0 || state > online {
			t.Errorf("the state is message %d, online %d", state, online)
		}
		if len(r.Devices()) != 0 || len(r.Sticks()[0].Devices) != 0 {
			t.Error("what was not heard is shown")
		}
		r.k.Reading(Reading{Device: "hourly", Values: map[string]any{"temperature": 1.0}})
		if r.Sticks()[0].Damaged["unannounced device"] != 1 {
			t.Error("a reading of a device that nobody announced was taken")
		}
		time.Sleep(2 * time.Hour)
		if got := r.availability("hourly"); got != "online" {
			t.Errorf("after two hours of a habit of one it is %q", got)
		}
		r.say("hourly")
		if got := len(r.Devices()); got != 1 {
			t.Errorf("%d devices", got)
		}
		time.Sleep(6 * time.Hour)
		if got := r.availability("hourly"); got != "offline" {
			t.Errorf("after six hours of a habit of one it is %q", got)
		}
		r.say("hourly")
		r.end()

		// It asks for 25 hours of patience by now, for half of it, for a quarter…
		for i, want := range []string{"online", "online", "online", "online", "online", "offline"} {
			r = startRun(t, kept, nil)
			time.Sleep(30 * time.Minute)
			if got := r.availability("hourly"); got != want {
				t.Errorf("after %d restarts and no word it is %q, want %q", i+1, got, want)
			}
			r.end()
		}
	})
}

// The devices of a stick are waited for when that stick is there, and not without it.
func TestAwaitedWithTheStick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &disk{texts: make(map[string]string)}
		for id, stick := range map[string]string{"mine": "stick_stick", "other": "stick_other", "bad id": "stick_stick"} {
			text, _ := json.Marshal(acquaintance{Stick: stick})
			kept.texts["habits/"+id] = string(text)
		}
		kept.texts["habits/nonsense"] = "{"
		kept.texts["habits/negative"] = `{"stick":"stick_stick","listened":-1}`
		r := startRun(t, kept, nil)
		if len(r.devices) != 1 || r.availability("mine") != "online" {
			t.Errorf("waits for %v", r.devices)
		}
		r.k.st.tell(Failed, "", "")
		r.mu.Lock()
		r.devices["mine"].setOnline(false)
		r.mu.Unlock()
		if got := r.availability("mine"); got != "offline" {
			t.Errorf("without its stick it is %q", got)
		}
		r.k.st.online(&Driver{Protocol: "any"}, "", nil)
		if got := r.availability("mine"); got != "online" {
			t.Errorf("with its stick it is %q", got)
		}
		// What is heard has precedence over what is waited for.
		for i := range maxDevices {
			r.say(fmt.Sprint("d", i))
		}
		if len(r.Devices()) != maxDevices || r.availability("mine") != "offline" {
			t.Errorf("%d devices, and mine is %q", len(r.Devices()), r.availability("mine"))
		}
		r.end()
	})
}
