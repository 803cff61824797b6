package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"lintel/gateway/broker/witness"
)

// A load lasts at least and at most so long until the plug is pulled.
const (
	shortestLoad = 2 * time.Second
	longestLoad  = 15 * time.Second

	loadPause = 100 * time.Millisecond // for an emulated machine
)

// killUnderLoad kills the board again and again at random moments under load,
// always on the same card, and looks after each boot what the broker has kept.
func killUnderLoad(ctx context.Context, b board, rounds int) error {
	dir, err := b.flash(ctx, "-kill")
	if err != nil {
		return err
	}
	if err := configure(ctx, dir, anybody); err != nil {
		return err
	}
	acknowledged := 0
	var told *witness.World // before the last kill
	for round := range rounds + 1 {
		err := b.boot(ctx, dir, settings{sticks: len(captures)}, func(m *machine) error {
			if told != nil {
				n := told.Acknowledged()
				if report := told.Check(ctx, m.mqtt); !report.OK() {
					return fmt.Errorf("after kill %d, with %d acknowledged messages: %v: %q", round, n, report, report.Notes)
				}
				acknowledged += n
				fmt.Printf("%s: kill %d: all of %d acknowledged messages are there\n", b.name, round, n)
			}
			if round == rounds {
				return nil
			}
			var err error
			told, err = m.killWhileLoaded(ctx, fmt.Sprintf("kill-%d-%d", time.Now().Unix(), round))
			return err
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d kills, %d acknowledged messages: 0 lost, 0 twice, 0 came back\n", b.name, rounds, acknowledged)
	return nil
}

// killWhileLoaded loads the broker, kills the machine meanwhile, and returns what
// the clients knew then.
func (m *machine) killWhileLoaded(ctx context.Context, run string) (*witness.World, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ledger := witness.NewLedger(run, nil)
	var killed atomic.Bool
	go func() {
		select {
		case <-ledger.Begun():
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(shortestLoad + rand.N(longestLoad-shortestLoad)):
			killed.Store(true)
			m.kill()
			cancel() // QEMU's end of a connection may stay open for long
		case <-ctx.Done():
		}
	}()
	report, err := witness.Load(ctx, m.mqtt, ledger, rand.Uint64(), loadPause)
	if err != nil && !killed.Load() {
		return nil, fmt.Errorf("under load: %w", err)
	}
	if !report.OK() {
		return nil, fmt.Errorf("under load: %v: %q", report, report.Notes)
	}
	return ledger.At(0), nil
}
