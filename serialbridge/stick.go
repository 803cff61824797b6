package serialbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"lintel/hardware"
)

// stick is one port and what is done with it. Its fields are guarded by the
// supervisor's mutex unless said otherwise.
type stick struct {
	s     *Supervisor
	id    string // constant
	named bool   // constant: a NamedPort with a Path

	pinned NamedPort // constant: what the user has laid down

	usb    hardware.SerialPort // Path alone for a named one
	cancel context.CancelFunc  // ends keep; nil: the stick is not there
	ended  chan struct{}       // closed when the last keep has ended

	state     StickState
	wasOnline bool
	since     time.Time
	protocol  string
	evidence  string
	err       string
	retries   int
	frames    uint64
	damaged   map[string]uint64
	ignored   map[string]uint64
	line      string    // setting of the port while it is open, as text
	taps      taps      // has its own lock
	overheard overheard // likewise
	refused   uint64

	current  *sink        // of the try that is under way
	commands chan Command // of the driver that runs; nil: takes none

	queue     []entry // to be published
	wake      chan struct{}
	forgotten context.CancelFunc // ends publish
}

var (
	errUnknown = errors.New("no driver for this stick")
	errSilent  = errors.New("nothing valid was heard for a long time")
)

// backoff doubles a delay from min to max.
type backoff struct{ min, max, next time.Duration }

func (b *backoff) step() time.Duration {
	d := max(b.next, b.min)
	b.next = min(2*d, b.max)
	return d
}

func (b *backoff) reset() { b.next = 0 }

// rest waits for d or the end of ctx.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// say notes what is done with the stick, for the status. The caller holds the lock.
func (st *stick) say(state StickState, evidence, err string) {
	if st.state != state {
		if st.state == Online || state == Online {
			st.enqueueSelf()
		}
		st.state, st.since = state, time.Now()
		st.wasOnline = st.wasOnline || state == Online
	}
	if evidence != "" {
		st.evidence = evidence
	}
	if err != "" {
		st.err = err
	}
}

func (st *stick) tell(state StickState, evidence, err string) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.say(state, evidence, err)
}

// keep tries the stick at p again and again until ctx ends.
func (st *stick) keep(ctx context.Context, p hardware.SerialPort) {
	t := st.s.t
	log := st.s.log.With("port", p.Path)
	retry := backoff{min: t.retryMin, max: t.retryMax}
	exist := backoff{min: t.existMin, max: t.existMax}
	retries := 0
	var learned *finding
	defer st.tell(Waiting, "", unplugged)
	for ctx.Err() == nil {
		if _, err := os.Stat(p.Path); errors.Is(err, fs.ErrNotExist) && !isRemote(p.Path) {
			st.tell(Waiting, "", p.Path+" is not there: plug the stick in, or start what makes the port")
			rest(ctx, exist.step())
			continue
		}
		exist.reset()
		start := time.Now()
		r := st.try(ctx, p, learned)
		learned = r.learned
		if ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(r.err, errUnknown):
			log.Info("no driver for the stick", "err", r.err)
			st.tell(Unknown, "", r.err.Error())
			<-ctx.Done()
		case errors.Is(r.err, errSilent):
			log.Info("listening again", "err", r.err)
			learned = nil
		case errors.Is(r.err, ErrUnplugged):
			log.Info("unplugged")
			st.observe(Happened, []byte("unplugged"))
			retry.reset()
			retries = 0
			st.fail(Waiting, unplugged, retries)
			rest(ctx, retry.step())
		default:
			if r.frames > 0 && time.Since(start) >= t.goodRun {
				retry.reset()
				retries = 0
			}
			retries++
			d := retry.step()
			log.Warn("stick failed", "err", r.err, "retries", retries)
			st.fail(Failed, fmt.Sprintf("%v; the next try is in %v", r.err, d), retries)
			rest(ctx, d)
		}
	}
}

const unplugged = "unplugged: plug it in again"

func (st *stick) fail(state StickState, err string, retries int) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.say(state, "", err)
	st.retries = retries
}

// outcome is how a try ended.
type outcome struct {
	learned *finding // what listening found, now or before
	frames  uint64
	err     error
}

