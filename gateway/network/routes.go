package network

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Routers returns the IPv4 routers by which the machine reaches other networks, the
// preferred one first.
func Routers() []netip.Addr {
	text, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil
	}
	return parseRouters(string(text))
}

// parseRouters parses /proc/net/route: interface, destination, gateway, flags, and more, of
// which the mask is the eighth; numbers as the processor, little endian, has them in memory.
func parseRouters(text string) (routers []netip.Addr) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil || len(b) != 4 {
			continue
		}
		var a [4]byte
		binary.LittleEndian.PutUint32(a[:], binary.BigEndian.Uint32(b))
		if r := netip.AddrFrom4(a); !r.IsUnspecified() && !slices.Contains(routers, r) {
			routers = append(routers, r)
		}
	}
	return routers
}
