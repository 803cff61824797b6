package ezsp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/zigbee"
)

// Options are the options of Open.
type Options struct {
	Logger *slog.Logger // nil: silent
}

const (
	// answerTime is how long the stick may take for an answer. It answers in
	// milliseconds; ASH has made sure that it has the command.
	answerTime = 10 * time.Second
	// maxMessages may wait for their confirmation. Firmware has room for
	// ten and more.
	maxMessages = 16
)

// Versions of EZSP.
const (
	minVersion  = 13 // EmberZNet 7.4
	lastVersion = 19 // the newest that is known here
	stackMesh   = 2  // the stack type of Zigbee PRO
)

// Coordinator is a stick with EmberZNet.
type Coordinator struct {
	port   serialbridge.Port
	log    *slog.Logger
	agreed atomic.Uint32 // the version of EZSP

	commands chan *command
	stop     context.CancelFunc
	running  sync.WaitGroup
	done     chan struct{}
	err      error // good once done is closed

	// These belong to the goroutine of run.
	link     *link
	heard    <-chan serialbridge.Heard
	sequence uint8
	current  *command // waits for its answer
	asked    uint8    // its sequence number
	frames   []byte

	slots    chan struct{} // one for each message that waits for its confirmation
	starting sync.Mutex    // held by Network, Resume, Form and Restore

	mu           sync.Mutex
	info         zigbee.Info
	events       func(zigbee.Event) // nil: nobody is told
	counters     Counters
	up           bool   // the network runs
	announced    bool   // events are told
	manufacturer uint16 // of the node descriptor
	tag          uint16
	messages     map[uint16]*message
	zdo          uint8
	questions    map[uint8]*question
	watchers     map[chan status]struct{}
	scan         *scan
	addresses    map[zigbee.IEEEAddress]zigbee.NetworkAddress
	groups       []uint16 // the multicast table
}

var _ zigbee.Coordinator = (*Coordinator)(nil)

// command is a command that somebody waits for.
type command struct {
	id     frameID
	params []byte
	legacy bool // of the format before the version is known
	reset  bool // no command: restart the stick
	answer chan answer
}

type answer struct {
	params []byte
	err    error
}

