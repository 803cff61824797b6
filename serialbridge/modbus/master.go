package modbus

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	// patience is how long nothing on the bus may answer before that is a fault
	// to tell.
	patience = 5 * time.Minute
	// maxRetry is the longest time between two tries of a unit that does not
	// answer. Each costs the others as long as an answer may take.
	maxRetry = time.Minute
	// maxSlow is how late an answer can be and still be known as a late one.
	maxSlow = 10 * time.Second
	// muteQuestions is how often a unit that answers otherwise may leave the
	// question for its identity without answer until it counts as having none.
	muteQuestions = 3
)

// Reasons for counting a frame as damaged besides those of the scanner.
const (
	damagedLate = "late answer"
)

// A master asks the units, one at a time.
type master struct {
	bus
	port    serialbridge.Port
	options Options
	line    serialbridge.Line

	incoming <-chan serialbridge.Heard
	scanner  scanner
	idle     time.Time // when the next request may be sent
	answered time.Time // when something was last answered

	// Of the question under way.
	current  request
	settled  bool // there is an answer, or it was refused
	data     []byte
	refusal  exception // 0: granted
	received time.Time
	harmed   bool // something damaged was heard since it was asked
	echoed   bool // it was heard itself
	echoes   bool // the converter hears what it sends

	// What is known of the answers of the unit at an address: when those that are
	// still missing were asked for, and how long they were seen to take.
	missing map[byte][]time.Time
	slow    map[byte]time.Duration
}

func newMaster(port serialbridge.Port, sink serialbridge.Sink, o Options, line serialbridge.Line, units []*unit) *master {
	m := &master{
		bus: bus{sink: sink, units: units}, port: port, options: o, line: line,
		missing: make(map[byte][]time.Time), slow: make(map[byte]time.Duration),
	}
	m.scanner = scanner{
		master: true,
		damaged: func(reason string) {
			m.harmed = true
			sink.Damaged(reason)
		},
		question: func(q request) {
			if q.equal(m.current) {
				m.echoes = true
				return
			}
			sink.Ignored("another master asks on this bus: only one may, so take it off or set listen")
		},
		answer: func(q request, data []byte, received time.Time) {
			if m.echoes && !m.echoed && (q.function == writeSingleCoil || q.function == writeSingleRegister) {
				// The answer is the same as the question, and comes behind it.
				m.echoed, m.scanner.waiting = true, true
				return
			}
			m.settled, m.data, m.refusal, m.received = true, bytes.Clone(data), 0, received
			m.arrived(q.unit)
		},
		refusal: func(q request, e exception) {
			m.settled, m.data, m.refusal = true, nil, e
			m.arrived(q.unit)
		},
		stray: func(unit byte) {
			if !m.late(unit) {
				sink.Ignored(fmt.Sprintf("unit %d answers without being asked", unit))
			}
		},
	}
	return m
}

// run polls the units and does what is commanded until ctx ends or the port fails.
func (m *master) run(ctx context.Context, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.incoming = serialbridge.Hear(ctx, m.port)
	m.answered = time.Now()
	for {
		u, due := m.next()
		c, err := m.wait(ctx, due, commands)
		switch {
		case err != nil:
			return err
		case c != nil:
			err = m.command(ctx, *c)
		default:
			err = m.poll(ctx, u)
		}
		if err != nil {
			return err
		}
		if time.Since(m.answered) > patience {
			return m.deaf()
		}
	}
}

// deaf says what to do when nothing answers.
func (m *master) deaf() error {
	var units []string
	for _, u := range m.units {
		units = append(units, fmt.Sprint(u.Address))
	}
	return fmt.Errorf("nothing on the bus has answered for %v: look whether the devices have power, whether A and B are swapped, "+
		"whether they are set to %v, and whether their addresses are %s", patience, m.line, strings.Join(units, ", "))
}

// next returns the unit that is to be asked next, and when.
func (m *master) next() (*unit, time.Time) {
	var unit *unit
	var due time.Time
	for _, u := range m.units {
		if d := u.due(); unit == nil || d.Before(due) {
			unit, due = u, d
		}
	}
	return unit, due
}

// due returns when a unit is to be asked something.
func (u *unit) due() time.Time {
	if !u.identified {
		return u.retry
	}
	return u.first().due
}

