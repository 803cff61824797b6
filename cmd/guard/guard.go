package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"syscall"
	"time"

	"lintel/gateway/update"
	"lintel/gokrazy/supervisor"
	"lintel/hardware"
)

// guard is the program.
type guard struct {
	release update.Release
	machine *update.Machine // nil: it runs from no image; then lintel is not asked whether it works
	root    string          // of the machine
	data    string
	program string // lintel's file
	listen  string // address of the page
	proc    string // /proc
	parent  int    // who starts lintel: the same as started this
	init    supervisor.Init
	pace    pace
	reboot  func(context.Context) error // of the machine
	log     *slog.Logger

	watch  watch
	limit  limit
	probed time.Time
	looked time.Time // at whether a trial is over
	heard  string    // of the broker last
}

// run guards until ctx ends.
func (g *guard) run(ctx context.Context) {
	g.watch.pace = g.pace
	g.limit = newLimit(g.data, g.pace.reboots)
	started := time.Now()
	if g.machine != nil && g.machine.Running != g.machine.Booted {
		go g.feed(ctx)
	}
	tick := time.NewTicker(g.pace.tick)
	defer tick.Stop()
	forgotten := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !forgotten && time.Since(started) >= g.pace.settled {
			g.limit.forget()
			forgotten = true
		}
		g.safely("look", func() { g.look(ctx) })
	}
}

// feed feeds the watchdog of the hardware where init does not, as long as nobody else does.
func (g *guard) feed(ctx context.Context) {
	for ctx.Err() == nil {
		g.safely("feed", func() {
			if err := hardware.FeedWatchdog(ctx, g.root); err != nil {
				g.log.Warn("the watchdog is not fed", "err", err)
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// safely does something that must not end the program, whatever happens.
func (g *guard) safely(what string, do func()) {
	defer func() {
		if r := recover(); r != nil {
			g.log.Error("guard goes on after a mistake in itself", "in", what, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	do()
}

// look looks once and does what is to be done.
func (g *guard) look(ctx context.Context) {
	g.endTrial(ctx)
	now := time.Now()
	g.watch.see(now, findProcess(g.proc, g.program, g.parent))
	if g.machine != nil && g.watch.process != (process{}) && now.Sub(g.probed) >= g.pace.probe {
		g.probed = now
		asked, cancel := context.WithTimeout(ctx, g.pace.answer)
		err := update.Probe(asked, g.data)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); text != g.heard { // <nil> is that it answers
			g.heard = text
			g.log.Info("the broker was asked", "err", err)
		}
		now = time.Now()
		g.watch.hear(now, err)
	}
	pid := g.watch.process.pid
	switch g.watch.judge(now) {
	case endIt:
		g.log.Warn("the broker stays silent: lintel is told to end", "pid", pid)
		g.watch.term, g.watch.restarts = now, g.watch.restarts+1
		g.kill(syscall.SIGTERM)
	case killIt:
		g.log.Warn("lintel does not end: it is killed", "pid", pid)
		g.watch.term = now
		g.kill(syscall.SIGKILL)
	case startIt:
		g.log.Warn("lintel does not run: it is started")
		g.watch.restarts++
		g.watch.since = now
		if err := g.init.Restart(ctx, g.program); err != nil {
			g.log.Warn("lintel cannot be started", "err", err)
		}
	case reboot:
		g.restart(ctx, "The broker stayed silent, and starting Lintel again did not help.")
	case crashes:
		// A trial is left at once; after one that was kept nothing can be installed before a restart.
		if g.machine != nil && g.machine.Running != g.machine.Booted {
			g.restart(ctx, "Lintel ended again and again soon after its start.")
			return
		}
		g.rescue(ctx, fmt.Sprintf("Lintel was started %d times in a short time and ended each time.", len(g.watch.starts)))
	}
}

// kill sends a signal to lintel if it still is the process that was judged.
func (g *guard) kill(s syscall.Signal) {
	if p := findProcess(g.proc, g.program, g.parent); p == g.watch.process && p.pid > 1 {
		if err := syscall.Kill(p.pid, s); err != nil {
			g.log.Warn("lintel gets no signal", "signal", s, "err", err)
		}
	}
}

// onTrial says whether this is a version on trial.
func (g *guard) onTrial() bool {
	if g.machine == nil || g.machine.Running == g.machine.Booted {
		return false
	}
	s, _, err := g.machine.Look(g.release)
	return err == nil && s == update.TrialStart
}

// trialLook is how often guard looks whether a trial is over.
const trialLook = 10 * time.Second

// endTrial restarts the machine, which is the return to the version before, when a trial
// was not kept in time. It is the device of "/" that tells whether there is one. There is
// one return for each trial, and no trial that nobody asked for: it needs no other limit.
func (g *guard) endTrial(ctx context.Context) {
	m := g.machine
	if m == nil || m.Running == m.Booted || time.Since(g.looked) < min(trialLook, g.pace.late) {
		return
	}
	g.looked = time.Now()
	uptime, err := m.Uptime()
	if err != nil {
		g.log.Warn("it is not known for how long the machine runs", "err", err)
		return
	}
	s, record, err := m.Look(g.release)
	patience := update.MaxPatience
	switch {
	case err != nil:
		g.log.Warn("it is not known whether this is a trial", "err", err)
	case s == update.TrialStart:
		patience = time.Duration(record.Patience) * time.Second
	case s == update.ForeignTrial:
		patience = update.MinPatience // lintel goes back at its start
	default:
		return
	}
	if time.Duration(uptime*float64(time.Second)) < patience+g.pace.late {
		return
	}
	g.log.Warn("the trial was not kept in time: back to the version before")
	if s == update.TrialStart && record.Reason == "" {
		if err := m.Return(g.release, fmt.Sprintf("Version %s did not say in %v that it is healthy.", record.Version, patience)); err != nil {
			g.log.Warn("why it goes back is not kept", "err", err)
		}
	}
	if err := g.reboot(ctx); err != nil && ctx.Err() == nil {
		g.log.Error("the machine was not restarted", "err", err)
	}
}

// restart restarts the machine; if it was done often enough, guard shows its page.
func (g *guard) restart(ctx context.Context, why string) {
	if g.onTrial() {
		if err := g.machine.Return(g.release, why); err != nil {
			g.log.Warn("why it goes back is not kept", "err", err)
		}
	} else if err := g.limit.take(); err != nil {
		g.log.Error("the machine is not restarted", "err", err)
		g.rescue(ctx, why+" Restarting the box did not help either.")
		return
	}
	g.log.Warn("the machine is restarted", "why", why)
	if err := g.reboot(ctx); err != nil && ctx.Err() == nil {
		g.log.Error("the machine was not restarted", "err", err)
		g.rescue(ctx, why+" The box could not be restarted.")
	}
}
