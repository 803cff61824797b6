package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/access"
)

// openAuthority opens the box's own certificate authority, or makes it at the first
// start. It is there without a TLS listener too: its page offers it for download.
func (g *gateway) openAuthority() error {
	var err error
	g.authority, err = access.NewAuthority(filepath.Join(g.o.Data, "tls"), access.AuthorityOptions{
		Names: g.names, ClockKnown: g.store.ClockKnown, Logger: g.log})
	if err != nil {
		return err
	}
	c := g.config.MQTT.ClientCertificates
	g.certificates, err = access.NewClientCertificates(access.ClientCertificateOptions{
		Authority: g.authority, CA: c.CA, CRLs: c.CRL, Field: c.Name, ClockKnown: g.store.ClockKnown, Refused: g.certificateRefused, Logger: g.log})
	return err
}

// certificateRefused writes into the audit log what ended a handshake. The name is what
// the certificate says, which may be anything. No listener is open before there is a log.
func (g *gateway) certificateRefused(c *x509.Certificate, err error) {
	g.access.audit.Add(access.Event{Kind: access.CertificateRefused, User: g.certificates.Name(c),
		Detail: fmt.Sprintf("%v, serial number %x", err, c.SerialNumber.Bytes())})
}

// issues reports whether certificates that the box issues let anybody in: where the
// configuration names other authorities it does not trust its own.
func (g *gateway) issues() bool { return g.config.MQTT.ClientCertificates.CA == "" }

// revoke makes a client certificate invalid, and throws out who is connected with it.
func (g *gateway) revoke(serial string) error {
	if err := g.authority.Revoke(serial); err != nil {
		return err
	}
	g.access.door.look()
	return nil
}

// names are those under which clients may look for the box.
func (g *gateway) names() access.Names {
	n := access.Names{Hosts: []string{strings.TrimSuffix(g.hostName(), ".local")}}
	if host, err := os.Hostname(); err == nil {
		n.Hosts = append(n.Hosts, host)
	}
	addresses, _ := net.InterfaceAddrs() // none: those that the certificate has stay there
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			n.Addresses = append(n.Addresses, p.Addr())
		}
	}
	return n
}

// tlsConfig is how the listeners of a kind speak TLS: 1.2 and 1.3, with the cipher
// suites of crypto/tls, which are all sound.
func (g *gateway) tlsConfig(certificates ClientCertificateMode) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.authority.GetCertificate}
	if m := g.config.MQTT; m.Certificate != "" {
		own := &certificate{certFile: m.Certificate, keyFile: m.Key, other: g.authority.GetCertificate, clockKnown: g.store.ClockKnown, log: g.log}
		own.get(nil) // says at the start what is wrong
		config.GetCertificate = own.get
	}
	if certificates == ClientCertificateRequest || certificates == ClientCertificateRequire {
		g.certificates.Ask(config, certificates == ClientCertificateRequire)
	}
	return config
}

// certificate is the certificate of the TLS listeners that the configuration names.
// It is read again when its files have changed: whoever renews it need not restart
// anything. Files that cannot be used do not replace the one that is served; where
// that is none, the box's own is: the house goes on, and its pages, where the mistake can
// be put right.
type certificate struct {
	certFile, keyFile string
	other             func(*tls.ClientHelloInfo) (*tls.Certificate, error) // the box's own
	clockKnown        func() bool
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate // nil: the files were never usable
	stamp   [2]fileStamp     // of the files when they were looked at last
	looked  time.Time
}

// fileStamp tells one state of a file from another. That of a file that is not there
// is zero.
type fileStamp struct {
	modified time.Time
	size     int64
}

// lookInterval is how often the files are looked at.
const lookInterval = time.Second

func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	first := c.looked.IsZero()
	if now := time.Now(); first || now.Sub(c.looked) >= lookInterval {
		c.looked = now
		c.look(first)
	}
	current := c.current
	c.mu.Unlock()
	if current == nil {
		return c.other(hello)
	}
	return current, nil
}

// look reads the files if they have changed. What is wrong is said once for each
// state of them.
func (c *certificate) look(first bool) {
	var stamp [2]fileStamp
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			stamp[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	if stamp == c.stamp && !first {
		return
	}
	c.stamp = stamp
	read, err := readCertificate(c.certFile, c.keyFile)
	if err == nil && c.clockKnown() {
		// One that has expired is better than none: many clients do not look.
		if err = inForce(read.Leaf, time.Now()); err != nil && c.current == nil {
			c.log.Error("certificate not valid, clients will refuse it; install another one", "file", c.certFile, "err", err)
			err = nil
		}
	}
	switch {
	case err == nil:
		if !first {
			c.log.Info("certificate read again", "file", c.certFile)
		}
		c.current = read
	case c.current == nil:
		c.log.Error("certificate not usable, the box's own is served", "err", err)
	default:
		c.log.Error("certificate not usable, the one before stays", "err", err)
	}
}

// readCertificate reads a certificate with its chain, and its key, and checks whatever
// can be checked without knowing the clients.
func readCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	read, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	if u := read.Leaf.ExtKeyUsage; len(u) > 0 && !slices.Contains(u, x509.ExtKeyUsageServerAuth) && !slices.Contains(u, x509.ExtKeyUsageAny) {
		return nil, fmt.Errorf("%s: not issued for servers; issue it with the extended key usage serverAuth", certFile)
	}
	issued := read.Leaf
	for i, der := range read.Certificate[1:] {
		issuer, err := x509.ParseCertificate(der)
		if err == nil {
			err = issued.CheckSignatureFrom(issuer) // RFC 8446 §4.4.2 lets others stand in between, many clients do not
		}
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d is not the issuer of the one before it: %w", certFile, i+2, err)
		}
		issued = issuer
	}
	return &read, nil
}

// inForce reports whether a certificate is valid at a time.
func inForce(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("has expired on %s", c.NotAfter.Format(time.DateOnly))
	case now.Before(c.NotBefore):
		return fmt.Errorf("is valid from %s on", c.NotBefore.Format(time.DateOnly))
	}
	return nil
}
