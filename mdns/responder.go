package mdns

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	probeInterval    = 250 * time.Millisecond // RFC 6762 section 8.1
	probeCount       = 3
	announceInterval = time.Second // section 8.3
	announceCount    = 2
	deferTime        = time.Second      // of who lost against a simultaneous probe: section 8.2
	manyConflicts    = 15               // after so many, section 8.1 demands
	conflictPause    = 5 * time.Second  // this before each further name
	conflictHold     = 10 * time.Second // a later conflict is looked into at most so often

	multicastInterval = time.Second            // per record and link: section 6
	defendInterval    = 250 * time.Millisecond // the same, to answer a probe
	rescueDelay       = 500 * time.Millisecond // of the announcement against a foreign goodbye, which counts after a second
	unicastPerSecond  = 100
)

// An event ends a wait.
type event int

const (
	elapsed          event = iota // the time is over
	stopped                       // the context is done
	linksChanged                  // a link came or went
	addressesChanged              // the links are the same
	belittled                     // somebody takes back what is ours
	conflicted                    // a name belongs to another host
	outbid                        // another host probes for a name and has the better claim
)

// A state says what the zone is to this host.
type state int

const (
	waiting state = iota // about to be probed for: packets mean nothing
	probing              // asked for: an answer takes it away
	serving              // ours: questions are answered
)

// A responder is the state of Run; one goroutine has it.
type responder struct {
	*Advertiser
	*network
	keeper *keeper

	claims    claims
	told      map[string]string // by OnRename
	zone      *zone
	state     state
	announced bool // the zone, so that it is to be taken back
	renamed   int
	claimed   time.Time
	objection <-chan time.Time // when a conflict is to be looked into that came too early
	rescue    <-chan time.Time // when to announce what somebody took back

	sent          map[sentKey]time.Time
	unicastWindow time.Time
	unicastCount  int
}

// A sentKey is a record that was multicast; there are only so many as this host
// owns.
type sentKey struct {
	index  int
	v6     bool
	record string
}

func newResponder(a *Advertiser, n *network, k *keeper) *responder {
	r := &responder{
		Advertiser: a, network: n, keeper: k,
		claims: newClaims(&a.opt),
		told:   a.opt.Renamed,
		sent:   make(map[sentKey]time.Time),
	}
	r.rename()
	return r
}

// rename makes the zone from the claims.
func (r *responder) rename() {
	services := slices.Clone(r.opt.Services)
	for i, c := range r.claims.services {
		services[i].Instance = c.instance()
	}
	host := r.claims.host.host()
	zone := newZone(host, services)
	zone.noReverse = r.zone != nil && r.zone.noReverse
	r.zone, r.announced = zone, false
	r.host.Store(&host)
}

func (r *responder) run(ctx context.Context) {
	r.followLinks()
	for ctx.Err() == nil {
		if len(r.links) == 0 {
			r.register()
			r.wait(ctx, -1)
			continue
		}
		if r.claim(ctx) {
			r.register()
			r.serve(ctx)
		}
	}
	if r.announced {
		for i := range r.links {
			r.multicast(&r.links[i], r.zone.goodbyes(&r.links[i])...)
		}
	}
}

// register tells zeroconf the names and the links.
func (r *responder) register() {
	var ifaces []net.Interface
	for _, l := range r.links {
		ifaces = append(ifaces, l.iface)
	}
	r.keeper.set(registration{r.zone, ifaces})
}

// claim probes for the names until nobody objects, taking the next names when
// somebody does. It returns false when the links changed or ctx is done.
func (r *responder) claim(ctx context.Context) bool {
	clear(r.sent)
	r.claimed, r.objection, r.rescue = time.Now(), nil, nil
	pause := rand.N(probeInterval) // so that boxes that got power together do not probe together
	for n := 0; ; {
		r.state = probing
		if n == 0 {
			r.state = waiting
		}
		switch r.wait(ctx, pause) {
		case stopped, linksChanged:
			return false
		case addressesChanged:
			continue
		case conflicted:
			n, pause = 0, 0
			if r.renamed++; r.renamed > manyConflicts {
				pause = conflictPause
			}
			continue
		case outbid:
			// With a jitter beyond the section: of two boxes each may have the
			// better claim to one of the names.
			n, pause = 0, deferTime+rand.N(probeInterval)
			continue
		}
		if n == probeCount {
			r.log.Info("host name claimed", "host", r.zone.host)
			if renamed := r.claims.renamed(&r.opt); !maps.Equal(renamed, r.told) {
				r.told = renamed
				r.opt.OnRename(maps.Clone(renamed))
			}
			return true
		}
		for i := range r.links {
			r.multicast(&r.links[i], r.zone.probe(&r.links[i]))
		}
		n, pause = n+1, probeInterval
	}
}

// serve announces and answers until the names must be claimed anew or ctx is
// done.
func (r *responder) serve(ctx context.Context) {
	r.state, r.announced = serving, true
	for due := announceCount; ; {
		pause := time.Duration(-1)
		if due > 0 {
			for i := range r.links {
				r.multicast(&r.links[i], r.zone.announcements(&r.links[i])...)
			}
			if due--; due > 0 {
				pause = announceInterval
			}
		}
		switch r.wait(ctx, pause) {
		case addressesChanged:
			due = announceCount
		case belittled:
			due = max(due, 1)
		case stopped, linksChanged, conflicted:
			return
		}
	}
}

