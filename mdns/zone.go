package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	domain = "local."

	hostTTL = 120 // seconds; RFC 6762 section 10 for records with a host name in them
	// zeroconf's, for the service records: a record must come with the same
	// TTL from both responders.
	serviceTTL = 3200

	cacheFlush = 1 << 15 // in the class of a record: RFC 6762 section 10.2
	unicast    = 1 << 15 // in the class of a question, "QU": RFC 6762 section 5.4
)

// A zone is what this host owns: its name and its services, under the names in
// use after probing. All names in it are in the presentation format of package
// dns, so that they can be compared with parsed ones.
type zone struct {
	host      string // "lintel.local."
	services  []serviceNames
	noReverse bool // another responder of this machine owns the reverse names
}

type serviceNames struct {
	Service         // Instance is the one in use
	label    string // Instance, escaped
	instance string // "Lintel\ A1B2C3._mqtt._tcp.local."
	kind     string // "_mqtt._tcp.local."
}

func newZone(host string, services []Service) *zone {
	z := &zone{host: host + "." + domain}
	for _, s := range services {
		label := escapeLabel(s.Instance)
		z.services = append(z.services, serviceNames{
			Service:  s,
			label:    label,
			instance: label + "." + s.Type + "." + domain,
			kind:     s.Type + "." + domain,
		})
	}
	return z
}

