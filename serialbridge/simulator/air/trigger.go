package air

import (
	"fmt"
	"maps"
	"slices"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Trigger does something with a device by hand: presses its button, opens its
// door. [Triggers] tells what a kind knows.
func (n *Network) Trigger(a zigbee.IEEEAddress, what string) error {
	var failed error
	if err := n.with(a, func(d *device) {
		do := d.model.trigger[what]
		switch {
		case do == nil:
			failed = fmt.Errorf("air: nothing is %q of a %s; there are %v", what, d.Kind, Triggers(d.Kind))
		case d.there():
			do(d)
		}
	}); err != nil {
		return err
	}
	return failed
}

// Triggers returns what can be done with devices of a kind by hand.
func Triggers(k Kind) []string {
	m := models[k]
	if m == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(m.trigger))
}

// command returns what sends a command to whom the cluster is bound, as remote
// controls do.
func command(id uint8, cluster uint16, command uint8, payload ...byte) func(*device) {
	return func(d *device) {
		d.publish(d.endpoint(id), cluster, zcl.Frame{Type: zcl.Specific, Command: command, Payload: payload}, false)
	}
}

// ikeaArrow returns what the left and right buttons of IKEA's remote control send:
// commands of its maker in the Scenes cluster.
func ikeaArrow(c uint8, payload ...byte) func(*device) {
	return func(d *device) {
		d.publish(d.endpoint(1), clusterScenes, zcl.Frame{Type: zcl.Specific, DisableDefaultResponse: true,
			ManufacturerCode: 0x117c, Command: c, Payload: payload}, false)
	}
}

// flip returns what switches an endpoint by hand.
func flip(id uint8) func(*device) {
	return func(d *device) {
		e := d.endpoint(id)
		d.set(e, clusterOnOff, 0, e.get(clusterOnOff, 0) == 0)
	}
}

// turnKey returns what locks or unlocks a lock by hand, and tells that event.
func turnKey(state int, event byte) func(*device) {
	return func(d *device) {
		e := d.endpoint(1)
		d.set(e, clusterDoorLock, 0, state)
		payload := []byte{2, event, 0, 0, 0, 0, 0, 0, 0, 0} // by hand, no user
		d.publish(e, clusterDoorLock, zcl.Frame{Type: zcl.Specific, ServerToClient: true, Command: 0x20, Payload: payload}, false)
	}
}

// powerOn sets what a device comes back with after its power was cut.
func (d *device) powerOn() {
	for _, e := range d.endpoints {
		switch start := e.get(clusterOnOff, 0x4003); start {
		case 0, 1:
			d.set(e, clusterOnOff, 0, start == 1)
		case 2:
			d.set(e, clusterOnOff, 0, e.get(clusterOnOff, 0) == 0)
		}
	}
}

// written does what a write of an attribute means beyond its value.
func (d *device) written(e *endpoint, key attributeKey) {
	if d.model.written != nil {
		d.model.written(d, e, key)
	}
}
