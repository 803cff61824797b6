package broker

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestTokenBucket(t *testing.T) {
	b := tokenBucket{rate: 10, burst: 3}
	start := time.Now()
	for i, step := range []struct {
		at   time.Duration
		want string // y: passes
	}{
		{0, "yyyn"},
		{50 * time.Millisecond, "n"},
		{101 * time.Millisecond, "yn"},
		{90 * time.Millisecond, "n"}, // from another goroutine, late
		{201 * time.Millisecond, "yn"},
		{time.Hour, "yyyn"}, // no more than the burst
	} {
		got := ""
		for range step.want {
			if b.take(start.Add(step.at)) {
				got += "y"
			} else {
				got += "n"
			}
		}
		if got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}

// One address, or one network of IPv6, has a bucket of its own.
func TestAddressRates(t *testing.T) {
	a := addressRates{rate: 1, burst: 2, buckets: make(map[netip.Prefix]*tokenBucket)}
	now := time.Now()
	take := func(address string) bool { return a.take(netip.MustParseAddr(address), now) }
	for i, x := range []struct {
		address string
		want    bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::ffff:0:0:3", false}, {"2001:db8:0:1::1", true},
		{"fe80::1%eth0", true}, {"fe80::1%eth1", true}, {"fe80::2%eth0", false},
	} {
		if got := take(x.address); got != x.want {
			t.Errorf("%d, %s: %t", i, x.address, got)
		}
	}
	for range 5 {
		if !a.take(netip.Addr{}, now) {
			t.Error("what has no address was refused")
		}
	}
}

// However many addresses there are, few are remembered, none is refused because of
// others, and who floods is not forgotten.
func TestManyAddresses(t *testing.T) {
	a := addressRates{rate: 1, burst: 2, buckets: make(map[netip.Prefix]*tokenBucket)}
	now := time.Now()
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	flood := netip.MustParseAddr("192.0.2.1")
	for i := range 10 * maxAddresses {
		now = now.Add(time.Millisecond)
		if !a.take(address(i), now) {
			t.Fatalf("address %d was refused", i)
		}
		passed := 0
		for range 3 {
			if a.take(flood, now) {
				passed++
			}
		}
		if passed == 3 {
			t.Fatalf("the flood passes at address %d", i)
		}
		if len(a.buckets) > maxAddresses {
			t.Fatalf("%d are remembered", len(a.buckets))
		}
	}
	if a.sweep(now.Add(time.Hour)); len(a.buckets) != 0 {
		t.Errorf("%d are remembered after an hour", len(a.buckets))
	}
}

func TestAddressOf(t *testing.T) {
	for _, x := range []struct {
		a    net.Addr
		want string
	}{
		{nil, "invalid IP"},
		{&net.UnixAddr{Name: "@", Net: "unix"}, "invalid IP"},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, "192.0.2.1"}, // as ::ffff:192.0.2.1
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::1%eth0"},
		{addr("[::ffff:192.0.2.1]:80"), "192.0.2.1"},
		{addr("[2001:db8::1]:80"), "2001:db8::1"},
		{addr("@"), "invalid IP"},
	} {
		if got := addressOf(x.a).String(); got != x.want {
			t.Errorf("%v: %s, want %s", x.a, got, x.want)
		}
	}
}
