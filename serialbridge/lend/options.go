package lend

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
)

const (
	defaultLine = "115200 8N1"
	minIdle     = time.Second
)

// Options of Driver: where and to whom one port is lent. Listen has no default:
// a port is lent to nobody unless the user says so.
type Options struct {
	Listen  string        `toml:"listen"`  // TCP address: 127.0.0.1:4001, or :4001 for all of the box's
	RFC2217 bool          `toml:"rfc2217"` // telnet with COM-PORT-OPTION in place of bare bytes
	Line    string        `toml:"line"`    // setting of the serial line; empty: 115200 8N1
	Idle    time.Duration `toml:"idle"`    // silence in both directions that ends a lease; 0: none does
	Allow   []string      `toml:"allow"`   // networks and addresses of clients; empty: this box and private networks
	Zigbee  string        `toml:"zigbee"`  // znp or ezsp: the port is a Zigbee coordinator, and the network is told of it (_zigbee-coordinator._tcp)
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	if o.Listen == "" {
		return errors.New("listen: say where, such as 127.0.0.1:4001, or :4001 for other machines too")
	}
	_, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen %q: write it as 127.0.0.1:4001 or :4001", o.Listen)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("listen %q: the port is a number from 1 to 65535", o.Listen)
	}
	if o.Idle != 0 && o.Idle < minIdle {
		return fmt.Errorf("idle %v: at least %v, or 0 for no end (write it with its unit: \"10m\")", o.Idle, minIdle)
	}
	switch o.Zigbee {
	case "":
	case "znp", "ezsp":
		if o.RFC2217 {
			return errors.New("zigbee: who looks for a coordinator wants bare bytes; take rfc2217 away")
		}
	default:
		return fmt.Errorf("zigbee %q: right is znp (Texas Instruments) or ezsp (Silicon Labs)", o.Zigbee)
	}
	if o.Line != "" {
		if _, err := serialbridge.ParseLine(o.Line); err != nil {
			return fmt.Errorf("line: %w", err)
		}
	}
	_, err = networks(o.Allow)
	return err
}

// networks reads the networks that clients may come from.
func networks(texts []string) ([]netip.Prefix, error) {
	if len(texts) == 0 {
		texts = []string{
			"127.0.0.0/8", "::1/128", // this box
			"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
			"fc00::/7",                    // RFC 4193
			"169.254.0.0/16", "fe80::/10", // the same cable: RFC 3927, RFC 4291
		}
	}
	var all []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			address, err = netip.ParseAddr(text)
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if err != nil || prefix.Addr().Is4In6() || strings.Contains(text, "%") {
			return nil, fmt.Errorf("allow %q: write it as 192.168.1.0/24 or 192.168.1.5", text)
		}
		all = append(all, prefix)
	}
	return all, nil
}
