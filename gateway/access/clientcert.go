package access

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"
)

// NameField is where in a client certificate its name stands.
type NameField string

// The fields.
const (
	CommonName NameField = "cn"    // of the subject
	DNSName    NameField = "dns"   // alternative name
	Email      NameField = "email" // alternative name
	URI        NameField = "uri"   // alternative name
)

// ClientCertificateOptions are the options of [NewClientCertificates].
type ClientCertificateOptions struct {
	Authority  *Authority // the box's own
	CA         string     // PEM file of the authorities to trust in its place; empty: the box's own
	CRLs       []string   // files, PEM or DER
	Field      NameField  // empty: CommonName
	ClockKnown func() bool
	Now        func() time.Time               // nil: time.Now
	Refused    func(*x509.Certificate, error) // called for each certificate that is refused; may be nil
	Logger     *slog.Logger                   // nil: silent
}

// ClientCertificates says which certificates of clients are good and whom they name.
type ClientCertificates struct{}

// NewClientCertificates returns what verifies client certificates.
func NewClientCertificates(o ClientCertificateOptions) (*ClientCertificates, error) { return nil, nil }

// Ask makes a TLS listener ask for client certificates. A connection whose handshake
// is done shows a certificate that was verified, the first of PeerCertificates, or
// none; none only if it is not required. VerifiedChains is not set.
func (c *ClientCertificates) Ask(config *tls.Config, require bool) {}

// Name returns whom a certificate names; empty: nobody.
func (c *ClientCertificates) Name(cert *x509.Certificate) string { return "" }
