package zigbee_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/simulator/ezspstick"
	"lintel/serialbridge/simulator/znpstick"
	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/ezsp"
	"lintel/serialbridge/zigbee/znp"
)

// listener counts what a Handler is told.
type listener struct {
	mu       sync.Mutex
	messages map[zigbee.IEEEAddress]int
	last     map[zigbee.IEEEAddress]zigbee.Message
	stopped  []error
}

func newListener() *listener {
	return &listener{messages: make(map[zigbee.IEEEAddress]int), last: make(map[zigbee.IEEEAddress]zigbee.Message)}
}

func (l *listener) Started(zigbee.Info, zigbee.Parameters) {}

func (l *listener) Joined(zigbee.Device) {}

func (l *listener) Announced(zigbee.Device) {}

func (l *listener) Interviewing(zigbee.Device) {}

func (l *listener) Left(zigbee.Device) {}

func (l *listener) Changed(zigbee.Device) {}

func (l *listener) Available(zigbee.IEEEAddress, bool) {}

func (l *listener) Stopped(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = append(l.stopped, err)
}

func (l *listener) Message(d zigbee.Device, m zigbee.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[d.IEEEAddress]++
	l.last[d.IEEEAddress] = m
}

func (l *listener) count(a zigbee.IEEEAddress) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.messages[a]
}

// wire is one end of a serial line in memory: what is written waits until it is read.
type wire struct{ in, out *flow }

type flow struct {
	mu     sync.Mutex
	came   sync.Cond
	data   []byte
	closed bool
}

func newWire() (near, far wire) {
	there, back := &flow{}, &flow{}
	there.came.L, back.came.L = &there.mu, &back.mu
	return wire{back, there}, wire{there, back}
}

func (w wire) Read(b []byte) (int, error) {
	w.in.mu.Lock()
	defer w.in.mu.Unlock()
	for len(w.in.data) == 0 {
		if w.in.closed {
			return 0, io.EOF
		}
		w.in.came.Wait()
	}
	n := copy(b, w.in.data)
	w.in.data = w.in.data[n:]
	return n, nil
}

func (w wire) Write(b []byte) (int, error) {
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	if w.out.closed {
		return 0, io.ErrClosedPipe
	}
	w.out.data = append(w.out.data, b...)
	w.out.came.Broadcast()
	return len(b), nil
}

func (w wire) Close() error {
	for _, f := range []*flow{w.in, w.out} {
		f.mu.Lock()
		f.closed = true
		f.came.Broadcast()
		f.mu.Unlock()
	}
	return nil
}

func (wire) SetLine(serialbridge.Line) error { return nil }

// simulated is a stick of any family.
type simulated struct {
	serve func(context.Context, io.ReadWriter)
	open  func(context.Context, serialbridge.Port) (zigbee.Coordinator, error)
	end   func()
}

// families make sticks.
var families = map[string]func(*air.Network, zigbee.IEEEAddress) *simulated{
	"ZStack3x0":    func(n *air.Network, a zigbee.IEEEAddress) *simulated { return znpOf(n, a, znpstick.ZStack3x0) },
	"ZStack30x":    func(n *air.Network, a zigbee.IEEEAddress) *simulated { return znpOf(n, a, znpstick.ZStack30x) },
	"EmberZNet 13": func(n *air.Network, a zigbee.IEEEAddress) *simulated { return ezspOf(n, a, 13) },
	"EmberZNet 14": func(n *air.Network, a zigbee.IEEEAddress) *simulated { return ezspOf(n, a, 14) },
}

func znpOf(n *air.Network, a zigbee.IEEEAddress, p znpstick.Product) *simulated {
	s := znpstick.New(n, znpstick.Options{Product: p, IEEEAddress: a, Seed: uint64(a)})
	return &simulated{
		serve: func(ctx context.Context, c io.ReadWriter) { s.Serve(ctx, c) },
		open: func(ctx context.Context, p serialbridge.Port) (zigbee.Coordinator, error) {
			return znp.Open(ctx, p, znp.Options{})
		},
		end: s.Close,
	}
}

