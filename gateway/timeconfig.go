package gateway

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // 450 KB: the image has no zones of its own

	"lintel/gateway/clock"
	"lintel/gateway/network"
)

// TimeConfig is how the box learns what time it is.
type TimeConfig struct {
	Servers []string `toml:"servers"` // of NTP: names or addresses
	Zone    string   `toml:"zone"`    // name in the IANA time zone database; empty: that of the system
}

// maxTimeServers is how many servers may be named.
const maxTimeServers = 8

func defaultTime() TimeConfig {
	return TimeConfig{Servers: []string{"0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org", "time.cloudflare.com"}}
}

func (c TimeConfig) problems(bad func(key, format string, args ...any)) {
	if len(c.Servers) > maxTimeServers {
		bad("time.servers", "there are %d servers; right are %d at most", len(c.Servers), maxTimeServers)
	}
	for i, s := range c.Servers {
		_, err := netip.ParseAddr(s)
		if err != nil && !isHostName(s) || slices.Contains(c.Servers[:i], s) {
			bad(fmt.Sprintf("time.servers[%d]", i), "%q is no server of its own; right is a name or an address, such as %q", s, "0.pool.ntp.org")
		}
	}
	if _, err := c.location(); err != nil {
		bad("time.zone", "%q is no time zone; right is a name such as %q", c.Zone, "Europe/Berlin")
	}
}

// Location is the time zone of the house.
func (c TimeConfig) Location() *time.Location {
	l, err := c.location()
	if err != nil { // Validate has said so
		return time.UTC
	}
	return l
}

func (c TimeConfig) location() (*time.Location, error) {
	if c.Zone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(c.Zone)
}

func isHostName(s string) bool {
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	return len(s) <= 253 && !slices.ContainsFunc(labels, func(l string) bool { return !hostLabel.MatchString(l) })
}

// timeFallbacks are asked when no name can be looked up: addresses that Cloudflare (time.cloudflare.com)
// and Google (time.google.com) publish for everybody.
var timeFallbacks = []netip.Addr{
	netip.AddrFrom4([4]byte{162, 159, 200, 1}), netip.AddrFrom4([4]byte{162, 159, 200, 123}),
	netip.AddrFrom4([4]byte{216, 239, 35, 0}), netip.AddrFrom4([4]byte{216, 239, 35, 4}),
}

// buildClock makes what sets the clock, if that is ours to set. Who names servers wants
// no others to be asked.
func (g *gateway) buildClock() {
	if g.o.Clock == nil {
		return
	}
	o := clock.Options{Servers: g.config.Time.Servers, Floor: g.store.EarliestNow, System: g.o.Clock,
		Battery: clock.RTC{Path: filepath.Join("/", g.o.Root, "dev/rtc0")}, Logger: g.log}
	if slices.Equal(o.Servers, defaultTime().Servers) {
		o.Fallbacks, o.Nearby = timeFallbacks, g.routers
	}
	g.clock = clock.New(o)
}

// clockKnown reports whether the wall clock is right, as far as is known: a box without a
// battery starts at some time of the past.
func (g *gateway) clockKnown() bool {
	if g.clock == nil {
		return time.Now().Year() >= firstYear
	}
	return g.clock.Status().Synchronised || g.store.ClockKnown()
}

// routers are those of the house, which may know the time.
func (g *gateway) routers() []netip.Addr { return network.Routers() }
