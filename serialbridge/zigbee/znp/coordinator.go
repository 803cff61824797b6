package znp

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
)

// Options are the options of Open.
type Options struct {
	Logger *slog.Logger // nil: silent
}

// Coordinator is a stick with Z-Stack. See the package documentation for who may
// call what.
type Coordinator struct {
	link *link
	log  *slog.Logger

	version version
	aligned bool // of structures in NV
	// slots holds one value for each data request that may be under way.
	slots chan struct{}

	// chores are what the reader wants done that takes requests of its own.
	chores chan chore
	helper sync.WaitGroup

	eventMu sync.Mutex         // one event at a time
	events  func(zigbee.Event) // guarded by eventMu; nil: nobody is told

	mu        sync.Mutex
	info      zigbee.Info
	opened    bool // a reset is no part of the opening any more
	resetting bool // by ourselves
	started   bool // the network runs and endpoints are registered
	profiles  map[uint8]uint16
	confirms  [256]chan uint8 // by transaction
	next      uint8           // transaction
	talks     map[zigbee.NetworkAddress]*talk
	failures  map[zigbee.NetworkAddress]int       // times that messages expired, one after the other
	routed    map[zigbee.NetworkAddress]time.Time // when a route was looked for
	broadcast time.Time                           // when the last broadcast was, or is to be
}

var _ zigbee.Coordinator = (*Coordinator)(nil)

// Open takes the stick at the port into use. It fails if what answers there is no
// Z-Stack coordinator, with an error that says what it is and what to do. The port is
// the coordinator's from now on: it is closed with it, and also when Open fails.
func Open(ctx context.Context, port serialbridge.Port, o Options) (*Coordinator, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Coordinator{
		log:      o.Logger,
		chores:   make(chan chore, maxChores),
		routed:   make(map[zigbee.NetworkAddress]time.Time),
		profiles: make(map[uint8]uint16),
		talks:    make(map[zigbee.NetworkAddress]*talk),
		failures: make(map[zigbee.NetworkAddress]int),
	}
	c.link = newLink(port, o.Logger, c.hear)
	c.link.reader.Go(c.link.read)
	if err := c.open(ctx); err != nil {
		if cause := c.link.failure(); cause != nil {
			err = cause
		}
		c.link.close()
		return nil, fmt.Errorf("open the Zigbee stick: %w", err)
	}
	c.helper.Go(c.help)
	return c, nil
}

// open finds out what the stick is.
func (c *Coordinator) open(ctx context.Context) error {
	if err := c.probe(ctx); err != nil {
		return err
	}
	c.slots = make(chan struct{}, c.version.concurrency())
	if err := c.findAlignment(ctx); err != nil {
		return err
	}
	address, err := c.readAddress(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info = zigbee.Info{
		IEEEAddress: address,
		Type:        c.version.name(),
		Revision:    c.version.text(),
		Meta:        c.version.meta(),
		CanRestore:  c.version.product != zStack12,
	}
	c.opened = true
	return nil
}

// readAddress asks the stick for its IEEE address.
func (c *Coordinator) readAddress(ctx context.Context) (zigbee.IEEEAddress, error) {
	answer, err := c.link.request(ctx, sysGetExtAddr, nil)
	if err != nil {
		return 0, fmt.Errorf("read the address of the stick: %w", err)
	}
	return zigbee.IEEEAddress(binary.LittleEndian.Uint64(answer)), nil
}

// Info implements [zigbee.Coordinator].
func (c *Coordinator) Info() zigbee.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// Done implements [zigbee.Coordinator].
func (c *Coordinator) Done() <-chan struct{} { return c.link.done }

// Err implements [zigbee.Coordinator].
func (c *Coordinator) Err() error { return c.link.failure() }

// Damaged implements [zigbee.Coordinator]. It counts what looked like the beginning
// of a frame and was none.
func (c *Coordinator) Damaged() map[string]uint64 {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.link.damaged == 0 {
		return nil
	}
	return map[string]uint64{"line": c.link.damaged}
}

// Close implements [zigbee.Coordinator]. It closes the port, too.
func (c *Coordinator) Close() error {
	err := c.link.close()
	c.helper.Wait()
	return err
}
