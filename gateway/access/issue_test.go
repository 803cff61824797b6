package access

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
)

func TestIssueClient(t *testing.T) {
	a := newAuthority(t, t.TempDir(), nil)
	c := newClientCertificates(t, ClientCertificateOptions{Authority: a})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "admin"}, DNSNames: []string{"lintel.local"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	for _, csr := range [][]byte{der, request} {
		certPEM, keyPEM, err := a.IssueClient("lamp", csr)
		if err != nil || keyPEM != nil {
			t.Fatalf("key %q, %v", keyPEM, err)
		}
		block, _ := pem.Decode(certPEM)
		cert := tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
		// Of a request nothing but the key counts.
		if name, err := show(t, a, c, newServer(t, a, c, true), cert, tls.VersionTLS12); name != "lamp" || err != nil {
			t.Errorf("%q, %v", name, err)
		}
		if leaf, err := x509.ParseCertificate(block.Bytes); err != nil || len(leaf.DNSNames) > 0 || leaf.IsCA {
			t.Errorf("%+v, %v", leaf, err)
		}
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err)
	}
	weakRequest, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte(nil), der...)
	forged[len(forged)-1] ^= 1
	for what, csr := range map[string][]byte{"weak": weakRequest, "forged": forged, "empty": {}, "garbage": []byte("x"),
		"certificate": certificatePEM(a.root.Raw), "large": make([]byte, maxRequest+1)} {
		if _, _, err := a.IssueClient("lamp", csr); err == nil {
			t.Errorf("%s request accepted", what)
		}
	}
	for _, name := range []string{"", "a/b", "+", "#", "$a", " a", "a\x00", "\xff", strings.Repeat("ü", 65)} {
		if _, _, err := a.IssueClient(name, nil); err == nil {
			t.Errorf("%q accepted", name)
		}
	}
	if _, _, err := a.IssueClient(strings.Repeat("ü", maxCommonName), nil); err != nil {
		t.Error(err)
	}
	if n := len(a.Issued()); n != 3 {
		t.Errorf("%d are listed", n)
	}
	for _, serial := range []string{"", "x", "-1", "0", strings.Repeat("f", 42), "../x"} {
		if err := a.Revoke(serial); err == nil {
			t.Errorf("revoked %q", serial)
		}
	}
	for _, i := range a.Issued() {
		if err := errors.Join(a.Revoke(i.Serial), a.Revoke(strings.ToUpper(i.Serial))); err != nil {
			t.Error(err)
		}
	}
	for _, i := range a.Issued() {
		if !i.Revoked {
			t.Errorf("%+v is not revoked", i)
		}
	}
	block, _ := pem.Decode(listPEM(a.list))
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil || list.CheckSignatureFrom(a.root) != nil || len(list.RevokedCertificateEntries) != 3 {
		t.Errorf("CRL: %+v, %v", list, err)
	}
}