// escapeLabel writes a label as package dns does when it parses one, which is
// how zeroconf compares it with the question: an unescaped "Lintel A1B2C3" is
// announced, and never resolved.
func escapeLabel(label string) string {
	var b strings.Builder
	for _, c := range []byte(label) {
		switch {
		case strings.IndexByte(`. '@;()"\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// escapeText does the same for TXT strings, in which only the backslash means
// something to package dns.
func escapeText(text []string) []string {
	out := make([]string, len(text))
	for i, t := range text {
		out[i] = strings.ReplaceAll(t, `\`, `\\`)
	}
	return out
}

func header(name string, rrtype uint16, class uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: class, Ttl: ttl}
}

const uniqueClass = dns.ClassINET | cacheFlush

// addresses returns the A and AAAA records of the host name on the link.
func (z *zone) addresses(l *link) []dns.RR {
	var rrs []dns.RR
	for _, a := range l.v4 {
		rrs = append(rrs, &dns.A{Hdr: header(z.host, dns.TypeA, uniqueClass, hostTTL), A: net.IP(a.AsSlice())})
	}
	for _, a := range l.v6 {
		rrs = append(rrs, &dns.AAAA{Hdr: header(z.host, dns.TypeAAAA, uniqueClass, hostTTL), AAAA: net.IP(a.AsSlice())})
	}
	return rrs
}

// pointers returns the reverse PTR records of the link's addresses.
func (z *zone) pointers(l *link) []dns.RR {
	if z.noReverse {
		return nil
	}
	var rrs []dns.RR
	for _, as := range [][]netip.Addr{l.v4, l.v6} {
		for _, a := range as {
			name, err := dns.ReverseAddr(a.String())
			if err != nil {
				continue // a netip.Addr without zone always has one
			}
			rrs = append(rrs, &dns.PTR{Hdr: header(name, dns.TypePTR, uniqueClass, hostTTL), Ptr: z.host})
		}
	}
	return rrs
}

// denials returns the NSEC records that say which types the names of the given
// records have, and thereby that they have no other (RFC 6762 section 6.1).
func denials(rrs []dns.RR) []dns.RR {
	var out []dns.RR
	byName := make(map[string]*dns.NSEC)
	for _, rr := range rrs { // in the order of types, as the bitmap must be
		h := rr.Header()
		n := byName[h.Name]
		if n == nil {
			n = &dns.NSEC{Hdr: header(h.Name, dns.TypeNSEC, uniqueClass, h.Ttl), NextDomain: h.Name}
			byName[h.Name] = n
			out = append(out, n)
		}
		if k := len(n.TypeBitMap); k == 0 || n.TypeBitMap[k-1] != h.Rrtype {
			n.TypeBitMap = append(n.TypeBitMap, h.Rrtype)
		}
	}
	return out
}

func (s *serviceNames) srv(host string) *dns.SRV {
	return &dns.SRV{Hdr: header(s.instance, dns.TypeSRV, uniqueClass, serviceTTL), Port: uint16(s.Port), Target: host}
}

// records returns what the service is made of. An empty TXT record is a single
// empty string (RFC 6763 section 6.1).
func (s *serviceNames) records(host string) []dns.RR {
	text := escapeText(s.Text)
	if len(text) == 0 {
		text = []string{""}
	}
	return []dns.RR{
		&dns.PTR{Hdr: header(s.kind, dns.TypePTR, dns.ClassINET, serviceTTL), Ptr: s.instance}, // shared: no cache-flush
		&dns.TXT{Hdr: header(s.instance, dns.TypeTXT, uniqueClass, serviceTTL), Txt: text},
		s.srv(host),
	}
}

// enumeration returns the record that says that there is such a type of service
// (RFC 6763 section 9). Every host with one has the same.
func (s *serviceNames) enumeration() dns.RR {
	return &dns.PTR{Hdr: header("_services._dns-sd._udp."+domain, dns.TypePTR, dns.ClassINET, serviceTTL), Ptr: s.kind}
}

func response(answer ...dns.RR) *dns.Msg {
	m := new(dns.Msg)
	m.Response, m.Authoritative, m.Compress = true, true, true
	m.Answer = answer
	return m
}

// announcements returns everything that this host owns on the link, unasked
// (RFC 6762 section 8.3).
func (z *zone) announcements(l *link) []*dns.Msg {
	rrs := append(z.addresses(l), z.pointers(l)...)
	msgs := []*dns.Msg{response(rrs...)}
	msgs[0].Extra = denials(z.addresses(l))
	for i := range z.services {
		s := &z.services[i]
		msgs = append(msgs, response(append(s.records(z.host), s.enumeration())...))
	}
	return msgs
}

// goodbyes takes everything back (RFC 6762 section 10.1).
func (z *zone) goodbyes(l *link) []*dns.Msg {
	msgs := z.announcements(l)
	for i, m := range msgs {
		m.Extra = nil
		if i > 0 {
			m.Answer = m.Answer[:len(m.Answer)-1] // others may have services of the type
		}
		for _, rr := range m.Answer {
			rr.Header().Ttl = 0
		}
	}
	return msgs
}

// withdrawal takes back the addresses that the link had and has no more, or
// returns nil. The cache-flush bit of the announcement that follows would not
// do it for a family that has no address left.
func (z *zone) withdrawal(before, now *link) *dns.Msg {
	keep := append(z.addresses(now), z.pointers(now)...)
	m := response()
	for _, rr := range append(z.addresses(before), z.pointers(before)...) {
		if !slices.ContainsFunc(keep, func(o dns.RR) bool { return dns.IsDuplicate(o, rr) }) {
			rr.Header().Ttl = 0
			// With the bit, this would flush the addresses that are still true.
			rr.Header().Class &^= cacheFlush
			m.Answer = append(m.Answer, rr)
		}
	}
	if len(m.Answer) == 0 {
		return nil
	}
	return m
}

// belittles reports whether a message takes back what this host has on the link, or
// lets it run out in less than half of its time, which calls for an announcement
// (RFC 6762 sections 6.6 and 10.1). A host that gives a name up to this one says
// goodbye to records that are this one's too, and so does zeroconf, on this machine,
// before it registers a service anew.
func (z *zone) belittles(m *dns.Msg, l *link) bool {
	var ours []dns.RR
	for _, rrs := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range rrs {
			if rr.Header().Ttl >= serviceTTL/2 {
				continue
			}
			if ours == nil {
				for _, msg := range z.announcements(l) {
					ours = append(ours, msg.Answer...)
				}
			}
			if slices.ContainsFunc(ours, func(o dns.RR) bool { return rr.Header().Ttl < o.Header().Ttl/2 && sameData(o, rr) }) {
				return true
			}
		}
	}
	return false
}

// sameData is like [dns.IsDuplicate], whatever the cache-flush bits.
func sameData(a, b dns.RR) bool {
	if a.Header().Rrtype != b.Header().Rrtype {
		return false
	}
	b = dns.Copy(b)
	b.Header().Class = b.Header().Class&^cacheFlush | a.Header().Class&cacheFlush
	return dns.IsDuplicate(a, b)
}
