package z2m

import (
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// Shown is all that a page shows of a device. What it points at is not to be changed.
type Shown struct {
	DeviceSummary
	Exposes  []*devices.Expose // nil: it is not known what the device can do
	State    map[string]any    // the last values, as in its topic
	Topic    string            // of its state; commands go to Topic/set
	Firmware string
	Failure  Failure // the last command that was in vain
}

// Failure is a command that was not carried out.
type Failure struct {
	At     time.Time // zero: there was none
	Key    string
	Reason string
}

// UnknownDeviceError says that there is no such device in the network.
type UnknownDeviceError struct{ Device zigbee.IEEEAddress }

func (e *UnknownDeviceError) Error() string {
	return "there is no device " + e.Device.String() + " in the Zigbee network"
}

// Shown returns what is to be shown of a device.
func (b *Bridge) Shown(ieee zigbee.IEEEAddress) (Shown, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[ieee]
	if d == nil {
		return Shown{}, &UnknownDeviceError{ieee}
	}
	s := Shown{DeviceSummary: b.summary(d), State: b.states[ieee.String()], Topic: b.base + "/" + d.name(), Firmware: d.SoftwareBuildID, Failure: d.failure}
	if d.definition != nil {
		s.Exposes = d.definition.Exposes
	}
	return s, nil
}

// States returns the last values of all devices, which are not to be changed.
func (b *Bridge) States() map[zigbee.IEEEAddress]map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	states := make(map[zigbee.IEEEAddress]map[string]any, len(b.devices))
	for ieee := range b.devices {
		if state := b.states[ieee.String()]; state != nil {
			states[ieee] = state
		}
	}
	return states
}