// first returns the block that is due first.
func (u *unit) first() *block {
	first := u.blocks[0]
	for _, b := range u.blocks {
		if b.due.Before(first.due) {
			first = b
		}
	}
	return first
}

// poll asks a unit what is due.
func (m *master) poll(ctx context.Context, u *unit) error {
	if !u.identified {
		if err := m.identify(ctx, u); err != nil || !u.identified {
			return err
		}
		m.announce(u, u.device())
	}
	b := u.first()
	if b.due.After(time.Now()) {
		return nil
	}
	q := b.request(u)
	ok, err := m.ask(ctx, u, q, m.options.tries())
	now := time.Now()
	b.next(now)
	switch {
	case err != nil:
		return err
	case !ok:
		u.fail(now)
	case m.refusal.lasting():
		u.refuse(b, now)
		if b.refused {
			m.refused(u.title(), q, m.refusal)
			m.announce(u, u.device())
		}
	case m.refusal != 0:
		m.refused(u.title(), q, m.refusal)
	default:
		if b.refused {
			b.refused = false // as after new firmware
			m.announce(u, u.device())
		}
		m.publish(u, q, m.data, m.received)
	}
	return nil
}

// identify asks a unit who it is. It is asked again whenever it was silent: another
// one may have been put in its place.
func (m *master) identify(ctx context.Context, u *unit) error {
	tries := 1 // it may not be there
	for _, b := range u.table.join(u.table.identity) {
		ok, err := m.ask(ctx, u, b.request(u), tries)
		switch {
		case err != nil:
			return err
		case ok && m.refusal == 0:
			u.know(m.current, m.data)
			tries = m.options.tries()
			continue
		case ok && m.refusal.lasting():
			for _, r := range b.registers {
				delete(u.said, r.Kind)
			}
			tries = m.options.tries()
			continue
		case ok: // it is busy, say
			u.fail(time.Now())
			return nil
		}
		// Does it leave just this without answer?
		ok, err = m.ask(ctx, u, u.blocks[0].request(u), 1)
		if err != nil {
			return err
		}
		if u.mute++; !ok {
			u.mute = 0
		}
		if u.mute < muteQuestions {
			u.fail(time.Now())
			return nil
		}
		// It has none, or the one that it has told before: an ID does not
		// change because answers get lost.
	}
	if len(u.table.identity) == 0 {
		// What it cannot say is not asked, but whether it is there.
		ok, err := m.ask(ctx, u, u.blocks[0].request(u), 1)
		if err != nil {
			return err
		}
		if !ok {
			u.fail(time.Now())
			return nil
		}
	}
	u.identified, u.failures, u.mute = true, 0, 0
	if id, _ := u.id(u.said[kindSerial]); u.announced.ID != "" && u.announced.ID != id {
		u.plan() // another one has other registers
	}
	return nil
}

// fail notes that a unit did not answer. It is tried ever less often, and not before
// all that it may still say has been heard.
func (u *unit) fail(now time.Time) {
	pause := max(min(u.blocks[0].every<<min(u.failures, 8), maxRetry), maxSlow)
	u.failures++
	u.retry = now.Add(pause)
	u.identified = false
}

// command makes a property what somebody wants it to be, and reads it back. The
// supervisor has checked the command against what the device was announced with.
func (m *master) command(ctx context.Context, c serialbridge.Command) error {
	for _, u := range m.units {
		if !u.identified || u.announced.ID != c.Device {
			continue
		}
		for _, r := range u.table.registers {
			if r.property.Key == c.Key {
				return m.write(ctx, u, r, c.Value)
			}
		}
	}
	return nil
}

func (m *master) write(ctx context.Context, u *unit, r *register, value any) error {
	q, ok := r.write(byte(u.Address), value, u.table.WriteMultiple)
	if !ok {
		return nil
	}
	ok, err := m.ask(ctx, u, q, m.options.tries())
	if err != nil {
		return err
	}
	if !ok {
		u.fail(time.Now())
		return nil
	}
	if m.refusal != 0 {
		m.refused(u.title(), q, m.refusal)
	}
	// Whatever was answered, what counts is what stands there now.
	q = u.table.join([]*register{r})[0].request(u)
	ok, err = m.ask(ctx, u, q, m.options.tries())
	if err == nil && ok && m.refusal == 0 {
		m.publish(u, q, m.data, m.received)
	}
	return err
}
