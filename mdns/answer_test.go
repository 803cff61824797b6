package mdns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func testLink(addrs ...string) *link {
	var ps []netip.Prefix
	for _, a := range addrs {
		ps = append(ps, netip.MustParsePrefix(a))
	}
	l := newLink(houseInterface, ps)
	return &l
}

// show writes a record as "name TTL type data", with a "!" where it has the
// cache-flush bit.
func show(rr dns.RR) string {
	flush := ""
	rr = dns.Copy(rr)
	if rr.Header().Class&cacheFlush != 0 {
		flush = "!"
		rr.Header().Class &^= cacheFlush
	}
	return flush + strings.ReplaceAll(strings.ReplaceAll(rr.String(), "\t", " "), " IN ", " ")
}

func showAll(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		out = append(out, show(rr))
	}
	return out
}

func record(t *testing.T, s string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

const (
	a1       = "!lintel.local. 120 A 192.0.2.1"
	aaaa1    = "!lintel.local. 120 AAAA fd00::1"
	nsecBoth = "!lintel.local. 120 NSEC lintel.local. A AAAA"
	nsecA    = "!lintel.local. 120 NSEC lintel.local. A"
	nsecAAAA = "!lintel.local. 120 NSEC lintel.local. AAAA"
	reverse4 = "1.2.0.192.in-addr.arpa."
	reverse6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."
)

func TestAnswer(t *testing.T) {
	var (
		both   = []string{"192.0.2.1/24", "fd00::1/64", "fe80::1/64"}
		group  = origin{netip.MustParseAddrPort("192.0.2.9:5353"), true}
		legacy = origin{netip.MustParseAddrPort("192.0.2.9:40000"), true}
		far    = origin{netip.MustParseAddrPort("203.0.113.9:5353"), true}
	)
	type want struct {
		to            string // empty for the group
		answer, extra []string
	}
	in, qu := uint16(dns.ClassINET), uint16(dns.ClassINET|unicast)
	question := func(name string, qtype, class uint16) dns.Question {
		return dns.Question{Name: name, Qtype: qtype, Qclass: class}
	}
	tests := []struct {
		name      string
		addrs     []string
		questions []dns.Question
		known     []string
		ns        []string
		from      origin
		want      []want
	}{
		{name: "A", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: group,
			want: []want{{"", []string{a1}, []string{aaaa1}}}},
		{name: "AAAA leaves link-local out", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeAAAA, in)}, from: group,
			want: []want{{"", []string{aaaa1}, []string{a1}}}},
		{name: "AAAA link-local if it is all", addrs: []string{"fe80::1/64"}, questions: []dns.Question{question("lintel.local.", dns.TypeAAAA, in)}, from: group,
			want: []want{{"", []string{"!lintel.local. 120 AAAA fe80::1"}, []string{nsecAAAA}}}},
		{name: "ANY", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeANY, in)}, from: group,
			want: []want{{"", []string{a1, aaaa1}, nil}}},
		{name: "class ANY", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeANY, dns.ClassANY)}, from: group,
			want: []want{{"", []string{a1, aaaa1}, nil}}},
		{name: "other class", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, dns.ClassCHAOS)}, from: group},
		{name: "no AAAA", addrs: both[:1], questions: []dns.Question{question("lintel.local.", dns.TypeAAAA, in)}, from: group,
			want: []want{{"", []string{nsecA}, nil}}},
		{name: "A, and no AAAA", addrs: both[:1], questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: group,
			want: []want{{"", []string{a1}, []string{nsecA}}}},
		{name: "no HTTPS", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeHTTPS, in)}, from: group,
			want: []want{{"", []string{nsecBoth}, nil}}},
		{name: "NSEC", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeNSEC, in)}, from: group,
			want: []want{{"", []string{nsecBoth}, nil}}},
		{name: "reverse", addrs: both, questions: []dns.Question{question(reverse4, dns.TypePTR, in), question(reverse6, dns.TypePTR, in)}, from: group,
			want: []want{{"", []string{"!" + reverse4 + " 120 PTR lintel.local.", "!" + reverse6 + " 120 PTR lintel.local."}, nil}}},
		{name: "reverse of another", addrs: both, questions: []dns.Question{question("2.2.0.192.in-addr.arpa.", dns.TypePTR, in)}, from: group},
		{name: "reverse other type", addrs: both, questions: []dns.Question{question(reverse4, dns.TypeTXT, in)}, from: group,
			want: []want{{"", []string{"!" + reverse4 + " 120 NSEC " + reverse4 + " PTR"}, nil}}},
		{name: "other name", addrs: both, questions: []dns.Question{question("transom.local.", dns.TypeA, in)}, from: group},
		{name: "mixed case", addrs: both, questions: []dns.Question{question("LinTel.LOCAL.", dns.TypeA, in)}, from: group,
			want: []want{{"", []string{a1}, []string{aaaa1}}}},
		{name: "asked twice, answered once", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in), question("lintel.local.", dns.TypeA, in)}, from: group,
			want: []want{{"", []string{a1}, []string{aaaa1}}}},
		{name: "several addresses", addrs: []string{"192.0.2.2/24", "192.0.2.1/24"}, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: group,
			want: []want{{"", []string{a1, "!lintel.local. 120 A 192.0.2.2"}, []string{nsecA}}}},

		{name: "QU", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, qu)}, from: group,
			want: []want{{"192.0.2.9:5353", []string{a1}, []string{aaaa1}}}},
		{name: "QU and QM", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, qu), question("lintel.local.", dns.TypeAAAA, in)}, from: group,
			want: []want{{"", []string{aaaa1}, []string{a1}}, {"192.0.2.9:5353", []string{a1}, []string{aaaa1}}}},
		{name: "QU from elsewhere goes to the group", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, qu)}, from: far,
			want: []want{{"", []string{a1}, []string{aaaa1}}}},
		{name: "sent to this host", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: origin{group.src, false},
			want: []want{{"192.0.2.9:5353", []string{a1}, []string{aaaa1}}}},
		{name: "sent to this host from elsewhere", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: origin{far.src, false}},

		{name: "legacy", addrs: both, questions: []dns.Question{question("LINTEL.local.", dns.TypeA, in)}, from: legacy,
			want: []want{{"192.0.2.9:40000", []string{"lintel.local. 10 A 192.0.2.1"}, []string{"lintel.local. 10 AAAA fd00::1"}}}},
		{name: "legacy from elsewhere", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)},
			from: origin{netip.MustParseAddrPort("203.0.113.9:40000"), true}},

		{name: "known", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: group,
			known: []string{"LINTEL.local. 60 IN A 192.0.2.1"}},
		{name: "known, half gone", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: group,
			known: []string{"lintel.local. 59 IN A 192.0.2.1"},
			want:  []want{{"", []string{a1}, []string{aaaa1}}}},
		{name: "known, other data", addrs: both, questions: []dns.Question{question("lintel.local.", dns.TypeA, in)}, from: group,
			known: []string{"lintel.local. 120 IN A 192.0.2.7", "lintel.local. 120 IN AAAA fd00::1"},
			want:  []want{{"", []string{a1}, nil}}},

		{name: "probe for an instance", addrs: both, questions: []dns.Question{question(`Lintel\ A1._mqtt._tcp.local.`, dns.TypeANY, in)}, from: group,
			ns: []string{`Lintel\ A1._mqtt._tcp.local. 120 IN SRV 0 0 1883 other.local.`},
			want: []want{{"", []string{`!Lintel\ A1._mqtt._tcp.local. 3200 TXT "a=1"`,
				`!Lintel\ A1._mqtt._tcp.local. 3200 SRV 0 0 1883 lintel.local.`}, nil}}},
		{name: "an instance is zeroconf's", addrs: both, questions: []dns.Question{question(`Lintel\ A1._mqtt._tcp.local.`, dns.TypeANY, in)}, from: group},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			z := newZone("lintel", []Service{{Instance: "Lintel A1", Type: "_mqtt._tcp", Port: 1883, Text: []string{"a=1"}}})
			q := new(dns.Msg)
			q.Id = 77
			q.Question = test.questions
			for _, k := range test.known {
				q.Answer = append(q.Answer, record(t, k))
			}
			for _, k := range test.ns {
				q.Ns = append(q.Ns, record(t, k))
			}
			b, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if q, err = parse(b); err != nil {
				t.Fatal(err)
			}
			replies := z.answer(q, testLink(test.addrs...), test.from)
			if len(replies) != len(test.want) {
				t.Fatalf("%d replies, want %d: %v", len(replies), len(test.want), replies)
			}
			for i, w := range test.want {
				r := replies[i]
				m := overTheWire(t, r.msg)
				if got := showAll(m.Answer); !slices.Equal(got, w.answer) {
					t.Errorf("answer\n%q, want\n%q", got, w.answer)
				}
				if got := showAll(m.Extra); !slices.Equal(got, w.extra) {
					t.Errorf("additional\n%q, want\n%q", got, w.extra)
				}
				if !m.Response || !m.Authoritative || m.Truncated || m.RecursionAvailable {
					t.Errorf("header %+v", m.MsgHdr)
				}
				id, questions := uint16(0), 0
				if w.to == "" {
					if r.to.IsValid() {
						t.Errorf("goes to %v, want the group", r.to)
					}
				} else {
					id = 77
					if r.to != netip.MustParseAddrPort(w.to) {
						t.Errorf("goes to %v, want %s", r.to, w.to)
					}
				}
				if test.from == legacy {
					questions = len(test.questions)
				}
				if m.Id != id || len(m.Question) != questions {
					t.Errorf("id %d and %d questions, want %d and %d", m.Id, len(m.Question), id, questions)
				}
				if r.defend != (test.ns != nil) {
					t.Errorf("defend is %v", r.defend)
				}
			}
		})
	}
}

