package mdns

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

var houseInterface = net.Interface{Index: 2, Name: "eth0"}

func testZone() *zone {
	return newZone("lintel", []Service{{Instance: "Lintel A1", Type: "_mqtt._tcp", Port: 1883, Text: []string{`a=\`}}})
}

// Names written by this package must be spelled as package dns parses them:
// zeroconf compares spellings.
func TestEscapeLabel(t *testing.T) {
	for _, label := range []string{"Lintel A1B2C3", `a.b\c`, `it's "@" (2); ok`, "Küche \x7f", "plain"} {
		name := escapeLabel(label) + ".local."
		m := overTheWire(t, response(&dns.PTR{Hdr: header("x.local.", dns.TypePTR, dns.ClassINET, 1), Ptr: name}))
		if got := m.Answer[0].(*dns.PTR).Ptr; got != name {
			t.Errorf("%q is written %q and read %q", label, name, got)
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(wireLabels(b), label) {
			t.Errorf("%q is not on the wire: %q", label, b)
		}
	}
}

// wireLabels returns the labels of the data of the only record of a message.
func wireLabels(b []byte) []string {
	var out []string
	for i := headerSize + len("\x01x\x05local\x00") + 10; i < len(b) && b[i] > 0 && b[i] < 64; i += 1 + int(b[i]) {
		out = append(out, string(b[i+1:i+1+int(b[i])]))
	}
	return out
}

func TestAnnouncements(t *testing.T) {
	l := testLink("192.0.2.1/24")
	for _, test := range []struct {
		name string
		msgs []*dns.Msg
		want [][]string
	}{
		{"announcement", testZone().announcements(l), [][]string{
			{a1, "!" + reverse4 + " 120 PTR lintel.local."},
			{`_mqtt._tcp.local. 3200 PTR Lintel\ A1._mqtt._tcp.local.`, `!Lintel\ A1._mqtt._tcp.local. 3200 TXT "a=\\"`,
				`!Lintel\ A1._mqtt._tcp.local. 3200 SRV 0 0 1883 lintel.local.`,
				"_services._dns-sd._udp.local. 3200 PTR _mqtt._tcp.local."},
		}},
		{"goodbye", testZone().goodbyes(l), [][]string{
			{"!lintel.local. 0 A 192.0.2.1", "!" + reverse4 + " 0 PTR lintel.local."},
			{`_mqtt._tcp.local. 0 PTR Lintel\ A1._mqtt._tcp.local.`, `!Lintel\ A1._mqtt._tcp.local. 0 TXT "a=\\"`,
				`!Lintel\ A1._mqtt._tcp.local. 0 SRV 0 0 1883 lintel.local.`},
		}},
		{"withdrawal", []*dns.Msg{testZone().withdrawal(testLink("192.0.2.1/24", "192.0.2.3/24"), testLink("192.0.2.3/24", "fd00::1/64"))}, [][]string{
			{"lintel.local. 0 A 192.0.2.1", reverse4 + " 0 PTR lintel.local."},
		}},
	} {
		if len(test.msgs) != len(test.want) {
			t.Fatalf("%s: %d messages, want %d", test.name, len(test.msgs), len(test.want))
		}
		for i, m := range test.msgs {
			m = overTheWire(t, m)
			if got := showAll(m.Answer); !slices.Equal(got, test.want[i]) {
				t.Errorf("%s %d\n%q, want\n%q", test.name, i, got, test.want[i])
			}
			if !m.Response || !m.Authoritative {
				t.Errorf("%s %d: header %+v", test.name, i, m.MsgHdr)
			}
		}
	}
	if m := testZone().withdrawal(l, l); m != nil {
		t.Errorf("nothing is gone, yet withdrawn: %v", m)
	}
}

func TestBelittles(t *testing.T) {
	l := testLink("192.0.2.1/24")
	for _, test := range []struct {
		record string
		want   bool
	}{
		{`_mqtt._tcp.local. 0 IN PTR Lintel\ A1._mqtt._tcp.local.`, true},
		{`_MQTT._tcp.local. 0 IN PTR lintel\ a1._mqtt._tcp.local.`, true},
		{`_mqtt._tcp.local. 1599 IN PTR Lintel\ A1._mqtt._tcp.local.`, true},
		{`_mqtt._tcp.local. 1600 IN PTR Lintel\ A1._mqtt._tcp.local.`, false},
		{`_mqtt._tcp.local. 0 IN PTR Lintel\ A2._mqtt._tcp.local.`, false},
		{`Lintel\ A1._mqtt._tcp.local. 0 IN SRV 0 0 1883 lintel.local.`, true},
		{`Lintel\ A1._mqtt._tcp.local. 0 IN SRV 0 0 1883 lintel-2.local.`, false},
		{"_services._dns-sd._udp.local. 0 IN PTR _mqtt._tcp.local.", true},
		{"lintel.local. 0 IN A 192.0.2.1", true},
		{"lintel.local. 60 IN A 192.0.2.1", false},
		{"lintel.local. 0 IN A 192.0.2.2", false},
	} {
		rr := record(t, test.record)
		for _, flush := range []uint16{0, cacheFlush} {
			rr.Header().Class |= flush
			if got := testZone().belittles(overTheWire(t, response(rr)), l); got != test.want {
				t.Errorf("%s: %v", test.record, got)
			}
		}
	}
}

func TestConflicts(t *testing.T) {
	own := map[netip.Addr]bool{netip.MustParseAddr("192.0.2.1"): true, netip.MustParseAddr("198.51.100.1"): true}
	for _, test := range []struct {
		record   string
		host     bool
		services int
	}{
		{"lintel.local. 120 IN A 192.0.2.9", true, 0},
		{"LINTEL.local. 120 IN AAAA fd00::9", true, 0},
		{"lintel.local. 120 IN A 192.0.2.1", false, 0},
		{"lintel.local. 120 IN A 198.51.100.1", false, 0}, // of another own link
		{"lintel.local. 0 IN A 192.0.2.9", false, 0},      // goodbye
		{"transom.local. 120 IN A 192.0.2.9", false, 0},
		{`Lintel\ A1._mqtt._tcp.local. 120 IN SRV 0 0 1883 transom.local.`, false, 1},
		{`Lintel\ A1._mqtt._tcp.local. 120 IN SRV 0 0 1884 lintel.local.`, false, 1},
		{`Lintel\ A1._mqtt._tcp.local. 120 IN SRV 0 0 1883 LINTEL.local.`, false, 0},
		{`Lintel\ A1._http._tcp.local. 120 IN SRV 0 0 80 transom.local.`, false, 0},
	} {
		for _, m := range []*dns.Msg{{Answer: []dns.RR{record(t, test.record)}}, {Extra: []dns.RR{record(t, test.record)}}} {
			host, services := testZone().conflicts(m, own)
			if host != test.host || len(services) != test.services {
				t.Errorf("%s: host %v, services %v", test.record, host, services)
			}
		}
	}
}

// The rules of RFC 6762 section 8.2, with its example.
func TestSimultaneousProbes(t *testing.T) {
	z := newZone("MyPrinter", nil)
	for _, test := range []struct {
		ours   []string
		theirs []string
		loses  bool
	}{
		{[]string{"169.254.99.200/16"}, []string{"MyPrinter.local. 120 IN A 169.254.200.50"}, true},
		{[]string{"169.254.200.50/16"}, []string{"MyPrinter.local. 120 IN A 169.254.99.200"}, false},
		{[]string{"169.254.99.200/16"}, []string{"MYPRINTER.local. 120 IN A 169.254.99.200"}, false}, // the same
		{[]string{"192.0.2.1/24"}, []string{"MyPrinter.local. 120 IN A 192.0.2.1", "MyPrinter.local. 120 IN AAAA fd00::1"}, true},
		{[]string{"192.0.2.1/24", "fd00::1/64"}, []string{"MyPrinter.local. 120 IN A 192.0.2.1"}, false},
		{[]string{"192.0.2.1/24"}, []string{"Other.local. 120 IN A 192.0.2.200"}, false},
		{[]string{"192.0.2.1/24"}, nil, false},
	} {
		m := new(dns.Msg)
		for _, r := range test.theirs {
			m.Ns = append(m.Ns, record(t, r))
		}
		if got := z.loses(m, testLink(test.ours...)); got != test.loses {
			t.Errorf("%v against %v: loses is %v", test.ours, test.theirs, got)
		}
	}
}

func TestProbe(t *testing.T) {
	m := testZone().probe(testLink("192.0.2.1/24"))
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if m, err = parse(b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range m.Question {
		got = append(got, q.Name)
		if q.Qtype != dns.TypeANY || q.Qclass != dns.ClassINET {
			t.Errorf("question %v", q)
		}
	}
	if want := []string{"lintel.local.", `Lintel\ A1._mqtt._tcp.local.`, reverse4}; !slices.Equal(got, want) {
		t.Errorf("asks for %q, want %q", got, want)
	}
	want := []string{"lintel.local. 120 A 192.0.2.1", `Lintel\ A1._mqtt._tcp.local. 3200 SRV 0 0 1883 lintel.local.`}
	if got := showAll(m.Ns); m.Response || !slices.Equal(got, want) {
		t.Errorf("proposes %q, want %q", got, want)
	}
}

func TestClaim(t *testing.T) {
	c := claim{base: "lintel"}
	seen := map[string]bool{}
	for range 300 {
		seen[c.host()] = true
		c.next()
	}
	if !seen["lintel"] || !seen["lintel-2"] || !seen["lintel-99"] || len(seen) != 99 {
		t.Errorf("%d names: %v", len(seen), seen)
	}
	if got := (claim{"Lintel", 2}).instance(); got != "Lintel (2)" {
		t.Errorf("instance %q", got)
	}
}
