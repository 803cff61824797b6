package zigbee

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Network is a Zigbee network: its devices, and what is done with them. It
// outlives the stick: without one it knows its devices, and requests fail with
// ErrNoStick. All methods may be called from any goroutine. Devices that are
// returned are copies.
type Network struct {
	options Options
	log     *slog.Logger
	seed    maphash.Seed // of the traces of frames

	told    chan struct{} // there are notices
	changed chan struct{} // something is to be written down at once
	timed   chan struct{} // when to look at availability has changed

	mu         sync.Mutex
	nodes      map[IEEEAddress]*node
	addresses  map[NetworkAddress]IEEEAddress
	strangers  map[NetworkAddress]*stranger
	blocked    map[IEEEAddress]bool
	leaves     map[IEEEAddress]int
	forgotten  map[IEEEAddress]bool // to be deleted from the store
	memory     remembered
	session    *session // nil: there is no stick
	running    bool     // the stick has started the network
	info       Info
	parameters Parameters
	restoring  *restoring
	interviews []*InterviewProgress // in the order in which they began
	permitEnd  time.Time
	permitVia  IEEEAddress // 0: everywhere
	waiters    map[waiterKey]*waiter
	sequence   uint8  // of what is sent to groups
	revision   uint64 // of the last copy of a device
	notices    []notice
	counters   Counters
}

// Why a request cannot be done.
var (
	ErrNoStick  = errors.New("zigbee: there is no stick that works; plug one in")
	ErrNoDevice = errors.New("zigbee: there is no such device")
	ErrNoAnswer = errors.New("zigbee: the device has not answered")
)

// Limits. See the package documentation.
const (
	maxDevices    = 1000
	maxNotices    = 16384
	maxStrangers  = 64
	maxKeptFrames = 8 // of a stranger
	maxAttributes = 512
	maxAnswers    = 512
	answerers     = 8
	slotsAwake    = 16
	slotsAsleep   = 16
)

// New returns a network of the devices that the store holds.
func New(o Options) (*Network, error) {
	if o.Store == nil || o.Memory == nil || o.Handler == nil {
		return nil, errors.New("zigbee: a network needs Options.Store, Memory and Handler")
	}
	n := &Network{
		options:   o,
		log:       o.Logger,
		seed:      maphash.MakeSeed(),
		told:      make(chan struct{}, 1),
		changed:   make(chan struct{}, 1),
		timed:     make(chan struct{}, 1),
		nodes:     make(map[IEEEAddress]*node),
		addresses: make(map[NetworkAddress]IEEEAddress),
		strangers: make(map[NetworkAddress]*stranger),
		blocked:   make(map[IEEEAddress]bool),
		leaves:    make(map[IEEEAddress]int),
		forgotten: make(map[IEEEAddress]bool),
		waiters:   make(map[waiterKey]*waiter),
		counters:  Counters{Damaged: make(map[string]uint64), Undelivered: make(map[DeliveryReason]uint64)},
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if err := n.load(); err != nil {
		return nil, err
	}
	return n, nil
}

// Run does what goes on in the background, and tells Options.Handler what
// happens, until ctx ends. What was not written down yet is, before it returns.
func (n *Network) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { n.deliver(ctx) })
	all.Go(func() { n.keepStore(ctx) })
	all.Go(func() { n.watchAvailability(ctx) })
	all.Go(func() { n.backUpNightly(ctx) })
	all.Wait()
	return ctx.Err()
}

// Info returns what the stick says of itself and what the network is made of.
// Without a stick it is what is known of the last one, and running is false.
func (n *Network) Info() (info Info, p Parameters, running bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	info = n.info
	info.Meta = maps.Clone(info.Meta)
	return info, n.parameters, n.running
}

// Devices returns all devices, by IEEE address.
func (n *Network) Devices() []Device {
	n.mu.Lock()
	devices := make([]Device, 0, len(n.nodes))
	for _, d := range n.nodes {
		devices = append(devices, n.copyOf(d))
	}
	n.mu.Unlock()
	for i := range devices {
		devices[i] = devices[i].Clone()
	}
	slices.SortFunc(devices, func(a, b Device) int { return cmp.Compare(a.IEEEAddress, b.IEEEAddress) })
	return devices
}

