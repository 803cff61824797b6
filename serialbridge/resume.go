package serialbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel/gateway/mqtt"
)

const (
	maxState = 64 << 10 // bytes of a state that is taken up again

	// stale is how long after the start a value from before it is shown that
	// was not heard since.
	stale = 24 * time.Hour
)

// Settle takes up what an earlier run has left at the broker, and returns when the box,
// its sticks and all devices are offline there. It is for the time before the broker
// lets others in: after a power cut all that was online is retained as that, and
// who connects would believe it. It may be called once, before Run; what it has
// subscribed to is heard until ctx ends.
func (s *Supervisor) Settle(ctx context.Context) error {
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	// The box's own word comes back to the subscription when all that was retained
	// before has come.
	m := mqtt.Message{Topic: s.o.BaseTopic + "/gateway/availability", Payload: []byte("offline"), QoS: 1, Retain: true}
	if err := s.o.Broker.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish to %s: %w", m.Topic, err)
	}
	select {
	case <-s.caughtUp:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe asks the broker for what the supervisor wants to hear, once.
func (s *Supervisor) subscribe(ctx context.Context) error {
	if s.subscribed {
		return nil
	}
	s.subscribed = true
	for _, want := range []struct {
		filter string
		o      mqtt.SubscriptionOptions
		handle func(mqtt.Message)
	}{
		{"/+/state", mqtt.NoLocal, s.recall},
		{"/+/set", 1, s.command},
		{"/+/set/+", 1, s.command},
		{"/+/availability", 1, func(m mqtt.Message) { s.correct(ctx, m) }},
	} {
		if err := s.o.Broker.Subscribe(ctx, s.o.BaseTopic+want.filter, want.o, want.handle); err != nil {
			return fmt.Errorf("subscribe to the topics of devices: %w", err)
		}
	}
	return nil
}

// correct says offline for a device or a stick that was left online: the power failed,
// and the stick was gone when it came back. What is heard again says online itself.
func (s *Supervisor) correct(ctx context.Context, m mqtt.Message) {
	id := strings.Split(strings.TrimPrefix(m.Topic, s.o.BaseTopic+"/"), "/")[0]
	if id == "gateway" && !m.Retain {
		s.catchUp.Do(func() { close(s.caughtUp) })
	}
	if !m.Retain || string(m.Payload) != "online" || !validID(id) {
		return
	}
	heard := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d := s.devices[id]; d != nil {
			d.owner.enqueue(d, dirtyAvailability)
			return true
		}
		for _, st := range s.sticks {
			if st.deviceID() == id {
				st.enqueueSelf()
				return true
			}
		}
		return false
	}
	if heard() {
		return
	}
	if err := s.o.Broker.Publish(ctx, mqtt.Message{Topic: m.Topic, Payload: []byte("offline"), QoS: 1, Retain: true}); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot publish", "device", id, "err", err)
	}
	heard() // in the meantime: then the last word is not ours
}

// recall notes the state of a device that was published before this start, until
// the device is heard.
func (s *Supervisor) recall(m mqtt.Message) {
	id := strings.Split(strings.TrimPrefix(m.Topic, s.o.BaseTopic+"/"), "/")[0]
	var values map[string]any
	if !m.Retain || !validID(id) || len(m.Payload) > maxState || json.Unmarshal(m.Payload, &values) != nil {
		return
	}
	maps.DeleteFunc(values, func(key string, value any) bool {
		_, object := value.(map[string]any) // bounded by the state itself
		return !validKey(key) || value == nil || !object && !presentable(value)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[id]; d != nil {
		d.before = values
		d.resume()
	} else if len(s.before) < maxDevices {
		s.before[id] = values
	}
}

// resume takes what a device is known to have said before this start: a sensor
// that tells its humidity less often than its temperature keeps both, and a total
// is held against what it was. Some drivers know a property only when it was heard
// again; until then its value stays in the state as it was.
func (d *device) resume() {
	for _, p := range d.Properties {
		value, known := d.before[p.Key]
		if !known {
			continue
		}
		delete(d.before, p.Key)
		if _, heard := d.values[p.Key]; heard {
			continue
		}
		if members := p.members(); members != nil {
			if value, _ = members.value(nil, value); value != nil {
				d.values[p.Key] = value
			}
			continue
		}
		if !fits(&p, value) {
			continue
		}
		d.values[p.Key] = value
		if number, ok := value.(float64); ok && isTotal(&p) {
			d.totals.set(p.Key, number, time.Time{})
		}
	}
}

// fits tells whether a value out of JSON is one of the property.
func fits(p *Property, value any) bool {
	switch v := value.(type) {
	case float64:
		return p.Kind == Measurement || p.Kind == Setting
	case string:
		return (p.Kind == State || p.Kind == Choice || p.Kind == Text) && (len(p.Options) == 0 || slices.Contains(p.Options, v))
	case bool:
		return p.Kind == Binary || p.Kind == Switch
	}
	return false
}
