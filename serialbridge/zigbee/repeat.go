package zigbee

import (
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// What a network loses is sent again if that does no harm: the device may have it, and its
// answer may be what was lost.

const (
	// maxRepeats is how often it is sent again.
	maxRepeats = 2
	// repeatTime is how long a device that is awake may take for its answer before that,
	// longer each time. They answer in a fraction of a second.
	repeatTime     = 2 * time.Second
	repeatPause    = 5 * time.Second // of a device that sleeps, longer each time
	maxRepeatPause = 30 * time.Second
)

// repeatable are commands of clusters that come to the same when a device carries them out
// twice: on and off, but not toggle; to a level, but not up by a step.
var repeatable = map[uint16][]uint8{
	0x0004: {0x00, 0x01, 0x02, 0x03, 0x04},                         // groups
	0x0005: {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06},             // scenes
	0x0006: {0x00, 0x01, 0x40, 0x42},                               // off, on
	0x0008: {0x00, 0x03, 0x04, 0x07},                               // move to level, stop
	0x0101: {0x00, 0x01, 0x05, 0x06, 0x07},                         // lock, unlock, codes
	0x0102: {0x00, 0x01, 0x02, 0x04, 0x05, 0x07, 0x08},             // up, down, stop, go to
	0x0201: {0x01, 0x02},                                           // weekly schedule
	0x0300: {0x00, 0x03, 0x06, 0x07, 0x0a, 0x40, 0x43, 0x44, 0x47}, // move to, stop
	0x0500: {0x00},                                                 // enrolled
	0x0502: {0x00},                                                 // start warning
	0xef00: {0x00, 0x03, 0x04},                                     // Tuya: datapoints
}

// repeats returns how often a request may be sent again.
func (r *Request) repeats() int {
	if r.Once || r.Hold < 0 {
		return 0
	}
	if r.Frame.Type == zcl.Global { // to read or to write
		return maxRepeats
	}
	for _, command := range repeatable[r.Cluster] {
		if command == r.Frame.Command && r.Frame.ManufacturerCode == 0 && !r.Frame.ServerToClient {
			return maxRepeats
		}
	}
	return 0
}
