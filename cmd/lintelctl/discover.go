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
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/miekg/dns"
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
	return func(c *call, args []string) error {
		switch {
		case len(args) > 0:
			return fmt.Errorf("unexpected %q: %w", args[0], errUsage)
		case *wait <= 0 || *wait > 3600:
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

// answers is what was said, by names in lower case.
type answers struct {
	instances map[string]string // the name as it was written
	places    map[string]*dns.SRV
	texts     map[string][]string
	addresses map[string][]netip.Addr
}

func newAnswers() *answers {
	return &answers{make(map[string]string), make(map[string]*dns.SRV), make(map[string][]string), make(map[string][]netip.Addr)}
}

// take takes in a packet that came over an interface.
func (a *answers) take(packet []byte, zone string) {
	var m dns.Msg
	if m.Unpack(packet) != nil || !m.Response {
		return
	}
	for _, r := range slices.Concat(m.Answer, m.Extra) {
		key := strings.ToLower(r.Header().Name)
		switch r := r.(type) {
		case *dns.PTR:
			if strings.EqualFold(key, lintelService) && strings.HasSuffix(strings.ToLower(r.Ptr), "."+lintelService) && len(a.instances) < maxFound {
				a.instances[strings.ToLower(r.Ptr)] = r.Ptr
			}
		case *dns.SRV:
			if strings.HasSuffix(key, "."+lintelService) && len(a.places) < maxFound {
				a.places[key] = r
			}
		case *dns.TXT:
			if strings.HasSuffix(key, "."+lintelService) && len(a.texts) < maxFound {
				a.texts[key] = r.Txt
			}
		case *dns.A:
			a.address(key, r.A, "")
		case *dns.AAAA:
			a.address(key, r.AAAA, zone)
		}
	}
}

func (a *answers) address(host string, ip net.IP, zone string) {
	address, ok := netip.AddrFromSlice(ip)
	if !ok {
		return
	}
	if address = address.Unmap(); address.IsLinkLocalUnicast() && address.Is6() {
		address = address.WithZone(zone)
	}
	known, ok := a.addresses[host]
	if len(known) >= maxAddresses || !ok && len(a.addresses) >= maxFound || slices.Contains(known, address) {
		return
	}
	a.addresses[host] = append(known, address)
}

// queries returns what to ask: for boxes, and for what is missing of those that are known.
func (a *answers) queries() [][]byte {
	questions := []dns.Question{{Name: lintelService, Qtype: dns.TypePTR}}
	for key, name := range a.instances {
		place := a.places[key]
		if place == nil || a.texts[key] == nil {
			questions = append(questions, dns.Question{Name: name, Qtype: dns.TypeSRV}, dns.Question{Name: name, Qtype: dns.TypeTXT})
		}
		if place != nil && len(a.addresses[strings.ToLower(place.Target)]) == 0 {
			questions = append(questions, dns.Question{Name: place.Target, Qtype: dns.TypeA}, dns.Question{Name: place.Target, Qtype: dns.TypeAAAA})
		}
	}
	var out [][]byte
	for some := range slices.Chunk(questions, 8) {
		for i := range some {
			some[i].Qclass = dns.ClassINET | 1<<15 // an answer to us alone is enough (RFC 6762 §5.4)
		}
		if packet, err := (&dns.Msg{Question: some}).Pack(); err == nil {
			out = append(out, packet)
		}
	}
	return out
}

// boxes returns those of which everything is known, sorted.
func (a *answers) boxes() []foundBox {
	boxes := []foundBox{}
	for key, name := range a.instances {
		place := a.places[key]
		if place == nil {
			continue
		}
		b := foundBox{Name: said(label(name)), Host: said(strings.TrimSuffix(place.Target, ".")), Addresses: slices.Clone(a.addresses[strings.ToLower(place.Target)])}
		if len(b.Addresses) == 0 {
			continue
		}
		slices.SortFunc(b.Addresses, func(x, y netip.Addr) int { // what can be typed first
			return cmp.Or(cmp.Compare(rank(x), rank(y)), x.Compare(y))
		})
		for _, t := range a.texts[key] {
			k, v, _ := strings.Cut(unescape(t), "=")
			switch v = said(v); strings.ToLower(k) {
			case "id":
				b.ID = v
			case "model":
				b.Model = v
			case "version":
				b.Version = v
			}
		}
		u := url.URL{Scheme: "http", Host: b.Host}
		if place.Port != 80 {
			u.Host = net.JoinHostPort(b.Host, strconv.Itoa(int(place.Port)))
		}
		b.URL = u.String()
		boxes = append(boxes, b)
	}
	slices.SortFunc(boxes, func(x, y foundBox) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Host, y.Host)) })
	return boxes
}

func rank(a netip.Addr) int {
	switch {
	case a.Is4() && !a.IsLinkLocalUnicast():
		return 0
	case a.Is4():
		return 1
	case !a.IsLinkLocalUnicast():
		return 2
	}
	return 3
}

// label returns the first label of a name, as it was before it was escaped.
func label(name string) string {
	return unescape(strings.TrimSuffix(name[:len(name)-len(lintelService)], "."))
}

// unescape undoes what the zone file format does to a text (RFC 1035 §5.1).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
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
