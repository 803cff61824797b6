package serialbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"lintel/gateway/mqtt"
	"lintel/hardware"
)

// recorder is a broker that remembers everything.
type recorder struct {
	mu       sync.Mutex
	changed  *sync.Cond
	messages []mqtt.Message
	handle   map[string]func(mqtt.Message)
	held     bool  // Publish waits
	waiting  int   // in Publish
	refuse   error // what Publish says
}

func newRecorder() *recorder {
	r := &recorder{handle: make(map[string]func(mqtt.Message))}
	r.changed = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) Publish(ctx context.Context, m mqtt.Message) error {
	defer context.AfterFunc(ctx, func() { r.set(func() {}) })()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting++
	r.changed.Broadcast()
	for r.held && ctx.Err() == nil {
		r.changed.Wait()
	}
	r.waiting--
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.refuse != nil {
		return r.refuse
	}
	r.messages = append(r.messages, m)
	r.changed.Broadcast()
	return nil
}

func (r *recorder) Subscribe(_ context.Context, filter string, _ mqtt.SubscriptionOptions, handle func(mqtt.Message)) error {
	r.set(func() { r.handle[filter] = handle })
	return nil
}

func (r *recorder) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.changed.Broadcast()
}

// await waits until ok of all that was published so far.
func (r *recorder) await(t *testing.T, what string, ok func(ms []mqtt.Message) bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(soon, func() { r.set(func() { late = true }) })
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok(r.messages) {
		if late {
			var all strings.Builder
			for _, m := range r.messages[max(0, len(r.messages)-30):] {
				fmt.Fprintf(&all, "%s %s\n", m.Topic, m.Payload)
			}
			r.mu.Unlock()
			t.Errorf("waited in vain for %s; the last of %d messages:\n%s", what, len(r.messages), all.String())
			r.mu.Lock()
			t.FailNow()
		}
		r.changed.Wait()
	}
}

// last is the last payload on a topic, or "".
func last(ms []mqtt.Message, topic string) string {
	for i := len(ms) - 1; i >= 0; i-- {
		if ms[i].Topic == topic {
			return string(ms[i].Payload)
		}
	}
	return ""
}

func (r *recorder) awaitLast(t *testing.T, topic, payload string) {
	t.Helper()
	r.await(t, topic+" "+payload, func(ms []mqtt.Message) bool { return last(ms, topic) == payload })
}

func (r *recorder) all(topic string) []mqtt.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ms []mqtt.Message
	for _, m := range r.messages {
		if m.Topic == topic {
			ms = append(ms, m)
		}
	}
	return ms
}

// send is a command as the broker would pass it on.
func (r *recorder) send(topic, payload string, retain bool) {
	filter := "lintel/+/set"
	if !strings.HasSuffix(topic, "/set") {
		filter = "lintel/+/set/+"
	}
	r.mu.Lock()
	handle := r.handle[filter]
	r.mu.Unlock()
	handle(mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: retain})
}

// linesDecoder speaks a protocol of lines: "tag device key=value key=value .".
type linesDecoder struct {
	tag  string
	sink Sink
	buf  []byte
	seen map[string]bool
}

var lineProperties = []Property{
	{Key: "temperature", Kind: Measurement, Unit: "°C"},
	{Key: "humidity", Kind: Measurement},
	{Key: "open", Kind: Binary},
	{Key: "note", Kind: State},
	{Key: "button", Kind: Event, Options: []string{"single", "double"}},
	{Key: "relay", Kind: Switch},
	{Key: "level", Kind: Setting, Min: 0, Max: 100},
	{Key: "mode", Kind: Choice, Options: []string{"eco", "party"}},
	{Key: "restart", Kind: Button},
	{Key: "energy", Kind: Measurement, Unit: "kWh", Class: "energy", StateClass: "total_increasing"},
	{Key: "clock", Kind: State, Class: "timestamp"},
	{Key: "bytes", Kind: Raw},
}

func (d *linesDecoder) Decode(data []byte, received time.Time) {
	d.buf = append(d.buf, data...)
	for {
		line, rest, ok := bytes.Cut(d.buf, []byte("\n"))
		if !ok {
			return
		}
		d.buf = rest
		d.line(strings.TrimSpace(string(line)), received)
	}
}

