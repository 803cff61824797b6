package ezsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
)

// scan is an energy scan under way.
type scan struct {
	energy map[uint8]uint8
	done   chan status
}

const (
	scanEnergy   = 0
	scanDuration = 4 // (2^4+1) times 15.36 ms for each channel
	scanTime     = 15 * time.Second

	// What an EFR32 measures, in dBm, that counts as 0 and as 255.
	quiet, loud = -100, -20
)

// EnergyScan measures how much is going on; see [zigbee.Coordinator].
func (c *Coordinator) EnergyScan(ctx context.Context, channels uint32) (map[uint8]uint8, error) {
	s := &scan{energy: make(map[uint8]uint8), done: make(chan status, 1)}
	c.mu.Lock()
	busy := c.scan != nil
	if !busy {
		c.scan = s
	}
	c.mu.Unlock()
	if busy {
		return nil, errors.New("ezsp: scan: there is a scan already")
	}
	defer func() {
		c.mu.Lock()
		c.scan = nil
		c.mu.Unlock()
	}()
	p := append32([]byte{scanEnergy}, channels&zigbee.Channels)
	r, err := c.call(ctx, cmdStartScan, append(p, scanDuration))
	if err != nil {
		return nil, fmt.Errorf("ezsp: scan: %w", err)
	}
	if err := c.check(r, status(r.uint32()), "scan"); err != nil {
		return nil, err
	}
	patience := time.NewTimer(scanTime)
	defer patience.Stop()
	select {
	case result := <-s.done:
		if result != statusOK {
			return nil, fmt.Errorf("ezsp: scan: the stick says: %w", statusError(result))
		}
		return s.energy, nil
	case <-patience.C:
		return nil, errors.New("ezsp: scan: the stick does not come to an end")
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// scanned takes what a scan has measured, or that it is over.
func (c *Coordinator) scanned(id frameID, r *reader) {
	channel := r.uint8()
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == cbScanComplete {
		if s := r.status(c.version()); !r.bad && c.scan != nil {
			select {
			case c.scan.done <- s:
			default:
			}
		}
		return
	}
	dBm := int(int8(r.uint8()))
	if !r.bad && c.scan != nil && channel >= 11 && channel <= 26 {
		c.scan.energy[channel] = uint8((min(max(dBm, quiet), loud) - quiet) * 255 / (loud - quiet))
	}
}

const (
	// changeTime is how long it takes until the stick changes the channel by
	// itself after it has told the network: about nine seconds, so that
	// the broadcast has gone everywhere.
	changeTime = 12 * time.Second

	scanDurationChange = 0xfe // of a Mgmt_NWK_Update_req: do not scan, change
)

// ChangeChannel moves the network: it tells all devices that listen, and the stick
// follows them.
func (c *Coordinator) ChangeChannel(ctx context.Context, channel uint8) error {
	if channel < 11 || channel > 26 {
		return fmt.Errorf("ezsp: there is no channel %d, right are 11 to 26", channel)
	}
	before, _, err := c.readNetwork(ctx)
	if err != nil {
		return err
	}
	if before.Channel == channel {
		return nil
	}
	statuses, stop := c.watch()
	defer stop()
	request := append(append32(nil, 1<<channel), scanDurationChange, before.UpdateID+1)
	if _, err := c.ZDO(ctx, zigbee.BroadcastAwake, zdpUpdate, request); err != nil {
		return err
	}
	patience := time.NewTimer(changeTime)
	defer patience.Stop()
	for changed := false; !changed; {
		select {
		case s := <-statuses:
			changed = s == statusChannelChanged
		case <-patience.C:
			// Not every firmware hears itself.
			changed = true
		case <-c.done:
			return c.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	after, _, err := c.readNetwork(ctx)
	if err != nil || after.Channel == channel {
		return err
	}
	return c.demand(ctx, cmdSetRadioChannel, []byte{channel}, "change the channel")
}
