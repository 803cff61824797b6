package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// crl is a certificate revocation list (RFC 5280 §5). It is worth what its signature
// is: that is checked with each authority of that name before it says anything about
// what that issued.
type crl struct {
	file    string
	list    *x509.RevocationList // without its entries
	revoked map[string]bool      // serial numbers in hexadecimal
	expired bool                 // said so; guarded by mu of ClientCertificates

	mu     sync.Mutex
	signed map[[sha256.Size]byte]bool // by the key with this hash?
}

// maxSigners bounds how many keys a crl remembers.
const maxSigners = 64

var (
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber      = asn1.ObjectIdentifier{2, 5, 29, 20}
)

// parseCRLs reads a file with CRLs, PEM or DER.
func parseCRLs(name string, b []byte) ([]*crl, error) {
	var lists []*crl
	add := func(der []byte) error {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return err
		}
		// Without knowing what it says a list must not be used (§5.2): it may be
		// of some certificates only, or of changes only.
		for _, e := range list.Extensions {
			if e.Critical && !e.Id.Equal(oidAuthorityKeyID) && !e.Id.Equal(oidCRLNumber) {
				return fmt.Errorf("has the critical extension %v, which is not understood; a full CRL without is needed", e.Id)
			}
		}
		l := &crl{file: name, revoked: make(map[string]bool), signed: make(map[[sha256.Size]byte]bool)}
		for _, e := range list.RevokedCertificateEntries {
			l.revoked[serialText(e.SerialNumber)] = true
		}
		// The entries take many times the memory of the map.
		l.list = &x509.RevocationList{Issuer: list.Issuer, RawIssuer: list.RawIssuer, NextUpdate: list.NextUpdate,
			RawTBSRevocationList: list.RawTBSRevocationList, Signature: list.Signature, SignatureAlgorithm: list.SignatureAlgorithm}
		lists = append(lists, l)
		return nil
	}
	rest := b
	found := false
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found = true
		if block.Type != "X509 CRL" {
			continue
		}
		if err := add(block.Bytes); err != nil {
			return nil, err
		}
	}
	if !found {
		if err := add(b); err != nil {
			return nil, err
		}
	}
	if len(lists) == 0 {
		return nil, errors.New("holds no CRL; right is PEM with X509 CRL, or DER")
	}
	return lists, nil
}

// check checks the signature with the authorities that the list says it is from. Those
// that clients send later are not known yet.
func (l *crl) check(authorities []*x509.Certificate) error {
	known := false
	for _, a := range authorities {
		if !l.names(a) {
			continue
		}
		if l.from(a) {
			return nil
		}
		known = true
	}
	if known {
		return fmt.Errorf("not signed by %s, though it says so; get it again from there", short(l.list.Issuer.String()))
	}
	return nil
}

func (l *crl) names(issuer *x509.Certificate) bool {
	return bytes.Equal(l.list.RawIssuer, issuer.RawSubject)
}

// from reports whether the authority signed the list.
func (l *crl) from(issuer *x509.Certificate) bool {
	if !l.names(issuer) {
		return false
	}
	key := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	l.mu.Lock()
	defer l.mu.Unlock()
	signed, ok := l.signed[key]
	if !ok {
		signed = l.list.CheckSignatureFrom(issuer) == nil
		if len(l.signed) >= maxSigners {
			clear(l.signed)
		}
		l.signed[key] = signed
	}
	return signed
}

// revokes reports whether the list revokes a certificate that issuer issued.
func (l *crl) revokes(cert, issuer *x509.Certificate) bool {
	return l.revoked[serialText(cert.SerialNumber)] && l.from(issuer)
}

// warnExpired says once that there should be a newer list.
func (l *crl) warnExpired(now time.Time, log *slog.Logger) {
	if !l.expired && !l.list.NextUpdate.IsZero() && now.After(l.list.NextUpdate) {
		l.expired = true
		log.Warn("CRL has expired and is still used; fetch a new one", "file", l.file, "since", l.list.NextUpdate)
	}
}

// parseCertificates reads the certificates of a PEM file.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(certs, cert.Equal) {
			certs = append(certs, cert)
		}
		if len(certs) > maxAuthorities {
			return nil, fmt.Errorf("holds more than %d certificates", maxAuthorities)
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("holds no certificate; right is PEM")
	}
	return certs, nil
}
