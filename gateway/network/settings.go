package network

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// Values of [Addresses] that are no addresses.
const (
	DHCP = "dhcp" // IPv4: what the network gives
	Auto = "auto" // IPv6: what the network announces (SLAAC, RFC 4862)
	Off  = "off"  // IPv6: none
)

// MaxDNS is how many servers are asked: a resolver reads no more of them.
const MaxDNS = 3

// Settings are what the box is to do in the network.
type Settings struct {
	Ethernet Addresses `toml:"ethernet" json:"ethernet"`
	WiFi     WiFi      `toml:"wifi" json:"wifi"`
}

// Addresses are those of an interface.
type Addresses struct {
	IPv4        string   `toml:"ipv4" json:"ipv4"`                 // DHCP, or an address and its length: 192.168.1.2/24
	Gateway     string   `toml:"gateway" json:"gateway"`           // of an address by hand; empty: none
	DNS         []string `toml:"dns" json:"dns"`                   // empty: those that DHCP tells
	IPv6        string   `toml:"ipv6" json:"ipv6"`                 // Auto, Off, or an address and its length
	IPv6Gateway string   `toml:"ipv6_gateway" json:"ipv6_gateway"` // of an address by hand; empty: what routers announce
}

// WiFi is the wireless network that the box joins.
type WiFi struct {
	Country   string    `toml:"country" json:"country"`   // ISO 3166-1, two letters; empty: what is allowed everywhere
	SSID      string    `toml:"ssid" json:"ssid"`         // empty: none
	Password  string    `toml:"password" json:"password"` // 8 to 63 characters, or a key of 64 hexadecimal digits; empty: the network is open
	Hidden    bool      `toml:"hidden" json:"hidden"`     // the network does not tell its name
	Addresses Addresses `toml:"addresses" json:"addresses"`
}

// Default returns what works in most houses.
func Default() Settings {
	a := Addresses{IPv4: DHCP, DNS: []string{}, IPv6: Auto}
	return Settings{Ethernet: a, WiFi: WiFi{Addresses: Addresses{IPv4: DHCP, DNS: []string{}, IPv6: Auto}}}
}

// Problems tells what cannot work, by the path of the key.
func (s Settings) Problems(bad func(key, format string, args ...any)) {
	s.Ethernet.problems("ethernet.", bad)
	s.WiFi.problems(bad)
	if s.WiFi.SSID != "" {
		s.WiFi.Addresses.problems("wifi.addresses.", bad)
		a, errA := netip.ParsePrefix(s.Ethernet.IPv4)
		b, errB := netip.ParsePrefix(s.WiFi.Addresses.IPv4)
		if errA == nil && errB == nil && a.Addr() == b.Addr() {
			bad("wifi.addresses.ipv4", "%v is the address of the Ethernet port; right is one of its own", b.Addr())
		}
	}
}

