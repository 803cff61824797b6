package access

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// InstalledCertificateOptions are the options of [NewInstalledCertificate].
type InstalledCertificateOptions struct {
	CertFile, KeyFile string                                               // PEM; the first has the chain too
	Other             func(*tls.ClientHelloInfo) (*tls.Certificate, error) // the box's own
	ClockKnown        func() bool                                          // whether the wall clock is known to be right
	Logger            *slog.Logger                                         // nil: silent
}

// InstalledCertificate is a certificate for TLS listeners that a person has installed.
// It is read again when its files have changed: whoever renews it need not restart
// anything. Files that cannot be used do not replace the one that is served; where
// that is none, the box's own is: the house goes on, and its pages, where the mistake can
// be put right.
type InstalledCertificate struct {
	o   InstalledCertificateOptions
	log *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate // nil: the files were never usable
	stamps  []fileStamp      // of the files when they were looked at last
	looked  time.Time
}

// NewInstalledCertificate returns what serves a certificate. That its files cannot be used is
// no error: it is logged, now and whenever they have changed.
func NewInstalledCertificate(o InstalledCertificateOptions) *InstalledCertificate {
	c := &InstalledCertificate{o: o, log: o.Logger}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.looked = time.Now()
	c.look(true)
	return c
}

// GetCertificate is that of [tls.Config].
func (c *InstalledCertificate) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	if now := time.Now(); now.Sub(c.looked) >= lookAtFiles {
		c.looked = now
		c.look(false)
	}
	current := c.current
	c.mu.Unlock()
	if current == nil {
		return c.o.Other(hello)
	}
	return current, nil
}

// look reads the files if they have changed. What is wrong is said once for each
// state of them.
func (c *InstalledCertificate) look(first bool) {
	stamps := stampsOf([]string{c.o.CertFile, c.o.KeyFile})
	if slices.Equal(stamps, c.stamps) && !first {
		return
	}
	c.stamps = stamps
	read, err := ReadCertificate(c.o.CertFile, c.o.KeyFile)
	if err == nil && c.o.ClockKnown() {
		// One that has expired is better than none: many clients do not look.
		if err = inForce(read.Leaf, time.Now()); err != nil && c.current == nil {
			c.log.Error("certificate not valid, clients will refuse it; install another one", "file", c.o.CertFile, "err", err)
			err = nil
		}
	}
	switch {
	case err == nil:
		if !first {
			c.log.Info("certificate read again", "file", c.o.CertFile)
		}
		c.current = read
	case c.current == nil:
		c.log.Error("certificate not usable, the box's own is served", "err", err)
	default:
		c.log.Error("certificate not usable, the one before stays", "err", err)
	}
}

// ReadCertificate reads a certificate with its chain, and its key, and checks whatever
// can be checked without knowing the clients.
func ReadCertificate(certFile, keyFile string) (*tls.Certificate, error) {
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
