package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"lintel/gateway/update"
)

// chain is a box that is updated again and again, on one card: each test goes on where the
// one before has left it.
type chain struct {
	board   board
	dir     string
	m       *machine
	p       *publisher
	meters  meters
	o       *owner // logged in
	version string // that runs
	counter int64  // of the next version
	timed   bool   // it is told the time
}

// testUpdates updates the board to versions that hold and to versions that do not.
func testUpdates(ctx context.Context, b board, meters meters) error {
	dir, err := b.flash(ctx, "-update")
	if err != nil {
		return err
	}
	p, err := newPublisher(filepath.Join(dir, "feed"), b.image)
	if err != nil {
		return err
	}
	c := &chain{board: b, dir: dir, p: p, meters: meters, counter: time.Now().Unix()}
	good := c.next("good")
	stuck := c.next("stuck")
	stuck.flags = []string{"serve", "--no-such-flag"}
	crashing := c.next("panic")
	crashing.programs = []string{"lintel/gokrazy/imagetest/panic"}
	blind := c.next("blind")
	blind.programs = []string{"lintel/gokrazy/imagetest/unplug"}
	start := time.Now()
	if err := good.build(ctx, b); err != nil {
		return err
	}
	fmt.Printf("%s: made the root of another version in %.0f s\n", b.name, time.Since(start).Seconds())
	half := c.next("half")
	if err := half.truncate(good); err != nil {
		return err
	}

	feed, stop, err := p.serve()
	if err != nil {
		return err
	}
	defer stop()
	config := p.config(feed)
	if stop, err := serveTime(); err == nil {
		defer stop()
		c.timed = true
		config += fmt.Sprintf("[time]\nservers = [%q]\n", hostInside)
	} else {
		fmt.Printf("%s: no expired bundle is tried, which takes root to tell the box the time: %v\n", b.name, err)
	}
	if err := configure(ctx, dir, config); err != nil {
		return err
	}
	if err := putBootFile(ctx, dir, "lintel-preseed.toml", mistaken); err != nil {
		return err
	}
	return b.boot(ctx, dir, settings{reboots: true, sticks: len(captures)}, func(m *machine) error {
		c.m = m
		for _, step := range []struct {
			name string
			run  func(context.Context) error
		}{
			{"a preseed with mistakes", c.claimDespiteMistakes},
			{"plug in", c.plugIn},
			{"refusals", func(ctx context.Context) error { return c.refusals(ctx, good) }},
			{"update", func(ctx context.Context) error { return c.updateWithSessions(ctx, good) }},
			{"restart first", func(ctx context.Context) error { return c.restartFirst(ctx, half) }},
			{"a truncated root", func(ctx context.Context) error { return c.comesBack(ctx, half) }},
			{"a root that panics", func(ctx context.Context) error { return c.comesBack(ctx, crashing) }},
			{"a root whose broker does not start", func(ctx context.Context) error { return c.comesBack(ctx, stuck) }},
			{"a root that loses a stick", func(ctx context.Context) error { return c.comesBack(ctx, blind) }},
			{"a card that is full", c.cardFull},
			{"a clock in 1970", c.clockIn1970},
		} {
			start := time.Now()
			if err := step.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			fmt.Printf("%s: %s: passed in %.0f s\n", b.name, step.name, time.Since(start).Seconds())
		}
		return nil
	})
}

// next names the next version.
func (c *chain) next(name string) *root {
	c.counter++
	return &root{name: name, version: "test-" + name, counter: c.counter}
}

// config is the configuration of a box that follows the publisher.
func (p *publisher) config(feed string) string {
	return fmt.Sprintf("[http]\nlisten = \":80\"\n[update]\nkeys = [%q]\nfeed = %q\ntrial_minutes = %d\n", p.trusted(), feed, trialMinutes)
}

// mistaken is a file that would claim the box if it were right.
const mistaken = "[claim]\npassword = \"short\"\nnmae = \"Emulated\"\n"

