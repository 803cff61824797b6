package air

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"lintel/serialbridge/zigbee"
)

// Options are the options of New.
type Options struct {
	Seed      uint64
	Loss      float64       // share of the frames, in each direction, that nobody hears
	Duplicate float64       // share of the frames of devices that arrive twice
	Latency   time.Duration // of a frame from hop to hop; 0: five milliseconds

	// Drift is how often what the devices measure changes, on the average; 0:
	// never, but by Set.
	Drift time.Duration

	// Sent is told what became of each frame of a device or to one; nil: nobody.
	Sent func(Record)
}

// Record is what became of a frame.
type Record struct {
	Time       time.Time
	Device     zigbee.IEEEAddress
	FromDevice bool
	Frame      Frame
	// Heard says that who it was for has it: for a frame of a device that
	// the radio was told of it.
	Heard bool
	// Status is that of a frame to a device.
	Status Status
}

// Limits of a network.
const (
	maxDevices = 250
	maxHeld    = 8                       // frames that a parent holds for a child
	holdTime   = 7500 * time.Millisecond // macTransactionPersistenceTime as Zigbee sets it
	ackTime    = 1600 * time.Millisecond // apscAckWaitDuration: after it nobody has answered
)

// Network is a network of virtual devices. See the package documentation for who
// may call what.
type Network struct {
	options Options
	wake    chan struct{}

	mu        sync.Mutex
	random    *rand.Rand
	events    events
	order     uint64 // of events of the same time
	calls     []func()
	radio     Radio // nil: none is attached
	session   uint64
	security  Security
	counter   uint32
	openUntil time.Time // until when the coordinator lets devices join
	devices   map[zigbee.IEEEAddress]*device
	sorted    []*device            // as they were added
	switches  map[uint32]*gpSwitch // of Green Power, by source ID
}

// New returns a network without devices and without a coordinator.
func New(o Options) *Network {
	if o.Latency == 0 {
		o.Latency = 5 * time.Millisecond
	}
	return &Network{
		options: o,
		wake:    make(chan struct{}, 1),
		random:  rand.New(rand.NewPCG(o.Seed, 0x7a69676265655f31)),
		devices: make(map[zigbee.IEEEAddress]*device),
	}
}

// event is something that happens at a time.
type event struct {
	at    time.Time
	order uint64
	do    func() // with the network locked
}

// events is a heap.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{}
	*e = (*e)[:last]
	return x
}

// after lets do happen, with the network locked.
func (n *Network) after(d time.Duration, do func()) {
	n.order++
	heap.Push(&n.events, event{at: time.Now().Add(d), order: n.order, do: do})
	if n.events[0].order == n.order {
		n.nudge()
	}
}

func (n *Network) nudge() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// call lets do be called when the event is over, with nothing locked.
func (n *Network) call(do func()) {
	n.calls = append(n.calls, do)
	n.nudge()
}

// Run is the network's time: it returns when ctx is done.
func (n *Network) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, any := n.step()
		if any {
			timer.Reset(next)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// step does all that is due and returns how long it is until more is.
func (n *Network) step() (wait time.Duration, any bool) {
	for {
		n.mu.Lock()
		if len(n.calls) == 0 {
			if len(n.events) == 0 {
				n.mu.Unlock()
				return 0, false
			}
			if wait := time.Until(n.events[0].at); wait > 0 {
				n.mu.Unlock()
				return wait, true
			}
			heap.Pop(&n.events).(event).do()
		}
		calls := n.calls
		n.calls = nil
		n.mu.Unlock()
		for _, do := range calls {
			do()
		}
	}
}

// Attach makes the radio the coordinator: what devices send reaches it from now
// on. A radio that was attached before is so no more.
func (n *Network) Attach(r Radio, s Security) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.session++
	n.radio, n.security, n.counter, n.openUntil = r, s, s.FrameCounter, time.Time{}
}

// Detach takes the radio off the air, if it is attached: when its stick is reset or
// loses power. What it has sent is not confirmed any more.
func (n *Network) Detach(r Radio) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.radio == r {
		n.session++
		n.radio = nil
	}
}

// FrameCounter returns the frame counter of the last frame of the coordinator.
func (n *Network) FrameCounter() uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counter
}

// PermitJoin lets devices join at the coordinator itself for that time. Routers
// do so for their part when they are sent a Mgmt_Permit_Joining_req.
func (n *Network) PermitJoin(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.openUntil = time.Now().Add(d)
}