func (a Addresses) problems(path string, bad func(key, format string, args ...any)) {
	var ipv4, ipv6 netip.Prefix
	if a.IPv4 != DHCP {
		p, err := netip.ParsePrefix(a.IPv4)
		switch {
		case err != nil || !p.Addr().Is4():
			bad(path+"ipv4", "%q is no IPv4 address with its length; right is %q, or one such as %q", a.IPv4, DHCP, "192.168.1.2/24")
		case !unicast(p.Addr()):
			bad(path+"ipv4", "%v is no address for a box in a house; right is one such as %q", p.Addr(), "192.168.1.2/24")
		case p.Bits() < 8 || p.Bits() > 30:
			bad(path+"ipv4", "the length %d is out of range; right is 8 to 30, mostly 24", p.Bits())
		case p.Addr() == p.Masked().Addr() || p.Addr() == broadcast(p):
			bad(path+"ipv4", "%v is the address of the network %v itself; right is one between its first and its last", p.Addr(), p.Masked())
		default:
			ipv4 = p
		}
	}
	if a.Gateway != "" {
		g, err := netip.ParseAddr(a.Gateway)
		switch {
		case err != nil || !g.Is4():
			bad(path+"gateway", "%q is no IPv4 address; right is that of the router, such as %q", a.Gateway, "192.168.1.1")
		case a.IPv4 == DHCP:
			bad(path+"gateway", "DHCP tells the gateway; right is to leave this out, or to give ipv4 an address")
		case ipv4.IsValid() && (!ipv4.Contains(g) || g == ipv4.Addr() || g == ipv4.Masked().Addr() || g == broadcast(ipv4)):
			bad(path+"gateway", "%v is no other address of the network %v; right is that of the router", g, ipv4.Masked())
		}
	}
	if len(a.DNS) > MaxDNS {
		bad(path+"dns", "there are %d servers; right are %d at most", len(a.DNS), MaxDNS)
	}
	for i, server := range a.DNS {
		if d, err := netip.ParseAddr(server); err != nil || d.IsUnspecified() || d.IsMulticast() || slices.Contains(a.DNS[:i], server) {
			bad(path+"dns", "%q is no address of a server of its own; right is one such as %q", server, "192.168.1.1")
		}
	}
	if a.IPv6 != Auto && a.IPv6 != Off {
		p, err := netip.ParsePrefix(a.IPv6)
		switch {
		case err != nil || !p.Addr().Is6() || p.Addr().Is4In6():
			bad(path+"ipv6", "%q is no IPv6 address with its length; right is %q, %q, or one such as %q", a.IPv6, Auto, Off, "fd00::2/64")
		case !unicast(p.Addr()):
			bad(path+"ipv6", "%v is no address for a box in a house; right is one such as %q", p.Addr(), "fd00::2/64")
		case p.Bits() < 16 || p.Bits() > 127:
			bad(path+"ipv6", "the length %d is out of range; right is 16 to 127, mostly 64", p.Bits())
		default:
			ipv6 = p
		}
	}
	if a.IPv6Gateway != "" {
		g, err := netip.ParseAddr(a.IPv6Gateway)
		switch {
		case err != nil || !g.Is6() || g.Is4In6() || g.Zone() != "":
			bad(path+"ipv6_gateway", "%q is no IPv6 address; right is that of the router, such as %q", a.IPv6Gateway, "fe80::1")
		case a.IPv6 == Auto || a.IPv6 == Off:
			bad(path+"ipv6_gateway", "routers announce themselves; right is to leave this out, or to give ipv6 an address")
		case ipv6.IsValid() && (g == ipv6.Addr() || !ipv6.Contains(g) && !g.IsLinkLocalUnicast()):
			bad(path+"ipv6_gateway", "%v is no other address of the network %v; right is that of the router", g, ipv6.Masked())
		}
	}
}

func (w WiFi) problems(bad func(key, format string, args ...any)) {
	if c := w.Country; c != "" && (len(c) != 2 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		bad("wifi.country", "%q is no country; right are two capital letters, such as %q", c, "DE")
	}
	if len(w.SSID) > 32 || strings.ContainsRune(w.SSID, 0) {
		bad("wifi.ssid", "the name of a wireless network has 32 bytes at most")
	}
	switch n := len(w.Password); { // the value is secret
	case n == 0:
	case w.SSID == "":
		bad("wifi.password", "is of no use without wifi.ssid; right is the name of the network beside it")
	case n == 64:
		if _, err := hex.DecodeString(w.Password); err != nil {
			bad("wifi.password", "has 64 characters that are no hexadecimal digits; right are 8 to 63 characters, or a key of 64 hexadecimal digits")
		}
	case n < 8 || n > 63 || strings.ContainsFunc(w.Password, func(r rune) bool { return r < ' ' || r > '~' }):
		// IEEE Std 802.11-2020, J.4.1: 8 to 63 ASCII characters from 32 to 126.
		bad("wifi.password", "is no password of a wireless network; right are 8 to 63 characters without accents, or a key of 64 hexadecimal digits")
	}
}

// unicast reports whether a can be the address of one machine in a house.
func unicast(a netip.Addr) bool {
	return a.Zone() == "" && (a.IsGlobalUnicast() || a.Is4() && a.IsLinkLocalUnicast()) && !a.IsLoopback() && !(a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 224))
}

// broadcast is the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}