// Open starts the stick behind the port and sets it up; the network that it holds
// does not run yet. The port is closed with the coordinator, and if Open fails.
// Firmware that is too old, or not of EZSP, is told apart in words.
func Open(ctx context.Context, port serialbridge.Port, o Options) (*Coordinator, error) {
	c := &Coordinator{
		port:      port,
		log:       o.Logger,
		commands:  make(chan *command),
		done:      make(chan struct{}),
		slots:     make(chan struct{}, maxMessages),
		messages:  make(map[uint16]*message),
		questions: make(map[uint8]*question),
		watchers:  make(map[chan status]struct{}),
		addresses: make(map[zigbee.IEEEAddress]zigbee.NetworkAddress),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	running, stop := context.WithCancel(context.Background())
	c.stop = stop
	incoming := make(chan serialbridge.Heard)
	c.heard = incoming
	c.link = newLink(port, c.received)
	c.running.Go(func() { hear(running, port, incoming) })
	c.running.Go(func() { c.run(running) })
	if err := c.start(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// hear reads the port until it fails or ctx ends.
func hear(ctx context.Context, port serialbridge.Port, incoming chan<- serialbridge.Heard) {
	for {
		buf := make([]byte, 1024)
		n, err := port.Read(buf)
		select {
		case incoming <- serialbridge.Heard{Data: buf[:n], Err: err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// run owns the protocol until ctx ends or the stick fails.
func (c *Coordinator) run(ctx context.Context) {
	err := c.serve(ctx)
	c.stop()
	c.port.Close() // ends the Read under way
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	close(c.done)
	if c.current != nil {
		c.current.answer <- answer{err: err}
	}
}

func (c *Coordinator) serve(ctx context.Context) error {
	patience := time.NewTimer(answerTime)
	patience.Stop()
	defer patience.Stop()
	defer c.link.timer.Stop()
	for {
		commands := c.commands
		if c.current != nil {
			commands = nil
		}
		var err error
		select {
		case <-ctx.Done():
			return os.ErrClosed
		case h := <-c.heard:
			if err = c.hear(h.Data); err == nil {
				err = h.Err
			}
		case cmd := <-commands:
			if cmd.reset {
				if err = c.restart(ctx); err == nil {
					cmd.answer <- answer{}
				} else {
					cmd.answer <- answer{err: err}
				}
				break
			}
			c.current = cmd
			c.sequence++
			c.asked = c.sequence
			patience.Reset(answerTime)
			err = c.link.send(appendCommand(nil, c.asked, cmd.id, cmd.params, cmd.legacy))
		case <-c.link.timer.C:
			err = c.link.expired()
		case <-patience.C:
			if c.current != nil {
				err = fmt.Errorf("ezsp: the stick does not answer command 0x%04x: it is started anew", uint16(c.current.id))
			}
		}
		c.publish()
		if err != nil {
			return err
		}
		if c.current == nil {
			patience.Stop()
		}
	}
}

// hear takes what was read, and what it says to whom it concerns.
func (c *Coordinator) hear(data []byte) error {
	err := c.link.take(data)
	c.publish()
	// Each is a length of two bytes and the frame. They are told after they were
	// acknowledged.
	frames := c.frames
	for len(frames) > 0 {
		n := int(frames[0]) | int(frames[1])<<8
		c.frame(frames[2 : 2+n])
		frames = frames[2+n:]
	}
	c.frames = c.frames[:0]
	return err
}

// received keeps the data of an ASH frame until it is told.
func (c *Coordinator) received(data []byte) {
	c.frames = append(c.frames, byte(len(data)), byte(len(data)>>8))
	c.frames = append(c.frames, data...)
}

// frame takes an EZSP frame.
func (c *Coordinator) frame(data []byte) {
	legacy := c.current != nil && c.current.legacy
	f, ok := parseFrame(data, legacy)
	if !ok {
		c.count(&c.counters.Malformed)
		return
	}
	if f.control&controlOverflow != 0 {
		c.count(&c.counters.Overflows)
	}
	if f.control&controlCallback != 0 && !legacy {
		if f.control&controlTruncated != 0 || !c.callback(f.id, &reader{rest: f.params}) {
			c.count(&c.counters.Malformed)
		}
		return
	}
	cmd := c.current
	if cmd == nil || f.sequence != c.asked || f.id != cmd.id && f.id != cbInvalidCommand {
		c.count(&c.counters.Strays)
		return
	}
	c.current = nil
	switch {
	case f.id == cbInvalidCommand:
		r := reader{rest: f.params}
		cmd.answer <- answer{err: &invalidCommand{cmd.id, r.uint8()}}
	case f.control&controlTruncated != 0:
		cmd.answer <- answer{err: fmt.Errorf("ezsp: the answer to command 0x%04x was cut off", uint16(cmd.id))}
	default:
		cmd.answer <- answer{params: bytes.Clone(f.params)}
	}
}

// restart resets the stick.
func (c *Coordinator) restart(ctx context.Context) error {
	rest, err := c.link.reset(ctx, c.heard)
	if err != nil {
		return err
	}
	return c.hear(rest)
}

// version is that of EZSP.
func (c *Coordinator) version() uint8 { return uint8(c.agreed.Load()) }

// do sends a command and returns the parameters of its answer.
func (c *Coordinator) do(ctx context.Context, cmd *command) ([]byte, error) {
	cmd.answer = make(chan answer, 1)
	select {
	case c.commands <- cmd:
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case a := <-cmd.answer:
		return a.params, a.err
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// call is do for a command in the format of now.
func (c *Coordinator) call(ctx context.Context, id frameID, params []byte) (*reader, error) {
	answer, err := c.do(ctx, &command{id: id, params: params})
	return &reader{rest: answer}, err
}

// demand is call for a command whose answer is a status of the stack.
func (c *Coordinator) demand(ctx context.Context, id frameID, params []byte, doing string) error {
	r, err := c.call(ctx, id, params)
	if err != nil {
		return fmt.Errorf("ezsp: %s: %w", doing, err)
	}
	return c.check(r, r.status(c.version()), doing)
}

// check is the error of an answer, if any.
func (c *Coordinator) check(r *reader, s status, doing string) error {
	switch {
	case r.bad:
		return fmt.Errorf("ezsp: %s: the answer is too short", doing)
	case s != statusOK:
		return fmt.Errorf("ezsp: %s: the stick says: %w", doing, statusError(s))
	}
	return nil
}

// statusError is a status as an error.
type statusError status

func (e statusError) Error() string { return status(e).String() }

// Info returns what the stick says of itself.
func (c *Coordinator) Info() zigbee.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// Done is closed when the stick is gone, has failed, or was closed.
func (c *Coordinator) Done() <-chan struct{} { return c.done }

// Err says why Done is closed: os.ErrClosed after Close.
func (c *Coordinator) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close stops the driver and closes the port. The network goes on without it.
func (c *Coordinator) Close() error {
	c.stop()
	err := c.port.Close()
	c.running.Wait()
	if errors.Is(err, os.ErrClosed) {
		return nil // the stick failed before
	}
	return err
}

// Events implements [zigbee.Coordinator].
func (c *Coordinator) Events(f func(zigbee.Event)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = f
}

// tell hands on an event.
func (c *Coordinator) tell(e zigbee.Event) {
	c.mu.Lock()
	events, announced := c.events, c.announced
	c.mu.Unlock()
	if announced && events != nil {
		events(e)
	}
}
