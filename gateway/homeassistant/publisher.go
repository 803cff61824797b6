package homeassistant

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

const (
	// debounce is the least time between two versions of a document. Home
	// Assistant loses components of two versions that come back to back.
	debounce = time.Second
	// resend is when a changed document is sent once more, which cures
	// what the debounce did not prevent.
	resend = 10 * time.Second
	// retry is when a document is tried again that the broker did not take.
	retry = 5 * time.Second
	// birthDelay, and up to as much again, passes between Home Assistant's
	// birth message and the answer, so that not all gateways of a house
	// answer at once.
	birthDelay = 500 * time.Millisecond

	// settle is how long after a start a component is waited for that Home
	// Assistant was told of before it. A device may come to know of its
	// properties one by one.
	settle = 10 * time.Minute

	maxDevices    = 1000
	maxRemembered = 2 * maxDevices // some are gone for good
)

// Memory keeps what Home Assistant was told, over a restart: by device, the
// platform of each component. It is a *persist.Bucket.
type Memory interface {
	All() iter.Seq2[string, map[string]string]
	Put(ctx context.Context, device string, components map[string]string) error
	Delete(ctx context.Context, device string) error
}

// PublisherOptions are the options of [NewPublisher].
type PublisherOptions struct {
	Broker serialbridge.Broker
	Box    Box
	Options

	// Republish sends availability and state of everything again. It is
	// called when Home Assistant has started, after the documents. It may
	// be nil.
	Republish func(ctx context.Context) error

	// Memory may be nil: then a component that vanishes over a restart stays
	// in Home Assistant.
	Memory Memory

	Logger *slog.Logger // nil: silent
}

// Publisher keeps the discovery documents of all devices at the broker.
type Publisher struct {
	o   PublisherOptions
	log *slog.Logger

	wake  chan struct{} // something below mu changed
	ready chan struct{} // closed when the first documents were sent
	first sync.Once     // closes it

	remembered map[string]map[string]string // what Memory holds; NewPublisher and Run

	mu      sync.Mutex
	pages   string                       // the ConfigurationURL of the box
	before  map[string]map[string]string // what Memory held at the start, of devices not seen since
	held    map[string]held              // what the broker has, by device
	entries map[string]*entry
	born    bool            // Home Assistant said online and was not answered yet
	found   []foundDocument // that Run has not looked at
}

// entry is a device and what Home Assistant was told about it.
type entry struct {
	device     serialbridge.Device
	due        time.Time         // when to publish; zero: nothing to do
	sent       time.Time         // when it was last published
	changed    bool              // since it was last published
	withdrawn  bool              // the device is gone
	withdrew   chan struct{}     // closed when it is taken back or has come back; nil: nobody waits
	components map[string]string // key → platform, as published last
	gone       map[string]string // removed by that; the re-send repeats it
	refused    []string          // keys that Home Assistant would not take

	missing map[string]string // told before the start, and not seen since
	settled time.Time         // when to remove those
}

// NewPublisher returns a publisher that knows the box itself and publishes
// nothing until Run.
func NewPublisher(o PublisherOptions) *Publisher {
	p := &Publisher{
		o:       o,
		log:     o.Logger,
		wake:    make(chan struct{}, 1),
		ready:   make(chan struct{}),
		held:    make(map[string]held),
		entries: make(map[string]*entry),
		pages:   o.Box.ConfigurationURL,
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if o.Memory != nil {
		p.remembered = maps.Collect(o.Memory.All())
		p.before = maps.Clone(p.remembered)
	}
	for id, components := range p.remembered {
		if len(components) == 0 { // the program ended while it was being taken back
			p.entries[id] = &entry{device: serialbridge.Device{ID: id}, withdrawn: true, due: time.Now().Add(debounce)}
			delete(p.before, id)
		}
	}
	p.Device(BoxDevice(o.Box))
	return p
}

// Device takes note of a device that is new or has changed. It is safe from any
// goroutine and does not block.
func (p *Publisher) Device(d serialbridge.Device) {
	d.Properties = slices.Clone(d.Properties)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[d.ID]
	if e == nil {
		if len(p.entries) >= maxDevices {
			p.log.Warn("too many devices, not announced", "device", d.ID)
			return
		}
		e = &entry{missing: maps.Clone(p.before[d.ID]), settled: time.Now().Add(settle)}
		delete(p.before, d.ID)
		p.entries[d.ID] = e
		for _, below := range p.entries { // it hung below the box for want of this one
			if below != e && !below.changed && below.device.ID != GatewayID && above(below.device) == d.ID {
				below.changed, below.due = true, time.Now().Add(debounce)
			}
		}
	} else if reflect.DeepEqual(e.device, d) && !e.withdrawn {
		return
	}
	e.device, e.withdrawn = d, false
	e.settle()
	e.change()
	p.signal()
}

// settle lets go who waits for the withdrawal; p.mu is held.
func (e *entry) settle() {
	if e.withdrew != nil {
		close(e.withdrew)
		e.withdrew = nil
	}
}

// change has the document of the device published soon; p.mu is held.
func (e *entry) change() {
	// A change that waits already keeps its time, so that a device that
	// changes all the time is published nevertheless.
	if !e.changed {
		e.changed = true
		e.due = time.Now().Add(debounce)
	}
}

// SetConfigurationURL says where the box's pages are now, with a scheme. It is safe
// from any goroutine and does not block.
func (p *Publisher) SetConfigurationURL(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pages == url {
		return
	}
	p.pages = url
	if e := p.entries[GatewayID]; e != nil && !e.withdrawn {
		e.change()
		p.signal()
	}
}

// Gone takes a device out of Home Assistant. It is safe from any goroutine and does
// not block. What it returns is closed when that is done, or is not to be done any
// more: then is the time to clear what else is retained of the device. It is nil if
// there is nothing to wait for.
func (p *Publisher) Gone(id string) (done <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[id]
	if e == nil {
		return nil
	}
	e.withdrawn, e.due = true, time.Now()
	if e.withdrew == nil {
		e.withdrew = make(chan struct{})
	}
	p.signal()
	return e.withdrew
}

// Refused returns the properties that are left out because Home Assistant would not take
// them, as DEVICE: KEY.
func (p *Publisher) Refused() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, id := range slices.Sorted(maps.Keys(p.entries)) {
		if e := p.entries[id]; !e.withdrawn {
			for _, key := range e.refused {
				all = append(all, cmp.Or(e.device.Name, id)+": "+key)
			}
		}
	}
	return all
}

