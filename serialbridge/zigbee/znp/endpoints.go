package znp

import (
	"context"
	"encoding/binary"
	"fmt"

	"lintel/serialbridge/zigbee"
)

// An endpoint is one of the coordinator's. A frame for an endpoint that is not
// registered never leaves the stick, so all are there that devices are known to
// look for.
type endpoint struct {
	id            uint8
	profile       uint16
	device        uint16
	input, output []uint16
}

// otherDevice is the device identifier of an endpoint that is nothing in particular:
// a configuration tool.
const otherDevice = 0x0005

var endpoints = [...]endpoint{
	{1, zigbee.ProfileHomeAutomation, otherDevice, nil, nil},
	{2, 0x0101, otherDevice, nil, nil}, // industrial plant monitoring
	{3, zigbee.ProfileHomeAutomation, otherDevice, nil, nil},
	{4, 0x0107, otherDevice, nil, nil}, // telecommunications
	{5, 0x0108, otherDevice, nil, nil}, // personal, home and hospital care
	{6, 0x0109, otherDevice, nil, nil}, // smart energy
	{8, zigbee.ProfileHomeAutomation, otherDevice, nil, nil},
	{10, zigbee.ProfileHomeAutomation, otherDevice, nil, nil},
	// Control and indicating equipment: key pads look for IAS ACE and Time.
	{11, zigbee.ProfileHomeAutomation, 0x0400, []uint16{0x0501, 0x000a}, []uint16{0x0500, 0x0502}},
	{12, zigbee.ProfileLightLink, otherDevice, nil, nil},
	{13, zigbee.ProfileHomeAutomation, otherDevice, []uint16{0x0019}, nil},       // OTA upgrades
	{47, zigbee.ProfileHomeAutomation, otherDevice, nil, nil},                    // OTA of Insta, Jung and Gira
	{110, zigbee.ProfileHomeAutomation, otherDevice, nil, nil},                   // Terncy
	{239, 0xc001, otherDevice, nil, nil},                                         // Shelly
	{zigbee.EndpointGreenPower, zigbee.ProfileGreenPower, otherDevice, nil, nil}, // Green Power
}

// serve registers the endpoints of a network that runs.
func (c *Coordinator) serve(ctx context.Context) error {
	answer, err := c.zdo(ctx, zigbee.ToCoordinator, 0x0005, []byte{0, 0})
	if err != nil {
		return fmt.Errorf("ask the stick for its endpoints: %w", err)
	}
	// Status, address, number of endpoints, endpoints.
	active := make(map[uint8]bool)
	if len(answer) > 4 {
		for _, id := range answer[4:] {
			active[id] = true
		}
	}
	c.mu.Lock()
	for _, e := range endpoints {
		c.profiles[e.id] = e.profile
	}
	c.mu.Unlock()
	for _, e := range endpoints {
		if active[e.id] {
			continue
		}
		if err := c.link.do(ctx, afRegister, e.descriptor(), statusDuplicate); err != nil {
			return fmt.Errorf("register endpoint %d: %w", e.id, err)
		}
	}
	if err := c.joinGroup(ctx, zigbee.EndpointGreenPower, greenPowerGroup); err != nil {
		return err
	}
	c.setStarted(true)
	return nil
}

// descriptor is the endpoint as AF_REGISTER wants it.
func (e *endpoint) descriptor() []byte {
	b := binary.LittleEndian.AppendUint16([]byte{e.id}, e.profile)
	b = binary.LittleEndian.AppendUint16(b, e.device)
	b = append(b, 0, 0) // version, no latency wanted
	for _, list := range [][]uint16{e.input, e.output} {
		b = append(b, byte(len(list)))
		for _, cluster := range list {
			b = binary.LittleEndian.AppendUint16(b, cluster)
		}
	}
	return b
}

// joinGroup makes an endpoint of the coordinator member of a group.
func (c *Coordinator) joinGroup(ctx context.Context, endpoint uint8, group uint16) error {
	member := binary.LittleEndian.AppendUint16([]byte{endpoint}, group)
	answer, err := c.link.request(ctx, zdoFindGroup, member)
	if err == nil && checkStatus(zdoFindGroup, answer) == nil {
		return nil
	}
	if err == nil {
		err = c.link.do(ctx, zdoAddGroup, append(member, 0))
	}
	if err != nil {
		return fmt.Errorf("join the group %04x: %w", group, err)
	}
	return nil
}

// source returns the endpoint to send from: the one that is wanted, or one that has
// the profile, since the stick takes the profile from the endpoint.
func (c *Coordinator) source(wanted uint8, profile uint16) (uint8, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wanted == 0 {
		wanted = zigbee.EndpointHome
	}
	registered, ok := c.profiles[wanted]
	if ok && (profile == 0 || profile == registered) {
		return wanted, nil
	}
	for _, e := range endpoints {
		if e.profile == profile {
			return e.id, nil
		}
	}
	if !ok {
		return 0, fmt.Errorf("the coordinator has no endpoint %d", wanted)
	}
	return 0, fmt.Errorf("the coordinator has no endpoint of the profile 0x%04x", profile)
}
