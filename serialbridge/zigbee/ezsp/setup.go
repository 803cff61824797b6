package ezsp

import (
	"context"
	"fmt"

	"lintel/serialbridge/zigbee"
)

// Configuration values (UG100, EzspConfigId).
const (
	configStackProfile        = 0x0c
	configSecurityLevel       = 0x0d
	configMaxHops             = 0x10
	configMaxChildren         = 0x11
	configIndirectTimeout     = 0x12
	configPollTimeout         = 0x13
	configAddressCacheSize    = 0x19 // of the trust center
	configKeyTableSize        = 0x1e
	configSupportedNetworks   = 0x2d
	configTransientKeyTimeout = 0x36
)

// Values (EzspValueId).
const (
	valueStackTokenWriting   = 0x07
	valueExtendedSecurity    = 0x0a
	valueVersionInfo         = 0x11
	valueCCAThreshold        = 0x15
	valueNetworkFrameCounter = 0x23
	valueAPSFrameCounter     = 0x24
	valueTransientDevice     = 0x43
)

// Policies (EzspPolicyId) and the decisions for them.
const (
	policyTrustCenter         = 0x00
	policyBindingModification = 0x01
	policyMessageContents     = 0x04
	policyTCKeyRequest        = 0x05
	policyAppKeyRequest       = 0x06

	allowJoins            = 0x01
	allowUnsecuredRejoins = 0x02

	validBindingsOnly  = 0x12
	tagOnly            = 0x40
	sendCurrentTCKey   = 0x51
	denyAppKeyRequests = 0x60
)

// endpoint is an application of the coordinator.
type endpoint struct {
	id            uint8
	profile       uint16
	device        uint16
	input, output []uint16
	groups        []uint16
}

// endpoints are those of the coordinator: devices look at their clusters before
// they bind, and ask them for the time and for upgrades. Group 901 is the one that
// zigbee2mqtt binds remote controls to, 0x0b84 is that of Green Power (GP
// specification, section A.3.6.3.3.1).
var endpoints = [...]endpoint{
	{
		id: zigbee.EndpointHome, profile: zigbee.ProfileHomeAutomation, device: 0x0065,
		input: []uint16{0x0000, 0x0003, 0x0006, 0x0008, 0x000a, 0x0019, 0x0300},
		output: []uint16{
			0x0000, 0x0003, 0x0004, 0x0005, 0x0006, 0x0008, 0x0020, 0x0300, 0x0400, 0x0402,
			0x0405, 0x0406, 0x0500, 0x0702, 0x0b01, 0x0b03, 0x0b04, 0x1000,
		},
		groups: []uint16{0, 901},
	},
	{
		id: zigbee.EndpointGreenPower, profile: zigbee.ProfileGreenPower, device: 0x0066,
		input: []uint16{0x0021}, output: []uint16{0x0021},
		groups: []uint16{0x0b84},
	},
}