// claimDespiteMistakes looks whether the page for the claim shows what is wrong in the file
// on the card, and claims the box there.
func (c *chain) claimDespiteMistakes(ctx context.Context) error {
	if err := c.m.awaitPage(ctx); err != nil {
		return err
	}
	page, err := c.m.owner().page(ctx, "/claim")
	if err != nil {
		return err
	}
	for _, want := range []string{"lintel-preseed.toml", "nmae"} {
		if !strings.Contains(page, want) {
			return fmt.Errorf("the page for the claim does not name %s:\n%.4000s", want, page)
		}
	}
	if err := c.m.claimOnPage(ctx); err != nil {
		return err
	}
	if c.o, err = c.m.admin(ctx); err != nil {
		return err
	}
	s, err := c.o.update(ctx)
	if err != nil {
		return err
	}
	if s.Unable != "" {
		return fmt.Errorf("the box says that it cannot update itself: %s", s.Unable)
	}
	c.version, c.p.kernel = s.Version, s.Kernel
	return nil
}

// plugIn plugs the meters in, for as long as the test lasts.
func (c *chain) plugIn(ctx context.Context) error {
	for i, telegram := range c.meters.telegrams {
		if _, err := c.m.plugIn(ctx, i, telegram); err != nil {
			return err
		}
	}
	return c.awaitMeters(ctx)
}

// awaitMeters waits until a client has seen what the meters say.
func (c *chain) awaitMeters(ctx context.Context) error {
	client, err := c.m.subscribe(ctx)
	if err != nil {
		return err
	}
	defer client.close()
	return client.await(ctx, meterTimeout, c.meters.seen)
}

// expired is the bundle that a box refuses only if it knows the time.
const expired = "an expired manifest"

// awaitTime waits until the box says that the time is known.
func (c *chain) awaitTime(ctx context.Context) error {
	return c.m.until(ctx, 5*time.Minute, func() error {
		var s struct {
			Checked time.Time `json:"checked"`
		}
		if err := c.o.call(ctx, "POST", "/api/update/check", struct{}{}, &s); err != nil {
			return err
		}
		if s.Checked.IsZero() {
			return errors.New("the box does not know the time")
		}
		return nil
	})
}

// refusals brings the box bundles that it must not take.
func (c *chain) refusals(ctx context.Context, r *root) error {
	stranger, err := newPublisher(c.p.folder, c.board.image)
	if err != nil {
		return err
	}
	for _, t := range []struct {
		name  string
		words string // that the answer has
		of    func(*update.Manifest)
		spoil func([]byte)
		key   *publisher
	}{
		{name: "an unknown key", words: "does not know who signed", key: stranger},
		// The manifest stands behind the signature: see README.md of package update.
		{name: "a bad signature", words: "signature", spoil: func(b []byte) { b[30] ^= 1 }},
		{name: "another board", words: "is for lintel-elsewhere", of: func(m *update.Manifest) { m.Board = "lintel-elsewhere" }},
		{name: "another kernel", words: "kernel", of: func(m *update.Manifest) { m.Kernel = "5.4.0" }},
		{name: "an older version", words: "not newer", of: func(m *update.Manifest) { m.Counter = 1 }},
		{name: expired, words: "2021-02-03", of: func(m *update.Manifest) {
			m.Released = time.Date(2020, 2, 3, 0, 0, 0, 0, time.UTC)
			m.Expires = time.Date(2021, 2, 3, 0, 0, 0, 0, time.UTC)
		}},
		{name: "a damaged root", words: "", spoil: func(b []byte) { b[len(b)/2] ^= 1 }},
		{name: "something else", words: "bundle", spoil: func(b []byte) { copy(b, "GIF89a,,,,") }},
	} {
		m, key := c.p.manifest(r), c.p.key
		if t.name == expired {
			if !c.timed {
				continue
			}
			if err := c.awaitTime(ctx); err != nil {
				return err
			}
		}
		if t.of != nil {
			t.of(&m)
		}
		if t.key != nil {
			key = t.key.key
		}
		bundle, _, err := c.p.bundle(m, r, key)
		if err != nil {
			return err
		}
		if t.spoil != nil {
			t.spoil(bundle)
		}
		err = c.o.upload(ctx, bundle)
		said, ok := errors.AsType[*refusal](err)
		if !ok {
			return fmt.Errorf("%s: the answer is %w", t.name, err)
		}
		if !strings.Contains(said.text, t.words) {
			return fmt.Errorf("%s: the answer is %q, without %q", t.name, said.text, t.words)
		}
		fmt.Printf("%s: refused %s: %s\n", c.board.name, t.name, said.text)
	}
	s, err := c.o.update(ctx)
	if err != nil {
		return err
	}
	if s.Version != c.version || c.m.started() != 1 {
		return fmt.Errorf("after the refusals the box runs %s and was started %d times", s.Version, c.m.started())
	}
	return nil
}