// try opens the stick and stays with it until it fails or ctx ends.
func (st *stick) try(ctx context.Context, p hardware.SerialPort, learned *finding) outcome {
	s := st.s
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k := &sink{st: st}
	s.mu.Lock()
	st.current = k
	s.mu.Unlock()

	// A driver is the one thing here that may go wrong in any way. It gets
	// a goroutine of its own: a panic is the failure of this try, and one
	// that does not end is left behind without its port and its sink.
	result := make(chan outcome, 1)
	go func() {
		defer func() {
			if fault := recover(); fault != nil {
				s.log.Error("driver panicked", "port", p.Path, "err", fault, "stack", string(debug.Stack()))
				result <- outcome{err: fmt.Errorf("the driver has a fault (%v): report it together with the log", fault)}
			}
		}()
		learned, err := st.drive(ctx, p, k, learned)
		result <- outcome{learned: learned, err: err}
	}()
	var r outcome
	select {
	case r = <-result:
	case <-ctx.Done():
		select {
		case r = <-result:
		case <-time.After(s.t.stop):
			s.log.Error("driver does not stop", "port", p.Path)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.current, st.commands, st.line = nil, nil, ""
	for _, d := range s.devices {
		if d.owner == st {
			d.setOnline(false)
			d.heard = time.Time{} // what follows is no pause of its own
		}
	}
	r.frames = k.frames
	return r
}

// drive finds the driver for the stick and runs it.
func (st *stick) drive(ctx context.Context, p hardware.SerialPort, k *sink, learned *finding) (*finding, error) {
	drivers, certain, evidence, err := st.candidates(p)
	if err != nil {
		return nil, err
	}
	driver := drivers[0]
	line := Line{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1}
	if len(driver.Lines) > 0 {
		line = driver.Lines[0]
	}
	if learned != nil {
		line = learned.line
	}
	k.memory = st.memoryOf(driver)
	port, err := open(ctx, p.Path, line, PortOptions{Observe: st.observe, USB: p})
	if err != nil {
		return learned, err
	}
	defer port.Close()
	defer context.AfterFunc(ctx, func() { port.Close() })()

	var decoder Decoder
	if !certain || driver.Run == nil && len(driver.Lines) > 1 {
		if learned == nil {
			found, err := st.listen(port, drivers, certain)
			if err != nil {
				return nil, err
			}
			learned = &finding{driver: found.driver, line: found.line}
			k.memory = st.memoryOf(found.driver)
			if found.driver.Run == nil {
				// Its decoder goes on: it may hold the beginning of the next frame.
				decoder = found.decoder
				found.forward(k)
			}
		}
		driver = learned.driver
		heard := fmt.Sprintf("heard valid frames of %s at %v", driver.Protocol, learned.line)
		evidence = strings.TrimPrefix(evidence+"; "+heard, "; ")
	}
	if driver.Run != nil {
		commands := make(chan Command, queuedCommands)
		st.online(driver, evidence, commands)
		if err := driver.Run(ctx, port, k, commands); err != nil {
			return learned, err
		}
		return learned, errors.New("the driver ended by itself")
	}
	st.online(driver, evidence, nil)
	if decoder == nil {
		decoder = driver.NewDecoder(k)
	}
	var silence time.Duration
	if learned != nil {
		silence = st.s.t.silence
	}
	return learned, st.feed(port, decoder, k, silence)
}

// online notes that a driver has the stick.
func (st *stick) online(driver *Driver, evidence string, commands chan Command) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.protocol, st.commands = driver.Protocol, commands
	st.say(Online, evidence, "")
	st.await()
	st.s.log.Info("stick online", "port", st.usb.Path, "protocol", driver.Protocol, "evidence", evidence)
}

// feed gives a decoder what a stick says. If silence is not zero it ends when
// nothing valid was heard for that long: the driver was found by listening,
// and there may be another device at the cable now.
func (st *stick) feed(port deadlinePort, decoder Decoder, k *sink, silence time.Duration) error {
	buf := make([]byte, 4096)
	last, frames := time.Now(), k.count()
	for {
		if silence > 0 {
			port.SetReadDeadline(last.Add(silence))
		}
		n, err := port.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errSilent
		}
		if err != nil {
			return err
		}
		decoder.Decode(buf[:n], time.Now())
		if now := k.count(); now != frames {
			last, frames = time.Now(), now
		}
	}
}

// candidates returns the drivers that the stick may be for. If certain there is
// one, and evidence says why.
func (st *stick) candidates(p hardware.SerialPort) (drivers []*Driver, certain bool, evidence string, err error) {
	all := st.s.o.Drivers
	if d := st.pinned.Driver; d != nil {
		return []*Driver{d}, true, byUser, nil
	}
	if protocol := st.pinned.Protocol; protocol != "" {
		i := slices.IndexFunc(all, func(d Driver) bool { return d.Protocol == protocol && d.Advice == "" })
		if i < 0 {
			return nil, false, "", fmt.Errorf("%w: there is no protocol %q, only %s", errUnknown, protocol, protocols(all))
		}
		return []*Driver{&all[i]}, true, byUser, nil
	}
	var active []string
	for i := range all {
		d := &all[i]
		if d.Match == nil {
			continue // only the user can know
		}
		confidence := Possible
		if !st.named {
			confidence = d.Match(p)
		}
		switch {
		case confidence == Sure && d.Advice != "":
			return nil, false, "", fmt.Errorf("%w: %s", errUnknown, d.Advice)
		case confidence == Sure:
			return []*Driver{d}, true, fmt.Sprintf("USB says %s %s (%s:%s)",
				p.Manufacturer, p.Product, p.VendorID, p.ProductID), nil
		case confidence == Possible && d.NewDecoder != nil && len(d.Lines) > 0:
			drivers = append(drivers, d)
		case confidence == Possible:
			active = append(active, d.Protocol)
		}
	}
	if len(drivers) > 0 {
		return drivers, false, "", nil
	}
	if len(active) > 0 {
		return nil, false, "", fmt.Errorf("%w: it can only be told by asking it, which may disturb it: set its protocol (%s)",
			errUnknown, strings.Join(active, ", "))
	}
	return nil, false, "", fmt.Errorf("%w: if you know what it speaks, set its protocol (%s)", errUnknown, protocols(all))
}

// byUser is the evidence of a protocol that was set.
const byUser = "set by the user"

func protocols(drivers []Driver) string {
	var names []string
	for _, d := range drivers {
		if d.Advice == "" {
			names = append(names, d.Protocol)
		}
	}
	return strings.Join(names, ", ")
}