func ezspOf(n *air.Network, a zigbee.IEEEAddress, version uint8) *simulated {
	s := ezspstick.New(n, ezspstick.Options{Version: version, IEEEAddress: a})
	return &simulated{
		serve: func(ctx context.Context, c io.ReadWriter) { s.Serve(ctx, c) },
		open: func(ctx context.Context, p serialbridge.Port) (zigbee.Coordinator, error) {
			return ezsp.Open(ctx, p, ezsp.Options{})
		},
		end: func() {},
	}
}

// house is a network with everything around it that is real but the radio.
type house struct {
	*testing.T
	air      *air.Network
	network  *zigbee.Network
	listener *listener
	store    drivertest.Bucket[zigbee.Device]
	memory   drivertest.Bucket[string]

	sticks     []*simulated
	background sync.WaitGroup // the air
	program    sync.WaitGroup
	stop       context.CancelFunc // of the program
	pull       context.CancelFunc // of the stick
	served     chan error
}

// inHouse runs a test in a bubble of synctest.
func inHouse(t *testing.T, o air.Options, test func(h *house)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		h := &house{T: t, air: air.New(o), listener: newListener()}
		h.background.Go(func() { h.air.Run(ctx) })
		h.boot()
		test(h)
		h.shutDown()
		for _, s := range h.sticks {
			s.end()
		}
		cancel()
		h.background.Wait()
	})
}

func (h *house) boot() {
	h.Helper()
	n, err := zigbee.New(zigbee.Options{Store: &h.store, Memory: &h.memory, Handler: h.listener})
	if err != nil {
		h.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h.network, h.stop, h.served = n, stop, make(chan error, 1)
	h.program.Go(func() { n.Run(ctx) })
}

func (h *house) shutDown() {
	if h.pull != nil {
		h.unplug()
	}
	h.stop()
	h.program.Wait()
}

// stick makes a stick.
func (h *house) stick(family func(*air.Network, zigbee.IEEEAddress) *simulated, a zigbee.IEEEAddress) *simulated {
	s := family(h.air, a)
	h.sticks = append(h.sticks, s)
	return s
}

// plugIn has the network served by a stick.
func (h *house) plugIn(s *simulated) {
	h.Helper()
	near, far := newWire()
	ctx, pull := context.WithCancel(context.Background())
	h.pull = func() { pull(); far.Close() }
	h.program.Go(func() { s.serve(ctx, far) })
	n := h.network
	c, err := s.open(ctx, near)
	if err != nil {
		h.Fatal(err)
	}
	h.program.Go(func() { h.served <- n.Serve(ctx, c) })
	for range 600 {
		if _, _, running := n.Info(); running {
			return
		}
		select {
		case err := <-h.served:
			h.Fatal(err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	h.Fatal("the network does not run after a minute")
}

func (h *house) unplug() {
	h.pull()
	<-h.served
	h.pull = nil
}

// populate lets devices join one after the other and waits for their interviews.
func (h *house) populate(devices []air.Device) {
	h.Helper()
	for i, d := range devices {
		if i%8 == 0 {
			if err := h.network.PermitJoin(context.Background(), 254*time.Second, nil); err != nil {
				h.Fatal(err)
			}
		}
		if err := errors.Join(h.air.Add(d), h.air.Join(d.IEEEAddress)); err != nil {
			h.Fatal(err)
		}
		time.Sleep(5 * time.Second)
	}
	for range 120 {
		time.Sleep(time.Second)
		if len(h.unfinished()) == 0 {
			return
		}
	}
}

func (h *house) unfinished() (names []string) {
	for _, d := range h.network.Devices() {
		if d.Interview != zigbee.Successful {
			names = append(names, d.IEEEAddress.String()+" "+d.ModelID+" "+string(d.Interview))
		}
	}
	return names
}

// check asks every device that is always awake for something, and finds out whether all
// believe in the coordinator.
func (h *house) check() {
	h.Helper()
	for _, s := range h.air.Devices() {
		if err := h.air.Doubts(s.IEEEAddress); err != nil {
			h.Errorf("%s %s doubts: %v", s.Kind, s.IEEEAddress, err)
		}
		if !s.Router {
			continue
		}
		if err := h.network.Ping(context.Background(), s.IEEEAddress); err != nil {
			h.Errorf("%s %s does not answer: %v", s.Kind, s.IEEEAddress, err)
		}
	}
}
