package access

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Files that cannot be used do not take the place of what is served.
func TestInstalledCertificate(t *testing.T) {
	t.Parallel()
	own := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("the box's own") }
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca := newIssuer(t, "CA", nil)
	issue := func(change func(*x509.Certificate)) (certPEM, keyPEM []byte) {
		c := ca.client(t, "box", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			if change != nil {
				change(c)
			}
		})
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return certificatePEM(c.Leaf.Raw), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	good := func() ([]byte, []byte) { return issue(nil) }
	tests := []struct {
		name      string
		write     func() (cert, key []byte)
		served    bool // at the start
		installed bool // in place of another one
	}{
		{"good", good, true, true},
		{"with its chain", func() ([]byte, []byte) {
			cert, key := good()
			return append(cert, certificatePEM(ca.cert.Raw)...), key
		}, true, true},
		{"missing", func() ([]byte, []byte) { return nil, nil }, false, false},
		{"key of another one", func() ([]byte, []byte) {
			cert, _ := good()
			_, key := good()
			return cert, key
		}, false, false},
		{"half", func() ([]byte, []byte) {
			cert, key := good()
			return cert[:len(cert)/2], key
		}, false, false},
		{"chain of somebody else", func() ([]byte, []byte) {
			cert, key := good()
			return append(cert, certificatePEM(newIssuer(t, "another", nil).cert.Raw)...), key
		}, false, false},
		{"chain damaged", func() ([]byte, []byte) {
			cert, key := good()
			return append(cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...), key
		}, false, false},
		{"for clients", func() ([]byte, []byte) {
			return issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}, false, false},
		{"expired", func() ([]byte, []byte) {
			return issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		}, true, false},
		{"not yet valid", func() ([]byte, []byte) {
			return issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
		}, true, false},
	}
	write := func(f func() (cert, key []byte)) {
		t.Helper()
		os.Remove(certFile)
		os.Remove(keyFile)
		if cert, key := f(); cert != nil {
			if err := errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range tests {
		write(tt.write)
		o := InstalledCertificateOptions{CertFile: certFile, KeyFile: keyFile, Other: own, ClockKnown: always}
		if served, err := NewInstalledCertificate(o).GetCertificate(nil); (err == nil) != tt.served || (served != nil) != tt.served {
			t.Errorf("%s, at the start: %v", tt.name, err)
		}
		write(good)
		c := NewInstalledCertificate(o)
		first, err := c.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		write(tt.write)
		c.looked = c.looked.Add(-2 * lookAtFiles) // as if it were time
		if second, err := c.GetCertificate(nil); err != nil || (second != first) != tt.installed {
			t.Errorf("%s, in place of another one: installed %t, %v", tt.name, second != first, err)
		}
	}
}
