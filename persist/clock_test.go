package persist

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/mqtt"
)

// machine is a machine in a bubble, where its time passes.
type machine struct {
	boot    int
	started time.Time
	set     time.Time // what the wall clock was set to
	at      time.Time // when
	sure    bool
}

var year1970 = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// right is the true time of a bubble, which begins in 2000.
func right() time.Time { return time.Now().AddDate(27, 0, 0) }

// start starts the machine, whose wall clock then shows wall.
func (m *machine) start(wall time.Time) {
	m.boot++
	m.started, m.sure = time.Now(), false
	m.setClock(wall)
}

func (m *machine) setClock(wall time.Time) { m.set, m.at = wall, time.Now() }

func (m *machine) read() Reading {
	return Reading{Boot: string(rune('a' + m.boot)), Up: time.Since(m.started), Wall: m.set.Add(time.Since(m.at)).Round(0), Sure: m.sure}
}

// inStore is what a store has of time: a clock can go on from it.
type inStore struct {
	boots []byte
	meta  meta
}

func (in *inStore) open(t *testing.T, m *machine) *clock {
	t.Helper()
	var id string
	var boots []boot
	if in.boots != nil {
		var err error
		if id, boots, err = decodeBoots(in.boots); err != nil {
			t.Fatal(err)
		}
	}
	return newClock(m.read, id, boots, in.meta.Up, in.meta.Boot)
}

// commit is what a store does with the clock when it commits.
func (in *inStore) commit(c *clock) {
	in.boots = c.appendBoots(nil)
	in.meta.Boot, in.meta.Up = c.number, c.now().up.Truncate(time.Millisecond)
}

// looks lets time pass, with looks at the clock, and returns the time off.
func looks(c *clock, n int) (off time.Duration) {
	for range n {
		time.Sleep(10 * time.Second)
		more, _ := c.look()
		off += more
	}
	return off
}

// about allows for what is cut off to whole milliseconds.
func about(got, want time.Duration) bool { return (got - want).Abs() <= 10*time.Millisecond }

