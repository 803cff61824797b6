package serialbridge

import "time"

const (
	// defaultInterval is how often the state of a device is published at most,
	// and defaultAtLeast how often at least, if it is heard so often.
	defaultInterval = time.Second
	defaultAtLeast  = time.Minute

	// happening is the least time between two states that tell of more than a
	// measured value: a door that opens is not to wait for a second.
	happening = 100 * time.Millisecond
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
	case p.Kind == Measurement, p.Kind == Tracker:
		return measured
	}
	return happened
}

// tell has the state published in its time: at once if it was not for long, else
// when the interval since is over, with what is the state then. A reading without
// news is told when nothing else was for long, as a sign that the totals stand.
// publishes is false if it is not told at all, and wait is how long it is held back.
func (d *device) tell(n news, now time.Time) (publishes bool, wait time.Duration) {
	s := d.owner.s
	interval := s.o.Interval
	if i := d.owner.pinned.Interval; i != 0 {
		interval = i
	}
	switch {
	case d.published.IsZero() || interval < 0:
	case n == nothing:
		if now.Sub(d.published) < s.o.AtLeast {
			return false, 0
		}
	case n == measured:
		wait = d.published.Add(interval).Sub(now)
	case n == happened:
		wait = d.published.Add(min(interval, happening)).Sub(now)
	}
	if wait <= 0 {
		d.settle()
		d.owner.enqueue(d, dirtyState)
		return true, 0
	}
	if d.due != nil && n == measured {
		return true, wait // what waits is sooner
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
	return true, wait
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
