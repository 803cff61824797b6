package zigbee

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

const (
	pingPause = 2 * time.Second // between devices
	pingRetry = 3 * time.Second // between the pings of one
	// availabilityGrace is added to the time-out, as zigbee2mqtt does.
	availabilityGrace = time.Second
	noStickPause      = 30 * time.Second
)

// presence is what is known of whether a device is there.
type presence struct {
	settings  Availability
	told      bool // Handler knows
	available bool
	due       time.Time // when to look again; zero: not at all
	backoff   float64   // by which the time-out is longer after pings in vain
	paused    bool      // no more pings until it is heard
}

// SetAvailability says how to find out whether a device is there. Handler is told at
// once what is known. It has to be said again of a device that has left and come back,
// and after a restart.
func (n *Network) SetAvailability(ieee IEEEAddress, a Availability) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.nodes[ieee]
	if d == nil {
		return
	}
	p := &d.presence
	was := *p
	*p = presence{settings: a, told: was.told && a.Enabled, available: was.available, backoff: 1}
	signal(n.timed)
	if !a.Enabled {
		return
	}
	now := time.Now()
	n.setAvailable(d, now.Sub(d.device.LastSeen) < a.Timeout)
	n.schedule(d, now)
	if d.device.Active() && !p.available {
		p.due = now // perhaps it is there, and has nothing to say
	}
}

// Available says whether a device is there, as far as is known: one of which that is not
// to be found out is.
func (n *Network) Available(ieee IEEEAddress) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.nodes[ieee]
	return d != nil && (!d.presence.settings.Enabled || d.presence.available)
}

// Active says that the device can be asked at any time whether it is there.
func (d *Device) Active() bool {
	return d.Type == Router && d.PowerSource != "Battery" ||
		d.PowerSource != "" && d.PowerSource != "Unknown" && d.PowerSource != "Battery"
}

// setAvailable takes note of whether a device is there. The network is locked.
func (n *Network) setAvailable(d *node, available bool) {
	p := &d.presence
	if p.told && p.available == available {
		return
	}
	p.told, p.available = true, available
	n.tell(notice{kind: noticeAvailable, device: n.copyOf(d), available: available})
}

// schedule sets when to look for a device next. The network is locked.
func (n *Network) schedule(d *node, now time.Time) {
	p := &d.presence
	wait := p.settings.Timeout + availabilityGrace
	if d.device.Active() {
		if p.paused {
			p.due = time.Time{}
			return
		}
		if p.settings.MaxJitter > 0 {
			wait += rand.N(p.settings.MaxJitter)
		}
		if p.settings.Backoff {
			// After weeks of silence a device is still looked for once a day.
			wait = min(time.Duration(float64(wait)*p.backoff), max(wait, 24*time.Hour))
		}
	} else if !p.available {
		p.due = time.Time{} // nothing changes until it is heard
		return
	}
	p.due = now.Add(wait)
}

// present takes note that a device was heard. The network is locked.
func (n *Network) present(d *node, now time.Time) {
	p := &d.presence
	if !p.settings.Enabled {
		return
	}
	p.backoff, p.paused = 1, false
	earlier := p.due.IsZero()
	n.setAvailable(d, true)
	n.schedule(d, now)
	if earlier {
		signal(n.timed)
	}
}

// watchAvailability looks for devices that have been silent for long.
func (n *Network) watchAvailability(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.timed:
		case <-timer.C:
		}
		var wait time.Duration
		for wait == 0 {
			var ping *node
			ping, wait = n.overdue()
			if ping == nil {
				continue
			}
			n.pingOverdue(ctx, ping)
			if pause(ctx, pingPause) != nil {
				return
			}
		}
		timer.Reset(wait)
	}
}

// overdue marks devices on batteries that were silent for too long, and returns one to be
// pinged, or how long it is until there is something to do.
func (n *Network) overdue() (ping *node, wait time.Duration) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	wait = time.Hour
	var due []*node
	for _, d := range n.nodes {
		p := &d.presence
		switch {
		case !p.settings.Enabled || p.due.IsZero():
		case p.due.After(now):
			wait = min(wait, p.due.Sub(now))
		case !d.device.Active():
			n.setAvailable(d, false)
			n.schedule(d, now)
		default:
			due = append(due, d)
		}
	}
	switch {
	case len(due) == 0:
		return nil, wait
	case !n.running:
		// Without a stick nobody can be asked, and nobody is to blame.
		return nil, min(wait, noStickPause)
	}
	return slices.MinFunc(due, func(a, b *node) int { return a.presence.due.Compare(b.presence.due) }), 0
}

// pingOverdue finds out whether a device is there that was silent for too long.
func (n *Network) pingOverdue(ctx context.Context, d *node) {
	n.mu.Lock()
	ieee, silent := d.device.IEEEAddress, d.presence.due
	attempts := 1
	if d.presence.available {
		attempts = 2
	}
	n.mu.Unlock()
	ok := false
	for i := range attempts {
		if i > 0 && pause(ctx, pingRetry) != nil {
			return
		}
		if ok = n.Ping(ctx, ieee) == nil; ok {
			break
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &d.presence
	if !n.running || ctx.Err() != nil || p.due.After(silent) || !p.settings.Enabled {
		return // it was heard, or could not be asked
	}
	now := time.Now()
	if ok { // it has answered something that was no frame
		n.present(d, now)
		return
	}
	n.counters.FailedPings++
	switch above := p.settings.PauseOnBackoffGreaterThan; {
	case !p.settings.Backoff:
	case above > 0 && p.backoff >= float64(above):
		p.paused = true
	case p.available:
		p.backoff *= 1.5
	default:
		p.backoff *= 2
	}
	n.setAvailable(d, false)
	n.schedule(d, now)
}

// Ping asks a device for something that every device knows: the version of its ZCL. An
// answer that refuses is one, too.
func (n *Network) Ping(ctx context.Context, ieee IEEEAddress) error {
	n.mu.Lock()
	d := n.nodes[ieee]
	if d == nil {
		n.mu.Unlock()
		return ErrNoDevice
	}
	endpoint := uint8(EndpointHome)
	if i := slices.IndexFunc(d.device.Endpoints, func(e Endpoint) bool { return slices.Contains(e.Input, clusterBasic) }); i >= 0 {
		endpoint = d.device.Endpoints[i].ID
	} else if len(d.device.Endpoints) > 0 {
		endpoint = d.device.Endpoints[0].ID
	}
	n.mu.Unlock()
	_, err := n.Request(ctx, ieee, Request{Endpoint: endpoint, Cluster: clusterBasic, Once: true, Frame: zcl.Frame{
		DisableDefaultResponse: true, Command: zcl.ReadAttributes, Payload: zcl.AppendIDs(nil, 0x0000),
	}})
	if _, refused := errors.AsType[*StatusError](err); refused {
		return nil
	}
	return err
}
