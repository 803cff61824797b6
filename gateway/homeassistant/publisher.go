package homeassistant

import (
	"cmp"
	"context"
	"errors"
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

	wake chan struct{} // something below mu changed

	remembered map[string]map[string]string // what Memory holds; NewPublisher and Run

	mu      sync.Mutex
	pages   string                       // the ConfigurationURL of the box
	before  map[string]map[string]string // what Memory held at the start, of devices not seen since
	entries map[string]*entry
	born    bool // Home Assistant said online and was not answered yet

	found      []foundDocument // that Run has not looked at
	unreadable []foundDocument
}

// entry is a device and what Home Assistant was told about it.
type entry struct {
	device     serialbridge.Device
	due        time.Time         // when to publish; zero: nothing to do
	changed    bool              // since it was last published
	withdrawn  bool              // the device is gone
	components map[string]string // key → platform, as published last
	gone       map[string]string // removed by that; the re-send repeats it

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
	e.change()
	p.signal()
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
// not block.
func (p *Publisher) Gone(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[id]; e != nil {
		e.withdrawn, e.due = true, time.Now()
		p.signal()
	}
}

// withdraw takes the document of e back, which removes the device with all its
// entities. Only Run calls it.
func (p *Publisher) withdraw(ctx context.Context, e *entry) {
	id := e.device.ID // it does not change
	err := p.o.Broker.Publish(ctx, mqtt.Message{Topic: Topic(p.o.Box, id, p.o.Options), QoS: 1, Retain: true})
	if err == nil && p.o.Memory != nil {
		if err = p.o.Memory.Delete(ctx, id); err == nil {
			delete(p.remembered, id)
		}
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("device not taken back from home assistant", "device", id, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !e.withdrawn: // it came back
	case err != nil:
		e.due = time.Now().Add(retry)
	default:
		delete(p.entries, id)
	}
}

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
	sure := time.NewTimer(settle)
	defer sure.Stop()

	var birth time.Time // when to answer; zero: not asked
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
		case <-sure.C:
			p.mend(ctx)
		}
		now := time.Now()
		p.takeFound()
		if p.takeBirth() && birth.IsZero() {
			birth = now.Add(birthDelay + rand.N(birthDelay))
		}
		all := !birth.IsZero() && !now.Before(birth)
		for _, e := range p.dueEntries(now, all) {
			p.publish(ctx, e)
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
		if next := p.next(birth); !next.IsZero() {
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

// rank says how far below the box a device hangs at least: Home Assistant is to know of
// that which others hang below before it hears of them.
func rank(d *serialbridge.Device) int {
	switch {
	case d.ID == GatewayID:
		return 0
	case isStick(d):
		return 1
	case d.Via == "" || d.Via == GatewayID:
		return 2
	}
	return 3
}

// dueEntries returns the entries to publish now, those first that others hang below.
func (p *Publisher) dueEntries(now time.Time, all bool) []*entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []*entry
	for _, e := range p.entries {
		if all || !e.due.IsZero() && !now.Before(e.due) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *entry) int {
		return cmp.Or(rank(&a.device)-rank(&b.device), strings.Compare(a.device.ID, b.device.ID))
	})
	return due
}

// next returns when there is something to do; zero is never.
func (p *Publisher) next(birth time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := birth
	for _, e := range p.entries {
		if !e.due.IsZero() && (next.IsZero() || e.due.Before(next)) {
			next = e.due
		}
	}
	return next
}

// publish sends the document of e and plans what follows. Only Run calls it.
func (p *Publisher) publish(ctx context.Context, e *entry) {
	p.mu.Lock()
	if e.withdrawn {
		p.mu.Unlock()
		p.withdraw(ctx, e)
		return
	}
	device, changed, box := e.device, e.changed, p.o.Box
	box.ConfigurationURL = p.pages
	e.changed = false
	e.due = time.Time{}
	parent := above(device)
	_, hangs := p.entries[parent]
	p.mu.Unlock()

	doc, err := newDocument(box, device, p.o.Options)
	if err != nil {
		// The driver has to be mended; another try would not help.
		p.log.Error("device not announced to home assistant", "device", device.ID, "err", err)
		return
	}
	if !hangs && device.ID != GatewayID {
		// Home Assistant must know the device that another one hangs below.
		doc.Device.ViaDevice = identifier(p.o.Box, GatewayID)
	}
	settled := !time.Now().Before(e.settled)
	changed = changed || settled && len(e.missing) > 0
	gone := e.gone
	if changed {
		gone = make(map[string]string)
	}
	components := make(map[string]string, len(doc.Components))
	for key, c := range doc.Components {
		components[key] = c.platform()
	}
	missing := make(map[string]string)
	again := false
	if changed {
		told := maps.Clone(e.components)
		if told == nil {
			told = make(map[string]string)
		}
		for key, platform := range e.missing {
			if _, ok := components[key]; ok || settled {
				told[key] = platform
			} else {
				missing[key] = platform
			}
		}
		// A component that is left out stays in Home Assistant: it must
		// be sent with its platform alone once. One that moved to another
		// platform goes first and comes back with the next version.
		for key, platform := range told {
			if now, ok := components[key]; now != platform {
				gone[key] = platform
				delete(components, key)
				again = again || ok
			}
		}
	} else {
		missing = e.missing
	}
	for key, platform := range gone {
		doc.Components[key] = component{"p": platform}
	}
	if len(doc.Components) == 0 {
		return // a port that is lent or bridged: nothing to show
	}
	payload, err := doc.marshal()
	if err == nil {
		// Home Assistant may know of all that from now on.
		p.remember(ctx, device.ID, components, gone, missing)
		err = p.o.Broker.Publish(ctx, mqtt.Message{
			Topic:   Topic(p.o.Box, device.ID, p.o.Options),
			Payload: payload,
			QoS:     1,
			Retain:  true,
		})
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn("discovery document not taken", "device", device.ID, "err", err)
	}
	if err == nil && !changed {
		p.remember(ctx, device.ID, components, missing)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	plan := func(d time.Duration) {
		if !e.changed { // a newer change has its own time
			e.due = now.Add(d)
		}
	}
	switch {
	case err != nil:
		plan(retry)
		e.changed = e.changed || changed
		return
	case again:
		e.components, e.gone = components, nil
		plan(debounce)
		e.changed = true
	case changed:
		e.components, e.gone = components, maps.Clone(gone)
		plan(resend)
	default:
		e.gone = nil
		if len(missing) > 0 {
			plan(e.settled.Sub(now))
		}
	}
	e.missing = missing
}

// remember writes down what Home Assistant may know of a device, if that is new.
func (p *Publisher) remember(ctx context.Context, device string, parts ...map[string]string) {
	if p.o.Memory == nil {
		return
	}
	all := make(map[string]string)
	for _, part := range parts {
		maps.Copy(all, part)
	}
	known, ok := p.remembered[device]
	if ok && maps.Equal(known, all) {
		return
	}
	err := errors.New("too many devices")
	if ok || len(p.remembered) < maxRemembered {
		err = p.o.Memory.Put(ctx, device, all)
	}
	if err == nil {
		p.remembered[device] = all
	} else if ctx.Err() == nil {
		p.log.Warn("components not remembered over a restart", "device", device, "err", err)
	}
}
