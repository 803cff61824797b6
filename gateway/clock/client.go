package clock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// System is the clock that is set: a [Machine], or that of a test.
type System interface {
	Now() time.Time
	Step(by time.Duration) error
	Slew(by time.Duration) error
	SetSynchronised(within time.Duration) error
}

// Battery is a clock that goes on while the machine is off: an [RTC], or that of a test.
type Battery interface {
	Read() (time.Time, error)
	Write(time.Time) error
}

// Options are the options of [New].
type Options struct {
	Servers []string // names or addresses
	// Fallbacks are asked as long as no name can be looked up, until the time is known.
	Fallbacks []netip.Addr
	Nearby    func() []netip.Addr // others that may know the time, such as the router; nil: none
	Floor     func() time.Time    // it is later for sure; zero: not known; nil: never known
	System    System
	Battery   Battery      // nil: there is none
	Logger    *slog.Logger // nil: silent

	lookup  func(ctx context.Context, name string) ([]netip.Addr, error) // nil: the system's
	port    uint16                                                       // 0: 123
	timeout time.Duration                                                // of an answer; 0: 5 s
	first   time.Duration                                                // to the second round; 0: 2 s
}

const (
	maxAddresses = 16
	maxDatagrams = 16 // that are read for one answer

	stepLimit = 128 * time.Millisecond // RFC 5905, figure 27: STEPT
	doubted   = 10 * time.Minute       // by which a clock that was right is off only if two rounds say so
	loneLimit = 3                      // rounds, for one server alone

	shortest = 64 * time.Second
	longest  = 2048 * time.Second
	lookups  = 5 * time.Second
	banished = 24 * time.Hour
)

// Status is what is known of the time.
type Status struct {
	Synchronised bool           `json:"synchronised"`
	Set          time.Time      `json:"set,omitzero"`      // the last time that a round was believed
	Offset       time.Duration  `json:"offset"`            // by which the clock was off then
	Problem      string         `json:"problem,omitempty"` // why the last round was not; empty: it was
	Servers      []ServerStatus `json:"servers"`
}

// ServerStatus is what a server said last.
type ServerStatus struct {
	Name    string        `json:"name"`
	Address netip.Addr    `json:"address,omitzero"`
	Offset  time.Duration `json:"offset"`
	Problem string        `json:"problem,omitempty"` // why it does not count; empty: it does
}

// Client asks servers for the time.
type Client struct {
	o   Options
	log *slog.Logger

	servers map[string]*server // those that were asked, by name
	lone    int                // rounds in which one server alone said
	loneOff time.Duration      // this
	doubt   time.Duration      // what the round before said that was not believed; 0: nothing
	poll    time.Duration
	failed  int // rounds since one was believed
	known   bool

	mu     sync.Mutex
	status Status
}

// New returns a client that does nothing until Run.
func New(o Options) *Client {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.lookup == nil {
		o.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	if o.port == 0 {
		o.port = 123
	}
	if o.timeout == 0 {
		o.timeout = lookups
	}
	if o.first == 0 {
		o.first = 2 * time.Second
	}
	if o.Floor == nil {
		o.Floor = func() time.Time { return time.Time{} }
	}
	return &Client{o: o, log: o.Logger, servers: make(map[string]*server), poll: shortest}
}

// Status returns what is known now.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Servers = append([]ServerStatus{}, s.Servers...)
	return s
}

