package ezsp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
)

const (
	// networkTime is how long the stack may take to start or leave a network.
	networkTime = 10 * time.Second

	securityLevel = 5 // encryption and a code of 32 bits, that of Zigbee PRO
	radioPower    = 5 // dBm

	nodeCoordinator = 1
	initParent      = 0x0001 // EmberNetworkInitBitmask: the parent is in the tokens
	initRejoin      = 0x0002
)

// Kinds of keys (SecManKeyType).
const (
	keyNetwork = 1
	keyTCLink  = 2
)

// Network returns the network that the stick holds; see [zigbee.Coordinator]. An
// EFR32 tells it only after it was started.
func (c *Coordinator) Network(ctx context.Context) (zigbee.Parameters, error) {
	c.starting.Lock()
	defer c.starting.Unlock()
	if err := c.wake(ctx); err != nil {
		return zigbee.Parameters{}, err
	}
	p, _, err := c.readNetwork(ctx)
	return p, err
}

// Resume starts the network that the stick holds.
func (c *Coordinator) Resume(ctx context.Context) error {
	c.starting.Lock()
	defer c.starting.Unlock()
	if err := c.wake(ctx); err != nil {
		return err
	}
	return c.begin(ctx)
}

// wake starts the network that the stick holds, if it does not run already.
func (c *Coordinator) wake(ctx context.Context) error {
	c.mu.Lock()
	up := c.up
	c.mu.Unlock()
	if up {
		return nil
	}
	statuses, stop := c.watch()
	defer stop()
	r, err := c.call(ctx, cmdNetworkInit, append16(nil, initParent|initRejoin))
	if err != nil {
		return fmt.Errorf("ezsp: start the network: %w", err)
	}
	s := r.status(c.version())
	if s == statusNotJoined {
		return zigbee.ErrNoNetwork
	}
	if err := c.check(r, s, "start the network"); err != nil {
		return err
	}
	return c.await(ctx, statuses, statusNetworkUp, "start the network")
}

