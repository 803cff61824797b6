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
	resetTime = 30 * time.Second
	// commissionTime is how long a network may take to be formed: the stick
	// scans for others first.
	commissionTime = 100 * time.Second
	runTime        = time.Minute
	// settleTime is how long the stick may take to write down what it has formed.
	settleTime = 30 * time.Second
	// settlePause lets it write before it is reset.
	settlePause = time.Second
)

// isConfigured is the mark that a network is complete.
const isConfigured = 0x55

// Startup options: forget the configuration, forget the network.
const clearAll = 0x03

// The groups and modes of commissioning.
const (
	formNetwork     = 4 // of bdbStartCommissioning
	greenPowerGroup = 0x0b84
	startDelay      = 100 // milliseconds
	roleCoordinator = 0
)

// allianceKey12 is what Z-Stack 1.2 wants to know of the link key that all have: for
// any address, "ZigBeeAlliance09", counters.
var allianceKey12 = []byte("\xff\xff\xff\xff\xff\xff\xff\xffZigBeeAlliance09\x00\x00\x00\x00\x00\x00\x00\x00")

// errOrder is for who sends before the network runs.
var errOrder = errors.New("the Zigbee network is not started")

func (c *Coordinator) configuredItem() uint16 {
	if c.version.product == zStack12 {
		return nvConfigured12
	}
	return nvConfigured
}

// mark writes whether the network in the stick is complete. One that is not must
// not be resumed, say after the power failed while it was restored.
func (c *Coordinator) mark(ctx context.Context, complete bool) error {
	value := []byte{0}
	if complete {
		value[0] = isConfigured
	}
	return c.nvUpdate(ctx, c.configuredItem(), value)
}

// readNIB returns the network information, nil if there is none.
func (c *Coordinator) readNIB(ctx context.Context) (*nib, error) {
	data, err := c.nvRead(ctx, nvNIB)
	if err != nil || data == nil {
		return nil, err
	}
	return parseNIB(data, c.aligned)
}

// readKey returns the network key and its sequence number.
func (c *Coordinator) readKey(ctx context.Context) (key [16]byte, sequence uint8, err error) {
	if c.version.product == zStack12 {
		answer, err := c.link.request(ctx, sapiReadConfig, []byte{nvPreconfigKey})
		if err == nil {
			err = checkStatus(sapiReadConfig, answer)
		}
		if err == nil && len(answer) < 3+16 {
			err = zigbee.ErrNoNetwork
		}
		if err != nil {
			return key, 0, fmt.Errorf("read the network key: %w", err)
		}
		return [16]byte(answer[3:]), 0, nil
	}
	data, err := c.nvRead(ctx, nvActiveKey)
	switch {
	case err != nil:
		return key, 0, err
	case len(data) < 17:
		return key, 0, zigbee.ErrNoNetwork
	}
	return [16]byte(data[1:]), data[0], nil
}

// Network implements [zigbee.Coordinator].
func (c *Coordinator) Network(ctx context.Context) (p zigbee.Parameters, err error) {
	flag, err := c.nvRead(ctx, c.configuredItem())
	if err != nil {
		return p, err
	}
	if len(flag) == 0 || flag[0] != isConfigured {
		return p, zigbee.ErrNoNetwork
	}
	return c.parameters(ctx)
}

// parameters reads the network in the stick, complete or not.
func (c *Coordinator) parameters(ctx context.Context) (p zigbee.Parameters, err error) {
	n, err := c.readNIB(ctx)
	if err != nil {
		return p, err
	}
	if n == nil || !n.formed() {
		return p, zigbee.ErrNoNetwork
	}
	p.NetworkKey, p.KeySequence, err = c.readKey(ctx)
	if err != nil {
		return p, err
	}
	p.PANID, p.ExtendedPANID = n.pan(), n.extendedPAN()
	p.Channel, p.UpdateID = n.data[n.channel], n.data[n.updateID]
	return p, nil
}

// Resume implements [zigbee.Coordinator].
func (c *Coordinator) Resume(ctx context.Context) error {
	p, err := c.Network(ctx)
	if err != nil {
		return err
	}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("start the Zigbee network: %w", err)
	}
	if err := c.check(ctx, p); err != nil {
		return fmt.Errorf("start the Zigbee network: %w", err)
	}
	return c.serve(ctx)
}

