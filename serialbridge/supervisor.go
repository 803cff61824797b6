package serialbridge

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/mqtt"
	"lintel/hardware"
	"lintel/serialbridge/journey"
)

// NamedPort is a port that is used although USB does not tell of it: the pty
// of a simulator, a UART on the board's header. It is also how a protocol is
// laid down for a stick that cannot be recognised. It has either a Path or a
// Stick.
type NamedPort struct {
	Path     string
	Protocol string  // Driver.Protocol; empty: listen
	Stick    string  // StickStatus.ID of one that USB tells of, wherever it is plugged in
	Driver   *Driver // in place of Protocol: one that has settings for this port; nil: none

	Interval time.Duration // in place of Options.Interval; 0: that one

	Simulated bool // there is no stick there, but a program that plays one
}

// Options of New.
type Options struct {
	Broker  Broker
	Drivers []Driver
	Ports   []NamedPort

	// Root is the file system that the USB inventory is read from; empty
	// is the machine's own.
	Root string

	// BaseTopic is the first level of all topics; empty is "lintel".
	BaseTopic string

	// OnDevice is called for each device that is new or has changed, before
	// its state is published. Devices of different sticks may call it at
	// the same time. It may block: that delays what the same stick
	// publishes, but not what it hears.
	OnDevice func(Device)

	// OnGone is called for each device that is withdrawn, in the same way.
	OnGone func(id string)

	// Interval is the least time between two states of one device, as far as
	// only measured values change; 0: a second, negative: none. AtLeast is how
	// often a state is published that does not change; 0: each minute.
	Interval, AtLeast time.Duration

	// Memory keeps what drivers remember; nil: until the end of the program.
	// Nobody else writes to it.
	Memory Memory

	// Journeys is told what happens to single readings and commands while somebody
	// watches; nil: nobody does.
	Journeys *journey.Book

	Logger *slog.Logger // nil: silent
}

const (
	maxSticks  = 64   // remembered; those that are plugged in come first
	maxDevices = 1024 // behind all sticks together

	// goodbye is how long Run waits at its end for the broker to take the
	// last messages.
	goodbye = 2 * time.Second
)

// timing is every duration that the supervisor goes by.
type timing struct {
	retryMin, retryMax time.Duration // between two tries of a stick that fails
	existMin, existMax time.Duration // between two looks for a port that is not there
	goodRun            time.Duration // after which a failure is the first one again
	listen             time.Duration // at one line setting; the slowest meters send every 10 s
	listenMore         time.Duration // after a first valid frame, for the second one
	listenMax          time.Duration // at one line setting in all
	silence            time.Duration // without a frame, before a driver found by listening is doubted
	quiet              time.Duration // without a reading before a device is offline, at least
	quietOnce          time.Duration // the same for a device that was heard just once
	sweep              time.Duration // between two looks for quiet devices
	look               time.Duration // hardware.WatchOptions.Interval
	stop               time.Duration // what a driver has to end in
}

func defaultTiming() timing {
	return timing{
		retryMin: time.Second, retryMax: time.Minute,
		existMin: time.Second, existMax: 2 * time.Second,
		goodRun: time.Minute,
		listen:  11 * time.Second, listenMore: 25 * time.Second, listenMax: time.Minute,
		silence: 2 * time.Minute,
		quiet:   time.Minute, quietOnce: time.Hour, sweep: 5 * time.Second,
		stop: 3 * time.Second,
	}
}

// Supervisor finds the sticks and keeps a driver running on each.
type Supervisor struct {
	o    Options
	log  *slog.Logger
	t    timing
	done chan struct{} // closed when nothing is published any more

	asked chan func(running, publish context.Context) // of Run, by Plug

	subscribed bool          // Settle and Run
	caughtUp   chan struct{} // closed when all that was retained has come
	catchUp    sync.Once

	memory *memory

	mu      sync.Mutex // guards all below, and what sticks and devices say is guarded by it
	sticks  map[string]*stick
	devices map[string]*device
	before  map[string]map[string]any // by Device.ID: states from before this start of devices that were not heard yet
	wanted  []*stick                  // the order in which sticks were first seen

	keepers    sync.WaitGroup // one goroutine for each stick that is there
	publishers sync.WaitGroup // one for each stick that is remembered
}

