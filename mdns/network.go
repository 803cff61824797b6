package mdns

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// interfaceDebounce is how long the interfaces are left to settle before they
// are read again.
const interfaceDebounce = 2 * time.Second

// A network is the sockets and the links that they are on. Its goroutines read;
// everything else belongs to the one goroutine that takes from its channels.
type network struct {
	interfaces func() ([]net.Interface, error)
	log        *slog.Logger
	socks      []*socket
	packets    chan packet
	changes    chan struct{}
	refresh    <-chan time.Time // debounces changes
	links      []link
	own        map[netip.Addr]bool // all addresses of this machine

	stop chan struct{}
	wg   sync.WaitGroup
}

// open opens the sockets and begins to watch the interfaces, until ctx is done
// and close was called.
func open(ctx context.Context, interfaces func() ([]net.Interface, error), log *slog.Logger) (*network, error) {
	socks, err := listen(log)
	if err != nil {
		return nil, err
	}
	n := &network{
		interfaces: interfaces, log: log, socks: socks,
		packets: make(chan packet), changes: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	for _, s := range socks {
		n.wg.Go(func() { s.read(n.packets, n.stop) })
	}
	n.wg.Go(func() { watchInterfaces(ctx, n.changes, log) })
	return n, nil
}

// close waits for the goroutines; ctx must be done.
func (n *network) close() {
	close(n.stop)
	for _, s := range n.socks {
		s.close()
	}
	n.wg.Wait()
}

// changed says that the interfaces may have changed: refresh fires soon.
func (n *network) changed() {
	if n.refresh == nil {
		n.refresh = time.After(interfaceDebounce)
	}
}

// readLinks reads the interfaces, joins and leaves. It returns the links as they
// were.
func (n *network) readLinks() (before []link) {
	n.refresh = nil
	before = n.links
	links, own, err := readLinks(n.interfaces)
	if err != nil {
		n.log.Warn("reading interfaces failed", "err", err)
		return before // watchInterfaces asks again
	}
	n.links, n.own = links, own
	for _, s := range n.socks {
		s.follow(links, n.log)
	}
	return before
}

// link returns the link of the packet, or nil: it is not in use.
func (n *network) link(p packet) *link {
	i := slices.IndexFunc(n.links, func(l link) bool { return l.iface.Index == p.index })
	if i < 0 {
		return nil
	}
	return &n.links[i]
}

// trusted reports whether a response may be believed: RFC 6762 sections 6 and 11
// want it from port 5353 and from the link.
func (l *link) trusted(p packet) bool {
	return p.src.Port() == mdnsPort && l.contains(p.src.Addr())
}

// multicast sends a message out of the link over both families. It reports those
// over which it went.
func (n *network) multicast(l *link, m *dns.Msg) (over []*socket) {
	b, err := m.Pack()
	if err != nil {
		n.log.Warn("message not sent", "interface", l.iface.Name, "err", err)
		return nil
	}
	for _, s := range n.socks {
		if l.has(s.v6) && n.write(s, b, l, s.group) {
			over = append(over, s)
		}
	}
	return over
}

func (n *network) write(s *socket, b []byte, l *link, to netip.AddrPort) bool {
	if err := s.write(b, l.iface.Index, to); err != nil {
		// The link went down; an announcement follows when it is back.
		n.log.Debug("message not sent", "interface", l.iface.Name, "err", err)
		return false
	}
	return true
}
