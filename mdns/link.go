package mdns

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxAddresses bounds the addresses of one family on one link, so that an
// answer always fits into one packet.
const maxAddresses = 8

// A link is an interface with what is published on it.
type link struct {
	iface    net.Interface
	v4, v6   []netip.Addr   // to be published, sorted
	prefixes []netip.Prefix // all of the interface, to tell who is on the link
}

// newLink returns the interface with the given addresses. IPv6 link-local
// addresses are published only when there is no other one, because a resolver
// that loses the zone cannot use them; avahi and zeroconf choose the same way.
func newLink(iface net.Interface, prefixes []netip.Prefix) link {
	l := link{iface: iface, prefixes: prefixes}
	var local []netip.Addr
	for _, p := range prefixes {
		switch a := p.Addr(); {
		case a.IsUnspecified() || a.IsLoopback() || a.IsMulticast():
		case a.Is4():
			l.v4 = append(l.v4, a)
		case a.IsLinkLocalUnicast():
			local = append(local, a)
		default:
			l.v6 = append(l.v6, a)
		}
	}
	if len(l.v6) == 0 {
		l.v6 = local
	}
	for _, s := range []*[]netip.Addr{&l.v4, &l.v6} {
		slices.SortFunc(*s, netip.Addr.Compare)
		*s = (*s)[:min(len(*s), maxAddresses)]
	}
	return l
}

// has reports whether the link can be spoken to over IPv4 or IPv6. Without an
// address of that family the kernel would take one from another link.
func (l *link) has(v6 bool) bool {
	if v6 {
		return len(l.v6) > 0
	}
	return len(l.v4) > 0
}

// contains reports whether a is an address of a neighbour on the link (RFC 6762
// section 11).
func (l *link) contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLinkLocalUnicast() {
		return true
	}
	return slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (l *link) sameAddresses(o *link) bool {
	return slices.Equal(l.v4, o.v4) && slices.Equal(l.v6, o.v6)
}

// readLinks returns those of the interfaces that have an address, in the order
// of their indexes, and the set of all addresses of this host.
func readLinks(interfaces func() ([]net.Interface, error)) ([]link, map[netip.Addr]bool, error) {
	ifaces, err := interfaces()
	if err != nil {
		return nil, nil, fmt.Errorf("mdns: listing network interfaces: %w", err)
	}
	unready, err := unreadyAddresses()
	if err != nil {
		return nil, nil, err
	}
	var links []link
	for _, iface := range ifaces {
		if iface.Flags&net.FlagUp == 0 {
			continue // an IPv4 address stays when an interface is switched off
		}
		addrs, err := iface.Addrs()
		if err != nil {
			continue // gone since it was listed
		}
		ready := slices.DeleteFunc(prefixes(addrs), func(p netip.Prefix) bool {
			return unready[p.Addr().WithZone(iface.Name)]
		})
		if l := newLink(iface, ready); l.has(false) || l.has(true) {
			links = append(links, l)
		}
	}
	slices.SortFunc(links, func(a, b link) int { return a.iface.Index - b.iface.Index })
	links = slices.CompactFunc(links, func(a, b link) bool { return a.iface.Index == b.iface.Index })

	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, nil, fmt.Errorf("mdns: listing addresses: %w", err)
	}
	own := make(map[netip.Addr]bool)
	for _, p := range prefixes(addrs) {
		own[p.Addr()] = true
	}
	return links, own, nil
}

// unreadyAddresses returns the IPv6 addresses, with the interface's name as the
// zone, that nobody can be told of: still checked for being a duplicate, for
// which nothing can be sent from them yet either, found to be one, or deprecated.
// The kernel reports when the check is over.
func unreadyAddresses() (map[netip.Addr]bool, error) {
	text, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no IPv6
	}
	if err != nil {
		return nil, fmt.Errorf("mdns: listing IPv6 addresses: %w", err)
	}
	out := make(map[netip.Addr]bool)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // address, index, prefix length, scope, flags, name
		if len(f) != 6 {
			continue
		}
		b, err := hex.DecodeString(f[0])
		addr, ok := netip.AddrFromSlice(b)
		flags, err2 := strconv.ParseUint(f[4], 16, 32)
		if err != nil || err2 != nil || !ok {
			continue
		}
		if flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED|unix.IFA_F_DEPRECATED) != 0 && flags&unix.IFA_F_OPTIMISTIC == 0 {
			out[addr.WithZone(f[5])] = true
		}
	}
	return out, nil
}

func prefixes(addrs []net.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			ones, _ := n.Mask.Size()
			out = append(out, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return out
}

// virtualInterfaces are the beginnings of the names that container engines,
// hypervisors and tunnels give their interfaces. An answer there would tell
// addresses that nobody in the house can use.
var virtualInterfaces = []string{
	"docker", "veth", "br-", "virbr", "vnet", "cni", "cali", "flannel", "lxc", "lxd", "podman",
	"tailscale", "wg", "tun", "tap", "zt",
}

// lanInterfaces returns the interfaces to use: those that are up, have a link, can do
// multicast, and are not loopback, point to point, a bridge port or one of the virtual ones
// that containers and machines are given.
func lanInterfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(i net.Interface) bool {
		const need, refuse = net.FlagUp | net.FlagRunning | net.FlagMulticast, net.FlagLoopback | net.FlagPointToPoint
		if i.Flags&need != need || i.Flags&refuse != 0 {
			return true
		}
		if slices.ContainsFunc(virtualInterfaces, func(p string) bool { return strings.HasPrefix(i.Name, p) }) {
			return true
		}
		_, err := os.Stat(filepath.Join("/sys/class/net", i.Name, "brport")) // its bridge has the addresses
		return err == nil
	}), nil
}
