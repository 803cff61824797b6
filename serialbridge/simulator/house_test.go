package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

// broker remembers the last message of each topic.
type broker struct {
	mu   sync.Mutex
	last map[string]string
}

func (b *broker) Publish(_ context.Context, m mqtt.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[m.Topic] = string(m.Payload)
	return nil
}

func (b *broker) Subscribe(context.Context, string, mqtt.SubscriptionOptions, func(mqtt.Message)) error {
	return nil
}

// get returns the last message on a topic of a device. To the name of one that does
// not tell itself from others something was added.
func (b *broker) get(device, topic string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, payload := range b.last {
		if id, ok := strings.CutSuffix(name, "/"+topic); ok && strings.HasPrefix(id, "lintel/"+device) {
			return payload
		}
	}
	return ""
}

// shows tells whether the state of the device that was heard has the numbers that
// it said last.
func (b *broker) shows(e *ear) bool {
	e.mu.Lock()
	device, last := e.device, e.last
	e.mu.Unlock()
	if device == "" {
		return true // nothing was heard
	}
	var state map[string]any // its numbers are float64
	if err := json.Unmarshal([]byte(b.get(device, "state")), &state); err != nil {
		return false
	}
	for key, want := range last {
		if _, isText := want.(string); isText {
			continue // the clock of a meter is no news
		}
		text, _ := json.Marshal(want)
		if got, _ := json.Marshal(state[key]); string(got) != string(text) {
			return false
		}
	}
	return true
}

// house is a supervisor that runs for a test.
type house struct {
	*serialbridge.Supervisor
	broker *broker
	stop   func() // and wait
}

func startHouse(t *testing.T, o serialbridge.Options) *house {
	t.Helper()
	h := &house{broker: &broker{last: make(map[string]string)}}
	o.Broker = h.broker
	h.Supervisor = serialbridge.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := within(done); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// within returns what comes from done, or that nothing came.
func within(done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return errors.New("Run does not return")
	}
}

// await waits until something is so.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// An ear hears what the driver of a stick tells the supervisor.
type ear struct {
	protocol *protocol

	mu       sync.Mutex
	device   string         // that counts
	counts   []int64        // in order
	last     map[string]any // reading with a count
	readings int
}

// tee returns a driver that lets the ear hear all readings.
func (e *ear) tee(d serialbridge.Driver) serialbridge.Driver {
	newDecoder, run := d.NewDecoder, d.Run
	d.NewDecoder = func(sink serialbridge.Sink) serialbridge.Decoder { return newDecoder(teeSink{sink, e}) }
	if run != nil {
		d.Run = func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			return run(ctx, port, teeSink{sink, e}, commands)
		}
	}
	return d
}

type teeSink struct {
	serialbridge.Sink
	ear *ear
}

func (s teeSink) Reading(r serialbridge.Reading) {
	s.ear.hear(r)
	s.Sink.Reading(r)
}

func (e *ear) hear(r serialbridge.Reading) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.readings++
	if n, ok := e.protocol.count(r.Values); ok && !strings.Contains(r.Device, "LINTELG") { // not the gas meter
		e.device, e.last = r.Device, r.Values
		e.counts = append(e.counts, n)
	}
}

func (e *ear) heard() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.counts)
}