func (d *linesDecoder) line(line string, received time.Time) {
	word := strings.Fields(line)
	if line == "boom" {
		panic("boom")
	}
	if len(word) < 3 || word[0] != d.tag || word[len(word)-1] != "." {
		d.sink.Damaged("syntax")
		return
	}
	r := Reading{Device: word[1], Time: received, Values: make(map[string]any)}
	for _, pair := range word[2 : len(word)-1] {
		key, value, _ := strings.Cut(pair, "=")
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			r.Values[key] = f
		} else if b, err := strconv.ParseBool(value); err == nil {
			r.Values[key] = b
		} else {
			r.Values[key] = value
		}
	}
	if !d.seen[r.Device] {
		d.seen[r.Device] = true
		d.sink.Device(Device{ID: r.Device, Name: "Device " + r.Device, Properties: lineProperties})
	}
	d.sink.Reading(r)
}

// linesDriver is a driver of a stick that only talks.
func linesDriver(tag string) Driver {
	return Driver{
		Protocol:   tag,
		Match:      func(p hardware.SerialPort) Confidence { return Possible },
		Lines:      []Line{line8N1},
		NewDecoder: func(sink Sink) Decoder { return &linesDecoder{tag: tag, sink: sink, seen: make(map[string]bool)} },
	}
}

// socket is a place to plug sticks into: a link that leads to a pty or nowhere.
type socket struct {
	t    *testing.T
	path string
	far  *os.File // the device's end
}

func newSocket(t *testing.T) *socket {
	so := &socket{t: t, path: filepath.Join(t.TempDir(), "stick")}
	t.Cleanup(func() {
		if so.far != nil {
			so.unplug()
		}
	})
	return so
}

func (so *socket) plug() {
	so.t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		so.t.Fatal(err)
	}
	so.far = far
	near.Close()
	if err := os.Symlink(near.Name(), so.path); err != nil {
		so.t.Fatal(err)
	}
}

func (so *socket) unplug() {
	so.t.Helper()
	if err := os.Remove(so.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		so.t.Fatal(err)
	}
	so.far.Close()
	so.far = nil
}

func (so *socket) say(lines ...string) {
	so.t.Helper()
	if _, err := so.far.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		so.t.Fatal(err)
	}
}

// plugged returns the sink of a stick, for a test that speaks in the place of its driver.
func plugged(t *testing.T, s *Supervisor, id string) *sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &sink{st: s.remember(t.Context(), id)}
	k.st.current, k.st.commands = k, make(chan Command, 2)
	return k
}

// house is a supervisor that runs for a test.
type house struct {
	*Supervisor
	t      *testing.T
	broker *recorder
	stop   func() // and wait
}

// quick is the timing for tests that wait for what happens.
func quick() timing {
	t := defaultTiming()
	t.retryMin, t.retryMax = 5*time.Millisecond, 50*time.Millisecond
	t.existMin, t.existMax = 5*time.Millisecond, 10*time.Millisecond
	t.look = 10 * time.Millisecond
	return t
}

func startHouse(t *testing.T, o Options, tm timing) *house {
	t.Helper()
	h := &house{t: t, broker: newRecorder()}
	o.Broker = h.broker
	if o.Root == "" {
		o.Root = t.TempDir() // not this machine's USB
	}
	if o.Interval == 0 {
		o.Interval = -1 // each reading tells
	}
	h.Supervisor = New(o)
	h.Supervisor.t = tm
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := receive(t, done, "Run to end"); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// status waits until the status of the stick is as ok wants it.
func (h *house) status(id, what string, ok func(StickStatus) bool) StickStatus {
	h.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(soon)
	for {
		sticks := h.Sticks()
		for _, st := range sticks {
			if st.ID == id && ok(st) {
				return st
			}
		}
		select {
		case <-tick.C:
		case <-late:
			h.t.Fatalf("waited in vain for %s to be %s: %+v", id, what, sticks)
		}
	}
}

func inState(want StickState) func(StickStatus) bool {
	return func(st StickStatus) bool { return st.State == want }
}