// Run keeps the clock right until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	c.start()
	for {
		wait := c.round(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// start sets a clock that cannot be right by the battery's, or at least to what has passed
// for sure, so that certificates can be checked. Nobody is told that it is right.
func (c *Client) start() {
	now, floor := c.o.System.Now(), c.o.Floor()
	to, from := floor, "what is stored"
	if c.o.Battery != nil {
		if t, err := c.o.Battery.Read(); err == nil && plausible(t) && !t.Before(floor) {
			to, from = t, "the clock with the battery"
		}
	}
	if !plausible(to) || plausible(now) && !now.Before(floor) {
		return
	}
	if err := c.o.System.Step(to.Sub(now)); err != nil {
		c.log.Warn("clock not set", "err", err)
		return
	}
	c.log.Info("clock set for now", "from", from, "to", to.UTC())
}

// round asks all servers once and returns when to ask again.
func (c *Client) round(ctx context.Context) time.Duration {
	samples, answers, asked := c.ask(ctx)
	if ctx.Err() != nil {
		return 0
	}
	offset, within, err := c.judge(samples, len(answers))
	if err == nil {
		err = c.correct(offset, within)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Servers = answers
	if err != nil {
		c.failed++
		if c.status.Problem != err.Error() {
			c.log.Info("time not learnt", "why", err)
		}
		c.status.Problem = err.Error()
		wait := min(c.o.first<<min(c.failed-1, 10), longest/2)
		if !asked || c.doubt != 0 || c.lone > 0 { // nobody was bothered, or there is something to find out
			return min(wait, 16*time.Second)
		}
		if c.known {
			wait = max(wait, shortest)
		}
		return wait
	}
	if !c.known {
		c.log.Info("time is known", "offset", offset, "servers", len(samples))
	}
	c.known, c.failed = true, 0
	c.status.Synchronised, c.status.Problem, c.status.Offset, c.status.Set = true, "", offset, c.o.System.Now()
	if offset.Abs() < 20*time.Millisecond {
		c.poll = min(2*c.poll, longest)
	} else {
		c.poll = max(c.poll/2, shortest)
	}
	return c.poll
}

// judge returns what the samples say together. Of so many servers there is an answer, or a
// reason why there is none.
func (c *Client) judge(samples []sample, asked int) (offset, within time.Duration, err error) {
	offset, within, count := agree(samples)
	if len(samples) != 1 || asked == 1 {
		c.lone = 0
	}
	switch {
	case count == 0:
		return 0, 0, errors.New("no server has answered; is the box on the Internet? The router may know the time too: name it in time.servers")
	case 2*count <= len(samples):
		return 0, 0, fmt.Errorf("the servers do not agree: of %d no more than %d say the same", len(samples), count)
	case count == 1 && asked > 1:
		if c.lone == 0 || (c.loneOff-offset).Abs() > 2*within+time.Second {
			c.lone = 0
		}
		c.lone++
		c.loneOff = offset
		if c.lone < loneLimit {
			return 0, 0, fmt.Errorf("of %d servers only one answers; it is believed when it goes on saying the same", asked)
		}
	}
	return offset, within, nil
}

// correct sets the clock.
func (c *Client) correct(offset, within time.Duration) error {
	now := c.o.System.Now()
	if floor := c.o.Floor(); now.Add(offset + within).Before(floor) {
		return fmt.Errorf("the servers say that it is %s, but the box has stored something at %s: it never sets its clock back behind that",
			now.Add(offset).UTC().Format(time.DateTime), floor.UTC().Format(time.DateTime))
	}
	if c.known && offset.Abs() > doubted && (c.doubt == 0 || (c.doubt-offset).Abs() > 2*time.Second) {
		c.doubt = offset
		return fmt.Errorf("the servers say all at once that the clock is off by %v; it is set when they say so again", offset.Round(time.Second))
	}
	c.doubt, c.loneOff = 0, 0
	var err error
	if offset.Abs() < stepLimit {
		within += offset.Abs()
		err = c.o.System.Slew(offset)
	} else if err = c.o.System.Step(offset); err == nil {
		c.log.Info("clock set", "by", offset)
	}
	if err == nil {
		err = c.o.System.SetSynchronised(within)
	}
	if err != nil {
		return err
	}
	if c.o.Battery != nil {
		now := c.o.System.Now()
		if t, err := c.o.Battery.Read(); err == nil && now.Sub(t).Abs() > 2*time.Second {
			if err := c.o.Battery.Write(now); err != nil {
				c.log.Warn("clock with the battery not set", "err", err)
			}
		}
	}
	return nil
}
