package zigbee

import (
	"context"
	"errors"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// The first landing of what Network can do; its parts follow in files of their own.

var errNotYet = errors.New("zigbee: not there yet")

// Network is a Zigbee network: its devices, and what is done with them. It
// outlives the stick: without one it knows its devices, and requests fail with
// ErrNoStick. All methods may be called from any goroutine. Devices that are
// returned are copies.
type Network struct{ options Options }

// New returns a network of the devices that the store holds.
func New(o Options) (*Network, error) { return &Network{options: o}, nil }

// Run does what goes on in the background, and tells Options.Handler what
// happens, until ctx ends. What was not written down yet is, before it returns.
func (n *Network) Run(ctx context.Context) error { return errNotYet }

// Event takes what a coordinator tells. It does not block.
func (n *Network) Event(e Event) {}

// Serve has the stick be the coordinator of the network: it resumes the network
// that stick and memory agree on, restores that of the memory onto a stick that
// is new, or forms one if there is none at all. It returns when the stick fails or
// ctx ends, and closes the stick. One stick at a time is served.
func (n *Network) Serve(ctx context.Context, c Coordinator) error { return errNotYet }

// Info returns what the stick says of itself and what the network is made of.
// Without a stick it is what is known of the last one, and running is false.
func (n *Network) Info() (info Info, p Parameters, running bool) { return }

// Devices returns all devices, by IEEE address.
func (n *Network) Devices() []Device { return nil }

// Device returns the device of that address.
func (n *Network) Device(ieee IEEEAddress) (Device, bool) { return Device{}, false }

// ByNetworkAddress returns the device that has that address now.
func (n *Network) ByNetworkAddress(a NetworkAddress) (Device, bool) { return Device{}, false }

// Request sends a frame to a device and returns its answer. It fails with a
// *StatusError when the device refuses by a default response, with a *DeliveryError
// when the frame did not arrive, and with ErrNoAnswer when no answer came.
func (n *Network) Request(ctx context.Context, ieee IEEEAddress, r Request) (zcl.Frame, error) {
	return zcl.Frame{}, errNotYet
}

// GroupRequest sends a frame to all members of a group. There is no answer.
func (n *Network) GroupRequest(ctx context.Context, group uint16, r Request) error { return errNotYet }

// Respond answers a message with a frame of the message's sequence number and of
// the opposite direction.
func (n *Network) Respond(ctx context.Context, m Message, f zcl.Frame) error { return errNotYet }

// Read reads attributes: as many requests as it takes. The manufacturer code is 0
// for those of the standard. Those that the device refuses are returned with their
// status; what was read is kept in Endpoint.Attributes too.
func (n *Network) Read(ctx context.Context, ieee IEEEAddress, endpoint uint8, cluster, manufacturer uint16, attributes ...uint16) ([]zcl.Attribute, error) {
	return nil, errNotYet
}

// Write writes attributes. It fails with a *StatusError if the device refuses one.
func (n *Network) Write(ctx context.Context, ieee IEEEAddress, endpoint uint8, cluster, manufacturer uint16, attributes ...zcl.Attribute) error {
	return errNotYet
}

// ConfigureReporting tells an endpoint what to report and takes note of it. A Max of
// 0xffff seconds tells it not to report any more. It fails with a *StatusError if
// the device refuses one; the others are set.
func (n *Network) ConfigureReporting(ctx context.Context, ieee IEEEAddress, endpoint uint8, reportings ...Reporting) error {
	return errNotYet
}

// ReportingRecord is what a device says that it reports.
type ReportingRecord struct {
	Status    zcl.Status
	Direction uint8
	Attribute uint16
	Type      uint8 // the rest is only of Success and direction 0
	Min, Max  time.Duration
	Change    any           // of an analog attribute, as zcl.ReadValue has it; else nil
	Timeout   time.Duration // of direction 1
}

// ReadReporting asks an endpoint what it reports.
func (n *Network) ReadReporting(ctx context.Context, ieee IEEEAddress, endpoint uint8, cluster, manufacturer uint16, attributes ...uint16) ([]ReportingRecord, error) {
	return nil, errNotYet
}

// Bind makes a device send what a cluster of its endpoint says to the binding's
// target, and takes note of it. The coordinator is a target like others, by
// Info().IEEEAddress and EndpointHome.
func (n *Network) Bind(ctx context.Context, ieee IEEEAddress, endpoint uint8, b Binding) error {
	return errNotYet
}

// Unbind takes back what Bind has done. A binding that the device does not have is
// no error.
func (n *Network) Unbind(ctx context.Context, ieee IEEEAddress, endpoint uint8, b Binding) error {
	return errNotYet
}

// ClearBindings has a device forget all bindings (Clear_All_Bindings_req, R23):
// those to the targets, or all if there are none.
func (n *Network) ClearBindings(ctx context.Context, ieee IEEEAddress, targets ...IEEEAddress) error {
	return errNotYet
}

// AddToGroup makes an endpoint a member of a group.
func (n *Network) AddToGroup(ctx context.Context, ieee IEEEAddress, endpoint uint8, group uint16) error {
	return errNotYet
}

// RemoveFromGroup ends what AddToGroup began.
func (n *Network) RemoveFromGroup(ctx context.Context, ieee IEEEAddress, endpoint uint8, group uint16) error {
	return errNotYet
}

// RemoveFromAllGroups ends all memberships of an endpoint.
func (n *Network) RemoveFromAllGroups(ctx context.Context, ieee IEEEAddress, endpoint uint8) error {
	return errNotYet
}

// SetScenes takes note of the scenes that an endpoint holds.
func (n *Network) SetScenes(ieee IEEEAddress, endpoint uint8, scenes []Scene) error {
	return errNotYet
}

// SetConfigured takes note of what was set up in a device.
func (n *Network) SetConfigured(ieee IEEEAddress, key string) error { return errNotYet }

// Interview asks a device again what it is, and waits for the end of it.
func (n *Network) Interview(ctx context.Context, ieee IEEEAddress) error { return errNotYet }

// Remove has a device leave the network, and forgets it. With Force it is forgotten
// though it does not answer; it may then still be in the network.
func (n *Network) Remove(ctx context.Context, ieee IEEEAddress, o RemoveOptions) error {
	return errNotYet
}

// Blocked returns the devices that may not join, by address.
func (n *Network) Blocked() []IEEEAddress { return nil }

// SetBlocked says whether a device may not join.
func (n *Network) SetBlocked(ctx context.Context, ieee IEEEAddress, blocked bool) error {
	return errNotYet
}

// PermitJoin opens the network for at most 254 seconds, or closes it (0): everywhere
// if via is nil, else through that device alone; the coordinator's address is one.
func (n *Network) PermitJoin(ctx context.Context, duration time.Duration, via *IEEEAddress) error {
	return errNotYet
}

// PermitJoinEnd returns until when the network is open, the zero time if it is closed.
func (n *Network) PermitJoinEnd() time.Time { return time.Time{} }

// AddInstallCode lets a device join with its install code, in any of the texts that
// makers print on devices, and returns the address of the device.
func (n *Network) AddInstallCode(ctx context.Context, text string) (IEEEAddress, error) {
	return 0, errNotYet
}

// Map asks all routers for their neighbours, and for their routes if they are wanted.
// It takes a second or more for each router.
func (n *Network) Map(ctx context.Context, routes bool) (Map, error) { return Map{}, errNotYet }

// Map is who hears whom in the network.
type Map struct {
	Nodes []MapNode
	Links []MapLink
}

// MapNode is a device, or the coordinator, in a map.
type MapNode struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress
	Type           string // "Coordinator" or a DeviceType
	// Asked says that it is a router or the coordinator; Failed then lists what it
	// did not tell: "lqi", "routingTable".
	Asked  bool
	Failed []string
}

