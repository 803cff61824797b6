package zigbee

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"lintel/serialbridge/zigbee/zcl"
)

// Bind makes a device send what a cluster of its endpoint says to the binding's
// target, and takes note of it. The coordinator is a target like others, by
// Info().IEEEAddress and EndpointHome.
func (n *Network) Bind(ctx context.Context, ieee IEEEAddress, endpoint uint8, b Binding) error {
	if err := n.askToBind(ctx, ieee, zdoBind, endpoint, b); err != nil {
		return err
	}
	return n.editBindings(ieee, endpoint, func(all []Binding) []Binding {
		if slices.Contains(all, b) {
			return all
		}
		return append(all, b)
	})
}

// Unbind takes back what Bind has done. A binding that the device does not have is
// no error.
func (n *Network) Unbind(ctx context.Context, ieee IEEEAddress, endpoint uint8, b Binding) error {
	err := n.askToBind(ctx, ieee, zdoUnbind, endpoint, b)
	if e, ok := errors.AsType[*zdoError](err); ok && e.Status == zdoNoEntry {
		err = nil
	}
	if err != nil {
		return err
	}
	return n.editBindings(ieee, endpoint, func(all []Binding) []Binding {
		return slices.DeleteFunc(all, func(o Binding) bool { return o == b })
	})
}

func (n *Network) askToBind(ctx context.Context, ieee IEEEAddress, cluster uint16, endpoint uint8, b Binding) error {
	d, hold, err := n.find(ieee)
	if err != nil {
		return err
	}
	data, err := n.zdo(ctx, d, hold, cluster, func(NetworkAddress) []byte { return bindRequest(ieee, endpoint, b) })
	if err != nil {
		return err
	}
	_, err = answer(data)
	return err
}

func (n *Network) editBindings(ieee IEEEAddress, endpoint uint8, f func([]Binding) []Binding) error {
	return n.change(ieee, func(d *node) error {
		if e := d.edit(endpoint); e != nil {
			e.Bindings = f(slices.Clone(e.Bindings))
		}
		return nil
	})
}

// everyTarget, as the target of Clear_All_Bindings_req, is all of them.
const everyTarget IEEEAddress = 0xffffffffffffffff

// ClearBindings has a device forget all bindings (Clear_All_Bindings_req, R23):
// those to the targets, or all if there are none.
func (n *Network) ClearBindings(ctx context.Context, ieee IEEEAddress, targets ...IEEEAddress) error {
	d, hold, err := n.find(ieee)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		targets = []IEEEAddress{everyTarget}
	}
	// Its payload is a TLV of a list of addresses (section 2.4.3.2.11, local tag 0),
	// whose length is one less than that of the value.
	value := []byte{byte(len(targets))}
	for _, t := range targets {
		value = appendIEEE(value, t)
	}
	if len(value) > 256 {
		return errors.New("zigbee: so many targets do not fit into one request; give at most 31")
	}
	request := append([]byte{0, byte(len(value) - 1)}, value...)
	data, err := n.zdo(ctx, d, hold, zdoClearBindings, func(NetworkAddress) []byte { return request })
	if err != nil {
		return err
	}
	if _, err := answer(data); err != nil {
		return err
	}
	return n.change(ieee, func(d *node) error {
		d.device.Endpoints = slices.Clone(d.device.Endpoints)
		for i := range d.device.Endpoints {
			e := &d.device.Endpoints[i]
			e.Bindings = slices.DeleteFunc(slices.Clone(e.Bindings), func(b Binding) bool {
				return slices.Contains(targets, everyTarget) || slices.Contains(targets, b.Device)
			})
		}
		return nil
	})
}

// Commands of the Groups cluster (section 3.6.2.3).
const (
	groupsAdd       = 0x00
	groupsRemove    = 0x03
	groupsRemoveAll = 0x04
)

// AddToGroup makes an endpoint a member of a group.
func (n *Network) AddToGroup(ctx context.Context, ieee IEEEAddress, endpoint uint8, group uint16) error {
	// The name is empty: nobody stores it.
	payload := append(binary.LittleEndian.AppendUint16(nil, group), 0)
	if err := n.askForGroup(ctx, ieee, endpoint, groupsAdd, payload, zcl.DuplicateExists); err != nil {
		return err
	}
	return n.editGroups(ieee, endpoint, func(all []uint16) []uint16 {
		if slices.Contains(all, group) {
			return all
		}
		return append(all, group)
	})
}

// RemoveFromGroup ends what AddToGroup began.
func (n *Network) RemoveFromGroup(ctx context.Context, ieee IEEEAddress, endpoint uint8, group uint16) error {
	payload := binary.LittleEndian.AppendUint16(nil, group)
	if err := n.askForGroup(ctx, ieee, endpoint, groupsRemove, payload, zcl.NotFound); err != nil {
		return err
	}
	return n.editGroups(ieee, endpoint, func(all []uint16) []uint16 {
		return slices.DeleteFunc(all, func(g uint16) bool { return g == group })
	})
}

// RemoveFromAllGroups ends all memberships of an endpoint.
func (n *Network) RemoveFromAllGroups(ctx context.Context, ieee IEEEAddress, endpoint uint8) error {
	if err := n.askForGroup(ctx, ieee, endpoint, groupsRemoveAll, nil, zcl.Success); err != nil {
		return err
	}
	return n.editGroups(ieee, endpoint, func([]uint16) []uint16 { return nil })
}

// askForGroup sends a command of the Groups cluster. A status of what is so already is
// as good as success.
func (n *Network) askForGroup(ctx context.Context, ieee IEEEAddress, endpoint uint8, command uint8, payload []byte, already zcl.Status) error {
	f, err := n.Request(ctx, ieee, Request{Endpoint: endpoint, Cluster: clusterGroups, Frame: zcl.Frame{
		Type: zcl.Specific, Command: command, Payload: payload,
	}})
	if err != nil {
		return err
	}
	if f.Type == zcl.Specific && len(f.Payload) > 0 {
		if s := zcl.Status(f.Payload[0]); s != zcl.Success && s != already {
			return &StatusError{s}
		}
	}
	return nil
}

func (n *Network) editGroups(ieee IEEEAddress, endpoint uint8, f func([]uint16) []uint16) error {
	return n.change(ieee, func(d *node) error {
		if e := d.edit(endpoint); e != nil {
			e.Groups = f(slices.Clone(e.Groups))
		}
		return nil
	})
}
