package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var house = Options{
	Host: "lintel",
	Services: []Service{
		{Instance: "Lintel A1B2C3", Type: "_mqtt._tcp", Port: 1883},
		{Instance: "Lintel A1B2C3", Type: "_http._tcp", Port: 80, Text: []string{"path=/"}},
		{Instance: "Lintel A1B2C3", Type: "_lintel._tcp", Port: 80, Text: []string{"id=a1b2c3d4e5f6", `name=Lintel "A1B2C3" \o/`}},
	},
}

// sees checks what avahi in the namespace finds: the host and the services,
// with this link's addresses and no other.
func (n *namespace) sees(iface, host, v4, v6 string) {
	n.t.Helper()
	eventually(n.t, func() error {
		for flag, addr := range map[string]string{"-4": v4, "-6": v6} {
			if out := n.output("avahi-resolve", flag, "-n", host+".local"); strings.TrimSpace(out) != host+".local\t"+addr {
				return fmt.Errorf("avahi-resolve %s in %s: %q, want %s", flag, n.name, out, addr)
			}
		}
		for _, s := range house.Services {
			out := n.output("avahi-browse", "-rptk", s.Type)
			for _, want := range []string{ // found over both; avahi resolves to whichever address it has first
				fmt.Sprintf(`=;%s;IPv4;Lintel\032A1B2C3;%s;local;%s.local;`, iface, s.Type, host),
				fmt.Sprintf(`=;%s;IPv6;Lintel\032A1B2C3;%s;local;%s.local;`, iface, s.Type, host),
				fmt.Sprintf(";%d;", s.Port),
			} {
				if !strings.Contains(out, want) {
					return fmt.Errorf("avahi-browse %s in %s lacks %q:\n%s", s.Type, n.name, want, out)
				}
			}
			for _, text := range s.Text {
				if !strings.Contains(out, fmt.Sprintf("%q", text)) { // avahi quotes as Go does
					return fmt.Errorf("avahi-browse %s in %s lacks the text %q:\n%s", s.Type, n.name, text, out)
				}
			}
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "=") && !strings.Contains(line, ";"+v4+";") && !strings.Contains(line, ";"+v6+";") {
					return fmt.Errorf("avahi-browse %s in %s shows an address of another link: %s", s.Type, n.name, line)
				}
			}
		}
		return nil
	})
}

