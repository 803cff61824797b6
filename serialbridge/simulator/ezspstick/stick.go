package ezspstick

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// Air is the network that the stick is in: *air.Network.
type Air interface {
	Attach(air.Radio, air.Security)
	Detach(air.Radio)
	Send(f air.Frame, confirm func(air.Status))
	PermitJoin(time.Duration)
	FrameCounter() uint32
	Energy(channel uint8) uint8
}

// Options are the options of New.
type Options struct {
	Version      uint8              // of EZSP; 0: 13
	IEEEAddress  zigbee.IEEEAddress // that it was made with
	KeyTableSize int                // for the link keys of so many devices; 0: 128
	Messages     int                // so many unicasts may be on their way; 0: 10
	// FixedAddress: the firmware has no token for another IEEE address.
	FixedAddress bool
	Faults       Faults
	Logger       *slog.Logger // nil: silent
}

// Counters count what the stick has met.
type Counters struct {
	Unhandled     map[uint16]int // commands that it does not know
	Refused       int            // for want of room, asked for by Faults
	Retransmitted int            // frames that were sent again
	Resets        int
	LostCallbacks int
}

// Stick is a simulated stick.
type Stick struct {
	options Options
	air     Air
	log     *slog.Logger
	wake    chan struct{} // something is to be sent

	mu       sync.Mutex
	tokens   tokens
	node     node
	ash      line
	counters Counters
	random   faultSource
	after    []func() // what is to be done without the lock
	timers   map[*time.Timer]struct{}
	powered  bool
	counted  uint32 // frame counter of the air, as it was last seen
}

// New returns a stick without a network.
func New(a Air, o Options) *Stick {
	if o.Version == 0 {
		o.Version = 13
	}
	if o.KeyTableSize == 0 {
		o.KeyTableSize = 128
	}
	if o.Messages == 0 {
		o.Messages = 10
	}
	s := &Stick{
		options:  o,
		air:      a,
		log:      o.Logger,
		wake:     make(chan struct{}, 1),
		counters: Counters{Unhandled: make(map[uint16]int)},
		random:   newFaultSource(o.Faults),
		timers:   make(map[*time.Timer]struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Counters returns what the stick has met so far.
func (s *Stick) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters
	c.Unhandled = make(map[uint16]int, len(c.Unhandled))
	for id, n := range s.counters.Unhandled {
		c.Unhandled[id] = n
	}
	return c
}

// Serve gives the stick power, with rw as its serial line, until ctx ends or the
// line fails. The reader of rw ends when the caller closes it.
func (s *Stick) Serve(ctx context.Context, rw io.ReadWriter) error {
	s.mu.Lock()
	if s.powered {
		s.mu.Unlock()
		return errors.New("ezspstick: it has power already")
	}
	s.powered = true
	s.restart(resetPowerOn)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.powered = false
		s.down()
		s.mu.Unlock()
		s.finish()
	}()

	incoming := make(chan []byte)
	failed := make(chan error, 1)
	go func() {
		for {
			buf := make([]byte, 1024)
			n, err := rw.Read(buf)
			if n > 0 {
				select {
				case incoming <- buf[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		s.mu.Lock()
		out, wait := s.transmit(time.Now())
		s.mu.Unlock()
		s.finish()
		if len(out) > 0 {
			if _, err := rw.Write(out); err != nil {
				return err
			}
		}
		if wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-failed:
			return err
		case data := <-incoming:
			s.mu.Lock()
			s.receive(s.random.damage(data))
			s.mu.Unlock()
			s.finish()
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// finish does what had to wait until the lock is free: the air calls back.
func (s *Stick) finish() {
	for {
		s.mu.Lock()
		after := s.after
		s.after = nil
		s.mu.Unlock()
		if len(after) == 0 {
			return
		}
		for _, do := range after {
			do()
		}
	}
}

// later does something after a time, unless the stick is reset before.
func (s *Stick) later(d time.Duration, do func()) {
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		s.mu.Lock()
		_, ok := s.timers[t]
		delete(s.timers, t)
		if ok {
			do()
		}
		s.mu.Unlock()
		s.finish()
		s.nudge()
	})
	s.timers[t] = struct{}{}
}

func (s *Stick) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Reset lets the stick restart by itself, as its watchdog does.
func (s *Stick) Reset() {
	s.mu.Lock()
	if s.powered {
		s.restart(resetWatchdog)
	}
	s.mu.Unlock()
	s.finish()
	s.nudge()
}

// SetFaults changes the faults.
func (s *Stick) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Faults = f
	s.random.faults = f
}

// restart begins anew with what the tokens hold.
func (s *Stick) restart(cause byte) {
	s.down()
	s.counters.Resets++
	s.ash = line{ackTime: ackTimeFirst}
	s.ash.urgent = append(s.ash.urgent, appendLineFrame(nil, []byte{0xc1, 2, cause})...)
	s.ash.connected = cause == resetSoftware
}

// down takes the stick off the air and forgets what is not in tokens.
func (s *Stick) down() {
	for t := range s.timers {
		t.Stop()
		delete(s.timers, t)
	}
	if s.node.up {
		radio := s.node.radio
		s.node.up = false
		// What the counter is now has to survive.
		s.after = append(s.after, func() {
			counter := s.air.FrameCounter()
			s.air.Detach(radio)
			s.mu.Lock()
			s.tokens.frameCounter = max(s.tokens.frameCounter, counter)
			s.mu.Unlock()
		})
	}
	s.node = newNode(s.options)
}
