package z2m

import (
	"sync"
	"time"
)

// timers are what is to be done later, by key.
type timers struct {
	mu      sync.Mutex
	byKey   map[string]*time.Timer
	running sync.WaitGroup
	stopped bool
}

// after has f called after that time, in place of what was to be done
// for the key before.
func (t *timers) after(key string, wait time.Duration, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	if t.byKey == nil {
		t.byKey = make(map[string]*time.Timer)
	}
	if old := t.byKey[key]; old != nil {
		old.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		t.mu.Lock()
		if t.stopped || t.byKey[key] != timer {
			t.mu.Unlock()
			return
		}
		delete(t.byKey, key)
		t.running.Add(1)
		t.mu.Unlock()
		defer t.running.Done()
		f()
	})
	t.byKey[key] = timer
}

// pending says whether something is to be done for the key.
func (t *timers) pending(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[key] != nil
}

// cancel has nothing done for the key any more.
func (t *timers) cancel(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if timer := t.byKey[key]; timer != nil {
		timer.Stop()
		delete(t.byKey, key)
	}
}

// stop ends all, and waits for what is being done.
func (t *timers) stop() {
	t.mu.Lock()
	t.stopped = true
	for _, timer := range t.byKey {
		timer.Stop()
	}
	clear(t.byKey)
	t.mu.Unlock()
	t.running.Wait()
}
