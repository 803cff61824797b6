package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// foreignAuthority is an authority of somebody else.
type foreignAuthority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newIssuer makes an authority under another one, or for itself if that is nil.
func newIssuer(t *testing.T, name string, parent *foreignAuthority, only ...x509.ExtKeyUsage) *foreignAuthority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: only,
	}
	made := new(foreignAuthority)
	der := made.make(t, template, parent)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	made.cert = cert
	return made
}

// make fills in what a template leaves out, and returns the certificate for a new key.
func (i *foreignAuthority) make(t *testing.T, template *x509.Certificate, by *foreignAuthority) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.key = key
	if template.SerialNumber == nil {
		template.SerialNumber = newSerial()
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// client makes a certificate for a client of that common name, which change may alter.
// The authorities between go with it.
func (i *foreignAuthority) client(t *testing.T, name string, change func(*x509.Certificate), between ...*foreignAuthority) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	holder := new(foreignAuthority)
	c := tls.Certificate{Certificate: [][]byte{holder.make(t, template, i)}, PrivateKey: holder.key}
	for _, b := range between {
		c.Certificate = append(c.Certificate, b.cert.Raw)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Leaf = leaf
	return c
}

// crl makes a list of revoked certificates in DER.
func (i *foreignAuthority) crl(t *testing.T, change func(*x509.RevocationList), revoked ...tls.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, i.cert, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func crlPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// fileWith writes a file of the test and returns its name.
func fileWith(t *testing.T, parts ...[]byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.pem")
	overwrite(t, name, parts...)
	return name
}

func overwrite(t *testing.T, name string, parts ...[]byte) {
	t.Helper()
	var text []byte
	for _, p := range parts {
		text = append(text, p...)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func always() bool { return true }
func never() bool  { return false }

// newAuthority makes an authority for the names of a house, in a folder of the test.
func newAuthority(t *testing.T, dir string, change func(*AuthorityOptions)) *Authority {
	t.Helper()
	o := AuthorityOptions{Names: houseNames("lintel", "192.168.1.2"), ClockKnown: always}
	if change != nil {
		change(&o)
	}
	a, err := NewAuthority(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issueClient returns a client certificate of the box.
func issueClient(t *testing.T, a *Authority, name string) tls.Certificate {
	t.Helper()
	certPEM, keyPEM, err := a.IssueClient(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trusting is what a client needs to know of an authority.
func trusting(t *testing.T, a *Authority) *x509.CertPool {
	t.Helper()
	root, _ := a.Root()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		t.Fatalf("no certificate in %q", root)
	}
	return pool
}

// patient is an end of a pipe that takes what is written though nobody reads yet, as a
// socket does: else both ends wait when one is refused while it still writes.
type patient struct {
	net.Conn
	out     chan []byte
	flushed chan struct{}
}

func newPatient(nc net.Conn) *patient {
	p := &patient{nc, make(chan []byte, 100), make(chan struct{})}
	go func() {
		defer close(p.flushed)
		for b := range p.out {
			nc.Write(b)
		}
	}()
	return p
}

func (p *patient) Write(b []byte) (int, error) {
	p.out <- slices.Clone(b)
	return len(b), nil
}

// Close closes when everything is read or the other end is closed.
func (p *patient) Close() error {
	close(p.out)
	<-p.flushed
	return p.Conn.Close()
}

// greet connects over a pipe, lets each side send a byte to the other one, and returns
// what each thinks of it. Over TLS 1.3 a client hears with the first byte only that it was
// refused.
func greet(server, client *tls.Config) (state tls.ConnectionState, served, connected error) {
	one, two := net.Pipe()
	near, far := newPatient(one), newPatient(two)
	deadline := time.Now().Add(10 * time.Second)
	near.SetDeadline(deadline)
	far.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() {
		c := tls.Server(near, server)
		_, err := io.ReadFull(c, make([]byte, 1))
		if err == nil {
			_, err = c.Write([]byte{1})
		}
		state = c.ConnectionState()
		done <- err
		if err == nil {
			c.Read(make([]byte, 1)) // until the client has what was sent
		}
		near.Close()
	}()
	c := tls.Client(far, client)
	_, connected = c.Write([]byte{1})
	if connected == nil {
		_, connected = io.ReadFull(c, make([]byte, 1))
	}
	far.Close()
	served = <-done
	if errors.Is(served, io.EOF) && connected == nil {
		served = nil
	}
	return state, served, connected
}
