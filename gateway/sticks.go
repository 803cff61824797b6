package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/checks"
	"lintel/gateway/homeassistant"
	"lintel/gateway/mqtt"
	"lintel/persist"
	"lintel/serialbridge"
	"lintel/serialbridge/zigbee/dongle"
)

const (
	stickLook     = 5 * time.Second // between two looks at what the sticks are doing
	stickInterval = time.Minute     // between two states of one, whatever happens to it
	maxKeptSticks = 256             // told to Home Assistant, gone ones too
	maxProblem    = 255             // bytes: a state in Home Assistant has no more
)

// sticks tells Home Assistant of each stick as a device that other devices hang below.
// Whether a stick is there its availability says, which the supervisor publishes. One that
// is gone stays known, over restarts, until a person has it forgotten.
type sticks struct {
	g      *gateway
	client *broker.Client
	bucket *persist.Bucket[homeassistant.Stick]
	forget chan string // IDs

	mu    sync.Mutex
	known map[string]*knownStick // by ID
}

type knownStick struct {
	told      homeassistant.Stick // last, to Home Assistant
	forgotten bool                // while it is away
	state     map[string]any      // last published
	published time.Time           // zero: not since the start
	frames    uint64              // at that time
}

func newSticks(g *gateway, client *broker.Client) (*sticks, error) {
	bucket, err := persist.NewBucket[homeassistant.Stick](g.store, "sticks")
	if err != nil {
		return nil, err
	}
	s := &sticks{g: g, client: client, bucket: bucket, forget: make(chan string, queuedBoxCommand), known: make(map[string]*knownStick)}
	for id, told := range bucket.All() {
		// A port that the configuration names is named by it, or is not there.
		told.Forgettable = true
		s.known[id] = &knownStick{told: told}
		s.announce(told)
	}
	return s, nil
}

func (s *sticks) announce(told homeassistant.Stick) {
	if s.g.publisher != nil {
		s.g.publisher.Device(homeassistant.StickDevice(told))
	}
}

// run looks at the sticks until ctx ends.
func (s *sticks) run(ctx context.Context) error {
	set := s.g.config.Serial.BaseTopic + "/+/set"
	if err := s.client.Subscribe(ctx, set, mqtt.RetainAsPublished|1, s.take); err != nil {
		return fmt.Errorf("subscribe to %s: %w", set, err)
	}
	tick := time.NewTicker(stickLook)
	defer tick.Stop()
	for {
		s.look()
		s.write(ctx)
		if err := s.publish(ctx, false); err != nil && ctx.Err() == nil {
			s.g.log.Warn("state of a stick not published", "err", err)
		}
		select {
		case <-ctx.Done():
			s.look() // what came since the last time
			s.write(context.WithoutCancel(ctx))
			return nil
		case id := <-s.forget:
			if err := s.drop(ctx, id); err != nil {
				s.g.commands.refuse(fmt.Errorf("forget %s: %w", id, err))
			}
		case <-tick.C:
		}
	}
}

