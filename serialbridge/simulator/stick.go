package simulator

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// attention is how long a device takes at most to hear what it is told.
	attention = 5 * time.Millisecond
	// maxHeard bounds what a device has heard and not done with.
	maxHeard = 4 << 10
)

// Options of New.
type Options struct {
	Link     string           // path of the link to the pty; needed
	Device   Device           // what is behind the stick
	Interval time.Duration    // in place of the device's; 0: the device's
	Now      func() time.Time // is asked once before each Talk; nil: time.Now
	Seed     uint64           // of the faults' randomness
	Logger   *slog.Logger     // nil: none

	// Sent is called for each frame that the device has said. It must not call
	// methods of the stick. nil: nobody wants to know.
	Sent func(Sent)
}

// Sent tells what became of a frame.
type Sent struct {
	Frame Frame // as the device has said it
	Time  time.Time
	// Lost says that not all of it was delivered: nobody had the port open or
	// took what came before, the stick was silent, or it was pulled out.
	Lost   bool
	Fault  Fault         // what was done to it
	Noise  int           // random bytes that came before it
	Opened time.Time     // since when somebody has the port open; zero: nobody
	Pause  time.Duration // the longest between two bytes of it; a busy machine may add to Faults.Slow
}

// Stick is a simulated stick.
type Stick struct {
	options Options
	stir    chan struct{} // wakes Run

	mu     sync.Mutex
	device Device
	faults Faults
	spoils []Fault // for each of the next frames
	random *rand.Rand

	cable  *cable    // nil while it is unplugged
	opened time.Time // since when somebody has the port open; zero: nobody
	heard  []byte
	out    []piece   // what is to be delivered
	due    time.Time // of the next Talk
}

// A piece is what goes out in one go: noise, or a frame.
type piece struct {
	data []byte    // what of it is left
	sent *Sent     // nil: noise
	last time.Time // of the last byte that went out; zero: none has
}

// New returns a stick that is not plugged in yet.
func New(o Options) *Stick {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Stick{options: o, device: o.Device, stir: make(chan struct{}, 1), random: rand.New(rand.NewPCG(o.Seed, 0))}
}

// Run plugs the stick in, if it is not, and lets it work until ctx ends. Then it
// is unplugged. It returns nil if ctx ended, else why the pty failed.
func (s *Stick) Run(ctx context.Context) error {
	if err := s.Plug(); err != nil {
		return err
	}
	defer s.Unplug()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, err := s.step(time.Now())
		if err != nil {
			return err
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.stir:
		}
	}
}

// step does what is to be done at a time, and returns how long there is nothing
// to do.
func (s *Stick) step(now time.Time) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listen(now)
	wait := time.Hour
	if s.device.Talk != nil {
		if !now.Before(s.due) {
			// Who cannot deliver in time loses what comes next, not half of it.
			busy, err := s.deliver(now)
			if err != nil {
				return 0, err
			}
			s.say(s.device.Talk(s.options.Now()), busy, now)
			s.due = s.due.Add(s.interval())
			if s.due.Before(now) {
				s.due = now.Add(s.interval())
			}
		}
		wait = s.due.Sub(now)
	}
	busy, err := s.deliver(now)
	switch {
	case busy && s.faults.Slow > 0:
		wait = min(wait, s.faults.Slow)
	case busy || s.device.Answer != nil:
		wait = min(wait, attention)
	}
	return wait, err
}

func (s *Stick) interval() time.Duration {
	interval := s.device.Interval
	if s.options.Interval > 0 {
		interval = s.options.Interval
	}
	if s.faults.Double {
		interval /= 2
	}
	return max(interval, time.Millisecond)
}

// listen takes what was sent to the stick, so that a driver that writes to it does
// not block for ever, and lets the device answer.
func (s *Stick) listen(now time.Time) {
	if s.cable == nil {
		return
	}
	s.heard = append(s.heard, s.cable.read()...)
	if s.device.Answer == nil {
		s.heard = nil
		return
	}
	for len(s.heard) > 0 {
		n, answers := s.device.Answer(s.heard)
		if n == 0 {
			break
		}
		s.heard = s.heard[n:]
		s.say(answers, false, now)
	}
	if len(s.heard) > maxHeard {
		s.heard = nil // nobody talks like that
	}
}

