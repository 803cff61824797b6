package mdns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// holds checks that the cache is within its bounds and shows nothing that it must not.
func (c *testCache) holds() {
	c.t.Helper()
	for _, k := range c.links {
		count, strays := make(map[kind]int), 0
		for _, in := range k.instances {
			count[in.kind]++
		}
		for _, h := range k.hosts {
			if !h.stray.IsZero() {
				strays++
			}
			if len(h.addresses) > 2*maxAddresses {
				c.t.Fatalf("%d addresses of one host", len(h.addresses))
			}
		}
		for kind, n := range count {
			if n > maxInstances || n != k.count[kind] {
				c.t.Fatalf("%d instances of %v, counted as %d", n, kind, k.count[kind])
			}
		}
		// A host that lost its instance is a stray one until the next step.
		if strays != k.strays || len(k.hosts) > 2*maxInstances*len(c.kinds)+maxStrays {
			c.t.Fatalf("%d hosts, %d strays counted as %d", len(k.hosts), strays, k.strays)
		}
	}
	for _, f := range c.last {
		size := 0
		for _, s := range append(f.Text, f.Instance, f.Host) {
			if size += len(s); !isText(s) || s == "" {
				c.t.Fatalf("%q is shown", s)
			}
		}
		if size > maxText+400 || f.Port < 1 || f.Port > 65535 || len(f.Addresses) == 0 {
			c.t.Fatalf("%+v is shown", f)
		}
		for _, a := range f.Addresses {
			if a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsGlobalUnicast() && !a.IsPrivate() && !c.links[0].link.contains(a) {
				c.t.Fatalf("address %v is shown", a)
			}
		}
	}
}

// crowd is a response that announces many instances, each with a host of its own.
func crowd(service, prefix string, first, n int) *dns.Msg {
	m := response()
	for i := range n {
		name := fmt.Sprintf("%s%d.%s.local.", prefix, first+i, service)
		target := fmt.Sprintf("%s%d.local.", prefix, first+i)
		m.Answer = append(m.Answer,
			&dns.PTR{Hdr: header(service+".local.", dns.TypePTR, dns.ClassINET, 4500), Ptr: name},
			&dns.SRV{Hdr: header(name, dns.TypeSRV, uniqueClass, 4500), Port: 1, Target: target},
			&dns.TXT{Hdr: header(name, dns.TypeTXT, uniqueClass, 4500), Txt: []string{"a=1"}},
			&dns.A{Hdr: header(target, dns.TypeA, uniqueClass, 4500), A: net.IPv4(192, 0, 2, byte(i)).To4()})
	}
	return m
}

func TestHostile(t *testing.T) {
	l := testLink("192.0.2.7/24", "fd00::7/64")
	z := homeZone("home")
	in := &z.services[0]
	srv := func(change func(*dns.SRV)) dns.RR {
		rr := in.srv(z.host)
		change(rr)
		return rr
	}
	pointer := func(name string, ttl uint32) dns.RR {
		return &dns.PTR{Hdr: header(in.kind, dns.TypePTR, dns.ClassINET, ttl), Ptr: name}
	}
	text := func(n int) dns.RR {
		rr := &dns.TXT{Hdr: header(in.instance, dns.TypeTXT, uniqueClass, serviceTTL)}
		for range n {
			rr.Txt = append(rr.Txt, strings.Repeat("x", 255))
		}
		return rr
	}
	address := func(a string) dns.RR {
		return &dns.A{Hdr: header(z.host, dns.TypeA, uniqueClass, hostTTL), A: net.ParseIP(a).To4()}
	}
	chaos := dns.Copy(in.srv("evil.local."))
	chaos.Header().Class = dns.ClassCHAOS

	// Home Assistant is there, then this comes, and a minute later it is still
	// there as it was.
	for _, test := range []struct {
		name    string
		hostile []dns.RR
		refused bool
	}{
		{"giant text", []dns.RR{text(30)}, true},
		{"port 0", []dns.RR{srv(func(s *dns.SRV) { s.Port = 0 })}, true},
		{"target is the root", []dns.RR{srv(func(s *dns.SRV) { s.Target = "." })}, true},
		{"target on the internet", []dns.RR{srv(func(s *dns.SRV) { s.Target = "example.com." })}, true},
		{"target with markup", []dns.RR{srv(func(s *dns.SRV) { s.Target = `<b>.local.` })}, true},
		{"control character in the name", []dns.RR{pointer(`a\010b.`+in.kind, 120)}, true},
		{"no UTF-8 in the name", []dns.RR{pointer(`a\255b.`+in.kind, 120)}, true},
		{"name of another type", []dns.RR{pointer("a._mqtt._tcp.local.", 120)}, true},
		{"name of two labels", []dns.RR{pointer("a.b."+in.kind, 120)}, true},
		{"the type as its own instance", []dns.RR{pointer(in.kind, 120)}, true},
		{"the root as an instance", []dns.RR{pointer(".", 120)}, true},
		{"address of this machine", []dns.RR{address("127.0.0.1")}, true},
		{"address of everybody", []dns.RR{address("224.0.0.251")}, true},
		{"address of nobody", []dns.RR{address("0.0.0.0")}, true},
		{"address on the internet", []dns.RR{address("203.0.113.1")}, true},
		{"another class", []dns.RR{chaos}, false},
		{"a pointer where no service is", []dns.RR{&dns.PTR{Hdr: header("evil.local.", dns.TypePTR, uniqueClass, 120), Ptr: in.instance}}, false},
		{"goodbye of a stranger", []dns.RR{pointer("Stranger."+in.kind, 0)}, false},
		{"goodbye of another address", []dns.RR{&dns.A{Hdr: header(z.host, dns.TypeA, dns.ClassINET, 0), A: net.IPv4(192, 0, 2, 99).To4()}}, false},
		{"a crowd of another type", crowd("_mqtt._tcp", "x", 0, 50).Answer, true},
		{"strangers", crowd("_ipp._tcp", "x", 0, 100).Answer, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newTestCache(t, "192.0.2.1/24", "fd00::1/64")
			c.hear(z.announcements(l)...)
			c.pass(5 * time.Second)
			c.hear(response(test.hostile...))
			c.pass(time.Minute)
			c.holds()
			c.last = c.cache.found()
			if c.last = c.last[:min(1, len(c.last))]; true {
				c.want(home)
			}
			if (c.refused > 0) != test.refused {
				t.Errorf("%d records refused", c.refused)
			}
		})
	}
}

