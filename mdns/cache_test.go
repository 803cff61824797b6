package mdns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var browsed = []string{"_home-assistant._tcp", "_mqtt._tcp"}

// homeZone is what a Home Assistant advertises.
func homeZone(host string) *zone {
	return newZone(host, []Service{{Instance: "Küche (1)", Type: "_home-assistant._tcp", Port: 8123, Text: []string{`location_name=Küche \o/`, "uuid=0123"}}})
}

// A testCache is a cache with a clock and one link.
type testCache struct {
	t *testing.T
	*cache
	now  time.Time
	last []Found
}

func newTestCache(t *testing.T, addrs ...string) *testCache {
	c := &testCache{t: t, cache: newCache(browsed), now: time.Unix(0, 0)}
	c.follow([]link{*testLink(addrs...)}, c.now)
	return c
}

// hear takes messages as if they came over the wire.
func (c *testCache) hear(msgs ...*dns.Msg) {
	c.t.Helper()
	for _, m := range msgs {
		c.take(houseInterface.Index, overTheWire(c.t, m), c.now)
	}
}

// pass lets time pass and returns what was asked meanwhile, with the seconds since
// the beginning.
func (c *testCache) pass(d time.Duration) (asked []string) {
	c.t.Helper()
	end := c.now.Add(d)
	for steps := 0; !c.next.IsZero() && !c.next.After(end); steps++ {
		if steps > 10_000 {
			c.t.Fatal("does not come to rest")
		}
		c.now = latest(c.now, c.next)
		for _, m := range c.step(c.now) {
			for _, q := range m.Question {
				asked = append(asked, fmt.Sprintf("%.0f %s %s known %d", c.now.Sub(time.Unix(0, 0)).Seconds(), q.Name, dns.TypeToString[q.Qtype], len(m.Answer)))
			}
			if b, err := m.Pack(); err != nil || len(b) > 1440 {
				c.t.Fatalf("query of %d bytes: %v", len(b), err)
			}
		}
		if found, changed := c.changed(c.now); changed {
			c.last = found
		}
	}
	c.now = end
	return asked
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *testCache) want(want ...string) {
	c.t.Helper()
	var got []string
	for _, f := range c.last {
		got = append(got, fmt.Sprintf("%s %s %s:%d %v %q", f.Instance, f.Type, f.Host, f.Port, f.Addresses, f.Text))
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("found\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const home = `Küche (1) _home-assistant._tcp home.local:8123 [192.0.2.7 fd00::7] ["location_name=Küche \\o/" "uuid=0123"]`

func TestFoundAndLost(t *testing.T) {
	c := newTestCache(t, "192.0.2.1/24", "fd00::1/64")
	l := testLink("192.0.2.7/24", "fd00::7/64")
	c.hear(homeZone("home").announcements(l)...)
	c.pass(time.Second)
	c.want(home)

	c.hear(homeZone("home").goodbyes(l)...)
	c.pass(1500 * time.Millisecond)
	c.want()
}

// Every record may come in a packet of its own, in any order, and what is missing
// is asked for.
func TestPieces(t *testing.T) {
	l := testLink("192.0.2.7/24", "fd00::7/64")
	z := homeZone("home")
	var pieces []*dns.Msg
	for _, rr := range append(z.addresses(l), z.services[0].records(z.host)...) {
		pieces = append(pieces, response(rr))
	}
	c := newTestCache(t, "192.0.2.1/24", "fd00::1/64")
	c.hear(pieces...) // the addresses first
	c.want()
	for range 4 {
		asked := strings.Join(c.pass(1100*time.Millisecond), "\n")
		for _, m := range pieces {
			if strings.Contains(asked, m.Answer[0].Header().Name+" "+dns.TypeToString[m.Answer[0].Header().Rrtype]) {
				c.hear(m)
			}
		}
	}
	c.want(home)
}

// A host that is switched off without a word is asked for four times, and gone when
// its addresses have run out.
func TestRunsOut(t *testing.T) {
	l := testLink("192.0.2.7/24", "fd00::7/64")
	c := newTestCache(t, "192.0.2.1/24", "fd00::1/64")
	c.hear(homeZone("home").announcements(l)...)
	c.pass(90 * time.Second)
	c.want(home)
	var got []string
	for _, q := range c.pass(29 * time.Second) {
		if strings.Contains(q, " A ") {
			got = append(got, q)
		}
	}
	if want := []string{"96 home.local. A known 0", "102 home.local. A known 0", "108 home.local. A known 0", "114 home.local. A known 0"}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	c.want(home)
	c.pass(2 * time.Second)
	c.want()

	c.hear(homeZone("home").announcements(l)...)
	c.pass(time.Second)
	c.want(home)
}

// RFC 6762 section 5.2: after one second, two, and so on up to an hour.
func TestBackOff(t *testing.T) {
	c := newTestCache(t, "192.0.2.1/24")
	var times []string
	for _, q := range c.pass(5 * time.Hour) {
		if s, ok := strings.CutSuffix(q, " _mqtt._tcp.local. PTR known 0"); ok {
			times = append(times, s)
		}
	}
	if want := strings.Fields("0 1 3 7 15 31 63 127 255 511 1023 2047 4095 7695 11295 14895"); !slices.Equal(times, want) {
		t.Errorf("asked at %v, want %v", times, want)
	}
}
