package access

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	pairFailures    = 5   // of a user from an address, before they have to wait
	addressFailures = 20  // of an address, whoever it tries to be
	userFailures    = 20  // of a user, wherever they come from
	trustedFailures = 100 // of a user from where they have succeeded, since then

	firstWait   = time.Second
	longestWait = 5 * time.Minute

	failureMemory = time.Hour // after the last one
	maxFailing    = 1024      // pairs, addresses and users that have failed
	maxTrusted    = 8         // addresses of a user: those of the last successes
)

// Lockout makes those wait who fail to log in. It counts failures by address and user
// together, by address and by user. The fifth of a user from an address costs a wait of a second, and
// each one more doubles it, to five minutes; it takes twenty of an address or of a
// user. Who waits holds up nobody else:
//
//   - From an address where a user has succeeded they do not wait. So nobody locks out
//     Home Assistant from another machine, and on its own not with less than 100
//     failures in a row.
//   - Who waits already counts no more against the address and the user: a
//     device with an old password does not lock out the others behind its address.
//   - An address that has not failed as a user has a first try, however often that user
//     has failed elsewhere.
//
// Failures of an IPv6 address count for its /64, of which a machine has as many addresses as it
// likes; successes count for the one address. The zero address is that of a unix
// socket. Failures are forgotten an hour after the last one, and all is when the process ends.
type Lockout struct {
	seed maphash.Seed

	mu      sync.Mutex
	failing map[subject]*failures
	trusted map[uint64][]trust // by user; the latest success is last
}

// subject is what failures are counted of: an address and a user, or one of them. User
// names are hashed, because they are foreign and may be long.
type subject struct {
	kind    subjectKind
	address netip.Addr
	user    uint64
}

type subjectKind byte

const (
	pairOf subjectKind = iota
	addressOf
	userOf
)

// failures are those of a subject.
type failures struct {
	count int
	free  int // so many cost no wait
	last  time.Time
	until time.Time // when the next try may be made
}

// wait is what the last failure costs.
func (f *failures) wait() time.Duration {
	if f.count < f.free {
		return 0
	}
	return min(firstWait<<min(f.count-f.free, 20), longestWait)
}

// trust is a success.
type trust struct {
	address  netip.Addr
	at       time.Time
	failures int // since
}

// NewLockout returns a Lockout that knows of no failures.
func NewLockout() *Lockout {
	return &Lockout{seed: maphash.MakeSeed(), failing: make(map[subject]*failures), trusted: make(map[uint64][]trust)}
}

// Wait returns how long somebody has to wait before the next try. 0 is: try now, and then
// call Failed or Succeeded, or neither if the question stays open. Wait is called once for
// a try: where failures cost a wait, a try that is let through makes the
// next one wait as long again, or many at once would be as good as none before.
func (l *Lockout) Wait(address netip.Addr, user string) time.Duration {
	pair, from, who := l.subjects(address, user)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trust(address, pair.user) >= 0 {
		return 0
	}
	now := time.Now()
	limits := []*failures{l.known(pair, now), l.known(from, now)}
	if limits[0] != nil {
		limits = append(limits, l.known(who, now))
	}
	limits = slices.DeleteFunc(limits, func(f *failures) bool { return f == nil || f.wait() == 0 })
	var wait time.Duration
	for _, f := range limits {
		wait = max(wait, f.until.Sub(now))
	}
	if wait > 0 {
		return wait
	}
	for _, f := range limits {
		f.until = now.Add(f.wait())
	}
	return 0
}

// Failed says that a try failed: the user name or password was definitely wrong.
func (l *Lockout) Failed(address netip.Addr, user string) {
	pair, from, who := l.subjects(address, user)
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.trust(address, pair.user); i >= 0 {
		all := l.trusted[pair.user]
		if all[i].failures++; all[i].failures < trustedFailures {
			return
		}
		if l.trusted[pair.user] = slices.Delete(all, i, i+1); len(all) == 1 {
			delete(l.trusted, pair.user)
		}
		return
	}
	now := time.Now()
	if l.fail(pair, pairFailures, now) > pairFailures {
		return
	}
	l.fail(from, addressFailures, now)
	l.fail(who, userFailures, now)
}

// Succeeded says that a try succeeded. The failures of the address as other users remain: an
// attacker may have a user too.
func (l *Lockout) Succeeded(address netip.Addr, user string) {
	pair, _, _ := l.subjects(address, user)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.failing, pair)
	all, known := l.trusted[pair.user]
	if i := l.trust(address, pair.user); i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	if len(all) == maxTrusted {
		all = slices.Delete(all, 0, 1)
	}
	if !known && len(l.trusted) >= maxUsers {
		l.forgetTrusted()
	}
	l.trusted[pair.user] = append(all, trust{address: address.Unmap(), at: time.Now()})
}

func (l *Lockout) subjects(address netip.Addr, user string) (pair, from, who subject) {
	if address = address.Unmap(); address.Is6() {
		network, _ := address.WithZone("").Prefix(64) // fails for no IPv6 address
		address = network.Addr()
	}
	h := maphash.String(l.seed, user)
	return subject{pairOf, address, h}, subject{kind: addressOf, address: address}, subject{kind: userOf, user: h}
}

// trust returns the place of an address among those of a user, or -1. Called with mu held.
func (l *Lockout) trust(address netip.Addr, user uint64) int {
	address = address.Unmap()
	return slices.IndexFunc(l.trusted[user], func(t trust) bool { return t.address == address })
}

// forgetTrusted drops the user whose last success is longest ago. Called with mu held.
func (l *Lockout) forgetTrusted() {
	var oldest uint64
	var at time.Time
	for user, all := range l.trusted {
		if last := all[len(all)-1].at; at.IsZero() || last.Before(at) {
			oldest, at = user, last
		}
	}
	delete(l.trusted, oldest)
}

// known returns the failures of a subject; nil is none. Called with mu held.
func (l *Lockout) known(s subject, now time.Time) *failures {
	if f := l.failing[s]; f != nil && now.Sub(f.last) < failureMemory {
		return f
	}
	return nil
}

// fail counts a failure and returns how many there are. Called with mu held.
func (l *Lockout) fail(s subject, free int, now time.Time) int {
	f := l.known(s, now)
	if f == nil {
		f = &failures{free: free}
		if l.failing[s] == nil && len(l.failing) >= maxFailing {
			f.count = l.evict(now)
		}
		l.failing[s] = f
	}
	f.count++
	f.last = now
	f.until = now.Add(f.wait())
	return f.count
}

// evict makes room for one more and returns what it begins with. If nothing is over, the
// fewest failures go, and are those of the newcomer: so nobody gets rid of failures by making others
// fail until they are evicted (the Space-Saving algorithm of Metwally, Agrawal
// and El Abbadi). Called with mu held.
func (l *Lockout) evict(now time.Time) (count int) {
	var fewest subject
	var least *failures
	before := len(l.failing)
	for s, f := range l.failing {
		if now.Sub(f.last) >= failureMemory {
			delete(l.failing, s)
		} else if least == nil || f.count < least.count || f.count == least.count && f.last.Before(least.last) {
			fewest, least = s, f
		}
	}
	if len(l.failing) < before {
		return 0
	}
	delete(l.failing, fewest)
	return least.count
}
