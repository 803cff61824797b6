package access

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	issuedFile  = "issued.json"
	revokedFile = "revoked.pem"

	maxIssued = 4096 // client certificates, revoked ones too

	maxCommonName = 64       // characters; X.520 ub-common-name
	maxRequest    = 16 << 10 // bytes of a certificate signing request
)

// IssuedCertificate is a client certificate that the box has issued.
type IssuedCertificate struct {
	Serial  string    // in hexadecimal
	Name    string    // common name of the subject
	Issued  time.Time // by the wall clock, which may have been wrong
	Until   time.Time `json:"-"` // it is valid
	Revoked bool      `json:"-"` // the CRL says so
}

// InvalidCertificateError says what is wrong with what somebody wants to have issued or
// revoked.
type InvalidCertificateError struct {
	Field  string // name, csr or serial; empty: there are too many
	Reason string
}

func (e *InvalidCertificateError) Error() string { return e.Reason }

func invalidCertificate(field, format string, args ...any) error {
	return &InvalidCertificateError{field, fmt.Sprintf(format, args...)}
}

// readClients reads what was issued and revoked.
func (a *Authority) readClients() error {
	name := filepath.Join(a.dir, issuedFile)
	b, err := readFile(name, maxTLSFile)
	if err == nil {
		err = json.Unmarshal(b, &a.issued)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// They go on being valid. The CRL takes serial numbers that are not listed.
		a.log.Error("list of client certificates damaged, it begins anew", "err", err)
		setAside(name)
		a.issued = nil
	}
	a.list, err = a.revocations().read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.list, err = a.makeList(nil)
	case errors.Is(err, errDamaged):
		a.log.Error("list of revoked client certificates damaged, it begins anew: revoke them again", "err", err)
		a.list, err = a.makeList(nil)
	}
	if err != nil {
		return err
	}
	a.setRevoked()
	return nil
}

// revocations are the files of the CRL.
func (a *Authority) revocations() twin[*x509.RevocationList] {
	return twin[*x509.RevocationList]{
		path: filepath.Join(a.dir, revokedFile),
		parse: func(b []byte) (*x509.RevocationList, error) {
			block, _ := pem.Decode(b)
			if block == nil {
				return nil, errors.New("no PEM")
			}
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return nil, err
			}
			return list, list.CheckSignatureFrom(a.root)
		},
		newer: func(a, b *x509.RevocationList) bool { return a.Number.Cmp(b.Number) > 0 },
		log:   a.log,
	}
}

// makeList makes the CRL. It does not expire before the authority: it lists what was
// revoked until now, and nobody else does.
func (a *Authority) makeList(revoked []x509.RevocationListEntry) (*x509.RevocationList, error) {
	number := big.NewInt(1)
	if a.list != nil {
		number.Add(a.list.Number, number)
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number:                    number,
		ThisUpdate:                a.today(),
		NextUpdate:                authorityEnd,
		RevokedCertificateEntries: revoked,
	}, a.root, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseRevocationList(der)
}

// today is the present by the wall clock, or the beginning if that cannot be right.
func (a *Authority) today() time.Time {
	t := a.o.Now().UTC().Truncate(time.Second)
	if t.Before(authorityBegin) || t.After(authorityEnd) {
		return authorityBegin
	}
	return t
}

func (a *Authority) setRevoked() {
	revoked := make(map[string]bool)
	for _, e := range a.list.RevokedCertificateEntries {
		revoked[serialText(e.SerialNumber)] = true
	}
	a.revoked.Store(&revoked)
}

