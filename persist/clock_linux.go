package persist

import (
	"crypto/rand"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// timeError is TIME_ERROR of adjtimex(2): the clock is not synchronised.
const timeError = 5

// systemClock returns the reading of the machine. CLOCK_MONOTONIC is what Go's own
// monotonic time is, and stands still with it while the machine is suspended.
//
// NTP clients synchronise the kernel, which says so; that of package clock does too.
func systemClock() func() Reading {
	id := rand.Text()
	if text, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		id = strings.TrimSpace(string(text))
	}
	return func() Reading {
		r := Reading{Boot: id}
		// Both clocks at once, or nearly: who waited for a processor between
		// them would take that for a jump.
		within := time.Hour
		for range 10 {
			before, wall, after := gettime(unix.CLOCK_MONOTONIC), gettime(unix.CLOCK_REALTIME), gettime(unix.CLOCK_MONOTONIC)
			if d := after - before; d < within {
				within, r.Up, r.Wall = d, before+d/2, time.Unix(0, int64(wall))
			}
			if within < time.Millisecond {
				break
			}
		}
		state, err := unix.Adjtimex(new(unix.Timex))
		r.Sure = err == nil && state != timeError || agrees("/sys/class/rtc/rtc0/since_epoch", r.Wall)
		return r
	}
}

func gettime(clock int32) time.Duration {
	var t unix.Timespec
	unix.ClockGettime(clock, &t)
	return time.Duration(t.Nano())
}

// agrees reports whether a clock with a battery, whose file this is, shows the time
// too. It counts whole seconds.
func agrees(file string, wall time.Time) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return err == nil && wall.Sub(time.Unix(seconds, 0)).Abs() < 5*time.Second
}
