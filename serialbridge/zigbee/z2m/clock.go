package z2m

import (
	"context"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// tellTime is asked what devices are answered before the network answers by itself. Clocks of
// Tuya count from 1970, which the network tells, or from 2000, which their definition or their
// user knows.
func (b *Bridge) tellTime(told zigbee.Device, m zigbee.Message) bool {
	if b.o.Network.Answer != nil && b.o.Network.Answer(told, m) {
		return true
	}
	if m.Cluster != zigbee.ClusterTuya || m.Frame.Type != zcl.Specific || m.Frame.Command != zigbee.TuyaSyncTime {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[told.IEEEAddress]
	if d == nil || d.definition == nil {
		return false
	}
	if d.options["time_start"] == "off" {
		return true // it is not told
	}
	frame, known := d.definition.SyncTime(b.context(d))
	if !known {
		return false
	}
	return b.jobs.add("clock/"+d.ieee.String(), func(ctx context.Context) {
		if err := b.network.Respond(ctx, m, frame); err != nil && ctx.Err() == nil {
			b.log.Warn("a device was not told the time", "device", d.ieee, "err", err)
		}
	})
}