// New returns a supervisor that does nothing until Run, which is called once.
func New(o Options) *Supervisor {
	if o.BaseTopic == "" {
		o.BaseTopic = "lintel"
	}
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	if o.AtLeast == 0 {
		o.AtLeast = defaultAtLeast
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Supervisor{
		o: o, log: o.Logger, t: defaultTiming(),
		done:     make(chan struct{}),
		asked:    make(chan func(running, publish context.Context)),
		caughtUp: make(chan struct{}),
		memory:   newMemory(o.Memory),
		sticks:   make(map[string]*stick),
		devices:  make(map[string]*device),
		before:   make(map[string]map[string]any),
	}
}

// Run keeps the sticks going until ctx ends. It then says offline for every
// device, waits for the sticks to be closed, and returns nil. It fails at once
// if it cannot subscribe to the commands.
func (s *Supervisor) Run(ctx context.Context) error {
	defer close(s.done)
	// The publishers outlive ctx by what it takes to say offline.
	publish, stopPublishing := context.WithCancel(context.WithoutCancel(ctx))
	defer s.publishers.Wait()
	defer stopPublishing()

	if err := s.subscribe(ctx); err != nil {
		return err
	}
	for _, p := range s.o.Ports {
		if p.Path == "" {
			continue // USB tells when it is there
		}
		s.mu.Lock()
		st := s.remember(publish, p.Path)
		if st.cancel == nil { // else it is named twice
			st.named = true
			s.appear(ctx, st, hardware.SerialPort{Path: p.Path})
		}
		s.mu.Unlock()
	}
	s.keepers.Go(func() { s.sweep(ctx) })
	s.keepers.Go(func() { s.answer(ctx, publish) })
	s.keepers.Go(func() {
		s.memory.keep(ctx, func(err error) { s.log.Error("cannot remember what a stick said", "err", err) })
	})
	err := hardware.WatchSerialPorts(ctx, func(ports []hardware.SerialPort) {
		s.reconcile(ctx, publish, ports)
	}, hardware.WatchOptions{Root: s.o.Root, Interval: s.t.look, Logger: s.log})
	s.keepers.Wait()
	flush, cancel := context.WithTimeout(publish, goodbye)
	defer cancel()
	if ferr := s.flush(flush); ferr != nil {
		s.log.Warn("some devices could not be said offline", "err", ferr)
	}
	return err
}

// Settle takes up what an earlier run has left at the broker, and returns when the box,
// its sticks and all devices are offline there. It is for the time before the broker
// lets others in: after a power cut all that was online is retained as that, and
// who connects would believe it. It may be called once, before Run; what it has
// subscribed to is heard until ctx ends.
func (s *Supervisor) Settle(ctx context.Context) error {
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	// The box's own word comes back to the subscription when all that was retained
	// before has come.
	m := mqtt.Message{Topic: s.o.BaseTopic + "/gateway/availability", Payload: []byte("offline"), QoS: 1, Retain: true}
	if err := s.o.Broker.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish to %s: %w", m.Topic, err)
	}
	select {
	case <-s.caughtUp:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe asks the broker for what the supervisor wants to hear, once.
func (s *Supervisor) subscribe(ctx context.Context) error {
	if s.subscribed {
		return nil
	}
	s.subscribed = true
	for _, want := range []struct {
		filter string
		o      mqtt.SubscriptionOptions
		handle func(mqtt.Message)
	}{
		{"/+/state", mqtt.NoLocal, s.recall},
		{"/+/set", 1, s.command},
		{"/+/set/+", 1, s.command},
		{"/+/availability", 1, func(m mqtt.Message) { s.correct(ctx, m) }},
	} {
		if err := s.o.Broker.Subscribe(ctx, s.o.BaseTopic+want.filter, want.o, want.handle); err != nil {
			return fmt.Errorf("subscribe to the topics of devices: %w", err)
		}
	}
	return nil
}

// reconcile compares the ports that are there with the sticks that are kept.
func (s *Supervisor) reconcile(ctx, publish context.Context, ports []hardware.SerialPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := make(map[string]bool)
	for _, p := range s.o.Ports {
		if p.Path == "" {
			continue
		}
		named[p.Path] = true
		if node, err := filepath.EvalSymlinks(p.Path); err == nil {
			named[node] = true
		}
	}
	there := make(map[*stick]bool)
	for _, p := range ports {
		if node, err := filepath.EvalSymlinks(p.Path); named[p.Path] || err == nil && named[node] {
			continue // the user has said what it is
		}
		id := p.ID()
		if st := s.sticks[id]; st != nil && there[st] {
			id += "@" + p.PortPath // two sticks with one serial number
		}
		st := s.remember(publish, id)
		there[st] = true
		if st.cancel != nil && st.usb != p {
			s.vanish(st)
		}
		if st.cancel == nil {
			s.appear(ctx, st, p)
		}
	}
	for _, st := range s.sticks {
		if !st.named && !there[st] && st.cancel != nil {
			s.vanish(st)
		}
	}
	s.forget()
}

// remember returns the stick with that id, and begins it if there is none.
func (s *Supervisor) remember(publish context.Context, id string) *stick {
	st := s.sticks[id]
	if st == nil {
		st = &stick{
			s: s, id: id,
			state: Waiting, since: time.Now(),
			damaged: make(map[string]uint64),
			ignored: make(map[string]uint64),
			wake:    make(chan struct{}, 1),
		}
		for _, p := range s.o.Ports {
			if p.Path == id || p.Stick == id {
				st.pinned = p
			}
		}
		s.sticks[id] = st
		s.wanted = append(s.wanted, st)
		ctx, cancel := context.WithCancel(publish)
		st.forgotten = cancel
		st.enqueueSelf()
		s.publishers.Go(func() { st.publish(ctx) })
	}
	return st
}

// forget drops the sticks that were seen first and are gone, if there are too
// many: a device that invents a serial number each time must not fill the
// memory.
func (s *Supervisor) forget() {
	for _, st := range slices.Clone(s.wanted) {
		if len(s.wanted) <= maxSticks {
			return
		}
		if st.named || st.cancel != nil || st.owes() {
			continue
		}
		st.forgotten()
		delete(s.sticks, st.id)
		s.wanted = slices.DeleteFunc(s.wanted, func(other *stick) bool { return other == st })
	}
}

// appear starts to keep a stick that was plugged in.
func (s *Supervisor) appear(ctx context.Context, st *stick, p hardware.SerialPort) {
	ctx, st.cancel = context.WithCancel(ctx)
	st.usb = p
	before, ended := st.ended, make(chan struct{})
	st.ended = ended
	s.keepers.Go(func() {
		defer close(ended)
		if before != nil {
			<-before // it may still hold the port
		}
		st.keep(ctx, p)
	})
}

// vanish ends the keeping of a stick that was unplugged.
func (s *Supervisor) vanish(st *stick) {
	st.cancel()
	st.cancel = nil
}

// Republish sends availability and state of all devices again and returns when
// the broker has taken them. It is of use only while Run runs.
func (s *Supervisor) Republish(ctx context.Context) error {
	s.mu.Lock()
	for _, d := range s.devices {
		d.owner.enqueue(d, dirtyState|dirtyAvailability)
	}
	for _, st := range s.sticks {
		st.enqueueSelf()
	}
	s.mu.Unlock()
	if err := s.flush(ctx); err != nil {
		return fmt.Errorf("publish all devices again: %w", err)
	}
	return nil
}

// flush waits until all that is queued now was taken by the broker.
func (s *Supervisor) flush(ctx context.Context) error {
	var flushed []chan struct{}
	s.mu.Lock()
	for _, d := range s.devices {
		if d.settle() {
			d.owner.enqueue(d, dirtyState)
		}
	}
	for _, st := range s.sticks {
		done := make(chan struct{})
		flushed = append(flushed, done)
		st.queue = append(st.queue, entry{flushed: done})
		st.stir()
	}
	s.mu.Unlock()
	for _, done := range flushed {
		select {
		case <-done:
		case <-s.done:
			return fmt.Errorf("the serial bridges have stopped")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// correct says offline for a device or a stick that was left online: the power failed,
// and the stick was gone when it came back. What is heard again says online itself.
func (s *Supervisor) correct(ctx context.Context, m mqtt.Message) {
	id := strings.Split(strings.TrimPrefix(m.Topic, s.o.BaseTopic+"/"), "/")[0]
	if id == "gateway" && !m.Retain {
		s.catchUp.Do(func() { close(s.caughtUp) })
	}
	if !m.Retain || string(m.Payload) != "online" || !validID(id) {
		return
	}
	heard := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d := s.devices[id]; d != nil {
			d.owner.enqueue(d, dirtyAvailability)
			return true
		}
		for _, st := range s.sticks {
			if st.deviceID() == id {
				st.enqueueSelf()
				return true
			}
		}
		return false
	}
	if heard() {
		return
	}
	if err := s.o.Broker.Publish(ctx, mqtt.Message{Topic: m.Topic, Payload: []byte("offline"), QoS: 1, Retain: true}); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot publish", "device", id, "err", err)
	}
	heard() // in the meantime: then the last word is not ours
}

// sweep says offline for devices that are quiet for too long.
func (s *Supervisor) sweep(ctx context.Context) {
	tick := time.NewTicker(s.t.sweep)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.mu.Lock()
			for _, d := range s.devices {
				if d.online && d.silentTooLong(now, s.t) {
					d.silent = true
					d.setOnline(false)
					d.keep()
				}
				if now.Sub(start) > stale {
					d.before = nil
				}
			}
			if now.Sub(start) > stale {
				clear(s.before)
			}
			s.mu.Unlock()
		}
	}
}

// command takes a message on a set topic: BASE/DEVICE/set with a JSON object,
// or BASE/DEVICE/set/KEY with a bare value.
func (s *Supervisor) command(m mqtt.Message) {
	rest, _ := strings.CutPrefix(m.Topic, s.o.BaseTopic+"/")
	id, rest, _ := strings.Cut(rest, "/")
	_, key, single := strings.Cut(rest, "/")

	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[id]
	if d == nil {
		s.log.Debug("command for an unknown device", "topic", m.Topic)
		return
	}
	var commands []Command
	var err error
	switch {
	case m.Retain:
		// It was meant for the moment it was sent, not for each start.
		err = errRetained
	case single:
		commands, err = d.parseValue(key, m.Payload)
	default:
		commands, err = d.parseObject(m.Payload)
	}
	if err == nil {
		if m.Trace != 0 {
			s.o.Journeys.Tell(m.Trace, commanded(commands))
		}
		err = d.owner.follow(m.Trace, commands)
	}
	if err != nil {
		s.o.Journeys.Tell(m.Trace, journey.Stage{Kind: journey.Failed, Detail: err.Error()})
		d.owner.refused++
		s.log.Warn("command refused", "topic", m.Topic, "device", id, "err", err)
	}
}
