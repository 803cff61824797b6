package znp

import (
	"context"
	"time"

	"lintel/serialbridge/zigbee"
)

const (
	// maxChores may wait for the helper; what is beyond is not done.
	maxChores = 32
	// announceQuiet is how long after a route was looked for to a device that
	// has announced itself none is looked for again.
	announceQuiet = time.Minute
	// maxAnnounced bounds the devices of which that is remembered.
	maxAnnounced = 256
	// fullFunction is the capability of routers.
	fullFunction = 0x02
)

// A chore is what the reader wants done and cannot do itself, because it would wait
// for what it has to read.
type chore func(context.Context)

// charge gives the helper a chore.
func (c *Coordinator) charge(do chore) {
	select {
	case c.chores <- do:
	default:
		c.log.Warn("the zigbee stick says more than can be looked after")
	}
}

// help does the chores, one after the other, until the stick is gone.
func (c *Coordinator) help() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-c.link.done:
			return
		case do := <-c.chores:
			do(ctx)
		}
	}
}

// announced looks for a route to an end device that has just come: it may have moved
// to another parent, and the stick would go on sending the old way.
func (c *Coordinator) announced(a zigbee.Announced) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started || a.Capability&fullFunction != 0 {
		return
	}
	now := time.Now()
	if last, ok := c.routed[a.NetworkAddress]; ok && now.Sub(last) < announceQuiet {
		return
	}
	if len(c.routed) >= maxAnnounced {
		clear(c.routed)
	}
	c.routed[a.NetworkAddress] = now
	c.charge(func(ctx context.Context) {
		if err := c.discoverRoute(ctx, a.NetworkAddress); err != nil {
			c.log.Debug("route discovery failed", "device", uint16(a.NetworkAddress), "err", err)
		}
	})
}
