package serialbridge

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lintel/hardware"
)

const (
	maxSticks  = 64   // remembered; those that are plugged in come first
	maxDevices = 1024 // behind all sticks together

	// goodbye is how long Run waits at its end for the broker to take the
	// last messages.
	goodbye = 2 * time.Second
)

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
		s.drop(st)
	}
}

// drop forgets a stick that is not kept any more. The caller holds the lock.
func (s *Supervisor) drop(st *stick) {
	st.forgotten()
	delete(s.sticks, st.id)
	s.wanted = slices.DeleteFunc(s.wanted, func(other *stick) bool { return other == st })
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
