package znp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"lintel/serialbridge/zigbee"
)

const (
	// maxPermit is the longest that a network is opened at once; 255 would be
	// for ever.
	maxPermit = 254 * time.Second

	// scanDuration makes a scan of a channel last about 140 ms: (2^3 + 1)
	// times 15.36 ms.
	scanDuration    = 3
	maxScanDuration = 5
	// changeChannel in place of a duration changes the channel (Zigbee
	// specification, section 2.4.3.3.9).
	changeChannel = 0xfe
	// moveTime is how long the stick may take to change the channel: the broadcast
	// has to be everywhere first.
	moveTime = 30 * time.Second
	// obeyTime is after how long it is told so by itself: firmware may not obey
	// what it broadcasts.
	obeyTime = 12 * time.Second
)

// scanTime is how long a scan of these channels lasts.
func scanTime(channels uint32, duration uint8) time.Duration {
	const superframe = 15360 * time.Microsecond
	return time.Duration(bits.OnesCount32(channels)) * superframe * (1<<min(duration, 14) + 1)
}

// PermitJoin implements [zigbee.Coordinator].
func (c *Coordinator) PermitJoin(ctx context.Context, via zigbee.NetworkAddress, duration time.Duration) error {
	if duration < 0 || duration > maxPermit {
		return fmt.Errorf("a network can be opened for %v at most, not for %v", maxPermit, duration)
	}
	// The second byte says that the trust center is to agree; it always has to.
	request := []byte{byte((duration + time.Second - 1) / time.Second), 1}
	answer, err := c.ZDO(ctx, via, zdpPermitJoin, request)
	if err != nil {
		return fmt.Errorf("permit joining: %w", err)
	}
	if len(answer) > 0 && answer[0] != statusSuccess {
		return fmt.Errorf("permit joining: the device refuses with status 0x%02x", answer[0])
	}
	return nil
}

// keyOfInstallCode is the form of what is told: the key that was made of the code.
const keyOfInstallCode = 2

// AddInstallCode implements [zigbee.Coordinator].
func (c *Coordinator) AddInstallCode(ctx context.Context, device zigbee.IEEEAddress, key [16]byte) error {
	if c.version.product == zStack12 {
		return errors.New("this stick has Z-Stack 1.2, which knows no install codes: flash Z-Stack 3 coordinator firmware")
	}
	if err := c.running(); err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint64([]byte{keyOfInstallCode}, uint64(device))
	if err := c.link.do(ctx, bdbAddInstallCode, append(b, key[:]...)); err != nil {
		return fmt.Errorf("add the install code of %v: %w", device, err)
	}
	return nil
}

// EnergyScan implements [zigbee.Coordinator].
func (c *Coordinator) EnergyScan(ctx context.Context, channels uint32) (map[uint8]uint8, error) {
	if channels&^zigbee.Channels != 0 || channels == 0 {
		return nil, fmt.Errorf("the mask 0x%08x is not one of the channels 11 to 26", channels)
	}
	request := binary.LittleEndian.AppendUint32(nil, channels)
	answer, err := c.ZDO(ctx, zigbee.ToCoordinator, zdpUpdate, append(request, scanDuration, 1))
	if err != nil {
		return nil, fmt.Errorf("measure the energy of channels: %w", err)
	}
	// Status, mask, transmissions u16, failures u16, number, one byte a channel.
	if len(answer) < 10 || answer[0] != statusSuccess || len(answer) < 10+int(answer[9]) {
		return nil, errors.New("measure the energy of channels: the stick gives no values")
	}
	mask, values := binary.LittleEndian.Uint32(answer[1:]), answer[10:10+int(answer[9])]
	energy := make(map[uint8]uint8)
	for channel := uint8(11); channel <= 26 && len(values) > 0; channel++ {
		if mask&(1<<channel) != 0 {
			energy[channel], values = values[0], values[1:]
		}
	}
	return energy, nil
}

// ChangeChannel implements [zigbee.Coordinator].
func (c *Coordinator) ChangeChannel(ctx context.Context, channel uint8) error {
	if channel < 11 || channel > 26 {
		return fmt.Errorf("there is no channel %d: choose one from 11 to 26", channel)
	}
	if err := c.running(); err != nil {
		return err
	}
	p, err := c.parameters(ctx)
	if err != nil || p.Channel == channel {
		return err
	}
	request := binary.LittleEndian.AppendUint32(nil, 1<<channel)
	request = append(request, changeChannel, p.UpdateID+1)
	if _, err := c.zdo(ctx, zigbee.BroadcastAll, zdpUpdate, request); err != nil {
		return fmt.Errorf("change the channel: %w", err)
	}
	told := false
	for start := time.Now(); ; {
		if err := c.link.sleep(ctx, settlePause); err != nil {
			return err
		}
		// What runs changes before what is written down.
		info, err := c.networkInfo(ctx)
		if err != nil {
			return err
		}
		if p, err = c.parameters(ctx); err != nil {
			return err
		}
		if info.Channel == channel && p.Channel == channel {
			return nil
		}
		if !told && time.Since(start) > obeyTime {
			told = true
			data, err := zdoRequest(zigbee.ToCoordinator, zdpUpdate, request)
			if err != nil {
				return err
			}
			if err := c.link.do(ctx, zdoUpdate, data); err != nil {
				return fmt.Errorf("change the channel of the stick: %w", err)
			}
		}
		if time.Since(start) > moveTime {
			return fmt.Errorf("the stick stays on channel %d: try again, or another channel", info.Channel)
		}
	}
}
