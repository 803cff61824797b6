package mdns

import (
	"strings"
	"time"

	"github.com/miekg/dns"
)

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
		if in.pointer.work(now) {
			ask(in.kind.name, dns.TypePTR)
		}
		missing := (in.host == "" || in.text == nil) && in.missing.work(now)
		c.dirty = c.dirty || missing && in.missing.tries == textTries
		if in.location.work(now) || missing && in.host == "" {
			ask(in.name, dns.TypeSRV)
		}
		if in.content.work(now) || missing && in.text == nil {
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
			due = l.work(now) || due
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
