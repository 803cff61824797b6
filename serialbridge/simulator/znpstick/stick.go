package znpstick

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// Product is a kind of firmware, as SYS_VERSION tells it.
type Product uint8

// The products.
const (
	ZStack12  Product = 0 // Home Assistant 1.2: CC2530, CC2531
	ZStack3x0 Product = 1 // 3.x.0: CC1352, CC2652
	ZStack30x Product = 2 // 3.0.x: CC2530, CC2531, CC2538
)

// Options are the options of New.
type Options struct {
	Product     Product // see New: its zero value is ZStack12
	Aligned     bool    // of ZStack30x: structures are those of an ARM (CC2538)
	Revision    uint32  // 0: one of the product
	IEEEAddress zigbee.IEEEAddress
	// Devices is how many devices the tables have room for; 0: as the product.
	Devices int
	// NearbyPANs are the PAN IDs of other networks that the stick hears.
	NearbyPANs []uint16
	// Disobedient says that the stick stays on its channel when it tells all others
	// to change theirs.
	Disobedient bool
	Faults      Faults
	Seed        uint64
	Logger      *slog.Logger // nil: silent
}

// Stick is a simulated stick.
type Stick struct {
	air     *air.Network
	options Options
	logger  *slog.Logger
	version [9]byte

	mu        sync.Mutex
	random    *rand.Rand
	faults    Faults
	nv        map[uint16][]byte
	extended  map[extendedKey][]byte
	codes     map[zigbee.IEEEAddress][16]byte // link keys of install codes
	out       *queue                          // nil: nobody is served
	handled   map[string]int
	unhandled map[string]int
	timers    map[*time.Timer]bool
	closed    bool

	// What is lost with the power.
	boots     uint64
	address   zigbee.IEEEAddress
	state     uint8
	channels  uint32 // that bdbSetChannel has told
	endpoints []endpoint
	groups    map[member]bool
	children  map[zigbee.IEEEAddress]child
	openUntil time.Time
	inFlight  int
	held      map[uint32][]byte // messages that wait to be fetched
	clock     uint32
	sequence  uint8
	saved     uint32  // frame counter that is written down
	running   [8]byte // extended PAN ID, as in memory
}

// States of the stick as it tells them.
const (
	stateHold     = 0
	stateStarting = 8
	stateRunning  = 9
)

// New returns a stick with a radio in that network. A stick of the zero Options is an
// old one with Z-Stack 1.2; set Product for others.
func New(network *air.Network, o Options) *Stick {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.IEEEAddress == 0 {
		o.IEEEAddress = 0x00124b0009d80ba7
	}
	s := &Stick{
		air:       network,
		options:   o,
		logger:    o.Logger,
		random:    rand.New(rand.NewPCG(o.Seed, 0x7a6e70)),
		faults:    o.Faults,
		codes:     make(map[zigbee.IEEEAddress][16]byte),
		handled:   make(map[string]int),
		unhandled: make(map[string]int),
		timers:    make(map[*time.Timer]bool),
	}
	// Transport revision, product, version, revision.
	var revision uint32
	switch o.Product {
	case ZStack3x0:
		s.version, revision = [9]byte{2, 1, 2, 7, 1}, 20221226
	case ZStack30x:
		s.version, revision = [9]byte{2, 2, 2, 7, 2}, 20210708
	default:
		s.version, revision = [9]byte{2, 0, 2, 6, 3}, 20201127
	}
	if o.Revision != 0 {
		revision = o.Revision
	}
	putU32(s.version[5:], revision)
	s.blank()
	s.boot()
	return s
}

// Serve speaks with who is at the other end of the stream until ctx ends or the stream
// fails. If the stream can be closed, it is.
func (s *Stick) Serve(ctx context.Context, rw io.ReadWriter) error {
	out := newQueue()
	s.mu.Lock()
	busy := s.out != nil
	if !busy {
		s.out = out
	}
	s.mu.Unlock()
	if busy {
		return errors.New("znpstick: somebody is served already")
	}
	finish := func() {
		out.close()
		if c, ok := rw.(io.Closer); ok {
			c.Close()
		}
	}
	stop := context.AfterFunc(ctx, finish)
	defer stop()
	var writer sync.WaitGroup
	writer.Add(1)
	go func() {
		defer writer.Done()
		s.write(out, rw)
	}()
	err := s.read(rw)
	finish()
	writer.Wait()
	s.mu.Lock()
	s.out = nil
	s.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// read takes commands until the stream fails.
func (s *Stick) read(r io.Reader) error {
	var d unframer
	buf := make([]byte, 1024)
	for {
		n, err := r.Read(buf)
		for _, b := range s.damage(buf[:n]) {
			if f, ok := d.next(b); ok {
				s.mu.Lock()
				s.handle(f)
				s.mu.Unlock()
			}
		}
		if err != nil {
			return fmt.Errorf("znpstick: %w", err)
		}
	}
}

// write writes frames until the queue is closed or the stream fails.
func (s *Stick) write(out *queue, w io.Writer) {
	for {
		f, ok := out.get()
		if !ok {
			return
		}
		s.mu.Lock()
		slow := s.faults.Slow
		s.mu.Unlock()
		f = s.spoil(f)
		if slow > 0 {
			time.Sleep(slow) // a simulated line, not a wait
		}
		if _, err := w.Write(s.damage(f)); err != nil {
			out.close()
			return
		}
	}
}

// Reset takes the power away for a moment: the radio is off the air, and only what is
// in the non-volatile memory is left.
func (s *Stick) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset(0)
}

// Close takes the power away for good.
func (s *Stick) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.stopTimers()
	s.air.Detach(s.radio())
}

// Unhandled counts the commands that the stick does not know, by "subsystem/command".
func (s *Stick) Unhandled() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.unhandled)
}

// Handled counts the commands that the stick has obeyed, by name ("AF dataRequest").
func (s *Stick) Handled() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.handled)
}

// SetFaults changes what is wrong with the stick.
func (s *Stick) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Say makes the stick send any bytes.
func (s *Stick) Say(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		s.out.put(append([]byte(nil), data...))
	}
}

// reset restarts the stick; reason is 0 for power, 1 for the reset command.
func (s *Stick) reset(reason uint8) {
	s.stopTimers()
	s.air.Detach(s.radio())
	s.startupOptions()
	s.boot()
	s.areq(0x01, 0x80, reason, s.version[0], s.version[1], s.version[2], s.version[3], 1)
}

// boot sets up what is lost with the power.
func (s *Stick) boot() {
	s.boots++
	s.address = s.options.IEEEAddress
	if b := s.nv[nvExtAddr]; len(b) == 8 {
		s.address = ieee(b)
	}
	s.state = stateHold
	s.channels = 0
	s.endpoints = nil
	s.groups = make(map[member]bool)
	s.children = make(map[zigbee.IEEEAddress]child)
	s.openUntil = time.Time{}
	s.inFlight = 0
	s.held = make(map[uint32][]byte)
	s.saved = 0
}

// after lets do happen later, with s locked, unless the stick was reset meanwhile.
func (s *Stick) after(d time.Duration, do func()) {
	if s.closed {
		return
	}
	boots := s.boots
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.timers, t)
		if s.boots == boots && !s.closed {
			do()
		}
	})
	s.timers[t] = true
}

func (s *Stick) stopTimers() {
	for t := range s.timers {
		t.Stop()
	}
	clear(s.timers)
}
