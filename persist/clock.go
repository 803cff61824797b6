package persist

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// # Time over a restart
//
// A box without a battery starts in 1970, or at some moment of the past that was
// saved when it was shut down, and learns the time when the network comes; then
// its wall clock jumps, and a wrong answer makes it jump again. So whatever has
// an end is stored in the time of the boot that stored it: the number of the
// boot, how long it had been up, and how long it was to the end then. As long as
// the machine is up that is exact, however often the process starts and whatever
// the wall clock does.
//
// Over a restart of the machine two times add up: those that the boots were up,
// which the store knows to its last commit, and those between, when the machine
// was off. These only wall clocks can tell: of each boot the store keeps when it
// began by the wall clock, once that is known to be right. Until then the time
// off counts nothing, so that nothing ends too early. What is handed out is
// provisional then (mqtt.Message.Provisional, Session.Provisional), and LookAtClock
// returns the time that was left out when the clock gets right, once: no later jump
// changes anything in this process.
//
// The wall clock is known to be right when it is between 2026 and 2100 and
//   - somebody vouches for it: see Reading.Sure; or
//   - it was set, while the store looked on, from one such time to another: only a
//     network does that, a start sets it from 1970; or
//   - it is later, by more than a minute, than all the time that the store knows of
//     adds up to. A clock that goes on where it was when the box was shut down has
//     missed the time off, and is not.
//
// In the last two cases it must also have gone on without a jump from one look to
// the next. If it is set again later the boot began at the latest time of all: an
// error to that side makes the time off shorter, and nothing ends too early.

// Reading is what the clocks of the machine say.
type Reading struct {
	Boot string        // which start of the machine this is
	Up   time.Duration // since then, on a clock that cannot be set
	Wall time.Time
	Sure bool // the kernel is synchronised, or a clock with a battery says the same
}

// boot is one start of the machine, as far as the store took part in it.
type boot struct {
	number uint64
	began  time.Duration // since 1970 by the right wall clock; 0: not known
	first  time.Duration // how long it had been up when the store was opened first
	up     time.Duration // and at the last commit; of the present boot it is not set
}

// maxBoots is how many boots the store remembers. What is older than the oldest of
// them counts from where that begins.
const maxBoots = 32

// Bounds of what is read from the store: sums of them fit into a Duration.
const (
	maxWall = 4_102_444_800_000 // ms, the end of 2099
	maxUp   = 1 << 39           // ms, 17 years
	maxAgo  = maxTimeLeft + maxUp*time.Millisecond
)

// farAhead is how much later than expected a clock must be to be believed for that.
const farAhead = time.Minute

// jump is the least change between two clocks that does not come of reading them.
const jump = 5 * time.Millisecond

// clock counts the time of a store. Its methods may be called from any goroutine.
type clock struct {
	read   func() Reading
	id     string        // of this boot
	number uint64        // of this boot
	opened time.Time     // when the store was opened, and
	up     time.Duration // how long this boot was up then
	last   int           // the newest earlier boot of which is known when it began; -1: none
	passed time.Duration // since last began, when this one did, without time off

	mu    sync.Mutex
	boots []boot          // oldest first, this one last
	base  []time.Duration // when they began, counted from the beginning of this one
	known bool            // when this one began
	found bool            // the latest look found a plausible time, by which
	began time.Duration   // this boot began then
	set   bool            // the clock was set from one plausible time to another
}

// newClock goes on after the boots that the store remembers, the last of which had
// this id and was up for so long at the last commit. No boot in the store has a
// higher number than highest.
func newClock(read func() Reading, id string, boots []boot, up time.Duration, highest uint64) *clock {
	r := read()
	c := &clock{read: read, id: r.Boot, opened: time.Now(), up: r.Up, boots: boots, last: -1}
	n := len(boots)
	if n > 0 && (boots[n-1].number != highest || id == r.Boot && r.Up < up) {
		n = 0 // that cannot be: nothing is known then, and all counts from now
	}
	if n == 0 || id != r.Boot {
		if n > 0 {
			boots[n-1].up = up
		}
		c.boots = append(boots[:n], boot{number: highest + 1, first: r.Up})
		c.boots = c.boots[max(0, len(c.boots)-maxBoots):]
	}
	this := len(c.boots) - 1
	c.number, c.known = c.boots[this].number, c.boots[this].began != 0
	for i := this - 1; i >= 0 && c.last < 0; i-- {
		c.passed = min(c.passed+c.boots[i].up, maxAgo)
		if c.boots[i].began != 0 {
			c.last = i
		}
	}
	c.count()
	c.look()
	return c
}

// count sets when each boot began: before the next one by as long as it was up, and
// by what the wall clocks say where both are known. Both are times that have passed
// for sure, so that the longer one counts.
func (c *clock) count() {
	c.base = make([]time.Duration, len(c.boots))
	known := len(c.boots) - 1
	for i := known - 1; i >= 0; i-- {
		b, next := c.boots[i], c.boots[known]
		c.base[i] = c.base[i+1] - b.up
		if b.began != 0 {
			if next.began != 0 {
				c.base[i] = min(c.base[i], c.base[known]-(next.began-b.began))
			}
			known = i
		}
		c.base[i] = max(c.base[i], -maxAgo)
	}
}

// moment is now, in the time of this process and of this boot.
type moment struct {
	time.Time
	up    time.Duration
	clock *clock
}

