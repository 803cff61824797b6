package gateway

import (
	"context"
	"sync"
	"time"
)

// pulseLook is how often the pulse is taken.
const pulseLook = time.Minute

// pulse watches how often each device is heard, so that it is known before an update who
// must be heard soon after it, and who may be silent for an hour.
type pulse struct {
	g *gateway

	mu      sync.Mutex
	hour    time.Time // since when the last pauses are counted
	devices map[string]*heartbeat
}

// heartbeat is how a device speaks.
type heartbeat struct {
	name, via string // via: the stick through which it is heard, or the network

	mark   any              // differs when the device was heard since; nil: not since the start
	since  time.Time        // it was first heard
	last   time.Time        // it was heard
	pauses [2]time.Duration // the longest of this hour, and of the one before
}

const (
	// zigbeeVia is what is said of a device that is heard through the Zigbee network.
	zigbeeVia = "zigbee"
	// maxAliveDevices and the like bound what is kept of a house: a record of an update holds it.
	maxAliveDevices = 1000
)

func newPulse(g *gateway) *pulse {
	return &pulse{g: g, hour: time.Now(), devices: make(map[string]*heartbeat)}
}

// run takes the pulse until ctx ends.
func (p *pulse) run(ctx context.Context) error {
	tick := time.NewTicker(pulseLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.take()
		}
	}
}

// take takes note of who was heard since the last time.
func (p *pulse) take() {
	heard := p.g.bridge.Heard()
	devices := p.g.bridge.Devices()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.hour) >= time.Hour {
		p.hour = now
		for _, h := range p.devices {
			h.pauses = [2]time.Duration{0, h.pauses[0]}
		}
	}
	for _, d := range devices {
		if at, ok := heard[d.ID]; ok && !d.WhenUsed {
			p.hear(d.ID, heartbeat{name: d.Name, via: d.Stick, mark: at.UnixNano(), last: at})
		}
	}
	if p.g.zigbee == nil {
		return
	}
	for _, d := range p.g.zigbee.Bridge().Network().Devices() {
		if d.Messages > 0 {
			p.hear(d.IEEEAddress.String(), heartbeat{name: d.ModelID, via: zigbeeVia, mark: d.Messages, last: now})
		}
	}
}

// hear takes note of a device that was heard at some time. The mutex is held.
func (p *pulse) hear(id string, said heartbeat) {
	h := p.devices[id]
	if h == nil {
		if len(p.devices) >= maxAliveDevices {
			return
		}
		h = &heartbeat{since: said.last, last: said.last}
		p.devices[id] = h
	}
	h.name, h.via = said.name, said.via
	if h.mark != said.mark {
		h.pauses[0] = max(h.pauses[0], said.last.Sub(h.last))
		h.mark, h.last = said.mark, said.last
	}
}

// silence is the longest time of late for which a device was not heard; 0: it is not known
// for long enough.
func (h *heartbeat) silence(now time.Time) time.Duration {
	if now.Sub(h.since) < 2*pulseLook {
		return 0
	}
	return max(h.pauses[0], h.pauses[1], now.Sub(h.last), time.Second)
}
