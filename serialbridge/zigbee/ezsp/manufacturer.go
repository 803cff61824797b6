package ezsp

import (
	"context"

	"lintel/serialbridge/zigbee"
)

// Manufacturer codes that the node descriptor of the coordinator has.
const (
	manufacturerSilabs = 0x1049
	manufacturerLumi   = 0x115f
)

// lumiPrefix is that of the addresses of newer devices of Aqara. They read the node
// descriptor of the coordinator when they join, and work properly only if it is of
// their own maker (github.com/Koenkk/zigbee2mqtt, issue 9274).
const lumiPrefix = 0x54ef44

// poseFor makes the coordinator be of the maker that the device wants.
func (c *Coordinator) poseFor(device zigbee.IEEEAddress) {
	code := uint16(manufacturerSilabs)
	if device>>40 == lumiPrefix {
		code = manufacturerLumi
	}
	c.poseAs(code)
}

// poseAs changes the manufacturer code. It does not wait for the stick, and is
// called by the goroutine of run.
func (c *Coordinator) poseAs(code uint16) {
	c.mu.Lock()
	same := c.manufacturer == code
	c.manufacturer = code
	c.mu.Unlock()
	if same {
		return
	}
	c.running.Go(func() {
		c.mu.Lock()
		latest := c.manufacturer // if it was changed again, the last one counts
		c.mu.Unlock()
		if _, err := c.call(context.Background(), cmdSetManufacturerCode, append16(nil, latest)); err != nil {
			c.log.Debug("the manufacturer code was not changed", "err", err)
		}
	})
}