// Thousands of instances cost a bounded memory and a bounded traffic, and are
// forgotten.
func TestCrowd(t *testing.T) {
	c := newTestCache(t, "192.0.2.1/24")
	for i := range 100 {
		c.hear(crowd("_mqtt._tcp", "x", 30*i, 30), crowd("_home-assistant._tcp", "y", 30*i, 30))
		c.pass(time.Millisecond)
		c.holds()
	}
	c.pass(time.Second)
	if len(c.last) != len(browsed)*maxInstances {
		t.Errorf("%d instances are shown", len(c.last))
	}
	c.hear(homeZone("home").announcements(testLink("192.0.2.7/24"))...)
	c.pass(time.Second)
	asked := len(c.pass(maxTTL))
	if c.pass(time.Minute); len(c.last) != 0 || len(c.links[0].instances) != 0 || len(c.links[0].hosts) != 0 {
		t.Errorf("%d instances are left", len(c.links[0].instances))
	}
	// Each of the 64 has a PTR, an SRV, a TXT record, and A and AAAA of its
	// host; PTRs are asked for together.
	if limit := 2*maxInstances*refreshChecks*5 + 500; asked > limit {
		t.Errorf("asked %d questions, want at most %d", asked, limit)
	}
}

// Somebody says over and over that the service is elsewhere, for a second each time.
func TestFlicker(t *testing.T) {
	c := newTestCache(t, "192.0.2.1/24")
	z := homeZone("home")
	c.hear(z.announcements(testLink("192.0.2.7/24"))...)
	queries := 0
	for i := range 1000 {
		m := response(z.services[0].srv(fmt.Sprintf("evil%d.local.", i)), &dns.A{
			Hdr: header(z.host, dns.TypeA, uniqueClass, 1), A: net.IPv4(192, 0, 2, byte(i)).To4()})
		for _, rr := range m.Answer {
			rr.Header().Ttl = 1
		}
		c.hear(m)
		queries += len(c.pass(10 * time.Millisecond))
		c.holds()
	}
	if queries > 11*8 { // one packet a second
		t.Errorf("%d questions in ten seconds", queries)
	}
	c.hear(z.announcements(testLink("192.0.2.7/24"))...)
	c.pass(3 * time.Second)
	c.want(strings.Replace(home, " fd00::7", "", 1))
}