// Device returns the device of that address.
func (n *Network) Device(ieee IEEEAddress) (Device, bool) {
	n.mu.Lock()
	d, ok := n.nodes[ieee]
	var device Device
	if ok {
		device = n.copyOf(d)
	}
	n.mu.Unlock()
	return device.Clone(), ok
}

// copyOf returns the device as it is now. What it points to is not changed in place.
// The network is locked.
func (n *Network) copyOf(d *node) Device {
	n.revision++
	device := d.device
	device.Revision = n.revision
	return device
}

// Counters count what happened since the network was made.
type Counters struct {
	Received    uint64                    `json:"received"` // messages
	Damaged     map[string]uint64         `json:"damaged"`  // frames, or what they end in, that were dropped, by reason
	Duplicates  uint64                    `json:"duplicates"`
	Strangers   uint64                    `json:"strangers"` // frames of devices that nobody knows
	Strays      uint64                    `json:"strays"`    // events that came while no stick was in use
	Overflows   uint64                    `json:"overflows"` // what Handler was not told, as it was too slow
	StoreWrites uint64                    `json:"store_writes"`
	StoreErrors uint64                    `json:"store_errors"`
	Undelivered map[DeliveryReason]uint64 `json:"undelivered"`
	Unanswered  uint64                    `json:"unanswered"`   // requests that were delivered and had no answer
	NotAnswered uint64                    `json:"not_answered"` // what devices were not answered, as too much was to be answered
	Interviews  uint64                    `json:"interviews"`
	FailedPings uint64                    `json:"failed_pings"`
	Refused     uint64                    `json:"refused"` // devices that were too many or may not join
}

// Counters returns a copy of the counters.
func (n *Network) Counters() Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.counters
	c.Damaged = maps.Clone(c.Damaged)
	if n.session != nil {
		addCounts(c.Damaged, n.session.coordinator.Damaged())
	}
	c.Undelivered = maps.Clone(c.Undelivered)
	return c
}

func addCounts(to, counts map[string]uint64) {
	for reason, count := range counts {
		to[reason] += count
	}
}

// SetScenes takes note of the scenes that an endpoint holds.
func (n *Network) SetScenes(ieee IEEEAddress, endpoint uint8, scenes []Scene) error {
	return n.change(ieee, func(d *node) error {
		e := d.edit(endpoint)
		if e == nil {
			return noEndpoint(endpoint)
		}
		e.Scenes = slices.Clone(scenes)
		return nil
	})
}

// SetConfigured takes note of what was set up in a device.
func (n *Network) SetConfigured(ieee IEEEAddress, key string) error {
	return n.change(ieee, func(d *node) error {
		d.device.Configured = key
		return nil
	})
}

// change has f change a device, and sees to it that this is kept and told.
func (n *Network) change(ieee IEEEAddress, f func(*node) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.nodes[ieee]
	if d == nil {
		return ErrNoDevice
	}
	if err := f(d); err != nil {
		return err
	}
	n.dirty(d)
	n.tell(notice{kind: noticeChanged, device: n.copyOf(d)})
	return nil
}

func noEndpoint(id uint8) error {
	return fmt.Errorf("zigbee: the device has no endpoint %d; interview it again if it should", id)
}

// Blocked returns the devices that may not join, by address.
func (n *Network) Blocked() []IEEEAddress {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.blocked))
}

// SetBlocked says whether a device may not join.
func (n *Network) SetBlocked(ctx context.Context, ieee IEEEAddress, blocked bool) error {
	n.mu.Lock()
	if blocked {
		n.blocked[ieee] = true
	} else {
		delete(n.blocked, ieee)
	}
	var list []string
	for _, b := range slices.Sorted(maps.Keys(n.blocked)) {
		list = append(list, b.String())
	}
	n.mu.Unlock()
	return n.options.Memory.Put(ctx, memoryBlocked, strings.Join(list, ","))
}
