package mdns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	queryInterval    = time.Second // between the first two queries, and at least between any two: RFC 6762 section 5.2
	queryIntervalMax = time.Hour
	goodbyeTime      = time.Second            // for others to object: section 10.1
	settleTime       = 20 * time.Millisecond  // for the rest of an announcement
	strayTime        = 10 * time.Second       // how long an address is kept for the instance to follow
	publishDelay     = 100 * time.Millisecond // a flood of changes must not be a flood of news
	maxTTL           = 75 * time.Minute       // section 10; nobody is believed for longer

	maxInstances  = 32   // of one type on one link
	maxStrays     = 64   // hosts on one link that no instance is on, yet
	maxText       = 2048 // bytes of the TXT strings of one instance
	maxQuerySize  = 1000 // bytes after which nothing is added: it must fit into one Ethernet frame
	refreshChecks = 4    // at 80, 85, 90 and 95 % of the lifetime: section 5.2
	textTries     = 3    // after so many an instance may do without a TXT record
)

// A cache is what was heard of the types that are browsed for. It does no I/O
// and has no clock, and belongs to one goroutine.
type cache struct {
	kinds   []kind
	links   []*linkCache
	refused uint64
	next    time.Time // when step has to be called, or zero
	dirty   bool      // something that can be seen has changed
	publish time.Time // when it may be shown
	shown   []Found
}

type kind struct {
	service string // "_mqtt._tcp"
	name    string // "_mqtt._tcp.local."
}

// A linkCache is the cache of one link: another one may have other owners of the
// same names.
type linkCache struct {
	link      link
	browse    schedule
	quiet     time.Time // no query before
	instances map[string]*instance
	count     map[kind]int // of the instances
	hosts     map[string]*host
	strays    int // hosts that no instance is on
}

// An instance is there as long as its PTR record is; all its names are as they
// came, its keys in lower case.
type instance struct {
	kind     kind
	name     string // for questions
	label    string // what people see
	pointer  lifetime
	location lifetime // of the SRV record
	host     string   // for questions
	port     int
	content  lifetime // of the TXT record
	text     []string
	missing  schedule
}

type host struct {
	name      string    // for questions
	stray     time.Time // when it is forgotten; zero: an instance is on it
	addresses map[netip.Addr]*lifetime
	missing   schedule
}

func newHost(name string) *host {
	return &host{name: name, addresses: make(map[netip.Addr]*lifetime)}
}

func newCache(types []string) *cache {
	c := &cache{shown: []Found{}}
	for _, t := range types {
		c.kinds = append(c.kinds, kind{t, t + "." + domain})
	}
	return c
}

// follow forgets the links that are gone, begins with new ones, and doubts what
// was heard on those with other addresses than before: it may be another
// network.
func (c *cache) follow(links []link, now time.Time) {
	var out []*linkCache
	for _, l := range links {
		i := slices.IndexFunc(c.links, func(k *linkCache) bool { return k.link.iface.Index == l.iface.Index })
		if i < 0 {
			k := &linkCache{link: l, instances: make(map[string]*instance), count: make(map[kind]int), hosts: make(map[string]*host)}
			k.start(now)
			out = append(out, k)
			continue
		}
		k := c.links[i]
		if !k.link.sameAddresses(&l) {
			k.doubt(now)
		}
		k.link = l
		out = append(out, k)
	}
	c.links = out
	c.dirty = true
	c.next = now
}

// start browses from the beginning, after the delay of section 5.2.
func (k *linkCache) start(now time.Time) {
	k.browse.start(now, 20*time.Millisecond+rand.N(100*time.Millisecond))
}

func (k *linkCache) doubt(now time.Time) {
	k.start(now)
	for _, in := range k.instances {
		in.pointer.doubt(now)
		in.location.doubt(now)
		in.content.doubt(now)
	}
	for _, h := range k.hosts {
		for _, l := range h.addresses {
			l.doubt(now)
		}
	}
}

// soon sees to it that step is called at the time.
func (c *cache) soon(t time.Time) {
	if c.next.IsZero() || t.Before(c.next) {
		c.next = t
	}
}

// take takes a response that came in on the link.
func (c *cache) take(index int, m *dns.Msg, now time.Time) {
	i := slices.IndexFunc(c.links, func(k *linkCache) bool { return k.link.iface.Index == index })
	if i < 0 {
		return
	}
	k := c.links[i]
	// The records may come in any order: first what is there, then where, then
	// the addresses.
	for _, pass := range []func(*linkCache, dns.RR, time.Time){c.takePointer, c.takeInstance, c.takeAddress} {
		for _, rrs := range [][]dns.RR{m.Answer, m.Extra} {
			for _, rr := range rrs {
				if rr.Header().Class&^cacheFlush == dns.ClassINET {
					pass(k, rr, now)
				}
			}
		}
	}
}

