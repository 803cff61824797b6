package mdns

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Found is a service instance that somebody on the network advertises, this host
// included. Everything in it was said by strangers: it is text without control
// characters, and otherwise anything.
type Found struct {
	Instance string // what people see, such as "Home"
	Type     string // as it was asked for, such as "_home-assistant._tcp"
	Host     string // with ".local"
	Port     int
	// Addresses are where the host is: those of the link itself first, IPv4
	// before IPv6, and link-local ones of IPv6 last, with their zone. There is
	// at least one. None is of the internet beyond the link.
	Addresses []netip.Addr
	Text      []string // TXT strings, key=value, that are text
}

// Value returns what the TXT strings say for the key, of which letters may have
// either case (RFC 6763 section 6.4). The first one counts.
func (f *Found) Value(key string) (value string, ok bool) {
	for _, t := range f.Text {
		if k, v, _ := strings.Cut(t, "="); strings.EqualFold(k, key) {
			return v, true
		}
	}
	return "", false
}

// BrowserOptions tell a Browser what to look for and where.
type BrowserOptions struct {
	Types  []string     // such as "_home-assistant._tcp"
	Logger *slog.Logger // nil: no logging

	interfaces func() ([]net.Interface, error) // as in Options
	changed    func()                          // called after Found changed, from Run's goroutine; for tests
}

// A Browser looks for services on the network. Make it with NewBrowser.
type Browser struct {
	opt   BrowserOptions
	found atomic.Pointer[[]Found]

	// What was left out, see Dropped.
	malformed atomic.Uint64 // packets that are too large or do not parse
	untrusted atomic.Uint64 // responses from another port than 5353 or from beyond the link
	refused   atomic.Uint64 // records that could not be used, or for which there was no room
}

// NewBrowser returns a Browser that does nothing until Run.
func NewBrowser(opt BrowserOptions) *Browser {
	if opt.interfaces == nil {
		opt.interfaces = lanInterfaces
	}
	if opt.changed == nil {
		opt.changed = func() {}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Browser{opt: opt}
	b.found.Store(new([]Found))
	return b
}

// Found returns the services of the type that are there now, sorted by
// instance. It may be called at any time; the caller owns the list, and shares
// what is in it.
func (b *Browser) Found(serviceType string) []Found {
	var out []Found
	for _, f := range *b.found.Load() {
		if strings.EqualFold(f.Type, serviceType) {
			out = append(out, f)
		}
	}
	return out
}

// Dropped returns how much of what was heard was left out since Run, by reason:
// "malformed" are packets, "untrusted" responses from another port than 5353 or
// from beyond the link, "refused" records that say nothing or are too many.
func (b *Browser) Dropped() map[string]uint64 {
	return map[string]uint64{"malformed": b.malformed.Load(), "untrusted": b.untrusted.Load(), "refused": b.refused.Load()}
}

// Run looks until ctx is done and returns nil. Its errors are those of
// Advertiser.Run, beside which it can run. A Browser runs once.
func (b *Browser) Run(ctx context.Context) error {
	for _, t := range b.opt.Types {
		if !browsedType.MatchString(t) {
			return fmt.Errorf("mdns: browsing for %q: the type must be like _mqtt._tcp", t)
		}
	}
	n, err := open(ctx, b.opt.interfaces, b.opt.Logger)
	if err != nil {
		return err
	}
	defer n.close()
	c := newCache(b.opt.Types)
	n.readLinks()
	c.follow(n.links, time.Now())
	for {
		var timer <-chan time.Time
		if !c.next.IsZero() {
			timer = time.After(time.Until(c.next))
		}
		select {
		case <-ctx.Done():
			return nil
		case p := <-n.packets:
			b.receive(n, c, p)
		case <-n.changes:
			n.changed()
		case <-n.refresh:
			n.readLinks()
			c.follow(n.links, time.Now())
		case <-timer:
			b.step(n, c)
		}
		b.refused.Store(c.refused)
	}
}

// receive works on one packet.
func (b *Browser) receive(n *network, c *cache, p packet) {
	l := n.link(p)
	if l == nil {
		return
	}
	m, err := parse(p.data)
	switch {
	case err != nil:
		b.malformed.Add(1)
	case !m.Response:
	case !l.trusted(p):
		b.untrusted.Add(1)
	default:
		c.take(l.iface.Index, m, time.Now())
	}
}

// step asks what is to be asked and shows what has changed.
func (b *Browser) step(n *network, c *cache) {
	for index, m := range c.step(time.Now()) {
		if i := slices.IndexFunc(n.links, func(l link) bool { return l.iface.Index == index }); i >= 0 {
			n.multicast(&n.links[i], m)
		}
	}
	if found, changed := c.changed(time.Now()); changed {
		b.found.Store(&found)
		b.opt.changed()
	}
}
