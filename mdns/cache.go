package mdns

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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

// A lifetime says until when a record holds. The zero value is of a record that
// is not there.
type lifetime struct {
	since time.Time
	ttl   time.Duration
	asked int // how often it was asked for anew
}

func (l *lifetime) expires() time.Time { return l.since.Add(l.ttl) }

// renew takes the TTL of a record that was just received.
func (l *lifetime) renew(now time.Time, ttl uint32) {
	if ttl == 0 {
		l.end(now)
		return
	}
	*l = lifetime{since: now, ttl: min(time.Duration(ttl)*time.Second, maxTTL)}
}

// end lets the record go in a second, unless somebody says it again meanwhile.
func (l *lifetime) end(now time.Time) {
	if now.Add(goodbyeTime).Before(l.expires()) || l.ttl == 0 {
		*l = lifetime{since: now, ttl: goodbyeTime, asked: refreshChecks}
	}
}

// doubt makes the record as old as one that is to be asked for at once and is
// gone in ten seconds.
func (l *lifetime) doubt(now time.Time) {
	const ttl = 50 * time.Second
	if doubted := now.Add(-ttl * 80 / 100); doubted.Add(ttl).Before(l.expires()) {
		*l = lifetime{since: doubted, ttl: ttl}
	}
}

// due returns when something is to be done about the record: asking for it anew
// or, at last, dropping it.
func (l *lifetime) due() time.Time {
	if l.asked < refreshChecks {
		return l.since.Add(l.ttl * time.Duration(80+5*l.asked) / 100)
	}
	return l.expires()
}

// work reports whether the record is to be asked for, and whether it is gone.
func (l *lifetime) work(now time.Time) (ask, gone bool) {
	if !now.Before(l.expires()) {
		return false, true
	}
	for l.asked < refreshChecks && !now.Before(l.due()) {
		l.asked++
		ask = true
	}
	return ask, false
}

// A schedule asks for what is not there: after a second, after two more, and so
// on up to an hour.
type schedule struct {
	tries int
	due   time.Time
}

func (s *schedule) start(now time.Time, delay time.Duration) { *s = schedule{due: now.Add(delay)} }

func (s *schedule) work(now time.Time) (ask bool) {
	if now.Before(s.due) {
		return false
	}
	s.due = now.Add(min(queryInterval<<min(s.tries, 12), queryIntervalMax))
	s.tries++
	return true
}

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
	kind string // "_mqtt._tcp"
	name string // "_mqtt._tcp.local."
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

// step drops what is too old and returns the queries that are due, by the index
// of the link.
func (c *cache) step(now time.Time) map[int]*dns.Msg {
	queries := make(map[int]*dns.Msg)
	c.next = time.Time{}
	for _, k := range c.links {
		k.sweep(c, now)
		if now.Before(k.quiet) {
			c.soon(k.quiet)
		} else if m := k.query(c, now); m != nil {
			k.quiet = now.Add(queryInterval)
			queries[k.link.iface.Index] = m
		}
		k.plan(c, now)
	}
	if c.dirty && c.publish.IsZero() {
		c.publish = now.Add(publishDelay)
	}
	if c.dirty && now.Before(c.publish) {
		c.soon(c.publish)
	}
	return queries
}

// sweep drops the records that have run out, and the hosts that nobody is on any
// more.
func (k *linkCache) sweep(c *cache, now time.Time) {
	used := make(map[string]bool)
	for key, in := range k.instances {
		if !now.Before(in.pointer.expires()) {
			delete(k.instances, key)
			k.count[in.kind]--
			c.dirty = true
			continue
		}
		if in.host != "" && !now.Before(in.location.expires()) {
			in.host, in.port, in.location, c.dirty = "", 0, lifetime{}, true
			in.missing.start(now, 0)
		}
		if in.text != nil && !now.Before(in.content.expires()) {
			in.text, in.content, c.dirty = nil, lifetime{}, true
			in.missing.start(now, 0)
		}
		used[strings.ToLower(in.host)] = true
	}
	for key, h := range k.hosts {
		if !used[key] && h.stray.IsZero() {
			h.stray = now // nobody is on it any more
			k.strays++
		}
		if !h.stray.IsZero() {
			if !now.Before(h.stray) {
				delete(k.hosts, key)
				k.strays--
			}
			continue
		}
		for a, l := range h.addresses {
			if !now.Before(l.expires()) {
				delete(h.addresses, a)
				c.dirty = true
				if len(h.addresses) == 0 {
					h.missing.start(now, 0)
				}
			}
		}
	}
}

