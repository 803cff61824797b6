package hardware

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

const (
	// settle is how long it must be quiet after an event: a device that is
	// plugged in may come and go several times while its contacts close.
	settle = 500 * time.Millisecond
	// settleMax bounds that for a device that never comes to rest.
	settleMax = 2 * time.Second

	pollWithEvents    = 30 * time.Second
	pollWithoutEvents = 3 * time.Second
)

// WatchOptions of WatchSerialPorts.
type WatchOptions struct {
	Root string // below which proc, sys and dev are; "/" or empty outside of tests

	// Interval is the time between two looks without a reason; zero is 30 s,
	// or 3 s where the kernel's events cannot be had.
	Interval time.Duration

	Logger *slog.Logger // nil: silent
}

// WatchSerialPorts calls changed with the serial ports that are there, and again
// whenever they differ, until ctx ends. It returns nil then.
//
// It hears of a change from the kernel and looks by itself from time to time,
// because events get lost, and a container gets none.
func WatchSerialPorts(ctx context.Context, changed func([]SerialPort), o WatchOptions) error {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	events := make(chan struct{}, 1)
	hearing := false
	var deaf chan struct{} // closed when events end
	if s, err := openUevents(); err != nil {
		log.Warn("no uevents, polling for sticks", "err", err)
	} else {
		hearing = true
		ended := make(chan struct{})
		deaf = ended
		go func() {
			defer close(ended)
			if err := s.notify(log, events); ctx.Err() == nil {
				log.Warn("no more uevents, polling for sticks", "err", err)
			}
		}()
		defer func() { s.close(); <-ended }()
	}

	interval := func() time.Duration {
		switch {
		case o.Interval > 0:
			return o.Interval
		case hearing:
			return pollWithEvents
		}
		return pollWithoutEvents
	}
	var known []SerialPort
	first := true
	look := func() {
		ports, err := serialPorts(o.Root)
		if err != nil {
			log.Warn("cannot list serial ports", "err", err)
			return
		}
		if first || !slices.Equal(ports, known) {
			first = false
			known = ports
			changed(slices.Clone(ports))
		}
	}
	look()
	poll := time.NewTimer(interval())
	defer poll.Stop()
	var quiet <-chan time.Time
	var unrest time.Time // when the present unrest began
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			now := time.Now()
			if quiet == nil {
				unrest = now
			}
			if quiet == nil || now.Sub(unrest) < settleMax {
				quiet = time.After(settle)
			}
			continue
		case <-deaf:
			hearing, deaf = false, nil
		case <-quiet:
			quiet = nil
			look()
		case <-poll.C:
			look()
		}
		poll.Reset(interval())
	}
}

// notify puts a token into events for everything that happens to a tty, until
// the socket fails or is closed.
func (s *ueventSocket) notify(log *slog.Logger, events chan<- struct{}) error {
	for {
		e, lost, err := s.next()
		if err != nil {
			return err
		}
		if !lost && e.subsystem != "tty" {
			continue
		}
		log.Debug("uevent", "action", e.action, "port", e.name, "lost", lost)
		select {
		case events <- struct{}{}:
		default: // one is waiting: it covers this one
		}
	}
}