// wait works on what comes in until d is over, unless it is negative, or until
// something happens that the caller must act on.
func (r *responder) wait(ctx context.Context, d time.Duration) event {
	var timer <-chan time.Time
	if d >= 0 {
		timer = time.After(d)
	}
	for {
		ev := elapsed
		select {
		case <-ctx.Done():
			return stopped
		case <-timer:
			return elapsed
		case p := <-r.packets:
			ev = r.receive(p)
		case <-r.changes:
			r.changed()
		case <-r.refresh:
			ev = r.followLinks()
		case <-r.objection:
			return conflicted
		case <-r.rescue:
			r.rescue = nil
			return belittled
		}
		if ev != elapsed {
			return ev
		}
	}
}

// followLinks reads the interfaces and takes back addresses that are gone.
func (r *responder) followLinks() event {
	before, links := r.readLinks(), r.links
	ev := elapsed
	same := func(a, b link) bool { return a.iface.Index == b.iface.Index }
	if !slices.EqualFunc(before, links, same) {
		ev = linksChanged
	}
	for i := range before {
		j := slices.IndexFunc(links, func(l link) bool { return same(l, before[i]) })
		if j < 0 || before[i].sameAddresses(&links[j]) {
			continue
		}
		if ev == elapsed {
			ev = addressesChanged
		}
		if m := r.zone.withdrawal(&before[i], &links[j]); m != nil && r.announced {
			r.multicast(&links[j], m)
		}
	}
	if ev != elapsed {
		clear(r.sent)
		for _, l := range links {
			r.log.Info("link in use", "interface", l.iface.Name, "ipv4", l.v4, "ipv6", l.v6)
		}
	}
	return ev
}

// receive works on one packet.
func (r *responder) receive(p packet) event {
	l := r.link(p)
	if l == nil {
		return elapsed
	}
	m, err := parse(p.data)
	if err != nil {
		r.log.Debug("packet dropped", "from", p.src, "interface", l.iface.Name, "err", err)
		return elapsed
	}
	own := r.own[p.src.Addr()] // it is ours, zeroconf's, or another program's on this machine
	if own && r.zone.yields(m, l) {
		r.log.Info("reverse names left to another responder", "interface", l.iface.Name)
		r.zone.noReverse = true
	}
	switch {
	case m.Response:
		if !own && !l.trusted(p) {
			return elapsed
		}
		if r.state == serving && r.rescue == nil && r.zone.belittles(m, l) {
			r.rescue = time.After(rescueDelay)
		}
		if !own {
			return r.conflict(m, p.src)
		}
	case r.state == probing:
		if !own && len(m.Ns) > 0 && r.zone.loses(m, l) {
			return outbid
		}
	case r.state == serving:
		from := origin{src: p.src, group: p.dst.IsMulticast()}
		for _, reply := range r.zone.answer(m, l, from) {
			r.reply(l, p.v6, reply)
		}
	}
	return elapsed
}

// conflict looks for other owners of our names. While probing the next name is
// taken; later they are probed for anew, and who gives in is decided by that.
func (r *responder) conflict(m *dns.Msg, from netip.AddrPort) event {
	host, services := r.zone.conflicts(m, r.own)
	if r.state == waiting || !host && len(services) == 0 {
		return elapsed
	}
	if r.state == serving {
		if held := conflictHold - time.Since(r.claimed); held > 0 {
			if r.objection == nil { // a neighbour must not keep us probing for ever
				r.objection = time.After(held)
			}
			return elapsed
		}
		r.log.Warn("name conflict", "host", r.zone.host, "with", from.Addr())
		return conflicted
	}
	if host {
		r.claims.host.next()
	}
	for _, i := range services {
		r.claims.services[i].next()
	}
	old := strings.TrimSuffix(r.zone.host, "."+domain)
	r.rename()
	r.log.Warn("name taken by another host", "host", old, "with", from.Addr(), "now", r.Host())
	return conflicted
}

// multicast sends messages out of the link and takes down what was said.
func (r *responder) multicast(l *link, msgs ...*dns.Msg) {
	for _, m := range msgs {
		for _, s := range r.network.multicast(l, m) {
			if !m.Response {
				continue
			}
			for _, rr := range m.Answer {
				r.sent[sentKey{l.iface.Index, s.v6, rr.String()}] = time.Now()
			}
		}
	}
}

// reply sends a reply within the rate limits.
func (r *responder) reply(l *link, v6 bool, rep reply) {
	to := rep.to
	s := r.socks[slices.IndexFunc(r.socks, func(s *socket) bool { return s.v6 == v6 })]
	if !to.IsValid() {
		to = s.group
		interval := multicastInterval
		if rep.defend {
			interval = defendInterval
		}
		if rep.msg.Answer = r.due(l.iface.Index, v6, rep.msg.Answer, interval); len(rep.msg.Answer) == 0 {
			return
		}
	} else if !r.unicastDue() {
		return
	}
	b, err := rep.msg.Pack()
	if err != nil {
		r.log.Warn("message not sent", "interface", l.iface.Name, "err", err)
		return
	}
	r.write(s, b, l, to)
}

// due returns those of the records that were not multicast within the interval
// and takes down that they are now.
func (r *responder) due(index int, v6 bool, rrs []dns.RR, interval time.Duration) []dns.RR {
	now := time.Now()
	return slices.DeleteFunc(rrs, func(rr dns.RR) bool {
		key := sentKey{index, v6, rr.String()}
		if now.Sub(r.sent[key]) < interval {
			return true
		}
		r.sent[key] = now
		return false
	})
}

func (r *responder) unicastDue() bool {
	if now := time.Now(); now.Sub(r.unicastWindow) >= time.Second {
		r.unicastWindow, r.unicastCount = now, 0
	}
	r.unicastCount++
	return r.unicastCount <= unicastPerSecond
}
