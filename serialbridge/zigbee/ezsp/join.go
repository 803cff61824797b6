package ezsp

import (
	"context"
	"fmt"
	"math"
	"time"

	"lintel/serialbridge/zigbee"
)

// wellKnownKey is the link key with which devices join that have no install code:
// ZigBeeAlliance09 (Zigbee base device behavior, section 6.3.1).
var wellKnownKey = [16]byte([]byte("ZigBeeAlliance09"))

// PermitJoin opens or closes the network; see [zigbee.Coordinator].
func (c *Coordinator) PermitJoin(ctx context.Context, via zigbee.NetworkAddress, duration time.Duration) error {
	seconds := uint8(min(math.Ceil(duration.Seconds()), 254))
	if err := c.admit(ctx, seconds > 0); err != nil {
		return err
	}
	const significant = 1 // for the trust center
	request := []byte{seconds, significant}
	if !via.IsBroadcast() && via != zigbee.ToCoordinator {
		answer, err := c.ZDO(ctx, via, zdpPermitJoin, request)
		if err != nil {
			return err
		}
		if len(answer) > 0 && answer[0] != 0 {
			return fmt.Errorf("ezsp: the device 0x%04x does not open the network: status 0x%02x", uint16(via), answer[0])
		}
		return nil
	}
	if err := c.demand(ctx, cmdPermitJoining, []byte{seconds}, "open or close the network"); err != nil {
		return err
	}
	if via == zigbee.ToCoordinator {
		return nil
	}
	_, err := c.ZDO(ctx, zigbee.BroadcastRouters, zdpPermitJoin, request)
	return err
}

// admit makes the trust center let devices in that do not have the network key, or
// only those that come back.
func (c *Coordinator) admit(ctx context.Context, joins bool) error {
	if !joins {
		if _, err := c.call(ctx, cmdClearTransientLinkKeys, nil); err != nil {
			return fmt.Errorf("ezsp: forget the keys for joining: %w", err)
		}
		return c.setPolicy(ctx, policyTrustCenter, allowUnsecuredRejoins)
	}
	if err := c.importTransientKey(ctx, blankAddress, wellKnownKey); err != nil {
		return err
	}
	return c.setPolicy(ctx, policyTrustCenter, allowJoins|allowUnsecuredRejoins)
}

// AddInstallCode lets a device join with its own key. It lasts five minutes, or
// until the network is closed.
func (c *Coordinator) AddInstallCode(ctx context.Context, device zigbee.IEEEAddress, key [16]byte) error {
	return c.importTransientKey(ctx, device, key)
}

func (c *Coordinator) importTransientKey(ctx context.Context, device zigbee.IEEEAddress, key [16]byte) error {
	const doing = "set a key for joining"
	p := append(appendIEEE(nil, device), key[:]...)
	if c.version() < 14 {
		p = append(p, 0) // flags
	}
	r, err := c.call(ctx, cmdImportTransientKey, p)
	if err != nil {
		return fmt.Errorf("ezsp: %s: %w", doing, err)
	}
	return c.check(r, status(r.uint32()), doing)
}
