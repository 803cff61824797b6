package mdns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A claim is a name that another host may have already.
type claim struct {
	base string
	n    int // 0 for the name itself, then 2, 3 and so on
}

// claims are all names of this host: its own, and one for each service.
type claims struct {
	host     claim
	services []claim
}

// newClaims returns the names that this host had the last time.
func newClaims(o *Options) claims {
	c := claims{host: claim{base: o.Host}}
	c.host.recall(o.Renamed[o.Host], claim.host)
	for _, s := range o.Services {
		k := claim{base: s.Instance}
		k.recall(o.Renamed[s.Instance+"."+s.Type], claim.instance)
		c.services = append(c.services, k)
	}
	return c
}

// recall takes the name of the claim that was in use.
func (c *claim) recall(name string, spell func(claim) string) {
	for n := 2; n <= maxName; n++ {
		if spell(claim{c.base, n}) == name {
			c.n = n
		}
	}
}

// renamed returns the names that are not those of the options.
func (c *claims) renamed(o *Options) map[string]string {
	out := make(map[string]string)
	if c.host.n > 0 {
		out[o.Host] = c.host.host()
	}
	for i, s := range o.Services {
		if k := c.services[i]; k.n > 0 {
			out[s.Instance+"."+s.Type] = k.instance()
		}
	}
	return out
}

// maxName is the last number that a name is tried with: a label has only so much
// room, and so many namesakes are an attack.
const maxName = 99

// next takes the next name, and after the last one the second.
func (c *claim) next() {
	if c.n++; c.n < 2 || c.n > maxName {
		c.n = 2
	}
}

// host returns the claim as a host name, in the manner of RFC 6762 section 9.
func (c claim) host() string {
	if c.n == 0 {
		return c.base
	}
	return fmt.Sprintf("%s-%d", c.base, c.n)
}

// instance returns the claim as a service instance name (RFC 6763 appendix D).
func (c claim) instance() string {
	if c.n == 0 {
		return c.base
	}
	return fmt.Sprintf("%s (%d)", c.base, c.n)
}

// probe asks who has the names and proposes the own records for them (RFC 6762
// section 8.1). It does not ask for unicast answers: with several responders on
// one machine those reach only one of them (section 15.1).
func (z *zone) probe(l *link) *dns.Msg {
	m := new(dns.Msg)
	m.Compress = true
	m.Question = append(m.Question, dns.Question{Name: z.host, Qtype: dns.TypeANY, Qclass: dns.ClassINET})
	m.Ns = z.addresses(l)
	for i := range z.services {
		s := &z.services[i]
		m.Question = append(m.Question, dns.Question{Name: s.instance, Qtype: dns.TypeANY, Qclass: dns.ClassINET})
		m.Ns = append(m.Ns, s.srv(z.host))
	}
	for _, rr := range m.Ns {
		rr.Header().Class &^= cacheFlush // RFC 6762 section 10.2
	}
	for _, rr := range z.pointers(l) {
		m.Question = append(m.Question, dns.Question{Name: rr.Header().Name, Qtype: dns.TypeANY, Qclass: dns.ClassINET})
	}
	return m
}

// yields reports whether a message of another responder on this machine, such
// as avahi, claims the reverse name of one of the link's addresses. Those are
// then left to it: avahi takes a second owner for a conflict over its host name
// and would rename the machine again and again.
func (z *zone) yields(m *dns.Msg, l *link) bool {
	pointers := z.pointers(l)
	for _, rrs := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range rrs {
			ptr, ok := rr.(*dns.PTR)
			if ok && slices.ContainsFunc(pointers, func(p dns.RR) bool {
				return strings.EqualFold(p.Header().Name, ptr.Hdr.Name) && !strings.EqualFold(ptr.Ptr, z.host)
			}) {
				return true
			}
		}
	}
	return false
}

// conflicts reports which of the names a response gives to somebody else: the
// host name with an address that is not this machine's, or a service instance
// with another target or port. A record equal to an own one is none, so that
// reflectors and this machine's other links do no harm.
func (z *zone) conflicts(m *dns.Msg, own map[netip.Addr]bool) (host bool, services []int) {
	for _, rrs := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range rrs {
			h := rr.Header()
			if h.Ttl == 0 || h.Class&^cacheFlush != dns.ClassINET {
				continue // a goodbye claims nothing
			}
			switch rr := rr.(type) {
			case *dns.A:
				host = host || z.foreign(h.Name, rr.A, own)
			case *dns.AAAA:
				host = host || z.foreign(h.Name, rr.AAAA, own)
			case *dns.SRV:
				for i := range z.services {
					s := &z.services[i]
					if strings.EqualFold(h.Name, s.instance) && !slices.Contains(services, i) &&
						(int(rr.Port) != s.Port || !strings.EqualFold(rr.Target, z.host)) {
						services = append(services, i)
					}
				}
			}
		}
	}
	return host, services
}

func (z *zone) foreign(name string, ip []byte, own map[netip.Addr]bool) bool {
	a, ok := netip.AddrFromSlice(ip)
	return ok && strings.EqualFold(name, z.host) && !own[a.Unmap()]
}

// loses reports whether another host that probes for one of the same names at
// the same time has the better claim to it (RFC 6762 section 8.2).
func (z *zone) loses(m *dns.Msg, l *link) bool {
	ours := z.probe(l).Ns
	names := []string{z.host}
	for i := range z.services {
		names = append(names, z.services[i].instance)
	}
	for _, name := range names {
		theirs := canonical(m.Ns, name)
		if len(theirs) > 0 && slices.CompareFunc(canonical(ours, name), theirs, bytes.Compare) < 0 {
			return true
		}
	}
	return false
}

// canonical returns the records of the name as class, type and data, sorted:
// the form in which section 8.2 compares them.
func canonical(rrs []dns.RR, name string) [][]byte {
	var out [][]byte
	for _, rr := range rrs {
		h := rr.Header()
		if !strings.EqualFold(h.Name, name) {
			continue
		}
		data, err := rdata(rr)
		if err != nil {
			continue // was parsed from a packet, so it can be written
		}
		key := binary.BigEndian.AppendUint16(nil, h.Class&^cacheFlush)
		key = binary.BigEndian.AppendUint16(key, h.Rrtype)
		out = append(out, append(key, data...))
	}
	slices.SortFunc(out, bytes.Compare)
	return out
}

// rdata returns the uncompressed data of the record.
func rdata(rr dns.RR) ([]byte, error) {
	rr = dns.Copy(rr)
	rr.Header().Name = "."
	buf := make([]byte, dns.Len(rr)+headerSize)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	const head = 1 + 2 + 2 + 4 + 2 // root name, type, class, TTL, length
	return buf[min(head, end):end], nil
}