// FuzzBrowser gives any three packets to a cache: it stays within its bounds, shows
// nothing but text, asks with packets of one Ethernet frame and forgets everything in
// the end.
func FuzzBrowser(f *testing.F) {
	seed := func(msgs ...*dns.Msg) {
		var packets [3][]byte
		for i := range packets {
			var err error
			if packets[i], err = msgs[min(i, len(msgs)-1)].Pack(); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(packets[0], packets[1], packets[2], uint16(1500))
	}
	l := testLink("192.0.2.7/24", "fd00::7/64")
	z := homeZone("home")
	seed(z.announcements(l)...)
	seed(append(z.announcements(l), z.goodbyes(l)[1])...)
	seed(append(z.announcements(l), homeZone("other").announcements(l)[1])...)
	seed(crowd("_mqtt._tcp", "x", 0, 40), crowd("_home-assistant._tcp", "x", 0, 10))
	seed(response(append(z.services[0].records(z.host), &dns.TXT{
		Hdr: header(z.services[0].instance, dns.TypeTXT, uniqueClass, 1), Txt: []string{`\000\255`, ""}})...))
	f.Fuzz(func(t *testing.T, a, b, c []byte, pause uint16) {
		cache := newTestCache(t, "192.0.2.1/24", "fd00::1/64")
		for _, data := range [][]byte{a, b, c} {
			if m, err := parse(data); err == nil {
				cache.take(houseInterface.Index, m, cache.now)
			}
			cache.pass(time.Duration(pause) * time.Millisecond)
			cache.holds()
		}
		cache.pass(maxTTL + time.Minute)
		if k := cache.links[0]; len(cache.last) != 0 || len(k.instances) != 0 || len(k.hosts) != 0 {
			t.Fatalf("left are %v", cache.last)
		}
	})
}

// TestHostileNeighbour lets loose a neighbour that sends everything it can think of, at
// both responder and browser, over real sockets.
func TestHostileNeighbour(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	box, a := newNamespace(t, "box"), newNamespace(t, "a")
	connect(box, "lan0", a, "eth0")
	box.address("lan0", "192.0.2.1/24")
	a.address("eth0", "192.0.2.2/24")
	adv := box.startAdvertiser(Options{Host: "lintel", Services: house.Services[2:]})
	views := a.startBrowsers("_lintel._tcp")
	views.show("lintel.local:80 192.0.2.1 ")

	b := NewBrowser(BrowserOptions{Types: []string{"_lintel._tcp", "_mqtt._tcp"}, interfaces: func() ([]net.Interface, error) {
		iface, err := net.InterfaceByName("lan0")
		if err != nil {
			return nil, err
		}
		return []net.Interface{*iface}, nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		box.do(func() error { return b.Run(ctx) })
	}()
	defer func() { cancel(); <-done }()
	found := func() error {
		if f := b.Found("_lintel._tcp"); len(f) != 1 || f[0].Host != "lintel.local" || f[0].Port != 80 {
			return fmt.Errorf("found %v", f)
		}
		return nil
	}
	eventually(t, found)

	s, index := a.socket("eth0")
	defer s.close()
	near := testLink("192.0.2.2/24")
	pack := func(m *dns.Msg) []byte {
		p, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	z := newZone("lintel", house.Services[2:])
	words := [][]byte{
		{}, make([]byte, headerSize), make([]byte, 8972),
		append([]byte{0, 0, 0x84, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, 0xc0, 12, 0, 12, 0, 1),
		append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 0xc0, 12, 0, 1, 0, 1),
		pack(crowd("_mqtt._tcp", "x", 0, 40)),
		pack(newZone("other", house.Services[:2]).announcements(near)[1]),
		pack(new(dns.Msg).SetQuestion("lintel.local.", dns.TypeANY)),
	}
	for _, m := range z.goodbyes(testLink("192.0.2.1/24")) { // in the box's name
		words = append(words, pack(m))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 4000 {
		word := append([]byte(nil), words[i%len(words)]...)
		if i >= len(words) && len(word) > 3 { // each as it is first, then with noise beyond the names
			for range 1 + random.IntN(3) {
				word[2+random.IntN(len(word)-2)] = byte(random.IntN(256))
			}
		}
		if err := s.write(word, index, group4); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		if n := b.Dropped(); n["malformed"] == 0 || n["refused"] == 0 {
			return fmt.Errorf("left out are %v", n)
		}
		return found()
	})
	if n := len(b.Found("_mqtt._tcp")); n > maxInstances {
		t.Errorf("%d brokers", n)
	}
	// Responses from another port or from another network do not count.
	before := b.Dropped()["untrusted"]
	a.ask("lintel.local.", dns.TypeA, dns.ClassINET)
	var far net.PacketConn
	a.do(func() (err error) {
		far, err = net.ListenPacket("udp4", "192.0.2.2:0")
		return err
	})
	defer far.Close()
	eventually(t, func() error {
		if _, err := far.WriteTo(pack(crowd("_lintel._tcp", "z", 0, 5)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:5353"))); err != nil {
			t.Fatal(err)
		}
		if _, err := far.WriteTo(pack(crowd("_lintel._tcp", "z", 0, 5)), net.UDPAddrFromAddrPort(group4)); err != nil {
			t.Fatal(err)
		}
		if b.Dropped()["untrusted"] == before {
			return errors.New("nothing from another port was heard")
		}
		return found()
	})
	if err := adv.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, func() error {
		if f := b.Found("_lintel._tcp"); len(f) != 0 {
			return fmt.Errorf("after the stop there is %v", f)
		}
		return nil
	})
}