// MapLink is an entry in a router's neighbour table.
type MapLink struct {
	Source       MapEnd // the neighbour
	Target       MapEnd // the router that tells
	DeviceType   uint8
	RxOnWhenIdle uint8
	Relationship uint8
	PermitJoin   uint8
	Depth        uint8
	LinkQuality  uint8
	Routes       []Route // of the router through this neighbour
}

// MapEnd is one end of a link.
type MapEnd struct {
	IEEEAddress    IEEEAddress
	NetworkAddress NetworkAddress
}

// Route is an entry in a routing table.
type Route struct {
	Destination, NextHop NetworkAddress
	Status               string // "ACTIVE" …
	MemoryConstrained    bool
	ManyToOne            bool
	RouteRecordRequired  bool
}

// Backup reads a backup from the stick, adds devices with keys of their own that the
// stick has lost, and keeps it in memory.
func (n *Network) Backup(ctx context.Context) (*Backup, error) { return nil, errNotYet }

// Restore makes the running stick coordinator of the network in the backup. If that is
// another network than this one, words have to be RestoreWords(b).
func (n *Network) Restore(ctx context.Context, b *Backup, words string) error { return errNotYet }

// MissingRouters returns routers that the stick's backup does not know: they may not
// be let in again after a restore.
func (n *Network) MissingRouters(ctx context.Context) ([]IEEEAddress, error) { return nil, errNotYet }

// EnergyScan measures how much is going on in each channel: 0 to 255.
func (n *Network) EnergyScan(ctx context.Context) (map[uint8]uint8, error) { return nil, errNotYet }

// ChangeChannel moves the network to another channel, 11 to 26.
func (n *Network) ChangeChannel(ctx context.Context, channel uint8) error { return errNotYet }

// SetAvailability says how to find out whether a device is there.
func (n *Network) SetAvailability(ieee IEEEAddress, a Availability) {}

// Available says whether a device is there, as far as is known.
func (n *Network) Available(ieee IEEEAddress) bool { return false }

// Ping asks a device for something that every device knows.
func (n *Network) Ping(ctx context.Context, ieee IEEEAddress) error { return errNotYet }

// Counters count what happened since the network was made.
type Counters struct {
	Received    uint64            // messages
	Damaged     map[string]uint64 // frames that were dropped, by reason
	Duplicates  uint64
	Strangers   uint64 // messages of devices that nobody knows yet
	Overflows   uint64 // what Handler was not told, as it was too slow
	StoreWrites uint64
	Undelivered map[DeliveryReason]uint64
	Unanswered  uint64 // requests that were delivered and had no answer
	NotAnswered uint64 // answers to devices that were given up
	Interviews  uint64
	PingsFailed uint64
}

// Counters returns a copy of the counters.
func (n *Network) Counters() Counters { return Counters{} }

// Why a request cannot be done.
var (
	ErrNoStick  = errors.New("zigbee: there is no stick; plug one in")
	ErrNoDevice = errors.New("zigbee: there is no such device")
	ErrNoAnswer = errors.New("zigbee: the device has not answered")
)
