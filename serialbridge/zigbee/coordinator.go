package zigbee

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Coordinator is a stick that is open and answers. Its methods may be called
// from any goroutine, also while others wait; it does by itself what its family
// of sticks needs: retransmission, how many requests it takes at once, waiting
// when its buffers are full, routes that have to be found again.
//
// There is one order of calls: Info and Network any time, then one of Resume,
// Form and Restore, and only then the rest.
type Coordinator interface {
	Info() Info
	// Events has f told what happens from now on; see [Event]. Until then nobody is.
	Events(f func(Event))

	// Network returns the network that the stick holds, without starting
	// it. It fails with ErrNoNetwork if there is none.
	Network(ctx context.Context) (Parameters, error)
	// Resume starts the network that the stick holds.
	Resume(ctx context.Context) error
	// Form makes a new network and forgets the one that the stick holds.
	Form(ctx context.Context, p Parameters) error
	// Restore makes the stick the coordinator of the network in the backup:
	// its keys, counters, address and devices.
	Restore(ctx context.Context, b *Backup) error
	// Backup reads all that Restore needs.
	Backup(ctx context.Context) (*Backup, error)

	// Send sends an APS message. For a unicast it returns when the
	// device has it, or with a *DeliveryError.
	Send(ctx context.Context, m Outgoing) error
	// ZDO asks a device something of the Zigbee Device Object and returns
	// the answer. The cluster is that of the request; neither request nor
	// answer holds the sequence number. A request that has no answer of its
	// own, and one that is broadcast, returns nil when it is sent.
	ZDO(ctx context.Context, to NetworkAddress, cluster uint16, request []byte) ([]byte, error)

	// PermitJoin opens the network for at most 254 seconds or closes it (0):
	// everywhere if via is BroadcastRouters, else through that device alone.
	PermitJoin(ctx context.Context, via NetworkAddress, duration time.Duration) error
	// AddInstallCode lets the device join with the link key of its install code.
	AddInstallCode(ctx context.Context, device IEEEAddress, key [16]byte) error
	// EnergyScan measures how much is going on in each channel of the mask:
	// 0 to 255 by channel.
	EnergyScan(ctx context.Context, channels uint32) (map[uint8]uint8, error)
	// ChangeChannel moves the network, devices and all.
	ChangeChannel(ctx context.Context, channel uint8) error

	// Damaged returns how many frames of the stick came damaged over its line since
	// it was opened, by what is wrong with them. It never waits for Events' f.
	Damaged() map[string]uint64

	// Done is closed when the stick is gone or has failed; Err says why.
	Done() <-chan struct{}
	Err() error
	// Close stops the driver; it leaves the network as it is.
	Close() error
}

// Info is what a stick says of itself.
type Info struct {
	IEEEAddress IEEEAddress
	Type        string         // as zigbee2mqtt calls it: ZStack12, ZStack30x, ZStack3x0, EmberZNet
	Revision    string         // of the firmware, for people
	Meta        map[string]any // as zigbee2mqtt has it in bridge/info
	CanRestore  bool
}

// Parameters are what makes a network this one.
type Parameters struct {
	PANID         uint16
	ExtendedPANID [8]byte // most significant byte first, as written
	Channel       uint8   // 11 to 26
	NetworkKey    [16]byte
	KeySequence   uint8
	UpdateID      uint8
}

// ErrNoNetwork says that the stick holds no network.
var ErrNoNetwork = errors.New("zigbee: the stick holds no network")

// Outgoing is an APS message to be sent.
type Outgoing struct {
	Destination         NetworkAddress // a device or a broadcast address; ignored if Group is set
	Group               uint16         // 0: none
	DestinationEndpoint uint8          // of a unicast or a broadcast (0xff: all)
	SourceEndpoint      uint8
	Profile             uint16
	Cluster             uint16
	Radius              uint8 // 0: the stick's own
	Data                []byte
}

// DeliveryError is why a message did not arrive.
type DeliveryError struct {
	Reason DeliveryReason
	Status uint8 // as the stick told it
}

// DeliveryReason is what can be done about it.
type DeliveryReason string

// The reasons. The texts go to people.
const (
	NoAck     DeliveryReason = "the device does not answer"              // of the radio or of APS
	NoRoute   DeliveryReason = "there is no way to the device"           // and none was found
	Expired   DeliveryReason = "the device slept too long"               // its parent has dropped it
	NoChannel DeliveryReason = "the radio channel is too busy"           // other radios, or a port without a cable
	NoBuffers DeliveryReason = "the stick has no room for more messages" // for seconds
	Refused   DeliveryReason = "the stick refused the message"
)

func (e *DeliveryError) Error() string {
	return fmt.Sprintf("zigbee: %s (status 0x%02x)", e.Reason, e.Status)
}

// Event is what a coordinator tells by itself: Joined, Announced, Left,
// Incoming or AddressChanged. Coordinators hand events to a function that does
// not block, one at a time, in the order in which they came.
type Event interface{ event() }

// Joined tells that a device has got the network key.
type Joined struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress
	Parent         NetworkAddress
}

// Announced tells that a device says where it is (Device_annce).
type Announced struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress
	Capability     uint8
}

// Left tells that a device has left.
type Left struct {
	IEEEAddress    IEEEAddress // 0: not known
	NetworkAddress NetworkAddress
	Rejoin         bool // it means to come back
}

// AddressChanged tells at which network address a device was heard, or what it, or
// its parent, has answered to a NWK_addr_req or an IEEE_addr_req that was broadcast.
type AddressChanged struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress
}

// Incoming is an APS message that was received. Green Power frames come as such
// too, for EndpointGreenPower and the cluster 0x0021, in the form of a
// Green Power Notification.
type Incoming struct {
	Source              NetworkAddress
	IEEEAddress         IEEEAddress // 0: not said
	SourceEndpoint      uint8
	DestinationEndpoint uint8
	Group               uint16 // 0: none
	Broadcast           bool
	Profile             uint16 // 0 if the stick does not say and it is not of ZDO
	Cluster             uint16
	LinkQuality         uint8
	Data                []byte
}

func (Joined) event()         {}
func (Announced) event()      {}
func (Left) event()           {}
func (AddressChanged) event() {}
func (Incoming) event()       {}
