package gateway

import (
	"context"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/z2m"
)

// A zigbeeHouse is a [dashboard.ZigbeeNetwork], whichever bridge there is.

// Overview returns what there is in the network.
func (z *zigbeeHouse) Overview() z2m.Overview { return z.Bridge().Overview() }

// Permit opens the network for new devices, or closes it.
func (z *zigbeeHouse) Permit(ctx context.Context, duration time.Duration) error {
	return z.Bridge().Permit(ctx, duration)
}

// Shown returns what the page of a device shows.
func (z *zigbeeHouse) Shown(ieee zigbee.IEEEAddress) (z2m.Shown, error) {
	return z.Bridge().Shown(ieee)
}

// States returns the last values of all devices.
func (z *zigbeeHouse) States() map[zigbee.IEEEAddress]map[string]any { return z.Bridge().States() }

// Lessons returns what was gathered of devices that nobody has described.
func (z *zigbeeHouse) Lessons() []z2m.Lesson { return z.Bridge().Lessons() }

// Learnt returns what was gathered of one.
func (z *zigbeeHouse) Learnt(ieee zigbee.IEEEAddress) (z2m.Lesson, error) {
	return z.Bridge().Learnt(ieee)
}

// Definition returns what a user has said of a device, as a file.
func (z *zigbeeHouse) Definition(ieee zigbee.IEEEAddress) (name string, text []byte, err error) {
	return z.Bridge().Definition(ieee)
}

// Teach saves what a user says of a device and takes it into use at once.
func (z *zigbeeHouse) Teach(ieee zigbee.IEEEAddress, t z2m.Teaching) error {
	return z.definitions.Teach(z.Bridge(), ieee, t)
}
