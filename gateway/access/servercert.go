package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names are what the box is called at the moment.
type Names struct {
	Hosts     []string     // host names; one of a single label is also served with .local
	Addresses []netip.Addr // of all interfaces
}

const (
	serverFile = "server.pem"

	// Browsers take no more than 398 days of a public authority (CA/Browser Forum
	// Baseline Requirements §6.3.2), and Apple's no more than 825 of any.
	serverLife = 397 * 24 * time.Hour
	// A client whose clock stands where it was switched off takes it for a while.
	serverEarly = 30 * 24 * time.Hour
	// It is issued again when less than this is left.
	serverRest = serverLife / 3

	// clockPatience is how long a box may be up without knowing the time before it
	// gives up the certificate that it has, which may have expired.
	clockPatience = 10 * time.Minute

	maxServerNames     = 16
	maxServerAddresses = 64
)

// A server certificate that was made while the time was known is dated: valid for
// serverLife. In a box that does not know the time the other kind is valid as long as
// the authority is, because nobody can say what is 397 days from now: a client that
// knows the time accepts it, but for Apple's. It is replaced as soon as the time is
// known.
func (a *Authority) dated(c *x509.Certificate) bool { return c.NotAfter.Sub(c.NotBefore) <= serverLife }

// readServer reads the server certificate of the folder, if there is one to be used.
func (a *Authority) readServer() {
	name := filepath.Join(a.dir, serverFile)
	b, err := readFile(name, maxTLSFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		pair, perr := parsePair(b)
		if perr == nil && pair.Leaf.CheckSignatureFrom(a.root) == nil {
			a.server.Store(pair)
		}
		if err = perr; err == nil {
			return // of another authority: written over
		}
	}
	a.log.Warn("server certificate damaged, another one is made", "err", err)
	setAside(name)
}

// keepServer issues the server certificate if that is due. It is called by one
// goroutine at a time.
func (a *Authority) keepServer() error {
	hosts, addresses := a.serverNames(a.o.Names())
	var now time.Time // zero: not known
	if t := a.o.Now(); a.o.ClockKnown() && t.Before(a.root.NotAfter.Add(-serverLife)) {
		now = t
	}
	why := a.due(now, hosts, addresses)
	if why == "" {
		return nil
	}
	begin, end := a.period(now)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{Organization: []string{"Lintel"}, CommonName: hosts[0]},
		NotBefore:             begin,
		NotAfter:              end,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              hosts,
	}
	for _, ip := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, &key.PublicKey, a.key)
	if err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	text, err := encodePair(der, key)
	if err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	pair, err := parsePair(text)
	if err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	a.server.Store(pair)
	a.log.Info("server certificate issued", "why", why, "hosts", hosts, "addresses", len(addresses), "until", end)
	// A card that takes nothing any more keeps nobody from being served; the next
	// start makes another one.
	if err := writeFile(filepath.Join(a.dir, serverFile), text); err != nil {
		a.log.Error("server certificate not kept", "err", err)
	}
	return nil
}

// due says why the server certificate has to be issued, or nothing. Names that the
// box does not have any more are no reason: at each start there are none at first.
func (a *Authority) due(now time.Time, hosts []string, addresses []netip.Addr) string {
	pair := a.server.Load()
	if pair == nil {
		return "there is none"
	}
	c := pair.Leaf
	for _, h := range hosts {
		if !slices.Contains(c.DNSNames, h) {
			return "new name " + h
		}
	}
	for _, ip := range addresses {
		if !slices.ContainsFunc(c.IPAddresses, net.IP(ip.AsSlice()).Equal) {
			return "new address " + ip.String()
		}
	}
	switch dated := a.dated(c); {
	case now.IsZero() && dated && time.Since(a.started) > clockPatience:
		return "the time is not known"
	case now.IsZero():
	case !dated:
		return "the time is known"
	case now.Before(c.NotBefore), now.Add(serverRest).After(c.NotAfter):
		return "it expires"
	}
	return ""
}

// period returns from when until when a server certificate is valid that is issued
// now.
func (a *Authority) period(now time.Time) (begin, end time.Time) {
	if !now.IsZero() {
		begin = now.UTC().Add(-serverEarly).Truncate(time.Second)
		return begin, begin.Add(serverLife - time.Second)
	}
	// At each start of a box whose clock is in 1970 its addresses come before the
	// time does.
	if pair := a.server.Load(); pair != nil && a.dated(pair.Leaf) && time.Since(a.started) <= clockPatience {
		return pair.Leaf.NotBefore, pair.Leaf.NotAfter
	}
	return a.root.NotBefore, a.root.NotAfter
}

// serverNames returns the names as they stand in a certificate.
func (a *Authority) serverNames(n Names) (hosts []string, addresses []netip.Addr) {
	add := func(h string) {
		if len(hosts) < maxServerNames && a.permits(h) && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	for _, h := range n.Hosts {
		if h, ok := hostName(h); ok {
			if !strings.Contains(h, ".") {
				add(h + ".local")
			}
			add(h)
		}
	}
	add("localhost")
	addresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	rest := slices.Clone(n.Addresses)
	for i := range rest {
		rest[i] = rest[i].Unmap().WithZone("")
	}
	slices.SortFunc(rest, netip.Addr.Compare) // the same ones each time if there are too many
	for _, ip := range slices.Compact(rest) {
		if ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLoopback() && len(addresses) < maxServerAddresses {
			addresses = append(addresses, ip)
		}
	}
	return hosts, addresses
}

// permits reports whether the authority may vouch for a name. A box that gets another
// host name later is still reached as NAME.local, but not by the bare name.
func (a *Authority) permits(host string) bool {
	if len(a.root.PermittedDNSDomains) == 0 {
		return true // somebody else made it
	}
	return slices.ContainsFunc(a.root.PermittedDNSDomains, func(d string) bool {
		return host == d || strings.HasSuffix(host, "."+d)
	})
}

// hostName returns a host name as it stands in a certificate. One that is none
// (RFC 1123 §2.1) is left out: no client could ask for it.
func hostName(h string) (string, bool) {
	h = strings.ToLower(strings.TrimSuffix(h, "."))
	if h == "" || len(h) > 253 {
		return "", false
	}
	if _, err := netip.ParseAddr(h); err == nil {
		return "", false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", false
		}
	}
	return h, true
}