// TestAvahi holds the advertiser against avahi on both of its links: names and
// services are found with the right addresses, a changed address is seen, a
// link goes and comes, and everything is gone after the stop.
func TestAvahi(t *testing.T) {
	needNamespaces(t, "avahi-daemon", "avahi-browse", "avahi-resolve", "dbus-daemon")
	t.Parallel()
	box, a, b := newNamespace(t, "box"), newNamespace(t, "a"), newNamespace(t, "b")

	adv := box.startAdvertiser(house) // before there is any interface
	adv.line("lintel")
	connect(box, "lan0", a, "eth0")
	connect(box, "lan1", b, "eth0")
	box.address("lan0", "192.0.2.1/24", "fd00:a::1/64")
	box.address("lan1", "198.51.100.1/24", "fd00:b::1/64")
	a.address("eth0", "192.0.2.2/24", "fd00:a::2/64")
	b.address("eth0", "198.51.100.2/24", "fd00:b::2/64")

	a.startAvahi("desk")
	a.sees("eth0", "lintel", "192.0.2.1", "fd00:a::1")
	b.startAvahi("bench") // hears no announcement any more: everything is asked for
	b.sees("eth0", "lintel", "198.51.100.1", "fd00:b::1")

	for _, addr := range []string{"192.0.2.1", "fd00:a::1"} {
		eventually(t, func() error {
			if out := a.output("avahi-resolve", "-a", addr); strings.TrimSpace(out) != addr+"\tlintel.local" {
				return fmt.Errorf("avahi-resolve -a: %q", out)
			}
			return nil
		})
	}

	m := a.ask("Lintel.local.", dns.TypeA, dns.ClassINET)
	if got, want := showAll(m.Answer), "lintel.local. 10 A 192.0.2.1"; len(m.Question) != 1 || len(got) != 1 || got[0] != want {
		t.Errorf("a plain resolver gets %v, want %s", m, want)
	}
	// zeroconf must know the instance by the name that it is asked for.
	m = a.ask(`Lintel\ A1B2C3._mqtt._tcp.local.`, dns.TypeSRV, dns.ClassINET|unicast)
	if got, want := show(m.Answer[0]), `!Lintel\ A1B2C3._mqtt._tcp.local. 3200 SRV 0 0 1883 lintel.local.`; got != want {
		t.Errorf("the service resolves to %s, want %s", got, want)
	}

	box.run("ip", "address", "del", "192.0.2.1/24", "dev", "lan0")
	box.address("lan0", "192.0.2.77/24")
	a.sees("eth0", "lintel", "192.0.2.77", "fd00:a::1")
	b.sees("eth0", "lintel", "198.51.100.1", "fd00:b::1")

	box.run("ip", "link", "set", "lan1", "down")
	a.sees("eth0", "lintel", "192.0.2.77", "fd00:a::1")
	box.run("ip", "link", "set", "lan1", "up")
	box.address("lan1", "fd00:b::9/64") // the kernel dropped the IPv6 address with the link
	b.sees("eth0", "lintel", "198.51.100.1", "fd00:b::9")

	box.run("ip", "link", "del", "lan1") // and an adapter is pulled out and put in again
	connect(box, "lan1", b, "eth0")
	box.address("lan1", "198.51.100.7/24", "fd00:b::7/64")
	b.address("eth0", "198.51.100.2/24", "fd00:b::2/64")
	b.sees("eth0", "lintel", "198.51.100.7", "fd00:b::7")

	// avahi asks for the name, is told that it is taken, and takes another.
	a.output("avahi-set-host-name", "lintel")
	eventually(t, func() error {
		out := a.output("avahi-resolve", "-4", "-n", "lintel-2.local", "lintel.local")
		if sorted(out) != sorted("lintel-2.local\t192.0.2.2\nlintel.local\t192.0.2.77\n") {
			return fmt.Errorf("after a probe for the name: %q", out)
		}
		return nil
	})

	if err := adv.stop(); err != nil {
		t.Errorf("the advertiser ended with %v", err)
	}
	for _, n := range []*namespace{a, b} {
		eventually(t, func() error {
			if out := n.output("avahi-browse", "-pt", "_mqtt._tcp"); strings.Contains(out, "Lintel") {
				return fmt.Errorf("still there after the goodbye: %s", out)
			}
			return nil
		})
	}
	if out := a.output("avahi-resolve", "-4", "-n", "lintel.local"); !strings.Contains(out, "Timeout reached") {
		t.Errorf("avahi-resolve after the goodbye: %q", out)
	}
}

// TestLateConflict makes a neighbour of this package's own parts that claims
// the name after it was taken, and insists.
func TestLateConflict(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	box, a := newNamespace(t, "box"), newNamespace(t, "a")
	connect(box, "lan0", a, "eth0")
	box.address("lan0", "192.0.2.1/24")
	a.address("eth0", "192.0.2.2/24")

	s, index := a.socket("eth0")
	defer s.close()
	claim, err := response(newZone("lintel", nil).addresses(testLink("192.0.2.2/24"))...).Pack()
	if err != nil {
		t.Fatal(err)
	}

	box.startAdvertiser(Options{Host: "lintel", Services: house.Services[:1]})
	var heard []string // what it says, each once
	buf := make([]byte, maxPacket)
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		s.conn.SetReadDeadline(time.Now().Add(time.Second))
		n, _, _, src, err := s.recv(buf)
		if err == nil {
			if !src.(*net.UDPAddr).IP.Equal(net.IPv4(192, 0, 2, 1)) {
				continue // the own words
			}
			m, err := parse(buf[:n])
			if err != nil {
				t.Fatal(err)
			}
			for _, rr := range append(m.Answer, m.Ns...) {
				what := fmt.Sprintf("%v %s", m.Response, show(rr))
				if !slices.Contains(heard, what) {
					heard = append(heard, what)
				}
			}
		}
		if !slices.Contains(heard, "true "+a1) {
			continue // let it have the name first
		}
		if slices.Contains(heard, `true !lintel-2.local. 120 A 192.0.2.1`) &&
			slices.Contains(heard, `true !Lintel\ A1B2C3._mqtt._tcp.local. 3200 SRV 0 0 1883 lintel-2.local.`) {
			return
		}
		if err := s.write(claim, index, group4); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("the name was not given up; heard\n%s", strings.Join(heard, "\n"))
}