// query returns the question for everything that is due on the link, or nil.
// What does not fit waits for the next one.
func (k *linkCache) query(c *cache, now time.Time) *dns.Msg {
	m := new(dns.Msg)
	m.Compress = true
	asked := make(map[dns.Question]bool)
	size := headerSize // at most; names are longer as text
	ask := func(name string, qtype uint16) {
		// Not by unicast: with several responders on one machine the answer
		// reaches only one of them (section 15.1).
		q := dns.Question{Name: name, Qtype: qtype, Qclass: dns.ClassINET}
		if !asked[q] {
			asked[q] = true
			size += len(name) + 5
			m.Question = append(m.Question, q)
		}
	}
	if k.browse.work(now) {
		for _, t := range c.kinds {
			ask(t.name, dns.TypePTR)
		}
	}
	for _, in := range k.instances {
		if size > maxQuerySize {
			break
		}
		if due, _ := in.pointer.work(now); due {
			ask(in.kind.name, dns.TypePTR)
		}
		missing := (in.host == "" || in.text == nil) && in.missing.work(now)
		c.dirty = c.dirty || missing && in.missing.tries == textTries
		if due, _ := in.location.work(now); due || missing && in.host == "" {
			ask(in.name, dns.TypeSRV)
		}
		if due, _ := in.content.work(now); due || missing && in.text == nil {
			ask(in.name, dns.TypeTXT)
		}
	}
	for _, h := range k.hosts {
		if !h.stray.IsZero() {
			continue
		}
		if size > maxQuerySize {
			break
		}
		due := len(h.addresses) == 0 && h.missing.work(now)
		for _, l := range h.addresses {
			again, _ := l.work(now)
			due = due || again
		}
		if due {
			ask(h.name, dns.TypeA)
			ask(h.name, dns.TypeAAAA)
		}
	}
	if len(m.Question) == 0 {
		return nil
	}
	// Those that do not fit are answered once more than needed.
	for _, in := range k.instances {
		left := in.pointer.expires().Sub(now)
		if size > maxQuerySize {
			break
		}
		if asked[dns.Question{Name: in.kind.name, Qtype: dns.TypePTR, Qclass: dns.ClassINET}] && left > in.pointer.ttl/2 {
			size += len(in.name) + 12
			m.Answer = append(m.Answer, &dns.PTR{
				Hdr: header(in.kind.name, dns.TypePTR, dns.ClassINET, uint32(left/time.Second)), Ptr: in.name})
		}
	}
	return m
}

// plan sees to it that step is called for what comes next on the link.
func (k *linkCache) plan(c *cache, now time.Time) {
	wake := func(t time.Time) {
		if t.Before(k.quiet) {
			t = k.quiet
		}
		c.soon(t)
	}
	life := func(l *lifetime) {
		c.soon(l.expires())
		wake(l.due())
	}
	wake(k.browse.due)
	for _, in := range k.instances {
		life(&in.pointer)
		if in.host != "" {
			life(&in.location)
		}
		if in.text != nil {
			life(&in.content)
		}
		if in.host == "" || in.text == nil {
			wake(in.missing.due)
		}
	}
	for _, h := range k.hosts {
		if !h.stray.IsZero() {
			c.soon(h.stray)
			continue
		}
		for _, l := range h.addresses {
			life(l)
		}
		if len(h.addresses) == 0 {
			wake(h.missing.due)
		}
	}
}

