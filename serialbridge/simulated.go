package serialbridge

import (
	"context"
	"fmt"
	"slices"

	"lintel/hardware"
)

// Plug has Run use another port from now on, which is not there for good: a stick that
// somebody tries out. It waits for Run.
func (s *Supervisor) Plug(ctx context.Context, p NamedPort) error {
	return s.ask(ctx, func(running, publish context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.sticks[p.Path] != nil:
			return fmt.Errorf("the port %s is in use already", p.Path)
		case len(s.sticks) >= maxSticks:
			return fmt.Errorf("there are %d sticks already: unplug one first", maxSticks)
		}
		s.o.Ports = append(slices.Clip(s.o.Ports), p)
		st := s.remember(publish, p.Path)
		st.named = true
		s.appear(running, st, hardware.SerialPort{Path: p.Path})
		return nil
	})
}

// Unplug takes such a port away again, with all devices behind it and what was published of
// them. What the broker holds of the stick itself stays.
func (s *Supervisor) Unplug(ctx context.Context, path string) error {
	s.mu.Lock()
	st := s.sticks[path]
	i := slices.IndexFunc(s.o.Ports, func(p NamedPort) bool { return p.Path == path })
	if st == nil || i < 0 || st.cancel == nil {
		s.mu.Unlock()
		return fmt.Errorf("there is no port %s", path)
	}
	s.o.Ports = slices.Delete(slices.Clone(s.o.Ports), i, i+1)
	ended := st.ended
	s.vanish(st)
	s.mu.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	for _, d := range s.devices {
		if d.owner == st {
			s.withdraw(d)
		}
	}
	done := make(chan struct{})
	st.queue = append(st.queue, entry{flushed: done})
	st.stir()
	s.mu.Unlock()
	select {
	case <-done:
	case <-s.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(st)
	return nil
}

// ask has Run do something with its contexts.
func (s *Supervisor) ask(ctx context.Context, do func(running, publish context.Context) error) error {
	answer := make(chan error, 1)
	select {
	case s.asked <- func(running, publish context.Context) { answer <- do(running, publish) }:
		return <-answer
	case <-s.done:
		return fmt.Errorf("the serial bridges have stopped")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer does what is asked until ctx ends.
func (s *Supervisor) answer(ctx, publish context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-s.asked:
			do(ctx, publish)
		}
	}
}
