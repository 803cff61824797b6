package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// An address without carrier stays under duplicate address detection; it is
// published when that is over, and not before.
func TestUnreadyAddress(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	box, a := newNamespace(t, "box"), newNamespace(t, "a")
	box.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/accept_dad")
	connect(box, "lan0", a, "eth0")
	a.run("ip", "link", "set", "eth0", "down")
	box.address("lan0", "192.0.2.1/24", "fd00:a::1/64")

	read := func() (links []link) {
		box.do(func() (err error) {
			links, _, err = readLinks(func() ([]net.Interface, error) {
				iface, err := net.InterfaceByName("lan0")
				if err != nil {
					return nil, err
				}
				return []net.Interface{*iface}, nil
			})
			return err
		})
		return links
	}
	v4, v6 := []netip.Addr{netip.MustParseAddr("192.0.2.1")}, []netip.Addr{netip.MustParseAddr("fd00:a::1")}
	if l := read(); len(l) != 1 || !slices.Equal(l[0].v4, v4) || len(l[0].v6) != 0 {
		t.Errorf("while it is checked: %v", l)
	}
	a.run("ip", "link", "set", "eth0", "up")
	eventually(t, func() error {
		if l := read(); len(l) != 1 || !slices.Equal(l[0].v4, v4) || !slices.Equal(l[0].v6, v6) {
			return fmt.Errorf("after the check: %v", l)
		}
		return nil
	})
}

func TestLinkAddresses(t *testing.T) {
	l := testLink("192.0.2.7/24", "fe80::1/64", "192.0.2.5/25", "fd00::2/64", "127.0.0.1/8", "::1/128")
	if want := []netip.Addr{netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("192.0.2.7")}; !slices.Equal(l.v4, want) {
		t.Errorf("IPv4 %v, want %v", l.v4, want)
	}
	if want := []netip.Addr{netip.MustParseAddr("fd00::2")}; !slices.Equal(l.v6, want) {
		t.Errorf("IPv6 %v, want %v", l.v6, want)
	}
	for addr, want := range map[string]bool{
		"192.0.2.200": true, "::ffff:192.0.2.200": true, "192.0.3.1": false, "169.254.1.1": true,
		"fd00::99": true, "fd01::99": false, "fe80::99%eth0": true,
	} {
		if got := l.contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s on the link: %v", addr, got)
		}
	}
}