// changed returns everything that is there, and whether it is something else
// than the last time.
func (c *cache) changed(now time.Time) ([]Found, bool) {
	if !c.dirty || now.Before(c.publish) {
		return nil, false
	}
	c.dirty, c.publish = false, time.Time{}
	found := c.found()
	if reflect.DeepEqual(found, c.shown) {
		return nil, false
	}
	c.shown = found
	return found, true
}

// found returns what has a place and an address. An instance that is heard on
// several links is one if it is in the same place on them.
func (c *cache) found() []Found {
	found := []Found{}
	for _, k := range c.links {
		for _, in := range k.instances {
			h := k.hosts[strings.ToLower(in.host)]
			if h == nil || len(h.addresses) == 0 || in.text == nil && in.missing.tries < textTries {
				continue
			}
			f := Found{
				Instance: in.label, Type: in.kind.kind, Host: strings.TrimSuffix(in.host, "."), Port: in.port,
				Text: in.text, Interfaces: []string{k.link.iface.Name},
			}
			for a := range h.addresses {
				f.Addresses = append(f.Addresses, a)
			}
			i := slices.IndexFunc(found, func(o Found) bool { return compareFound(f, o) == 0 })
			if i < 0 {
				found = append(found, f)
				continue
			}
			o := &found[i]
			o.Addresses = append(o.Addresses, f.Addresses...)
			o.Interfaces = append(o.Interfaces, f.Interfaces...)
			if o.Text == nil {
				o.Text = f.Text
			}
		}
	}
	for i := range found {
		f := &found[i]
		slices.SortFunc(f.Addresses, c.compareAddresses)
		f.Addresses = slices.Compact(f.Addresses)
		slices.Sort(f.Interfaces)
	}
	slices.SortFunc(found, compareFound)
	return found
}

func compareFound(a, b Found) int {
	return cmp.Or(
		strings.Compare(strings.ToLower(a.Type), strings.ToLower(b.Type)),
		strings.Compare(strings.ToLower(a.Instance), strings.ToLower(b.Instance)),
		strings.Compare(strings.ToLower(a.Host), strings.ToLower(b.Host)),
		cmp.Compare(a.Port, b.Port))
}

// compareAddresses sorts those first that are most likely to be reached.
func (c *cache) compareAddresses(a, b netip.Addr) int {
	rank := func(a netip.Addr) int {
		r := 0
		if !slices.ContainsFunc(c.links, func(k *linkCache) bool { return k.link.contains(a) }) {
			r = 4
		}
		if a.Is6() {
			r++
		}
		if a.IsLinkLocalUnicast() {
			r += 2
		}
		return r
	}
	return cmp.Or(rank(a)-rank(b), a.Compare(b))
}

// instanceLabel returns what people see of the name of an instance of the kind,
// if it is one (RFC 6763 section 4.1.1).
func instanceLabel(name, kind string) (string, bool) {
	i, end := dns.NextLabel(name, 0)
	if end || !strings.EqualFold(name[i:], kind) {
		return "", false
	}
	label, ok := unescape(name[:i-1])
	return label, ok && label != "" && isText(label)
}

// isHostName reports whether a name, as package dns writes it, is one below
// .local that is right in an address that people read.
func isHostName(name string) bool {
	rest, ok := strings.CutSuffix(strings.ToLower(name), "."+domain)
	if !ok || rest == "" || len(rest) > 200 {
		return false
	}
	for _, c := range []byte(rest) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// readText returns the strings of a TXT record that are text, never nil.
func readText(strs []string) ([]string, bool) {
	out, size := []string{}, 0
	for _, s := range strs {
		s, ok := unescape(s)
		if size += len(s); !ok || size > maxText {
			return nil, false
		}
		if s != "" && isText(s) {
			out = append(out, s)
		}
	}
	return out, true
}

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

// unescape undoes what package dns does to the bytes of names and strings.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i >= len(s) {
			return "", false
		}
		if s[i] < '0' || s[i] > '9' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n := 0
		for _, c := range []byte(s[i : i+3]) {
			if c < '0' || c > '9' {
				return "", false
			}
			n = n*10 + int(c-'0')
		}
		if n > 255 {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}
