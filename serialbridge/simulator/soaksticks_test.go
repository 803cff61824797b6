package simulator

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"
)

// childVariable in the environment makes the test binary the process that has the
// sticks.
const childVariable = "LINTEL_SIMULATED_STICKS"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if err := runSticks(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A plan says which sticks there are and how long they go through their phases.
type plan struct {
	Sticks   []plannedStick
	Duration time.Duration
	Phase    time.Duration
}

type plannedStick struct {
	Kind     string
	Number   uint64
	Link     string
	Interval time.Duration // between frames; 0: as the device does
}

// A ledger is what a stick has sent, and when it was pulled out.
type ledger struct {
	Sent      []Sent
	Unplugged []time.Time
}

// out is how long a stick that was pulled out stays so.
const out = 300 * time.Millisecond

// phases are what a stick goes through, time and again: f are the faults that its
// protocol can tell.
var phases = []func(f Faults) (faults Faults, unplug bool){
	func(f Faults) (Faults, bool) { return f, false },
	func(f Faults) (Faults, bool) { f.Double = true; return f, false },
	func(Faults) (Faults, bool) { return Faults{}, false },
	func(f Faults) (Faults, bool) { f.Slow = 4 * time.Millisecond; return f, false },
	func(Faults) (Faults, bool) { return Faults{Silent: true}, false },
	func(f Faults) (Faults, bool) { return f, true },
	func(Faults) (Faults, bool) { return Faults{}, false },
	func(Faults) (Faults, bool) { return Faults{Slow: 4 * time.Millisecond}, false },
}

// runSticks runs the sticks of the plan that it reads. When they are through it
// writes their ledgers, and leaves them plugged in and silent until the input
// ends.
func runSticks(r io.Reader, w io.Writer) error {
	input := bufio.NewReader(r)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(line, &p); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	ledgers := make([]ledger, len(p.Sticks))
	var mu sync.Mutex // guards ledgers
	all := make([]*Stick, len(p.Sticks))
	for i, planned := range p.Sticks {
		device, err := NewDevice(planned.Kind, planned.Number)
		if err != nil {
			return err
		}
		now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
		all[i] = New(Options{
			Link: planned.Link, Device: device, Interval: planned.Interval, Seed: planned.Number,
			// A P1 meter counts seconds, and may talk more often.
			Now: func() time.Time { now = now.Add(time.Second); return now },
			Sent: func(s Sent) {
				s.Frame.Data = nil
				mu.Lock()
				defer mu.Unlock()
				ledgers[i].Sent = append(ledgers[i].Sent, s)
			},
		})
		running.Go(func() {
			if err := all[i].Run(ctx); err != nil {
				fmt.Fprintln(os.Stderr, planned.Link, err)
			}
		})
	}

	// Whoever is to read the ledgers may end before.
	alone := make(chan struct{})
	go func() {
		defer close(alone)
		io.Copy(io.Discard, input)
	}()
	wait := func(d time.Duration) bool {
		select {
		case <-alone:
			return false
		case <-time.After(d):
			return true
		}
	}

	// Each stick is in another phase, and ends in good order.
	for n := range int(p.Duration / p.Phase) {
		for i, s := range all {
			faults, unplug := phases[(n+i)%len(phases)](protocolOf(p.Sticks[i].Kind).faults)
			s.SetFaults(faults)
			if unplug {
				s.Unplug()
				mu.Lock()
				ledgers[i].Unplugged = append(ledgers[i].Unplugged, time.Now())
				mu.Unlock()
				time.AfterFunc(out, func() {
					if err := s.Plug(); err != nil {
						fmt.Fprintln(os.Stderr, err)
					}
				})
			}
		}
		if !wait(p.Phase) {
			return nil
		}
	}
	for _, end := range []struct {
		faults Faults
		time   time.Duration
	}{{Faults{}, time.Second}, {Faults{Silent: true}, unread}} {
		for _, s := range all {
			s.SetFaults(end.faults)
		}
		if !wait(end.time) {
			return nil
		}
	}
	mu.Lock()
	err = json.NewEncoder(w).Encode(ledgers)
	mu.Unlock()
	if err != nil {
		return err
	}
	<-alone
	return nil
}
