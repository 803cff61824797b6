package ezsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
)

const (
	// When the stick has no room it is asked again after busyPause, until
	// busyTime has gone by.
	busyPause = 250 * time.Millisecond
	busyTime  = 8 * time.Second

	// confirmTime is how long the stick may take to say what became of a
	// message. It tries three times, for a device that sleeps 7.68 s each.
	confirmTime = 40 * time.Second
)

// message waits for its confirmation.
type message struct {
	to    zigbee.NetworkAddress
	cause zigbee.DeliveryReason // what was said of the way there
	sent  chan status
}

// Send sends an APS message; see [zigbee.Coordinator].
func (c *Coordinator) Send(ctx context.Context, m zigbee.Outgoing) error {
	aps := apsFrame{
		profile: m.Profile, cluster: m.Cluster, source: m.SourceEndpoint, destination: m.DestinationEndpoint,
		options: apsOptions, group: m.Group,
	}
	switch {
	case m.Group != 0:
		aps.destination = 0xff
		if err := c.listen(ctx, m.Group, zigbee.EndpointHome); err != nil {
			// The message matters more than to hear what others send there.
			c.log.Info("the stick listens to no more groups", "group", m.Group, "err", err)
		}
		return c.multicast(ctx, aps, m.Radius, m.Data)
	case m.Destination.IsBroadcast():
		aps.group = uint16(m.Destination)
		return c.broadcast(ctx, m.Destination, aps, m.Radius, m.Data)
	}
	return c.unicast(ctx, m.Destination, aps, m.Data, nil)
}

// unicast sends a message to a device and waits until it has it, or until
// answered is closed.
func (c *Coordinator) unicast(ctx context.Context, to zigbee.NetworkAddress, aps apsFrame, data []byte, answered <-chan struct{}) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-c.slots }()
	for {
		cause, s, err := c.attempt(ctx, to, aps, data, answered)
		if err != nil || s == statusOK {
			return err
		}
		failed := s.delivery(cause)
		if failed.Reason != zigbee.NoRoute || aps.options&apsForceRoute != 0 {
			return failed
		}
		// Who said that there is no way has not passed it on: it is safe to
		// send it again.
		aps.options |= apsForceRoute
	}
}

// attempt sends a message once.
func (c *Coordinator) attempt(ctx context.Context, to zigbee.NetworkAddress, aps apsFrame, data []byte, answered <-chan struct{}) (zigbee.DeliveryReason, status, error) {
	m := &message{to: to, sent: make(chan status, 1)}
	tag := c.newTag(m)
	defer func() {
		c.mu.Lock()
		delete(c.messages, tag)
		c.mu.Unlock()
	}()
	p := append16([]byte{messageUnicastDirect}, uint16(to))
	p = aps.append(p)
	p = c.appendTag(p, tag)
	p = append(append(p, byte(len(data))), data...)
	if s, err := c.submit(ctx, cmdSendUnicast, p, data); err != nil || s != statusOK {
		return "", s, err
	}
	patience := time.NewTimer(confirmTime)
	defer patience.Stop()
	var s status
	select {
	case s = <-m.sent:
	case <-answered:
		return "", statusOK, nil
	case <-patience.C:
		s = statusDeliveryFailed
	case <-c.done:
		return "", 0, c.Err()
	case <-ctx.Done():
		return "", 0, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.cause, s, nil
}

// submit gives the stick a message, as soon as it has room for it.
func (c *Coordinator) submit(ctx context.Context, id frameID, params, data []byte) (status, error) {
	if len(data) > maxPayload {
		return statusTooLong, nil
	}
	begun := time.Now()
	for {
		r, err := c.call(ctx, id, params)
		s := statusBusy
		var refused *invalidCommand
		switch {
		case errors.As(err, &refused) && refused.reason == 0x41: // its queue is full
		case err != nil:
			return 0, fmt.Errorf("ezsp: send: %w", err)
		default:
			s = r.status(c.version())
			if r.bad {
				return 0, c.check(r, s, "send")
			}
		}
		if !s.busy() || time.Since(begun) >= busyTime {
			return s, nil
		}
		c.count(&c.counters.Busy)
		pause := time.NewTimer(busyPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return 0, context.Cause(ctx)
		case <-c.done:
			pause.Stop()
			return 0, c.Err()
		}
	}
}

// maxPayload is the longest message that fits into a frame of EZSP. What does not
// fit into one of the radio, some 80 bytes, the stack refuses.
const maxPayload = 200

// multicast sends a message to a group.
func (c *Coordinator) multicast(ctx context.Context, aps apsFrame, radius uint8, data []byte) error {
	p := append(aps.append(nil), radius)
	if c.version() >= 14 {
		p = append16(p, 0) // the broadcast address that the stack takes for groups
		p = append16(p, multicastAlias)
		p = append(p, 0)
	} else {
		p = append(p, nonMemberRadius)
	}
	return c.sendOut(ctx, cmdSendMulticast, p, data)
}

// broadcast sends a message to all that listen.
func (c *Coordinator) broadcast(ctx context.Context, to zigbee.NetworkAddress, aps apsFrame, radius uint8, data []byte) error {
	var p []byte
	if c.version() >= 14 {
		p = append16(p, multicastAlias)
	}
	p = append16(p, uint16(to))
	if c.version() >= 14 {
		p = append(p, 0)
	}
	p = append(aps.append(p), radius)
	return c.sendOut(ctx, cmdSendBroadcast, p, data)
}

// sendOut sends a message that nobody acknowledges.
func (c *Coordinator) sendOut(ctx context.Context, id frameID, params, data []byte) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer func() { <-c.slots }()
	params = c.appendTag(params, 0)
	params = append(append(params, byte(len(data))), data...)
	s, err := c.submit(ctx, id, params, data)
	if err != nil || s == statusOK {
		return err
	}
	return s.delivery("")
}

// acquire takes one of the slots for messages.
func (c *Coordinator) acquire(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// newTag gives a message the number by which the stick will speak of it. 0 is
// that of messages that nobody waits for.
func (c *Coordinator) newTag(m *message) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		c.tag = c.tag%0x7f + 1 // one byte before version 14
		if c.messages[c.tag] == nil {
			c.messages[c.tag] = m
			return c.tag
		}
	}
}

func (c *Coordinator) appendTag(p []byte, tag uint16) []byte {
	if c.version() >= 14 {
		return append16(p, tag)
	}
	return append(p, byte(tag))
}

// messageSent takes what became of a message.
func (c *Coordinator) messageSent(r *reader) {
	var s status
	var kind uint8
	var to zigbee.NetworkAddress
	var tag uint16
	if c.version() >= 14 {
		s, kind, to = status(r.uint32()), r.uint8(), r.address()
		r.apsFrame()
		tag = r.uint16()
	} else {
		kind, to = r.uint8(), r.address()
		r.apsFrame()
		tag = uint16(r.uint8())
		s = fromEmber(r.uint8())
	}
	if r.bad || kind != messageUnicastDirect {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.messages[tag]
	if m == nil || m.to != to {
		return // of the stack itself, or nobody waits any more
	}
	select {
	case m.sent <- s:
	default: // it was said already
	}
}

// wayFailed takes what a router says of the way to a device. The stack goes on
// trying; it is the reason if the message fails.
func (c *Coordinator) wayFailed(to zigbee.NetworkAddress, reason zigbee.DeliveryReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.messages {
		if m.to == to && reason != "" {
			m.cause = reason
		}
	}
}
