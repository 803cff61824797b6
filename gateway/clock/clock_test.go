package clock

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRound(t *testing.T) {
	const hour = time.Hour
	spoof := func(off time.Duration) answerer { // somebody who has not seen the question, before the server
		return func(q []byte) [][]byte {
			forged := make([]byte, len(q))
			copy(forged, q)
			forged[47]++
			kiss := answer(forged, time.Now())
			kiss[1] = 0
			copy(kiss[12:], "DENY")
			return [][]byte{{1, 2}, q, answer(forged, time.Now().Add(off)), kiss, answer(q, time.Now())}
		}
	}
	tests := []struct {
		name    string
		servers []answerer
		want    string // beginning of the problem; empty: the clock is right
	}{
		{"all agree", []answerer{honest(0), honest(5 * time.Millisecond), honest(0)}, ""},
		{"one lies", []answerer{honest(hour), honest(0), honest(0)}, ""},
		{"two of five lie together", []answerer{honest(-hour), honest(-hour), honest(0), honest(0), honest(0)}, ""},
		{"half of them lie", []answerer{honest(hour), honest(hour), honest(0), honest(0)}, "the servers do not agree"},
		{"each says something else", []answerer{honest(hour), honest(2 * hour), honest(0)}, "the servers do not agree"},
		{"one server", []answerer{honest(0)}, ""},
		{"one answers of two", []answerer{honest(0), silent}, "of 2 servers only one"},
		{"nobody answers", []answerer{silent, silent}, "no server has answered"},
		{"forged before the answer", []answerer{spoof(hour)}, ""},
		{"unsynchronised", []answerer{changed(func(b []byte) { b[0] |= 3 << 6 })}, "no server"},
		{"stratum 16", []answerer{changed(func(b []byte) { b[1] = 16 })}, "no server"},
		{"not sure", []answerer{changed(func(b []byte) { b[9] = 2 })}, "no server"},
		{"a client", []answerer{changed(func(b []byte) { b[0] = 4<<3 | 3 })}, "no server"},
		{"version 1", []answerer{changed(func(b []byte) { b[0] = 1<<3 | 4 })}, "no server"},
		{"sent before received", []answerer{changed(func(b []byte) { b[35]++ })}, "no server"},
		{"year 2101", []answerer{honest(75 * 365 * 24 * hour)}, "no server"},
		{"the past", []answerer{honest(-2 * 365 * 24 * hour)}, "no server"},
		{"zeros", []answerer{changed(func(b []byte) { clear(b[32:]) })}, "no server"},
		{"short", []answerer{func(q []byte) [][]byte { return [][]byte{answer(q, time.Now())[:47]} }}, "no server"},
		{"leave me alone", []answerer{kissed("DENY")}, "no server"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &system{off: off1970()}
			c := newTown(t, test.servers...).client(s)
			c.round(t.Context())
			status := c.Status()
			if test.want == "" {
				if s.off.Abs() > 500*time.Millisecond || s.steps != 1 || s.sure <= 0 || !status.Synchronised || status.Problem != "" {
					t.Errorf("off by %v, %+v", s.off, status)
				}
				return
			}
			if s.steps != 0 || s.sure != 0 || status.Synchronised || !strings.HasPrefix(status.Problem, test.want) {
				t.Errorf("off by %v, %+v", s.off, status)
			}
		})
	}
}

func TestSlewAndStep(t *testing.T) {
	w := newTown(t, honest(0), honest(0), honest(0))
	s := &system{off: 60 * time.Millisecond}
	c := w.client(s)
	c.round(t.Context())
	if s.steps != 0 || s.slewed > -20*time.Millisecond || s.sure == 0 {
		t.Errorf("a small difference: %d steps, slewed %v", s.steps, s.slewed)
	}
	s.off = -3 * time.Second
	c.round(t.Context())
	if s.steps != 1 || s.off.Abs() > 500*time.Millisecond {
		t.Errorf("a larger one: %d steps, off %v", s.steps, s.off)
	}
}