// ask sends a question as a plain DNS resolver does, from a port of its own, and
// returns the answer that comes back to it.
func (n *namespace) ask(name string, qtype, class uint16) *dns.Msg {
	n.t.Helper()
	var conn *net.UDPConn
	n.do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2)})
		return err
	})
	defer conn.Close()
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.Question[0].Qclass = class
	b, err := q.Pack()
	if err != nil {
		n.t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	var k int
	var from netip.AddrPort
	eventually(n.t, func() error { // a packet may get lost
		if _, err := conn.WriteToUDPAddrPort(b, group4); err != nil {
			n.t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		if k, from, err = conn.ReadFromUDPAddrPort(buf); err != nil {
			return fmt.Errorf("no answer for %s: %w", name, err)
		}
		return nil
	})
	if want := netip.MustParseAddrPort("192.0.2.1:5353"); from != want {
		n.t.Errorf("answer from %v, want %v", from, want)
	}
	m := new(dns.Msg)
	if err := m.Unpack(buf[:k]); err != nil {
		n.t.Fatal(err)
	}
	if m.Id != q.Id || len(m.Answer) == 0 {
		n.t.Fatalf("answer %v to %v", m, q)
	}
	return m
}

// TestNameTaken lets avahi have the host name first.
func TestNameTaken(t *testing.T) {
	needNamespaces(t, "avahi-daemon", "avahi-browse", "avahi-resolve", "dbus-daemon")
	t.Parallel()
	box, a := newNamespace(t, "box"), newNamespace(t, "a")
	connect(box, "lan0", a, "eth0")
	box.address("lan0", "192.0.2.1/24", "fd00:a::1/64")
	a.address("eth0", "192.0.2.2/24", "fd00:a::2/64")
	a.startAvahi("lintel")

	box.startAdvertiser(house).line("lintel-2")
	a.sees("eth0", "lintel-2", "192.0.2.1", "fd00:a::1")
	if out := a.output("avahi-resolve", "-4", "-n", "lintel.local"); strings.TrimSpace(out) != "lintel.local\t192.0.2.2" {
		t.Errorf("the owner of the name resolves to %q", out)
	}
}

// TestTwins starts two boxes of the same name at the same moment, one of them
// on a machine that has avahi: one keeps the name, and avahi is not disturbed.
func TestTwins(t *testing.T) {
	needNamespaces(t, "avahi-daemon", "avahi-browse", "avahi-resolve", "dbus-daemon")
	t.Parallel()
	box, a := newNamespace(t, "box"), newNamespace(t, "a")
	connect(box, "lan0", a, "eth0")
	box.address("lan0", "192.0.2.1/24")
	a.address("eth0", "192.0.2.2/24")
	a.startAvahi("desk")

	services := Options{Host: "lintel", Services: house.Services[:1]}
	first, second := box.startAdvertiser(services), a.startAdvertiser(services)
	select {
	case <-renamed(first):
	case <-renamed(second):
	case <-time.After(20 * time.Second):
		t.Fatal("neither took another name")
	}

	eventually(t, func() error {
		got := a.output("avahi-resolve", "-4", "-n", "lintel.local", "lintel-2.local", "desk.local")
		one := "lintel.local\t192.0.2.1\nlintel-2.local\t192.0.2.2\n"
		two := "lintel.local\t192.0.2.2\nlintel-2.local\t192.0.2.1\n"
		if got = sorted(got); got != sorted(one+"desk.local\t192.0.2.2\n") && got != sorted(two+"desk.local\t192.0.2.2\n") {
			return fmt.Errorf("hosts: %q", got)
		}
		out := a.output("avahi-browse", "-rptk", "_mqtt._tcp")
		for _, want := range []string{`;Lintel\032A1B2C3;`, `;Lintel\032A1B2C3\032\0402\041;`, ";192.0.2.1;1883;", ";192.0.2.2;1883;"} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("services lack %q:\n%s", want, out)
			}
		}
		return nil
	})
	if out := a.output("avahi-resolve", "-a", "192.0.2.2"); strings.TrimSpace(out) != "192.0.2.2\tdesk.local" {
		t.Errorf("avahi on the same machine lost its reverse name: %q", out)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	if err := second.stop(); err != nil {
		t.Error(err)
	}
}

// renamed is closed when the advertiser took its second name.
func renamed(p *process) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		for l := range p.lines {
			if l == "lintel-2" {
				close(done)
				return
			}
		}
	}()
	return done
}

func sorted(lines string) string {
	s := strings.Split(strings.TrimSpace(lines), "\n")
	slices.Sort(s)
	return strings.Join(s, "\n")
}