// updateWithSessions updates the box from its feed while clients are connected to it.
func (c *chain) updateWithSessions(ctx context.Context, r *root) error {
	sessions, err := c.m.openSessions(ctx)
	if err != nil {
		return err
	}
	defer sessions.close()
	boots := c.m.started()
	if err := c.p.publish(r); err != nil {
		return err
	}
	if err := c.install(ctx, r); err != nil {
		return err
	}
	if err := c.m.awaitVersion(ctx, r.version); err != nil {
		return err
	}
	fmt.Printf("%s: updated from %s to %s\n", c.board.name, c.version, r.version)
	c.version = r.version
	if n := c.m.started() - boots; n != 1 {
		return fmt.Errorf("the box was started %d times for one update", n)
	}
	if err := sessions.check(ctx); err != nil {
		return err
	}
	return c.awaitMeters(ctx)
}

// install has the box look at its feed and install the version that is there.
func (c *chain) install(ctx context.Context, r *root) error {
	if err := c.o.call(ctx, "POST", "/api/update/check", struct{}{}, nil); err != nil {
		return err
	}
	_, err := c.m.awaitUpdate(ctx, time.Minute, func(s update.Status) error {
		if s.Available == nil || s.Available.Version != r.version {
			return fmt.Errorf("the box does not see %s: %+v, %s", r.version, s.Available, s.CheckErr)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.o.call(ctx, "POST", "/api/update/install", struct{}{}, nil)
}

// restartFirst looks whether a box that has just kept a version wants to be restarted before
// the next, and restarts it.
func (c *chain) restartFirst(ctx context.Context, r *root) error {
	bundle, _, err := c.p.bundle(c.p.manifest(r), r, c.p.key)
	if err != nil {
		return err
	}
	if c.o, err = c.m.admin(ctx); err != nil {
		return err
	}
	said, ok := errors.AsType[*refusal](c.o.upload(ctx, bundle))
	if !ok || !strings.Contains(strings.ToLower(said.text), "restart") {
		return fmt.Errorf("before a restart the answer to an update is %v", said)
	}
	boots := c.m.started()
	if err := c.o.call(ctx, "POST", "/api/update/restart", struct{}{}, nil); err != nil {
		return err
	}
	_, err = c.m.awaitUpdate(ctx, bootTimeout, func(s update.Status) error {
		if c.m.started() == boots || s.RestartFirst || s.Version != c.version {
			return fmt.Errorf("started %d times, version %s, restart first: %v", c.m.started()-boots, s.Version, s.RestartFirst)
		}
		return nil
	})
	return err
}

// comesBack brings the box a version that cannot hold, and waits until it has left it
// again.
func (c *chain) comesBack(ctx context.Context, r *root) error {
	if r.file == "" {
		if err := r.build(ctx, c.board); err != nil {
			return err
		}
	}
	bundle, _, err := c.p.bundle(c.p.manifest(r), r, c.p.key)
	if err != nil {
		return err
	}
	if c.o, err = c.m.admin(ctx); err != nil {
		return err
	}
	before := c.m.started()
	if err := c.o.upload(ctx, bundle); err != nil {
		return err
	}
	reason, err := c.m.awaitReturn(ctx, c.version, r.version)
	if err != nil {
		return err
	}
	// Into the trial and out of it; a root that cannot be mounted leaves init in the old one.
	if n := c.m.started() - before; n < 1 || n > 2 {
		return fmt.Errorf("the box was started %d times", n)
	}
	fmt.Printf("%s: back on %s: %s\n", c.board.name, c.version, reason)
	return c.awaitMeters(ctx)
}
