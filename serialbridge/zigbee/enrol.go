package zigbee

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// enrol makes the coordinator the one that a security sensor reports to (section
// 8.2.2.2.3): there are devices that ask for it, which the network answers, and
// others that want the answer without having asked.
func (n *Network) enrol(ctx context.Context, d *node, id uint8) error {
	ieee := d.device.IEEEAddress
	n.mu.Lock()
	coordinator := n.info.IEEEAddress
	n.mu.Unlock()
	enrolled := func() (bool, error) {
		read, err := n.read(ctx, ieee, interviewHold, id, clusterIASZone, 0, 0x0010, 0x0000)
		if err != nil {
			return false, err
		}
		var state, cie uint64
		for _, a := range read {
			v, _ := a.Value.(uint64)
			switch a.ID {
			case 0x0000:
				state = v
			case 0x0010:
				cie = v
			}
		}
		return state == 1 && IEEEAddress(cie) == coordinator, nil
	}
	done, err := enrolled()
	if err != nil || done {
		return wrapEnrol(err)
	}
	if err := n.Write(ctx, ieee, id, clusterIASZone, 0, zcl.Attribute{ID: 0x0010, Type: zcl.IEEE, Value: uint64(coordinator)}); err != nil {
		return wrapEnrol(err)
	}
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	_, err = n.Request(ctx, ieee, Request{
		Endpoint: id, Cluster: clusterIASZone, NoResponse: true, Hold: interviewHold,
		Frame: zcl.Frame{Type: zcl.Specific, DisableDefaultResponse: true, Command: 0, Payload: []byte{0, iasZoneID}},
	})
	if err != nil {
		return wrapEnrol(err)
	}
	for range 20 {
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		if done, err := enrolled(); err != nil || done {
			return wrapEnrol(err)
		}
	}
	return wrapEnrol(errors.New("it keeps to its state"))
}

func wrapEnrol(err error) error {
	if err != nil {
		err = fmt.Errorf("zigbee: the device does not enrol as a security sensor: %w", err)
	}
	return err
}