func TestNeverBehindFloor(t *testing.T) {
	w := newTown(t, honest(-2*time.Hour), honest(-2*time.Hour), honest(-2*time.Hour))
	s := &system{off: off1970()}
	c := w.client(s)
	stored := time.Now().Add(-time.Minute)
	c.o.Floor = func() time.Time { return stored }
	c.start() // forward to what has passed for sure, without being sure
	if now := s.Now(); now.Before(stored) || now.After(stored.Add(time.Minute)) || s.sure != 0 {
		t.Fatalf("it is %v, want %v", now, stored)
	}
	c.round(t.Context())
	if p := c.Status().Problem; !strings.Contains(p, "never sets its clock back") || s.steps != 1 {
		t.Errorf("%q, %d steps", p, s.steps)
	}
	for i := range w.names {
		w.say(i, honest(0))
	}
	c.round(t.Context())
	if !c.Status().Synchronised || s.off.Abs() > 500*time.Millisecond {
		t.Errorf("%+v", c.Status())
	}
}

// TestJumpIsDoubted: a clock that was right is set by much only when two rounds say so.
func TestJumpIsDoubted(t *testing.T) {
	w := newTown(t, honest(0), honest(0), honest(0))
	s := &system{off: off1970()}
	c := w.client(s)
	c.round(t.Context())
	for i := range w.names {
		w.say(i, honest(24*time.Hour))
	}
	c.round(t.Context())
	if s.steps != 1 || !c.Status().Synchronised || !strings.Contains(c.Status().Problem, "all at once") {
		t.Fatalf("%d steps, %+v", s.steps, c.Status())
	}
	for i := range w.names {
		w.say(i, honest(48*time.Hour))
	}
	if c.round(t.Context()); s.steps != 1 {
		t.Fatal("set to a time that was said once")
	}
	if c.round(t.Context()); s.steps != 2 || s.off < 47*time.Hour {
		t.Errorf("not set when it was said again: %v", s.off)
	}
}

// TestLoneServer: one server out of several is believed after three rounds with the same.
func TestLoneServer(t *testing.T) {
	w := newTown(t, honest(time.Hour), silent)
	s := &system{}
	c := w.client(s)
	c.o.timeout = 200 * time.Millisecond
	c.round(t.Context())
	w.say(0, honest(3*time.Hour)) // begins anew
	for i := range loneLimit {
		if s.steps != 0 {
			t.Fatalf("believed after %d rounds", i)
		}
		c.round(t.Context())
	}
	if s.steps != 1 || s.off < 2*time.Hour {
		t.Fatalf("%d steps, %+v", s.steps, c.Status())
	}
	if c.round(t.Context()); c.Status().Problem != "" {
		t.Errorf("afterwards: %+v", c.Status())
	}
}

func TestKissOfDeath(t *testing.T) {
	w := newTown(t, kissed("RATE"), kissed("RSTR"), honest(0), honest(0), kissed("XYZW"))
	c := w.client(&system{})
	for range 3 {
		c.round(t.Context())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked[w.names[0]] != 1 || w.asked[w.names[1]] != 1 || w.asked[w.names[2]] != 3 || w.asked[w.names[4]] != 3 {
		t.Errorf("asked %v", w.asked)
	}
	if c.servers[w.names[1]].not.Before(time.Now().Add(23 * time.Hour)) {
		t.Error("who does not want to be asked is asked again today")
	}
}

func TestFallbacks(t *testing.T) {
	w := newTown(t, honest(0), honest(0), honest(0))
	c := w.client(&system{off: off1970()})
	c.o.Servers = []string{"a.example", "b.example"}
	c.o.Fallbacks = []netip.Addr{netip.MustParseAddr(w.names[0]), netip.MustParseAddr(w.names[1])}
	dns := errors.New("no such host")
	c.o.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
		if dns != nil {
			return nil, dns
		}
		return []netip.Addr{netip.MustParseAddr(w.names[2])}, nil
	}
	c.round(t.Context())
	if s := c.Status(); !s.Synchronised || len(s.Servers) != 4 {
		t.Fatalf("without DNS: %+v", s)
	}
	dns = nil
	c.round(t.Context())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked[w.names[0]] != 1 || w.asked[w.names[2]] != 1 { // both names are one server
		t.Errorf("with DNS: %v", w.asked)
	}
}

func TestNearby(t *testing.T) {
	w := newTown(t, honest(0))
	c := w.client(&system{off: off1970()})
	c.o.Servers = nil
	c.o.Nearby = func() []netip.Addr { return []netip.Addr{netip.MustParseAddr(w.names[0])} }
	c.round(t.Context())
	if !c.Status().Synchronised {
		t.Errorf("%+v", c.Status())
	}
}

// battery is a clock with one.
type battery struct{ shows, written time.Time }

func (b *battery) Read() (time.Time, error) { return b.shows, nil }
func (b *battery) Write(to time.Time) error { b.written = to; return nil }

