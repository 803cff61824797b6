package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// AuthorityOptions are the options of [NewAuthority].
type AuthorityOptions struct {
	Names      func() Names     // asked every few seconds
	ClockKnown func() bool      // whether the wall clock is known to be right
	Now        func() time.Time // the wall clock; nil: time.Now
	Logger     *slog.Logger     // nil: silent
}

// Authority is the box's own certificate authority. It makes the certificate of the
// TLS listeners and keeps it fresh, and issues and revokes certificates for clients.
//
// Everything is in one folder, readable for nobody else:
//
//	ca.pem, ca.pem.copy            the authority: certificate and key
//	root.pem                       its certificate alone, for clients
//	server.pem                     the certificate of the listeners, and its key
//	issued.json                    which client certificates there are
//	revoked.pem, revoked.pem.copy  the CRL
//
// What cannot be read is renamed to NAME.damaged. A server certificate is then made
// again, of which no client takes notice. An authority of which the copy is gone too is
// made anew, with an error in the log: clients have to trust the new one, but the box on
// the wall of somebody's parents starts, and whoever does not use TLS sees nothing of
// it. Whoever wants a new authority deletes the folder.
//
// Client certificates may be revoked, and nobody has to renew them: they are valid
// as long as the authority is, which is until the end of 2049, the last year that all
// programs read in the same way (UTCTime, RFC 5280 §4.1.2.5). They and the authority
// are valid from 1970 on, since the box starts there, and so do many of its clients.
type Authority struct {
	o       AuthorityOptions
	dir     string
	log     *slog.Logger
	started time.Time

	root        *x509.Certificate
	key         crypto.Signer
	rootPEM     []byte
	fingerprint string

	server atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	issued  []IssuedCertificate
	list    *x509.RevocationList
	revoked atomic.Pointer[map[string]bool] // by serial number in hexadecimal
}

// The authority is valid from and until.
var (
	authorityBegin = time.Unix(0, 0).UTC()
	authorityEnd   = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
)

// NewAuthority reads the authority of a folder, or makes one there. When it returns
// there is a server certificate.
func NewAuthority(dir string, o AuthorityOptions) (*Authority, error) {
	a := &Authority{o: o, dir: dir, log: o.Logger, started: time.Now()}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.o.Now == nil {
		a.o.Now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if err := a.readClients(); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	a.readServer()
	if err := a.keepServer(); err != nil {
		return nil, err
	}
	return a, nil
}

// open reads the authority or makes it.
func (a *Authority) open() error {
	files := twin[*tls.Certificate]{path: filepath.Join(a.dir, "ca.pem"), parse: parseAuthority, log: a.log}
	pair, err := files.read()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errDamaged):
		// What another authority has issued or revoked means nothing now.
		for _, name := range []string{issuedFile, revokedFile, revokedFile + ".copy"} {
			setAside(filepath.Join(a.dir, name))
		}
		text, merr := makeAuthority(a.o.Names())
		if merr == nil {
			merr = files.write(text)
		}
		if merr == nil {
			pair, merr = parseAuthority(text)
		}
		if merr != nil {
			return merr
		}
		a.use(pair)
		if errors.Is(err, errDamaged) {
			a.log.Error("certificate authority was damaged and is made anew: clients over TLS must be given the new one, "+
				"client certificates must be issued again", "fingerprint", a.fingerprint, "err", err)
		} else {
			a.log.Info("certificate authority made", "fingerprint", a.fingerprint)
		}
		return nil
	case err != nil:
		return err
	}
	a.use(pair)
	return nil
}

// rootFile is for whoever has no page to download it from. Nothing reads it here.
const rootFile = "root.pem"

func (a *Authority) use(pair *tls.Certificate) {
	a.root, a.key = pair.Leaf, pair.PrivateKey.(crypto.Signer)
	a.rootPEM = certificatePEM(pair.Leaf.Raw)
	a.fingerprint = fingerprint(pair.Leaf)
	name := filepath.Join(a.dir, rootFile)
	if b, err := readFile(name, maxTLSFile); err == nil && string(b) == string(a.rootPEM) {
		return
	}
	if err := writeFile(name, a.rootPEM); err != nil {
		a.log.Warn("certificate of the authority not written", "err", err)
	}
}

// fingerprint is the SHA-256 of a certificate as browsers and openssl show it.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

func parseAuthority(b []byte) (*tls.Certificate, error) {
	pair, err := parsePair(b)
	if err != nil {
		return nil, err
	}
	if !pair.Leaf.IsCA {
		return nil, errors.New("not a certificate authority")
	}
	if err := pair.Leaf.CheckSignatureFrom(pair.Leaf); err != nil {
		return nil, err
	}
	return pair, nil
}

// localDomains are under what a box in a house can have its name: RFC 6762, RFC 6761,
// RFC 8375, the domain that ICANN reserved in 2024, and what routers use all the same.
var localDomains = []string{"local", "localhost", "home.arpa", "internal", "lan", "home", "fritz.box"}

// makeAuthority makes a certificate authority and returns it as parseAuthority reads
// it.
//
// Phones and computers are told to trust it, so that it says itself that it is good
// for nothing but servers and clients, and for no server outside of the house: who
// steals the card cannot play somebody's bank. The constraint on names is not marked
// critical, other than RFC 5280 §4.2.1.10 wants: Mbed TLS, which is in most devices, does
// not know it and would refuse the whole certificate (its issue 8759); OpenSSL and Go
// obey it either way. There is none on addresses: a bank has a name.
func makeAuthority(n Names) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	domains := append([]string(nil), localDomains...)
	for _, h := range n.Hosts {
		if host, ok := hostName(h); ok {
			domains = append(domains, host)
		}
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		// Two boxes must not have authorities of the same name: OpenSSL finds an
		// issuer by it.
		Subject:               pkix.Name{Organization: []string{"Lintel"}, CommonName: "Lintel CA " + rand.Text()[:8]},
		NotBefore:             authorityBegin,
		NotAfter:              authorityEnd,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		PermittedDNSDomains:   domains,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return encodePair(der, key)
}

// newSerial returns a number that no other certificate has (RFC 5280 §4.1.2.2: at
// most 20 bytes, positive).
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40 // always of the same length
	return new(big.Int).SetBytes(b)
}

func serialText(n *big.Int) string { return hex.EncodeToString(n.Bytes()) }

// Root returns the certificate that clients have to trust, and its SHA-256
// fingerprint in hexadecimal with colons.
func (a *Authority) Root() (pem []byte, fingerprint string) {
	return append([]byte(nil), a.rootPEM...), a.fingerprint
}

// GetCertificate is for [tls.Config]. Who is connected stays when the certificate
// changes.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.server.Load(), nil
}

// lookAtNames is how often the names of the box are looked at. Asking the system for
// its addresses is one message to the kernel and its answer.
const lookAtNames = 5 * time.Second

// Run issues the server certificate again when the names of the box change, before it
// expires, and when the clock gets known, until ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookAtNames)
	defer ticker.Stop()
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := a.keepServer()
		if err != nil && !failed { // the one that is there goes on serving
			a.log.Error("server certificate not issued", "err", err)
		}
		failed = err != nil
	}
}