// Ready is closed when the first documents were sent. What is said to be online after
// that is not shown with the state of an earlier time.
func (p *Publisher) Ready() <-chan struct{} { return p.ready }

func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run publishes documents when devices change and when Home Assistant starts,
// until ctx ends; it then returns nil. It fails if the broker does not let it
// subscribe.
func (p *Publisher) Run(ctx context.Context) error {
	status := p.o.prefix() + "/status"
	err := p.o.Broker.Subscribe(ctx, status, 0, func(m mqtt.Message) {
		if string(m.Payload) == "online" {
			p.mu.Lock()
			p.born = true
			p.mu.Unlock()
			p.signal()
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", status, err)
	}
	documents := p.o.prefix() + "/device/+/config"
	if err := p.o.Broker.Subscribe(ctx, documents, mqtt.NoLocal, p.find); err != nil {
		return fmt.Errorf("subscribe to %s: %w", documents, err)
	}

	var birth time.Time // when to answer; zero: not asked
	orphans := time.Now().Add(settle)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
		}
		now := time.Now()
		p.takeFound()
		if p.takeBirth() && birth.IsZero() {
			birth = now.Add(birthDelay + rand.N(birthDelay))
		}
		all := !birth.IsZero() && !now.Before(birth)
		due := p.dueEntries(now, all)
		for _, e := range due {
			p.publish(ctx, e)
		}
		if len(due) > 0 {
			p.first.Do(func() { close(p.ready) })
		}
		if !orphans.IsZero() && !now.Before(orphans) {
			orphans = p.orphans(ctx)
		}
		if all {
			birth = time.Time{}
			p.log.Info("home assistant started, documents sent")
			if p.o.Republish != nil {
				if err := p.o.Republish(ctx); err != nil && ctx.Err() == nil {
					p.log.Warn("states not sent again", "err", err)
				}
			}
		}
		if next := p.next(birth, orphans); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

func (p *Publisher) takeBirth() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	born := p.born
	p.born = false
	return born
}

// dueEntries returns the entries to publish now, what others hang below before those.
func (p *Publisher) dueEntries(now time.Time, all bool) []*entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []*entry
	for _, e := range p.entries {
		if all && e.due.IsZero() && now.Sub(e.sent) < debounce {
			e.due = e.sent.Add(debounce) // Home Assistant may still be busy with it
		}
		if e.due.IsZero() && all || !e.due.IsZero() && (!now.Before(e.due) || all && now.Sub(e.sent) >= debounce) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(p.depth(a), p.depth(b)), strings.Compare(a.device.ID, b.device.ID))
	})
	return due
}

// depth is how many devices are above an entry.
func (p *Publisher) depth(e *entry) int {
	const deepest = 8 // whatever hangs below itself
	n := 0
	for ; n < deepest && e != nil && e.device.ID != GatewayID; n++ {
		e = p.entries[above(e.device)]
	}
	return n
}

// next returns when there is something to do; zero is never.
func (p *Publisher) next(times ...time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	var next time.Time
	for _, e := range p.entries {
		times = append(times, e.due)
	}
	for _, t := range times {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}
