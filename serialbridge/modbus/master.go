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
	damagedSilence = "no answer"
	damagedLate    = "late answer"
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

	// What is known of the answers of the unit at an address: when those that are
	// still missing were asked for, and how long they were seen to take.
	missing map[byte][]time.Time
	slow    map[byte]time.Duration
}

func newMaster(port serialbridge.Port, sink serialbridge.Sink, o Options, units []*unit) *master {
	m := &master{
		bus: bus{sink: sink, units: units}, port: port, options: o, line: o.line(units),
		missing: make(map[byte][]time.Time), slow: make(map[byte]time.Duration),
	}
	m.scanner = scanner{
		master: true,
		damaged: func(reason string) {
			m.harmed = true
			sink.Damaged(reason)
		},
		question: func(q request) {
			if !q.equal(m.current) { // else a converter that hears itself
				sink.Ignored("another master asks on this bus: only one may, so take it off or set listen")
			}
		},
		answer: func(q request, data []byte, received time.Time) {
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

// wait waits until the time comes, or a command.
func (m *master) wait(ctx context.Context, until time.Time, commands <-chan serialbridge.Command) (*serialbridge.Command, error) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case h := <-m.incoming:
			if err := m.hear(h); err != nil {
				return nil, err
			}
		case c := <-commands:
			return &c, nil
		case <-timer.C:
			return nil, nil
		}
	}
	return nil, ctx.Err()
}

// hear takes bytes from the bus.
func (m *master) hear(h serialbridge.Heard) error {
	now := time.Now()
	m.scanner.scan(h.Data, now)
	m.rest(now, m.silence())
	return h.Err
}

// rest puts the next request off until the bus has been left alone for d.
func (m *master) rest(from time.Time, d time.Duration) { m.idle = later(m.idle, from.Add(d)) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// characters returns how long n characters take: 11 bits each (MODBUS over serial
// line 1.02, 2.5.1), whatever the line is set to.
func (m *master) characters(n int) time.Duration {
	return time.Duration(n) * 11 * time.Second / time.Duration(m.line.Baud)
}

// silence returns the least between two frames: 3.5 characters, and 1.75 ms on fast
// lines (MODBUS over serial line 1.02, 2.5.1.1).
func (m *master) silence() time.Duration {
	if m.line.Baud > 19200 {
		return 1750 * time.Microsecond
	}
	return m.characters(7) / 2
}

// ask asks a unit, as often as tries says. It returns whether there was an answer
// or a refusal; an error is one of the port.
func (m *master) ask(ctx context.Context, u *unit, q request, tries int) (bool, error) {
	for n := range tries {
		if err := m.settle(ctx); err != nil {
			return false, err
		}
		if n == 0 {
			m.missing[q.unit] = nil // what was lost before
		}
		if err := m.try(ctx, q); err != nil {
			return false, err
		}
		m.rest(time.Now(), time.Duration(u.table.Pause)*time.Millisecond)
		if m.settled {
			m.answered = time.Now()
			return true, nil
		}
	}
	return false, nil
}

// arrived notes that one of the missing answers has come, the oldest for all that is
// known. It returns how long such an answer may take, and has the line left alone
// for as long as others may still be on their way: they must not be taken for the
// answer to the next question.
func (m *master) arrived(unit byte) time.Duration {
	missing := m.missing[unit]
	took := time.Since(missing[0]) * 5 / 4
	if len(missing) > 1 {
		m.rest(missing[len(missing)-1], min(took, maxSlow))
	}
	m.missing[unit] = missing[1:]
	return took
}

// late takes an answer that comes when it is not waited for any more. From now on
// the unit is given more time. It reports whether an answer was missing.
func (m *master) late(unit byte) bool {
	missing := len(m.missing[unit])
	if m.scanner.waiting && unit == m.current.unit {
		missing-- // that is waited for
	}
	if missing == 0 {
		return false
	}
	m.slow[unit] = min(max(m.slow[unit], m.arrived(unit)), maxSlow)
	m.sink.Damaged(damagedLate)
	return true
}

// timeout is how long a unit may take for the beginning of its answer.
func (m *master) timeout(unit byte) time.Duration { return max(m.options.timeout(), m.slow[unit]) }

// try asks once.
func (m *master) try(ctx context.Context, q request) error {
	frame := q.bytes()
	_, length := q.answerHead()
	m.scanner.ask(q, time.Now())
	m.current, m.settled, m.harmed = q, false, false
	m.missing[q.unit] = append(m.missing[q.unit], time.Now())
	if _, err := m.port.Write(frame); err != nil {
		return err
	}
	// Write returns before the line has it.
	sent := time.Now().Add(m.characters(len(frame)))
	m.rest(sent, m.silence())
	timer := time.NewTimer(time.Until(sent.Add(m.timeout(q.unit) + m.characters(length))))
	defer timer.Stop()
	for !m.settled {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-m.incoming:
			if err := m.hear(h); err != nil {
				return err
			}
		case <-timer.C:
			return m.giveUp(ctx)
		}
	}
	return nil
}

// settle waits until the bus is idle. As long as something is heard it is not; but
// what never ends is not worth waiting for.
func (m *master) settle(ctx context.Context) error {
	for limit := later(m.idle, time.Now()).Add(m.options.timeout()); time.Now().Before(limit); {
		select {
		case h := <-m.incoming: // said before the question
			if err := m.hear(h); err != nil {
				return err
			}
			continue
		default:
		}
		if !time.Now().Before(m.idle) {
			return nil
		}
		if _, err := m.wait(ctx, m.idle, nil); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// giveUp ends a try without answer, and listens for as long again whether it is late.
func (m *master) giveUp(ctx context.Context) error {
	m.scanner.flush()
	if m.settled {
		return nil // behind noise that looked like the beginning of something
	}
	m.scanner.waiting = false
	if !m.harmed {
		m.sink.Damaged(damagedSilence)
	}
	_, err := m.wait(ctx, time.Now().Add(m.timeout(m.current.unit)), nil)
	return err
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