// say puts frames into the queue, or what the faults make of them.
func (s *Stick) say(frames []Frame, busy bool, now time.Time) {
	for _, f := range frames {
		sent := &Sent{Frame: f}
		if s.cable == nil || s.faults.Silent || busy {
			s.lose(sent, now)
			continue
		}
		fault, at := s.faults.choose(s.random), s.random.IntN
		if len(s.spoils) > 0 {
			fault, at = s.spoils[0], middle
			s.spoils = s.spoils[1:]
		}
		noise := s.faults.noise(s.random)
		if len(noise) > 0 {
			s.out = append(s.out, piece{data: noise})
		}
		sent.Noise = len(noise)
		var data []byte
		data, sent.Fault = damaged(f, fault, at)
		s.out = append(s.out, piece{data: data, sent: sent})
	}
}

// deliver sends what is in the queue as far as the reader takes it, and reports
// whether something is left.
func (s *Stick) deliver(now time.Time) (busy bool, err error) {
	for len(s.out) > 0 {
		p := &s.out[0]
		data := p.data
		if s.faults.Slow > 0 {
			data = data[:1]
		}
		n, open, err := s.cable.write(data)
		if err != nil {
			return false, err
		}
		if !open {
			s.drop(now)
			return false, nil
		}
		if s.opened.IsZero() {
			s.opened = now
		}
		p.data = p.data[n:]
		if n > 0 {
			if p.sent != nil && !p.last.IsZero() {
				p.sent.Pause = max(p.sent.Pause, now.Sub(p.last))
			}
			p.last = now
		}
		if len(p.data) == 0 {
			if p.sent != nil {
				p.sent.Opened = s.opened
				s.tell(p.sent, now)
			}
			s.out = s.out[1:]
		}
		if n < len(data) || s.faults.Slow > 0 {
			break
		}
	}
	return len(s.out) > 0, nil
}

// drop loses what is in the queue: nobody has the port open any more.
func (s *Stick) drop(now time.Time) {
	for _, p := range s.out {
		if p.sent != nil {
			s.lose(p.sent, now)
		}
	}
	s.out = nil
	s.opened = time.Time{}
}

func (s *Stick) lose(sent *Sent, now time.Time) {
	sent.Lost, sent.Opened = true, s.opened
	s.tell(sent, now)
}

func (s *Stick) tell(sent *Sent, now time.Time) {
	sent.Time = now
	if s.options.Sent != nil {
		s.options.Sent(*sent)
	}
}

// Plug puts the stick in: the link is there when it returns. It does nothing if
// the stick is in.
func (s *Stick) Plug() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cable != nil {
		return nil
	}
	if s.options.Link == "" {
		return errors.New("simulator: a simulated stick needs a path for its link")
	}
	c, err := plug(s.options.Link)
	if err != nil {
		return err
	}
	s.cable = c
	s.options.Logger.Info("simulated stick plugged in", "port", s.options.Link, "protocol", s.device.Protocol)
	s.wake()
	return nil
}

// Unplug pulls the stick: whoever reads is hung up on, and the link is gone when
// it returns.
func (s *Stick) Unplug() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cable == nil {
		return
	}
	if err := s.cable.unplug(); err != nil {
		s.options.Logger.Warn("simulated stick not unplugged cleanly", "port", s.options.Link, "err", err)
	}
	s.drop(time.Now())
	s.cable, s.heard = nil, nil
}

// become connects another device to the stick.
func (s *Stick) become(d Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.device, s.heard = d, nil
	s.due = time.Time{}
	s.wake()
}

// SetFaults says what is wrong with the stick from the next frame on.
func (s *Stick) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	s.wake()
}

// Spoil does something to each of the next frames, in their middle, whatever
// Faults say of them.
func (s *Stick) Spoil(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoils = append(s.spoils, faults...)
}

// wake lets Run look what is to be done.
func (s *Stick) wake() {
	select {
	case s.stir <- struct{}{}:
	default:
	}
}
