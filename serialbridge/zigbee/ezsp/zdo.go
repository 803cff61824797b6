package ezsp

import (
	"context"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
)

// Clusters of the Zigbee Device Profile. That of an answer has the highest bit set.
const (
	zdpNetworkAddress = 0x0000
	zdpAnnounce       = 0x0013
	zdpPermitJoin     = 0x0036
	zdpUpdate         = 0x0038
	zdpAnswer         = 0x8000
)

// zdoTime is how long a device may take to answer after it has the request, or
// after it was sent. A device that sleeps has fetched it within 7.68 s.
const zdoTime = 15 * time.Second

// question is a request that waits for its answer.
type question struct {
	to       zigbee.NetworkAddress
	cluster  uint16 // of the answer
	answered chan struct{}
	answer   []byte // good once answered is closed
}

// ZDO asks a device; see [zigbee.Coordinator].
func (c *Coordinator) ZDO(ctx context.Context, to zigbee.NetworkAddress, cluster uint16, request []byte) ([]byte, error) {
	aps := apsFrame{profile: zigbee.ProfileZDO, cluster: cluster, options: apsOptions}
	q := &question{to: to, cluster: cluster | zdpAnswer, answered: make(chan struct{})}
	number, ok := c.newQuestion(q)
	if !ok {
		return nil, fmt.Errorf("ezsp: too many requests wait for their answers")
	}
	defer func() {
		c.mu.Lock()
		delete(c.questions, number)
		c.mu.Unlock()
	}()
	data := append([]byte{number}, request...)
	if to.IsBroadcast() {
		aps.group = uint16(to)
		return nil, c.broadcast(ctx, to, aps, unknownRadius, data)
	}
	if err := c.unicast(ctx, to, aps, data, q.answered); err != nil || cluster == zdpAnnounce {
		return nil, err
	}
	patience := time.NewTimer(zdoTime)
	defer patience.Stop()
	select {
	case <-q.answered:
		return q.answer, nil
	case <-patience.C:
		return nil, statusNoAPSAck.delivery("")
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// newQuestion gives a request its sequence number. The stack uses those from 128 on.
func (c *Coordinator) newQuestion(q *question) (uint8, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range 0x80 {
		c.zdo = (c.zdo + 1) & 0x7f
		if c.questions[c.zdo] == nil {
			c.questions[c.zdo] = q
			return c.zdo, true
		}
	}
	return 0, false
}

// zdoMessage takes a message of the Zigbee Device Profile. What devices ask the
// coordinator is answered by the stack.
func (c *Coordinator) zdoMessage(from zigbee.NetworkAddress, cluster uint16, data []byte) {
	if len(data) == 0 {
		c.count(&c.counters.Malformed)
		return
	}
	number, data := data[0], data[1:]
	switch {
	case cluster == zdpAnnounce:
		c.deviceAnnounce(data)
		return
	case cluster&zdpAnswer != 0 && c.answered(from, number, cluster, data):
		return
	case cluster == zdpNetworkAddress|zdpAnswer:
		// Of a broadcast that nobody waits for: where the device is.
		r := reader{rest: data}
		s, ieee, address := r.uint8(), r.ieee(), r.address()
		if !r.bad && s == 0 {
			c.remember(ieee, address)
			c.tell(zigbee.AddressChanged{IEEEAddress: ieee, NetworkAddress: address})
			return
		}
	}
	c.count(&c.counters.Strays)
}

// answered gives an answer to who waits for it.
func (c *Coordinator) answered(from zigbee.NetworkAddress, number uint8, cluster uint16, data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.questions[number]
	// Where a device is others may answer for it.
	if q == nil || q.cluster != cluster || q.to != from && cluster != zdpNetworkAddress|zdpAnswer {
		return false
	}
	delete(c.questions, number)
	q.answer = data
	close(q.answered)
	return true
}

func (c *Coordinator) deviceAnnounce(data []byte) {
	r := reader{rest: data}
	address, ieee, capability := r.address(), r.ieee(), r.uint8()
	if r.bad {
		c.count(&c.counters.Malformed)
		return
	}
	c.remember(ieee, address)
	c.tell(zigbee.Announced{IEEEAddress: ieee, NetworkAddress: address, Capability: capability})
}