// start resets the stick, agrees on a version and sets it up.
func (c *Coordinator) start(ctx context.Context) error {
	if _, err := c.do(ctx, &command{reset: true}); err != nil {
		return err
	}
	if err := c.negotiate(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	c.up, c.announced, c.groups, c.manufacturer = false, false, nil, manufacturerSilabs
	c.mu.Unlock()
	if err := c.configure(ctx); err != nil {
		return err
	}
	return c.identify(ctx)
}

// negotiate agrees on the version of EZSP: first in the format that all versions
// know, then in that of the version.
func (c *Coordinator) negotiate(ctx context.Context) error {
	answer, err := c.do(ctx, &command{id: cmdVersion, params: []byte{minVersion}, legacy: true})
	if err != nil {
		return fmt.Errorf("ezsp: ask for the version: %w", err)
	}
	r := reader{rest: answer}
	version, stack := r.uint8(), r.uint8()
	switch {
	case r.bad:
		return fmt.Errorf("ezsp: the answer to version is too short: the firmware is not EmberZNet")
	case version < minVersion:
		return fmt.Errorf("ezsp: the firmware speaks EZSP %d; flash EmberZNet 7.4 or later", version)
	case stack != stackMesh:
		return fmt.Errorf("ezsp: the stack of the firmware is of type %d and not Zigbee: flash EmberZNet 7.4 or later as a coordinator (NCP)", stack)
	case version > lastVersion:
		c.log.Warn("the firmware is newer than this program", "ezsp", version, "known", lastVersion)
	}
	if _, err := c.call(ctx, cmdVersion, []byte{version}); err != nil {
		return fmt.Errorf("ezsp: agree on version %d: %w", version, err)
	}
	c.agreed.Store(uint32(version))
	return nil
}

// configure sets the stack up as zigbee-herdsman does. Firmware refuses what it was
// built without, and goes on with its own value.
func (c *Coordinator) configure(ctx context.Context) error {
	for _, set := range [...]struct {
		id     frameID
		params []byte
	}{
		config(configAddressCacheSize, 2),
		config(configIndirectTimeout, 7680), // milliseconds: what Zigbee PRO says
		config(configMaxHops, 30),
		config(configSupportedNetworks, 1),
		policy(policyBindingModification, validBindingsOnly),
		policy(policyMessageContents, tagOnly),
		value(valueTransientDevice, 0x10, 0x27), // ten seconds, for devices on their way from parent to parent
		{cmdSetManufacturerCode, append16(nil, manufacturerSilabs)},
		config(configStackProfile, 2), // Zigbee PRO
		config(configSecurityLevel, securityLevel),
		config(configMaxChildren, 32),
		config(configPollTimeout, 8), // 2^8 minutes: children are forgotten late
		config(configTransientKeyTimeout, 300),
		value(valueCCAThreshold, 0), // the side effect helps broadcasts where there is much noise
	} {
		r, err := c.call(ctx, set.id, set.params)
		if err != nil {
			return fmt.Errorf("ezsp: set up the stick: %w", err)
		}
		if set.id == cmdSetManufacturerCode {
			continue // has no status
		}
		if s := r.ezspStatus(c.version()); s != statusOK {
			c.log.Info("the firmware keeps a value of its own", "command", set.id, "params", set.params, "err", statusError(s))
		}
	}
	for _, e := range endpoints {
		if err := c.register(ctx, e); err != nil {
			return err
		}
	}
	for _, p := range [...][2]uint8{
		{policyTCKeyRequest, sendCurrentTCKey},
		{policyAppKeyRequest, denyAppKeyRequests},
		{policyTrustCenter, allowUnsecuredRejoins}, // until PermitJoin
	} {
		if err := c.setPolicy(ctx, p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

type setting = struct {
	id     frameID
	params []byte
}

func config(id uint8, v uint16) setting {
	return setting{cmdSetConfigurationValue, []byte{id, byte(v), byte(v >> 8)}}
}

func policy(id, decision uint8) setting { return setting{cmdSetPolicy, []byte{id, decision}} }

func value(id uint8, v ...byte) setting {
	return setting{cmdSetValue, append([]byte{id, byte(len(v))}, v...)}
}

func (c *Coordinator) setPolicy(ctx context.Context, id, decision uint8) error {
	r, err := c.call(ctx, cmdSetPolicy, []byte{id, decision})
	if err != nil {
		return fmt.Errorf("ezsp: set policy %d: %w", id, err)
	}
	return c.check(r, r.ezspStatus(c.version()), fmt.Sprintf("set policy %d", id))
}

func (c *Coordinator) setValue(ctx context.Context, id uint8, v []byte, doing string) error {
	s := value(id, v...)
	r, err := c.call(ctx, s.id, s.params)
	if err != nil {
		return fmt.Errorf("ezsp: %s: %w", doing, err)
	}
	return c.check(r, r.ezspStatus(c.version()), doing)
}

// register adds an endpoint.
func (c *Coordinator) register(ctx context.Context, e endpoint) error {
	p := []byte{e.id}
	p = append16(p, e.profile)
	p = append16(p, e.device)
	p = append(p, 1, byte(len(e.input)), byte(len(e.output)))
	for _, clusters := range [][]uint16{e.input, e.output} {
		for _, cluster := range clusters {
			p = append16(p, cluster)
		}
	}
	doing := fmt.Sprintf("register endpoint %d", e.id)
	r, err := c.call(ctx, cmdAddEndpoint, p)
	if err != nil {
		return fmt.Errorf("ezsp: %s: %w", doing, err)
	}
	if err := c.check(r, r.ezspStatus(c.version()), doing); err != nil {
		return err
	}
	for _, group := range e.groups {
		if err := c.listen(ctx, group, e.id); err != nil {
			return err
		}
	}
	return nil
}

// listen makes the coordinator a member of a group.
func (c *Coordinator) listen(ctx context.Context, group uint16, endpoint uint8) error {
	c.mu.Lock()
	for _, known := range c.groups {
		if known == group {
			c.mu.Unlock()
			return nil
		}
	}
	index := len(c.groups)
	if index > 0xff {
		c.mu.Unlock()
		return fmt.Errorf("ezsp: listen to group %d: too many groups", group)
	}
	c.groups = append(c.groups, group)
	c.mu.Unlock()
	p := append16([]byte{byte(index)}, group)
	p = append(p, endpoint, 0) // of the only network
	return c.demand(ctx, cmdSetMulticastTableEntry, p, fmt.Sprintf("listen to group %d", group))
}

// identify asks the stick who it is.
func (c *Coordinator) identify(ctx context.Context) error {
	r, err := c.call(ctx, cmdGetEUI64, nil)
	if err != nil {
		return fmt.Errorf("ezsp: ask for the address: %w", err)
	}
	address := r.ieee()
	if r.bad {
		return c.check(r, statusOK, "ask for the address")
	}
	r, err = c.call(ctx, cmdGetValue, []byte{valueVersionInfo})
	if err != nil {
		return fmt.Errorf("ezsp: ask for the firmware: %w", err)
	}
	s := r.ezspStatus(c.version())
	v := reader{rest: r.payload()}
	build := v.uint16()
	major, minor, patch, special, kind := v.uint8(), v.uint8(), v.uint8(), v.uint8(), v.uint8()
	if v.bad {
		r.bad = true
	}
	if err := c.check(r, s, "ask for the firmware"); err != nil {
		return err
	}
	revision := fmt.Sprintf("%d.%d.%d [%s]", major, minor, patch, releaseName(kind))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info = zigbee.Info{
		IEEEAddress: address,
		Type:        "EmberZNet",
		Revision:    revision,
		Meta: map[string]any{
			"ezsp": c.version(), "revision": revision, "build": build, "major": major,
			"minor": minor, "patch": patch, "special": special, "type": kind,
		},
		CanRestore: true,
	}
	return nil
}

// releaseName is the kind of a release of EmberZNet.
func releaseName(kind uint8) string {
	switch kind {
	case 0xaa:
		return "GA"
	case 0x00:
		return "PRE_RELEASE"
	case 0x11, 0x12, 0x13:
		return fmt.Sprintf("ALPHA_%d", kind&0xf)
	case 0x21, 0x22, 0x23:
		return fmt.Sprintf("BETA_%d", kind&0xf)
	}
	return fmt.Sprintf("0x%02x", kind)
}
