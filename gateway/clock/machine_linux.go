package clock

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is the clock of this machine. Setting it takes root.
type Machine struct{}

// Now returns what the clock shows.
func (Machine) Now() time.Time { return time.Now().Round(0) }

// Step sets the clock forward, or back.
func (Machine) Step(by time.Duration) error {
	t := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &t); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// Slew has the clock go faster or slower, by 1 in 2000, until it has made up for that.
func (Machine) Slew(by time.Duration) error {
	if _, err := unix.Adjtimex(&unix.Timex{Modes: adjOffsetSingleshot, Offset: by.Microseconds()}); err != nil {
		return fmt.Errorf("slew the clock: %w", err)
	}
	return nil
}

// adjOffsetSingleshot is ADJ_OFFSET_SINGLESHOT of adjtimex(2): what adjtime(3) does.
const adjOffsetSingleshot = 0x8001

// SetSynchronised tells the kernel that the clock is off by no more than that. The kernel has
// the error grow by 500 µs each second, and at 16 s says that the clock is not synchronised.
func (Machine) SetSynchronised(within time.Duration) error {
	t := unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR | unix.ADJ_ESTERROR,
		Maxerror: within.Microseconds(), Esterror: within.Microseconds()}
	if _, err := unix.Adjtimex(&t); err != nil {
		return fmt.Errorf("tell the kernel that the clock is right: %w", err)
	}
	return nil
}

// RTC is a clock with a battery.
type RTC struct{ Path string } // such as /dev/rtc0

// Read returns what it shows.
func (r RTC) Read() (time.Time, error) {
	f, err := os.Open(r.Path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	t, err := unix.IoctlGetRTCTime(int(f.Fd()))
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", r.Path, err)
	}
	return time.Date(int(t.Year)+1900, time.Month(t.Mon+1), int(t.Mday), int(t.Hour), int(t.Min), int(t.Sec), 0, time.UTC), nil
}

// Write sets it.
func (r RTC) Write(to time.Time) error {
	f, err := os.Open(r.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	to = to.UTC()
	err = unix.IoctlSetRTCTime(int(f.Fd()), &unix.RTCTime{Year: int32(to.Year() - 1900), Mon: int32(to.Month() - 1), Mday: int32(to.Day()),
		Hour: int32(to.Hour()), Min: int32(to.Minute()), Sec: int32(to.Second())})
	if err != nil {
		return fmt.Errorf("%s: %w", r.Path, err)
	}
	return nil
}
