package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lintel/gateway/update"
)

// moment is a phase of an update in which the plug is pulled, and within how long after the
// box says that it is in it.
type moment struct {
	phase  update.Phase
	within time.Duration
}

var moments = []moment{
	{update.Downloading, 5 * time.Second},
	{update.Writing, 8 * time.Second},
	{update.Arming, 4 * time.Second},
	{update.Restarting, 25 * time.Second}, // the trial begins in here
	{update.OnTrial, 45 * time.Second},
	{update.Committing, 3 * time.Second},
}

// killUpdates pulls the plug of a board again and again while it is updated. Each time it has
// to start, and to finish the update or to return. seed decides the moments, as far as
// an emulated machine is the same twice.
func killUpdates(ctx context.Context, b board, kills int, seed uint64) error {
	fmt.Printf("%s: %d power cuts during updates; --update-kill %d --seed %d does the same again\n", b.name, kills, kills, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, err := b.flash(ctx, "-update-kill")
	if err != nil {
		return err
	}
	p, err := newPublisher(filepath.Join(dir, "feed"), b.image)
	if err != nil {
		return err
	}
	feed, stop, err := p.serve()
	if err != nil {
		return err
	}
	defer stop()
	if err := configure(ctx, dir, p.config(feed)); err != nil {
		return err
	}
	next := &root{name: "kill", version: "test-kill", counter: time.Now().Unix()}
	if err := next.build(ctx, b); err != nil {
		return err
	}
	return b.boot(ctx, dir, settings{reboots: true}, func(m *machine) error {
		k := &killer{m: m, p: p, dir: dir, next: next}
		if err := k.claim(ctx); err != nil {
			return err
		}
		// In any order, and each as often as the others.
		order := random.Perm(len(moments))
		for i := range kills {
			if err := k.round(ctx, i+1, order[i%len(order)], random); err != nil {
				return fmt.Errorf("power cut %d: %w", i+1, err)
			}
		}
		// The last update is let be.
		if err := k.fresh(ctx); err != nil {
			return err
		}
		if err := k.begin(ctx); err != nil {
			return err
		}
		if err := m.awaitVersion(ctx, next.version); err != nil {
			return err
		}
		fmt.Printf("%s: %d power cuts during updates: %d updates were finished, %d times the box returned, and it always started; %d messages were kept\n",
			b.name, kills, k.finished, k.returned, kills)
		return nil
	})
}

// killer is a box whose updates are killed.
type killer struct {
	m    *machine
	p    *publisher
	dir  string
	next *root
	old  string // version of the image
	size bootFiles

	finished, returned int
}

// claim claims the box and keeps its card, to begin again with it.
func (k *killer) claim(ctx context.Context) error {
	if err := k.m.awaitPage(ctx); err != nil {
		return err
	}
	if err := k.m.claimOnPage(ctx); err != nil {
		return err
	}
	o, err := k.m.admin(ctx)
	if err != nil {
		return err
	}
	s, err := o.update(ctx)
	if err != nil {
		return err
	}
	k.old, k.p.kernel = s.Version, s.Kernel
	if err := k.p.publish(k.next); err != nil {
		return err
	}
	if err := k.m.publishRetained(ctx, markerTopic, "claimed"); err != nil {
		return err
	}
	k.m.kill()
	if k.size, err = readBootFiles(ctx, k.dir); err != nil {
		return err
	}
	if err := copyCard(ctx, filepath.Join(k.dir, "disk.img"), filepath.Join(k.dir, "claimed.img")); err != nil {
		return err
	}
	return k.on(ctx)
}

// on switches the box on and waits for its broker.
func (k *killer) on(ctx context.Context) error {
	if err := k.m.switchOn(ctx); err != nil {
		return err
	}
	return k.m.until(ctx, bootTimeout, k.m.connect)
}

// fresh has the box run the old version again, from its card of the beginning if it has to.
func (k *killer) fresh(ctx context.Context) error {
	s, err := k.settled(ctx)
	if err != nil {
		return err
	}
	if s.Version == k.old {
		return nil
	}
	k.m.kill()
	if err := os.Remove(filepath.Join(k.dir, "disk.img")); err != nil {
		return err
	}
	if err := copyCard(ctx, filepath.Join(k.dir, "claimed.img"), filepath.Join(k.dir, "disk.img")); err != nil {
		return err
	}
	return k.on(ctx)
}

// settled waits until no update is going on.
func (k *killer) settled(ctx context.Context) (update.Status, error) {
	return k.m.awaitUpdate(ctx, trialTimeout, func(s update.Status) error {
		if s.Phase != update.Idle {
			return fmt.Errorf("version %s, phase %s, %+v", s.Version, s.Phase, s.Trial)
		}
		if s.Version != k.old && s.Version != k.next.version {
			return fmt.Errorf("version %s runs", s.Version)
		}
		return nil
	})
}

// begin has the box install the new version.
func (k *killer) begin(ctx context.Context) error {
	o, err := k.m.admin(ctx)
	if err != nil {
		return err
	}
	if err := o.call(ctx, "POST", "/api/update/check", struct{}{}, nil); err != nil {
		return err
	}
	return o.call(ctx, "POST", "/api/update/install", struct{}{}, nil)
}

// round pulls the plug once.
func (k *killer) round(ctx context.Context, n, index int, random *rand.Rand) error {
	wanted := moments[index]
	wait := time.Duration(random.Int64N(int64(wanted.within)))
	if err := k.fresh(ctx); err != nil {
		return err
	}
	marker := fmt.Sprintf("before power cut %d at %d", n, time.Now().UnixNano())
	if err := k.m.publishRetained(ctx, markerTopic, marker); err != nil {
		return err
	}
	if err := k.begin(ctx); err != nil {
		return err
	}
	// Some phases are over before they can be seen: then it is the one after.
	later := func(p update.Phase) bool {
		return slices.IndexFunc(moments, func(m moment) bool { return m.phase == p }) >= index
	}
	started := time.Now()
	var at update.Phase
	_, err := k.m.awaitUpdate(ctx, installTimeout+trialTimeout, func(s update.Status) error {
		at = s.Phase
		if later(s.Phase) || s.Version == k.next.version && s.Phase == update.Idle {
			return nil
		}
		if s.Failed != "" {
			return fmt.Errorf("the update failed: %s", s.Failed)
		}
		return fmt.Errorf("phase %s does not come: %s", wanted.phase, s.Phase)
	})
	if err != nil {
		return err
	}
	if err := k.m.run(ctx, wait); err != nil {
		return err
	}
	took := time.Since(started)
	k.m.kill()
	left, err := readBootFiles(ctx, k.dir)
	if err != nil {
		return err
	}
	if left.cmdline != k.size.cmdline || left.entry != k.size.entry {
		return fmt.Errorf("the files for the start have %d and %d bytes, and had %d and %d", left.cmdline, left.entry, k.size.cmdline, k.size.entry)
	}
	if err := k.on(ctx); err != nil {
		return err
	}
	s, err := k.settled(ctx)
	if err != nil {
		return err
	}
	if err := k.m.kept(ctx, marker); err != nil {
		return err
	}
	result := "the box returned"
	if s.Version == k.next.version {
		k.finished++
		result = "the update was finished"
	} else {
		k.returned++
		if s.Returned != nil {
			result += ": " + s.Returned.Reason
		}
	}
	fmt.Printf("%s: power cut %d, %.1f s into an update (%.1f s after %s): the card starts root %d, trial %v; %s\n",
		k.m.board.name, n, took.Seconds(), wait.Seconds(), at, left.root, left.trial, result)
	return nil
}
