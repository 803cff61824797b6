package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"lintel/gateway/update"
)

// TestWatch tells stories of lintel, second by second.
func TestWatch(t *testing.T) {
	silent := errors.New("silent")
	p1, p2 := process{100, 1}, process{101, 2}
	for name, test := range map[string]struct {
		life func(second int) (p process, ask bool, answer error)
		for_ int // seconds
		want string
	}{
		"well": {func(s int) (process, bool, error) { return p1, s%15 == 0, nil }, 90000, ""},
		"starts slowly": {func(s int) (process, bool, error) {
			switch {
			case s < 170:
				return p1, s%15 == 0, silent
			}
			return p1, s%15 == 0, nil
		}, 4000, ""},
		"checks its store for half an hour": {func(s int) (process, bool, error) {
			if s < 1800 {
				return p1, s%15 == 0, update.ErrStarting
			}
			return p1, s%15 == 0, nil
		}, 4000, ""},
		"starts for ever": {func(s int) (process, bool, error) { return p1, s%15 == 0, update.ErrStarting }, 2500, "2400 end, 2430 kill, 2460 kill, 2490 kill"},
		"never answers":   {func(s int) (process, bool, error) { return p1, s%15 == 0, silent }, 230, "180 end, 210 kill"},
		"ends when told, and never answers again": {func(s int) (process, bool, error) {
			if s < 182 {
				return p1, s%15 == 0, silent
			}
			return p2, s%15 == 0, silent
		}, 364, "180 end, 362 reboot, 363 reboot"},
		"falls silent": {func(s int) (process, bool, error) {
			if s > 600 {
				return p1, s%15 == 0, silent
			}
			return p1, s%15 == 0, nil
		}, 725, "720 end"},
		"hiccups": {func(s int) (process, bool, error) {
			if s%115 < 100 && s > 100 {
				return p1, s%15 == 0, silent
			}
			return p1, true, nil
		}, 4000, ""},
		"says unavailable for ever, once it was well": {func(s int) (process, bool, error) {
			if s > 600 {
				return p1, s%15 == 0, update.ErrStarting
			}
			return p1, s%15 == 0, nil
		}, 725, "720 end"},
		"guard does not come to ask": {func(s int) (process, bool, error) {
			if s > 600 {
				return p1, s%200 == 0, silent
			}
			return p1, s%15 == 0, nil
		}, 1300, ""},
		"comes back after a restart, falls silent an hour later": {func(s int) (process, bool, error) {
			switch {
			case s < 185:
				return p1, s%15 == 0, silent
			case s > 3600:
				return p2, s%15 == 0, silent
			}
			return p2, s%15 == 0, nil
		}, 3721, "180 end, 3720 end"},
		"nobody starts it": {func(s int) (process, bool, error) { return process{}, false, nil }, 121, "120 start"},
		"crashes": {func(s int) (process, bool, error) {
			if s%7 == 6 {
				return process{}, false, nil
			}
			return process{100 + s/7, uint64(s)/7 + 1}, s%15 == 0, silent
		}, 37, "35 crashes, 36 crashes"},
		"crashes when it has served for a minute": {func(s int) (process, bool, error) {
			return process{100 + s/60, uint64(s)/60 + 1}, s%15 == 0, nil
		}, 301, "300 crashes"},
		"is restarted by a person now and then": {func(s int) (process, bool, error) {
			return process{100 + s/200, uint64(s)/200 + 1}, s%15 == 0, nil
		}, 8000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch{pace: usualPace}
			zero := time.Now()
			got := ""
			for s := range test.for_ {
				now := zero.Add(time.Duration(s) * time.Second)
				p, ask, answer := test.life(s)
				w.see(now, p)
				if ask {
					w.hear(now, answer)
				}
				v := w.judge(now)
				if v == wait {
					continue
				}
				if got != "" {
					got += ", "
				}
				got += fmt.Sprintf("%d %s", s, map[verdict]string{endIt: "end", killIt: "kill", startIt: "start", reboot: "reboot", crashes: "crashes"}[v])
				switch v { // as guard does
				case endIt:
					w.term, w.restarts = now, w.restarts+1
				case killIt:
					w.term = now
				case startIt:
					w.restarts, w.since = w.restarts+1, now
				}
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
