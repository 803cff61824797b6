package lend

import (
	"context"
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

// deviceID is that of every port that is lent; the supervisor adds which it is.
const deviceID = "lend"

// Keys of the properties.
const (
	keyClient   = "client"
	keyReceived = "bytes_received"
	keySent     = "bytes_sent"
)

// device returns the device that shows the lease.
func device() serialbridge.Device {
	counter := func(key, name string) serialbridge.Property {
		return serialbridge.Property{Key: key, Name: name, Kind: serialbridge.Measurement, Unit: "B",
			Class: "data_size", StateClass: "total_increasing", Category: serialbridge.Diagnostic}
	}
	return serialbridge.Device{
		ID: deviceID, Name: "Lent port",
		Anonymous: true, // nothing is known of what is behind it
		WhenUsed:  true,
		Properties: []serialbridge.Property{
			{Key: keyClient, Name: "Client", Kind: serialbridge.State, Category: serialbridge.Diagnostic},
			counter(keyReceived, "Bytes received"),
			counter(keySent, "Bytes sent"),
		},
	}
}

// Driver returns the driver for a port that the user wants lent. If the options
// are wrong its Run says so. It has no decoder: what is said is not looked at.
func Driver(o Options) serialbridge.Driver {
	wrong := o.Check()
	allowed, _ := networks(o.Allow) // Check has said what is wrong
	if o.Line == "" {
		o.Line = defaultLine
	}
	counted := &counters{}
	line, lineErr := serialbridge.ParseLine(o.Line)
	d := serialbridge.Driver{
		Protocol: "lend",
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, _ <-chan serialbridge.Command) error {
			if wrong != nil {
				return fmt.Errorf("lend: %w", wrong)
			}
			listener, err := listen(ctx, o.Listen)
			if err != nil {
				return fmt.Errorf("lend the port at %s: %w (choose an address of this box that nobody uses)", o.Listen, err)
			}
			l := &lender{
				port: port, sink: sink,
				line: line, telnet: o.RFC2217, idle: o.Idle, allowed: allowed,
				t: defaultTiming(), counted: counted,
			}
			return l.serve(ctx, listener)
		},
	}
	if lineErr == nil {
		d.Lines = []serialbridge.Line{line}
	}
	return d
}
