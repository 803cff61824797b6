package main

import (
	"errors"
	"time"

	"lintel/gateway/update"
)

// pace is how long guard waits for what.
type pace struct {
	tick     time.Duration // between two looks
	probe    time.Duration // between two questions to the broker
	answer   time.Duration // for its answer
	start    time.Duration // for the first word of lintel after its start
	starting time.Duration // for a lintel that says that it is still starting
	silence  time.Duration // for a broker that has answered before
	failures int           // questions without an answer that have to come together besides
	end      time.Duration // between SIGTERM and SIGKILL
	absence  time.Duration // for a lintel that nobody starts
	steady   time.Duration // after which a broker that answers is well again

	loop       int           // starts of lintel that are a loop of crashes
	loopWithin time.Duration // if they come in that time

	rescue  time.Duration // the page is there before lintel is tried again
	settled time.Duration // of the machine running, after which its restarts are forgotten
	reboots int           // restarts of the machine without that
	late    time.Duration // after the deadline of a trial, which lintel itself keeps
}

var usualPace = pace{
	tick: 500 * time.Millisecond, probe: 15 * time.Second, answer: 10 * time.Second,
	start: 3 * time.Minute, starting: 40 * time.Minute, silence: 2 * time.Minute, failures: 5,
	end: 30 * time.Second, absence: 2 * time.Minute, steady: 2 * time.Minute,
	loop: 6, loopWithin: 10 * time.Minute,
	rescue: 15 * time.Minute, settled: time.Hour, reboots: 3, late: time.Minute,
}

// process is a process, as long as it lives.
type process struct {
	pid     int
	started uint64 // in ticks of the kernel: a number that is used again has another
}

// watch keeps in mind what lintel did. It reads no clock.
type watch struct {
	pace
	process  process   // lintel's; zero: there is none
	since    time.Time // of that
	starts   []time.Time
	alive    time.Time // it answered last
	well     time.Time // since when it answers; zero: it does not
	starting time.Time // it said so last
	failures int       // questions since then
	restarts int       // of lintel since it was well
	term     time.Time // it was told to end
}

// verdict is what is to be done.
type verdict int

const (
	wait    verdict = iota
	endIt           // tell lintel to end
	killIt          // it has not
	startIt         // nobody does
	reboot          // restarting lintel has not helped
	crashes         // it ends again and again
)

// see takes note of which process is lintel.
func (w *watch) see(now time.Time, p process) {
	if p == w.process && !w.since.IsZero() {
		return
	}
	w.process, w.since = p, now
	w.alive, w.well, w.starting, w.term, w.failures = time.Time{}, time.Time{}, time.Time{}, time.Time{}, 0
	if p != (process{}) {
		if w.starts = append(w.starts, now); len(w.starts) > w.loop {
			w.starts = w.starts[1:]
		}
	}
}

// hear takes note of an answer of the broker.
func (w *watch) hear(now time.Time, err error) {
	switch {
	case err == nil:
		if w.well.IsZero() {
			w.well = now
		}
		w.alive, w.failures = now, 0
		if now.Sub(w.well) >= w.steady {
			w.restarts, w.starts = 0, nil
		}
	case errors.Is(err, update.ErrStarting) && w.alive.IsZero():
		w.starting, w.failures = now, 0
	default:
		w.failures++
		w.well = time.Time{}
	}
}

// judge says what is to be done.
func (w *watch) judge(now time.Time) verdict {
	if len(w.starts) >= w.loop && now.Sub(w.starts[0]) <= w.loopWithin {
		return crashes
	}
	if w.process == (process{}) {
		switch {
		case now.Sub(w.since) < w.absence:
			return wait
		case w.restarts > 0:
			return reboot
		}
		return startIt
	}
	if !w.term.IsZero() {
		if now.Sub(w.term) >= w.end {
			return killIt
		}
		return wait
	}
	var silent bool
	switch {
	case !w.alive.IsZero():
		silent = now.Sub(w.alive) >= w.silence
	case !w.starting.IsZero():
		silent = now.Sub(w.since) >= w.pace.starting || now.Sub(w.starting) >= w.start
	default:
		silent = now.Sub(w.since) >= w.start
	}
	// A machine that is so busy that guard itself does not come to ask is no reason.
	stuck := w.alive.IsZero() && !w.starting.IsZero() && now.Sub(w.since) >= w.pace.starting
	switch {
	case !silent || w.failures < w.pace.failures && !stuck:
		return wait
	case w.restarts > 0:
		return reboot
	}
	return endIt
}
