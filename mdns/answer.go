package mdns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	maxQuestions = 256
	headerSize   = 12
	legacyTTL    = 10 // RFC 6762 section 6.7
)

// An origin is where a query came from.
type origin struct {
	src   netip.AddrPort
	group bool // it was sent to the multicast group
}

// A reply is a message and whom it goes to; the zero address is the group.
type reply struct {
	msg    *dns.Msg
	to     netip.AddrPort
	defend bool // it answers a probe
}

// parse reads a packet, which may be anything. Of the header it demands what
// RFC 6762 sections 18.3 and 18.11 do.
func parse(data []byte) (*dns.Msg, error) {
	if len(data) > maxPacket {
		return nil, fmt.Errorf("packet of more than %d bytes", maxPacket)
	}
	if len(data) < headerSize {
		return nil, errors.New("packet shorter than a header")
	}
	if n := int(data[4])<<8 | int(data[5]); n > maxQuestions {
		return nil, fmt.Errorf("%d questions", n)
	}
	m := new(dns.Msg)
	if err := m.Unpack(data); err != nil {
		return nil, err
	}
	if m.Opcode != dns.OpcodeQuery || m.Rcode != dns.RcodeSuccess {
		return nil, fmt.Errorf("opcode %d, response code %d", m.Opcode, m.Rcode)
	}
	return m, nil
}

// answer returns the replies to a query that came in on the link: at most one
// to the group and one to who asked.
func (z *zone) answer(q *dns.Msg, l *link, from origin) []reply {
	near := l.contains(from.src.Addr())
	legacy := from.src.Port() != mdnsPort
	if !near && (legacy || !from.group) {
		return nil // an answer would help to flood somebody elsewhere
	}

	probe := len(q.Ns) > 0
	all := append(z.addresses(l), z.pointers(l)...)
	if probe {
		// zeroconf does not answer queries with an authority section, so it
		// does not defend its instances.
		for i := range z.services {
			all = append(all, z.services[i].records(z.host)[1:]...)
		}
	}
	data := len(all)
	all = append(all, denials(all)...)

	chosen := map[bool][]bool{false: make([]bool, len(all)), true: make([]bool, len(all))}
	for _, question := range q.Question {
		if c := question.Qclass &^ unicast; c != dns.ClassINET && c != dns.ClassANY {
			continue
		}
		direct := legacy || !from.group || near && question.Qclass&unicast != 0
		choose(all, data, question, chosen[direct])
	}

	var replies []reply
	for _, direct := range []bool{false, true} {
		m := z.message(all, data, chosen[direct], q.Answer)
		if m == nil {
			continue
		}
		r := reply{msg: m, defend: probe}
		if direct {
			r.to = from.src
			m.Id = q.Id // RFC 6762 section 18.1
		}
		if legacy {
			m.Question = q.Question // RFC 6762 section 6.7
			for _, rrs := range [][]dns.RR{m.Answer, m.Extra} {
				for _, rr := range rrs {
					rr.Header().Class &^= cacheFlush
					rr.Header().Ttl = min(rr.Header().Ttl, legacyTTL)
				}
			}
		}
		replies = append(replies, r)
	}
	return replies
}

// choose marks the records that answer the question: those of its type, or the
// denial when the name has no such type. The denials begin at index data.
func choose(all []dns.RR, data int, q dns.Question, chosen []bool) {
	found, denial := false, -1
	for i, rr := range all {
		h := rr.Header()
		if !strings.EqualFold(h.Name, q.Name) { // package dns escapes what is not ASCII
			continue
		}
		if i >= data {
			denial = i
		} else if q.Qtype == dns.TypeANY || q.Qtype == h.Rrtype {
			chosen[i], found = true, true
		}
	}
	if !found && denial >= 0 {
		chosen[denial] = true
	}
}

// message makes a response of the chosen records that the asker does not know
// yet, or nil when there are none. Beside one address record it carries the
// others, or the news that there are none (RFC 6762 section 6.2).
func (z *zone) message(all []dns.RR, data int, chosen []bool, known []dns.RR) *dns.Msg {
	m := response()
	addresses := false
	for i, rr := range all {
		if chosen[i] && !isKnown(rr, known) {
			m.Answer = append(m.Answer, rr)
			addresses = addresses || isAddress(rr)
		}
	}
	if len(m.Answer) == 0 {
		return nil
	}
	if addresses {
		for i, rr := range all {
			more := isAddress(rr) || i >= data && rr.Header().Name == z.host && len(rr.(*dns.NSEC).TypeBitMap) == 1
			if more && !chosen[i] && !isKnown(rr, known) {
				m.Extra = append(m.Extra, rr)
			}
		}
	}
	return m
}

func isAddress(rr dns.RR) bool {
	t := rr.Header().Rrtype
	return t == dns.TypeA || t == dns.TypeAAAA
}

// isKnown reports whether the asker has the record for at least half of its
// lifetime yet (RFC 6762 section 7.1).
func isKnown(rr dns.RR, known []dns.RR) bool {
	return slices.ContainsFunc(known, func(k dns.RR) bool {
		return k.Header().Ttl >= rr.Header().Ttl/2 && sameData(rr, k) // known answers come without the bit
	})
}
