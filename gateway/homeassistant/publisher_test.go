package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/homeassistant/judge"
	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

// recorder is a broker that remembers what was published and when.
type recorder struct {
	mu       sync.Mutex
	start    time.Time
	sent     []sent
	handlers map[string]func(mqtt.Message)
	fail     error // what Publish returns
}

type sent struct {
	at time.Duration
	mqtt.Message
}

func newRecorder() *recorder {
	return &recorder{start: time.Now(), handlers: make(map[string]func(mqtt.Message))}
}

func (r *recorder) Publish(ctx context.Context, m mqtt.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.fail != nil {
		return r.fail
	}
	r.sent = append(r.sent, sent{time.Since(r.start), m})
	return nil
}

func (r *recorder) Subscribe(_ context.Context, filter string, _ mqtt.SubscriptionOptions, handle func(mqtt.Message)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handlers[filter] = handle
	return nil
}

// take returns what was sent since the last take.
func (r *recorder) take() []sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sent
	r.sent = nil
	return s
}

func (r *recorder) say(topic, payload string) {
	r.mu.Lock()
	handle := r.handlers[topic]
	r.mu.Unlock()
	handle(mqtt.Message{Topic: topic, Payload: []byte(payload)})
}

func (r *recorder) setFail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

const (
	boxTopic = "homeassistant/device/lintel_a1b2c3d4e5f6/config"
	xTopic   = "homeassistant/device/lintel_x/config"
)

// run runs a publisher in a bubble of its own.
func run(t *testing.T, republish func(context.Context) error, test func(*Publisher, *recorder)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		p := NewPublisher(PublisherOptions{Broker: r, Box: testBox, Republish: republish})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		test(p, r)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func deviceX(properties ...serialbridge.Property) serialbridge.Device {
	return serialbridge.Device{ID: "x", Name: "X", Properties: properties}
}

var (
	propertyA = serialbridge.Property{Key: "a", Kind: serialbridge.Measurement}
	propertyB = serialbridge.Property{Key: "b", Kind: serialbridge.State}
)

// after lets time pass and returns what was sent meanwhile, by topic.
func after(r *recorder, d time.Duration) map[string][]sent {
	time.Sleep(d) // in the bubble: no real time passes
	synctest.Wait()
	byTopic := make(map[string][]sent)
	for _, s := range r.take() {
		byTopic[s.Topic] = append(byTopic[s.Topic], s)
	}
	return byTopic
}

func components(t *testing.T, s sent) map[string]map[string]any {
	t.Helper()
	var doc struct {
		Components map[string]map[string]any `json:"cmps"`
	}
	if err := json.Unmarshal(s.Payload, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Components
}

func TestPublishesAndSendsAgainOnce(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		p.Device(deviceX(propertyA))
		got := after(r, time.Hour)
		for _, topic := range []string{boxTopic, xTopic} {
			s := got[topic]
			if len(s) != 2 || s[0].at != time.Second || s[1].at != 11*time.Second {
				t.Errorf("%s: sent %d times %v, want after 1 s and 11 s", topic, len(s), s)
				continue
			}
			if string(s[0].Payload) != string(s[1].Payload) || !s[0].Retain || s[0].QoS != 1 {
				t.Errorf("%s: not the same, not retained or not QoS 1", topic)
			}
		}
		p.Device(deviceX(propertyA))
		if got := after(r, time.Hour); len(got) != 0 {
			t.Errorf("an equal device was published: %v", got)
		}
	})
}

// The host name of a box is taken by another one: the document of the box names the
// pages anew, and no other document is sent.
func TestPagesMove(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		p.Device(deviceX(propertyA))
		after(r, time.Hour)
		p.SetConfigurationURL("http://lintel-2.local")
		got := after(r, time.Hour)
		s := got[boxTopic]
		if len(got) != 1 || len(s) != 2 || !strings.Contains(string(s[0].Payload), `"cu":"http://lintel-2.local"`) {
			t.Errorf("sent %v", got)
		}
		p.SetConfigurationURL("http://lintel-2.local")
		if got := after(r, time.Hour); len(got) != 0 {
			t.Errorf("the same pages were published: %v", got)
		}
	})
}

func TestDebouncesChanges(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		after(r, time.Minute)
		// A device that changes 20 times a second for ten seconds.
		for i := range 200 {
			d := deviceX(propertyA)
			d.SWVersion = strings.Repeat("1", i)
			p.Device(d)
			time.Sleep(50 * time.Millisecond)
		}
		s := after(r, time.Hour)[xTopic]
		if len(s) < 5 || len(s) > 13 {
			t.Fatalf("published %d times", len(s))
		}
		for i := range len(s) - 1 {
			if gap := s[i+1].at - s[i].at; gap < time.Second {
				t.Errorf("versions %d and %d are %v apart", i, i+1, gap)
			}
		}
		last := s[len(s)-1]
		if !strings.Contains(string(last.Payload), `"sw":"`+strings.Repeat("1", 199)+`"`) {
			t.Errorf("the last version is not the last change: %s", last.Payload)
		}
	})
}

