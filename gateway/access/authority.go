package access

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/big"
	"net/netip"
	"time"
)

// Names are what the box is called at the moment.
type Names struct {
	Hosts     []string     // host names; a name of one label is also served with .local
	Addresses []netip.Addr // of all interfaces
}

// AuthorityOptions are the options of [NewAuthority].
type AuthorityOptions struct {
	Names      func() Names     // asked every few seconds
	ClockKnown func() bool      // whether the wall clock is known to be right
	Now        func() time.Time // nil: time.Now
	Logger     *slog.Logger     // nil: silent
}

// Authority is the box's own certificate authority. It makes the certificate of the
// TLS listeners and keeps it fresh, and issues and revokes certificates for clients.
type Authority struct{}

// IssuedCertificate is a client certificate that the box has issued.
type IssuedCertificate struct {
	Serial  string // in hexadecimal
	Name    string
	Issued  time.Time // by the wall clock, which may have been wrong
	Revoked bool
}

// NewAuthority reads the authority of a folder, or makes one there.
func NewAuthority(dir string, o AuthorityOptions) (*Authority, error) {
	return nil, errors.New("not there yet")
}

// Run issues the server certificate again when the names of the box change, before it
// expires, and when the clock gets known, until ctx ends.
func (a *Authority) Run(ctx context.Context) error { return nil }

// GetCertificate is for [tls.Config]. Who is connected stays when the certificate changes.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }

// Root returns the certificate that clients have to trust, and its SHA-256
// fingerprint in hexadecimal with colons.
func (a *Authority) Root() (pem []byte, fingerprint string) { return nil, "" }

// IssueClient makes a certificate for a client of that name. With a certificate
// signing request (PEM or DER) it is for the key of that, of which nothing else is
// used, and keyPEM is nil; else there is a new key, which the box does not keep.
func (a *Authority) IssueClient(name string, csr []byte) (certPEM, keyPEM []byte, err error) {
	return nil, nil, nil
}

// Issued returns the client certificates that were issued, oldest first.
func (a *Authority) Issued() []IssuedCertificate { return nil }

// Revoke makes a client certificate invalid for ever. When it returns that cannot be
// lost any more. Whoever is connected with it has to be disconnected by the caller.
func (a *Authority) Revoke(serial string) error { return nil }

// Revoked reports whether a certificate of this authority was revoked.
func (a *Authority) Revoked(serial *big.Int) bool { return false }

// RevocationList returns the revoked certificates as a CRL in PEM.
func (a *Authority) RevocationList() []byte { return nil }