// IssueClient makes a certificate for a client of that name. With a certificate
// signing request (PEM or DER) it is for the key of that, of which nothing else is
// used, and keyPEM is nil; else there is a new key, which the box does not keep. The
// error is an [InvalidCertificateError] or that of the disk.
func (a *Authority) IssueClient(name string, csr []byte) (certPEM, keyPEM []byte, err error) {
	if err := checkName(name); err != nil {
		return nil, nil, invalidCertificate("name", "the name %v", err)
	}
	if utf8.RuneCountInString(name) > maxCommonName {
		return nil, nil, invalidCertificate("name", "the name is longer than %d characters", maxCommonName)
	}
	var public crypto.PublicKey
	if csr != nil {
		if public, err = requestKey(csr); err != nil {
			return nil, nil, invalidCertificate("csr", "certificate signing request: %v", err)
		}
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, nil, err
		}
		public, keyPEM = &key.PublicKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	serial := newSerial()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             a.root.NotBefore,
		NotAfter:              a.root.NotAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.root, public, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("client certificate: %w", err)
	}

	// It is listed before anybody has it: what is not listed is not found when it
	// has to be revoked.
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.issued) >= maxIssued {
		return nil, nil, invalidCertificate("", "there are %d certificates already; a new authority (delete %s) starts at none", maxIssued, a.dir)
	}
	issued := append(slices.Clone(a.issued), IssuedCertificate{Serial: serialText(serial), Name: name, Issued: a.today()})
	text, err := json.Marshal(issued)
	if err == nil {
		err = writeFile(filepath.Join(a.dir, issuedFile), text)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("client certificate: %w", err)
	}
	a.issued = issued
	return certificatePEM(der), keyPEM, nil
}

// requestKey returns the public key of a certificate signing request whose sender has
// the private key too.
func requestKey(b []byte) (crypto.PublicKey, error) {
	if len(b) > maxRequest {
		return nil, fmt.Errorf("larger than %d KiB", maxRequest>>10)
	}
	if block, _ := pem.Decode(b); block != nil {
		if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
			return nil, fmt.Errorf("holds a %s; right is a CERTIFICATE REQUEST", block.Type)
		}
		b = block.Bytes
	}
	request, err := x509.ParseCertificateRequest(b)
	if err != nil {
		return nil, err
	}
	switch key := request.PublicKey.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 2048 || n > 4096 {
			return nil, fmt.Errorf("RSA key of %d bits; right are 2048 to 4096", n)
		}
	default:
		return nil, errors.New("key of an unknown kind; right are ECDSA, Ed25519 and RSA")
	}
	if err := request.CheckSignature(); err != nil {
		return nil, err
	}
	return request.PublicKey, nil
}

// Issued returns the client certificates that were issued, oldest first.
func (a *Authority) Issued() []IssuedCertificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	issued := slices.Clone(a.issued)
	revoked := *a.revoked.Load()
	for i := range issued {
		issued[i].Until, issued[i].Revoked = a.root.NotAfter, revoked[issued[i].Serial]
	}
	return issued
}

// Revoke makes a client certificate invalid for ever. When it returns that cannot be
// lost any more; if it fails the certificate is as good as before, at most until the
// next start. Whoever is connected with it stays until the caller disconnects it. A
// serial number that is not listed is taken too: the list may have been damaged. The
// error is an [InvalidCertificateError] or that of the disk.
func (a *Authority) Revoke(serial string) error {
	n, ok := new(big.Int).SetString(serial, 16)
	if !ok || n.Sign() <= 0 || len(n.Bytes()) > 20 {
		return invalidCertificate("serial", "%.60q is no serial number; right are hexadecimal digits", serial)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	revoked := *a.revoked.Load()
	if revoked[serialText(n)] {
		return nil
	}
	if len(revoked) >= maxIssued {
		return invalidCertificate("", "%d certificates are revoked already; a new authority (delete %s) starts at none", maxIssued, a.dir)
	}
	entries := append(slices.Clone(a.list.RevokedCertificateEntries),
		x509.RevocationListEntry{SerialNumber: n, RevocationTime: a.today()})
	list, err := a.makeList(entries)
	if err == nil {
		err = a.revocations().write(listPEM(list))
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	a.list = list
	revoked = maps.Clone(revoked)
	revoked[serialText(n)] = true
	a.revoked.Store(&revoked)
	return nil
}

// Revoked reports whether a certificate of this authority was revoked.
func (a *Authority) Revoked(c *x509.Certificate) bool {
	return (*a.revoked.Load())[serialText(c.SerialNumber)] && bytes.Equal(c.RawIssuer, a.root.RawSubject)
}

func listPEM(l *x509.RevocationList) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: l.Raw})
}
