package znp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
)

const (
	// confirmTime is how long the stick may try to deliver a message. For a
	// device that sleeps it waits 7.5 s.
	confirmTime = 12 * time.Second
	// groupConfirmTime is that of a message to a group, which nobody acknowledges.
	groupConfirmTime = 3 * time.Second
	// busyPause is how long the stick is left alone when its buffers are full
	// or the channel is.
	busyPause = 2 * time.Second
	// againPause is between two tries to reach a device.
	againPause = 500 * time.Millisecond
	// routeTime is how long a route discovery may take.
	routeTime = 3 * time.Second
	// broadcastPause is kept between two broadcasts: each router repeats them.
	broadcastPause = 200 * time.Millisecond

	maxBusy   = 5 // tries while the stick is busy
	maxMisses = 3 // tries to reach a device
	// repairAfter is the number of messages to a child that expired, one after
	// the other, after which it is doubted that it still is a child.
	repairAfter = 2
	// maxFailures bounds the devices of which that is remembered.
	maxFailures = 256

	// maxRadius is how far a message goes if nothing else is said: twice
	// the greatest depth of a network.
	maxRadius = 30
	// maxOut is the longest message that goes into one command.
	maxOut = maxData - 20
)

// Modes of addresses.
const (
	modeGroup     = 1
	modeAddress   = 2
	modeBroadcast = 15
)

// Send implements [zigbee.Coordinator]. The stick says that a message has arrived
// when the next hop has acknowledged it. It asks for no acknowledgement of the APS: a
// device that answers says more by that, and those that sleep would be told
// everything twice.
func (c *Coordinator) Send(ctx context.Context, m zigbee.Outgoing) error {
	if err := c.running(); err != nil {
		return err
	}
	if len(m.Data) > maxOut {
		return fmt.Errorf("a message of %d bytes is longer than the stick can send (%d)", len(m.Data), maxOut)
	}
	source, err := c.source(m.SourceEndpoint, m.Profile)
	if err != nil {
		return err
	}
	m.SourceEndpoint = source
	if m.Radius == 0 {
		m.Radius = maxRadius
	}
	if m.Group != 0 || m.Destination.IsBroadcast() {
		return c.spread(ctx, m)
	}
	end, err := c.converse(ctx, m.Destination)
	if err != nil {
		return err
	}
	defer end()
	return c.deliver(ctx, m)
}

// A talk is with one device: one thing at a time.
type talk struct {
	turn  chan struct{}
	users int
}

// converse waits until nothing else is said to the device.
func (c *Coordinator) converse(ctx context.Context, device zigbee.NetworkAddress) (end func(), err error) {
	c.mu.Lock()
	t := c.talks[device]
	if t == nil {
		t = &talk{turn: make(chan struct{}, 1)}
		c.talks[device] = t
	}
	t.users++
	c.mu.Unlock()
	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(c.talks, device)
		}
	}
	select {
	case t.turn <- struct{}{}:
		return func() { <-t.turn; leave() }, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.link.done:
		err = c.link.failure()
	}
	leave()
	return nil, err
}

// deliver sends a message to a device until it has arrived or no way is left.
func (c *Coordinator) deliver(ctx context.Context, m zigbee.Outgoing) (err error) {
	busy, misses := 0, 0
	var child *relation // that was taken out of the stick's table
	defer func() {
		if child != nil && err != nil {
			// It was a child after all; without its entry it would never be
			// reached again. ctx may be over.
			c.charge(func(ctx context.Context) { c.putBack(ctx, child) })
		}
	}()
	for {
		status, err := c.transmit(ctx, m)
		if err != nil {
			return err
		}
		failed := &zigbee.DeliveryError{Reason: reasonOf(status), Status: status}
		switch {
		case status == statusSuccess:
			c.heardFrom(m.Destination)
			return nil
		case failed.Reason == zigbee.NoBuffers || failed.Reason == zigbee.NoChannel:
			if busy++; busy == maxBusy {
				return failed
			}
			err = c.link.sleep(ctx, busyPause)
		case failed.Reason == zigbee.Expired && child == nil:
			if child, err = c.doubtChild(ctx, m.Destination); child == nil && err == nil {
				return failed
			}
		case failed.Reason == zigbee.NoRoute || failed.Reason == zigbee.NoAck:
			if misses++; misses == maxMisses {
				return failed
			}
			err = c.recover(ctx, m.Destination, misses, failed.Reason)
		default:
			return failed
		}
		if err != nil {
			return err
		}
	}
}

// recover does what may help before a message is sent once more: the route may be
// wrong, or there may be none.
func (c *Coordinator) recover(ctx context.Context, device zigbee.NetworkAddress, misses int, reason zigbee.DeliveryReason) error {
	if misses == 1 && reason == zigbee.NoAck {
		return c.link.sleep(ctx, againPause)
	}
	if err := c.discoverRoute(ctx, device); err != nil {
		return err
	}
	return c.link.sleep(ctx, routeTime)
}

