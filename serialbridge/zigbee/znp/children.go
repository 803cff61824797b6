package znp

import (
	"context"
	"encoding/binary"
	"errors"

	"lintel/serialbridge/zigbee"
)

// A stick that holds a device for its child keeps messages until the device asks for
// them. Children do not say so when they move to another parent, and the firmware never
// forgets one, so a message may wait for nobody. Taken out of the table of children
// the device is reached by a route, if there is one.

// A relation is an entry of the table of children.
type relation struct {
	device  zigbee.IEEEAddress
	address zigbee.NetworkAddress
	kind    uint8
}

// noRelation is the kind of what is in no table.
const noRelation = 0xff

// heardFrom notes that a device is there.
func (c *Coordinator) heardFrom(device zigbee.NetworkAddress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failures, device)
}

// doubtChild counts a message that has expired. When there are too many of them it
// takes the device out of the table of children and returns what was there.
func (c *Coordinator) doubtChild(ctx context.Context, device zigbee.NetworkAddress) (*relation, error) {
	c.mu.Lock()
	if len(c.failures) >= maxFailures {
		clear(c.failures)
	}
	c.failures[device]++
	doubtful := c.failures[device] >= repairAfter
	c.mu.Unlock()
	if !doubtful || !c.version.repairsChildren() {
		return nil, nil
	}
	r, err := c.findChild(ctx, device)
	if r == nil || err != nil {
		return nil, ignoreRefusal(err)
	}
	c.log.Debug("take a device out of the table of children", "device", r.device)
	if err := c.link.do(ctx, utilAssocRemove, binary.LittleEndian.AppendUint64(nil, uint64(r.device))); err != nil {
		return nil, ignoreRefusal(err)
	}
	if err := c.discoverRoute(ctx, device); err != nil {
		return r, err
	}
	return r, c.link.sleep(ctx, routeTime)
}

// findChild returns the entry of a device, nil if there is none.
func (c *Coordinator) findChild(ctx context.Context, device zigbee.NetworkAddress) (*relation, error) {
	question := make([]byte, 8, 10) // no IEEE address: look for the other one
	question = binary.LittleEndian.AppendUint16(question, uint16(device))
	answer, err := c.link.request(ctx, utilAssocFind, question)
	if err != nil {
		return nil, err
	}
	if address(answer) != device || answer[4] == noRelation {
		return nil, nil
	}
	r := &relation{address: device, kind: answer[4]}
	answer, err = c.link.request(ctx, utilAddressLookup, question[8:])
	if err != nil {
		return nil, err
	}
	if r.device = ieee(answer); r.device == 0 || r.device == 1<<64-1 {
		return nil, nil
	}
	return r, nil
}

// putBack puts a device back into the table of children.
func (c *Coordinator) putBack(ctx context.Context, r *relation) {
	b := binary.LittleEndian.AppendUint64(nil, uint64(r.device))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.address))
	if err := c.link.do(ctx, utilAssocAdd, append(b, r.kind)); err != nil {
		c.log.Warn("a sleeping device cannot be put back into the table of children", "device", r.device, "err", err)
	}
}

// ignoreRefusal drops an error that says that the firmware does not do that.
func ignoreRefusal(err error) error {
	refused, unknown := (*statusError)(nil), (*unknownError)(nil)
	if errors.As(err, &refused) || errors.As(err, &unknown) {
		return nil
	}
	return err
}
