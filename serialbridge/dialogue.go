package serialbridge

import (
	"context"
	"errors"
	"time"
)

// silence is how long a device may leave everything unanswered before a
// dialogue is given up.
const silence = time.Minute

// Dialogue is the talk with a device that speaks only when it is asked: one
// question at a time, and whatever is heard goes to the decoder. It is for one
// goroutine.
type Dialogue struct {
	Port    Port
	Sink    Sink
	Decoder Decoder

	// Incoming is what [Hear] hears at Port.
	Incoming <-chan Heard

	// Valid returns how many valid frames Decoder has found in all. While
	// there are more of them the device is alive, also if it answers late.
	Valid func() uint64

	// Mute is what a person reads when nothing valid was heard for
	// a minute: what does not answer, and what to do about it.
	Mute string

	valid uint64
	alive time.Time
}

// Ask sends a question and listens until answered reports true, or for patience:
// then the question is counted as damage. The error is not nil if ctx has ended,
// the port has failed, or the device has been mute for a minute.
func (d *Dialogue) Ask(ctx context.Context, question []byte, patience time.Duration, answered func() bool) (ok bool, err error) {
	if err := d.Tell(question); err != nil {
		return false, err
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	for !answered() {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case h := <-d.Incoming:
			if err := d.hear(h); err != nil {
				return false, err
			}
		case <-end.C:
			d.Sink.Damaged(DamagedNoAnswer)
			if time.Since(d.alive) >= silence {
				return false, errors.New(d.Mute)
			}
			return false, nil
		}
	}
	return true, nil
}

// Tell sends what has no answer, or none that is waited for.
func (d *Dialogue) Tell(command []byte) error {
	if d.alive.IsZero() {
		d.alive = time.Now()
	}
	_, err := d.Port.Write(command)
	return err
}

// Rest listens until a time or until a command comes, which it returns.
func (d *Dialogue) Rest(ctx context.Context, until time.Time, commands <-chan Command) (*Command, error) {
	end := time.NewTimer(time.Until(until))
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case h := <-d.Incoming:
			if err := d.hear(h); err != nil {
				return nil, err
			}
		case c := <-commands:
			return &c, nil
		case <-end.C:
			return nil, nil
		}
	}
}

func (d *Dialogue) hear(h Heard) error {
	now := time.Now()
	d.Decoder.Decode(h.Data, now)
	if n := d.Valid(); n != d.valid {
		d.valid, d.alive = n, now
	}
	return h.Err
}
