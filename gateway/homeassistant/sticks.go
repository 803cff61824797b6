package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
	"lintel/serialbridge"
)

const (
	stickLook     = 5 * time.Second // between two looks at what the sticks are doing
	stickInterval = time.Minute     // between two states of one, whatever happens to it
	maxKeptSticks = 256             // told to Home Assistant, gone ones too
	maxForget     = 1 << 10         // bytes of a command
	queuedForgets = 8
)

// SticksOptions are the options of [NewSticks].
type SticksOptions struct {
	Broker    serialbridge.Broker
	BaseTopic string                 // empty is "lintel"
	Memory    *persist.Bucket[Stick] // those that are known, by ID
	Publisher *Publisher             // nil: Home Assistant has no documents

	// Plugged are the sticks that are here. Forget has one forgotten that is gone, or says why not.
	Plugged func() []serialbridge.StickStatus
	Forget  func(id string) error
	// Firmware says what runs on a stick; empty: it is not known.
	Firmware func(*serialbridge.StickStatus) string

	Refused func(error)  // is told of commands that were not done, and why
	Logger  *slog.Logger // nil: silent
}

// Sticks tells Home Assistant of each stick as a device that other devices hang below.
// Whether a stick is there its availability says, which the supervisor publishes. One that
// is gone stays known, over restarts, until a person has it forgotten.
type Sticks struct {
	o      SticksOptions
	log    *slog.Logger
	forget chan string // IDs

	mu    sync.Mutex
	known map[string]*knownStick // by ID
}

type knownStick struct {
	told      Stick          // last, to Home Assistant
	forgotten bool           // while it is away
	state     map[string]any // last published
	published time.Time      // zero: not since the start
	frames    uint64         // at that time
}

// NewSticks returns the sticks as they were known.
func NewSticks(o SticksOptions) *Sticks {
	s := &Sticks{o: o, log: o.Logger, forget: make(chan string, queuedForgets), known: make(map[string]*knownStick)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for id, told := range o.Memory.All() {
		// A port that the configuration names is named by it, or is not there.
		told.Forgettable = true
		s.known[id] = &knownStick{told: told}
		s.announce(told)
	}
	return s
}

func (s *Sticks) announce(told Stick) {
	if s.o.Publisher != nil {
		s.o.Publisher.Device(stickDevice(told))
	}
}

// Run looks at the sticks until ctx ends.
func (s *Sticks) Run(ctx context.Context) error {
	set := s.topic("+", "set")
	if err := s.o.Broker.Subscribe(ctx, set, mqtt.RetainAsPublished|1, s.take); err != nil {
		return fmt.Errorf("subscribe to %s: %w", set, err)
	}
	tick := time.NewTicker(stickLook)
	defer tick.Stop()
	for {
		s.Look()
		s.write(ctx)
		if err := s.publish(ctx, false); err != nil && ctx.Err() == nil {
			s.log.Warn("state of a stick not published", "err", err)
		}
		select {
		case <-ctx.Done():
			s.Look() // what came since the last time
			s.write(context.WithoutCancel(ctx))
			return nil
		case id := <-s.forget:
			if err := s.Drop(ctx, id); err != nil {
				s.o.Refused(fmt.Errorf("forget %s: %w", id, err))
			}
		case <-tick.C:
		}
	}
}

// Look takes note of sticks that are new or have changed. It may be called from any
// goroutine.
func (s *Sticks) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, status := range s.o.Plugged() {
		k := s.known[status.Device]
		// What is listened to may turn out to be nothing for the house; what a device was
		// heard on is something, even if it was pulled out meanwhile.
		fresh := (status.State == serialbridge.Waiting || status.State == serialbridge.Listening) && len(status.Devices) == 0
		if fresh && (k == nil || k.forgotten) {
			continue
		}
		if k == nil {
			if len(s.known) >= maxKeptSticks {
				continue
			}
			k = &knownStick{}
			s.known[status.Device] = k
		}
		told := s.describe(&status)
		if told.Firmware == "" {
			told.Firmware = k.told.Firmware
		}
		if told == k.told && !k.forgotten {
			continue
		}
		k.told, k.forgotten = told, false
		s.announce(told)
	}
}

// describe says what Home Assistant is to know of a stick.
func (s *Sticks) describe(status *serialbridge.StickStatus) Stick {
	usb := status.USB
	told := Stick{ID: status.Device, Name: usb.Product, Vendor: usb.Manufacturer, Model: usb.Product,
		Forgettable: usb.VendorID != ""}
	if usb.VendorID != "" && !status.BySocket {
		told.SerialNumber = usb.Serial
	}
	switch {
	case told.Name != "":
	case status.Simulated:
		told.Name = "Simulated stick " + status.Protocol
	case usb.VendorID != "":
		told.Name = "USB stick " + usb.VendorID + ":" + usb.ProductID
	default:
		told.Name = "Port " + status.ID
	}
	told.Firmware = s.o.Firmware(status)
	return told
}

// write writes down what sticks there are.
func (s *Sticks) write(ctx context.Context) {
	s.mu.Lock()
	var fresh []Stick
	for id, k := range s.known {
		if kept, ok := s.o.Memory.Get(id); !k.forgotten && (!ok || kept != k.kept()) {
			fresh = append(fresh, k.kept())
		}
	}
	s.mu.Unlock()
	for _, told := range fresh {
		if err := s.o.Memory.Put(ctx, told.ID, told); err != nil && ctx.Err() == nil {
			s.log.Warn("stick not remembered over a restart", "device", told.ID, "err", err)
		}
	}
}