// await waits for a status of the stack.
func (c *Coordinator) await(ctx context.Context, statuses <-chan status, want status, doing string) error {
	patience := time.NewTimer(networkTime)
	defer patience.Stop()
	for {
		select {
		case s := <-statuses:
			if s == want {
				return nil
			}
		case <-patience.C:
			return fmt.Errorf("ezsp: %s: the stick does not say that it is done", doing)
		case <-c.done:
			return c.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin makes the stick a concentrator and lets events be told.
func (c *Coordinator) begin(ctx context.Context) error {
	const (
		enoughMemory     = 0xfff9 // for the source routes of the network
		minTime, maxTime = 5, 60  // seconds between two requests for routes
		routeErrors      = 3      // so many make one due at once
		failures         = 1
		maxHops          = 0 // as many as the stack allows
		reschedule       = 2
	)
	p := append16([]byte{1}, enoughMemory)
	p = append16(p, minTime)
	p = append16(p, maxTime)
	p = append(p, routeErrors, failures, maxHops)
	if err := c.demand(ctx, cmdSetConcentrator, p, "become a concentrator"); err != nil {
		return err
	}
	if _, err := c.call(ctx, cmdSetSourceRouteDiscovery, []byte{reschedule}); err != nil {
		return fmt.Errorf("ezsp: ask for routes: %w", err)
	}
	c.mu.Lock()
	c.announced = true
	c.mu.Unlock()
	return nil
}

// readNetwork reads the network that runs.
func (c *Coordinator) readNetwork(ctx context.Context) (zigbee.Parameters, networkParameters, error) {
	fail := func(err error) (zigbee.Parameters, networkParameters, error) {
		return zigbee.Parameters{}, networkParameters{}, err
	}
	r, err := c.call(ctx, cmdGetNetworkParameters, nil)
	if err != nil {
		return fail(fmt.Errorf("ezsp: read the network: %w", err))
	}
	s, node := r.status(c.version()), r.uint8()
	n := r.networkParameters()
	if err := c.check(r, s, "read the network"); err != nil {
		return fail(err)
	}
	if node != nodeCoordinator {
		// It has joined somebody else's network as a router or end device.
		return fail(zigbee.ErrNoNetwork)
	}
	key, err := c.exportKey(ctx, keyNetwork, "read the network key")
	if err != nil {
		return fail(err)
	}
	info, err := c.keyInfo(ctx)
	if err != nil {
		return fail(err)
	}
	return zigbee.Parameters{
		PANID:         n.panID,
		ExtendedPANID: reversed(n.extendedPANID),
		Channel:       n.channel,
		NetworkKey:    key,
		KeySequence:   info.sequence,
		UpdateID:      n.updateID,
	}, n, nil
}

// networkKeyInfo is what the stick says of the network key.
type networkKeyInfo struct {
	sequence     uint8
	frameCounter uint32
}

func (c *Coordinator) keyInfo(ctx context.Context) (networkKeyInfo, error) {
	const doing = "read about the network key"
	r, err := c.call(ctx, cmdGetNetworkKeyInfo, nil)
	if err != nil {
		return networkKeyInfo{}, fmt.Errorf("ezsp: %s: %w", doing, err)
	}
	s, set := status(r.uint32()), r.uint8()
	r.bytes(1)
	info := networkKeyInfo{sequence: r.uint8()}
	r.bytes(1)
	info.frameCounter = r.uint32()
	if err := c.check(r, s, doing); err != nil {
		return info, err
	}
	if set == 0 {
		return info, errors.New("ezsp: the stick holds no network key: form a new network or restore one")
	}
	return info, nil
}

// keyContext says which key is meant (sl_zb_sec_man_context_t).
func keyContext(kind, index uint8) []byte {
	const permission = 0x05440100 // of the PSA: CCM* with a tag of four bytes
	p := []byte{kind, index, 0, 0}
	p = appendIEEE(p, 0)
	return append32(append(p, 0, 0), permission)
}

const keyContextSize = 18

// exportKey reads a key.
func (c *Coordinator) exportKey(ctx context.Context, kind uint8, doing string) ([16]byte, error) {
	r, err := c.call(ctx, cmdExportKey, keyContext(kind, 0))
	if err != nil {
		return [16]byte{}, fmt.Errorf("ezsp: %s: %w", doing, err)
	}
	var s status
	var key [16]byte
	if c.version() >= 14 {
		s, key = status(r.uint32()), r.key()
	} else {
		key, s = r.key(), status(r.uint32())
	}
	return key, c.check(r, s, doing)
}

// Form makes a new network.
func (c *Coordinator) Form(ctx context.Context, p zigbee.Parameters) error {
	c.starting.Lock()
	defer c.starting.Unlock()
	if p.Channel < 11 || p.Channel > 26 {
		return fmt.Errorf("ezsp: form a network: there is no channel %d, right are 11 to 26", p.Channel)
	}
	if err := c.leave(ctx); err != nil {
		return err
	}
	if err := c.demand(ctx, cmdClearKeyTable, nil, "clear the link keys"); err != nil {
		return err
	}
	if err := c.form(ctx, p, newKey(), zigbee.Channels, 0); err != nil {
		return err
	}
	return c.begin(ctx)
}

// leave ends the network that the stick holds, so that it has none.
func (c *Coordinator) leave(ctx context.Context) error {
	if err := c.wake(ctx); err != nil {
		if errors.Is(err, zigbee.ErrNoNetwork) {
			return nil
		}
		return err
	}
	statuses, stop := c.watch()
	defer stop()
	var p []byte
	if c.version() >= 14 {
		p = []byte{0} // no options: the devices are not told
	}
	if err := c.demand(ctx, cmdLeaveNetwork, p, "leave the network"); err != nil {
		return err
	}
	c.mu.Lock()
	clear(c.addresses)
	c.mu.Unlock()
	return c.await(ctx, statuses, statusNetworkDown, "leave the network")
}

// Security of a network that is formed (EmberInitialSecurityBitmask,
// EmberExtendedSecurityBitmask).
const (
	hashedLinkKey       = 0x0084 // each device has its own, made from one
	havePreconfigured   = 0x0100
	haveTrustCenter     = 0x0040 // its address
	haveNetworkKey      = 0x0200
	requireEncryptedKey = 0x0800
	keepFrameCounter    = 0x1000

	joinerGlobalLinkKey  = 0x0010
	ignoreLeaveRequests  = 0x0100 // nobody tells the coordinator to leave
	joinMACAssociation   = 0
	networkManagerItself = 0
)

// form makes a network; security keeps bits for more than a new one.
func (c *Coordinator) form(ctx context.Context, p zigbee.Parameters, link [16]byte, channels uint32, security uint16) error {
	// The address of the trust center is told because firmware that takes it from
	// elsewhere was seen to have another one, and then does not answer devices that
	// ask for their link key (zigpy/bellows, pull request 577).
	s := append16(nil, hashedLinkKey|havePreconfigured|haveTrustCenter|haveNetworkKey|requireEncryptedKey|security)
	s = append(s, link[:]...)
	s = append(s, p.NetworkKey[:]...)
	s = append(s, p.KeySequence)
	s = appendIEEE(s, c.Info().IEEEAddress)
	if err := c.demand(ctx, cmdSetInitialSecurityState, s, "set the keys"); err != nil {
		return err
	}
	extended := uint16(joinerGlobalLinkKey | ignoreLeaveRequests)
	if err := c.setValue(ctx, valueExtendedSecurity, append16(nil, extended), "set the security"); err != nil {
		return err
	}
	n := networkParameters{
		extendedPANID: reversed(p.ExtendedPANID),
		panID:         p.PANID,
		power:         radioPower,
		channel:       p.Channel,
		joinMethod:    joinMACAssociation,
		manager:       networkManagerItself,
		updateID:      p.UpdateID,
		channels:      channels,
	}
	statuses, stop := c.watch()
	defer stop()
	if err := c.demand(ctx, cmdFormNetwork, n.append(nil), "form the network"); err != nil {
		return err
	}
	if err := c.await(ctx, statuses, statusNetworkUp, "form the network"); err != nil {
		return err
	}
	return c.setValue(ctx, valueStackTokenWriting, []byte{1}, "keep the network")
}

func reversed(b [8]byte) [8]byte {
	slices.Reverse(b[:])
	return b
}
