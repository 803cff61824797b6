package air

import "lintel/serialbridge/zigbee"

// Radio is the stick's side of the air: it is told what reaches the coordinator.
// Its methods do not block; they are called one at a time.
type Radio interface {
	// Receive takes an APS frame, of the Zigbee Device Profile too.
	Receive(Frame)
	// Joined tells that a device has got the network key, and its link key
	// if it has asked for one of its own.
	Joined(device zigbee.IEEEAddress, address, parent zigbee.NetworkAddress, linkKey *[16]byte)
	// Left tells that a device has left the network.
	Left(device zigbee.IEEEAddress, address zigbee.NetworkAddress, rejoin bool)
}

// Frame is an APS frame in the air, either way. Data of profile 0 begins with
// the sequence number of ZDP.
type Frame struct {
	Source, Destination                 zigbee.NetworkAddress // Destination may be a broadcast address
	Group                               uint16                // 0: none; else Destination does not count
	SourceEndpoint, DestinationEndpoint uint8
	Profile, Cluster                    uint16
	LinkQuality                         uint8 // of what the coordinator receives
	Data                                []byte

	counter uint32 // of what the coordinator sends
}

// Status is what becomes of a frame that the coordinator has sent, in the words of
// no family of sticks.
type Status uint8

// The statuses.
const (
	Delivered Status = iota
	NoAck            // nobody answers there
	NoRoute          // nobody knows the way
	Expired          // the parent has waited in vain for the device to wake up
)

// String is the status in words.
func (s Status) String() string {
	return [...]string{"delivered", "no acknowledgement", "no route", "expired"}[s&3]
}

// Security is what the devices see of the coordinator's network: who has the same
// key and sees the frame counter go up believes it.
type Security struct {
	zigbee.Parameters
	Coordinator zigbee.IEEEAddress
	// FrameCounter is the last one that was used. The network counts on
	// from it; see [Network.FrameCounter].
	FrameCounter uint32

	// JoinKey returns the link key under which the trust center sends the
	// network key to a device that joins: that of its install code, or the one
	// that all know. It says false if the device is not to join. Nil: all
	// join with [WellKnownKey].
	JoinKey func(device zigbee.IEEEAddress) (key [16]byte, ok bool)
	// LinkKey returns the link key that the trust center holds for a device
	// alone, or makes for one that asks for it. Nil: there are none, the
	// devices stay with the key that they joined with.
	LinkKey func(device zigbee.IEEEAddress) (key [16]byte, ok bool)
}

// WellKnownKey is the link key with which devices join that have no install code
// (Zigbee base device behavior, section 6.3.1).
var WellKnownKey = [16]byte([]byte("ZigBeeAlliance09"))
