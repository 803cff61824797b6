package update

import (
	"fmt"
	"strings"
	"time"
)

// Daytime is a part of each day, in local time. From after To goes over midnight.
type Daytime struct{ From, To time.Duration } // since midnight

// String returns it as 03:00-05:00.
func (d Daytime) String() string {
	clock := func(t time.Duration) string { return fmt.Sprintf("%02d:%02d", t/time.Hour, t%time.Hour/time.Minute) }
	return clock(d.From) + "-" + clock(d.To)
}

// MarshalText returns it as String does.
func (d Daytime) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what String returns.
func (d *Daytime) UnmarshalText(text []byte) error {
	from, to, _ := strings.Cut(string(text), "-")
	a, err1 := time.Parse("15:04", strings.TrimSpace(from))
	b, err2 := time.Parse("15:04", strings.TrimSpace(to))
	if err1 != nil || err2 != nil || a.Equal(b) {
		return fmt.Errorf("%q is no part of a day; right is one such as \"03:00-05:00\"", text)
	}
	midnight := a.Truncate(24 * time.Hour)
	d.From, d.To = a.Sub(midnight), b.Sub(midnight)
	return nil
}

// Holds reports whether t is in it.
func (d Daytime) Holds(t time.Time) bool {
	hour, minute, second := t.Clock() // not the time since midnight: days of a change of the clock have 23 and 25 hours
	now := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if d.From < d.To {
		return d.From <= now && now < d.To
	}
	return now >= d.From || now < d.To
}
