package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// ClientCertificateOptions are the options of [NewClientCertificates].
type ClientCertificateOptions struct {
	Authority  *Authority                     // the box's own; it is trusted unless CA is set, and says what it has revoked
	CA         string                         // PEM file of the authorities to trust in its place; empty: none
	CRLs       []string                       // files, PEM or DER
	Field      NameField                      // empty: CommonName
	ClockKnown func() bool                    // whether the wall clock is known to be right
	Now        func() time.Time               // the wall clock; nil: time.Now
	Refused    func(*x509.Certificate, error) // called for each certificate that is refused; may be nil
	Logger     *slog.Logger                   // nil: silent
}

// ClientCertificates says which certificates of clients are good and whom they name.
//
// A good certificate was issued by an authority that is trusted here, or by one under
// that which the client sends along: maxChain certificates with its own. It is for
// clients: it has the extended key usage clientAuth (RFC 5280 §4.2.1.12), which one
// without any does not. It is valid by the clock, has not been revoked, and names
// somebody. Any other one ends the handshake. That is no answer that
// a client takes as final: it tries again, so it may be given in doubt.
//
// A box that does not know the time cannot tell whether a certificate has expired and
// lets it pass: else a house without the Internet would lose its clients. Whoever knows
// the time later asks for the end of the certificate, in NotAfter.
//
// The files are read again when they change. What cannot be used does not replace what
// is in force; where nothing is in force, all certificates are refused until the file
// is put right, and only they. A CRL that has expired goes on being used, with a warning:
// what it revokes stays revoked, and a house where nobody fetches a new one goes on. An
// authority without a CRL revokes nothing.
//
// All of this is looked at again when a client resumes a TLS session.
type ClientCertificates struct {
	o   ClientCertificateOptions
	log *slog.Logger

	mu     sync.Mutex
	trust  *trustFiles // nil: the files were never usable
	stamps []fileStamp
	looked time.Time
	failed error // why the files as they are cannot be used
}

// trustFiles is what the files say.
type trustFiles struct {
	pool        *x509.CertPool
	authorities []*x509.Certificate
	lists       []*crl
}

const (
	maxChain           = 5   // certificates that a client sends
	maxAuthorities     = 256 // in a file
	maxCertificateName = 128 // bytes
)

// NewClientCertificates returns what verifies client certificates. That the files
// cannot be used is no error: it is logged, and all certificates are refused until they
// can.
func NewClientCertificates(o ClientCertificateOptions) (*ClientCertificates, error) {
	c := &ClientCertificates{o: o, log: o.Logger}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.o.Now == nil {
		c.o.Now = time.Now
	}
	if o.Authority == nil && o.CA == "" {
		return nil, errors.New("client certificates: no authority to trust; name a file with one")
	}
	c.current()
	return c, nil
}

// Ask makes a TLS listener ask for client certificates. A connection whose handshake
// is done shows a certificate that was verified here, the first of PeerCertificates,
// or none; none only if it is not required. VerifiedChains is not set.
func (c *ClientCertificates) Ask(config *tls.Config, require bool) {
	// Not VerifyClientCertIfGiven: crypto/tls would go by the clock of the box, and by
	// the authorities of the start.
	config.ClientAuth = tls.RequestClientCert
	if require {
		config.ClientAuth = tls.RequireAnyClientCert
	}
	config.VerifyConnection = c.verify // called for resumed sessions too
}

// verify refuses the certificate that a client shows, or does not.
func (c *ClientCertificates) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil // crypto/tls knows whether it is required
	}
	err := c.check(state.PeerCertificates)
	if err != nil {
		cert := state.PeerCertificates[0]
		c.log.Info("client certificate refused", "subject", short(cert.Subject.String()), "serial", serialText(cert.SerialNumber), "err", err)
		if c.o.Refused != nil {
			c.o.Refused(cert, err)
		}
		return fmt.Errorf("client certificate: %w", err)
	}
	return nil
}

// short bounds what somebody writes into the log before it is known who.
func short(s string) string { return s[:min(len(s), 200)] }

// check says why a certificate, with those that the client sent after it, is not good.
func (c *ClientCertificates) check(sent []*x509.Certificate) error {
	cert := sent[0]
	if len(sent) > maxChain {
		return fmt.Errorf("chain of %d certificates; at most %d are read", len(sent), maxChain)
	}
	if _, err := c.name(cert); err != nil {
		return err
	}
	if !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return errors.New("not issued for clients; issue it with the extended key usage clientAuth")
	}
	trust, err := c.current()
	if err != nil {
		return err
	}
	chains, err := c.chains(trust, sent)
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if err = c.revoked(trust, chain); err == nil {
			return nil
		}
	}
	return err
}

