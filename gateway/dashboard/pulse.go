package dashboard

import (
	"context"
	"slices"
	"sync"
	"time"

	"lintel/gateway/broker"
)

const (
	pulseInterval = 10 * time.Second
	pulseSpan     = time.Hour // that is remembered
	pulseMinute   = time.Minute
	maxSlow       = 1000 // clients that are remembered
)

// pulse is what the broker did in the last hour.
type pulse struct {
	mu      sync.Mutex
	beats   []beat               // of the last hour, oldest first
	dropped map[string]uint64    // of each client that ever left something out, as it was looked at last
	slow    map[string]time.Time // when a client last left something out
}

// beat is the broker's counters at a time.
type beat struct {
	at                       time.Time
	received, sent, dropped  uint64 // messages
	bytesReceived, bytesSent uint64
}

// run looks at the broker until ctx ends.
func (p *pulse) run(ctx context.Context, stats func() broker.Stats, clients func() []broker.ClientInfo) {
	tick := time.NewTicker(pulseInterval)
	defer tick.Stop()
	for {
		p.look(time.Now(), stats(), clients)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look takes note of what the broker has done. It asks for the clients if something was
// left out.
func (p *pulse) look(now time.Time, s broker.Stats, clients func() []broker.ClientInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := len(p.beats) == 0
	more := !first && s.PublishDropped != p.beats[len(p.beats)-1].dropped
	p.beats = append(p.beats, beat{now, s.PublishReceived, s.PublishSent, s.PublishDropped, s.BytesReceived, s.BytesSent})
	old := 0
	for old < len(p.beats)-1 && now.Sub(p.beats[old].at) > pulseSpan {
		old++
	}
	p.beats = slices.Delete(p.beats, 0, old)
	for id, at := range p.slow {
		if now.Sub(at) > pulseSpan {
			delete(p.slow, id)
		}
	}
	if !first && !more {
		return
	}
	before := p.dropped
	p.dropped = make(map[string]uint64)
	if p.slow == nil {
		p.slow = make(map[string]time.Time)
	}
	for _, c := range clients() {
		if c.Dropped == 0 || len(p.dropped) >= maxSlow {
			continue
		}
		p.dropped[c.ID] = c.Dropped
		if more && c.Dropped != before[c.ID] && len(p.slow) < maxSlow {
			p.slow[c.ID] = now
		}
	}
}

// lately returns what was left out in the last hour, and by which clients.
func (p *pulse) lately() (dropped uint64, slow []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.beats) > 0 {
		dropped = p.beats[len(p.beats)-1].dropped - p.beats[0].dropped
	}
	for id := range p.slow {
		slow = append(slow, id)
	}
	slices.Sort(slow)
	return dropped, slow
}

// perMinute returns how many messages came in the last minute, up to now; negative: that
// is not known yet.
func (p *pulse) perMinute(now time.Time, received uint64) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := len(p.beats) - 1
	for i > 0 && now.Sub(p.beats[i].at) < pulseMinute {
		i--
	}
	if i < 0 {
		return -1
	}
	since := now.Sub(p.beats[i].at)
	if since < pulseInterval || received < p.beats[i].received {
		return -1
	}
	return int(float64(received-p.beats[i].received)/since.Minutes() + 0.5)
}
