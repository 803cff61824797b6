package serialbridge

import (
	"time"

	"lintel/serialbridge/journey"
)

// sink is the Sink of one try. After the try it is deaf: a driver that was left
// behind must not speak for the stick any more.
type sink struct {
	st     *stick
	memory string // of the driver; set before it gets the sink

	// Guarded by the supervisor's mutex.
	frames uint64            // valid ones, also those of which nothing could be made
	known  map[string]string // ID in the house of anonymous devices, by that of the driver

	removed map[string]Device // by a person, by their ID for the driver: they may be heard again
}

func (k *sink) count() uint64 {
	k.st.s.mu.Lock()
	defer k.st.s.mu.Unlock()
	return k.frames
}

func (k *sink) Device(d Device) {
	s := k.st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.st.current != k {
		return
	}
	delete(k.removed, d.ID)
	if trouble := s.announce(k.st, d.ID, k.identify(d)); trouble != "" {
		k.st.damage(trouble)
	}
}

func (k *sink) Gone(device string) {
	s := k.st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[k.inHouse(device)]; k.st.current == k && d != nil && d.owner == k.st {
		s.withdraw(d)
	}
}

func (k *sink) Reading(r Reading) {
	s := k.st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.st.current != k {
		return
	}
	d := s.devices[k.inHouse(r.Device)]
	if d == nil {
		d = k.revive(r.Device)
	}
	if d == nil || d.awaited {
		k.st.damage("unannounced device")
		return
	}
	k.st.frames++
	k.valid()
	d.moveTo(k.st)
	now := time.Now()
	d.hear(now)
	number := k.st.began(d, r.Values)
	if trouble := d.merge(r.Values, now, number); trouble != "" {
		k.st.damage(trouble)
		s.o.Journeys.Tell(number, journey.Stage{Kind: journey.Failed, Detail: "not all of it could be used: " + trouble})
	}
}

// valid notes that the stick speaks as its driver expects. The caller holds the lock.
func (k *sink) valid() {
	k.frames++
	k.st.err, k.st.retries = "", 0
}

func (k *sink) Damaged(reason string) {
	s := k.st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.st.current == k {
		k.st.damage(reason)
	}
}

func (k *sink) Ignored(reason string) {
	s := k.st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.st.current != k {
		return
	}
	reason = cleanText(reason)
	if _, ok := k.st.ignored[reason]; !ok && len(k.st.ignored) >= maxIgnored {
		reason = "other"
	}
	k.st.ignored[reason]++
	k.valid()
}

func (k *sink) Recall() map[string]string { return k.st.s.memory.recall(k.memory) }

func (k *sink) Remember(key, value string) {
	s := k.st.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.st.current != k {
		return
	}
	if trouble := s.memory.remember(k.memory, key, value); trouble != "" {
		k.st.damage(trouble)
	}
}

func (st *stick) damage(reason string) {
	if _, ok := st.damaged[reason]; !ok && len(st.damaged) >= maxReasons {
		reason = "other"
	}
	st.damaged[reason]++
}