// kept is what is written down: whether a stick may be forgotten turns out anew.
func (k *knownStick) kept() Stick {
	kept := k.told
	kept.Forgettable = false
	return kept
}

// Republish publishes the states of all sticks again. It may be called from any goroutine.
func (s *Sticks) Republish(ctx context.Context) error { return s.publish(ctx, true) }

// publish publishes the state of sticks that have something to tell and have not told
// anything for a minute; all of them again, if that is asked.
func (s *Sticks) publish(ctx context.Context, again bool) error {
	var errs []error
	for id, payload := range s.due(again) {
		// QoS 0: a figure a minute is not worth a write to the card.
		m := mqtt.Message{Topic: s.topic(id, "state"), Payload: payload, Retain: true}
		if err := s.o.Broker.Publish(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("publish %s: %w", m.Topic, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Sticks) topic(id, leaf string) string {
	return Options{BaseTopic: s.o.BaseTopic}.topic(id, leaf)
}

// due returns the states to publish, by ID.
func (s *Sticks) due(again bool) map[string][]byte {
	due := make(map[string][]byte)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[string]bool)
	for _, status := range s.o.Plugged() {
		seen[status.Device] = true
		if k := s.known[status.Device]; k != nil && !k.forgotten {
			if payload := k.due(stickState(&status), status.Frames, now, again); payload != nil {
				due[status.Device] = payload
			}
		}
	}
	for id, k := range s.known { // those that were there before this start
		if !seen[id] && !k.forgotten {
			gone := map[string]any{"state": serialbridge.Waiting, "problem": "it is not plugged in"}
			if payload := k.due(gone, k.frames, now, again); payload != nil {
				due[id] = payload
			}
		}
	}
	return due
}

func stickState(status *serialbridge.StickStatus) map[string]any {
	var damaged uint64
	for _, n := range status.Damaged {
		damaged += n
	}
	state := map[string]any{"state": status.State, "problem": "none", "damaged": damaged, "devices": len(status.Devices)}
	if status.Err != "" {
		state["problem"] = said(status.Err)
	}
	if status.Protocol != "" {
		state["protocol"] = status.Protocol
	}
	return state
}

// due returns the state to publish, nil if it is not time or there is nothing new.
func (k *knownStick) due(state map[string]any, frames uint64, now time.Time, again bool) []byte {
	since := now.Sub(k.published)
	if !k.published.IsZero() && since < stickInterval && !again {
		return nil
	}
	if k.published.IsZero() || since < stickInterval {
		if perMinute, known := k.state["frames_per_minute"]; known {
			state["frames_per_minute"] = perMinute
		}
	} else {
		state["frames_per_minute"] = int(math.Round(float64(frames-k.frames) / since.Minutes()))
	}
	if maps.Equal(state, k.state) && !again {
		return nil
	}
	payload, err := json.Marshal(state)
	if err != nil {
		return nil // texts and numbers alone
	}
	if !again || k.published.IsZero() {
		k.published, k.frames = now, frames
	}
	k.state = state
	return payload
}

// Away are the sticks that were here before this start, and are not.
func (s *Sticks) Away() []Stick {
	here := make(map[string]bool)
	for _, status := range s.o.Plugged() {
		here[status.Device] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var away []Stick
	for _, id := range slices.Sorted(maps.Keys(s.known)) {
		if k := s.known[id]; !here[id] && !k.forgotten {
			away = append(away, k.told)
		}
	}
	return away
}

// Knows reports whether there is such a stick, or was.
func (s *Sticks) Knows(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[id]
	return k != nil && !k.forgotten
}

// take takes a message on a topic of commands. Devices have their own: all there is to be
// told to a stick is that it be forgotten.
func (s *Sticks) take(m mqtt.Message) {
	levels := strings.Split(m.Topic, "/")
	id := levels[len(levels)-2] // before "set"
	if !s.Knows(id) {
		return
	}
	var object map[string]any
	var err error
	switch {
	case m.Retain:
		err = errRetained
	case len(m.Payload) > maxForget || json.Unmarshal(m.Payload, &object) != nil || len(object) != 1 || object["forget"] != true:
		err = errors.New(`a stick takes the command {"forget":true}`)
	default:
		select {
		case s.forget <- id:
		default:
			err = errors.New("too many commands at once")
		}
	}
	if err != nil {
		s.o.Refused(fmt.Errorf("%s: %w", id, err))
	}
}

// Drop forgets a stick that is gone and takes back what was published of it.
func (s *Sticks) Drop(ctx context.Context, id string) error {
	if err := s.o.Forget(id); err != nil {
		return err
	}
	s.mu.Lock()
	if k := s.known[id]; k != nil {
		k.forgotten, k.published, k.state = true, time.Time{}, nil
	}
	s.mu.Unlock()
	if s.o.Publisher != nil {
		s.o.Publisher.Gone(id) // before the topics that it speaks of
	}
	err := s.o.Memory.Delete(ctx, id)
	for _, leaf := range []string{"state", "availability"} {
		err = errors.Join(err, s.o.Broker.Publish(ctx, mqtt.Message{Topic: s.topic(id, leaf), QoS: 1, Retain: true}))
	}
	return err
}