// A message with an hour to live and a session that is offline are stored in one boot
// and loaded in the next, an hour of which passes: all that the clock may do between.
func TestClock(t *testing.T) {
	buildDate := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	const hour = time.Hour
	cases := []struct {
		name string
		boot func(m *machine)           // the clock when the machine starts; nil: right
		run  func(m *machine, c *clock) // two minutes in the boot that stores
		off  time.Duration              // how long the machine is off after it
		next func(m *machine)           // the clock when it starts again; nil: right
		then func(m *machine, c *clock) // two minutes in the boot that loads

		loaded time.Duration // passed at the load, besides what the machine was up
		later  time.Duration // passed two minutes later
		blind  bool          // the time is not known then
	}{
		{name: "right both times", off: hour, loaded: hour, later: hour},
		{name: "1970, right after a minute",
			off:  hour,
			next: func(m *machine) { m.start(year1970) },
			then: func(m *machine, c *clock) {
				m.sure = false
				looks(c, 6)
				m.setClock(right())
				looks(c, 6)
			},
			later: hour},
		{name: "1970 both times",
			blind: true,
			boot:  func(m *machine) { m.start(year1970) },
			off:   hour,
			next:  func(m *machine) { m.start(year1970) }},
		{name: "1970 both times, right a minute later both times",
			boot: func(m *machine) { m.start(year1970) },
			run: func(m *machine, c *clock) {
				looks(c, 6)
				m.setClock(right().Add(-30 * time.Millisecond))
				looks(c, 1)
				m.setClock(right()) // as every hour
				looks(c, 5)
			},
			off:  hour,
			next: func(m *machine) { m.start(year1970) },
			then: func(m *machine, c *clock) {
				looks(c, 6)
				m.setClock(right())
				looks(c, 6)
			},
			later: hour},
		{name: "starts at the build date",
			blind: true,
			off:   hour,
			next:  func(m *machine) { m.start(buildDate) }},
		{name: "starts at the build date, then right",
			off:  hour,
			next: func(m *machine) { m.start(buildDate) },
			then: func(m *machine, c *clock) {
				looks(c, 6)
				m.setClock(right())
				looks(c, 6)
			},
			later: hour},
		{name: "goes on where it was when it was shut down",
			blind: true,
			off:   hour,
			next:  func(m *machine) { m.start(right().Add(-hour)) }},
		{name: "goes on where it was half a minute after the last commit",
			blind: true,
			off:   hour,
			next:  func(m *machine) { m.start(right().Add(30*time.Second - hour)) },
			then:  func(m *machine, c *clock) { looks(c, 12) }},
		{name: "goes on where it was, and again",
			blind: true,
			off:   hour,
			next:  func(m *machine) { m.start(right().Add(-hour)) },
			then: func(m *machine, c *clock) {
				looks(c, 4)
				m.setClock(year1970)
				looks(c, 4)
				m.setClock(right().Add(-hour - 80*time.Second))
				looks(c, 4)
			}},
		{name: "goes on where it was, then right",
			off:  hour,
			next: func(m *machine) { m.start(right().Add(-hour)) },
			then: func(m *machine, c *clock) {
				looks(c, 6)
				m.setClock(right())
				looks(c, 6)
			},
			later: hour},
		{name: "jumps back five minutes while up",
			run: func(m *machine, c *clock) {
				looks(c, 6)
				m.setClock(right().Add(-5 * time.Minute))
				looks(c, 6)
			},
			off: hour, loaded: hour, later: hour},
		{name: "starts five minutes back",
			off:  time.Minute,
			next: func(m *machine) { m.start(right().Add(-5 * time.Minute)); m.sure = true }},
		// A year too far is believed for that boot, so that the time off after it
		// does not count: nothing ends.
		{name: "jumps a year and back while up",
			run: func(m *machine, c *clock) {
				looks(c, 4)
				m.setClock(right().AddDate(1, 0, 0))
				looks(c, 4)
				m.setClock(right())
				looks(c, 4)
			},
			off: hour},
		{name: "jumps a year and back when loaded",
			off: hour,
			then: func(m *machine, c *clock) {
				m.setClock(right().AddDate(1, 0, 0))
				if off := looks(c, 6); off != 0 {
					t.Errorf("the jump counts as %v", off)
				}
				m.setClock(right())
				looks(c, 6)
			},
			loaded: hour, later: hour},
		{name: "a year too far for a moment",
			off:  hour,
			next: func(m *machine) { m.start(year1970) },
			then: func(m *machine, c *clock) {
				looks(c, 3)
				m.setClock(right().AddDate(1, 0, 0))
				looks(c, 1)
				m.setClock(right())
				looks(c, 8)
			},
			later: hour},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, disk := new(machine), new(inStore)
				startRight := func(m *machine) { m.start(right()); m.sure = true }
				if x.boot == nil {
					x.boot = startRight
				}
				if x.next == nil {
					x.next = startRight
				}
				if x.run == nil {
					x.run = func(*machine, *clock) { time.Sleep(2 * time.Minute) }
				}
				if x.then == nil {
					x.then = x.run
				}
				// Something was there before: nothing is known of a first boot.
				startRight(m)
				disk.commit(disk.open(t, m))

				x.boot(m)
				c := disk.open(t, m)
				now := c.now()
				message := appendMessage(nil, &mqtt.Message{Topic: "t", Expires: now.Add(3 * hour)}, "t", now)
				session := appendSession(nil, &Session{ID: 1, Disconnected: now.Time}, now)
				x.run(m, c)
				disk.commit(c)
				time.Sleep(x.off)

				x.next(m)
				c = disk.open(t, m)
				load := time.Now()
				check := func(passed time.Duration) {
					t.Helper()
					got, err := decodeMessage(message, c.now())
					offline, err2 := decodeSession(session, c.now())
					if err := errors.Join(err, err2); err != nil {
						t.Fatal(err)
					}
					passed += 2*time.Minute + time.Since(load)
					if left := time.Until(got.Expires); !about(left, 3*hour-passed) {
						t.Errorf("the message has %v left, want %v", left, 3*hour-passed)
					}
					if away := time.Since(offline.Disconnected); !about(away, passed) {
						t.Errorf("the session is offline for %v, want %v", away, passed)
					}
				}
				check(x.loaded)
				early, err := decodeMessage(message, c.now())
				offline, err2 := decodeSession(session, c.now())
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				x.then(m, c)
				check(x.later)
				if c.known == x.blind {
					t.Errorf("the time is known: %t", c.known)
				}
				// What was loaded first and is stored again says the same.
				message, session = appendMessage(nil, early, "t", c.now()), appendSession(nil, &offline, c.now())
				check(x.later)
			})
		})
	}
}