// reasonOf says in general words what a status means.
func reasonOf(status uint8) zigbee.DeliveryReason {
	switch status {
	case statusBufferFull, statusNoResources:
		return zigbee.NoBuffers
	case statusChannelBusy:
		return zigbee.NoChannel
	case statusNoRoute:
		return zigbee.NoRoute
	case statusNoAck, statusAPSNoAck:
		return zigbee.NoAck
	case statusExpired:
		return zigbee.Expired
	}
	return zigbee.Refused
}

// transmit sends a message to a device and waits for what becomes of it.
func (c *Coordinator) transmit(ctx context.Context, m zigbee.Outgoing) (status uint8, err error) {
	return c.submit(ctx, confirmTime, afDataRequest, func(transaction uint8) []byte {
		b := make([]byte, 0, 10+len(m.Data))
		b = binary.LittleEndian.AppendUint16(b, uint16(m.Destination))
		b = append(b, m.DestinationEndpoint, m.SourceEndpoint)
		b = binary.LittleEndian.AppendUint16(b, m.Cluster)
		b = append(b, transaction, 0, m.Radius, byte(len(m.Data)))
		return append(b, m.Data...)
	})
}

// submit sends a data request and waits for its confirm.
func (c *Coordinator) submit(ctx context.Context, patience time.Duration, cmd command, request func(transaction uint8) []byte) (status uint8, err error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.link.done:
		return 0, c.link.failure()
	}
	defer func() { <-c.slots }()
	transaction, confirm := c.begin()
	defer c.finish(transaction)
	answer, err := c.link.once(ctx, cmd, request(transaction), answerTime)
	switch {
	case isLost(err):
		// The request or its response was lost; a confirm tells which. It is
		// not sent again: the device would do twice what is to be done once.
	case err != nil:
		return 0, err
	case answer[0] != statusSuccess:
		return answer[0], nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case status = <-confirm:
		return status, nil
	case <-timer.C:
		return 0, &zigbee.DeliveryError{Reason: zigbee.NoAck}
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.link.done:
		return 0, c.link.failure()
	}
}

// begin chooses a transaction that is not under way.
func (c *Coordinator) begin() (transaction uint8, confirm chan uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		c.next++
		if c.next != 0 && c.confirms[c.next] == nil {
			break
		}
	}
	confirm = make(chan uint8, 1)
	c.confirms[c.next] = confirm
	return c.next, confirm
}

func (c *Coordinator) finish(transaction uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.confirms[transaction] = nil
}

// confirm takes AF_DATA_CONFIRM: status, endpoint, transaction.
func (c *Coordinator) confirm(data []byte) {
	if len(data) < 3 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if waiting := c.confirms[data[2]]; waiting != nil {
		select {
		case waiting <- data[0]:
		default: // told twice
		}
	}
}

// spread sends a message to a group or to all. Nobody acknowledges it: what can be
// known is that the stick has sent it.
func (c *Coordinator) spread(ctx context.Context, m zigbee.Outgoing) error {
	mode, to := uint8(modeAddress), uint16(m.Destination)
	if m.Group != 0 {
		mode, to, m.DestinationEndpoint = modeGroup, m.Group, 0xff
	}
	for busy := 1; ; busy++ {
		if err := c.paceBroadcast(ctx); err != nil {
			return err
		}
		status, err := c.submit(ctx, groupConfirmTime, afDataRequestExt, func(transaction uint8) []byte {
			b := make([]byte, 0, 20+len(m.Data))
			b = append(b, mode)
			b = binary.LittleEndian.AppendUint64(b, uint64(to))
			b = append(b, m.DestinationEndpoint, 0, 0, m.SourceEndpoint)
			b = binary.LittleEndian.AppendUint16(b, m.Cluster)
			b = append(b, transaction, 0, m.Radius)
			b = binary.LittleEndian.AppendUint16(b, uint16(len(m.Data)))
			return append(b, m.Data...)
		})
		if delivery := (*zigbee.DeliveryError)(nil); errors.As(err, &delivery) {
			// Not every firmware confirms these.
			return nil
		}
		if err != nil || status == statusSuccess {
			return err
		}
		reason := reasonOf(status)
		if reason != zigbee.NoBuffers && reason != zigbee.NoChannel || busy == maxBusy {
			return &zigbee.DeliveryError{Reason: reason, Status: status}
		}
		if err := c.link.sleep(ctx, busyPause); err != nil {
			return err
		}
	}
}

// paceBroadcast waits until the last broadcast has spread.
func (c *Coordinator) paceBroadcast(ctx context.Context) error {
	c.mu.Lock()
	now := time.Now()
	at := c.broadcast.Add(broadcastPause)
	if at.Before(now) {
		at = now
	}
	c.broadcast = at
	c.mu.Unlock()
	return c.link.sleep(ctx, at.Sub(now))
}

// discoverRoute lets the stick look for a way to a device.
func (c *Coordinator) discoverRoute(ctx context.Context, device zigbee.NetworkAddress) error {
	b := binary.LittleEndian.AppendUint16(nil, uint16(device))
	err := c.link.do(ctx, zdoRouteDiscovery, append(b, 0, maxRadius))
	if refused := (*statusError)(nil); errors.As(err, &refused) {
		return nil // it is busy with another one; the message is tried all the same
	}
	return err
}
