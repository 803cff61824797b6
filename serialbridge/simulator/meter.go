package simulator

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Options are the options of a Meter.
type Options struct {
	Link     string           // path of the link to the pty; needed
	Interval time.Duration    // between telegrams; 0: a second
	Now      func() time.Time // nil: time.Now
	Seed     uint64           // number of the household
	Logger   *slog.Logger     // nil: none
}

// Meter is a smart meter on a P1 cable.
type Meter struct {
	options   Options
	household *Household

	mu     sync.Mutex
	stick  *stick // nil while it is unplugged
	silent bool
	damage []func(telegram []byte) []byte // one for each of the next telegrams
}

// NewMeter returns a meter that is not plugged in yet.
func NewMeter(o Options) *Meter {
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Meter{options: o, household: NewHousehold(o.Seed)}
}

// Run plugs the meter in, if it is not, and lets it send until ctx ends. Then
// it is unplugged. It returns nil if ctx ended, else why the pty failed.
func (m *Meter) Run(ctx context.Context) error {
	if err := m.Plug(); err != nil {
		return err
	}
	defer m.Unplug()
	tick := time.NewTicker(m.options.Interval)
	defer tick.Stop()
	for {
		if err := m.send(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// send sends one telegram, or what the faults make of it.
func (m *Meter) send() error {
	telegram := Telegram(m.household.At(m.options.Now()))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stick == nil || m.silent {
		return nil
	}
	if len(m.damage) > 0 {
		telegram = m.damage[0](telegram)
		m.damage = m.damage[1:]
	}
	return m.stick.write(telegram)
}

// Plug puts the meter's cable in: the link is there when it returns. It does
// nothing if the cable is in.
func (m *Meter) Plug() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stick != nil {
		return nil
	}
	if m.options.Link == "" {
		return errors.New("simulator: a simulated meter needs a path for its link")
	}
	s, err := plug(m.options.Link)
	if err != nil {
		return err
	}
	m.stick = s
	m.options.Logger.Info("simulated meter plugged in", "port", m.options.Link)
	return nil
}

// Unplug pulls the cable: whoever reads is hung up on, and the link is gone
// when it returns.
func (m *Meter) Unplug() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stick == nil {
		return
	}
	if err := m.stick.unplug(); err != nil {
		m.options.Logger.Warn("simulated meter not unplugged cleanly", "port", m.options.Link, "err", err)
	}
	m.stick = nil
}

// Silence makes the meter stop or go on sending while its cable stays in.
func (m *Meter) Silence(silent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = silent
}

// Corrupt changes one bit in the middle of the next telegram.
func (m *Meter) Corrupt() {
	m.fault(func(telegram []byte) []byte {
		telegram[len(telegram)/2] ^= 1
		return telegram
	})
}

// Truncate lets the next telegram end in its middle.
func (m *Meter) Truncate() {
	m.fault(func(telegram []byte) []byte { return telegram[:len(telegram)/2] })
}

// fault queues damage: two calls damage two telegrams.
func (m *Meter) fault(f func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.damage = append(m.damage, f)
}