// While the machine is up its time is exact, however often the process starts and
// though nobody knows the time.
func TestClockWithinABoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, disk := new(machine), new(inStore)
		m.start(year1970)
		time.Sleep(time.Minute)
		c := disk.open(t, m)
		now := c.now()
		b := appendMessage(nil, &mqtt.Message{Topic: "t", Expires: now.Add(time.Hour)}, "t", now)
		for range 3 {
			disk.commit(c)
			time.Sleep(10 * time.Minute)
			m.setClock(year1970.AddDate(1, 0, 0))
			c = disk.open(t, m)
		}
		got, err := decodeMessage(b, c.now())
		if err != nil || got.Provisional || !about(time.Until(got.Expires), 30*time.Minute) {
			t.Errorf("%v left, provisional %t, %v", time.Until(got.Expires), got.Provisional, err)
		}
		if len(c.boots) != 1 {
			t.Errorf("%d boots", len(c.boots))
		}
	})
}

// Boots without a network between two that had one: what they were up counts, and
// later the whole time for what came before them, but for nothing that they stored.
func TestClockOverBlindBoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, disk := new(machine), new(inStore)
		m.start(right())
		m.sure = true
		c := disk.open(t, m)
		stored := func() []byte {
			now := c.now()
			return appendMessage(nil, &mqtt.Message{Topic: "t", Expires: now.Add(1000 * time.Hour)}, "t", now)
		}
		passed := func(b []byte) time.Duration {
			got, err := decodeMessage(b, c.now())
			if err != nil {
				t.Fatal(err)
			}
			return 1000*time.Hour - time.Until(got.Expires)
		}
		before := stored()
		disk.commit(c)
		var blind []byte
		for range 2 * maxBoots {
			time.Sleep(time.Hour) // off
			m.start(year1970)
			c = disk.open(t, m)
			blind = stored()
			time.Sleep(time.Hour)
			disk.commit(c)
			if len(c.boots) > maxBoots {
				t.Fatalf("%d boots", len(c.boots))
			}
		}
		if got := passed(before); got > 128*time.Hour || got < (maxBoots-1)*time.Hour {
			t.Errorf("%v has passed", got)
		}
		time.Sleep(time.Hour)
		m.start(right())
		m.sure = true
		c = disk.open(t, m)
		if got := passed(blind); !about(got, time.Hour) {
			t.Errorf("since a boot that knew nothing %v has passed", got)
		}
		if got := passed(before); got > 129*time.Hour || got < (maxBoots-1)*time.Hour {
			t.Errorf("%v has passed", got)
		}
	})
}

// Values as the first stores have them.
func TestFirstLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		message := appendText(append([]byte{flagExpires | 1}, 1, 't'), "")
		message = appendText(message, "payload")
		message = binary.AppendUvarint(message, uint64(time.Hour.Milliseconds()))
		message = binary.AppendUvarint(message, uint64(right().UnixMilli()))
		session := append([]byte{1, 'c', 7, 5}, 60)
		session = binary.AppendUvarint(session, uint64(right().UnixMilli()))
		session = append(session, 5, 2, 9, 0, 1, 'w', 0, 0)
		connected := []byte{1, 'c', 7, 5, 60, 0, 5, 0}
		first, err := decodeMeta(append(append([]byte{1}, make([]byte, 16)...), 200, 1))
		if err != nil || first.LSN != 200 || first.Boot != 0 {
			t.Errorf("meta %v, %v", first, err)
		}
		time.Sleep(10 * time.Minute)
		for _, known := range []bool{false, true} {
			m := new(machine)
			m.start(right())
			m.sure = known
			now := newClock(m.read, "", nil, first.Up, first.Boot).now()
			want := time.Hour
			if known {
				want -= 10 * time.Minute
			}
			got, err := decodeMessage(message, now)
			if err != nil || string(got.Payload) != "payload" || !about(got.Expires.Sub(now.Time), want) {
				t.Errorf("%v, %v", got, err)
			}
			s, err := decodeSession(session, now)
			if err != nil || s.ID != 7 || s.WillDelay != 5 || s.WillExpiry != 9 || s.Will.Topic != "w" || !about(now.Sub(s.Disconnected), time.Hour-want) {
				t.Errorf("%v, %v", s, err)
			}
			if s, err := decodeSession(connected, now); err != nil || !s.Disconnected.IsZero() {
				t.Errorf("%v, %v", s, err)
			}
		}
	})
}

