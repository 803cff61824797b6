package lend

import (
	"maps"
	"sync"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// ledger is a sink that a test may look at while a lender runs.
type ledger struct {
	mu       sync.Mutex
	recorder drivertest.Recorder
	changed  chan struct{}
}

func newLedger() *ledger { return &ledger{changed: make(chan struct{}, 1)} }

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *ledger) Device(d serialbridge.Device)   { l.note(func() { l.recorder.Device(d) }) }
func (l *ledger) Gone(id string)                 { l.note(func() { l.recorder.Gone(id) }) }
func (l *ledger) Reading(r serialbridge.Reading) { l.note(func() { l.recorder.Reading(r) }) }
func (l *ledger) Damaged(reason string)          { l.note(func() { l.recorder.Damaged(reason) }) }
func (l *ledger) Ignored(reason string)          { l.note(func() { l.recorder.Ignored(reason) }) }
func (l *ledger) Recall() map[string]string      { return nil }
func (l *ledger) Remember(key, _ string)         { l.note(func() { l.recorder.Disorder = "remembers " + key }) }

// soFar returns what the lender has told.
func (l *ledger) soFar() drivertest.Recorder {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recorder
}

// last returns what was published last of each property.
func (l *ledger) last() map[string]any { return lastOf(l.soFar()) }

func lastOf(r drivertest.Recorder) map[string]any {
	last := make(map[string]any)
	for _, reading := range r.Readings {
		maps.Copy(last, reading.Values)
	}
	return last
}

// soon is how long a test waits for what must happen.
const soon = 20 * time.Second

// await waits until what was told is as it should be.
func (l *ledger) await(t *testing.T, what string, ok func(drivertest.Recorder) bool) {
	t.Helper()
	late := time.After(soon)
	for !ok(l.soFar()) {
		select {
		case <-l.changed:
		case <-late:
			t.Fatalf("waited in vain for %s: %+v", what, l.soFar())
		}
	}
}

// awaitClient waits until the lease is said to be that of client.
func (l *ledger) awaitClient(t *testing.T, client string) {
	t.Helper()
	l.await(t, "client "+client, func(r drivertest.Recorder) bool {
		last := lastOf(r)
		return last[keyClient] == client && last[keySent] != nil
	})
}
