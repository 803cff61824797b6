package update

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// try has this version, which is on trial, prove itself: it is kept as soon as the house is
// healthy and stays so for a while; at the end of its time if what is away can be done without;
// else the version before comes back.
func (u *Updater) try(ctx context.Context, record *Record) {
	u.set(func(s *Status) { s.Phase, s.Percentage, s.Installing = OnTrial, -1, record.Version })
	end := time.Duration(record.Patience)*time.Second - guardMargin
	end = max(end, time.Duration(record.Patience)*time.Second/2)
	var healthy time.Time // since when; zero: it is not
	problem := ""         // why it could not be kept
	for ctx.Err() == nil {
		verdict := u.o.House.Judge(ctx, record.Alive)
		left := end - u.uptime()
		u.set(func(s *Status) {
			s.Trial = &Trial{SecondsLeft: int64(max(left, 0) / time.Second), Missing: verdict.Missing, Waiting: verdict.Waiting, Back: verdict.Back}
		})
		switch {
		case len(verdict.Missing)+len(verdict.Waiting) > 0:
			healthy = time.Time{}
		case healthy.IsZero():
			healthy = time.Now()
		}
		kept := len(verdict.Missing) == 0 && (left <= 0 || !healthy.IsZero() && time.Since(healthy) >= settleTime)
		if kept {
			u.enter(Committing)
			err := u.o.Machine.Commit(ctx, u.o.Release, u.progress(record.Root.Size))
			if err == nil {
				u.log.Info("this version is kept", "missing", strings.Join(verdict.Waiting, " "))
				u.set(func(s *Status) {
					s.Phase, s.Percentage, s.Installing, s.Trial, s.RestartFirst = Idle, -1, "", nil, true
				})
				return
			}
			u.log.Error("this version could not be kept", "err", err)
			problem = fmt.Sprintf("It could not be made the version to start: %v.", err)
			u.enter(OnTrial)
		}
		if left <= 0 {
			u.leave(ctx, strings.Join(append(verdict.Missing, problem), " "))
			return
		}
		sleep(ctx, judgeEvery)
	}
}

// leave goes back to the version before.
func (u *Updater) leave(ctx context.Context, reason string) {
	if ctx.Err() != nil {
		return
	}
	u.log.Error("this version is left", "reason", reason)
	if err := u.o.Machine.Return(u.o.Release, strings.TrimSpace(reason)); err != nil {
		u.log.Error("the reason could not be written down", "err", err)
	}
	u.enter(Restarting)
	if err := u.o.Machine.Reboot(ctx); err != nil && ctx.Err() == nil {
		u.log.Error("the box does not restart", "err", err) // guard does it
	}
}

// uptime is for how long the machine has been running.
func (u *Updater) uptime() time.Duration {
	seconds, err := u.o.Machine.Uptime()
	if err != nil {
		u.log.Error("the time since the start is not known", "err", err)
		return 0 // guard goes by its own
	}
	return time.Duration(seconds * float64(time.Second))
}