func overTheWire(t *testing.T, m *dns.Msg) *dns.Msg {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if m, err = parse(b); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParseRefuses(t *testing.T) {
	many := make([]byte, headerSize)
	many[4] = 2 // 512 questions
	update := make([]byte, headerSize)
	update[2] = dns.OpcodeUpdate << 3
	failed := make([]byte, headerSize)
	failed[3] = dns.RcodeNameError
	for name, data := range map[string][]byte{
		"empty":        nil,
		"short":        make([]byte, headerSize-1),
		"long":         make([]byte, maxPacket+1),
		"questions":    many,
		"opcode":       update,
		"rcode":        failed,
		"pointer loop": append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 0xc0, 12, 0, 1, 0, 1),
		"cut":          append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 6, 'l', 'i', 'n'),
	} {
		if m, err := parse(data); err == nil {
			t.Errorf("%s: parsed as %v", name, m)
		}
	}
}

// FuzzPacket gives any packet to everything that looks at one. Whatever comes
// back must be a valid message within one Ethernet frame, and have only this
// host's records in it.
func FuzzPacket(f *testing.F) {
	z := newZone("lintel", []Service{{Instance: "Lintel A1", Type: "_mqtt._tcp", Port: 1883, Text: []string{"a=1"}}})
	var addrs []string
	for _, a := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		addrs = append(addrs, "192.0.2."+a+"/24", "2001:db8:1:2:3:4:5:"+a+"/64")
	}
	l := testLink(addrs...)
	own := map[netip.Addr]bool{netip.MustParseAddr("192.0.2.1"): true}
	src := []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.9:5353"), netip.MustParseAddrPort("[fe80::9]:5353"),
		netip.MustParseAddrPort("192.0.2.9:53"), netip.MustParseAddrPort("203.0.113.1:5353"),
	}

	seeds := append(z.announcements(l), z.goodbyes(l)...)
	seeds = append(seeds, z.probe(l))
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeHTTPS, dns.TypePTR} {
		q := new(dns.Msg).SetQuestion("lintel.local.", qtype)
		q.Question = append(q.Question, dns.Question{Name: reverse4, Qtype: dns.TypePTR, Qclass: dns.ClassINET | unicast})
		q.Answer = z.addresses(l)
		seeds = append(seeds, q)
	}
	for _, m := range seeds {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(0))
		f.Add(b, byte(6))
	}

	f.Fuzz(func(t *testing.T, data []byte, how byte) {
		m, err := parse(data)
		if err != nil {
			return
		}
		z.conflicts(m, own)
		z.loses(m, l)
		z.yields(m, l)
		z.belittles(m, l)
		from := origin{src[how&3], how&4 == 0}
		replies := z.answer(m, l, from)
		if len(replies) > 2 {
			t.Fatalf("%d replies", len(replies))
		}
		for _, r := range replies {
			if r.to.IsValid() && r.to != from.src {
				t.Fatalf("reply goes to %v", r.to)
			}
			questions := len(r.msg.Question)
			b, err := r.msg.Pack()
			if err != nil {
				t.Fatalf("packing %v: %v", r.msg, err)
			}
			if questions == 0 && len(b) > 1440 {
				t.Fatalf("reply of %d bytes", len(b))
			}
			if len(r.msg.Answer) == 0 {
				t.Fatal("empty reply")
			}
			for _, rr := range append(r.msg.Answer, r.msg.Extra...) {
				name := rr.Header().Name
				if name != z.host && name != z.services[0].instance && !strings.HasSuffix(name, ".arpa.") {
					t.Fatalf("answered for %q", name)
				}
			}
		}
	})
}
