package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

const (
	boxInterval = time.Minute      // between two states of the box at most
	boxLook     = 10 * time.Second // between two looks at whether something is worth telling
	boxLeast    = time.Second      // between two states, whatever happens
	goodbye     = 2 * time.Second  // to say offline in
	boxPatience = 15 * time.Second // for Options.Ready
)

// BoxStateOptions are the options of [NewBoxState].
type BoxStateOptions struct {
	Broker    serialbridge.Broker
	BaseTopic string // empty is "lintel"

	// Values returns the state of the box by the keys of [BoxDevice]. What
	// is not known is left out. It may be called from several goroutines.
	Values func() map[string]any

	// Live are keys of numbers that are told as they change, every ten seconds at
	// most, in messages that are not retained: such as count down.
	Live []string

	// Ready returns what is closed when everything else is as it is now. Until then,
	// a little while at most, the box is offline: a state from before the start is
	// not to be shown as if it were of now. nil: it is so from the start.
	Ready func() <-chan struct{}

	Logger *slog.Logger // nil: silent
}

// BoxState publishes availability and state of the box.
type BoxState struct {
	o                   BoxStateOptions
	availability, state string
	log                 *slog.Logger
	changed             chan struct{}

	mu   sync.Mutex
	told map[string]any // last published
	full time.Time      // when it was last retained
}

// NewBoxState returns a BoxState that publishes nothing until Run.
func NewBoxState(o BoxStateOptions) *BoxState {
	topics := Options{BaseTopic: o.BaseTopic}
	s := &BoxState{
		o:            o,
		availability: topics.topic(GatewayID, "availability"),
		state:        topics.topic(GatewayID, "state"),
		log:          o.Logger,
		changed:      make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Run says online, publishes the state every minute, and sooner when something but a
// number changes, until ctx ends; then it says offline and returns nil.
func (s *BoxState) Run(ctx context.Context) error {
	look := time.NewTimer(boxLook)
	defer look.Stop()
	s.await(ctx)
	err := s.Republish(ctx)
	for {
		if err != nil && ctx.Err() == nil {
			s.log.Warn("state of the box not published", "err", err)
		}
		asked := false
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			defer cancel()
			if err := s.publish(ctx, s.availability, 1, true, []byte("offline")); err != nil {
				s.log.Warn("could not say offline", "err", err)
			}
			return nil
		case <-s.changed:
			asked = true // what comes in a burst is told once
			wait := time.NewTimer(boxLeast)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
			}
			select {
			case <-s.changed:
			default:
			}
		case <-look.C:
		}
		err = s.look(ctx, asked)
		look.Reset(boxLook)
	}
}

// await says offline, as nobody could when the power failed, until Ready.
func (s *BoxState) await(ctx context.Context) {
	var ready <-chan struct{}
	if s.o.Ready != nil {
		ready = s.o.Ready()
	}
	if ready == nil {
		return
	}
	if err := s.publish(ctx, s.availability, 1, true, []byte("offline")); err != nil && ctx.Err() == nil {
		s.log.Warn("could not say offline", "err", err)
	}
	patience := time.NewTimer(boxPatience)
	defer patience.Stop()
	select {
	case <-ctx.Done():
	case <-ready:
	case <-patience.C:
		s.log.Warn("home assistant is not told of the devices yet")
	}
}

// Changed has the state published soon. It may be called from any goroutine and does not
// block.
func (s *BoxState) Changed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Republish publishes state and availability at once. It may be called while
// Run runs, from any goroutine.
func (s *BoxState) Republish(ctx context.Context) error {
	return errors.Join( // who is online has the right state
		s.publishState(ctx, s.o.Values(), true),
		s.publish(ctx, s.availability, 1, true, []byte("online")),
	)
}

// look publishes the state if there is something to tell, or somebody has asked for it.
func (s *BoxState) look(ctx context.Context, asked bool) error {
	if ctx.Err() != nil {
		return nil
	}
	values := s.o.Values()
	s.mu.Lock()
	full := asked || time.Since(s.full) >= boxInterval || !maps.Equal(words(s.told), words(values))
	live := slices.ContainsFunc(s.o.Live, func(key string) bool { return s.told[key] != values[key] })
	s.mu.Unlock()
	if !full && !live {
		return nil
	}
	return s.publishState(ctx, values, full)
}

// words returns what of a state is no number.
func words(values map[string]any) map[string]any {
	words := make(map[string]any)
	for key, value := range values {
		switch value.(type) {
		case string, bool:
			words[key] = value
		}
	}
	return words
}

func (s *BoxState) publishState(ctx context.Context, values map[string]any, full bool) error {
	payload, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("encode state of the box: %w", err)
	}
	// QoS 0: a figure a minute is not worth a write to the card.
	if err := s.publish(ctx, s.state, 0, full, payload); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = values
	if full {
		s.full = time.Now()
	}
	return nil
}

func (s *BoxState) publish(ctx context.Context, topic string, qos mqtt.QoS, retain bool, payload []byte) error {
	err := s.o.Broker.Publish(ctx, mqtt.Message{Topic: topic, Payload: payload, QoS: qos, Retain: retain})
	if err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}
