package zigbee

import (
	"context"
	"encoding/binary"
)

// Leave_req flags (Zigbee specification, section 2.4.3.3.4).
const leaveWithoutRejoin = 0x00

// Remove has a device leave the network, and forgets it. With Force it is forgotten
// without being asked; it may then still be in the network.
func (n *Network) Remove(ctx context.Context, ieee IEEEAddress, o RemoveOptions) error {
	d, _, err := n.find(ieee)
	if err != nil {
		return err
	}
	if o.Block {
		if err := n.SetBlocked(ctx, ieee, true); err != nil {
			return err
		}
	}
	n.mu.Lock()
	greenPower := d.device.Type == GreenPower
	n.mu.Unlock()
	if greenPower {
		n.unpair(ctx, uint32(ieee))
	} else if !o.Force {
		data, err := n.zdo(ctx, d, 0, zdoLeave, func(NetworkAddress) []byte { return leaveRequest(ieee) })
		if err == nil {
			_, err = answer(data)
		}
		if err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nodes[ieee] == d { // the news that it has left may have come first
		n.forget(d)
	}
	return nil
}

func leaveRequest(ieee IEEEAddress) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(ieee)), leaveWithoutRejoin)
}

// sendAway has a device leave that may not be in the network.
func (n *Network) sendAway(ctx context.Context, ieee IEEEAddress, address NetworkAddress) {
	s, err := n.started()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, zdoTimeout)
	defer cancel()
	if _, err := s.coordinator.ZDO(ctx, address, zdoLeave, leaveRequest(ieee)); err != nil {
		n.log.Warn("a blocked Zigbee device does not leave", "device", ieee, "err", err)
	}
}
