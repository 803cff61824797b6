package serialbridge

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel/gateway/mqtt"
)

const (
	// defaultInterval is how often the state of a device is published at most,
	// and defaultAtLeast how often at least, if it is heard so often.
	defaultInterval = time.Second
	defaultAtLeast  = time.Minute

	// happening is the least time between two states that tell of more than a
	// measured value: a door that opens is not to wait for a second.
	happening = 100 * time.Millisecond

	maxState = 64 << 10 // bytes of a state that is taken up again

	// stale is how long after the start a value from before it is shown that
	// was not heard since.
	stale = 24 * time.Hour
)

// news is how much a reading tells that was not known.
type news int

const (
	nothing  news = iota // all values are as before, but for clocks
	measured             // a number has changed
	happened             // something else has: a state, a switch
)

// newsOf returns what a change of a property is.
func newsOf(p *Property) news {
	switch {
	case p.Class == "timestamp":
		return nothing // the clock of a meter changes each time
	case p.Kind == Measurement:
		return measured
	}
	return happened
}

// tell has the state published in its time: at once if it was not for long, else
// when the interval since is over, with what is the state then. A reading without
// news is told when nothing else was for long, as a sign that the totals stand.
func (d *device) tell(n news, now time.Time) {
	s := d.owner.s
	interval := s.o.Interval
	if i := d.owner.pinned.Interval; i != 0 {
		interval = i
	}
	var wait time.Duration
	switch {
	case d.published.IsZero() || interval < 0:
	case n == nothing:
		if now.Sub(d.published) < s.o.AtLeast {
			return
		}
	case n == measured:
		wait = d.published.Add(interval).Sub(now)
	case n == happened:
		wait = d.published.Add(min(interval, happening)).Sub(now)
	}
	if wait <= 0 {
		d.settle()
		d.owner.enqueue(d, dirtyState)
		return
	}
	if d.due != nil && n == measured {
		return // what waits is sooner
	}
	d.settle()
	d.due = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.due != nil {
			d.due = nil
			d.owner.enqueue(d, dirtyState)
		}
	})
}

// settle takes back the state that waits for its time.
func (d *device) settle() (waited bool) {
	if d.due == nil {
		return false
	}
	d.due.Stop()
	d.due = nil
	return true
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
		return !validKey(key) || value == nil || !presentable(value)
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
		if _, heard := d.values[p.Key]; heard || !fits(&p, value) {
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
		return (p.Kind == State || p.Kind == Choice) && (len(p.Options) == 0 || slices.Contains(p.Options, v))
	case bool:
		return p.Kind == Binary || p.Kind == Switch
	}
	return false
}

// subscribe asks the broker for what the supervisor wants to hear.
func (s *Supervisor) subscribe(ctx context.Context) error {
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
			return err
		}
	}
	return nil
}
