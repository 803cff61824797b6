package modbus

import (
	"context"
	"time"

	"lintel/serialbridge"
)

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
	m.current, m.settled, m.harmed, m.echoed = q, false, false, false
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
		m.sink.Damaged(serialbridge.DamagedNoAnswer)
	}
	_, err := m.wait(ctx, time.Now().Add(m.timeout(m.current.unit)), nil)
	return err
}