// look takes note of sticks that are new or have changed. It may be called from any
// goroutine.
func (s *sticks) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, status := range s.g.bridge.Sticks() {
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
func (s *sticks) describe(status *serialbridge.StickStatus) homeassistant.Stick {
	usb := status.USB
	told := homeassistant.Stick{ID: status.Device, Name: usb.Product, Vendor: usb.Manufacturer, Model: usb.Product,
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
	if status.Protocol == dongle.Protocol && s.g.zigbee != nil && status.State == serialbridge.Online {
		if info, _, running := s.g.zigbee.current().Network().Info(); running {
			told.Firmware = info.Revision
		}
	}
	return told
}

// write writes down what sticks there are.
func (s *sticks) write(ctx context.Context) {
	s.mu.Lock()
	var fresh []homeassistant.Stick
	for id, k := range s.known {
		if kept, ok := s.bucket.Get(id); !k.forgotten && (!ok || kept != k.kept()) {
			fresh = append(fresh, k.kept())
		}
	}
	s.mu.Unlock()
	for _, told := range fresh {
		if err := s.bucket.Put(ctx, told.ID, told); err != nil && ctx.Err() == nil {
			s.g.log.Warn("stick not remembered over a restart", "device", told.ID, "err", err)
		}
	}
}

// kept is what is written down: whether a stick may be forgotten turns out anew.
func (k *knownStick) kept() homeassistant.Stick {
	kept := k.told
	kept.Forgettable = false
	return kept
}

// publish publishes the state of sticks that have something to tell and have not told
// anything for a minute; all of them again, if that is asked.
func (s *sticks) publish(ctx context.Context, again bool) error {
	var errs []error
	for id, payload := range s.due(again) {
		// QoS 0: a figure a minute is not worth a write to the card.
		m := mqtt.Message{Topic: s.topic(id, "state"), Payload: payload, Retain: true}
		if err := s.client.Publish(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("publish %s: %w", m.Topic, err))
		}
	}
	return errors.Join(errs...)
}

func (s *sticks) topic(id, leaf string) string {
	return s.g.config.Serial.BaseTopic + "/" + id + "/" + leaf
}

// due returns the states to publish, by ID.
func (s *sticks) due(again bool) map[string][]byte {
	due := make(map[string][]byte)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := make(map[string]bool)
	for _, status := range s.g.bridge.Sticks() {
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
		state["problem"] = strings.ToValidUTF8(status.Err[:min(len(status.Err), maxProblem)], "")
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

// away are the sticks that were here before this start, and are not.
func (s *sticks) away() []checks.Stick {
	here := make(map[string]bool)
	for _, status := range s.g.bridge.Sticks() {
		here[status.Device] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var away []checks.Stick
	for _, id := range slices.Sorted(maps.Keys(s.known)) {
		if k := s.known[id]; !here[id] && !k.forgotten {
			away = append(away, checks.Stick{ID: id, Device: id, Name: k.told.Name, State: serialbridge.Waiting})
		}
	}
	return away
}

// knows reports whether there is such a stick, or was.
func (s *sticks) knows(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[id]
	return k != nil && !k.forgotten
}

// take takes a message on a topic of commands. Devices have their own: all there is to be
// told to a stick is that it be forgotten.
func (s *sticks) take(m mqtt.Message) {
	id, _, _ := strings.Cut(strings.TrimPrefix(m.Topic, s.g.config.Serial.BaseTopic+"/"), "/")
	if !s.knows(id) {
		return
	}
	var object map[string]any
	var err error
	switch {
	case m.Retain:
		err = errRetained
	case len(m.Payload) > maxBoxCommand || json.Unmarshal(m.Payload, &object) != nil || len(object) != 1 || object["forget"] != true:
		err = errors.New(`a stick takes the command {"forget":true}`)
	default:
		select {
		case s.forget <- id:
		default:
			err = errors.New("too many commands at once")
		}
	}
	if err != nil {
		s.g.commands.refuse(fmt.Errorf("%s: %w", id, err))
	}
}

// drop forgets a stick that is gone and takes back what was published of it.
func (s *sticks) drop(ctx context.Context, id string) error {
	if err := s.g.bridge.Forget(id); err != nil {
		return err
	}
	s.mu.Lock()
	if k := s.known[id]; k != nil {
		k.forgotten, k.published, k.state = true, time.Time{}, nil
	}
	s.mu.Unlock()
	if s.g.publisher != nil {
		s.g.publisher.Gone(id) // before the topics that it speaks of
	}
	err := s.bucket.Delete(ctx, id)
	for _, leaf := range []string{"state", "availability"} {
		err = errors.Join(err, s.client.Publish(ctx, mqtt.Message{Topic: s.topic(id, leaf), QoS: 1, Retain: true}))
	}
	return err
}
