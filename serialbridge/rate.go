package serialbridge

import (
	"context"
	"encoding/json"
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[id]; d != nil {
		d.resume(values)
	} else if len(s.before) < maxDevices {
		s.before[id] = values
	}
}

// resume takes what a device is known to have said before this start: a sensor
// that tells its humidity less often than its temperature keeps both, and a total
// is held against what it was.
func (d *device) resume(values map[string]any) {
	for key, value := range values {
		i := slices.IndexFunc(d.Properties, func(p Property) bool { return p.Key == key })
		if _, heard := d.values[key]; heard || i < 0 || !presentable(value) || value == nil {
			continue
		}
		p := &d.Properties[i]
		number, isNumber := value.(float64)
		text, isText := value.(string)
		_, isBool := value.(bool)
		switch p.Kind {
		case Measurement, Setting:
			if !isNumber {
				continue
			}
		case State, Choice:
			if !isText || len(p.Options) > 0 && !slices.Contains(p.Options, text) {
				continue
			}
		case Binary, Switch:
			if !isBool {
				continue
			}
		default:
			continue
		}
		d.values[key] = value
		if isNumber && isTotal(p) {
			d.totals.set(key, number, time.Time{})
		}
	}
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
