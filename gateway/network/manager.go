package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"time"

	"lintel/gokrazy/supervisor"
)

// Options are the options of [New].
type Options struct {
	Settings Addresses
	Save     func(Addresses) error // keeps settings that were confirmed for the next start
	Logger   *slog.Logger          // nil: silent
}

// Errors of [Manager.Try] and [Manager.Confirm].
var (
	ErrNoTrial    = errors.New("there are no settings on trial: they were confirmed, or have gone back")
	ErrNotInForce = errors.New("the settings are not in force yet; try again in a moment")
	ErrTrial      = errors.New("other settings are on trial: confirm them, or take them back, before")
)

var errNoInterface = errors.New("there is no Ethernet port; it is set up when one is plugged in")

// look is how often the interface is compared with the settings: it may come late, and
// something else may have changed it.
const look = 20 * time.Second

const (
	ethernet   = "eth0"
	dhcpClient = "/gokrazy/dhcp"
)

// Manager keeps the Ethernet port as the settings say.
type Manager struct {
	save func(Addresses) error
	log  *slog.Logger
	wake chan struct{}

	// Tests have others.
	init       supervisor.Init
	resolvConf string
	delay      time.Duration // until settings that are tried are in force, in which a page can still be sent
	patience   time.Duration // in which they have to be confirmed

	mu      sync.Mutex
	kept    Addresses
	trial   *trial // nil: none
	problem string // of the last try to apply; empty: none
	last    string // how the last trial ended
}

// trial is settings that have to be confirmed.
type trial struct {
	settings Addresses
	begins   time.Time
	ends     time.Time
	inForce  bool
}

// Status is how it is.
type Status struct {
	Settings  Addresses  `json:"settings"` // those that are kept
	Trial     *Addresses `json:"trial,omitempty"`
	InForce   bool       `json:"in_force,omitempty"` // those on trial are
	Seconds   int        `json:"seconds,omitempty"`  // that are left to confirm them
	Last      string     `json:"last,omitempty"`     // how the last trial ended
	Problem   string     `json:"problem,omitempty"`  // why they could not be put in force; empty: they are
	Addresses []string   `json:"addresses"`          // of the Ethernet port
}

// New returns a manager that changes nothing until Run.
func New(o Options) *Manager {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{
		save: o.Save, log: o.Logger, kept: o.Settings, wake: make(chan struct{}, 1),
		init:       supervisor.Init{Socket: supervisor.Socket},
		resolvConf: "/tmp/resolv.conf", // to which gokrazy's /etc/resolv.conf leads
		delay:      2 * time.Second,
		patience:   3 * time.Minute,
	}
}

// Run keeps the port as it should be until ctx ends. Settings that are on trial then are not
// taken back here, but by the next start: nothing but what was confirmed is kept.
func (m *Manager) Run(ctx context.Context) error {
	for {
		settings, next := m.current(time.Now())
		err := m.apply(ctx, settings)
		if ctx.Err() != nil {
			return nil
		}
		m.tell(settings, err)
		timer := time.NewTimer(min(next, look))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-m.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// current returns what is to be in force now, and how long that is so. It ends a trial that is over.
func (m *Manager) current(now time.Time) (Addresses, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.trial
	switch {
	case t == nil:
		return m.kept, look
	case now.Before(t.begins):
		return m.kept, t.begins.Sub(now)
	case now.Before(t.ends):
		return t.settings, t.ends.Sub(now)
	}
	m.trial = nil
	m.last = "Nobody confirmed the last change, so the settings from before are in force again."
	m.log.Warn("network settings not confirmed, taken back")
	return m.kept, look
}

// tell remembers how applying has ended.
func (m *Manager) tell(settings Addresses, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.trial; t != nil && err == nil && reflect.DeepEqual(t.settings, settings) && !time.Now().Before(t.begins) {
		t.inForce = true
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != m.problem && text != "" {
		m.log.Warn("network not set up", "interface", ethernet, "err", err)
	}
	m.problem = text
}

// Try has settings in force in a moment, until somebody confirms them or the time for that is over.
func (m *Manager) Try(s Addresses) error {
	var first error
	s.problems("", func(key, format string, args ...any) {
		if first == nil {
			first = &InvalidError{key, fmt.Sprintf(format, args...)}
		}
	})
	if first != nil {
		return first
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trial != nil {
		return ErrTrial
	}
	if s.DNS == nil {
		s.DNS = []string{} // as it is read from a file
	}
	begins := time.Now().Add(m.delay)
	m.trial = &trial{settings: s, begins: begins, ends: begins.Add(m.patience)}
	m.last = ""
	m.poke()
	return nil
}

// InvalidError is an error of settings.
type InvalidError struct {
	Key    string // such as ipv4
	Reason string
}

func (e *InvalidError) Error() string { return e.Key + " " + e.Reason }

// Confirm keeps the settings that are on trial.
func (m *Manager) Confirm() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch t := m.trial; {
	case t == nil || !time.Now().Before(t.ends):
		return ErrNoTrial
	case !t.inForce:
		return ErrNotInForce
	}
	if err := m.save(m.trial.settings); err != nil {
		return err
	}
	m.kept, m.trial, m.last = m.trial.settings, nil, ""
	m.log.Info("network settings confirmed")
	return nil
}

// Revert takes the settings back that are on trial.
func (m *Manager) Revert() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trial == nil {
		return ErrNoTrial
	}
	m.trial, m.last = nil, "The last change was taken back."
	m.poke()
	return nil
}

func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Status returns how it is now.
func (m *Manager) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Settings: m.kept, Last: m.last, Problem: m.problem, Addresses: []string{}}
	if t := m.trial; t != nil {
		settings := t.settings
		s.Trial, s.InForce, s.Seconds = &settings, t.inForce, max(0, int(time.Until(t.ends).Seconds()))
	}
	if i, err := net.InterfaceByName(ethernet); err == nil {
		all, _ := i.Addrs()
		for _, a := range all {
			s.Addresses = append(s.Addresses, a.String())
		}
	}
	return s
}
