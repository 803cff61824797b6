package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

const (
	boxInterval = time.Minute
	goodbye     = 2 * time.Second // to say offline in
)

// BoxDevice returns the box as a device. Its id is [GatewayID]; in Home
// Assistant it appears under the id of the box.
func BoxDevice(box Box) serialbridge.Device {
	d := serialbridge.Device{
		ID:        GatewayID,
		Name:      box.Name,
		Vendor:    "Lintel",
		Model:     box.Model,
		SWVersion: box.Version,
		Properties: []serialbridge.Property{
			{Key: "version", Name: "Version", Kind: serialbridge.State},
			{Key: "board", Name: "Board", Kind: serialbridge.State},
			{Key: "started", Name: "Started", Kind: serialbridge.State, Class: "timestamp"},
			{Key: "temperature", Name: "Processor temperature", Kind: serialbridge.Measurement,
				Class: "temperature", Unit: "°C", StateClass: "measurement", Precision: 1},
			{Key: "memory_used", Name: "Memory used", Kind: serialbridge.Measurement,
				Unit: "%", StateClass: "measurement", Precision: 0},
			{Key: "disk_free", Name: "Storage free", Kind: serialbridge.Measurement,
				Class: "data_size", Unit: "MB", StateClass: "measurement", Precision: 0},
			{Key: "storage", Name: "Storage", Kind: serialbridge.State},
			{Key: "clients", Name: "Clients connected", Kind: serialbridge.Measurement,
				StateClass: "measurement", Precision: 0},
			{Key: "messages_per_minute", Name: "Messages per minute", Kind: serialbridge.Measurement,
				StateClass: "measurement", Precision: 0},
			{Key: "messages_dropped", Name: "Messages dropped", Kind: serialbridge.Measurement,
				StateClass: "total_increasing", Precision: 0},
			{Key: "logins_refused", Name: "Logins refused", Kind: serialbridge.Measurement,
				StateClass: "total_increasing", Precision: 0},
			{Key: "security", Name: "Security", Kind: serialbridge.Event, Options: access.Kinds()},
		},
	}
	for i := range d.Properties {
		d.Properties[i].Category = serialbridge.Diagnostic
	}
	return d
}

// BoxStateOptions are the options of [NewBoxState].
type BoxStateOptions struct {
	Broker    serialbridge.Broker
	BaseTopic string // empty is "lintel"

	// Values returns the state of the box by the keys of [BoxDevice]. What
	// is not known is left out.
	Values func() map[string]any

	Logger *slog.Logger // nil: silent
}

// BoxState publishes availability and state of the box.
type BoxState struct {
	o                   BoxStateOptions
	availability, state string
	log                 *slog.Logger
}

// NewBoxState returns a BoxState that publishes nothing until Run.
func NewBoxState(o BoxStateOptions) *BoxState {
	topics := Options{BaseTopic: o.BaseTopic}
	s := &BoxState{
		o:            o,
		availability: topics.topic(GatewayID, "availability"),
		state:        topics.topic(GatewayID, "state"),
		log:          o.Logger,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Run says online, publishes the state every minute until ctx ends, then says
// offline and returns nil.
func (s *BoxState) Run(ctx context.Context) error {
	tick := time.NewTicker(boxInterval)
	defer tick.Stop()
	err := s.Republish(ctx)
	for {
		if err != nil && ctx.Err() == nil {
			s.log.Warn("state of the box not published", "err", err)
		}
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			defer cancel()
			if err := s.publish(ctx, s.availability, 1, []byte("offline")); err != nil {
				s.log.Warn("could not say offline", "err", err)
			}
			return nil
		case <-tick.C:
			err = s.publishState(ctx)
		}
	}
}

// Republish publishes state and availability at once. It may be called while
// Run runs, from any goroutine if Values may.
func (s *BoxState) Republish(ctx context.Context) error {
	return errors.Join( // who is online has the right state
		s.publishState(ctx),
		s.publish(ctx, s.availability, 1, []byte("online")),
	)
}

func (s *BoxState) publishState(ctx context.Context) error {
	payload, err := json.Marshal(s.o.Values())
	if err != nil {
		return fmt.Errorf("encode state of the box: %w", err)
	}
	// QoS 0: a figure a minute is not worth a write to the card.
	return s.publish(ctx, s.state, 0, payload)
}

func (s *BoxState) publish(ctx context.Context, topic string, qos mqtt.QoS, payload []byte) error {
	err := s.o.Broker.Publish(ctx, mqtt.Message{Topic: topic, Payload: payload, QoS: qos, Retain: true})
	if err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}