// Energy returns what an energy scan of the channel measures.
func (n *Network) Energy(channel uint8) uint8 {
	// Wireless networks usually sit on 1, 6 and 11, which cover 11-14, 16-19, 21-24.
	noise := rand.New(rand.NewPCG(n.options.Seed, uint64(channel))).IntN(40)
	if channel%5 != 0 {
		noise += 100
	}
	return uint8(noise)
}

// Send sends a frame of the coordinator. Unless confirm is nil, it is told what
// became of the frame: of a broadcast that it was sent, of any other that it was
// acknowledged or why not.
func (n *Network) Send(f Frame, confirm func(Status)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	session := n.session
	n.counter++
	f.counter = n.counter
	f.Source = zigbee.ToCoordinator
	f.Data = append([]byte(nil), f.Data...)
	n.after(n.options.Latency, func() {
		if n.session != session || n.radio == nil {
			return
		}
		answered := func(s Status) {
			if confirm != nil {
				n.call(func() { confirm(s) })
			}
		}
		if f.Group != 0 || f.Destination >= 0xfff8 {
			n.broadcast(f)
			answered(Delivered)
			return
		}
		n.unicast(f, func(s Status) {
			if n.session == session {
				answered(s)
			}
		})
	})
}

// broadcast lets everybody hear the frame that it is for.
func (n *Network) broadcast(f Frame) {
	for _, d := range n.sorted {
		switch {
		case !d.hears(n.security):
			continue
		case f.Group == 0 && f.Destination == zigbee.BroadcastRouters && !d.router():
			continue
		case (f.Group != 0 || f.Destination == zigbee.BroadcastAwake) && d.sleepy():
			continue
		case n.chance(n.options.Loss):
			n.sent(Record{Device: d.IEEEAddress, Frame: f, Status: NoAck})
			continue
		}
		n.after(time.Duration(d.hops())*n.options.Latency, func() { n.take(d, f, nil) })
	}
}

// unicast carries a frame to the device of that address.
func (n *Network) unicast(f Frame, answered func(Status)) {
	var d *device
	for _, other := range n.sorted {
		if other.joined && other.address == f.Destination {
			d = other
		}
	}
	lost := func(why Status, after time.Duration) {
		if d != nil {
			n.sent(Record{Device: d.IEEEAddress, Frame: f, Status: why})
		}
		n.after(after, func() { answered(why) })
	}
	switch {
	case d == nil || !d.reachable():
		lost(NoRoute, ackTime)
	case d.sleepy() && !n.awake(d):
		n.hold(d, f, answered)
	case !d.hears(n.security) || n.chance(n.options.Loss):
		lost(NoAck, ackTime)
	default:
		n.after(time.Duration(d.hops())*n.options.Latency, func() { n.take(d, f, answered) })
	}
}

// take lets a device have a frame.
func (n *Network) take(d *device, f Frame, answered func(Status)) {
	if !d.believes(f.counter) {
		n.sent(Record{Device: d.IEEEAddress, Frame: f, Status: NoAck})
		if answered != nil {
			n.after(ackTime, func() { answered(NoAck) })
		}
		return
	}
	n.sent(Record{Device: d.IEEEAddress, Frame: f, Heard: true, Status: Delivered})
	if answered != nil {
		n.after(n.options.Latency, func() { answered(Delivered) })
	}
	d.handle(f)
}

// transmit carries a frame of a device to the coordinator.
func (n *Network) transmit(d *device, f Frame) {
	f.Source, f.LinkQuality = d.address, d.LinkQuality
	delay := time.Duration(d.hops()) * n.options.Latency
	n.after(delay, func() { n.arrive(d, f) })
	if n.chance(n.options.Duplicate) {
		n.after(2*delay, func() { n.arrive(d, f) })
	}
	n.rouse(d)
}

// arrive lets the radio hear a frame of a device.
func (n *Network) arrive(d *device, f Frame) {
	r := Record{Device: d.IEEEAddress, FromDevice: true, Frame: f}
	r.Heard = n.radio != nil && d.shares(n.security) && d.joined && !n.chance(n.options.Loss)
	n.sent(r)
	if r.Heard {
		radio := n.radio
		n.call(func() { radio.Receive(f) })
	}
}

func (n *Network) chance(share float64) bool { return share > 0 && n.random.Float64() < share }

func (n *Network) sent(r Record) {
	if n.options.Sent != nil {
		r.Time = time.Now()
		n.call(func() { n.options.Sent(r) })
	}
}

// find returns the device of that address.
func (n *Network) find(a zigbee.IEEEAddress) (*device, error) {
	if d := n.devices[a]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("air: there is no device %s", a)
}

var errFull = errors.New("air: the network is full")
