package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	lintelService = "_lintel._tcp.local." // as the box advertises it
	mdnsPort      = 5353
	maxFound      = 64  // boxes, and hosts
	maxAddresses  = 8   // of a host
	maxSaid       = 100 // bytes of a name
)

func discoverCommand() command {
	return command{
		name:  "discover",
		short: "find the boxes in this network",
		long: `It asks by multicast DNS, once a second. What answers comes of anybody in the network, without any proof.
A firewall of this machine may keep the answers away.

	lintelctl discover --json`,
		define: discover,
	}
}

// foundBox is a box as it says of itself.
type foundBox struct {
	Name      string       `json:"name"`
	URL       string       `json:"url"` // of its pages
	Host      string       `json:"host"`
	Addresses []netip.Addr `json:"addresses"`
	Model     string       `json:"model"`
	Version   string       `json:"version"`
	ID        string       `json:"id"`
	Claimed   *bool        `json:"claimed,omitempty"` // nil: it did not say
}

// discover finds boxes.
func discover(flags *flag.FlagSet) action {
	asJSON := jsonFlag(flags)
	wait := flags.Float64("for", 3, "`seconds` to wait for answers")
	return func(c *call, _ []string) error {
		if *wait <= 0 || *wait > 3600 {
			return fmt.Errorf("--for %v: right is up to 3600: %w", *wait, errUsage)
		}
		ctx, stop := interruptible()
		defer stop()
		ctx, cancel := context.WithTimeout(ctx, time.Duration(*wait*float64(time.Second)))
		defer cancel()
		links, err := openLinks()
		if err != nil {
			return err
		}
		boxes := ask(ctx, links)
		askClaimed(boxes)
		if *asJSON {
			return writeJSON(c.out, boxes)
		}
		return writeBoxes(c.out, boxes)
	}
}

func writeBoxes(w io.Writer, boxes []foundBox) error {
	if len(boxes) == 0 {
		_, err := fmt.Fprintln(w, "no box answers in this network")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tURL\tADDRESS\tMODEL\tVERSION\tCLAIMED")
	for _, b := range boxes {
		claimed := "?"
		if b.Claimed != nil {
			claimed = map[bool]string{true: "yes", false: "no"}[*b.Claimed]
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", b.Name, b.URL, b.Addresses[0], cmp.Or(b.Model, "-"), cmp.Or(b.Version, "-"), claimed)
	}
	return table.Flush()
}

// askLink is a socket of an address family on an interface. It has a port of its own: whoever
// answers multicast DNS answers that one alone (RFC 6762 §6.7), so that it goes beside
// whatever else has port 5353 on this machine.
type askLink struct {
	conn  net.PacketConn
	group net.Addr
	zone  string // of IPv6 addresses that come
}

// openLinks opens them where there is a network.
func openLinks() ([]askLink, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []askLink
	for _, i := range interfaces {
		if need := net.FlagUp | net.FlagMulticast; i.Flags&need != need || i.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // gone since it was listed
		}
		var v4, v6 bool
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok {
				v4, v6 = v4 || n.IP.To4() != nil, v6 || n.IP.To4() == nil
			}
		}
		if v4 {
			if conn, err := net.ListenPacket("udp4", ":0"); err == nil {
				p := ipv4.NewPacketConn(conn)
				p.SetMulticastTTL(255)
				if p.SetMulticastInterface(&i) == nil {
					links = append(links, askLink{conn, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: mdnsPort}, i.Name})
				} else {
					conn.Close()
				}
			}
		}
		if v6 {
			if conn, err := net.ListenPacket("udp6", ":0"); err == nil {
				p := ipv6.NewPacketConn(conn)
				p.SetMulticastHopLimit(255)
				if p.SetMulticastInterface(&i) == nil {
					links = append(links, askLink{conn, &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: mdnsPort, Zone: i.Name}, i.Name})
				} else {
					conn.Close()
				}
			}
		}
	}
	if len(links) == 0 {
		return nil, fmt.Errorf("this machine is in no network in which a box could be found")
	}
	return links, nil
}

// ask asks on links, which it closes, until ctx ends.
func ask(ctx context.Context, links []askLink) []foundBox {
	var mu sync.Mutex
	said := newAnswers()
	var reading sync.WaitGroup
	for _, l := range links {
		reading.Go(func() {
			buf := make([]byte, 9000) // RFC 6762 §17
			for {
				n, from, err := l.conn.ReadFrom(buf)
				if err != nil && ctx.Err() != nil {
					return
				}
				if err != nil {
					select { // an error that stays must not spin
					case <-ctx.Done():
						return
					case <-time.After(100 * time.Millisecond):
					}
					continue
				}
				if u, ok := from.(*net.UDPAddr); ok && u.Port == mdnsPort {
					mu.Lock()
					said.take(buf[:n], l.zone)
					mu.Unlock()
				}
			}
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		mu.Lock()
		queries := said.queries()
		mu.Unlock()
		for _, l := range links {
			for _, q := range queries {
				l.conn.WriteTo(q, l.group) // where it cannot be said, nobody answers
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	for _, l := range links {
		l.conn.Close()
	}
	reading.Wait()
	return said.boxes()
}

// said bounds what strangers say.
func said(s string) string {
	s = printable(strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > maxSaid {
		s = string(r[:maxSaid]) + "…"
	}
	return s
}

// askClaimed asks boxes whether somebody has claimed them.
func askClaimed(boxes []foundBox) {
	client := http.Client{Timeout: 3 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var asking sync.WaitGroup
	for i := range boxes {
		asking.Go(func() {
			b := &boxes[i]
			u, err := url.Parse(b.URL)
			if err != nil {
				return
			}
			port := cmp.Or(u.Port(), "80")
			u.Host, u.Path = net.JoinHostPort(b.Addresses[0].String(), port), "/api/pair"
			answer, err := client.Get(u.String())
			if err != nil {
				return
			}
			defer answer.Body.Close()
			var v struct{ Claimed *bool }
			if json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&v) == nil && answer.StatusCode == http.StatusOK {
				b.Claimed = v.Claimed
			}
		})
	}
	asking.Wait()
}
