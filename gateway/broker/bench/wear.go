package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A day of a house, and what it costs the card.
//
// What a broker writes depends on the pace: Lintel puts into one group what comes
// within its group times (up to a second for what nobody waits for, and 3 s for retained messages of QoS 0),
// the kernel writes for mochi every few seconds what that has changed meanwhile,
// and mosquitto writes everything every half an hour. So a day cannot simply be
// played faster. It is put together instead:
//
//   - What reaches the device while all are there, and while one listener is away,
//     is measured at the pace of the house, for some minutes each, less the tables
//     of Badger that happened to be written then. Hours are multiples of that.
//   - Badger's tables are written when there is enough for one, which a few minutes
//     do not show. They depend on how much there is to write and not on when: they
//     are measured at wearPace times the pace of the house.
//   - There the listener is away for the whole two hours, so that its coming back is
//     that of the day.
//   - For mosquitto all is measured there, with its interval divided by wearPace:
//     it has no other.
//
// Before each reading of the counters the kernel writes what it kept back. At the
// house's pace that makes one writing more of the nine or so that there are for
// mochi.
//
// In the end the broker is killed while the house is at work, and after that
// again with its plug pulled: see disk.pull. A message counts as lost if it
// was acknowledged and one of two listeners with sessions, one of them
// away, does not get it after the restart.
const (
	wearPace  = 40
	dayAll    = 22 * time.Hour // all are there
	dayAway   = 2 * time.Hour  // one is away
	warmUp    = 5 * time.Second
	endOfTest = 5 * time.Second // how long the house is at work before the end comes
)

// wearTimes are lengths in this world.
type wearTimes struct{ all, away, fastAll, fastAway time.Duration }

var (
	wearFull  = wearTimes{4 * time.Minute, 3 * time.Minute, 90 * time.Second, dayAway / wearPace}
	wearShort = wearTimes{40 * time.Second, 30 * time.Second, 45 * time.Second, 45 * time.Second}
)

// stretch is what was measured while a house was at work.
type stretch struct {
	use              // without the tables
	tables   float64 // bytes of tables of Badger
	house    time.Duration
	messages int
}

// per is the stretch extrapolated to so much time of the house.
func (s stretch) per(d time.Duration) use {
	return s.use.times(float64(d) / float64(max(s.house, 1)))
}

// wear is a house at a broker.
type wear struct {
	broker string
	mix    mix

	all, away, back         stretch // at the house's pace, but for back and mosquitto
	fastAll, fastAway       stretch
	acked, lost             int // in the whole play
	killAcked, killLost     int
	pulledAcked, pulledLost int
	killError, pulledError  error // it did not come up again
	failed                  error // it could not be measured
}

// tables is what Badger writes of its tables in a day.
func (w *wear) tables() float64 {
	return w.fastAll.tables*float64(dayAll)/float64(max(w.fastAll.house, 1)) +
		w.fastAway.tables*float64(dayAway)/float64(max(w.fastAway.house, 1)) + w.back.tables
}

// day is what the disk is told to do in a day.
func (w *wear) day() use {
	return w.all.per(dayAll).plus(w.away.per(dayAway)).plus(w.back.use).plus(use{bytes: w.tables()})
}