func TestBattery(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name         string
		off          time.Duration
		shows, floor time.Time
		want         time.Duration // by which the clock is off afterwards
	}{
		{"in 1970", off1970(), now.Add(-time.Hour), time.Time{}, -time.Hour},
		{"empty", off1970(), time.Unix(0, 0), now.Add(-48 * time.Hour), -48 * time.Hour},
		{"behind what is stored", off1970(), now.Add(-time.Hour), now.Add(-time.Minute), -time.Minute},
		{"set by the kernel", 0, now.Add(-time.Hour), time.Time{}, 0},
		{"nothing is known", off1970(), time.Time{}, time.Time{}, off1970()},
	}
	w := newTown(t, honest(0))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, b := &system{off: test.off}, &battery{shows: test.shows}
			c := w.client(s)
			c.o.Battery, c.o.Floor = b, func() time.Time { return test.floor }
			c.start()
			if (s.off - test.want).Abs() > 5*time.Second {
				t.Errorf("off by %v, want %v", s.off, test.want)
			}
			if c.round(t.Context()); time.Until(b.written).Abs() > 5*time.Second {
				t.Errorf("the battery's is set to %v", b.written)
			}
		})
	}
}

func TestPolite(t *testing.T) {
	w := newTown(t, silent)
	c := w.client(&system{})
	c.o.timeout, c.o.first = time.Millisecond, 2*time.Second
	var last time.Duration
	for range 12 {
		last = c.round(t.Context())
	}
	if last < 15*time.Minute {
		t.Errorf("a server that does not answer is asked every %v", last)
	}
	w.say(0, honest(0))
	c.o.timeout = 2 * time.Second
	for range 8 {
		last = c.round(t.Context())
	}
	if last != longest {
		t.Errorf("with the time known: every %v", last)
	}
}

func TestRun(t *testing.T) {
	w := newTown(t, honest(0), honest(0))
	s := &system{off: off1970()}
	c := w.client(s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); !c.Status().Synchronised; {
		if time.Now().After(deadline) {
			t.Fatal(c.Status())
		}
		time.Sleep(time.Millisecond) // polls
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAgree(t *testing.T) {
	at := func(offset, distance int) sample {
		return sample{time.Duration(offset), time.Duration(distance)}
	}
	tests := []struct {
		samples       []sample
		offset, count int
	}{
		{nil, 0, 0},
		{[]sample{at(10, 2)}, 10, 1},
		{[]sample{at(10, 2), at(14, 2)}, 12, 2}, // they touch
		{[]sample{at(10, 2), at(15, 2), at(100, 1)}, 10, 1},
		// From RFC 1305's and Marzullo's usual example: 10±2, 12±1, 11±1.
		{[]sample{at(10, 2), at(12, 1), at(11, 1)}, 11, 3},
		{[]sample{at(10, 2), at(12, 1), at(100, 2)}, 11, 2},
	}
	for _, test := range tests {
		offset, _, count := agree(test.samples)
		if int(offset) != test.offset || count != test.count {
			t.Errorf("%v: %d by %d", test.samples, offset, count)
		}
	}
}

func TestTimestampEras(t *testing.T) {
	for _, want := range []time.Time{
		time.Date(2026, 11, 22, 1, 2, 3, 500_000_000, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 15, 0, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 16, 0, time.UTC), // the seconds are 0
		time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		v := uint64(uint32(want.Unix()+2_208_988_800))<<32 | uint64(want.Nanosecond())<<32/1_000_000_000
		if got := timestamp(v); !got.Equal(want) {
			t.Errorf("%v is %v", want, got.UTC())
		}
	}
}

func TestRTCMissing(t *testing.T) {
	if _, err := (RTC{filepath.Join(t.TempDir(), "rtc0")}).Read(); err == nil {
		t.Error("a clock that is not there shows the time")
	}
}

func FuzzParseReply(f *testing.F) {
	q := request(42)
	f.Add(answer(q, time.Unix(1_800_000_000, 0)))
	f.Add(kissed("RATE")(q)[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReply(b, 42)
		if err == nil && (!plausible(r.received) || !plausible(r.sent) || r.error < 0 || r.error > maxDistance || r.sent.Before(r.received)) {
			t.Errorf("%x is taken: %+v", b, r)
		}
		if k, ok := errors.AsType[kiss](err); ok && len(k.Error()) > 100 {
			t.Errorf("%x: %v", b, err)
		}
	})
}