func (c *cache) takePointer(k *linkCache, rr dns.RR, now time.Time) {
	ptr, ok := rr.(*dns.PTR)
	if !ok {
		return
	}
	i := slices.IndexFunc(c.kinds, func(k kind) bool { return strings.EqualFold(k.name, ptr.Hdr.Name) })
	if i < 0 {
		return
	}
	kind, key := c.kinds[i], strings.ToLower(ptr.Ptr)
	in := k.instances[key]
	if in == nil {
		if ptr.Hdr.Ttl == 0 {
			return // a goodbye of somebody that is not there
		}
		label, ok := instanceLabel(ptr.Ptr, kind.name)
		if !ok || k.count[kind] >= maxInstances {
			c.refused++
			return
		}
		in = &instance{kind: kind, name: ptr.Ptr, label: label}
		in.missing.start(now, settleTime)
		k.instances[key] = in
		k.count[kind]++
	}
	in.pointer.renew(now, ptr.Hdr.Ttl)
	c.soon(now.Add(settleTime))
}

func (c *cache) takeInstance(k *linkCache, rr dns.RR, now time.Time) {
	in := k.instances[strings.ToLower(rr.Header().Name)]
	if in == nil {
		return
	}
	switch rr := rr.(type) {
	case *dns.SRV:
		if rr.Hdr.Ttl == 0 {
			in.location.end(now)
			break
		}
		key := strings.ToLower(rr.Target)
		h := k.hosts[key]
		if !isHostName(rr.Target) || rr.Port == 0 || h == nil && len(k.hosts)-k.strays >= maxInstances*len(c.kinds) {
			c.refused++
			return
		}
		if !strings.EqualFold(in.host, rr.Target) || in.port != int(rr.Port) {
			in.host, in.port, c.dirty = rr.Target, int(rr.Port), true
		}
		in.location.renew(now, rr.Hdr.Ttl)
		if h == nil {
			h = newHost(rr.Target)
			h.missing.start(now, settleTime)
			k.hosts[key] = h
		} else if !h.stray.IsZero() {
			h.stray, c.dirty = time.Time{}, true
			h.missing.start(now, settleTime)
			k.strays--
		}
	case *dns.TXT:
		if rr.Hdr.Ttl == 0 {
			in.content.end(now)
			break
		}
		text, ok := readText(rr.Txt)
		if !ok {
			c.refused++
			return
		}
		if !slices.Equal(in.text, text) {
			in.text, c.dirty = text, true
		}
		in.content.renew(now, rr.Hdr.Ttl)
	default:
		return
	}
	c.soon(now.Add(settleTime))
}

func (c *cache) takeAddress(k *linkCache, rr dns.RR, now time.Time) {
	var ip []byte
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	default:
		return
	}
	h := k.hosts[strings.ToLower(rr.Header().Name)]
	if h == nil {
		// Announcements begin with the address, and whoever said it will not
		// say it again within a second.
		if rr.Header().Ttl == 0 || k.strays >= maxStrays || !isHostName(rr.Header().Name) {
			return
		}
		h = newHost(rr.Header().Name)
		h.stray = now.Add(strayTime)
		k.hosts[strings.ToLower(h.name)] = h
		k.strays++
	}
	a, _ := netip.AddrFromSlice(ip)
	if a = a.Unmap(); !k.link.usable(a) {
		c.refused++
		return
	}
	if a.Is6() && a.IsLinkLocalUnicast() {
		a = a.WithZone(k.link.iface.Name)
	}
	same := 0
	for o, l := range h.addresses {
		if o.Is4() != a.Is4() {
			continue
		}
		same++
		// What came within the last second is of the same announcement (section 10.2).
		if rr.Header().Class&cacheFlush != 0 && o != a && now.Sub(l.since) > time.Second {
			l.end(now)
		}
	}
	l := h.addresses[a]
	if l == nil {
		if rr.Header().Ttl == 0 {
			return
		}
		if same >= maxAddresses {
			c.refused++
			return
		}
		l = new(lifetime)
		h.addresses[a], c.dirty = l, c.dirty || h.stray.IsZero()
	}
	l.renew(now, rr.Header().Ttl)
	c.soon(now.Add(settleTime))
}

// usable reports whether an address is one that a host of this network can have.
// An advertisement must not send anybody, with a login in hand, to somewhere on
// the internet.
func (l *link) usable(a netip.Addr) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return false
	}
	return l.contains(a) || a.IsPrivate()
}
