package gateway

import (
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"lintel/gateway/clock"
	"lintel/gateway/network"
	"lintel/gateway/settings"
)

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
	if slices.Equal(o.Servers, settings.Default().Time.Servers) {
		o.Fallbacks, o.Nearby = timeFallbacks, network.Routers
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