// What a damaged record says of time must not make anything end.
func TestStampOfDamaged(t *testing.T) {
	for _, s := range []stamp{{4, 0}, {1<<64 - 1, 0}, {3, maxUp * time.Millisecond}} {
		if passed, _ := momentZero.since(s); passed != 0 {
			t.Errorf("%v: %v has passed", s, passed)
		}
	}
	if passed, provisional := momentZero.since(stamp{0, time.Hour}); passed != time.Hour+time.Minute+10*time.Second || !provisional {
		t.Errorf("%v has passed since a boot that is forgotten, provisional %t", passed, provisional)
	}
}

// A store knows over a restart which boot it is in, and when that began.
func TestBootsInStore(t *testing.T) {
	dir := t.TempDir()
	wall := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	r := Reading{Boot: "one", Up: time.Minute, Wall: wall, Sure: true}
	open := func() *Store {
		t.Helper()
		s, err := Open(dir, Options{Clock: func() Reading { return r }})
		if err != nil {
			t.Fatal(err)
		}
		if state, err := s.Load(); err != nil || len(state.Damaged) > 0 {
			t.Fatal(state.Damaged, err)
		}
		return s
	}
	want := func(s *Store, boots int, known bool) {
		t.Helper()
		if len(s.clock.boots) != boots || s.ClockKnown() != known {
			t.Errorf("boots %v, known %t", s.clock.boots, s.ClockKnown())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want(open(), 1, true)
	r.Up, r.Sure, r.Wall = 2*time.Minute, false, year1970
	want(open(), 1, true)
	r.Boot, r.Up = "two", time.Second
	want(open(), 2, false)
	r.Up = 2 * time.Second
	s := open()
	r.Wall, r.Sure = wall.Add(time.Hour), true
	// The first boot was up for two minutes at least.
	if off := s.LookAtClock(); !about(off, time.Hour-time.Minute-2*time.Second) && off > time.Hour {
		t.Errorf("off for %v", off)
	}
	if off := s.LookAtClock(); off != 0 {
		t.Errorf("off for another %v", off)
	}
	want(s, 2, true)
	r.Up, r.Sure = 3*time.Second, false
	want(open(), 2, true)
	r.Up = time.Second // which cannot be: all counts from here
	want(open(), 1, false)
}

// What else than a network may know the time.
func TestClockAgrees(t *testing.T) {
	file := filepath.Join(t.TempDir(), "since_epoch")
	wall := time.Unix(1_800_000_000, 0)
	if agrees(file, wall) {
		t.Error("a clock that is not there agrees")
	}
	for text, want := range map[string]bool{"1800000000\n": true, "1800000003\n": true, "1800000060\n": false, "0\n": false, "x": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if agrees(file, wall) != want {
			t.Errorf("%q: agrees %t", text, !want)
		}
	}
}

// The clocks of this machine go on, and tell the time of Go.
func TestSystemClock(t *testing.T) {
	read := systemClock()
	a, b := read(), read()
	if a.Boot == "" || a.Boot != b.Boot || b.Up <= a.Up || time.Since(a.Wall).Abs() > time.Hour {
		t.Errorf("%+v, then %+v", a, b)
	}
}

func TestEarliestNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m machine
		var in inStore
		m.start(time.Unix(0, 0))
		c := in.open(t, &m)
		if e := c.earliest(); !e.IsZero() {
			t.Errorf("a new store knows that it is later than %v", e)
		}
		m.sure = true
		m.setClock(right())
		looks(c, 2)
		const least = -time.Minute
		off := func(c *clock) time.Duration { return c.earliest().Sub(right()) }
		if d := off(c); d > 0 || d < least {
			t.Errorf("off by %v with the clock known", d)
		}
		in.commit(c)
		time.Sleep(time.Hour) // switched off
		m.start(time.Unix(0, 0))
		c = in.open(t, &m)
		time.Sleep(time.Minute)
		if d := off(c); d > -time.Hour || d < -time.Hour+least {
			t.Errorf("off by %v after an hour without power", d)
		}
	})
}
