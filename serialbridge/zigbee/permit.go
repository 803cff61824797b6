package zigbee

import (
	"context"
	"fmt"
	"time"
)

// maxPermit is the longest time that a network can be opened for: 255 means for ever
// (Zigbee specification, section 2.4.3.3.7), which nobody should.
const maxPermit = 254 * time.Second

// PermitJoin opens the network for at most 254 seconds, or closes it (0): everywhere
// if via is nil, else through that device alone; the coordinator's address is one.
func (n *Network) PermitJoin(ctx context.Context, duration time.Duration, via *IEEEAddress) error {
	if duration < 0 || duration > maxPermit {
		return fmt.Errorf("zigbee: the network cannot be open for %s; right is up to %s", duration, maxPermit)
	}
	s, err := n.started()
	if err != nil {
		return err
	}
	to := BroadcastRouters
	if via != nil {
		n.mu.Lock()
		d := n.nodes[*via]
		switch {
		case *via == n.info.IEEEAddress:
			to = ToCoordinator
		case d != nil:
			to = d.device.NetworkAddress
		}
		n.mu.Unlock()
		if to == BroadcastRouters {
			return ErrNoDevice
		}
		if to == UnknownAddress {
			return &DeliveryError{Reason: NoRoute}
		}
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	if err := s.coordinator.PermitJoin(ctx, to, duration); err != nil {
		return err
	}
	if via == nil {
		n.permitGreenPower(ctx, duration)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.permitEnd, n.permitVia = time.Time{}, 0
	if duration > 0 {
		n.permitEnd = time.Now().Add(duration)
		if via != nil {
			n.permitVia = *via
		}
	}
	return nil
}

// PermitJoinEnd returns until when the network is open, the zero time if it is closed.
func (n *Network) PermitJoinEnd() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !time.Now().Before(n.permitEnd) {
		return time.Time{}
	}
	return n.permitEnd
}

// PermitJoinVia returns through which device alone the network is open; 0: everywhere, or not
// at all.
func (n *Network) PermitJoinVia() IEEEAddress {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !time.Now().Before(n.permitEnd) {
		return 0
	}
	return n.permitVia
}
