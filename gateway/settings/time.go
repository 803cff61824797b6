package settings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // 450 KB: the image has no zones of its own
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