// TestHangsBelowWhatIsKnown: a device does not refer to one that Home Assistant does not
// know, and does as soon as it does.
func TestHangsBelowWhatIsKnown(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		via := func(s sent) string {
			var doc document
			if err := json.Unmarshal(s.Payload, &doc); err != nil {
				t.Fatal(err)
			}
			return doc.Device.ViaDevice
		}
		d := deviceX(propertyA)
		d.Stick = "stick_1"
		p.Device(d)
		if s := after(r, time.Minute)[xTopic]; len(s) == 0 || via(s[0]) != "lintel_a1b2c3d4e5f6" {
			t.Errorf("at first: %v, want it below the box", s)
		}
		p.Device(serialbridge.Device{ID: "stick_1", Properties: []serialbridge.Property{propertyA}})
		if s := after(r, time.Minute)[xTopic]; len(s) == 0 || via(s[0]) != "lintel_stick_1" {
			t.Errorf("then: %v, want it below its stick", s)
		}
	})
}

func TestRemovesComponents(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		p.Device(deviceX(propertyA, propertyB))
		after(r, time.Minute)
		p.Device(deviceX(propertyA))
		s := after(r, time.Minute)[xTopic]
		if len(s) != 2 {
			t.Fatalf("sent %d times, want 2", len(s))
		}
		for _, s := range s {
			if b := components(t, s)["b"]; len(b) != 1 || b["p"] != "sensor" {
				t.Errorf("b = %v, want its platform alone", b)
			}
			if err := judge.Judge(s.Topic, s.Payload).Clean(); err != nil {
				t.Error(err)
			}
		}
		r.say("homeassistant/status", "online")
		s = after(r, time.Minute)[xTopic]
		if len(s) != 1 || components(t, s[0])["b"] != nil {
			t.Errorf("after the removal was said, b is still there: %v", s)
		}
	})
}

func TestComponentMovesToAnotherPlatform(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		p.Device(deviceX(propertyA))
		after(r, time.Minute)
		p.Device(deviceX(serialbridge.Property{Key: "a", Kind: serialbridge.Binary}))
		s := after(r, time.Minute)[xTopic]
		if len(s) != 3 {
			t.Fatalf("sent %d times, want removal, new version, re-send", len(s))
		}
		if a := components(t, s[0])["a"]; len(a) != 1 || a["p"] != "sensor" {
			t.Errorf("first a = %v, want the removal of the sensor", a)
		}
		for _, s := range s[1:] {
			if a := components(t, s)["a"]; a["p"] != "binary_sensor" || a["uniq_id"] == nil {
				t.Errorf("then a = %v, want the binary sensor", a)
			}
		}
	})
}

func TestBirth(t *testing.T) {
	var r *recorder
	republish := func(ctx context.Context) error {
		return r.Publish(ctx, mqtt.Message{Topic: "states"})
	}
	run(t, republish, func(p *Publisher, recorder *recorder) {
		r = recorder
		p.Device(deviceX(propertyA))
		after(r, time.Minute)
		r.say("homeassistant/status", "offline")
		if got := after(r, time.Minute); len(got) != 0 {
			t.Errorf("sent after offline: %v", got)
		}
		for range 2 {
			r.say("homeassistant/status", "online")
			r.say("homeassistant/status", "online") // only one answer
			born := time.Since(r.start)
			time.Sleep(time.Minute)
			synctest.Wait()
			var topics []string
			for _, s := range r.take() {
				topics = append(topics, s.Topic)
				if d := s.at - born; d < birthDelay || d > 2*birthDelay {
					t.Errorf("%s answered after %v", s.Topic, d)
				}
			}
			if want := []string{boxTopic, xTopic, "states"}; !slices.Equal(topics, want) {
				t.Errorf("sent %q, want %q", topics, want)
			}
		}
	})
}

func TestTriesAgain(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		after(r, time.Minute)
		r.setFail(errors.New("store is full"))
		p.Device(deviceX(propertyA))
		after(r, 3*time.Second)
		r.setFail(nil)
		if s := after(r, time.Minute)[xTopic]; len(s) != 2 {
			t.Errorf("sent %d times after the broker recovered, want 2", len(s))
		}
	})
}

func TestRefusedDeviceHarmsNoOther(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		p.Device(serialbridge.Device{ID: "a/../b"})
		p.Device(deviceX(propertyA))
		got := after(r, time.Hour)
		if len(got) != 2 || len(got[xTopic]) != 2 {
			t.Errorf("sent to %d topics", len(got))
		}
	})
}

func TestDeviceFromManyGoroutines(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				for j := range 300 {
					d := deviceX(propertyA)
					d.ID = fmt.Sprintf("x_%d", (i*300+j)%1500)
					p.Device(d)
				}
			})
		}
		wg.Wait()
		if got := len(after(r, time.Minute)); got != maxDevices {
			t.Errorf("%d devices announced, want the limit %d", got, maxDevices)
		}
	})
}

func TestBoxState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		start := time.Now()
		s := NewBoxState(BoxStateOptions{Broker: r, Values: func() map[string]any {
			return map[string]any{"clients": 1 + int(time.Since(start)/time.Minute)}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(150 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		type message struct {
			at             time.Duration
			topic, payload string
		}
		var got []message
		for _, s := range r.take() {
			if !s.Retain {
				t.Errorf("%s is not retained", s.Topic)
			}
			got = append(got, message{s.at, s.Topic, string(s.Payload)})
		}
		want := []message{
			{0, "lintel/gateway/state", `{"clients":1}`},
			{0, "lintel/gateway/availability", "online"},
			{time.Minute, "lintel/gateway/state", `{"clients":2}`},
			{2 * time.Minute, "lintel/gateway/state", `{"clients":3}`},
			{150 * time.Second, "lintel/gateway/availability", "offline"},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}