// Form implements [zigbee.Coordinator]. The sequence number of the key and the
// update identifier of a new network are 0, whatever the parameters say.
func (c *Coordinator) Form(ctx context.Context, p zigbee.Parameters) error {
	if err := usable(p); err != nil {
		return err
	}
	if err := c.form(ctx, p, true); err != nil {
		return fmt.Errorf("form the Zigbee network: %w", err)
	}
	if err := c.mark(ctx, true); err != nil {
		return err
	}
	return c.serve(ctx)
}

// usable says whether a network can have these parameters.
func usable(p zigbee.Parameters) error {
	switch {
	case p.Channel < 11 || p.Channel > 26:
		return fmt.Errorf("there is no channel %d: choose one from 11 to 26", p.Channel)
	case p.PANID == 0 || p.PANID >= 0xfffe:
		return fmt.Errorf("a network cannot have the PAN ID 0x%04x: choose one from 0x0001 to 0xfffd", p.PANID)
	case p.ExtendedPANID == [8]byte{} || p.ExtendedPANID == anyNetwork:
		return errors.New("the extended PAN ID must not be all zeros or all ones")
	case p.NetworkKey == [16]byte{}:
		return errors.New("the network key must not be all zeros")
	}
	return nil
}

// form makes a new network; strict says that it must have its PAN ID.
func (c *Coordinator) form(ctx context.Context, p zigbee.Parameters, strict bool) error {
	c.setStarted(false)
	if err := c.mark(ctx, false); err != nil {
		return err
	}
	if err := c.nvDelete(ctx, nvNIB); err != nil {
		return err
	}
	if err := c.nvWrite(ctx, nvStartupOption, []byte{clearAll}); err != nil {
		return err
	}
	if err := c.reset(ctx); err != nil {
		return err
	}
	if err := c.nvWrite(ctx, nvStartupOption, []byte{0}); err != nil {
		return err
	}
	if err := c.writeConfiguration(ctx, p, 1<<p.Channel); err != nil {
		return err
	}
	if err := c.commission(ctx, 1<<p.Channel); err != nil {
		return err
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	info, err := c.networkInfo(ctx)
	if err != nil {
		return err
	}
	if strict && info.PANID != p.PANID {
		// The stick has heard another network of that name and taken the next.
		return fmt.Errorf("another network nearby has the PAN ID 0x%04x: choose another one", p.PANID)
	}
	return nil
}

// writeConfiguration writes what the stick starts with.
func (c *Coordinator) writeConfiguration(ctx context.Context, p zigbee.Parameters, mask uint32) error {
	extended := reversed(p.ExtendedPANID)
	for _, item := range []struct {
		id    uint16
		value []byte
	}{
		{nvStartupOption, []byte{0}},
		{nvLogicalType, []byte{roleCoordinator}},
		{nvDirectCallback, []byte{1}}, // answers of the ZDO come to us
		{nvChannelList, binary.LittleEndian.AppendUint32(nil, mask)},
		{nvPANID, binary.LittleEndian.AppendUint16(nil, p.PANID)},
		{nvExtendedPANID, extended[:]},
		{nvUseExtendedPANID, extended[:]},
		{nvPreconfigEnable, []byte{0}},
	} {
		if err := c.nvUpdate(ctx, item.id, item.value); err != nil {
			return err
		}
	}
	if c.version.product != zStack12 {
		return c.nvUpdate(ctx, nvPreconfigKey, p.NetworkKey[:])
	}
	key := append([]byte{nvPreconfigKey, 16}, p.NetworkKey[:]...)
	if err := c.link.do(ctx, sapiWriteConfig, key); err != nil {
		return fmt.Errorf("write the network key: %w", err)
	}
	return c.nvWrite(ctx, nvLinkKey12, allianceKey12)
}

// commission lets the stick form its network.
func (c *Coordinator) commission(ctx context.Context, mask uint32) error {
	if c.version.product == zStack12 {
		return c.run(ctx)
	}
	for _, channels := range [][]byte{
		binary.LittleEndian.AppendUint32([]byte{1}, mask),
		binary.LittleEndian.AppendUint32([]byte{0}, 0),
	} {
		if err := c.link.do(ctx, bdbSetChannel, channels); err != nil {
			return err
		}
	}
	started, err := c.expectState()
	if err != nil {
		return err
	}
	defer started.cancel()
	answer, err := c.link.once(ctx, bdbCommission, []byte{formNetwork}, startTime)
	if err == nil {
		err = checkStatus(bdbCommission, answer)
	}
	if err != nil && !isLost(err) { // the state tells, too
		return err
	}
	if _, err := started.get(ctx, commissionTime); errors.Is(err, errTimeout) {
		return errors.New("the stick does not form the network: another one with the same PAN ID " +
			"or extended PAN ID seems to be near; choose others, or another channel")
	} else if err != nil {
		return err
	}
	return nil
}

// expectState waits for the stick to be the coordinator.
func (c *Coordinator) expectState() (*wait, error) {
	return c.link.expect(zdoStateChange, func(data []byte) bool {
		return len(data) > 0 && data[0] == stateCoordinator
	})
}

// settle waits until the network is in the stick's memory.
func (c *Coordinator) settle(ctx context.Context) error {
	for deadline := time.Now().Add(settleTime); ; {
		n, err := c.readNIB(ctx)
		if err != nil {
			return err
		}
		if n != nil && n.formed() {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the stick does not write down the network that it has formed: reset it and try again")
		}
		if err := c.link.sleep(ctx, settlePause); err != nil {
			return err
		}
	}
}

// reset restarts the stick.
func (c *Coordinator) reset(ctx context.Context) error {
	c.setResetting(true)
	defer c.setResetting(false)
	for attempt := 1; ; attempt++ {
		restarted, err := c.link.expect(sysResetIndicate, nil)
		if err != nil {
			return err
		}
		if err = c.link.tell(ctx, sysResetRequest, []byte{1}); err == nil {
			_, err = restarted.get(ctx, resetTime)
		}
		restarted.cancel()
		if !errors.Is(err, errTimeout) {
			return err
		}
		if attempt == attempts {
			return fmt.Errorf("the stick does not restart: %w", errMute)
		}
	}
}

// run starts the network that the stick holds, if it does not run yet.
func (c *Coordinator) run(ctx context.Context) error {
	answer, err := c.link.request(ctx, utilDeviceInfo, nil)
	if err != nil {
		return err
	}
	if answer[12] == stateCoordinator {
		return nil
	}
	started, err := c.expectState()
	if err != nil {
		return err
	}
	defer started.cancel()
	delay := binary.LittleEndian.AppendUint16(nil, startDelay)
	answer, err = c.link.once(ctx, zdoStartup, delay, startTime)
	if err == nil {
		// 0: the network was restored, 1: it is a new one.
		err = checkStatus(zdoStartup, answer, statusFailure)
	}
	if err != nil && !isLost(err) {
		return err
	}
	if _, err := started.get(ctx, runTime); errors.Is(err, errTimeout) {
		return errors.New("the stick does not become coordinator: unplug it, wait a moment and plug it in again")
	} else if err != nil {
		return err
	}
	return nil
}

// networkInfo returns the network that runs; without keys.
func (c *Coordinator) networkInfo(ctx context.Context) (p zigbee.Parameters, err error) {
	answer, err := c.link.request(ctx, zdoNetworkInfo, nil)
	if err != nil {
		return p, err
	}
	p.PANID = binary.LittleEndian.Uint16(answer[3:])
	p.ExtendedPANID = reversed([8]byte(answer[7:]))
	p.Channel = answer[23]
	return p, nil
}

// check makes sure that the network that runs is the one that was wanted. The PAN ID
// may have changed: routers do that when another network has taken it.
func (c *Coordinator) check(ctx context.Context, want zigbee.Parameters) error {
	got, err := c.networkInfo(ctx)
	if err != nil {
		return err
	}
	if got.ExtendedPANID != want.ExtendedPANID {
		return fmt.Errorf("the stick has started the network %x instead of %x: restore it from a backup",
			got.ExtendedPANID, want.ExtendedPANID)
	}
	return nil
}

func (c *Coordinator) setStarted(started bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = started
}

func (c *Coordinator) setResetting(resetting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetting = resetting
}

// running fails unless the network is started.
func (c *Coordinator) running() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		return errOrder
	}
	return nil
}
