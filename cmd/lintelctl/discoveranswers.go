package main

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

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
