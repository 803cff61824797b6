package fakehome

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Timing are the waits of Home Assistant.
type Timing struct {
	Retry     time.Duration // between two tries to connect
	KeepAlive time.Duration // whole seconds
	// Cooldown is how long there must have been no discovery and no new
	// subscription before the birth message is sent.
	Cooldown  time.Duration
	Subscribe time.Duration // that new subscriptions are gathered for
	Load      time.Duration // until the code of a platform that comes for the first time is there
	Add       time.Duration // during which an entity is pending
}

// Measured returns the waits that were measured, or read in client.py: the subscriptions
// are gathered for 0.5 s at first and 0.1 s later on. How long an entity is pending
// depends on the machine; a gap of 50 ms between two documents was enough.
func Measured() Timing {
	return Timing{Retry: 10 * time.Second, KeepAlive: time.Minute, Cooldown: 5 * time.Second,
		Subscribe: 100 * time.Millisecond, Load: 500 * time.Millisecond, Add: 50 * time.Millisecond}
}

// Faster returns the waits divided by n, but for the keep alive, which the broker counts
// in seconds, and for Add, which is a race that must be there.
func (t Timing) Faster(n int) Timing {
	d := time.Duration(n)
	t.Retry, t.Cooldown, t.Subscribe, t.Load = t.Retry/d, t.Cooldown/d, t.Subscribe/d, t.Load/d
	return t
}

// Entry is the MQTT entry of Home Assistant's configuration, of which there can be one.
type Entry struct {
	Broker   string // host or address
	Port     int
	Username string // empty: none
	Password string
}

// Options are the options of [New].
type Options struct {
	Prefix string // of discovery; empty is "homeassistant"
	Timing Timing // zero is [Measured]

	Logger *slog.Logger // nil: silent
}

// Home is a Home Assistant.
type Home struct {
	o   Options
	log *slog.Logger

	mu      sync.Mutex // guards all below, and all of life
	entry   *Entry     // nil: MQTT is not set up
	stopped bool       // "not authorized" was said: for good
	up      bool       // it is to run
	changed chan struct{}
	life    *life // from a start to a stop; nil: it does not run

	registry   registry
	complaints []Complaint
	refusals   int
}

// New returns a Home Assistant without MQTT. It is up as soon as it runs.
func New(o Options) *Home {
	if o.Prefix == "" {
		o.Prefix = "homeassistant"
	}
	if o.Timing == (Timing{}) {
		o.Timing = Measured()
	}
	h := &Home{o: o, log: o.Logger, up: true, changed: make(chan struct{}), registry: newRegistry()}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	return h
}

// ErrCannotConnect is all that Home Assistant says, whatever is wrong with a broker or a login.
var ErrCannotConnect = errors.New("cannot_connect")

// Try connects once, as the config flow does before it makes an entry. It fails with
// [ErrCannotConnect].
func (h *Home) Try(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	c, code, err := dial(ctx, e, clientOptions{clientID: clientID(), keepAlive: h.o.Timing.KeepAlive})
	if err == nil && code == 0 {
		return c.close(true)
	}
	if c != nil {
		c.close(false)
	}
	return fmt.Errorf("%w: %s:%d: code %d, %v", ErrCannotConnect, e.Broker, e.Port, code, err)
}

// Configure makes the entry, or changes it: so does who re-authenticates. Home Assistant
// connects at once.
func (h *Home) Configure(e Entry) {
	h.change(func() { h.entry, h.stopped = &e, false })
}

// Unconfigure deletes the entry. What the registries hold from it is gone with it.
func (h *Home) Unconfigure() {
	h.change(func() { h.entry, h.stopped, h.registry = nil, false, newRegistry() })
}

// Configured returns the entry.
func (h *Home) Configured() (e Entry, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.entry == nil {
		return Entry{}, false
	}
	return *h.entry, true
}

// Down stops Home Assistant: politely, so that it says offline itself, or as a
// kill does, so that its will does. It returns when it is down.
func (h *Home) Down(politely bool) {
	h.mu.Lock()
	life := h.life
	h.up = false
	if life != nil {
		life.politely = politely
	}
	h.signal()
	h.mu.Unlock()
	if life != nil {
		<-life.over
	}
}

// Up starts it again. The registries are as they were; nothing else is.
func (h *Home) Up() { h.change(func() { h.up, h.stopped = true, false }) }

// Restart is what the button does.
func (h *Home) Restart() { h.Down(true); h.Up() }

// Connected says whether it is connected, and has said online since.
func (h *Home) Connected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life != nil && h.life.connected && h.life.born
}

// NotAuthorized says whether it has given up because a broker said so. Only
// [Home.Configure] and [Home.Up] after [Home.Down] cure it.
func (h *Home) NotAuthorized() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped
}

// change makes a change that ends the life as it is.
func (h *Home) change(what func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	what()
	if h.life != nil {
		h.life.politely = true
	}
	h.signal()
}

// signal wakes Run. The caller holds the lock.
func (h *Home) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// Run is Home Assistant until ctx ends; then it stops politely and Run returns nil.
func (h *Home) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		h.mu.Lock()
		changed := h.changed
		var l *life
		if h.up && h.entry != nil {
			l = newLife(h, *h.entry)
			h.life = l
		}
		h.mu.Unlock()
		if l == nil {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		l.run(ctx, changed)
		h.mu.Lock()
		h.life = nil
		h.mu.Unlock()
		close(l.over)
	}
	return nil
}

// Complaint is something that Home Assistant would log, or not even that.
type Complaint struct {
	Kind  ComplaintKind
	Topic string // of the message
	Text  string
}

// ComplaintKind is what kind of a complaint it is.
type ComplaintKind string

const (
	Refused   ComplaintKind = "refused"   // a document, or a component of it
	Dropped   ComplaintKind = "dropped"   // a key that is not known
	Duplicate ComplaintKind = "duplicate" // a unique id that is there already
	Warning   ComplaintKind = "warning"   // what goes wrong later, or is not what was meant
	Template  ComplaintKind = "template"  // a template that failed, or names what is not there
	Payload   ComplaintKind = "payload"   // a state that the platform does not understand
)

func (c Complaint) String() string { return fmt.Sprintf("%s: %s: %s", c.Kind, c.Topic, c.Text) }

// Complaints returns all complaints since the last call.
func (h *Home) Complaints() []Complaint {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.complaints
	h.complaints = nil
	return c
}

// complain takes note of a complaint. The caller holds the lock.
func (h *Home) complain(kind ComplaintKind, topic, format string, args ...any) {
	if len(h.complaints) < 10_000 {
		h.complaints = append(h.complaints, Complaint{kind, topic, fmt.Sprintf(format, args...)})
	}
}