// chains returns the ways from a certificate to an authority.
func (c *ClientCertificates) chains(trust *trustFiles, sent []*x509.Certificate) ([][]*x509.Certificate, error) {
	o := x509.VerifyOptions{
		Roots:         trust.pool,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   c.o.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, i := range sent[1:] {
		o.Intermediates.AddCert(i)
	}
	if c.o.ClockKnown() {
		return sent[0].Verify(o)
	}
	// Some moment at which all of them were valid will do. If there is one then one
	// of them begins there.
	var chains [][]*x509.Certificate
	err := errors.New("has no time at which it is valid")
	for _, moment := range beginnings(sent, trust.authorities) {
		o.CurrentTime = moment
		if chains, err = sent[0].Verify(o); err == nil {
			break
		}
	}
	return chains, err
}

// beginnings returns when certificates begin to be valid that may be in the chain of
// the first one, within the validity of that.
func beginnings(sent, authorities []*x509.Certificate) []time.Time {
	cert := sent[0]
	moments := []time.Time{cert.NotBefore}
	add := func(c *x509.Certificate) {
		if c.NotBefore.After(cert.NotBefore) && c.NotBefore.Before(cert.NotAfter) && !slices.ContainsFunc(moments, c.NotBefore.Equal) {
			moments = append(moments, c.NotBefore)
		}
	}
	for _, c := range sent[1:] {
		add(c)
	}
	for _, a := range authorities {
		if slices.ContainsFunc(sent, func(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, a.RawSubject) }) {
			add(a)
		}
	}
	return moments
}

// revoked says which certificate of a chain was revoked.
func (c *ClientCertificates) revoked(trust *trustFiles, chain []*x509.Certificate) error {
	for i, cert := range chain[:len(chain)-1] {
		issuer := chain[i+1]
		what := "was revoked"
		if i > 0 {
			what = fmt.Sprintf("its authority %s was revoked", short(cert.Subject.String()))
		}
		if a := c.o.Authority; a != nil && issuer.Equal(a.root) && a.Revoked(cert) {
			return errors.New(what)
		}
		for _, l := range trust.lists {
			if l.revokes(cert, issuer) {
				return errors.New(what)
			}
		}
	}
	return nil
}

// current returns what is in force, after another look at the files.
func (c *ClientCertificates) current() (*trustFiles, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.looked.IsZero() || now.Sub(c.looked) >= lookAtFiles {
		c.looked = now
		c.look()
	}
	if c.trust == nil {
		return nil, c.failed
	}
	if c.o.ClockKnown() {
		for _, l := range c.trust.lists {
			l.warnExpired(c.o.Now(), c.log)
		}
	}
	return c.trust, nil
}

// look reads the files if they have changed. Called with mu held.
func (c *ClientCertificates) look() {
	stamps := stampsOf(c.files())
	if (c.trust != nil || c.failed != nil) && slices.Equal(stamps, c.stamps) {
		return // said once for each state of the files
	}
	c.stamps = stamps
	read, err := c.read()
	switch {
	case err == nil:
		if c.trust != nil {
			c.log.Info("authorities of client certificates read again", "authorities", len(read.authorities), "lists", len(read.lists))
		}
		c.trust = read
	case c.trust != nil:
		c.log.Error("authorities of client certificates not usable, those before stay", "err", err)
	default:
		c.log.Error("authorities of client certificates not usable, all certificates are refused", "err", err)
	}
	c.failed = err
}

func (c *ClientCertificates) files() []string {
	if c.o.CA == "" {
		return c.o.CRLs
	}
	return append([]string{c.o.CA}, c.o.CRLs...)
}

// read reads the files.
func (c *ClientCertificates) read() (*trustFiles, error) {
	t := &trustFiles{pool: x509.NewCertPool()}
	if c.o.CA == "" {
		t.authorities = []*x509.Certificate{c.o.Authority.root}
	} else {
		b, err := readFile(c.o.CA, maxTLSFile)
		if err == nil {
			t.authorities, err = parseCertificates(b)
		}
		if err != nil {
			return nil, fmt.Errorf("client CA %s: %w", c.o.CA, err)
		}
	}
	for _, a := range t.authorities {
		t.pool.AddCert(a)
	}
	for _, name := range c.o.CRLs {
		b, err := readFile(name, maxTLSFile)
		var lists []*crl
		if err == nil {
			lists, err = parseCRLs(name, b)
		}
		for _, l := range lists {
			if err == nil {
				err = l.check(t.authorities)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("CRL %s: %w", name, err)
		}
		t.lists = append(t.lists, lists...)
	}
	return t, nil
}