func (c *clock) now() moment {
	now := time.Now()
	return moment{now, c.up + now.Sub(c.opened), c}
}

// stamp is a moment as it is stored.
type stamp struct {
	boot uint64
	up   time.Duration
}

// stamp returns what is stored of m. What is provisional is stored as of the end of
// the last boot that is known, before all that it leaves out; ago is how long ago
// that was, without it.
func (m moment) stamp(provisional bool) (s stamp, ago time.Duration) {
	c := m.clock
	if !provisional || c.last < 0 {
		return stamp{c.number, m.up}, 0
	}
	last := c.boots[c.last] // which does not change
	return stamp{last.number, last.up}, c.passed - last.up + m.up
}

// since returns how much time has passed from s to m, and whether that leaves out a
// time off that may get known.
func (m moment) since(s stamp) (passed time.Duration, provisional bool) {
	c := m.clock
	if s.boot > c.number {
		return 0, false // damaged
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := len(c.boots) - 1
	for i > 0 && c.boots[i].number > s.boot {
		i--
	}
	from := s.up
	if c.boots[i].number != s.boot { // forgotten
		from = c.boots[i].first
	}
	return max(m.up-c.base[i]-from, 0), !c.known && i <= c.last
}

// sinceWall is since for a time by the wall clock.
func (m moment) sinceWall(t time.Time) time.Duration {
	c := m.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || !plausible(t) {
		return 0
	}
	return max(c.boots[len(c.boots)-1].began+m.up-time.Duration(t.UnixNano()), 0)
}

// look compares the clocks. off is the time off that was left out, if it has just
// got known; changed is set if the store has to remember something.
func (c *clock) look() (off time.Duration, changed bool) {
	r := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !plausible(r.Wall) {
		c.found, c.set = false, false
		return 0, false
	}
	began := time.Duration(r.Wall.UnixNano()) - r.Up
	steady := c.found && (began-c.began).Abs() < jump
	c.set = c.set || c.found && !steady
	c.began, c.found = began, true
	this := &c.boots[len(c.boots)-1]
	if c.known {
		if !steady || began < this.began+time.Second {
			return 0, false
		}
		this.began = began
		return 0, true
	}
	ahead := c.last >= 0 && began > c.boots[c.last].began+c.passed+farAhead
	if !r.Sure && !(steady && (c.set || ahead)) {
		return 0, false
	}
	this.began, c.known = began, true
	if c.last >= 0 {
		off = c.base[c.last]
	}
	c.count()
	if c.last >= 0 {
		off -= c.base[c.last]
	}
	return off, true
}

// plausible reports whether a wall clock has been set, as far as it can tell.
func plausible(t time.Time) bool { return t.Year() >= 2026 && t.Year() < 2100 }

// appendBoots is the record of the boots that the store remembers: the id of this
// one, then of each its number, beginning, and time up first and last.
func (c *clock) appendBoots(b []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b = appendText(b, c.id)
	b = binary.AppendUvarint(b, uint64(len(c.boots)))
	for _, one := range c.boots {
		b = binary.AppendUvarint(b, one.number)
		b = binary.AppendUvarint(b, uint64(one.began.Milliseconds()))
		b = binary.AppendUvarint(b, uint64(one.first.Milliseconds()))
		b = binary.AppendUvarint(b, uint64(one.up.Milliseconds()))
	}
	return b
}

// maxBootsSize is more than the record of the boots takes.
const maxBootsSize = 2 << 10

func decodeBoots(b []byte) (id string, boots []boot, err error) {
	f := fields{b: b}
	id = string(f.text())
	for range f.uint(maxBoots) {
		boots = append(boots, boot{
			number: f.uint(1<<64 - 2),
			began:  f.milliseconds(maxWall),
			first:  f.milliseconds(maxUp),
			up:     f.milliseconds(maxUp),
		})
		if n := len(boots); n > 1 && boots[n-2].number >= boots[n-1].number {
			return "", nil, errors.New("boots are not in order")
		}
	}
	return id, boots, f.end()
}

// LookAtClock compares the wall clock with what the store knows. Who has loaded the
// store calls it every few seconds, as long as the store is open. When the wall
// clock gets known to be right it returns, once, for how long the machine was
// off: by so much all that was handed out as provisional ends earlier.
func (s *Store) LookAtClock() time.Duration {
	off, changed := s.clock.look()
	if changed {
		var b Batch
		b.add(op{prefix: prefixMeta, size: maxBootsSize})
		s.AppendLazy(&b)
		s.log.Info("wall clock is known", "off", off)
	}
	return off
}

// ClockKnown reports whether the wall clock is known to be right, as far as LookAtClock
// has found out.
func (s *Store) ClockKnown() bool {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	return s.clock.known
}

// EarliestNow returns a time that has passed for sure: when the newest boot that is known
// began, and how long the boots since then were up. It is zero if nothing is known.
func (s *Store) EarliestNow() time.Time { return s.clock.earliest() }

// earliest allows for clocks that go wrong by 1 in 5,000, some four times what crystals do.
func (c *clock) earliest() time.Time {
	m := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	began, up := c.boots[len(c.boots)-1].began, m.up
	if !c.known {
		if c.last < 0 {
			return time.Time{}
		}
		began, up = c.boots[c.last].began, c.passed+m.up
	}
	return time.Unix(0, int64(began+up-up/5000)).Add(-time.Second)
}