func runWear(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench wear", flag.ContinueOnError)
	short := flags.Bool("short", false, "four minutes instead of a quarter of an hour; the figures are rough")
	field := []broker{lintelBroker, mosquittoDisk(mosquittoAutosave / wearPace), mochiBadger}
	var chosenMixes []mix
	var chosenBrokers []string
	flags.Func("mix", "`name` of a mix; may be repeated (default all)", func(name string) error {
		i := slices.IndexFunc(mixes, func(m mix) bool { return m.name == name })
		if i < 0 {
			return errors.New("the mixes are qos1, qos1-retained and qos0")
		}
		chosenMixes = append(chosenMixes, mixes[i])
		return nil
	})
	flags.Func("broker", "`name` of a broker; may be repeated (default all)", func(name string) error {
		if !slices.ContainsFunc(field, func(b broker) bool { return b.name == name }) {
			return errors.New("the brokers are lintel, mosquitto-disk and mochi-badger")
		}
		chosenBrokers = append(chosenBrokers, name)
		return nil
	})
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected %q", flags.Arg(0))
	}
	if chosenMixes == nil {
		chosenMixes = mixes
	}
	if chosenBrokers != nil {
		field = slices.DeleteFunc(field, func(b broker) bool { return !slices.Contains(chosenBrokers, b.name) })
	}
	if os.Getuid() != 0 {
		return errNotRoot
	}
	times := wearFull
	if *short {
		times = wearShort
	}
	place, err := prepare(ctx, field)
	if err != nil {
		return err
	}
	defer os.RemoveAll(place.scratch)

	var all []*wear
	for _, m := range chosenMixes {
		for _, b := range field {
			all = append(all, &wear{broker: b.name, mix: m})
		}
	}
	// All brokers have the same house at the same time, each on a disk of its own.
	stage := func(what string, one func(ctx context.Context, w *wear, b broker) error) {
		fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), what)
		var playing sync.WaitGroup
		for i, w := range all {
			playing.Go(func() {
				if w.failed == nil {
					w.failed = one(ctx, w, field[i%len(field)])
				}
			})
		}
		playing.Wait()
	}
	stage("at the pace of the house", func(ctx context.Context, w *wear, b broker) error {
		if b.name == "mosquitto-disk" {
			return nil
		}
		return place.calmDay(ctx, w, b, times)
	})
	stage(fmt.Sprintf("%d times as fast", wearPace), func(ctx context.Context, w *wear, b broker) error {
		return place.fastDay(ctx, w, b, times)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fmt.Printf("`go run ./gateway/broker/bench%s`, %s, %s\n\n", strings.Join(append([]string{" wear"}, args...), " "), time.Now().Format(time.DateOnly), place.versions())
	printWear(os.Stdout, all)
	for _, w := range all {
		if w.broker == "lintel" && w.failed != nil {
			return fmt.Errorf("%s, lintel: %w", w.mix.name, w.failed)
		}
		if w.broker == "lintel" && (w.lost+w.killLost+w.pulledLost > 0 || w.killError != nil || w.pulledError != nil) {
			return errors.New("lintel lost what it had acknowledged: see the table")
		}
	}
	return nil
}

// calmDay measures at the pace of the house.
func (p *place) calmDay(ctx context.Context, w *wear, b broker, times wearTimes) error {
	l, err := p.moveIn(ctx, b, w.mix, 1)
	if err != nil {
		return err
	}
	defer l.moveOut()
	if w.all, err = l.measure(func() error { return l.play(ctx, times.all) }); err != nil {
		return err
	}
	l.leave(leaving)
	if err := l.play(ctx, time.Second); err != nil { // its going is no part of the hours
		return err
	}
	w.away, err = l.measure(func() error { return l.play(ctx, times.away) })
	return err
}

// fastDay measures what does not depend on the pace, and what is lost.
func (p *place) fastDay(ctx context.Context, w *wear, b broker, times wearTimes) error {
	l, err := p.moveIn(ctx, b, w.mix, wearPace)
	if err != nil {
		return err
	}
	defer l.moveOut()
	if w.fastAll, err = l.measure(func() error { return l.play(ctx, times.fastAll) }); err != nil {
		return err
	}
	l.leave(leaving)
	if w.fastAway, err = l.measure(func() error { return l.play(ctx, times.fastAway) }); err != nil {
		return err
	}
	if w.back, err = l.measure(func() error {
		if err := l.arrive(leaving); err != nil {
			return err
		}
		return l.complete(ctx, nil)
	}); err != nil {
		return err
	}
	w.acked, w.lost = l.account(nil)
	if b.name == "mosquitto-disk" {
		w.all, w.away = w.fastAll, w.fastAway
	}
	w.killAcked, w.killLost, w.killError = l.end(ctx, func() error {
		l.server.kill()
		return nil
	})
	if w.killError != nil {
		return ctx.Err()
	}
	w.pulledAcked, w.pulledLost, w.pulledError = l.end(ctx, func() error {
		l.hear(false)
		if err := l.disk.pull(); err != nil {
			return err
		}
		l.server.kill()
		if err := l.disk.unmount(); err != nil {
			return err
		}
		return l.disk.mount()
	})
	return ctx.Err()
}

// lived is a house at a broker on a disk.
type lived struct {
	*house
	disk   *disk
	server *server
	tables *tables
}

// moveIn starts a broker on a disk of its own and connects a house to it.
func (p *place) moveIn(ctx context.Context, b broker, m mix, pace float64) (_ *lived, err error) {
	l := &lived{}
	if l.disk, err = newDisk(p.scratch, fmt.Sprintf("%s-%s-%.0f", b.name, m.name, pace)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.moveOut()
		}
	}()
	if l.server, err = p.start(ctx, b, l.disk.folder); err != nil {
		return nil, err
	}
	l.tables = watchTables(l.server.dir)
	l.house = newHouse(l.server.tcp, m, pace)
	if err := l.connect(); err != nil {
		return nil, err
	}
	return l, l.play(ctx, warmUp)
}

func (l *lived) moveOut() {
	if l.house != nil {
		l.hangUp()
	}
	if l.tables != nil {
		l.tables.end()
	}
	if l.server != nil {
		l.server.kill() // nobody needs what it would write in the end
	}
	l.disk.close()
}

// measure measures what happens while the house does something.
func (l *lived) measure(do func() error) (s stretch, err error) {
	before, err := l.disk.use()
	if err != nil {
		return s, err
	}
	tables, clock, messages := l.tables.bytes(), l.clock, l.messages
	if err := do(); err != nil {
		return s, err
	}
	after, err := l.disk.use()
	if err != nil {
		return s, err
	}
	s = stretch{tables: l.tables.bytes() - tables, house: l.clock - clock, messages: l.messages - messages}
	s.use = after.minus(before).minus(use{bytes: s.tables})
	return s, nil
}

// end has the house at work, with one listener away, when the broker comes to its
// end, starts it again and counts. An error is that it does not come back.
func (l *lived) end(ctx context.Context, stop func() error) (acknowledged, lost int, err error) {
	if l.listeners[leaving] != nil {
		l.leave(leaving)
	}
	from := l.mark()
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return l.play(working, time.Hour) }) // until it cannot any more
	timer := time.NewTimer(endOfTest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	err = stop()
	cancel()
	g.Wait()
	l.hangUp()
	if err != nil {
		return 0, 0, err
	}
	l.hear(true)
	for _, d := range l.devices {
		clear(d.pending)
	}
	if err := l.server.run(ctx); err != nil {
		acknowledged, _ := l.account(from)
		return acknowledged, acknowledged, fmt.Errorf("it does not start again: %w", err)
	}
	if err := l.connect(); err != nil {
		return 0, 0, err
	}
	if err := l.complete(ctx, from); err != nil {
		return 0, 0, err
	}
	acknowledged, lost = l.account(from)
	return acknowledged, lost, nil
}
