package zigbee

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
)

// bucket is a store of one type in memory, that counts. Values go through JSON, as they
// do in package persist.
type bucket[T any] struct {
	mu      sync.Mutex
	values  map[string]string
	puts    int
	deletes int
	fail    error
}

// refuse lets writes fail from now on, or succeed again.
func (b *bucket[T]) refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

// written returns how often something was written.
func (b *bucket[T]) written() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.puts
}

func newBucket[T any]() *bucket[T] { return &bucket[T]{values: make(map[string]string)} }

func (b *bucket[T]) All() iter.Seq2[string, T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	values := make(map[string]T)
	for key, text := range b.values {
		values[key] = decoded[T](text)
	}
	return maps.All(values)
}

func decoded[T any](text string) (v T) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

func (b *bucket[T]) Put(_ context.Context, key string, v T) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	if b.fail != nil {
		return b.fail
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b.values[key] = string(text)
	return nil
}

func (b *bucket[T]) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deletes++
	delete(b.values, key)
	return b.fail
}

func (b *bucket[T]) get(key string) (T, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, ok := b.values[key]
	if !ok {
		var none T
		return none, false
	}
	return decoded[T](text), true
}

// diary is a Handler that remembers.
type diary struct {
	mu       sync.Mutex
	lines    []string
	devices  []Device
	messages []Message
	hold     chan struct{} // if set, Message waits for it
}

func (d *diary) write(line string, device Device) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	d.devices = append(d.devices, device)
}

func (d *diary) Started(Info, Parameters)   { d.write("started", Device{}) }
func (d *diary) Stopped(error)              { d.write("stopped", Device{}) }
func (d *diary) Joined(device Device)       { d.write("joined", device) }
func (d *diary) Announced(device Device)    { d.write("announced", device) }
func (d *diary) Left(device Device)         { d.write("left", device) }
func (d *diary) Changed(device Device)      { d.write("changed", device) }
func (d *diary) Interviewing(device Device) { d.write("interview "+string(device.Interview), device) }
func (d *diary) Available(_ IEEEAddress, a bool) {
	if a {
		d.write("online", Device{})
	} else {
		d.write("offline", Device{})
	}
}

func (d *diary) Message(device Device, m Message) {
	if d.hold != nil {
		<-d.hold
	}
	d.write("message", device)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.messages = append(d.messages, m)
}

func (d *diary) count(line string) (count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lines {
		if l == line {
			count++
		}
	}
	return count
}

// said returns the messages.
func (d *diary) said() []Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.messages)
}

// without returns what is written but the lines named.
func (d *diary) without(lines ...string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.lines), func(l string) bool { return slices.Contains(lines, l) })
}

// world is a network with a stick and all that it remembers.
type world struct {
	*Network
	t       *testing.T
	stick   *stick
	diary   *diary
	store   *bucket[Device]
	memory  *bucket[string]
	options Options
	stop    context.CancelFunc
	all     sync.WaitGroup
	served  chan error
}

// at returns who has a network address; 0: nobody.
func (w *world) at(address NetworkAddress) IEEEAddress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.addresses[address]
}

// newWorld runs a network on a stick; call it in a bubble of synctest.
func newWorld(t *testing.T, change ...func(*world)) *world {
	w := &world{t: t, stick: newStick(), diary: &diary{}, store: newBucket[Device](), memory: newBucket[string](), served: make(chan error, 8)}
	w.options = Options{Store: w.store, Memory: w.memory, Handler: w.diary}
	for _, f := range change {
		f(w)
	}
	w.boot()
	return w
}

// boot begins the program.
func (w *world) boot() {
	w.t.Helper()
	n, err := New(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.Network, w.stop = n, stop
	w.all.Go(func() { n.Run(ctx) })
	if w.stick != nil {
		w.plugIn(ctx, w.stick)
	}
}

func (w *world) plugIn(ctx context.Context, s *stick) {
	n := w.Network
	s.event = n.event
	w.stick = s
	w.all.Go(func() { w.served <- n.Serve(ctx, s) })
}

// end ends the program.
func (w *world) end() {
	w.stop()
	w.all.Wait()
}
