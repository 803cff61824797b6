package drivertest

import (
	"sync"

	"lintel/serialbridge"
)

// Locked is a [serialbridge.Sink] that hands on one call at a time. A test that
// looks at Sink while a driver runs, after synctest.Wait, locks and unlocks it
// before it lets time pass.
type Locked struct {
	sync.Mutex
	Sink serialbridge.Sink
}

// Device implements [serialbridge.Sink].
func (l *Locked) Device(d serialbridge.Device) {
	l.Lock()
	defer l.Unlock()
	l.Sink.Device(d)
}

// Gone implements [serialbridge.Sink].
func (l *Locked) Gone(device string) {
	l.Lock()
	defer l.Unlock()
	l.Sink.Gone(device)
}

// Reading implements [serialbridge.Sink].
func (l *Locked) Reading(r serialbridge.Reading) {
	l.Lock()
	defer l.Unlock()
	l.Sink.Reading(r)
}

// Damaged implements [serialbridge.Sink].
func (l *Locked) Damaged(reason string) {
	l.Lock()
	defer l.Unlock()
	l.Sink.Damaged(reason)
}

// Ignored implements [serialbridge.Sink].
func (l *Locked) Ignored(reason string) {
	l.Lock()
	defer l.Unlock()
	l.Sink.Ignored(reason)
}

// Recall implements [serialbridge.Sink].
func (l *Locked) Recall() map[string]string {
	l.Lock()
	defer l.Unlock()
	return l.Sink.Recall()
}

// Remember implements [serialbridge.Sink].
func (l *Locked) Remember(key, value string) {
	l.Lock()
	defer l.Unlock()
	l.Sink.Remember(key, value)
}
